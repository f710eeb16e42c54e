"""Salience contrast: permutation test of the acoustic cues of the salient windows against circular shifts of them.

Conventions
-----------
The contrast of a cue is its value inside the salient windows minus that in the rest of the clip. The null
distribution consists of all circular shifts of the windows along the clip, by every number of 10 ms frames (about 200
in a clip of 2 s, so all are used instead of random ones). The remainder of a clip after its last whole window always
belongs to the rest. Shifts keep the number and arrangement of the windows, which random windows would not.

The effect is the contrast minus the mean over shifts, in standard deviations over shifts. The p value is a two-sided
permutation p with ties counted half (mid-p; Lancaster 1961, JASA 56): for a map that does not depend on the clip it is
uniform up to its resolution of one over the number of shifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Grid, scoring_grid
from ..cues.regions import cue_values, frame_sums, window_mask
from ..cues.tracks import CueTracks
from ..cues.windows import TOP, salient_windows, window_edges
from ..errors import NotApplicable
from ..keys import rng
from ..methods.attribution import Attribution
from .case import Case, Explained, Outcome, summed_on

MIN_SHIFTS = 20  # fewer cannot reach p = .05
TIME_TOLERANCE = 1e-6  # windows whose relevance differs relatively by less are equal
RELATIVE_TOLERANCE = 1e-9  # smaller relative differences are rounding errors
TAIL_S = 1e-6  # shorter remainders after the last whole window are rounding errors


def window_scores(attribution: Attribution, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a clip's windows, and the positive relevance of each.

    Maps of all methods are first resampled to cells of the scoring grid's 16 bands x one window, so that positive and
    negative relevance within a cell cancels in finer maps as it does in coarse ones. Columns of 80 ms would leak
    relevance of one window into its neighbours.

    Parameters
    ----------
    attribution : Attribution
    duration_s : float

    Returns
    -------
    edges_s : array, shape (n_windows + 1,)
    scores : array, shape (n_windows,)

    Raises
    ------
    NotApplicable
        If the clip is shorter than two windows.
    """
    edges = window_edges(duration_s)
    columns = np.append(edges, duration_s) if duration_s - edges[-1] > TAIL_S else edges
    cells = summed_on(attribution.values, attribution.grid, Grid(scoring_grid(duration_s).freq_edges_hz, columns))
    return edges, np.clip(cells, 0, None).sum(axis=0)[: edges.size - 1]


