"""Properties that hold for every registered cue, on a synthetic vowel."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.cues.backends import EGEMAPS, PAPER_CUES
from serxai.cues.expert import expectations
from serxai.cues.normalise import whole_clip_cues
from serxai.cues.records import CUES, LEVEL_CUES, REGION_CUES, CueRecord
from serxai.cues.regions import CueValue
from serxai.cues.tracks import CueTracks, cue_tracks

cues = pytest.mark.parametrize("record", list(CUES), ids=lambda record: record.name)


def vowel(seconds: float = 1.2) -> np.ndarray:
    """A harmonic complex with a gliding pitch and two pauses, in faint noise."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(4 * t)) / SAMPLE_RATE
    tone = np.clip(np.sin(7 * t) + 0.5, 0, 1) * sum(np.cos(h * phase) / h for h in range(1, 20))
    return 0.05 * tone + 1e-5 * np.random.default_rng(0).standard_normal(t.size)


@cache
def tracks(gain: float = 1.0) -> CueTracks:
    return cue_tracks(gain * vowel())


@cache
def values(gain: float = 1.0) -> dict[str, CueValue]:
    return whole_clip_cues(tracks(gain))


@cues
def test_cue_metadata_is_complete(record: CueRecord) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", record.name) and record.label.strip()
    for field in ("summary", "licence", "citation", "unit", "basis", "higher", "lower"):
        text = getattr(record, field)
        assert text.strip() and "\n" not in text
    assert record.higher != record.lower and record.minimum >= 1 and record.level in ("region", "clip")


@cues
def test_cue_target_returns_the_cue_with_its_unit(record: CueRecord) -> None:
    measure = record.load()
    every_frame = np.ones(tracks().times_s.shape, dtype=bool)
    result = measure(tracks()) if record.level == "clip" else measure(tracks(), every_frame)
    assert result[record.name].unit == record.unit and np.isfinite(result[record.name].value)
    assert result[record.name] == values()[record.name]
    assert result[record.name].n_frames >= record.minimum and result[record.name].reason == ""


@cues
def test_cue_is_missing_with_a_reason_in_an_empty_region(record: CueRecord) -> None:
    if record.level == "clip":
        return
    nothing = record.load()(tracks(), np.zeros(tracks().times_s.shape, dtype=bool))[record.name]
    assert np.isnan(nothing.value) and str(record.minimum) in nothing.reason and nothing.n_frames == 0


@cues
def test_only_level_cues_depend_on_gain(record: CueRecord) -> None:
    quiet, loud = values()[record.name].value, values(2.0)[record.name].value
    expected = quiet + 20 * np.log10(2) if record.name in LEVEL_CUES else quiet
    assert loud == pytest.approx(expected, rel=0.02, abs=0.05)


def test_tables_name_registered_cues_only() -> None:
    names = set(CUES.names())
    assert {*LEVEL_CUES, *EGEMAPS, *PAPER_CUES, *(row.cue for row in expectations())} <= names
    assert set(PAPER_CUES) <= set(EGEMAPS) and len(names) == len(CUES.names())
    assert {row.cue for row in expectations()} - {"speech_rate", "pauses"} <= set(REGION_CUES)
