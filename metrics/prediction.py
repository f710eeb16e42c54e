"""Faithfulness by correlation: agreement of the relevance of cells with the effect of their removal.

Conventions
-----------
`relevance` is a flat array over cells; `effect` is the drop of the target's log-odds by a removal (`metrics.removals`).
The relevance of a set of cells is the sum over its cells. Correlations are undefined if map or effects are constant, to
within 1e-9 of the largest value. Ranked effects are first rounded to 1e-6 log-odds, the rounding error of a network; if
all are smaller, scores are undefined.

All metrics here use two tables that do not depend on the explanation, so that further methods need no model calls.

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
from .similarity import rank_correlation
from .trajectory import super_grid

CORRELATION_SIZE = SUBSET_SHARES.index(1 / 4)  # index of the set size used by faithfulness-correlation
RESOLUTION = 1e-9  # relative to the largest value
LOG_ODDS_RESOLUTION = 1e-6  # log-odds


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
    """Pearson correlation over sets of cells of their relevance and the effect of their removal.

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
        Index of each set's size.
    """
    by_size = [faithfulness_correlation(relevance, removed[size == s], effect[size == s]) for s in np.unique(size)]
    return float(np.mean(by_size))


def infidelity(relevance: np.ndarray, removed: np.ndarray, effect: np.ndarray) -> float:
    """Squared error of optimally scaled relevance as a predictor of the effect of sets, over the squared effect.

    The optimal non-negative scaling per map (Yeh et al. 2019, section 4.2) makes methods with different units
    comparable; the division makes clips comparable.

    Returns
    -------
    float
        0 if relevance is proportional to the effect of every set, 1 for an uninformative map (all zero, or opposed).
    """
    predicted = _sums(relevance, removed)
    scale = max(0.0, predicted @ effect) / (predicted @ predicted) if np.any(predicted) else 0.0
    return float(np.sum((effect - scale * predicted) ** 2) / np.sum(effect**2))


def faithfulness_estimate(relevance: np.ndarray, effect: np.ndarray) -> float:
    """Pearson correlation over cells of relevance and the effect of removing the cell alone."""
    return correlation(relevance, effect)


def monotonicity_correlation(relevance: np.ndarray, effect: np.ndarray) -> float:
    """Spearman correlation over cells of absolute relevance and the squared effect of removing the cell alone.

    Absolute effects, which have the same ranks as squared ones, are rounded to 1e-6 log-odds.
    """
    return rank_correlation(np.abs(relevance), np.round(np.abs(effect) / LOG_ODDS_RESOLUTION))


def _sums(relevance: np.ndarray, removed: np.ndarray) -> np.ndarray:
    # not a matrix product, whose last digits depend on the number of threads
    return np.where(removed, relevance, 0.0).sum(axis=1)


# -- the metrics -------------------------------------------------------------------------------------------------------


class _OfRandomRemovals(Metric):
    """Base class of metrics computed from removals of random sets; subclasses implement `read`."""

    @abstractmethod
    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return random_removal_work(case)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        table = _with_effect(random_removals(case))
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
    """Normalised squared error of optimally scaled relevance as a predictor of the effect. Lower is better."""

    def read(self, relevance: np.ndarray, table: Removals) -> float:
        """Score of a flat map."""
        return infidelity(relevance, table.removed, table.effect)


class _OfSingleRemovals(Metric):
    """Base class of metrics computed from removals of single super-cells; subclasses implement `read`."""

    @abstractmethod
    def read(self, relevance: np.ndarray, effect: np.ndarray) -> float:
        """Score of a flat map over super-cells."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return single_removal_work(case)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        table = _with_effect(single_removals(case))
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


def _with_effect(table: Removals) -> Removals:
    """Return the table if any removal has an effect."""
    if np.abs(table.effect).max() < LOG_ODDS_RESOLUTION:
        raise NotApplicable("the recogniser does not react to any removal")
    return table
