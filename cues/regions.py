"""Cue values of parts of a clip, read from its tracks.

Every cue is a function of sums over frames, so the cues of many regions are one matrix product: masks times
`frame_sums`. A period or pulse belongs to the frame whose centre is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .frames import STEP_S
from .records import CLIP_RECORDS, REGION_RECORDS
from .tracks import CueTracks, Events

MIN_SEGMENT_FRAMES = 3  # voiced stretches shorter than 30 ms are not counted as segments
MIN_PAUSE_FRAMES = 10


@dataclass(frozen=True)
class CueValue:
    """One cue of one region.

    Attributes
    ----------
    value : float
        NaN where missing.
    unit : str
    n_frames : int
        How many of the cue's basis (frames, or pairs of periods) the region holds.
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
    """What each frame adds to the sums that the cues are made of, float64, shape (n_frames, 20)."""
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
    """Number and sum of the events nearest to each frame."""
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
        In the order of `REGION_CUES`; NaN where the region holds too little.
    counts : array of int, shape (..., 8)
        How much of each cue's basis the region holds.
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
    """Standard deviation with n - 1, as Praat's."""
    return np.sqrt(np.clip(squares - total**2 / n, 0, None) / (n - 1))


def region_cues(tracks: CueTracks, mask: np.ndarray) -> dict[str, CueValue]:
    """All cues of one region.

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
        raise InputError(f"region_cues: the mask has shape {mask.shape}, the tracks have {tracks.times_s.shape}.")
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
    """Frames whose centre lies in one of the windows, bool, shape (n_frames,).

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
    """Speech rate and pauses, which only a whole clip has.

    Speech rate counts voiced segments (of 30 ms or longer) per second, eGeMAPS' stand-in for syllables. Pauses are
    silent stretches (of 100 ms or longer) between the first and the last sounding frame, as a share of that span.
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
    """Lengths of the stretches of true values."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=int), [0]])))
    return steps[1::2] - steps[::2]
