"""Praat and librosa find what was planted: on a dozen clips here, on all of them in the long tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Word
from serxai.datasets.planted.check import cue_table, measure, measured_changes, planted_directions
from serxai.datasets.planted.corpus import load
from serxai.datasets.planted.record import RECORD
from serxai.datasets.planted.voices import EMOTIONS, RECIPES, VARIANTS
from serxai.keys import rng

WORDS = (Word("a", 0.2, 0.5), Word("b", 0.7, 1.0))


def _voice(hz: float, level: float = 0.1) -> np.ndarray:
    """Harmonics that fall off, 1.2 s, with a little noise."""
    times = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 30))
    return (level * tone + 1e-4 * rng("check").standard_normal(times.size)).astype(np.float32)


def test_measures_are_right_on_a_known_sound():
    one, louder, higher = (measure(x, WORDS, "male") for x in (_voice(120), _voice(120, 0.2), _voice(180)))
    for tool in ("Praat", "librosa"):
        assert one[f"pitch level ({tool})"] == pytest.approx(12 * np.log2(1.2), abs=0.1)
        rise = higher[f"pitch level ({tool})"] - one[f"pitch level ({tool})"]
        assert rise == pytest.approx(12 * np.log2(1.5), abs=0.1)
        assert louder[f"intensity ({tool})"] - one[f"intensity ({tool})"] == pytest.approx(6.02, abs=0.05)
        assert one[f"alpha ratio ({tool})"] == pytest.approx(louder[f"alpha ratio ({tool})"], abs=0.1)
    assert one["alpha ratio (Praat)"] == pytest.approx(one["alpha ratio (librosa)"], abs=0.5)
    assert one["alpha ratio (Praat)"] < -5 and one["HNR (Praat)"] > 25 and one["jitter (Praat)"] < 0.2
    assert one["pitch range (Praat)"] < 0.05
    assert np.isnan(one["band level (librosa)"])
    bands = [measure(x, WORDS, "male", (100, 400))["band level (librosa)"] for x in (_voice(120), _voice(120, 0.2))]
    assert bands[1] - bands[0] == pytest.approx(6.02, abs=0.05)


def test_what_is_outside_the_words_is_not_measured():
    sound = _voice(120)
    other = sound.copy()
    times = np.arange(sound.size) / SAMPLE_RATE
    away = ~np.any([(times > w.start_s - 0.1) & (times < w.end_s + 0.1) for w in WORDS], axis=0)
    other[away] = 0.3 * rng("elsewhere").standard_normal(away.sum())
    before, after = measure(sound, WORDS, "male"), measure(other, WORDS, "male")
    for name in ("pitch level (librosa)", "intensity (Praat)", "intensity (librosa)", "alpha ratio (Praat)"):
        assert after[name] == pytest.approx(before[name], abs=0.1)


def test_silence_is_missing_and_does_not_count():
    quiet = measure(1e-5 * rng("hush").standard_normal(20_000).astype(np.float32), WORDS, "female")
    assert np.isnan(quiet["pitch range (Praat)"]) and np.isnan(quiet["jitter (Praat)"])
    rows = [("a", "anger", "x", 1, np.nan, 0.0), ("b", "anger", "x", 1, 2.0, 0.0), ("c", "anger", "x", 1, -1.0, 0.0)]
    table = cue_table(pd.DataFrame(rows, columns=["clip", "emotion", "measure", "direction", "change", "outside"]))
    assert table.iloc[0][["share", "median", "n"]].tolist() == [0.5, 0.5, 2]


def test_directions_follow_the_recipe():
    anger, happiness, sadness = (planted_directions(RECIPES[e]) for e in ("anger", "happiness", "sadness"))
    assert anger["jitter (Praat)"] == 1 and anger["HNR (Praat)"] == -1 and anger["intensity (Praat)"] == 1
    assert "jitter (Praat)" not in happiness and "HNR (Praat)" not in happiness
    assert sadness["pitch range (Praat)"] == sadness["alpha ratio (librosa)"] == sadness["HNR (Praat)"] == -1
    for variant in VARIANTS.values():
        assert set(variant.recipes) == set(EMOTIONS) - {"neutral"}
        for recipe in variant.recipes.values():
            assert set(planted_directions(recipe).values()) <= {-1, 1}


def test_planted_cues_are_found_in_a_dozen_clips():
    corpus = load(RECORD)
    names = [name for name in corpus.select(limit=16) if not name.endswith("neutral")]
    changes = measured_changes(corpus, names)
    assert changes["clip"].nunique() == 12 and changes["outside"].max() == 0
    known = changes.dropna(subset="change")
    assert len(known) >= 0.97 * len(changes)
    assert np.mean(np.sign(known["change"]) == known["direction"]) >= 0.95


@pytest.mark.long
def test_every_planted_cue_is_found_in_its_direction_over_the_corpus():
    corpus = load(RECORD)
    changes = measured_changes(corpus, corpus.table.index)
    table = cue_table(changes)
    assert changes["outside"].max() == 0  # not one sample differs
    assert len(table) == sum(len(planted_directions(recipe)) for recipe in RECIPES.values())
    assert (table["n"] >= 0.97 * 128).all(), table
    assert (table["share"] >= 0.95).all(), table


@pytest.mark.long
def test_distractors_do_not_depend_on_the_emotion():
    """Level, pitch, rate, tilt, pauses and noise of the twins: permutation tests within voice and sentence, Holm."""
    corpus = load(RECORD)
    corpus.prepare(corpus.table.index)
    facts = {}
    for name in corpus.table.index:
        clip = corpus.clip(name)
        found = measure(clip.plant.twin, clip.words, clip.sex)
        ends = [clip.words[0].start_s, clip.duration_s - clip.words[-1].end_s]
        facts[name] = {
            "level": found["intensity (librosa)"],
            "pitch": found["pitch level (Praat)"],
            "tilt": found["alpha ratio (librosa)"],
            "rate": clip.words[-1].end_s - clip.words[0].start_s,
            "pause before": ends[0],
            "pause after": ends[1],
            "noise": 20 * np.log10(np.std(clip.plant.twin[: int(0.03 * SAMPLE_RATE)])),
        }
    table = pd.DataFrame.from_dict(facts, orient="index").loc[corpus.table.index]
    assert table.notna().all().all() and (table.std() > 1e-3).all()
    blocks = corpus.table.sort_values(["speaker", "sentence", "emotion"]).index
    p_values = []
    for fact in table:
        values = table.loc[blocks, fact].to_numpy().reshape(-1, len(EMOTIONS))  # one row a voice and sentence
        draw = rng("permutation", fact)
        spreads = np.array([np.var(draw.permuted(values, axis=1).mean(axis=0)) for _ in range(5000)])
        p_values.append((1 + np.sum(spreads >= np.var(values.mean(axis=0)))) / 5001)
    assert len(p_values) == 7
    assert min(p_values) * len(p_values) > 0.05, dict(zip(table, p_values, strict=True))
