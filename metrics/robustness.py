"""Robustness: does the explanation of a clip stay what it was when the clip is shifted?

Conventions
-----------
Maps lie on the scoring grid of the clip as recorded: that of a shifted clip is moved back along the condition's map of
times, that of another clip is compared in relative time.
Similarity is Spearman's rank correlation over cells, -1..1.

A raw similarity says little: a noisy method cannot agree with anything, and a method that always draws the same
picture agrees with everything. So it is placed between a ceiling (the clean clip explained again with another seed)
and a floor (another clip of the same emotion):

    consistency = (s(shifted, clean) - floor) / (ceiling - floor)

1 is as stable as the method itself, 0 no more alike than two different clips; it is not clipped. A method that does not
repeat itself beyond chance (`random` does not) has no ceiling, and no consistency.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from ..errors import InputError, NotApplicable
from .case import Case, Explained, Metric, Outcome

MIN_RANGE = 0.05  # between floor and ceiling; below it the quotient is noise
CHANCE_SD = 3.0  # unrelated maps of n cells correlate with standard deviation 1 / sqrt(n - 1)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, mean ranks for equal cells.

    Parameters
    ----------
    a, b : array, same shape

    Returns
    -------
    float
        -1..1.

    Raises
    ------
    NotApplicable
        If a map is constant (a map of one cell is).
    """
    x, y = (rankdata(m, axis=None) - (m.size + 1) / 2 for m in (a, b))
    scale = np.sqrt((x @ x) * (y @ y))
    if scale == 0:
        raise NotApplicable("rank correlation is undefined: a map is constant")
    return float(np.clip(x @ y / scale, -1, 1))


def consistency(similarity: float, ceiling: float, floor: float) -> float:
    """Similarity as share of the way from floor to ceiling.

    Raises
    ------
    NotApplicable
        If ceiling - floor < 0.05.
    """
    if ceiling - floor < MIN_RANGE:
        raise NotApplicable(
            f"ceiling - floor = {ceiling - floor:.3f} is below {MIN_RANGE}: a repeat of the same clip is hardly more "
            "alike than another clip"
        )
    return (similarity - floor) / (ceiling - floor)


class Consistency(Metric):
    """Consistency of an explanation under a distribution shift. Higher is better.

    Its model calls are those of the three companion explanations.
    """

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`.

        Raises
        ------
        InputError
            If a companion is missing.
        """
        clean, repeat, other = explained.clean, explained.repeat, explained.other
        if clean is None or repeat is None or other is None:
            raise InputError("consistency needs the companions clean, repeat and other; give all three in Explained.")
        shifted = case.map_back(explained.attribution)
        reference = case.map_recorded(clean)
        ceiling = rank_correlation(reference, case.map_recorded(repeat))
        if ceiling < CHANCE_SD / np.sqrt(reference.size - 1):
            # without this, the few clips whose floor falls below the ceiling by luck would be scored
            raise NotApplicable("the method does not repeat itself: two seeds agree no better than unrelated maps")
        value = consistency(
            rank_correlation(shifted, reference),
            ceiling,
            floor=rank_correlation(reference, case.map_recorded(other, explained.other_duration_s)),
        )
        return Outcome(value, clean.model_calls + repeat.model_calls + other.model_calls)
