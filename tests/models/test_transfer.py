"""Train on one corpus, test on another: who is recognised by which model, and what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from serxai.datasets.clip import Clip
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import Corpus
from serxai.datasets.folds import Folds
from serxai.errors import ClipError, InputError
from serxai.models.foldmodels import FoldModels
from serxai.models.recogniser import Recogniser
from serxai.models.transfer import recognise, transfer_row


class Spoken(Corpus):
    """Clips whose samples say their emotion; one of them cannot be read."""

    def clip(self, clip_id: str) -> Clip:
        if clip_id.endswith("broken"):
            raise ClipError("broken")
        emotion = self.table.at[clip_id, "emotion"]
        samples = np.full(4, ("anger", "fear", "sadness").index(emotion), np.float32)
        return Clip(samples=samples, **self._metadata(clip_id))


class Reader(Recogniser):
    """Reads the emotion off the samples, wrongly for one fold."""

    classes, fingerprint, name = ("anger", "sadness", "calm"), "reader", "reader"

    def __init__(self, wrong: bool, gain: float = 1.0) -> None:
        self.wrong, self.gain = wrong, gain

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        sad = (waveforms[:, 0] == 2) != self.wrong
        return self.gain * torch.stack(
            [torch.where(sad, -1.0, 1.0), torch.where(sad, 1.0, -1.0), torch.full_like(sad, -5.0, dtype=torch.float32)],
            1,
        )


def corpus(name: str) -> Spoken:
    rows = {
        f"{s}-{e}-{c}": {"file": "x", "emotion": e, "speaker": s, "sex": "female", "sentence": ""}
        for s in ("a", "b", "c") for e in ("anger", "fear", "sadness") for c in ("1", "2", "broken")
    }  # fmt: skip
    record = CORPORA.get("emodb" if name == "emodb" else "planted")
    return Spoken(record, pd.DataFrame.from_dict(rows, orient="index"), Path())


MODELS = SimpleNamespace(
    name="reader",
    trained_on="emodb",
    default_fold="0",
    fold_for=lambda corpus, speaker, clip: {"a": "0", "b": "1", "c": "0"}[speaker] if corpus == "emodb" else "0",
    recogniser=lambda fold, device="cpu": Reader(wrong=fold == "1"),
    seen_in_training=lambda corpus, clips, fold: dict.fromkeys(clips, "no"),
)


def test_own_speakers_get_the_fold_that_holds_them_out_and_others_the_first():
    own, other = transfer_row(MODELS, corpus("emodb")), transfer_row(MODELS, corpus("planted"))
    assert own["emotions"] == ["anger", "sadness"] and own["n"] == 12  # fear is no class, broken clips are left out
    assert own["uar"] == pytest.approx(2 / 3) and other["uar"] == 1.0
    assert np.array(own["confusion"]).tolist() == [[4, 2, 0], [2, 4, 0], [0, 0, 0]]


def test_progress_counts_every_clip_and_one_emotion_is_refused():
    seen: list[tuple[int, int]] = []
    clips = list(corpus("emodb").table.index)
    assigned = {clip: ["0", "1"] for clip in clips}
    found = recognise(MODELS, corpus("emodb"), assigned, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 27) for i in range(27)] and len(found) == 18
    assert all(list(values) == ["0", "1"] for values in found.values())
    with pytest.raises(InputError, match="at least 2"):
        transfer_row(MODELS, corpus("emodb"), emotions=["anger", "fear"])


class Trained(FoldModels):
    """Two folds and a refit that exist by name only; the second fold is wrong, and louder."""

    def __init__(self) -> None:
        self.name, self.trained_on, self.averaged = "reader", "emodb", False
        self.folds = Folds({"0": ("a", "c"), "1": ("b",)})

    def recogniser(self, fold: str, device: str = "cpu") -> Recogniser:
        return Reader(wrong=fold == "1", gain=3.0 if fold == "1" else 1.0)

    def seen_in_training(self, corpus: Corpus, clips: Sequence[str], fold: str) -> dict[str, str]:
        return {clip: "unknown" if clip.startswith("a") else "no" for clip in clips}


def test_a_cell_of_two_corpora_shows_refit_folds_and_ensemble():
    row = transfer_row(Trained(), corpus("planted"))
    assert row["uar"] == 1.0 and row["uar_interval"] is not None
    assert row["folds"] == {"0": 1.0, "1": 0.0} and row["fold_range"] == [0.0, 1.0]
    assert row["ensemble"]["uar"] == 0.0 and row["ensemble"]["n"] == row["n"]  # the mean follows the louder one
    assert row["seen_in_training"] == "unknown" and row["seen_counts"] == {"unknown": 6, "no": 12}
    own = transfer_row(Trained(), corpus("emodb"))
    assert own["uar"] == pytest.approx(2 / 3) and "folds" not in own and "ensemble" not in own
