"""Cue tracks beside the calls of Praat and librosa that they are made of, both in one run and in CPU time."""

from __future__ import annotations

import librosa
import numpy as np
import parselmouth
from parselmouth.praat import call

from serxai.audio import SAMPLE_RATE
from serxai.cues.fine import all_cues
from serxai.cues.regions import region_cues
from serxai.cues.tracks import CueTracks, cue_tracks

SECONDS = 3.0
RATIO = 1.2  # measured: 1.0-1.1
REGION_MS = 2.0  # measured: 0.5


def voice() -> np.ndarray:
    """Three seconds of gliding pitch with pauses."""
    draw = np.random.default_rng(0)
    t = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(3 * t)) / SAMPLE_RATE
    gate = np.sin(2 * np.pi * 1.2 * t) > -0.5
    return 0.03 * gate * sum(np.cos(h * phase) / h for h in range(1, 25)) + 1e-4 * draw.standard_normal(t.size)


def by_praat_and_librosa(x: np.ndarray) -> None:
    """What the tracks are read from, and nothing else: no pulse's period, no frame on a common axis."""
    sound = parselmouth.Sound(x, SAMPLE_RATE)
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=75, pitch_ceiling=600)
    sound.to_intensity(75, 0.01)
    sound.to_harmonicity_cc(0.01, 75, 0.1, 1.0)
    pulses = call([sound, pitch], "To PointProcess (cc)")
    call([pulses, sound], "To AmplitudeTier (period)", 0, 0, 0.0001, 0.02, 1.3)
    sound.to_formant_burg(time_step=0.01, maximum_formant=5500)
    call(sound, "To PowerCepstrogram", 60, 0.01, 5000, 50)
    np.abs(librosa.stft(x.astype(np.float32), n_fft=512, win_length=320, hop_length=160)) ** 2


def with_fine(x: np.ndarray) -> CueTracks:
    tracks = cue_tracks(x)
    assert tracks.fine.cpp_db.shape == tracks.times_s.shape
    return tracks


def test_tracks_cost_what_praat_and_librosa_cost(benchmark, speed) -> None:
    x = voice()
    by_praat_and_librosa(x)  # librosa's first call compiles
    tracks = benchmark.pedantic(with_fine, (x,), rounds=speed.rounds(9))
    assert tracks.voiced.sum() > 100
    ours, theirs = speed.best(lambda: with_fine(x), lambda: by_praat_and_librosa(x), rounds=9)
    benchmark.extra_info["ours_over_theirs"] = ours / theirs
    figure = f"tracks {ours * 1e3:.1f} ms, Praat and librosa {theirs * 1e3:.1f} ms; goal {RATIO} x"
    speed.goal(ours / theirs <= RATIO, figure)


def test_a_region_takes_less_than_two_milliseconds(benchmark, speed) -> None:
    tracks = with_fine(voice())
    masks = np.random.default_rng(1).random((20, tracks.times_s.size)) < 0.3

    def regions() -> list[dict]:
        return [all_cues(tracks, mask) for mask in masks]

    found = benchmark.pedantic(regions, rounds=speed.rounds(9))
    assert len(found) == 20 and np.isfinite(found[0]["f0_slope"].value)
    full, short = speed.best(regions, lambda: [region_cues(tracks, mask) for mask in masks], rounds=9)
    all_ms, core_ms = (1e3 * seconds / len(masks) for seconds in (full, short))
    benchmark.extra_info["region_ms"] = all_ms
    speed.goal(all_ms < REGION_MS, f"{all_ms:.2f} ms a region, its core cues {core_ms:.2f} ms; goal {REGION_MS} ms")
