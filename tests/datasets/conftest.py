"""Fixtures of the corpora's tests: a talker without a corpus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip, Plant, Word


def vowel(
    duration_s: float, f0_hz: float, formants_hz: tuple[float, ...], generator: np.random.Generator
) -> np.ndarray:
    """Glottal pulses at a gliding pitch through resonances of 80 Hz width, with a little breath."""
    n = round(duration_s * SAMPLE_RATE)
    f0 = f0_hz * (1 + 0.1 * np.sin(2 * np.pi * np.arange(n) / n))
    phase = np.cumsum(f0) / SAMPLE_RATE
    sound = np.diff(np.floor(phase), prepend=0.0) + 0.01 * generator.standard_normal(n)
    for formant in formants_hz:
        r, angle = np.exp(-np.pi * 80 / SAMPLE_RATE), 2 * np.pi * formant / SAMPLE_RATE
        sound = lfilter([1 - r], [1, -2 * r * np.cos(angle), r * r], sound)
    return sound / np.abs(sound).max()


@pytest.fixture(scope="session")
def speak() -> Callable[..., Clip]:
    """Clips of two vowels around a hiss, in faint noise; planted ones have a louder first word than their twin."""

    def make(seed: int = 0, seconds: float = 1.3, f0_hz: float = 140.0, planted: bool = False) -> Clip:
        generator = np.random.default_rng(seed)
        part = (seconds - 0.3) / 2
        first = vowel(part, f0_hz, (700.0, 1200.0, 2500.0), generator)
        second = vowel(part, f0_hz, (400.0, 1900.0, 2600.0), generator)
        hiss = 0.1 * np.diff(generator.standard_normal(round(0.1 * SAMPLE_RATE) + 1))
        pause = np.zeros(round(0.1 * SAMPLE_RATE))
        twin = 0.3 * np.concatenate([pause, first, hiss, second, pause])
        twin += 1e-4 * generator.standard_normal(twin.size)
        word = Word("so", 0.1, 0.1 + part)
        louder = twin.copy()
        louder[round(word.start_s * SAMPLE_RATE) : round(word.end_s * SAMPLE_RATE)] *= 2
        samples, twin = ((x if planted else twin).astype(np.float32) for x in (louder, twin))
        plant = Plant(twin, (word,), {"loudness": 6.0}) if planted else None
        return Clip(f"clip-{seed}", samples, "anger", "s1", "female", "a", "planted", (word,), plant)

    return make
