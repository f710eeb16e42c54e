"""Cue values of regions of a clip, computed from its tracks.

Every cue here is a function of sums over frames, so the cues of many regions are one matrix product: masks times
`frame_sums`. A glottal period or pulse belongs to the frame with the nearest centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .frames import STEP_S
from .records import CLIP_RECORDS, REGION_RECORDS
from .tracks import CueTracks, Events

MIN_SEGMENT_FRAMES = 3  # 30 ms, shortest voiced segment that counts for speech rate
MIN_PAUSE_FRAMES = 10  # 100 ms, shortest silence that counts as a pause


@dataclass(frozen=True)
class CueValue:
    """Value of one cue in one region.

    Attributes
    ----------
    value : float
        NaN where missing.
    unit : str
    n_frames : int
        Number of units of the cue's basis (frames, or pairs of periods) in the region.
    reason : str
        Why the value is missing; empty where it is not.
    sd : float
        Standard deviation over the frames, where the backend measures it; else NaN.
    """

    value: float
    unit: str
    n_frames: int
    reason: str = ""
    sd: float = float("nan")


def frame_sums(tracks: CueTracks) -> np.ndarray:
    """Sufficient statistics of each frame, whose sums over a region determine its cues, float64, shape (n_frames, 20).

    Columns: voiced, F0, F0^2; level known, power; sounding, level, level^2; alpha ratio known, alpha ratio; HNR known,
    HNR; then number and sum of periods, period changes, amplitudes and amplitude changes.
    """
    with_level = np.isfinite(tracks.intensity_db)
    centre = np.nanmean(tracks.intensity_db)  # centred, so that sums of squares lose no digits
    level = tracks.intensity_db - centre
    columns: list[np.ndarray] = []
    semitones = tracks.semitones
    columns += [tracks.voiced, _filled(semitones), _filled(semitones) ** 2]
    columns += [with_level, np.where(with_level, 10 ** (_filled(tracks.intensity_db) / 10), 0.0)]
    sounding = tracks.sounding
    columns += [sounding, np.where(sounding, level, 0.0), np.where(sounding, level**2, 0.0)]
    for track in (np.where(tracks.voiced, tracks.alpha_ratio_db, np.nan), tracks.hnr_db):
        columns += [np.isfinite(track), _filled(track)]
    for events in (tracks.periods_s, tracks.period_changes_s, tracks.amplitudes, tracks.amplitude_changes):
        columns += _binned(events, tracks.times_s)
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _filled(track: np.ndarray) -> np.ndarray:
    return np.nan_to_num(track, nan=0.0)


def _binned(events: Events, times_s: np.ndarray) -> list[np.ndarray]:
    """Count and sum of the events nearest to each frame, two arrays of shape (n_frames,)."""
    frame = np.clip(np.round((events.times_s - times_s[0]) / STEP_S).astype(int), 0, len(times_s) - 1)
    return [np.bincount(frame, weights, len(times_s)) for weights in (np.ones(len(frame)), events.values)]


def cue_values(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cues from sums over frames.

    Parameters
    ----------
    sums : array, shape (..., 20)
        `frame_sums` added up over each region.

    Returns
    -------
    values : array, shape (..., 8)
        In the order of `REGION_CUES`; NaN where the region has less than the record's minimum.
    counts : array of int, shape (..., 8)
        Number of units of each cue's basis (frames, or pairs of periods) in the region.
    """
    s = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    voiced, frames, sounding = s[0], s[3], s[5]
    counts = np.stack([voiced, voiced, frames, sounding, s[8], s[14], s[18], s[10]], axis=-1).round().astype(int)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.stack(
            [
                s[1] / voiced,
                _deviation(voiced, s[1], s[2]),
                10 * np.log10(s[4] / frames),
                _deviation(sounding, s[6], s[7]),
                s[9] / s[8],
                100 * (s[15] / s[14]) / (s[13] / s[12]),
                100 * (s[19] / s[18]) / (s[17] / s[16]),
                s[11] / s[10],
            ],
            axis=-1,
        )
    enough = counts >= np.array([record.minimum for record in REGION_RECORDS])
    return np.where(enough & np.isfinite(values), values, np.nan), counts


def _deviation(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Sample standard deviation (n - 1, as Praat) from count, sum and sum of squares."""
    return np.sqrt(np.clip(squares - total**2 / n, 0, None) / (n - 1))


def region_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """Cues of one region.

    Parameters
    ----------
    tracks : CueTracks
    mask : array of bool, shape (n_frames,)
        Frames of the region, see `window_mask`.

    Returns
    -------
    dict of str to CueValue
        One for each of `REGION_CUES`.

    Raises
    ------
    InputError
        If the mask has another length than the tracks.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != tracks.times_s.shape:
        raise InputError(
            f"region_cues: mask must have the tracks' shape {tracks.times_s.shape}, got {mask.shape}; take "
            "`window_mask`."
        )
    values, counts = cue_values(frame_sums(tracks)[mask].sum(axis=0))
    result = {}
    for record, value, count in zip(REGION_RECORDS, values, counts, strict=True):
        reason = ""
        if count < record.minimum:
            reason = f"{count} {record.basis}, at least {record.minimum} needed"
        elif not np.isfinite(value):
            reason = f"{count} {record.basis}, but no finite value"
        result[record.name] = CueValue(float(value), record.unit, int(count), reason)
    return result


def window_mask(tracks: CueTracks, windows_s: np.ndarray) -> np.ndarray:
    """Mask of the frames whose centre lies in one of the windows, bool, shape (n_frames,).

    Parameters
    ----------
    tracks : CueTracks
    windows_s : array, shape (n_windows, 2)
        Start (included) and end (excluded) in seconds.
    """
    windows = np.asarray(windows_s, dtype=np.float64).reshape(-1, 2)
    inside = (tracks.times_s >= windows[:, :1]) & (tracks.times_s < windows[:, 1:])
    return np.any(inside, axis=0).astype(bool)


def clip_cues(tracks: CueTracks) -> dict[str, CueValue]:
    """Clip-level cues: speech rate and share of pauses.

    Speech rate counts voiced segments of at least 30 ms per second, eGeMAPS' approximation of the syllable rate. Pauses
    are silences of at least 100 ms between the first and the last sounding frame, in % of that span.

    Returns
    -------
    dict of str to CueValue
        One for each of `CLIP_RECORDS`.
    """
    sounding = np.flatnonzero(tracks.sounding)
    segments = _runs(tracks.voiced)
    rate = float(np.sum(segments >= MIN_SEGMENT_FRAMES)) / tracks.duration_s
    pauses = np.nan
    if sounding.size:
        span = tracks.sounding[sounding[0] : sounding[-1] + 1]
        silences = _runs(~span)
        pauses = 100 * float(silences[silences >= MIN_PAUSE_FRAMES].sum()) / span.size
    result = {}
    for record, value, count in zip(
        CLIP_RECORDS, (rate, pauses), (int(tracks.voiced.sum()), sounding.size), strict=True
    ):
        enough = count >= record.minimum
        reason = "" if enough else f"{count} {record.basis}, at least {record.minimum} needed"
        result[record.name] = CueValue(value if enough else np.nan, record.unit, count, reason)
    return result


def _runs(flags: np.ndarray) -> np.ndarray:
    """Lengths of the runs of true values, in order."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=int), [0]])))
    return steps[1::2] - steps[::2]
