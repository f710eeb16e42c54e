"""Training in published folds that share speakers: what is kept, what is scored, and what the card admits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from serxai.datasets.schemes import FoldScheme
from serxai.errors import ClipError, InputError
from serxai.models import task as task_module
from serxai.models.card import ENSEMBLE, REFIT
from serxai.models.extractor import Extractor
from serxai.models.foldmodels import load_fold_models
from serxai.models.trained import trained_models
from serxai.models.training import plan_training, train_fold_models


@dataclass
class Pitch(Extractor):
    """Two features: the strongest frequency, and the level, which tells the speaker."""

    min_samples: int = 400
    fingerprint: str = "pitch"

    def __post_init__(self) -> None:
        self.params: dict = {}

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        if waveforms.shape[1] < self.min_samples:
            raise ClipError("too short")
        peak = np.abs(np.fft.rfft(waveforms, 16_000, axis=1)).argmax(axis=1)
        return np.stack([peak, np.log(waveforms.std(axis=1))], axis=1).astype(float)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    from serxai.models import checkpoint

    for module in (task_module, checkpoint):
        monkeypatch.setattr(module, "make_extractor", lambda *a, **k: Pitch())


def by_take(corpus, training: tuple[str, ...] = ()) -> FoldScheme:
    """Each take is a fold: every speaker is in both parts."""
    tested = {clip: f"t{clip[-1]}" for clip in corpus.table.index if clip not in training}
    return FoldScheme("takes", tested, training, "a paper", "c0ffee", "CC0")


def test_a_leaking_scheme_is_kept_marked_and_explained_by_the_model_that_has_not_heard_the_clip(
    tiny_corpus, tmp_path: Path
) -> None:
    clips = list(tiny_corpus.table.index)
    unlisted, only_trained = "5-sadness-1", "5-anger-1"
    scheme = by_take(tiny_corpus, (only_trained,)).within([clip for clip in clips if clip != unlisted])
    models = train_fold_models("praat-svc", tiny_corpus, tmp_path / "m", folds=scheme)
    card = json.loads((tmp_path / "m/model.json").read_text())
    assert card["scheme"]["shared_speakers"] == card["scheme"]["speakers"] == 6
    assert card["scheme"]["name"] == "takes" and card["scheme"]["commit"] == "c0ffee"
    assert card["folds"] == {"t0": [], "t1": []} and sorted(card["weights"]) == ["t0", "t1"]
    assert card["scores"]["pooled"]["n"] == len(clips) - 2  # neither the clip that only trains nor the one not listed
    assert models.fold_for("tiny", "s0", "0-anger-1") == "t1" and models.fold_for("tiny", "s0") == REFIT
    assert models.fold_for("tiny", "s5", only_trained) == REFIT == models.fold_for("emodb", "s0", "0-anger-1")
    # every speaker was heard by every model, whatever the clip
    assert set(models.seen_in_training(tiny_corpus, clips, "t1").values()) == {"yes"}
    assert models.fold_for_samples(tiny_corpus.clip("0-anger-1").samples) == REFIT
    assert models.recogniser("t0").fingerprint != models.recogniser("t1").fingerprint
    assert models.recogniser(ENSEMBLE).classes == models.card.classes
    (row,) = [row for row in trained_models([tmp_path / "m"]) if row["folder"] == str(tmp_path / "m")]
    assert row["folds"] == "2 takes" and row["shared_speakers"] == 6

    card["scheme"]["tested"]["t0"][0] = "0-anger-1"
    (tmp_path / "m/model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="the file was edited"):
        load_fold_models(tmp_path / "m")


def test_scores_stand_side_by_side_and_the_kept_models_are_those_of_a_training_alone(
    tiny_corpus, tmp_path: Path
) -> None:
    scheme = by_take(tiny_corpus)
    alone = train_fold_models("praat-svc", tiny_corpus, tmp_path / "alone", folds=3)
    both = train_fold_models("praat-svc", tiny_corpus, tmp_path / "both", folds=3, others=[scheme, 2])
    leaking = train_fold_models("praat-svc", tiny_corpus, tmp_path / "leaking", folds=scheme)
    one, two = (json.loads((tmp_path / name / "model.json").read_text()) for name in ("alone", "both"))
    rows = two["scores"].pop("schemes")
    assert one == two, "a further division changed the kept models or what is said of them"
    assert "scheme" not in one and "schemes" not in one["scores"]
    assert [(r["scheme"], r["kept"], r["folds"], r["shared_speakers"], r["speakers"]) for r in rows] == [
        ("speaker", True, 3, 0, 6), ("takes", False, 2, 6, 6), ("speaker", False, 2, 0, 6)
    ]  # fmt: skip
    assert rows[0]["uar"] == alone.info["scores"]["pooled"]["uar"] == both.info["scores"]["pooled"]["uar"]
    assert rows[1]["uar"] == leaking.info["scores"]["pooled"]["uar"]
    assert rows[1]["uar_interval"] == leaking.info["scores"]["pooled"]["uar_interval"]
    assert not list((tmp_path / "both").glob("*other*")) and len(both.folds.speakers) == 3


def test_a_scheme_without_shared_speakers_is_like_speaker_folds(tiny_corpus, tmp_path: Path) -> None:
    folds = tiny_corpus.folds(2)
    scheme = FoldScheme.of_speakers(folds, tiny_corpus.table, "published")
    models = train_fold_models("praat-svc", tiny_corpus, tmp_path / "m", folds=scheme)
    assert models.folds == folds and models.card.scheme.shared_speakers == 0 and not models.card.scheme.tested
    assert models.fold_for("tiny", "s1", "1-anger-0") == models.folds.fold_of("s1")
    assert set(models.seen_in_training(tiny_corpus, ["1-anger-0"], models.folds.fold_of("s1")).values()) == {"no"}
    plain = train_fold_models("praat-svc", tiny_corpus, tmp_path / "plain", folds=2)
    assert [models.card.weights, models.card.refit] == [plain.card.weights, plain.card.refit]


def test_a_speaker_that_no_fold_tests_was_heard_by_all(tiny_corpus, tmp_path: Path) -> None:
    scheme = FoldScheme(
        "single", {clip: "1" for clip in tiny_corpus.table.index if clip[0] in "01"},
        tuple(clip for clip in tiny_corpus.table.index if clip[0] not in "01"),
    )  # fmt: skip
    models = train_fold_models("praat-svc", tiny_corpus, tmp_path / "m", folds=scheme)
    assert models.folds.speakers == {"1": ("s0", "s1")} and models.fold_for("tiny", "s3", "3-anger-0") == REFIT
    assert models.fold_for_samples(tiny_corpus.clip("3-anger-0").samples) == REFIT
    seen = models.seen_in_training(tiny_corpus, ["0-anger-0", "3-anger-0"], "1")
    assert seen == {"0-anger-0": "no", "3-anger-0": "yes"} and models.info["scores"]["pooled"]["n"] == 12


def test_networks_train_in_published_folds_too(tiny_corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serxai.models.network_training import SETTINGS, Settings

    fast = Settings(width=4, steps=4, batch=8, crop_frames=40, learning_rate=1e-2, averaging=0.9)
    monkeypatch.setitem(SETTINGS, "tiny", fast)
    models = train_fold_models("cnn", tiny_corpus, tmp_path / "m", folds=2, others=[by_take(tiny_corpus)], workers=1)
    rows = models.info["scores"]["schemes"]
    assert [row["n"] for row in rows] == [36, 36] and rows[0]["uar"] == models.info["scores"]["pooled"]["uar"]


def test_an_emotion_that_some_training_part_lacks_is_not_learned(tiny_corpus) -> None:
    tested = {clip: "1" if "anger" in clip else "2" for clip in tiny_corpus.table.index}
    task = plan_training("praat-svc", tiny_corpus, folds=2)
    assert task.classes == ("anger", "neutral", "sadness")
    with pytest.raises(InputError, match="at least 2 emotions"):
        plan_training("praat-svc", tiny_corpus, folds=FoldScheme("byemotion", tested))
    with pytest.raises(InputError, match="'anger' cannot be learned"):
        plan_training("praat-svc", tiny_corpus, folds=FoldScheme("byemotion", tested), emotions=["anger", "neutral"])
