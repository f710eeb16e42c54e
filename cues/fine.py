"""Cues beyond those that the literature speaks of: formants, cepstral peak, the spectrum's shape, the pitch contour's.

Frame tracks are measured once a clip, when first asked for (`CueTracks.fine`), on the axis of `tracks`. Spectra are
those of the alpha ratio: 20 ms Hamming windows. Unlike the cues in `regions`, range and slope of pitch are no sums over
frames, so these are read for one region at a time.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .records import FINE_RECORDS
from .regions import CueValue, region_cues
from .tracks import CueTracks

RANGE_PERCENTILES = (5, 95)


def fine_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """The describing cues of one region.

    Parameters
    ----------
    tracks : CueTracks
    mask : array of bool, shape (n_frames,)

    Returns
    -------
    dict of str to CueValue
        One for each of `FINE_CUES`.

    Raises
    ------
    InputError
        If the mask has another length than the tracks.
    ClipError
        If Praat fails on the clip.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != tracks.times_s.shape:
        raise InputError(f"fine_cues: the mask has shape {mask.shape}, the tracks have {tracks.times_s.shape}.")
    fine, voiced = tracks.fine, mask & tracks.voiced
    held = {
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
    counts |= {name: values.size for name, values in held.items()}
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
            value = held[name].mean()
        result[name] = CueValue(float(value), record.unit, int(count), reason)
    return result


def _pooled_slope(tracks: CueTracks, voiced: np.ndarray) -> float:
    """One slope for all voiced stretches, each about its own mean, in semitones/s; NaN where there is none."""
    frames = np.flatnonzero(voiced)
    stretch = np.cumsum(np.diff(frames, prepend=frames[0]) > 1)
    times, semitones = tracks.times_s[frames], tracks.semitones[frames]
    size = np.bincount(stretch)
    times = times - (np.bincount(stretch, times) / size)[stretch]
    semitones = semitones - (np.bincount(stretch, semitones) / size)[stretch]
    spread = times @ times
    return float(times @ semitones / spread) if spread > 0 else np.nan


def all_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """Every cue that a region has: `regions.region_cues` and `fine_cues`."""
    return region_cues(tracks, mask) | fine_cues(tracks, mask)
