"""Additive noise shifts: white noise, pink noise, and babble of other clips.

The noise is scaled so that the clip has the requested signal-to-noise ratio exactly, not in expectation; powers are
means over the whole clip, pauses included. All signals get the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import ClipError
from .conditions import Shifted

PINK_FROM_HZ = 20.0  # the spectrum is flat below, because 1/f has infinite power at 0 Hz


def white_noise(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Add white Gaussian noise `strength` dB below the clip's mean power."""
    noise = np.asarray(generator.standard_normal(signals.shape[1]))
    return _added(signals, noise, strength)


def pink_noise(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Add pink Gaussian noise (power density 1/f from 20 Hz to 8 kHz) `strength` dB below the clip's mean power."""
    n = signals.shape[1]
    spectrum = np.fft.rfft(generator.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), PINK_FROM_HZ))
    return _added(signals, np.fft.irfft(spectrum, n), strength)


def babble_mix(
    signals: np.ndarray, strength: float, generator: np.random.Generator, others: Sequence[np.ndarray]
) -> Shifted:
    """Add a mix of other clips, `strength` dB below the clip's mean power.

    The clips have equal power in the mix; each starts at a random position and is repeated to the clip's length.

    Parameters
    ----------
    signals, strength, generator
        As for every condition, see `datasets.shifts.conditions`.
    others : sequence of array
        Samples of the other clips.

    Raises
    ------
    ClipError
        If all of them are silent.
    """
    n = signals.shape[1]
    mix = np.zeros(n)
    for other in others:
        start = generator.integers(other.size)
        voice = np.resize(np.roll(other.astype(np.float64), -start), n)
        mix += voice / (np.sqrt(np.mean(voice**2)) or 1.0)
    if not mix.any():
        raise ClipError("the clips to be mixed in are silent; leave them out of the corpus.")
    return _added(signals, mix, strength)


def _added(signals: np.ndarray, noise: np.ndarray, snr_db: float) -> Shifted:
    """Add noise at an SNR relative to the first signal; ``measured`` is the SNR after rounding to float32."""
    power = _power(signals[0])
    if not noise.any():
        raise ClipError("the clip is too short: the noise drawn for it is silent; leave the clip out.")
    scaled = noise * np.sqrt(power / 10 ** (snr_db / 10) / _power(noise))
    noisy = (signals + scaled).astype(np.float32)
    return Shifted(noisy, float(10 * np.log10(power / _power(noisy[0] - signals[0].astype(np.float64)))))


def _power(signal: np.ndarray) -> float:
    return float(np.mean(np.square(signal, dtype=np.float64)))
