"""Cue extraction backends: Praat (short or full list), openSMILE's eGeMAPS, and Beyond Saliency's openSMILE recipe.

Conventions
-----------
A backend takes the clip's tracks and a list of windows and returns the cues inside the windows and in the rest of the
clip. Cues have the names of `records` but the backend's own units, so values of two backends are never compared.

``egemaps`` runs openSMILE once on the whole clip and averages the frames of the windows (a call on a 150 ms slice costs
11 ms of start-up and loses 40 ms at the edges). ``beyond-saliency-paper`` follows the authors' code: one call per
slice, and means over all frames, including the zeros of unvoiced ones. openSMILE is an extra, for non-commercial use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import NotApplicable, UnknownNameError
from .fine import all_cues
from .records import CUES
from .regions import CueValue, region_cues, window_mask
from .tracks import CueTracks

if TYPE_CHECKING:
    import opensmile
    import pandas as pd

CueComparison = tuple[dict[str, CueValue], dict[str, CueValue]]


class Descriptor(NamedTuple):
    """A low-level descriptor of eGeMAPSv02: openSMILE's column, its unit, and whether only voiced frames count."""

    column: str
    unit: str
    voiced_only: bool


# Eyben et al. 2016, IEEE Trans. Affective Computing 7(2):190-202; "nz" columns are 0 where unvoiced
EGEMAPS = {
    "f0_level": Descriptor("F0semitoneFrom27.5Hz_sma3nz", "semitones re 27.5 Hz", True),
    "loudness": Descriptor("Loudness_sma3", "sone-like", False),
    "high_frequency_energy": Descriptor("alphaRatio_sma3", "dB", True),
    "jitter": Descriptor("jitterLocal_sma3nz", "ratio", True),
    "shimmer": Descriptor("shimmerLocaldB_sma3nz", "dB", True),
    "hnr": Descriptor("HNRdBACF_sma3nz", "dB", True),
    "hammarberg": Descriptor("hammarbergIndex_sma3", "dB", True),
    "slope_0_500": Descriptor("slope0-500_sma3", "dB/Hz", True),
    "slope_500_1500": Descriptor("slope500-1500_sma3", "dB/Hz", True),
    "f1": Descriptor("F1frequency_sma3nz", "Hz", True),
    "f2": Descriptor("F2frequency_sma3nz", "Hz", True),
    "f3": Descriptor("F3frequency_sma3nz", "Hz", True),
}
# the six cues of the authors' code, there called Pitch_lvl, Loudness, Shrillness, Freq_var, Amp_var and Breathiness
# (which is HNR, the inverse of breathiness)
PAPER_CUES = ("f0_level", "loudness", "slope_500_1500", "jitter", "shimmer", "hnr")
F0_COLUMN = EGEMAPS["f0_level"].column


