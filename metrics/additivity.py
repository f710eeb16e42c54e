"""Additivity of a recogniser's response over frequency bands: a description of the recogniser, not of the method.

Conventions
-----------
Methods such as EmoLIME and Shapley values of bands give each band one weight. How much of what the recogniser does such
weights can say at all depends on recogniser, clip and fill, and is the same for every method that scored the same
masks. Response: log-odds of the target; variance over all masks of the bands, each with equal weight, split into that
of main effects and that of interactions (functional analysis of variance: Hoeffding 1948, Annals of Mathematical
Statistics 19(3)).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from ..errors import NotApplicable
from ..methods.mask_tables import number_of_parts, variance_shares
from .case import Case, Explained, Outcome

FLAT = 1e-9  # variance of the log-odds below which nothing is left to explain


class Additivity:
    """Share of the variance of a full mask table that the main effects of its bands explain; 1: no interactions.

    The table is that of the explanation, made against the fill of the score, so that no model call is made.
    """

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`: none, though the score depends on the fill."""
        return {}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`.

        Raises
        ------
        NotApplicable
            If the method did not score every mask of frequency bands, or no mask moves the recogniser.
        """
        attribution = explained.attribution
        rows, columns = attribution.grid.shape
        if attribution.table is None or columns > 1 or number_of_parts(attribution.table) != rows:
            raise NotApplicable("the method did not score every mask of frequency bands, as emolime does")
        if attribution.table.var(dtype=float) <= FLAT:
            raise NotApplicable("the recogniser does not react to any removal")
        return Outcome(variance_shares(attribution.table)[0])
