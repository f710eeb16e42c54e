"""Praat feature extractor: functionals of acoustic cue contours (Praat) and of MFCCs (librosa).

Contours (every 10 ms): pitch, intensity, harmonics-to-noise ratio and alpha ratio of `cues.tracks`, Praat's formants,
and three more measures of the spectrum's shape (after Eyben et al. 2016, The Geneva minimalistic acoustic parameter
set). Their functionals are mean, standard deviation, percentiles and mean absolute slope; beside them jitter, shimmer,
shares of voice and pause, and the rate of intensity peaks.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE
from ..cues.frames import STEP_S
from ..cues.tracks import CueTracks, cue_tracks
from ..errors import ClipError
from ..keys import digest
from .extractor import Extractor

VERSION = "1"  # of the vector
MIN_SAMPLES = 1600  # 100 ms, as the cues need
DIM = 135
N_MFCC = 13
PERCENTILES = (10, 50, 90)
FORMANTS = (1, 2, 3)
FORMANT_CEILING_HZ = 5500.0
PEAK_DB = 2.0  # an intensity peak stands out from the dips beside it (de Jong & Wempe 2009: 2 dB)
REFERENCE_HZ = 27.5  # semitones above it, as eGeMAPS counts them
_WINDOW, _FFT = 400, 512


class PraatFeatures(Extractor):
    """Functionals of acoustic cues.

    Statistics of an empty contour (the pitch of an unvoiced copy) are 0.
    """

    def __init__(self) -> None:
        import parselmouth

        self.params: dict[str, Any] = {}
        self.min_samples = MIN_SAMPLES
        self.fingerprint = digest(
            "cue vector", VERSION, version("praat-parselmouth"), parselmouth.PRAAT_VERSION, version("librosa")
        )

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        """Cue vector of each waveform, float64 (n, dim); see `Extractor.features`."""
        rows = [list(cue_vector(samples).values()) for samples in waveforms]
        return np.array(rows, dtype=np.float64).reshape(len(rows), DIM)


def cue_vector(samples: np.ndarray) -> dict[str, float]:
    """Compute the cue vector of one waveform, by feature name.

    Parameters
    ----------
    samples : array, shape (n_samples,)
        Mono at 16 kHz.

    Returns
    -------
    dict of str to float
        All finite.

    Raises
    ------
    ClipError
        If it is shorter than 0.1 s, not finite, or Praat fails on it.
    """
    tracks = cue_tracks(samples, reference_hz=REFERENCE_HZ)
    signal = np.asarray(samples, dtype=np.float64)
    voiced, sounding = tracks.voiced, tracks.sounding
    vector: dict[str, float] = {}
    loudness = np.where(sounding, tracks.intensity_db, np.nan)
    for name, values in {
        "f0_semitones": tracks.semitones,
        "intensity_db": loudness - (np.nanmax(loudness) if sounding.any() else 0.0),
        "hnr_db": tracks.hnr_db,
        "alpha_ratio_db": np.where(sounding, tracks.alpha_ratio_db, np.nan),
        **{name: np.where(voiced, values, np.nan) for name, values in formants(signal, tracks.times_s).items()},
        **spectrum(signal, tracks.times_s, sounding),
    }.items():
        vector |= {f"{name}_{statistic}": value for statistic, value in functionals(values).items()}
    for name, values in mfcc(signal, tracks.times_s, sounding).items():
        vector |= {f"{name}_mean": _mean(values), f"{name}_sd": _sd(values)}
    vector |= rhythm(tracks)
    vector["jitter"] = _share(tracks.period_changes_s.values, tracks.periods_s.values)
    vector["shimmer"] = _share(tracks.amplitude_changes.values, tracks.amplitudes.values)
    if not all(np.isfinite(value) for value in vector.values()):
        raise ClipError(
            f"cues are not finite: {', '.join(n for n, value in vector.items() if not np.isfinite(value))}."
        )
    return vector


def functionals(values: np.ndarray) -> dict[str, float]:
    """Functionals of a contour that is NaN where undefined; 0 for an empty contour.

    Mean, standard deviation, percentiles, range between the outer ones, and the mean size of a rise and of a fall from
    one frame to the next, per second.
    """
    held = values[np.isfinite(values)]
    low, middle, high = np.percentile(held, PERCENTILES) if held.size else (0.0, 0.0, 0.0)
    steps = np.diff(values)
    steps = steps[np.isfinite(steps)] / STEP_S
    return {
        "mean": _mean(held),
        "sd": _sd(held),
        "p10": float(low),
        "p50": float(middle),
        "p90": float(high),
        "range": float(high - low),
        "rise": _mean(steps[steps > 0]),
        "fall": _mean(steps[steps < 0]),
    }


def _held(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _mean(values: np.ndarray) -> float:
    held = _held(values)
    return float(held.mean()) if held.size else 0.0


def _sd(values: np.ndarray) -> float:
    held = _held(values)
    return float(held.std()) if held.size else 0.0


def _share(changes: np.ndarray, values: np.ndarray) -> float:
    """Ratio of mean absolute change to mean value (local jitter, local shimmer)."""
    mean = _mean(values)
    return _mean(changes) / mean if mean > 0 else 0.0


def formants(signal: np.ndarray, times_s: np.ndarray) -> dict[str, np.ndarray]:
    """Frequencies and bandwidths in Hz of the first three formants (Burg) at given times, NaN where undefined."""
    import parselmouth

    sound = parselmouth.Sound(signal, SAMPLE_RATE)
    try:
        track = sound.to_formant_burg(time_step=STEP_S, maximum_formant=FORMANT_CEILING_HZ)
    except parselmouth.PraatError as error:
        raise ClipError(f"Praat cannot find formants: {str(error).splitlines()[0]}") from error
    out = {f"f{k}_hz": np.array([track.get_value_at_time(k, t) for t in times_s]) for k in FORMANTS}
    return out | {f"b{FORMANTS[0]}_hz": np.array([track.get_bandwidth_at_time(FORMANTS[0], t) for t in times_s])}


def spectrum(signal: np.ndarray, times_s: np.ndarray, sounding: np.ndarray) -> dict[str, np.ndarray]:
    """Shape of the spectrum of sounding frames: Hammarberg index, two slopes, centroid, flux."""
    power, freqs = _power(signal, times_s)
    usable = sounding & (power.sum(axis=1) > 0)
    level = 10 * np.log10(np.maximum(power, 1e-14))

    def slope(low: float, high: float) -> np.ndarray:
        band = (freqs >= low) & (freqs <= high)
        centred = freqs[band] - freqs[band].mean()
        return level[:, band] @ centred / (centred @ centred) * 1000  # dB per kHz

    share = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-14)
    flux = np.concatenate([[np.nan], np.sqrt((np.diff(np.sqrt(share), axis=0) ** 2).sum(axis=1))])
    low, high = (freqs >= 50) & (freqs < 2000), (freqs >= 2000) & (freqs <= 5000)
    measures = {
        "hammarberg_db": level[:, low].max(axis=1) - level[:, high].max(axis=1),
        "slope_0_500": slope(0, 500),
        "slope_500_1500": slope(500, 1500),
        "centroid_khz": share @ freqs / 1000,
        "flux": flux,
    }
    return {name: np.where(usable, values, np.nan) for name, values in measures.items()}


def mfcc(signal: np.ndarray, times_s: np.ndarray, sounding: np.ndarray) -> dict[str, np.ndarray]:
    """MFCCs 1 to 12 of sounding frames (librosa, 26 mels to 8 kHz), without the level's."""
    import librosa

    power, _ = _power(signal, times_s)
    mel = librosa.feature.melspectrogram(S=power.T, sr=SAMPLE_RATE, n_mels=26)
    values = librosa.feature.mfcc(S=librosa.power_to_db(mel, amin=1e-12, top_db=None), n_mfcc=N_MFCC)
    return {f"mfcc_{k}": np.where(sounding, values[k], np.nan) for k in range(1, N_MFCC)}


