"""Frame-wise spectral tracks: formants, cepstral peak prominence (CPP), spectral shape, A-weighted level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import ClipError
from .frames import F0_CEILING_HZ, QUIETEST_DB, STEP_S, frame_power, on_axis

FORMANT_CEILING_HZ = 5500.0
CEPSTRUM_FLOOR_HZ = 60.0
TREND_S = (0.001, 0.05)  # quefrencies of the straight line below the cepstral peak, Praat's defaults
REFERENCE_AMPLITUDE = 2e-5  # of Praat's dB: 20 micropascal, with full scale taken as 1 Pa


@dataclass(frozen=True, eq=False)
class FineTracks:
    """Spectral tracks over time, all of shape (n_frames,) except the formants; NaN in digital silence where spectral.

    Attributes
    ----------
    weighted_db : array
        A-weighted level re 2e-5 of full scale, at least 0.
    hf500 : array
        Energy above 500 Hz in % of the total.
    hammarberg_db : array
        Hammarberg index: strongest spectral bin in 0-2 kHz over the strongest in 2-5 kHz, in dB.
    slope_0_500, slope_500_1500 : array
        Least-squares slope of the spectrum in dB/kHz.
    cpp_db : array
        Cepstral peak prominence in dB; NaN within 50 ms of the clip's ends.
    formants_hz : array, shape (3, n_frames)
        F1 to F3; NaN where Praat finds none.
    """

    weighted_db: np.ndarray
    hf500: np.ndarray
    hammarberg_db: np.ndarray
    slope_0_500: np.ndarray
    slope_500_1500: np.ndarray
    cpp_db: np.ndarray
    formants_hz: np.ndarray


def fine_tracks(signal: np.ndarray, times_s: np.ndarray) -> FineTracks:
    """Compute the spectral tracks of a clip with Praat and librosa.

    Parameters
    ----------
    signal : array, float64, shape (n_samples,)
        Mono at 16 kHz.
    times_s : array, shape (n_frames,)
        Frame centres in seconds.

    Raises
    ------
    ClipError
        If Praat fails on the clip.
    """
    import parselmouth

    sound = parselmouth.Sound(signal, SAMPLE_RATE)
    try:
        formants = sound.to_formant_burg(time_step=STEP_S, maximum_formant=FORMANT_CEILING_HZ)
        frequencies = [[formants.get_value_at_time(k, t) for t in formants.xs()] for k in (1, 2, 3)]
        cpp = _cepstral_peaks(sound, times_s)
    except parselmouth.PraatError as error:
        raise ClipError(f"Praat cannot analyse the clip: {str(error).splitlines()[0]}") from error
    return FineTracks(
        **_spectral_shape(*frame_power(signal, times_s)),
        cpp_db=cpp,
        formants_hz=np.stack([on_axis(formants, np.array(values), times_s) for values in frequencies]),
    )


def _cepstral_peaks(sound: Any, times_s: np.ndarray) -> np.ndarray:
    """Cepstral peak prominence of each frame in dB, over a least-squares line, as Praat's 'Get peak prominence'."""
    from parselmouth.praat import call

    if sound.duration <= 3 / CEPSTRUM_FLOOR_HZ + STEP_S:  # shorter than one analysis window
        return np.full(len(times_s), np.nan)
    cepstra = call(call(sound, "To PowerCepstrogram", CEPSTRUM_FLOOR_HZ, STEP_S, 5000.0, 50.0), "To Matrix")
    db = 10 * np.log10(np.maximum(cepstra.values, 1e-30))  # (n_quefrencies, n_frames)
    quefrency = cepstra.y1 + np.arange(len(db)) * cepstra.dy
    line = (quefrency >= TREND_S[0]) & (quefrency <= TREND_S[1])
    centred = quefrency[line] - quefrency[line].mean()
    slope = centred @ db[line] / (centred @ centred)
    searched = np.flatnonzero((quefrency >= 1 / F0_CEILING_HZ) & (quefrency <= 1 / CEPSTRUM_FLOOR_HZ))
    before, at, after = (db[searched + step] for step in (-1, 0, 1))
    # parabolic interpolation of every local maximum; the highest interpolated peak counts
    curve = np.minimum(before - 2 * at + after, -1e-12)
    shift = np.where((at >= before) & (at >= after), 0.5 * (before - after) / curve, 0.0)
    heights = at - 0.25 * (before - after) * shift
    top = heights.argmax(axis=0), np.arange(db.shape[1])
    where = quefrency[searched[top[0]]] + shift[top] * cepstra.dy
    peak, trend = heights[top], db[line].mean(axis=0) + slope * (where - quefrency[line].mean())
    return on_axis(cepstra, peak - trend, times_s)


def _spectral_shape(power: np.ndarray, freqs: np.ndarray) -> dict[str, np.ndarray]:
    """Spectral tracks of `FineTracks` that are computed from power spectra, each of shape (n_frames,)."""
    import librosa

    total = power.sum(axis=1)
    usable = total > 0
    level = 10 * np.log10(np.maximum(power, 1e-30))

    def band(low: float, high: float) -> np.ndarray:
        return (freqs >= low) & (freqs <= high)

    def slope(low: float, high: float) -> np.ndarray:
        inside = band(low, high)
        centred = (freqs[inside] - freqs[inside].mean()) / 1000
        return level[:, inside] @ centred / (centred @ centred)

    # one-sided spectra of 20 ms Hamming windows; Parseval
    scale = 2 / ((2 * len(freqs) - 2) * np.sum(np.hamming(320) ** 2)) / REFERENCE_AMPLITUDE**2
    weights = np.concatenate([[0.0], 10 ** (librosa.A_weighting(freqs[1:], min_db=None) / 10)])
    shape = {
        "hf500": 100 * power[:, freqs >= 500].sum(axis=1) / np.where(usable, total, 1.0),
        "hammarberg_db": level[:, band(0, 2000)].max(axis=1) - level[:, band(2000, 5000)].max(axis=1),
        "slope_0_500": slope(0, 500),
        "slope_500_1500": slope(500, 1500),
    }
    weighted = 10 * np.log10(np.maximum(scale * (power @ weights), 10 ** (QUIETEST_DB / 10)))
    return {"weighted_db": weighted} | {name: np.where(usable, track, np.nan) for name, track in shape.items()}