def clip_salient_windows(case: Case, explained: Explained, *purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the clip's windows, and the salient ones among them.

    Parameters
    ----------
    case : Case
    explained : Explained
    *purpose : str
        Appended to the seed of the random tie-breaking.

    Returns
    -------
    edges_s : array, shape (n_windows + 1,)
    salient : array of bool, shape (n_windows,)

    Raises
    ------
    NotApplicable
        For clips shorter than two windows, and as `timed_windows`.
    """
    edges, scores = window_scores(explained.attribution, case.clip.duration_s)
    return edges, timed_windows(scores, rng(*case.seed, *purpose))


def timed_windows(scores: np.ndarray, generator: np.random.Generator, size: int = TOP) -> np.ndarray:
    """Salient windows of a map that says something about time, bool, shape (n_windows,).

    Parameters
    ----------
    scores : array, shape (n_windows,)
        From `window_scores`.
    generator : numpy Generator
        Breaks ties.
    size : int
        At most so many windows.

    Raises
    ------
    NotApplicable
        For maps without positive relevance, and maps without resolution in time, such as bands: their windows would be
        drawn by the tie-break.
    """
    salient = salient_windows(scores, generator, size)
    if np.ptp(scores) <= TIME_TOLERANCE * scores.max():
        raise NotApplicable("the explanation says nothing about time: all windows have the same relevance")
    return salient


@dataclass(frozen=True, eq=False)
class ShiftTest:
    """Cue contrasts of an explanation's windows and of all their shifts.

    Attributes
    ----------
    own : array, shape (n_cues,)
        Contrasts of the unshifted windows; NaN if a cue is missing in the windows or in the rest.
    shifted : array, shape (n_shifts, n_cues)
        Row 0 is `own`, the shift by 0 frames.
    """

    own: np.ndarray
    shifted: np.ndarray

    @property
    def standardised(self) -> np.ndarray:
        """`shifted` minus its mean, in standard deviations over shifts, shape (n_shifts, n_cues).

        NaN for shifts that leave too little of a cue, and for cues that are missing in the salient windows, available
        in fewer than 20 shifts, or constant over shifts.
        """
        count = np.isfinite(self.shifted).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            centred = self.shifted - np.nansum(self.shifted, axis=0) / count
            spread = np.sqrt(np.nansum(centred**2, axis=0) / count)
            size = np.nanmax(np.abs(self.shifted), axis=0, initial=0.0)
            known = np.isfinite(self.own) & (count >= MIN_SHIFTS) & (spread > RELATIVE_TOLERANCE * size)
            return np.where(known, centred / spread, np.nan)

    @property
    def effects(self) -> np.ndarray:
        """Standardised `own`, shape (n_cues,); NaN if it cannot be tested."""
        effects: np.ndarray = self.standardised[0]
        return effects

    @property
    def p(self) -> np.ndarray:
        """Two-sided mid-p of each cue, shape (n_cues,); NaN if it cannot be tested."""
        return mid_p(np.abs(self.standardised))


def mid_p(sizes: np.ndarray) -> np.ndarray:
    """Mid-p value of the first of several absolute effects: the share that exceeds it, ties counted half.

    Parameters
    ----------
    sizes : array, shape (n, n_cues)
        Absolute effects, non-negative; NaN is left out.

    Returns
    -------
    array, shape (n_cues,)
        In (0, 1); NaN if the first size is NaN.

    Examples
    --------
    >>> mid_p(np.array([[3.0], [1.0], [4.0], [2.0]])).tolist()
    [0.375]
    """
    equal = np.abs(sizes - sizes[0]) <= RELATIVE_TOLERANCE * sizes[0]
    more = (sizes > sizes[0]) & ~equal
    with np.errstate(invalid="ignore", divide="ignore"):
        p: np.ndarray = (more.sum(axis=0) + equal.sum(axis=0) / 2) / np.isfinite(sizes).sum(axis=0)
    return np.where(np.isfinite(sizes[0]), p, np.nan)


def shift_test(tracks: CueTracks, edges_s: np.ndarray, salient: np.ndarray) -> ShiftTest:
    """Compute the cue contrasts of the salient windows and of all their circular shifts.

    Parameters
    ----------
    tracks : CueTracks
        Cue tracks of the whole clip.
    edges_s : array, shape (n_windows + 1,)
        From `window_edges`.
    salient : array of bool, shape (n_windows,)
    """
    sums = frame_sums(tracks)
    mask = window_mask(tracks, np.stack([edges_s[:-1], edges_s[1:]], axis=1)[salient])
    windowed = int(np.searchsorted(tracks.times_s, edges_s[-1]))
    frame = np.arange(windowed)
    shifts = mask[:windowed][(frame[None, :] - frame[:, None]) % windowed].astype(np.float64)
    inside = shifts @ sums[:windowed]
    contrasts = cue_values(inside)[0] - cue_values(sums.sum(axis=0) - inside)[0]
    return ShiftTest(contrasts[0], contrasts)


class SalienceContrast:
    """Mean over cues of 1 - 2 p, with p of the shift test. Higher is better.

    0 is expected of a map that does not depend on the clip; 1 is the limit if every cue is more extreme than under any
    shift. It measures *that* the voice differs in the salient windows, not whether it differs as expected.
    """

    name = "salience-contrast"

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            For clips shorter than two windows, maps without positive relevance or without resolution in time, and if no
            cue can be measured both in the salient windows and in the rest.
        """
        edges, salient = clip_salient_windows(case, explained, "salient windows")
        p = shift_test(case.clip.cue_tracks, edges, salient).p
        known = np.isfinite(p)
        if not known.any():
            raise NotApplicable("no cue can be measured both in the salient windows and in the rest of the clip")
        return Outcome(float(np.mean(1 - 2 * p[known])), 0)
