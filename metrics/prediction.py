"""Faithfulness as prediction: does the relevance of cells say what their removal does to the recogniser?

Conventions
-----------
`relevance` is flat over the cells that were removed; `effect` is what a removal takes from the log-odds of the target
(`metrics.removals`). The relevance of a set of cells is the sum of theirs. A correlation with a map that is constant,
or with effects that are, is undefined; numbers count as equal within 1e-9 of the largest. Where effects are ranked,
they are first rounded to 1e-6 log-odds, and where all are smaller nothing is defined: below it is a network's rounding.

All metrics here read two tables that do not depend on the explanation, so that a further method costs nothing.

Sources
-------
Bhatt, Weller, Moura 2020, "Evaluating and aggregating feature-based model explanations", IJCAI: faithfulness
correlation. Alvarez-Melis, Jaakkola 2018, "Towards robust interpretability with self-explaining neural networks",
NeurIPS: faithfulness estimate. Nguyen, Martinez 2020, "On quantitative aspects of model interpretability",
arXiv:2007.07584: monotonicity. Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019, "On the (in)fidelity and sensitivity of
explanations", NeurIPS. Ancona, Ceolini, Öztireli, Gross 2018, "Towards better understanding of gradient-based
attribution methods for deep neural networks", ICLR: sensitivity-n.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping

import numpy as np

from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome
from .removals import (
    SUBSET_SHARES,
    Removals,
    random_removal_work,
    random_removals,
    single_removal_work,
    single_removals,
)
from .robustness import rank_correlation
from .trajectory import super_grid

CORRELATION_SIZE = SUBSET_SHARES.index(1 / 4)  # of the sets that faithfulness-correlation reads
RESOLUTION = 1e-9  # of the largest number
STILL = 1e-6  # log-odds


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two vectors.

    Raises
    ------
    NotApplicable
        If one is constant.
    """
    for x in (a, b):
        if np.ptp(x) <= RESOLUTION * np.abs(x).max():
            raise NotApplicable("correlation is undefined: relevance or effect is the same for all sets of cells")
    x, y = a - a.mean(), b - b.mean()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def faithfulness_correlation(relevance: np.ndarray, removed: np.ndarray, effect: np.ndarray) -> float:
    """Correlation over sets of cells between their relevance and the effect of their removal.

    Parameters
    ----------
    relevance : array, shape (n_cells,)
    removed : array of bool, shape (n_sets, n_cells)
        Sets of one size.
    effect : array, shape (n_sets,)
    """
    return correlation(_sums(relevance, removed), effect)


def sensitivity_n(relevance: np.ndarray, removed: np.ndarray, effect: np.ndarray, size: np.ndarray) -> float:
    """Faithfulness correlation at each size of sets, averaged over the sizes.

    Parameters
    ----------
    relevance, removed, effect
        As in `faithfulness_correlation`.
    size : array, int, shape (n_sets,)
        Sets with equal numbers here are of one size.
    """
    found = [faithfulness_correlation(relevance, removed[size == s], effect[size == s]) for s in np.unique(size)]
    return float(np.mean(found))


def infidelity(relevance: np.ndarray, removed: np.ndarray, effect: np.ndarray) -> float:
    """Squared error of the relevance of sets as their effect, after the best scaling, over the squared effect.

    The scaling (one non-negative factor a map; Yeh et al. 2019, section 4.2) makes methods comparable whose relevance
    has other units; the division makes clips comparable.

    Returns
    -------
    float
        0 where relevance adds up to the effect of every set, 1 for a map that says nothing (all zero, or opposed).
    """
    told = _sums(relevance, removed)
    scale = max(0.0, told @ effect) / (told @ told) if np.any(told) else 0.0
    return float(np.sum((effect - scale * told) ** 2) / np.sum(effect**2))


def faithfulness_estimate(relevance: np.ndarray, effect: np.ndarray) -> float:
    """Correlation over cells between relevance and the effect of removing the cell alone."""
    return correlation(relevance, effect)


def monotonicity_correlation(relevance: np.ndarray, effect: np.ndarray) -> float:
    """Rank correlation over cells between absolute relevance and the squared effect of removing the cell alone.

    Absolute effects have the same ranks as squared ones, and can be rounded to 1e-6 log-odds.
    """
    return rank_correlation(np.abs(relevance), np.round(np.abs(effect) / STILL))


def _sums(relevance: np.ndarray, removed: np.ndarray) -> np.ndarray:
    # not a matrix product: its last digits depend on the number of threads
    return np.where(removed, relevance, 0.0).sum(axis=1)


# -- the metrics -------------------------------------------------------------------------------------------------------


class _OfRandomRemovals(Metric):
    """A metric that reads the table of random sets: a subclass fills in `read`."""

    @abstractmethod
    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return random_removal_work(case)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        table = _telling(random_removals(case))
        return Outcome(self.read(case.map(explained.attribution).ravel(), table), table.model_calls)


class FaithfulnessCorrelation(_OfRandomRemovals):
    """Correlation of relevance and effect over sets of a quarter of the cells. Higher is better."""

    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""
        of_size = table.size == CORRELATION_SIZE
        return faithfulness_correlation(relevance, table.removed[of_size], table.effect[of_size])


class SensitivityN(_OfRandomRemovals):
    """Correlation of relevance and effect, averaged over the sizes of sets. Higher is better."""

    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""
        return sensitivity_n(relevance, table.removed, table.effect, table.size)


class Infidelity(_OfRandomRemovals):
    """Squared error of relevance as effect, best scaled and normalised. Lower is better."""

    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""
        return infidelity(relevance, table.removed, table.effect)


class _OfSingleRemovals(Metric):
    """A metric that reads the table of single super-cells: a subclass fills in `read`."""

    @abstractmethod
    def read(self, relevance: np.ndarray, effect: np.ndarray) -> float:
        """Score of a flat map over super-cells."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return single_removal_work(case)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        table = _telling(single_removals(case))
        relevance = case.map_on(explained.attribution, super_grid(case)).ravel()
        return Outcome(self.read(relevance, table.effect), table.model_calls)


class FaithfulnessEstimate(_OfSingleRemovals):
    """Correlation of relevance and effect over single super-cells. Higher is better."""

    def read(self, relevance: np.ndarray, effect: np.ndarray) -> float:
        """Score of a flat map over super-cells."""
        return faithfulness_estimate(relevance, effect)


class MonotonicityCorrelation(_OfSingleRemovals):
    """Rank correlation of absolute relevance and squared effect over single super-cells. Higher is better."""

    def read(self, relevance: np.ndarray, effect: np.ndarray) -> float:
        """Score of a flat map over super-cells."""
        return monotonicity_correlation(relevance, effect)


def _telling(table: Removals) -> Removals:
    if np.abs(table.effect).max() < STILL:
        raise NotApplicable("the recogniser does not react to any removal")
    return table
