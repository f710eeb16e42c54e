"""Who measures the cues of a region: Praat's short or long list, openSMILE's eGeMAPS, or the seed paper's code.

Conventions
-----------
A backend takes the clip's tracks and a list of windows and gives the cues inside and in the rest of the clip. Cues keep
the names of `records` but carry the backend's own units, so values of two backends are never compared.

``egemaps`` runs openSMILE once on the whole clip and reads the windows from its frames (a call on a 150 ms slice costs
11 ms to start and loses 40 ms to the edges). ``beyond-saliency-paper`` does what the authors' code does: one call a
slice, and means over all frames, the zeros of unvoiced ones included. openSMILE is an extra, for non-commercial use.
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

Compared = tuple[dict[str, CueValue], dict[str, CueValue]]


class Descriptor(NamedTuple):
    """A low-level descriptor of eGeMAPSv02 and what stands for it here."""

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
# the six that the authors' code reads, under its own names: Pitch_lvl, Loudness, Shrillness, Freq_var, Amp_var,
# Breathiness (which is HNR, its inverse)
PAPER_CUES = ("f0_level", "loudness", "slope_500_1500", "jitter", "shimmer", "hnr")
F0_COLUMN = EGEMAPS["f0_level"].column


def compare(backend: str, tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> Compared:
    """Cues inside the windows, and in the rest of the clip.

    Parameters
    ----------
    backend : str
        One of `BACKENDS`.
    tracks : CueTracks
    windows_s : array, shape (n_salient, 2)
    all_windows_s : array, shape (n_windows, 2)
        All windows of the clip, for the backend whose rest is made of windows.

    Raises
    ------
    UnknownNameError
        If there is no such backend.
    NotApplicable
        If it needs openSMILE, and that is not installed.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("cue backend", backend, BACKENDS)
    return BACKENDS[backend](tracks, np.reshape(windows_s, (-1, 2)), np.reshape(all_windows_s, (-1, 2)))


def _praat(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> Compared:
    mask = window_mask(tracks, windows_s)
    return region_cues(tracks, mask), region_cues(tracks, ~mask)


def _praat_full(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> Compared:
    mask = window_mask(tracks, windows_s)
    return all_cues(tracks, mask), all_cues(tracks, ~mask)


def _egemaps(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> Compared:
    frames = descriptors(tracks.signal)
    start = frames.index.get_level_values("start").total_seconds().to_numpy()
    centre = start + 0.01  # of 20 ms frames, as openSMILE stamps all of them
    inside = np.any((centre >= windows_s[:, :1]) & (centre < windows_s[:, 1:]), axis=0)
    return egemaps_cues(frames[inside]), egemaps_cues(frames[~inside])


def egemaps_cues(frames: pd.DataFrame) -> dict[str, CueValue]:
    """Mean descriptors of some frames; those of the voice over voiced frames (with a pitch) only."""
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


def _paper(tracks: CueTracks, windows_s: np.ndarray, all_windows_s: np.ndarray) -> Compared:
    salient = {tuple(window) for window in windows_s.tolist()}
    rest = [window for window in all_windows_s.tolist() if tuple(window) not in salient]
    found = []
    for windows in (windows_s, np.reshape(rest, (-1, 2))):
        cues = paper_cues(tracks.signal, windows)
        found.append(
            {
                name: CueValue(mean, EGEMAPS[name].unit, frames, "" if frames else "no window", sd)
                for name, (mean, sd, frames) in cues.items()
            }
        )
    return found[0], found[1]


def paper_cues(
    samples: np.ndarray, windows_s: np.ndarray, rate: int = SAMPLE_RATE
) -> dict[str, tuple[float, float, int]]:
    """The authors' six numbers: mean and standard deviation over all frames of all windows, and how many frames.

    Each window is cut out and analysed on its own; unvoiced frames count as 0. The deviation divides by n - 1.

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
    """The 25 low-level descriptors of eGeMAPSv02 every 10 ms, as openSMILE gives them.

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


BACKENDS: dict[str, Callable[[CueTracks, np.ndarray, np.ndarray], Compared]] = {
    "praat": _praat,
    "praat-full": _praat_full,
    "egemaps": _egemaps,
    "beyond-saliency-paper": _paper,
}
