"""Rooms, telephone, codecs, gain: what they do to a signal is measured, and nothing arrives late."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import oaconvolve

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip
from serxai.datasets.shifts.channel import _impulse_response, _mu_law, reverberation_s
from serxai.datasets.shifts.conditions import CONDITIONS, apply_condition
from serxai.keys import rng

from .strengths import each

ALIGNED = [record.name for record in CONDITIONS if record.kind in ("channel", "codec", "gain")]


def delay_samples(clean: np.ndarray, heard: np.ndarray) -> int:
    """Where the cross-correlation of two signals is largest."""
    n = 2 * clean.size
    product = np.fft.rfft(heard.astype(np.float64), n) * np.conj(np.fft.rfft(clean.astype(np.float64), n))
    at = int(np.argmax(np.fft.irfft(product, n)))
    return at if at < clean.size else at - n


def gain_db(clean: np.ndarray, heard: np.ndarray, low_hz: float, high_hz: float) -> float:
    freqs = np.fft.rfftfreq(clean.size, 1 / SAMPLE_RATE)
    band = (freqs >= low_hz) & (freqs < high_hz)
    return float(np.diff([10 * np.log10(np.sum(np.abs(np.fft.rfft(x))[band] ** 2)) for x in (clean, heard)])[0])


@pytest.mark.parametrize("name", each(ALIGNED))
@pytest.mark.parametrize("seed", range(3))
def test_nothing_arrives_late(name: str, seed: int, speak: Callable[..., Clip]) -> None:
    clip = speak(seed, seconds=1.0 + 0.123 * seed, f0_hz=110.0 + 60 * seed)
    assert abs(delay_samples(clip.samples, apply_condition(name, clip).samples)) <= 1


@pytest.mark.parametrize("name", ["reverb-300ms", "reverb-600ms"])
def test_an_impulse_shows_direct_sound_and_decay(name: str) -> None:
    """Schroeder's curve, done again by hand on what a room makes of an impulse."""
    asked, found = CONDITIONS.get(name).strength, []
    for i in range(4):
        samples = np.zeros(SAMPLE_RATE, dtype=np.float32)
        samples[4000] = 1.0
        shifted = apply_condition(name, Clip(f"impulse-{i}", samples))
        heard = shifted.samples.astype(np.float64)
        assert abs(int(np.argmax(np.abs(heard))) - 4000) <= 1  # the direct sound comes when it came
        assert np.max(np.abs(heard[:3950])) < 1e-6
        assert np.sum(heard**2) == pytest.approx(1, rel=1e-5)
        left = np.cumsum(heard[4000:][::-1] ** 2)[::-1]
        level = 10 * np.log10(left / left[0])
        at = [int(np.argmax(level <= db)) / SAMPLE_RATE for db in (-5, -25)]
        assert 3 * (at[1] - at[0]) == pytest.approx(shifted.strength, rel=0.12)
        found.append(shifted.strength)
    assert np.mean(found) == pytest.approx(asked, rel=0.12) and len(set(found)) == 4  # each clip at its own place


@pytest.mark.parametrize("t60", [0.1, 0.35, 1.2])
def test_reverberation_time_of_a_known_decay(t60: float) -> None:
    times = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    assert reverberation_s(10 ** (-3 * times / t60)) == pytest.approx(t60, rel=1e-3)


def test_clip_and_twin_stand_in_the_same_room(speak: Callable[..., Clip]) -> None:
    """A room is linear: reverberation of the difference is the difference of reverberations."""
    clip = speak(planted=True)
    shifted = apply_condition("reverb-300ms", clip, seed=2)
    response = _impulse_response(0.3, rng("condition", "reverb-300ms", 2, clip.id))
    assert clip.plant is not None and shifted.plant is not None
    for dry, wet in ((clip.samples, shifted.samples), (clip.plant.twin, shifted.plant.twin)):
        alone = oaconvolve(dry.astype(np.float64), response)[: dry.size]
        scale = (alone @ wet) / (alone @ alone)
        np.testing.assert_allclose(wet, scale * alone, atol=1e-5)
        if dry is clip.samples:
            first = scale
    assert scale == pytest.approx(first, rel=1e-5)


def test_the_telephone_passes_its_band_only() -> None:
    generator = np.random.default_rng(0)
    samples = (0.1 * generator.standard_normal(4 * SAMPLE_RATE)).astype(np.float32)
    shifted = apply_condition("telephone", Clip("noise", samples))
    assert abs(gain_db(samples, shifted.samples, 400, 3200)) < 0.2
    for low, high in ((0, 200), (3600, 4000), (4100, 8000)):
        assert gain_db(samples, shifted.samples, low, high) < -25, (low, high)
    assert shifted.strength == pytest.approx(3100, abs=20)


def test_mu_law_keeps_the_bound_of_the_recommendation() -> None:
    """G.711: segments of 16 even steps, each twice as wide as the last, so an error of at most a 32nd of the sample."""
    generator = np.random.default_rng(0)
    samples = np.concatenate([generator.uniform(-0.97, 0.97, 10_000), 10 ** generator.uniform(-5, -1, 10_000)])
    heard = _mu_law(samples)
    assert 200 < np.unique(heard).size <= 256
    # 33 of 8192 is the law's offset, .5 the rounding of the input to 14 bits
    assert np.all(np.abs(heard - samples) <= ((np.abs(samples) * 8192 + 33) / 32 + 0.5) / 8192 + 1e-6)
    np.testing.assert_allclose(_mu_law(np.array([3.0, 1.0, -1.0, -3.0])), [0.98, 0.98, -0.98, -0.98], atol=1e-3)


@given(st.integers(2, 40_000))
def test_codecs_and_rates_keep_every_length(length: int) -> None:
    samples = (0.1 * np.random.default_rng(length).standard_normal(length)).astype(np.float32)
    for name in ("telephone", "codec-mp3", "gain-plus-6db"):
        assert apply_condition(name, Clip("a", samples)).samples.size == length


@pytest.mark.parametrize("name", ["codec-opus", "codec-mp3"])
def test_codecs_lose_something_at_a_low_rate(name: str, speak: Callable[..., Clip]) -> None:
    clip = speak(seconds=4.0)
    shifted = apply_condition(name, clip)
    heard = shifted.samples.astype(np.float64)
    likeness = heard @ clip.samples / np.linalg.norm(heard) / np.linalg.norm(clip.samples)
    assert 0.7 < likeness < 0.9999
    assert 8 < shifted.strength < 20 and shifted.strength >= CONDITIONS.get(name).strength * 0.8


@pytest.mark.parametrize("name", ["gain-minus-12db", "gain-plus-6db"])
def test_gain_is_exact_and_does_not_clip(name: str) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    shifted = apply_condition(name, Clip("a", samples))
    factor = 10 ** (CONDITIONS.get(name).strength / 20)
    np.testing.assert_allclose(shifted.samples, samples * factor, rtol=2e-7)
    assert shifted.strength == pytest.approx(CONDITIONS.get(name).strength, abs=1e-6)
