"""Train on one corpus, test on another: who is recognised by which model, and what is counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from serxai.datasets.clip import Clip
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import Corpus
from serxai.errors import ClipError, InputError
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

    def __init__(self, wrong: bool) -> None:
        self.wrong = wrong

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        sad = (waveforms[:, 0] == 2) != self.wrong
        return torch.stack(
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
    fold_for=lambda corpus, speaker: {"a": "0", "b": "1", "c": "0"}[speaker] if corpus == "emodb" else "0",
    recogniser=lambda fold, device="cpu": Reader(wrong=fold == "1"),
    seen_in_training=lambda corpus: "no",
)


def test_own_speakers_get_the_fold_that_holds_them_out_and_others_the_first():
    own, other = transfer_row(MODELS, corpus("emodb")), transfer_row(MODELS, corpus("planted"))
    assert own["emotions"] == ["anger", "sadness"] and own["n"] == 12  # fear is no class, broken clips are left out
    assert own["uar"] == pytest.approx(2 / 3) and other["uar"] == 1.0
    assert np.array(own["confusion"]).tolist() == [[4, 2, 0], [2, 4, 0], [0, 0, 0]]


def test_progress_counts_every_clip_and_one_emotion_is_refused():
    seen: list[tuple[int, int]] = []
    clips = list(corpus("emodb").table.index)
    found = recognise(MODELS, corpus("emodb"), clips, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 27) for i in range(27)] and len(found) == 18
    with pytest.raises(InputError, match="at least 2"):
        transfer_row(MODELS, corpus("emodb"), emotions=["anger", "fear"])
