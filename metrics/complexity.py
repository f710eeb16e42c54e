"""Complexity metrics: concentration of the absolute relevance on few cells.

Conventions
-----------
Maps lie on the scoring grid; signs are ignored. A sparse explanation is easier to read, not more faithful: the
family is ranked apart.

Sources
-------
Chalasani, Chen, Chowdhury, Wu, Jha 2020, "Concise explanations of neural networks using adversarial training", ICML,
sparseness as the Gini index of the absolute relevance. Bhatt, Weller, Moura 2020, "Evaluating and aggregating
feature-based model explanations", IJCAI: complexity as the entropy of the absolute relevance. Effective area: after
Nguyen, Martinez 2020, arXiv:2007.07584, effective complexity, with a share of the relevance in place of the loss.
"""

from __future__ import annotations

import numpy as np

from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome

HELD = 0.8  # share of the absolute relevance in the effective area
ROUNDING = 1e-9  # relative to the total


def gini(relevance: np.ndarray) -> float:
    """Gini index of the absolute values, ``sum_i (2 i - n - 1) a_i / (n sum_i a_i)`` for sorted ``a_1 <= ... <= a_n``.

    Parameters
    ----------
    relevance : array, any shape

    Returns
    -------
    float
        0 for equal values, ``1 - 1 / n`` if one value holds everything.

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


def entropy(relevance: np.ndarray) -> float:
    """Normalised Shannon entropy of the absolute values as shares of their sum.

    Parameters
    ----------
    relevance : array, any shape

    Returns
    -------
    float
        1 for equal values, 0 if one value holds everything (and for a single value).

    Raises
    ------
    NotApplicable
        If all values are zero.
    """
    share = _shares(relevance)
    if share.size == 1:
        return 0.0
    held = share[share > 0]
    return float(-held @ np.log(held) / np.log(share.size)) + 0.0  # no -0


def effective_area(relevance: np.ndarray, held: float = HELD) -> float:
    """Smallest share of the cells that holds a given share of the absolute relevance.

    Parameters
    ----------
    relevance : array, any shape
    held : float
        In 0..1.

    Returns
    -------
    float
        ``1 / n`` .. about `held`: the size of the smallest set of cells, as a share of all ``n``.

    Raises
    ------
    NotApplicable
        If all values are zero.
    """
    share = np.sort(_shares(relevance))[::-1]
    return float((np.searchsorted(np.cumsum(share), held - ROUNDING) + 1) / share.size)


def _shares(relevance: np.ndarray) -> np.ndarray:
    values = np.abs(relevance).ravel()
    total = values.sum()
    if total == 0:
        raise NotApplicable("the map is zero everywhere")
    return values / total


class Gini(Metric):
    """Gini index of the absolute relevance. Higher is sparser."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(gini(case.map(explained.attribution)))


class Entropy(Metric):
    """Normalised entropy of the absolute relevance. Lower is sparser."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(entropy(case.map(explained.attribution)))


class EffectiveArea(Metric):
    """Share of the cells that holds 80 % of the absolute relevance. Lower is sparser."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(effective_area(case.map(explained.attribution)))
