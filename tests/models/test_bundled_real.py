"""The models shipped with serxai that were trained on real speech."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from serxai.benchmark.cli.main import main
from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.models.bundled import BUNDLED, bundled_summaries, corpus_of_samples
from serxai.models.card import load_card
from serxai.models.foldmodels import find_bundled, load_fold_models
from serxai.models.network_training import SETTINGS, Settings
from serxai.models.obtain import find_fold_models, load_model, load_models, obtain_fold_models
from serxai.models.task import VERSION

CNN, HEAD = BUNDLED / "cnn-emodb", BUNDLED / "hf-whisper-tiny-en-emodb"
CLASSES = ("anger", "happiness", "neutral", "sadness")


@pytest.mark.parametrize("folder", [CNN, HEAD])
def test_holds_fold_models_refit_card_and_statistics(folder: Path) -> None:
    card = load_card(folder)
    names = {f"fold-{fold}.safetensors" for fold in card.folds} | {"refit.safetensors", "model.json", "statistics.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert card.classes == CLASSES and card.training["version"] == VERSION
    assert (card.corpus.name, card.corpus.version) == ("emodb", CORPORA.get("emodb").version)
    assert card.clips is not None and card.clips.verified and card.training["left_out"] == {}
    assert "/" not in str(card.front_end.get("path", ""))


def test_all_are_small() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 5_000_000


def test_cnn_has_todays_settings_and_its_figures() -> None:
    card = load_card(CNN)
    expected = asdict(SETTINGS.get("emodb", Settings()))
    expected["augmentation"]["snr_db"] = list(expected["augmentation"]["snr_db"])
    assert card.training["settings"] == expected
    assert card.scores["pooled"]["n"] == 339 and card.scores["pooled"]["uar"] == pytest.approx(0.789, abs=5e-4)
    assert load_card(HEAD).scores["pooled"]["uar"] > 0.9


def test_is_the_default_of_load_model() -> None:
    model = load_model("cnn")
    assert model.trained_on == "emodb" and model.classes == CLASSES
    assert model.fingerprint == load_fold_models(CNN).recogniser("refit").fingerprint
    assert load_model("cnn", "planted").trained_on == "planted"


def test_ls_says_what_each_was_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert {model["corpus"] for model in bundled_summaries("cnn")} == {"emodb", "planted"}
    assert [model["encoder"] for model in bundled_summaries("hf:")] == ["whisper-tiny-en"]
    assert bundled_summaries("praat-svc") == []
    assert main(["ls", "models", "--long"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "trained on emodb: 4 classes, held-out UAR 0.789 [0.685, 0.893], 339 clips of 10 speakers" in said
    assert "trained on emodb for the encoder of whisper-tiny-en" in said


def test_a_clip_of_no_training_corpus_has_no_origin() -> None:
    assert corpus_of_samples(np.random.default_rng(0).standard_normal(16_000).astype(np.float32)) == ""


@pytest.mark.real_data
def test_runs_on_emodb_take_the_bundled_cnn() -> None:
    corpus = load_corpus("emodb")
    assert find_bundled("cnn", "emodb", corpus.record.version) is not None
    assert obtain_fold_models("cnn", corpus).folder == CNN
    clip = corpus.clip(corpus.table.index[0])
    assert corpus_of_samples(clip.samples) == "emodb"


@pytest.mark.real_data
def test_the_head_follows_the_encoder_wherever_it_lies(tmp_path: Path) -> None:
    corpus = load_corpus("emodb")
    folder = tmp_path / "copy"
    shutil.copytree(corpus.root.parent / "whisper-tiny-en", folder)
    models = load_models(f"hf:{folder}", None)
    assert getattr(models, "folder", None) == HEAD and models.trained_on == "emodb"
    clip = corpus.clip("03a01Fa")
    fold = models.fold_for("emodb", clip.speaker)
    recogniser = models.recogniser(fold)
    assert recogniser.classes[int(recogniser.log_odds(clip.samples[None])[0].argmax())] == clip.emotion == "happiness"
    assert models.info["encoder"] == load_card(HEAD).encoder
    for options, bundled in (({"layer": 2}, True), ({"layer": 2, "pooling": "mean"}, False), ({}, False)):
        found = find_fold_models(f"hf:{folder}", corpus, options=options)  # what a run with these settings takes
        assert (found is not None and found.folder == HEAD) == bundled, options
