"""Cue profile: does the voice, where an explanation points, match *this* emotion rather than another?

Conventions
-----------
An explanation's profile is its salient-minus-rest contrast of each cue, in standard deviations over matched random
windows. An emotion's profile is the mean direction of each cue over the sources that speak of the emotion (-1..1; a
source that is silent about a cue counts as 0). Profiles are compared by Spearman's rank correlation over the cues that
the explanation has and that set at least one of the compared emotions apart. Neutral has no profile.

The raw score is the correlation with the target's profile minus the mean correlation with the profiles of the other
emotions that the recogniser knows; from it the mean raw score of matched random windows is taken, because a clip's own
loud and voiced parts favour some emotions whatever the explanation. 0 is chance; higher is better.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from ..cues.expert import NEUTRAL, directions
from ..cues.records import REGION_CUES
from ..cues.windows import WindowCues
from ..errors import NotApplicable
from ..keys import rng
from .case import Case, Explained, Outcome
from .plausibility import DRAWS, KEEP
from .salience_contrast import pointed_windows

MIN_CUES = 4  # a rank correlation of fewer says little


def expected_profile(emotion: str) -> np.ndarray:
    """Mean direction of each cue over the sources, -1..1, in the order of `REGION_CUES`; zeros where none speaks."""
    rows = [[cues.get(cue, 0) for cue in REGION_CUES] for cues in directions(emotion).values()]
    return np.mean(rows, axis=0) if rows else np.zeros(len(REGION_CUES))


def other_profiles(target: str, classes: Iterable[str]) -> np.ndarray:
    """Profiles of the other emotions among some classes that any source speaks of, shape (n, n_cues)."""
    rows = [expected_profile(name) for name in classes if name not in (target, NEUTRAL)]
    return np.array([row for row in rows if row.any()]).reshape(-1, len(REGION_CUES))


def specificity(profile: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Rank correlation with the own profile minus the mean of those with the others, in -2..2.

    Parameters
    ----------
    profile : array, shape (n_cues,)
        NaN where a cue is missing; such cues are left out.
    own : array, shape (n_cues,)
    others : array, shape (n_others, n_cues)

    Returns
    -------
    float
        NaN where fewer than four cues are left, or a profile is constant over them.

    Examples
    --------
    >>> specificity(np.array([1.0, 2, 3, 4]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([[4.0, 3, 2, 1]]))
    2.0
    """
    expected = np.vstack([own, others])
    used = np.isfinite(profile) & (np.ptp(expected, axis=0) > 0)
    if used.sum() < MIN_CUES:
        return float("nan")
    table = stats.rankdata(np.vstack([profile, expected])[:, used], axis=1)
    table = table - table.mean(axis=1, keepdims=True)
    norms = np.sqrt((table**2).sum(axis=1))
    if not norms.all():
        return float("nan")
    found = table[1:] @ table[0] / (norms[1:] * norms[0])
    return float(found[0] - found[1:].mean())


class CueProfile:
    """Rank correlation of cue contrasts with the target's expected profile, less that with other emotions' profiles."""

    name = "cue-profile"

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            For neutral and emotions without a source, where the recogniser knows no other emotion with one, for clips
            shorter than two windows, maps without positive relevance, and where too few cues can be measured.
        """
        target = case.one_class("a source's cue profile")
        own = expected_profile(target)
        if target == NEUTRAL or not own.any():
            raise NotApplicable(f"no source gives a cue profile for {target!r}")
        others = other_profiles(target, case.recogniser.classes)
        if not len(others):
            raise NotApplicable("the recogniser knows no other emotion that a source gives a cue profile for")
        edges, salient = pointed_windows(case, explained, "salient windows")
        cues = case.shared("window-cues", lambda: WindowCues(case.clip.cue_tracks, edges))
        controls = cues.matched_sets(salient, rng(*case.seed, self.name, "random windows"), DRAWS, KEEP)
        contrasts = cues.contrasts(np.concatenate([salient[None], controls]))
        profiles = standardised(contrasts)
        found = np.array([specificity(profile, own, others) for profile in profiles])
        chance = found[1:][np.isfinite(found[1:])]
        if not np.isfinite(found[0]) or chance.size == 0:
            raise NotApplicable(f"fewer than {MIN_CUES} cues can be measured inside the salient windows and outside")
        return Outcome(float(found[0] - chance.mean()), 0)


def standardised(contrasts: np.ndarray) -> np.ndarray:
    """Contrasts over their root mean square over random windows (rows 1 on), shape (n_sets, n_cues).

    Not centred: the mean over random windows is what chance subtracts. NaN where a cue is missing or never varies.
    """
    random = contrasts[1:]
    known = np.isfinite(random)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.sqrt((np.where(known, random, 0.0) ** 2).sum(axis=0) / count)
        return np.where((count > 1) & (size > 0), contrasts / size, np.nan)
