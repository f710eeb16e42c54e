"""Pitch and tempo: Praat measures what was moved and what stayed, and moments lie where the map of times says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Plane, scoring_grid
from serxai.datasets.clip import Clip
from serxai.datasets.planted.truth import truth_map, truth_mask
from serxai.datasets.shifts.conditions import CONDITIONS, apply_condition
from serxai.errors import ClipError

from .strengths import each

PITCH, TEMPO = ([record.name for record in CONDITIONS if record.kind == kind] for kind in ("pitch", "tempo"))


def sound_of(clip: Clip):
    import parselmouth

    return parselmouth.Sound(clip.samples.astype(np.float64), SAMPLE_RATE)


def median_pitch_hz(clip: Clip) -> float:
    contour = sound_of(clip).to_pitch_ac(pitch_floor=60, pitch_ceiling=500).selected_array["frequency"]
    return float(np.median(contour[contour > 0]))


def formants_hz(clip: Clip, start: float, end: float) -> np.ndarray:
    found = sound_of(clip).to_formant_burg(max_number_of_formants=5, maximum_formant=5000)
    times = np.linspace(start, end, 20)
    return np.array([np.nanmedian([found.get_value_at_time(k, t) for t in times]) for k in (1, 2, 3)])


@pytest.mark.parametrize("name", each(PITCH))
@pytest.mark.parametrize("f0_hz", [100.0, 140.0, 220.0])
def test_pitch_moves_and_formants_stay(name: str, f0_hz: float, speak: Callable[..., Clip]) -> None:
    clip = speak(f0_hz=f0_hz)
    shifted = apply_condition(name, clip)
    moved = 12 * np.log2(median_pitch_hz(shifted) / median_pitch_hz(clip))
    assert moved == pytest.approx(CONDITIONS.get(name).strength, abs=0.3)
    assert shifted.strength == pytest.approx(moved, abs=0.3)
    assert shifted.samples.size == clip.samples.size and shifted.time_map == ()
    for start, end in ((0.2, 0.5), (0.8, 1.1)):
        before, after = formants_hz(clip, start, end), formants_hz(shifted, start, end)
        assert np.median(np.abs(np.log2(after / before))) < 0.1  # the pitch moved by up to .42 octaves


@pytest.mark.parametrize("name", each(TEMPO))
@pytest.mark.parametrize("seed", range(3))
def test_tempo_moves_time_and_nothing_else(name: str, seed: int, speak: Callable[..., Clip]) -> None:
    clip = speak(seed, seconds=1.2 + 0.1234 * seed)
    shifted = apply_condition(name, clip)
    ratio = CONDITIONS.get(name).strength
    assert abs(shifted.samples.size - clip.samples.size / ratio) <= 1
    assert shifted.strength == pytest.approx(ratio, abs=1e-3)
    assert abs(12 * np.log2(median_pitch_hz(shifted) / median_pitch_hz(clip))) < 0.3
    start, end = 0.2, 0.4
    after = formants_hz(shifted, start / ratio, end / ratio)
    assert np.median(np.abs(np.log2(after / formants_hz(clip, start, end)))) < 0.05
    level = [10 * np.log10(np.mean(np.square(c.samples, dtype=np.float64))) for c in (clip, shifted)]
    assert abs(level[1] - level[0]) < 0.7

    recorded, here = np.array(shifted.time_map).T
    assert recorded[0] == here[0] == 0 and np.all(np.diff(recorded) > 0) and np.all(np.diff(here) > 0)
    assert recorded[-1] == clip.duration_s and here[-1] == shifted.duration_s
    assert shifted.recorded_s == clip.duration_s
    (word,) = shifted.words
    assert (word.start_s, word.end_s) == pytest.approx(
        (clip.words[0].start_s / ratio, clip.words[0].end_s / ratio), 1e-3
    )


@pytest.mark.parametrize("name", each(TEMPO))
@pytest.mark.parametrize("at_s", [0.05, 0.31, 0.65, 0.9, 1.23])
def test_a_burst_lands_where_the_map_says(name: str, at_s: float, speak: Callable[..., Clip]) -> None:
    """A 4 ms burst at 6 kHz, where the talker is softer, in speech, hiss and pause."""
    clip = speak()
    times = np.arange(clip.samples.size) / SAMPLE_RATE
    burst = np.exp(-0.5 * ((times - at_s) / 0.002) ** 2) * np.sin(2 * np.pi * 6000 * times)
    shifted = apply_condition(name, Clip("burst", clip.samples + burst.astype(np.float32)))
    spectrum = np.fft.rfft(shifted.samples.astype(np.float64))
    freqs = np.fft.rfftfreq(shifted.samples.size, 1 / SAMPLE_RATE)
    spectrum[(freqs < 5700) | (freqs > 6300)] = 0
    energy = np.fft.irfft(spectrum, shifted.samples.size) ** 2
    recorded, here = np.array(shifted.time_map).T
    assert np.argmax(energy) / SAMPLE_RATE == pytest.approx(np.interp(at_s, recorded, here), abs=0.010)


@pytest.mark.parametrize("name", each([*PITCH, *TEMPO]))
def test_the_truth_moves_along(name: str, speak: Callable[..., Clip]) -> None:
    """The oracle of a shifted planted clip lies on the planted word, moved along the map of times."""
    clip = speak(planted=True)
    shifted = apply_condition(name, clip)
    assert shifted.plant is not None
    grid = scoring_grid(shifted.duration_s)
    truth = truth_map(shifted, Plane(shifted.samples), Plane(shifted.plant.twin), grid)
    columns = np.flatnonzero(truth_mask(truth).any(axis=0))
    word = shifted.words[0]
    assert grid.time_edges_s[columns[0]] == pytest.approx(word.start_s, abs=0.08)
    assert grid.time_edges_s[columns[-1] + 1] == pytest.approx(word.end_s, abs=0.08)
    # away from the word, clip and twin have as much energy as each other
    n = round((word.end_s + 0.05) * SAMPLE_RATE)
    power = [np.mean(np.square(x[n:], dtype=np.float64)) for x in (shifted.samples, shifted.plant.twin)]
    assert abs(10 * np.log10(power[0] / power[1])) < 0.5


@pytest.mark.parametrize("name", each([*PITCH, *TEMPO]))
def test_clips_of_less_than_some_pulses_are_refused(name: str, speak: Callable[..., Clip]) -> None:
    short = Clip("short", speak().samples[2000:3500])
    with pytest.raises(ClipError, match=r"at least 0\.1 s"):
        apply_condition(name, short)


def test_what_has_no_pitch_has_none_to_shift() -> None:
    noise = Clip("noise", (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32))
    with pytest.raises(ClipError, match="nothing in the clip is voiced"):
        apply_condition("pitch-plus-3st", noise)
    assert apply_condition("tempo-120", noise).strength == pytest.approx(1.2, abs=1e-3)
