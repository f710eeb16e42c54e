"""Frame axis and short-time power spectra shared by all cue tracks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE

STEP_S = 0.01
F0_FLOOR_HZ, F0_CEILING_HZ = 75.0, 600.0
QUIETEST_DB = 0.0  # hearing threshold; lower bound of levels, so that digital silence (-300 dB) does not bias means
_SPECTRUM_SAMPLES = 320  # 20 ms, as eGeMAPS
_SPECTRUM_FFT = 512


def on_axis(praat: Any, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Align the frames of a Praat object with the common frame axis, without interpolation.

    Parameters
    ----------
    praat : parselmouth object
        With frames `STEP_S` apart, the first at ``x1`` seconds.
    values : array, shape (n,)
        One value for each of its frames.
    times : array, shape (n_frames,)
        Frame centres of the common axis in seconds.

    Returns
    -------
    array, float64, shape (n_frames,)
        NaN where the object has no frame.
    """
    offset = (praat.x1 - times[0]) / STEP_S
    first = int(np.floor(offset + 1e-6))
    low, high = max(first, 0), min(first + len(values), len(times))
    out = np.full(len(times), np.nan)
    out[low:high] = values[low - first : high - first]
    return out


def frame_power(samples: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Short-time power spectra of 20 ms Hamming windows.

    Parameters
    ----------
    samples : array, shape (n_samples,)
        Mono at 16 kHz; the signal is zero-padded at both ends.
    times_s : array, shape (n_frames,)
        Window centres in seconds.

    Returns
    -------
    power : array, shape (n_frames, 257)
    freqs_hz : array, shape (257,)
    """
    half = _SPECTRUM_SAMPLES // 2
    padded = np.pad(samples, half)
    starts = np.clip(np.round(times_s * SAMPLE_RATE).astype(int), 0, len(samples))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SPECTRUM_SAMPLES)[starts]
    spectra = np.fft.rfft(frames * np.hamming(_SPECTRUM_SAMPLES), _SPECTRUM_FFT)
    power = spectra.real**2 + spectra.imag**2
    return power, np.arange(power.shape[1]) * SAMPLE_RATE / _SPECTRUM_FFT
