"""Directions measured on a corpus beside sources: by hand, held out, coverage, and the words for it."""

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.corpus_directions import (
    by_source,
    direction_of,
    markdown_rows,
    mean_effect,
    measured_table,
    verdict,
)
from serxai.cues.expert import directions


def clips(effects_of, n=8, seed=0, cue="f0_level"):
    """Clips of speakers whose emotion lies a given number of standard deviations above their neutral."""
    draw = np.random.default_rng(seed)
    rows = [
        (f"s{i}", emotion, 10 * i + (d if emotion != "neutral" else 0) + draw.normal())
        for i, d in enumerate(effects_of)
        for emotion in ["neutral", "anger"] * n
    ]
    return pd.DataFrame(rows, columns=["speaker", "emotion", cue])


def test_mean_effect_by_hand():
    values = np.array([1.0, 2, 3, 4, 5, 6])
    mean, low, high = mean_effect(values)
    half = 2.5705818 * values.std(ddof=1) / np.sqrt(6)
    assert (mean, low, high) == pytest.approx((3.5, 3.5 - half, 3.5 + half), rel=1e-6)
    assert direction_of(low, high) == 1 and direction_of(-high, -low) == -1 and direction_of(-low, high) == 0
    assert np.isnan(mean_effect(values[:5])[1:]).all() and direction_of(np.nan, np.nan) == 0


def test_a_clear_effect_holds_out_of_sample_and_a_null_one_is_not_claimed():
    found = measured_table(clips([3.0] * 8), ["f0_level"]).iloc[0]
    assert found["direction"] == 1 and found["held_out"] == 1 and found["tested"] == found["speakers"] == 8
    assert found["low"] < 3.0 < found["high"] and found["clips"] == 64
    odd = measured_table(clips([3.0] * 8 + [-3.0]), ["f0_level"]).iloc[0]
    assert odd["held_out"] == pytest.approx(8 / 9)  # the ninth speaker does the opposite of the others
    null = [measured_table(clips([0.0] * 8, seed=seed), ["f0_level"])["direction"].iloc[0] for seed in range(200)]
    assert np.mean(np.array(null) != 0) < 0.1  # nominal .05; binomial error of 200
    few = measured_table(clips([3.0] * 3), ["f0_level"]).iloc[0]
    assert few["direction"] == 0 and np.isnan(few["low"]) and few["effect"] > 2 and few["tested"] == 0


def test_sources_are_told_apart():
    measured = pd.DataFrame(
        [
            ("fear", "loudness", 1.0, 0.5, 1.5, 1, 1.0, 8, 8, 40),
            ("anger", "shimmer", 0.0, -0.5, 0.5, 0, np.nan, 0, 8, 40),
        ],
        columns=["emotion", "cue", "effect", "low", "high", "direction", "held_out", "tested", "speakers", "clips"],
    )
    table = by_source(measured).set_index(["emotion", "source"])
    assert set(table.loc["fear"].index) == {s for s, cues in directions("fear").items() if "loudness" in cues}
    assert table.loc[("fear", "S86"), "agrees"] == "yes" and table.loc[("fear", "MA"), "agrees"] == "no"
    assert table.loc[("fear", "JL"), "status"] == "recalled" and table.loc[("fear", "JL"), "agrees"] == "no"
    assert table.loc[("anger", "BSR"), "agrees"] == "not clear here"
    rows = markdown_rows(measured)
    assert (
        rows[0]["sources"] == "S86+ MA0 L080 BSR+ (JL- S03+)" and rows[0]["this corpus"] == "as 2 of 4 sources expect"
    )
    assert rows[0]["effect"] == "+1.00 [+0.50, +1.50]" and rows[0]["held out"] == "8 of 8"
    assert rows[1]["this corpus"] == "not clear; the one source expects a change" and rows[1]["held out"] == "–"


def test_words():
    assert verdict("anger", "shimmer", 0.5, 1.0) == "as the one source expects"
    assert verdict("sadness", "f0_level", 0.5, 1.0) == "against all 4 sources"
    assert verdict("surprise", "jitter", -0.1, 0.1) == "not clear; no source"
    assert verdict("anger", "f0_level", -0.1, 0.1) == "not clear; 3 of 3 sources expect a change"
    assert verdict("happiness", "speech_rate", -0.1, 0.1) == "not clear; 1 of 2 sources expects a change"
    assert verdict("anger", "f0_level", np.nan, np.nan) == "described only"
