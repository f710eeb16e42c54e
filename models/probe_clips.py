"""Fixed sounds on which a recogniser is asked, where its outputs must tell what its files cannot."""

from __future__ import annotations

import numpy as np

from ..audio import SAMPLE_RATE
from ..keys import rng


def probe_clips(n_samples: int) -> np.ndarray:
    """Fixed sounds that differ in pitch, spectrum, level and modulation; float32 (16, n_samples).

    Eight pulse trains of 80 to 400 Hz through two resonances, as of vowels, with syllables of 2 to 9 Hz, and eight
    noises of other slopes and levels, so that a classifier of speech features is asked in many places.
    """
    time = np.arange(n_samples) / SAMPLE_RATE
    draw = rng("probe clips of a model")
    probes = []
    for i in range(8):
        pitch = 80 * 5 ** (i / 7) * (1 + 0.1 * np.sin(2 * np.pi * (1 + i) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        formants = np.array([300 + 90 * i, 2600 - 180 * i])
        harmonics = np.arange(1, 20)
        hz = harmonics * float(np.mean(pitch))
        gains = np.exp(-(((hz[:, None] - formants) / 250) ** 2)).sum(axis=1) + 0.02 / harmonics
        voice = (gains[:, None] * np.sin(harmonics[:, None] * phase)).sum(axis=0)
        syllables = 0.5 - 0.5 * np.cos(2 * np.pi * (2 + i) * time)
        probes.append(0.02 * 1.6**i * syllables * voice / np.abs(voice).max())
    for i in range(8):
        spectrum = np.fft.rfft(draw.standard_normal(n_samples))
        slope = (1 + np.arange(len(spectrum))) ** (-i / 4)
        noise = np.fft.irfft(spectrum * slope, n_samples)
        probes.append(0.3 / 2**i * noise / max(np.abs(noise).max(), 1e-12))
    return np.array(probes, dtype=np.float32)