def _power(signal: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power spectra of 25 ms Hann windows centred at given times, (n_frames, 257), and their frequencies in Hz."""
    padded = np.pad(signal, _WINDOW // 2)
    starts = np.clip(np.round(times_s * SAMPLE_RATE).astype(int), 0, len(signal))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[starts]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2
    return power, np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)


def rhythm(tracks: CueTracks) -> dict[str, float]:
    """Shares of voice and pause between first and last sound, and voiced stretches and intensity peaks a second."""
    from scipy.signal import find_peaks

    sounding = np.flatnonzero(tracks.sounding)
    if not sounding.size:
        return {"voiced_share": 0.0, "pause_share": 1.0, "voiced_rate": 0.0, "voiced_s": 0.0, "peak_rate": 0.0}
    speech = slice(sounding[0], sounding[-1] + 1)
    seconds = (speech.stop - speech.start) * STEP_S
    voiced = tracks.voiced[speech]
    starts = int(np.count_nonzero(np.diff(voiced.astype(int), prepend=0) == 1))
    peaks, _ = find_peaks(tracks.intensity_db[speech], prominence=PEAK_DB)
    return {
        "voiced_share": float(voiced.mean()),
        "pause_share": 1.0 - float(tracks.sounding[speech].mean()),
        "voiced_rate": starts / seconds,
        "voiced_s": float(voiced.sum()) * STEP_S / max(starts, 1),
        "peak_rate": len(peaks) / seconds,
    }
