"""Complexity: is the relevance on few cells or spread over all?

Conventions
-----------
Maps lie on the scoring grid; signs do not count. A sparse explanation is easier to read, not more faithful: the
family is ranked apart.

Source
------
Chalasani, Chen, Chowdhury, Wu, Jha 2020, "Concise explanations of neural networks using adversarial training", ICML,
sparseness as the Gini index of the absolute relevance.
"""

from __future__ import annotations

import numpy as np

from ..errors import NotApplicable
from .case import Case, Explained, Outcome


def gini(relevance: np.ndarray) -> float:
    """Gini index of the absolute values, ``sum_i (2 i - n - 1) a_i / (n sum_i a_i)`` for sorted ``a_1 <= ... <= a_n``.

    Parameters
    ----------
    relevance : array, any shape

    Returns
    -------
    float
        0 for equal values, ``1 - 1 / n`` where one value holds everything.

    Raises
    ------
    NotApplicable
        If all values are zero.
    """
    values = np.sort(np.abs(relevance), axis=None)
    n, total = values.size, values.sum()
    if total == 0:
        raise NotApplicable("the map is zero everywhere")
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total))


class Gini:
    """Sparseness. Higher is sparser."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(gini(case.map(explained.attribution)))
