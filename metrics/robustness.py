"""Consistency: similarity of explanations under a distribution shift, between a floor and a ceiling.

Conventions
-----------
Maps lie on the scoring grid of the clip as recorded: for a shifted clip the condition's time map is inverted, another
clip is stretched to the same duration. Similarity is Spearman's rank correlation over cells, -1..1.

Raw similarities are not comparable: those of a noisy method are low for any pair of clips, those of a method with a
constant map high for any pair. Therefore the similarity is scaled between a ceiling (the clean clip explained again
with another seed) and a floor (another clip of the same emotion):

    consistency = (s(shifted, clean) - floor) / (ceiling - floor)

1 means as similar as a repeat with another seed, 0 as similar as two different clips; values are not clipped.
Consistency is undefined for a method whose repeats correlate no more than by chance (such as `random`).
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError, NotApplicable
from .case import Case, Explained, Metric, Outcome
from .similarity import CHANCE_SD, rank_correlation

MIN_RANGE = 0.05  # least difference of ceiling and floor; below it the quotient is dominated by noise


def consistency(similarity: float, ceiling: float, floor: float) -> float:
    """Similarity scaled linearly so that floor is 0 and ceiling is 1.

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
    """Scaled similarity of the shifted and the clean clip's map. Higher is better.

    Model calls are those of the three companion explanations.
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
            # otherwise the few clips whose floor is below the ceiling by chance would be scored
            raise NotApplicable("the method does not repeat itself: two seeds agree no better than unrelated maps")
        value = consistency(
            rank_correlation(shifted, reference),
            ceiling,
            floor=rank_correlation(reference, case.map_recorded(other, explained.other_duration_s)),
        )
        return Outcome(value, clean.model_calls + repeat.model_calls + other.model_calls)
