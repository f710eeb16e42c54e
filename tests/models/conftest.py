"""A corpus of synthetic voices, small enough to train on in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from serxai.datasets.clip import Clip
from serxai.datasets.folds import Folds
from serxai.errors import ClipError
from serxai.keys import digest, rng

PITCH = {"anger": 280.0, "neutral": 180.0, "sadness": 110.0}


@dataclass(frozen=True)
class TinyRecord:
    version: str = "1"
    name: str = "tiny"
    folder: str = ""
    twinned: bool = False
    rendered_from: str = ""


class TinyCorpus:
    """Harmonic tones whose pitch is the emotion's, at each speaker's own level and slope; in memory."""

    labelled = True

    def __init__(self, name: str = "tiny", speakers: int = 6, takes: int = 2, damaged: tuple[str, ...] = ()) -> None:
        self.name = name
        self.record = TinyRecord()
        self.damaged = damaged
        rows = [
            {
                "id": f"{s}-{emotion}-{take}",
                "file": "",
                "emotion": emotion,
                "speaker": f"s{s}",
                "sex": "",
                "sentence": "",
            }
            for s in range(speakers)
            for emotion in PITCH
            for take in range(takes)
        ]
        self.table = pd.DataFrame(rows).set_index("id")

    def prepare(self, clip_ids: Iterable[str]) -> None:
        """Nothing to prepare."""

    def clip(self, clip_id: str) -> Clip:
        if clip_id in self.damaged:
            raise ClipError(f"{clip_id}: damaged.")
        row = self.table.loc[clip_id]
        voice, take = rng("voice", row["speaker"]), rng("take", clip_id)
        level, slope = 10 ** voice.uniform(-1.5, -0.5), voice.uniform(0.8, 1.6)
        t = np.arange(int(take.integers(6000, 16_000))) / 16_000
        tone = sum(np.sin(2 * np.pi * k * PITCH[row["emotion"]] * t) / k**slope for k in range(1, 12))
        samples = level * tone + 1e-3 * take.standard_normal(len(t))
        return Clip(clip_id, samples.astype(np.float32), row["emotion"], row["speaker"], corpus=self.name)

    def folds(self, n: int = 5) -> Folds:
        speakers = sorted(set(self.table["speaker"]))
        n = min(n, len(speakers))
        return Folds({str(k): tuple(speakers[k::n]) for k in range(n)})

    @cached_property
    def digest(self) -> str:
        return digest(self.name, list(self.table.index))


@pytest.fixture
def tiny_corpus() -> TinyCorpus:
    return TinyCorpus()


@pytest.fixture(scope="session")
def make_tiny_corpus() -> type[TinyCorpus]:
    return TinyCorpus
