"""Descriptive cues of a region that the expert table does not cover: formants, CPP, spectral shape, F0 range and slope.

The frame tracks (`CueTracks.fine`) are computed once per clip, on first use, on the frame axis of `tracks`. Spectra use
20 ms Hamming windows, as the alpha ratio. Unlike the cues in `regions`, range and slope of F0 are not sums over frames,
so these cues are computed for one region at a time.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .records import FINE_RECORDS
from .regions import CueValue, region_cues
from .tracks import CueTracks

RANGE_PERCENTILES = (5, 95)


def fine_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """Descriptive cues of one region.

    Parameters
    ----------
    tracks : CueTracks
    mask : array of bool, shape (n_frames,)

    Returns
    -------
    dict of str to CueValue
        One for each of `FINE_RECORDS`.

    Raises
    ------
    InputError
        If the mask has another length than the tracks.
    ClipError
        If Praat fails on the clip.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != tracks.times_s.shape:
        raise InputError(
            f"fine_cues: mask must have the tracks' shape {tracks.times_s.shape}, got {mask.shape}; take `window_mask`."
        )
    fine, voiced = tracks.fine, mask & tracks.voiced
    voiced_values = {
        name: track[voiced & np.isfinite(track)]
        for name, track in {
            "hf500": fine.hf500,
            "hammarberg": fine.hammarberg_db,
            "slope_0_500": fine.slope_0_500,
            "slope_500_1500": fine.slope_500_1500,
            "cpp": fine.cpp_db,
            **{f"f{k}": track for k, track in enumerate(fine.formants_hz, 1)},
        }.items()
    }
    semitones, power = tracks.semitones[voiced], 10 ** (fine.weighted_db[mask] / 10)
    counts = {"f0_range": semitones.size, "f0_slope": semitones.size, "weighted_level": power.size}
    counts |= {name: values.size for name, values in voiced_values.items()}
    result = {}
    for record in FINE_RECORDS:
        name, count = record.name, counts[record.name]
        value, reason = np.nan, ""
        if count < record.minimum:
            reason = f"{count} {record.basis}, at least {record.minimum} needed"
        elif name == "f0_range":
            low, high = np.percentile(semitones, RANGE_PERCENTILES)
            value = high - low
        elif name == "f0_slope":
            value = _pooled_slope(tracks, voiced)
            reason = "" if np.isfinite(value) else "no voiced stretch of two frames"
        elif name == "weighted_level":
            value = 10 * np.log10(power.mean())
        else:
            value = voiced_values[name].mean()
        result[name] = CueValue(float(value), record.unit, int(count), reason)
    return result


def _pooled_slope(tracks: CueTracks, voiced: np.ndarray) -> float:
    """Common least-squares F0 slope in semitones/s, each voiced stretch centred on its mean; NaN where undefined."""
    frames = np.flatnonzero(voiced)
    stretch = np.cumsum(np.diff(frames, prepend=frames[0]) > 1)
    times, semitones = tracks.times_s[frames], tracks.semitones[frames]
    size = np.bincount(stretch)
    times = times - (np.bincount(stretch, times) / size)[stretch]
    semitones = semitones - (np.bincount(stretch, semitones) / size)[stretch]
    spread = times @ times
    return float(times @ semitones / spread) if spread > 0 else np.nan


def all_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """All cues defined for regions: `regions.region_cues` and `fine_cues`."""
    return region_cues(tracks, mask) | fine_cues(tracks, mask)
