"""Additive noise: the ratio asked for, the colour named, the same noise for clip and twin."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from serxai.datasets.clip import Clip
from serxai.datasets.shifts.conditions import CONDITIONS, apply_condition
from serxai.errors import ClipError

from .strengths import each

NOISY = [record.name for record in CONDITIONS if record.kind == "additive noise"]
OTHERS = [np.random.default_rng(s).standard_normal(3000 * s + 4000).astype(np.float32) for s in (0, 1, 2)]


def clip_of(length: int = 16_000, scale: float = 0.1) -> Clip:
    return Clip("one", (scale * np.random.default_rng(length).standard_normal(length)).astype(np.float32))


def noise_of(name: str, clip: Clip, seed: int = 0, others: list[np.ndarray] = OTHERS) -> np.ndarray:
    return apply_condition(name, clip, seed, others).samples.astype(np.float64) - clip.samples


@given(st.sampled_from(NOISY), st.integers(2, 50_000), st.floats(1e-3, 1), st.integers(0, 99))
def test_the_measured_ratio_is_the_one_in_the_name(name: str, length: int, scale: float, seed: int) -> None:
    clip = clip_of(length, scale)
    shifted = apply_condition(name, clip, seed, OTHERS)
    clean, noise = (np.sum(np.square(x, dtype=np.float64)) for x in (clip.samples, noise_of(name, clip, seed)))
    assert 10 * np.log10(clean / noise) == pytest.approx(CONDITIONS.get(name).strength, abs=0.01)
    assert 10 * np.log10(clean / noise) == pytest.approx(shifted.strength, abs=1e-9)


def test_white_noise_is_white_and_gaussian() -> None:
    clip = clip_of(64_000)
    noise = noise_of("noise-10db", clip)
    assert scipy.stats.kstest(noise / noise.std(), "norm").pvalue > 0.01
    power = np.square(np.abs(np.fft.rfft(noise)))[1:].reshape(32, -1).mean(axis=1)  # 1000 bins a band
    assert power.max() / power.min() < 1.35
    assert abs(np.corrcoef(noise, clip.samples)[0, 1]) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_pink_noise_falls_by_3_db_an_octave(seed: int) -> None:
    noise = noise_of("pink-10db", clip_of(160_000), seed)
    assert scipy.stats.kstest(noise[::50] / noise.std(), "norm").pvalue > 0.001
    freqs, power = np.fft.rfftfreq(noise.size, 1 / 16_000), np.square(np.abs(np.fft.rfft(noise)))
    edges = 20 * 2 ** np.arange(0, 8.7, 0.25)
    bands = [(freqs >= low) & (freqs < high) for low, high in pairwise(edges)]
    octaves, level = np.log2(np.sqrt(edges[:-1] * edges[1:])), [10 * np.log10(power[band].mean()) for band in bands]
    assert scipy.stats.linregress(octaves, level).slope == pytest.approx(-10 * np.log10(2), abs=0.15)
    below = power[(freqs > 2) & (freqs < 20)].mean() / power[(freqs > 20) & (freqs < 30)].mean()
    assert 0.5 < below < 3  # flat, not towards infinity


def test_babble_is_made_of_the_other_clips_at_equal_levels() -> None:
    clip = clip_of(20_000)
    voices = [np.zeros(20_000, dtype=np.float32) for _ in range(3)]
    for k, voice in enumerate(voices):  # each a tone of its own at its own level
        voice += 10.0**-k * np.sin(2 * np.pi * 100 * (k + 1) * np.arange(20_000) / 20_000)
    noise = noise_of("babble-0db", clip, others=voices)
    amplitude = np.abs(np.fft.rfft(noise))
    lines = amplitude[[100, 200, 300]]
    np.testing.assert_allclose(lines, lines[0], rtol=1e-3)
    assert np.sum(lines**2) == pytest.approx(np.sum(amplitude**2), rel=1e-6)
    silent = np.zeros(5, dtype=np.float32)
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(noise_of("babble-0db", clip, others=[silent, voices[0]])))[[100, 200]] > 1, [True, False]
    )
    with pytest.raises(ClipError, match="silent"):
        apply_condition("babble-10db", clip, others=[silent])


@pytest.mark.parametrize("name", each(NOISY))
def test_the_twin_gets_the_very_noise_of_the_clip(name: str, speak: Callable[..., Clip]) -> None:
    clip = speak(planted=True)  # its twin is softer, so noise by its own level would be another noise
    shifted = apply_condition(name, clip, 3, OTHERS)
    assert shifted.plant is not None and clip.plant is not None
    noise = shifted.samples.astype(np.float64) - clip.samples
    twin_noise = shifted.plant.twin.astype(np.float64) - clip.plant.twin
    assert np.max(np.abs(noise - twin_noise)) < 3e-7  # float32 rounding of the two sums


@pytest.mark.parametrize("name", each(NOISY))
def test_draws_differ_between_strengths_too(name: str) -> None:
    clip = clip_of()
    reference = noise_of(name, clip)
    for other in NOISY:
        both = reference @ noise_of(other, clip) / np.linalg.norm(reference) / np.linalg.norm(noise_of(other, clip))
        assert abs(both) < 0.2 if other != name else both == pytest.approx(1)


def test_the_shift_is_not_clipped_to_full_scale() -> None:
    assert np.max(np.abs(apply_condition("noise-10db", clip_of(scale=1.0)).samples)) > 1.5
