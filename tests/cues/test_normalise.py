"""Whose voice a cue is compared with, and the arithmetic of it."""

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.cues.normalise import CueReference, cue_references, whole_clip_cues
from serxai.cues.records import CUES, FINE_RECORDS
from serxai.cues.tracks import cue_tracks


def corpus(seed=0):
    """Speaker a has 5 neutral clips, b has one and 6 others, c has two clips in all."""
    draw = np.random.default_rng(seed)
    kinds = [("a", "neutral")] * 5 + [("a", "anger")] * 4 + [("b", "neutral")] + [("b", "fear")] * 6
    kinds += [("c", "neutral"), ("c", "sadness")]
    table = pd.DataFrame(kinds, columns=["speaker", "emotion"], index=[f"clip{i}" for i in range(len(kinds))])
    table["f0_level"], table["hnr"] = draw.normal(5, 2, len(table)), draw.normal(10, 3, len(table))
    return table


@pytest.mark.parametrize(
    ("speaker", "reference"), [("a", "speaker neutral"), ("b", "speaker"), ("c", "corpus"), ("x", "corpus")]
)
def test_reference_is_the_nearest_with_three_clips(speaker, reference):
    table = corpus()
    rows = {
        "speaker neutral": table[(table.speaker == speaker) & (table.emotion == "neutral")],
        "speaker": table[table.speaker == speaker],
        "corpus": table,
    }[reference]
    for cue in ("f0_level", "hnr"):
        norm = cue_references(table, speaker)[cue]
        assert norm == CueReference(
            pytest.approx(rows[cue].mean()), pytest.approx(rows[cue].std()), len(rows), reference
        )
        assert norm.z(rows[cue].mean() + 2 * rows[cue].std()) == pytest.approx(2.0)


def test_each_cue_has_its_own_reference_and_missing_values_do_not_count():
    table = corpus()
    table.loc[table.index[:3], "hnr"] = np.nan  # leaves a two neutral clips with a value
    found = cue_references(table, "a")
    assert found["hnr"].reference == "speaker" and found["hnr"].clips == 6
    assert found["f0_level"].reference == "speaker neutral"
    table["hnr"], table["f0_level"] = np.nan, 3.0
    assert cue_references(table, "a") == {}  # nothing known, no spread


def test_whole_clip_has_every_cue():
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(4 * t)) / SAMPLE_RATE
    tracks = cue_tracks(0.05 * np.clip(np.sin(5 * t) + 0.5, 0, 1) * sum(np.cos(h * phase) for h in range(1, 20)))
    full, short = whole_clip_cues(tracks), whole_clip_cues(tracks, full=False)
    assert set(full) == set(CUES.names())
    assert set(full) - set(short) == {record.name for record in FINE_RECORDS}
    assert all(short[name] == full[name] or np.isnan(short[name].value) for name in short)
    assert all(np.isfinite(cue.value) for cue in full.values())