def compare(backend: str, tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> CueComparison:
    """Cues inside the salient windows and in the rest of the clip.

    Parameters
    ----------
    backend : str
        One of `BACKENDS`.
    tracks : CueTracks
    windows_s : array, shape (n_salient, 2)
        Start and end of the salient windows in seconds.
    all_windows_s : array, shape (n_windows, 2)
        All windows of the clip, for ``beyond-saliency-paper``, whose rest consists of the other windows.

    Returns
    -------
    tuple of (dict of str to CueValue, dict of str to CueValue)
        Inside the windows, and in the rest.

    Raises
    ------
    UnknownNameError
        If there is no such backend.
    NotApplicable
        If the backend needs openSMILE and it is not installed.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("cue backend", backend, BACKENDS)
    return BACKENDS[backend](tracks, np.reshape(windows_s, (-1, 2)), np.reshape(all_windows_s, (-1, 2)))


def _praat(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> CueComparison:
    mask = window_mask(tracks, windows_s)
    return region_cues(tracks, mask), region_cues(tracks, ~mask)


def _praat_full(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> CueComparison:
    mask = window_mask(tracks, windows_s)
    return all_cues(tracks, mask), all_cues(tracks, ~mask)


def _egemaps(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> CueComparison:
    frames = descriptors(tracks.signal)
    start = frames.index.get_level_values("start").total_seconds().to_numpy()
    centre = start + 0.01  # openSMILE stamps every frame as 20 ms long
    inside = np.any((centre >= windows_s[:, :1]) & (centre < windows_s[:, 1:]), axis=0)
    return egemaps_cues(frames[inside]), egemaps_cues(frames[~inside])


def egemaps_cues(frames: pd.DataFrame) -> dict[str, CueValue]:
    """Mean descriptors over frames; voice descriptors over voiced frames (F0 > 0) only.

    Parameters
    ----------
    frames : DataFrame
        Rows of `descriptors`.

    Returns
    -------
    dict of str to CueValue
        One for each of `EGEMAPS`; NaN with the reason where too few frames.
    """
    voiced = frames[F0_COLUMN].to_numpy() > 0
    result = {}
    for name, descriptor in EGEMAPS.items():
        values = frames[descriptor.column].to_numpy(dtype=np.float64)
        values = values[voiced] if descriptor.voiced_only else values
        minimum = CUES.get(name).minimum
        enough = values.size >= minimum
        what = "voiced frames" if descriptor.voiced_only else "frames"
        reason = "" if enough else f"{values.size} {what}, at least {minimum} needed"
        result[name] = CueValue(float(values.mean()) if enough else np.nan, descriptor.unit, values.size, reason)
    return result


def _paper(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> CueComparison:
    salient = {tuple(window) for window in windows_s.tolist()}
    rest = [window for window in all_windows_s.tolist() if tuple(window) not in salient]

    def cues_of(windows: np.ndarray) -> dict[str, CueValue]:
        return {
            name: CueValue(mean, EGEMAPS[name].unit, frames, "" if frames else "no window", sd)
            for name, (mean, sd, frames) in paper_cues(tracks.signal, windows).items()
        }

    return cues_of(windows_s), cues_of(np.reshape(rest, (-1, 2)))


def paper_cues(
    samples: np.ndarray, windows_s: np.ndarray, rate: int = SAMPLE_RATE
) -> dict[str, tuple[float, float, int]]:
    """Cues of the Beyond Saliency authors' code: mean, standard deviation and number of frames over all windows.

    Each window is cut out and analysed separately; unvoiced frames count as 0. The standard deviation divides by n - 1.

    Parameters
    ----------
    samples : array, shape (n_samples,)
        Mono.
    windows_s : array, shape (n_windows, 2)
    rate : int
        Sampling rate in Hz; the authors read the publisher's files at their own rate.

    Returns
    -------
    dict of str to (float, float, int)
        For each of `PAPER_CUES`; NaN without windows.

    Raises
    ------
    NotApplicable
        If openSMILE is not installed.
    """
    smile = _smile()
    edges = np.floor(np.asarray(windows_s) * rate).astype(int)  # theirs are cut off, not rounded
    frames = [smile.process_signal(np.asarray(samples[a:b], np.float32), rate) for a, b in edges if a < len(samples)]
    result = {}
    for name in PAPER_CUES:
        column = EGEMAPS[name].column
        values = np.concatenate([np.zeros(0), *(part[column].to_numpy(dtype=np.float64) for part in frames)])
        known = (float(values.mean()), float(values.std(ddof=1))) if values.size > 1 else (np.nan, np.nan)
        result[name] = (*known, values.size)
    return result


def descriptors(samples: np.ndarray) -> pd.DataFrame:
    """Low-level descriptors of eGeMAPSv02 (openSMILE), 25 columns, one row every 10 ms.

    Raises
    ------
    NotApplicable
        If openSMILE is not installed.
    """
    return _smile().process_signal(np.asarray(samples, dtype=np.float32), SAMPLE_RATE)


def _smile() -> opensmile.Smile:
    try:
        import opensmile
    except ImportError:
        raise NotApplicable(
            "this cue backend needs openSMILE, which is not installed; "
            "run `pip install 'serxai[opensmile]'` or take the backend 'praat'."
        ) from None
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)


BACKENDS: dict[str, Callable[[CueTracks, np.ndarray, np.ndarray], CueComparison]] = {
    "praat": _praat,
    "praat-full": _praat_full,
    "egemaps": _egemaps,
    "beyond-saliency-paper": _paper,
}
