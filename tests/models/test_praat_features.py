"""The cue vector: its values against Praat and plain formulas, and defined for any sound."""

from __future__ import annotations

import numpy as np
import parselmouth
import pytest

from serxai.cues.tracks import cue_tracks
from serxai.errors import ClipError
from serxai.keys import rng
from serxai.models.praat_features import DIM, MIN_SAMPLES, PraatFeatures, cue_vector, functionals


def vowel(seconds: float = 0.8, f0: float = 150.0, seed: int = 0) -> np.ndarray:
    t = np.arange(round(seconds * 16_000)) / 16_000
    tone = sum(np.sin(2 * np.pi * k * f0 * t * (1 + 0.1 * t)) / k for k in range(1, 9))
    return (0.1 * tone + 0.002 * rng("vowel", seed).standard_normal(t.size)).astype(np.float32)


def test_functionals_against_numpy():
    values = np.array([np.nan, 1.0, 4.0, 2.0, np.nan, np.nan, 5.0, 5.5, np.nan])
    held = [1.0, 4.0, 2.0, 5.0, 5.5]
    low, middle, high = np.percentile(held, [10, 50, 90])
    assert functionals(values) == pytest.approx(
        {
            "mean": 3.5, "sd": np.std(held), "p10": low, "p50": middle, "p90": high, "range": high - low,
            "rise": (300 + 50) / 2, "fall": -200.0,
        }
    )  # fmt: skip
    assert set(functionals(np.full(4, np.nan)).values()) == {0.0}


def test_cues_are_those_of_praat():
    samples = vowel()
    found, tracks = cue_vector(samples), cue_tracks(samples)
    assert found["f0_semitones_mean"] == pytest.approx(np.nanmean(12 * np.log2(tracks.f0_hz / 27.5)))
    sound = parselmouth.Sound(samples.astype(np.float64), 16_000)
    pulses = parselmouth.praat.call([sound, sound.to_pitch_ac(0.01, 75.0, pitch_ceiling=600.0)], "To PointProcess (cc)")
    jitter = parselmouth.praat.call(pulses, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3)
    assert found["jitter"] == pytest.approx(jitter, rel=1e-6)
    assert found["voiced_share"] > 0.9 and found["pause_share"] < 0.05


def test_pitch_and_pauses_move_what_they_should():
    low, high = cue_vector(vowel(f0=120.0)), cue_vector(vowel(f0=240.0))
    assert high["f0_semitones_p50"] - low["f0_semitones_p50"] == pytest.approx(12, abs=0.2)
    paused = np.concatenate([vowel(0.4), np.zeros(6400, dtype=np.float32), vowel(0.4)])
    found = cue_vector(paused)
    assert 0.2 < found["pause_share"] < 0.35 and found["voiced_share"] < 0.75


def test_level_leaves_all_but_rounding():
    """Recordings differ in gain, which says nothing of emotion."""
    loud, quiet = cue_vector(vowel()), cue_vector(0.25 * vowel())
    moved = [name for name in loud if abs(loud[name] - quiet[name]) > 0.02 * (1 + abs(loud[name]))]
    assert not moved


def test_rows_do_not_depend_on_those_beside_them():
    extractor = PraatFeatures()
    x = np.stack([vowel(0.5, f0, seed) for seed, f0 in enumerate((110, 160, 260))])
    rows = extractor.features(x)
    assert rows.shape == (3, DIM) and rows.dtype == np.float64
    assert np.array_equal(rows, np.concatenate([extractor.features(samples[None]) for samples in x]))
    assert extractor.features(x[:0]).shape == (0, DIM)
    assert PraatFeatures(**extractor.params).fingerprint == extractor.fingerprint


@pytest.mark.parametrize("what", ["silence", "click", "noise", "whisper", "shortest", "tiny"])
def test_every_sound_has_finite_cues(what: str):
    samples = {
        "silence": np.zeros(8000, dtype=np.float32),
        "click": np.eye(1, 8000, 4000, dtype=np.float32)[0],
        "noise": (0.1 * rng("noise").standard_normal(8000)).astype(np.float32),
        "whisper": (1e-4 * rng("noise").standard_normal(8000)).astype(np.float32),
        "shortest": vowel()[:MIN_SAMPLES],
        "tiny": 1e-20 * vowel(),
    }[what]
    assert np.isfinite(PraatFeatures().features(samples[None])).all()


def test_refusals():
    with pytest.raises(ClipError, match="at least 100 ms"):
        cue_vector(np.zeros(MIN_SAMPLES - 1, dtype=np.float32))
    with pytest.raises(ClipError, match="NaN or infinite"):
        cue_vector(np.full(8000, np.inf, dtype=np.float32))
