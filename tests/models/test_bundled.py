"""The models shipped with serxai, trained on the planted corpus."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.errors import InputError, UnknownNameError
from serxai.models.foldmodels import BUNDLED, find_bundled, load_fold_models
from serxai.models.network_training import SETTINGS, Settings
from serxai.models.obtain import load_model, obtain_fold_models
from serxai.models.records import MODELS
from serxai.models.scores import confusion, unweighted_average_recall
from serxai.models.task import VERSION

FOLDER = BUNDLED / "cnn-planted"


def test_is_small_and_holds_weights_and_card_only() -> None:
    files = sorted(path.name for path in FOLDER.iterdir())
    folds = load_fold_models(FOLDER).card.folds
    assert files == [*(f"fold-{fold}.safetensors" for fold in sorted(folds)), "model.json", "refit.safetensors"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_was_made_with_the_settings_of_this_version() -> None:
    card = load_fold_models(FOLDER).card
    training = card.training
    expected = asdict(SETTINGS.get("planted", Settings()))
    expected["augmentation"]["snr_db"] = list(expected["augmentation"]["snr_db"])
    assert training["settings"] == expected and training["version"] == VERSION and training["seed"] == 0
    assert card.version == MODELS.get("cnn").version
    assert card.corpus.version == CORPORA.get("planted").version
    assert training["left_out"] == {}
    assert card.clips is not None and card.clips.verified
    assert set(card.clips.digests) == {speaker for held_out in card.folds.values() for speaker in held_out}
    assert sum(map(len, card.clips.digests.values())) == CORPORA.get("planted").clips


def test_fold_weights_are_those_of_the_published_results() -> None:
    weights = load_fold_models(FOLDER).card.weights
    assert {fold: sha256[:8] for fold, sha256 in weights.items()} == {
        "0": "aa109759", "1": "1c66b9d0", "2": "c42af06d", "3": "3df8001c", "4": "63c95104",
    }  # fmt: skip


def test_recognises_unseen_voices() -> None:
    info = load_fold_models(FOLDER).info
    pooled = info["scores"]["pooled"]
    assert pooled["speakers"] == CORPORA.get("planted").speakers == 16
    assert pooled["n"] == CORPORA.get("planted").clips
    assert pooled["uar"] >= 0.85 and pooled["uar_interval"][0] >= 0.85
    counts = np.array(info["scores"]["confusion"])
    assert unweighted_average_recall(counts) == pytest.approx(pooled["uar"], abs=1e-12)
    assert counts.sum() == pooled["n"]


def test_each_fold_loads_as_a_recogniser() -> None:
    models = load_fold_models(FOLDER)
    assert set(models.card.classes) == {"anger", "happiness", "neutral", "sadness"}
    waveform = (0.1 * np.random.default_rng(0).standard_normal((1, 16_000))).astype(np.float32)
    fingerprints = set()
    for fold in (*models.folds.speakers, "refit"):
        model = models.recogniser(fold)
        assert model.trained_on == "planted" and np.isfinite(model.log_odds(waveform)).all()
        fingerprints.add(model.fingerprint)
    assert len(fingerprints) == len(models.folds.speakers) + 1


def test_load_model_takes_the_bundled_one() -> None:
    models = load_fold_models(FOLDER)
    assert load_model("cnn", "planted").fingerprint == models.recogniser("refit").fingerprint
    assert load_model("cnn", "planted", fold="2").fingerprint == models.recogniser("2").fingerprint
    assert load_model("cnn", checkpoint=FOLDER, fold="1").fingerprint == models.recogniser("1").fingerprint


def test_load_model_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="model 'cmm'"):
        load_model("cmm")
    with pytest.raises(UnknownNameError, match="'planted'"):
        load_model("cnn", trained_on="plantd")
    with pytest.raises(InputError, match="no fold '9'"):
        load_model("cnn", fold="9")
    with pytest.raises(InputError, match="no such folder"):
        load_model("cnn", checkpoint=tmp_path / "gone")


def test_another_version_of_the_corpus_has_no_bundled_model() -> None:
    assert find_bundled("cnn", "planted", CORPORA.get("planted").version) is not None
    assert find_bundled("cnn", "planted", "0") is None
    assert find_bundled("cnn", "ravdess", "1") is None


@pytest.mark.long
def test_measures_again_what_is_stored() -> None:
    corpus = load_corpus("planted")
    models = obtain_fold_models("cnn", corpus)
    assert models.folder == FOLDER
    classes = models.card.classes
    assert models.folds.speakers == corpus.folds(len(models.folds.speakers)).speakers
    counts, twins = np.zeros((2, 4, 4), dtype=int)
    for fold, held_out in models.folds.speakers.items():
        model = models.recogniser(fold)
        for clip_id in corpus.table.index[corpus.table["speaker"].isin(held_out)]:
            clip = corpus.clip(clip_id)
            assert clip.plant is not None
            row = np.array([classes.index(clip.emotion)])
            counts += confusion(row, model.log_odds(clip.samples[None]).argmax(axis=1), 4)
            twins += confusion(row, model.log_odds(clip.plant.twin[None]).argmax(axis=1), 4)
    assert unweighted_average_recall(counts) >= 0.85
    # without its cues a clip is neutral, whatever emotion it came from: nothing but the cues tells
    assert twins[:, classes.index("neutral")].sum() / twins.sum() >= 0.85
    assert abs(unweighted_average_recall(twins) - 0.25) < 0.1
