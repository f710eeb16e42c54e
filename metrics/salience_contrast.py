"""Salience contrast: is the voice where an explanation points unlike the rest of the clip, more than by chance?

Conventions
-----------
The contrast of a cue is its value inside the salient windows minus that in the rest of the clip. Chance is the same
windows moved along the clip: all of them together, by every number of 10 ms frames, what leaves at the end coming back
at the start. A clip of 2 s has about 200 such shifts, so all are taken (1,000 draws would only repeat them); what is
left of a clip behind its last whole window always belongs to the rest. Shifts keep how many windows there are and how
they lie, which a draw of single windows would not.

The effect is the contrast less the mean over shifts, in standard deviations over shifts. The p value is two-sided, by
rank, and counts ties half (mid-p; Lancaster 1961, JASA 56): for a map that does not depend on the clip it is uniform
up to its steps of one over the number of shifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Grid, scoring_grid
from ..cues.regions import cue_values, frame_sums, window_mask
from ..cues.tracks import CueTracks
from ..cues.windows import salient_windows, window_edges
from ..errors import NotApplicable
from ..keys import rng
from ..methods.attribution import Attribution
from .case import Case, Explained, Outcome, summed_on

MIN_SHIFTS = 20  # fewer cannot reach p = .05
EVEN = 1e-9  # relative; differences below it are rounding
TAIL_S = 1e-6  # what is left of a clip behind its last whole window is a column of its own, unless it is rounding


def window_scores(attribution: Attribution, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a clip's windows, and the positive relevance of each.

    Maps of all methods are first summed onto the same cells, one of the scoring grid's 16 bands x one window: on its
    own cells a finer map of mixed signs would count what cancels within a window. Columns of 80 ms would not do, they
    share the relevance of one window out to its neighbours.

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


def pointed_windows(case: Case, explained: Explained, *purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the clip's windows, and which of them an explanation points at.

    Parameters
    ----------
    case : Case
    explained : Explained
    *purpose : str
        Added to the seed of the draw that breaks ties.

    Returns
    -------
    edges_s : array, shape (n_windows + 1,)
    salient : array of bool, shape (n_windows,)

    Raises
    ------
    NotApplicable
        For clips shorter than two windows and maps without positive relevance.
    """
    edges, scores = window_scores(explained.attribution, case.clip.duration_s)
    return edges, salient_windows(scores, rng(*case.seed, *purpose))


@dataclass(frozen=True, eq=False)
class ShiftTest:
    """Contrasts of an explanation's windows and of the same windows shifted.

    Attributes
    ----------
    own : array, shape (n_cues,)
        NaN where a cue is missing in the windows or in the rest.
    shifted : array, shape (n_shifts, n_cues)
        The first row is `own`: no shift at all.
    """

    own: np.ndarray
    shifted: np.ndarray

    @property
    def standardised(self) -> np.ndarray:
        """`shifted` less its mean, in standard deviations over shifts, shape (n_shifts, n_cues).

        NaN where a shift leaves too little of a cue, and for cues that the salient windows lack, that fewer than 20
        shifts have, or that are the same under all.
        """
        count = np.isfinite(self.shifted).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            centred = self.shifted - np.nansum(self.shifted, axis=0) / count
            spread = np.sqrt(np.nansum(centred**2, axis=0) / count)
            size = np.nanmax(np.abs(self.shifted), axis=0, initial=0.0)
            known = np.isfinite(self.own) & (count >= MIN_SHIFTS) & (spread > EVEN * size)
            return np.where(known, centred / spread, np.nan)

    @property
    def effects(self) -> np.ndarray:
        """`own` in standard deviations over shifts, shape (n_cues,); NaN where it cannot be tested."""
        effects: np.ndarray = self.standardised[0]
        return effects

    @property
    def p(self) -> np.ndarray:
        """Two-sided mid-p of each cue, shape (n_cues,); NaN where it cannot be tested."""
        return mid_p(np.abs(self.standardised))


def mid_p(sizes: np.ndarray) -> np.ndarray:
    """Share of sizes that exceed the first one, equal ones (itself among them) counted half.

    Parameters
    ----------
    sizes : array, shape (n, n_cues)
        Non-negative; NaN is left out.

    Returns
    -------
    array, shape (n_cues,)
        In (0, 1); NaN where the first size is.

    Examples
    --------
    >>> mid_p(np.array([[3.0], [1.0], [4.0], [2.0]])).tolist()
    [0.375]
    """
    equal = np.abs(sizes - sizes[0]) <= EVEN * sizes[0]
    more = (sizes > sizes[0]) & ~equal
    with np.errstate(invalid="ignore", divide="ignore"):
        p: np.ndarray = (more.sum(axis=0) + equal.sum(axis=0) / 2) / np.isfinite(sizes).sum(axis=0)
    return np.where(np.isfinite(sizes[0]), p, np.nan)


def shift_test(tracks: CueTracks, edges_s: np.ndarray, salient: np.ndarray) -> ShiftTest:
    """Contrast the salient windows with the rest, and do so again for every circular shift of them.

    Parameters
    ----------
    tracks : CueTracks
        Of the whole clip.
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
    """How far out among all shifts the contrasts of the salient windows lie, averaged over cues.

    1 - 2 p, averaged: 0 is expected of a map that does not depend on the clip, 1 is the limit where every cue is more
    extreme than under any shift. It says *that* the voice is different there, not that it is as it should be.
    """

    name = "salience-contrast"

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            For clips shorter than two windows, maps without positive relevance, and where no cue can be measured both
            inside the salient windows and in the rest.
        """
        edges, salient = pointed_windows(case, explained, "salient windows")
        p = shift_test(case.clip.cue_tracks, edges, salient).p
        known = np.isfinite(p)
        if not known.any():
            raise NotApplicable("no cue can be measured both in the salient windows and in the rest of the clip")
        return Outcome(float(np.mean(1 - 2 * p[known])), 0)
