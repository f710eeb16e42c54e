"""Cue profile: specificity of the salient windows' acoustic cues for the target emotion.

Conventions
-----------
An explanation's profile is its salient-minus-rest contrast of each cue, in standard deviations over matched random
windows. An emotion's profile is the mean direction of each cue over the sources that cover the emotion (-1..1; 0 for
a source without an entry for the cue). Profiles are compared by Spearman's rank correlation over the measured cues on
which the compared emotions differ. Neutral has no profile.

The raw score is the correlation with the target's profile minus the mean correlation with the profiles of the
recogniser's other emotions. The mean raw score of matched random windows is subtracted, because the loud and voiced
parts of a clip favour some emotions for any explanation. 0 is chance; higher is better.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from ..cues.expert import NEUTRAL, directions
from ..cues.records import REGION_CUES
from ..errors import NotApplicable
from ..keys import rng
from .case import Case, Explained, Outcome
from .plausibility import DRAWS, KEEP
from .salience_contrast import clip_salient_windows

MIN_CUES = 4  # fewer are too few for a rank correlation


def expected_profile(emotion: str) -> np.ndarray:
    """Mean direction of each cue over the sources, -1..1, in the order of `REGION_CUES`; zeros without a source."""
    rows = [[cues.get(cue, 0) for cue in REGION_CUES] for cues in directions(emotion, checked=True).values()]
    return np.mean(rows, axis=0) if rows else np.zeros(len(REGION_CUES))


def other_profiles(target: str, classes: Iterable[str]) -> np.ndarray:
    """Profiles of the other emotions among `classes` that any source covers, shape (n, n_cues)."""
    rows = [expected_profile(name) for name in classes if name not in (target, NEUTRAL)]
    return np.array([row for row in rows if row.any()]).reshape(-1, len(REGION_CUES))


def specificity(profile: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Rank correlation with the target's profile minus the mean of those with the others, in -2..2.

    Parameters
    ----------
    profile : array, shape (n_cues,)
        NaN for missing cues, which are left out.
    own : array, shape (n_cues,)
    others : array, shape (n_others, n_cues)

    Returns
    -------
    float
        NaN if fewer than four cues are left, or a profile is constant over them.

    Examples
    --------
    >>> round(specificity(np.array([1.0, 2, 3, 4]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([[4.0, 3, 2, 1]])), 9)
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
    correlations = table[1:] @ table[0] / (norms[1:] * norms[0])
    return float(correlations[0] - correlations[1:].mean())


class CueProfile:
    """Rank correlation of cue contrasts with the target's expected profile, less that with other emotions' profiles."""

    name = "cue-profile"

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            For neutral, emotions without a source, recognisers without another emotion that has a source, clips
            shorter than two windows, maps without positive relevance, and if too few cues can be measured.
        """
        target = case.one_class("a source's cue profile")
        own = expected_profile(target)
        if target == NEUTRAL or not own.any():
            raise NotApplicable(f"no source gives a cue profile for {target!r}")
        others = other_profiles(target, case.recogniser.classes)
        if not len(others):
            raise NotApplicable("the recogniser knows no other emotion that a source gives a cue profile for")
        _, salient = clip_salient_windows(case, explained, "salient windows")
        cues = case.window_cues
        controls = cues.matched_sets(salient, rng(*case.seed, self.name, "random windows"), DRAWS, KEEP)
        contrasts = cues.contrasts(np.concatenate([salient[None], controls]))
        profiles = standardised(contrasts)
        scores = np.array([specificity(profile, own, others) for profile in profiles])
        chance = scores[1:][np.isfinite(scores[1:])]
        if not np.isfinite(scores[0]) or chance.size == 0:
            raise NotApplicable(f"fewer than {MIN_CUES} cues can be measured inside the salient windows and outside")
        return Outcome(float(scores[0] - chance.mean()), 0)


def standardised(contrasts: np.ndarray) -> np.ndarray:
    """Contrasts divided by their root mean square over random windows (rows from 1), shape (n_sets, n_cues).

    Not centred, since the mean over random windows is subtracted as chance. NaN for missing or constant cues.
    """
    random = contrasts[1:]
    known = np.isfinite(random)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.sqrt((np.where(known, random, 0.0) ** 2).sum(axis=0) / count)
        return np.where((count > 1) & (size > 0), contrasts / size, np.nan)
