"""The truth of planted clips under five strengths of a shift: it falls under noise, and stays where time is mapped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serxai.audio import Grid, scoring_grid
from serxai.datasets.clip import Clip, recorded_times
from serxai.datasets.corpora import load_corpus
from serxai.datasets.corpus import Corpus
from serxai.datasets.shifts.conditions import CURVES, apply_condition
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import summed_on
from serxai.metrics.similarity import MEASURES

NOBODY: Any = SimpleNamespace(classes=("anger", "happiness", "neutral", "sadness"), regression=False)
CLIPS = 2


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    corpus: Corpus = load_corpus("planted")
    planted = corpus.table.index[corpus.table["emotion"] != "neutral"]
    return [corpus.clip(name) for name in planted[:: len(planted) // CLIPS][:CLIPS]]


def oracle_map(clip: Clip) -> np.ndarray:
    """Truth of a clip on the scoring grid of the clip as recorded."""
    found = make_method("oracle").attribute(Request(NOBODY, clip, clip.emotion))
    recorded = Grid(found.grid.freq_edges_hz, recorded_times(found.grid.time_edges_s, clip.time_map))
    return summed_on(found.values, recorded, scoring_grid(clip.recorded_s))


def curve_of(clips: list[Clip], curve: str, measure: str) -> np.ndarray:
    """Mean similarity of the truth of shifted and recorded clips, at each strength."""
    clean = [oracle_map(clip) for clip in clips]
    return np.array(
        [
            np.mean([MEASURES[measure](own, oracle_map(apply_condition(name, clip)))
                     for own, clip in zip(clean, clips, strict=True)])
            for name in CURVES[curve]
        ]
    )  # fmt: skip


@pytest.mark.parametrize("curve", ["noise", pytest.param("reverb", marks=pytest.mark.long)])
def test_the_truth_falls_with_the_strength_of_a_disturbance(curve: str, clips: list[Clip]):
    assert (np.diff(curve_of(clips, curve, "cosine")) < 0).all()


def test_the_truth_stays_where_a_slower_tempo_is_mapped_back(clips: list[Clip]):
    assert (curve_of(clips, "slower", "cosine") > 0.95).all()


@pytest.mark.long
def test_the_truth_of_faster_speech_loses_resolution_only(clips: list[Clip]):
    """Cells of 80 ms of speech at 150 % of the tempo are cells of 120 ms of what was recorded."""
    assert (curve_of(clips, "faster", "cosine") > 0.88).all()
