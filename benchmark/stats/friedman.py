"""Friedman test with Nemenyi's critical difference: average ranks of methods over cells (Demsar 2006, JMLR 7).

A cell is a (corpus, recogniser, metric, ...) combination that ranks the same methods. Cells share clips and models, so
they are not independent: the p-values and the critical difference *describe* how consistent the order is, they are no
inference about a population.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ...errors import InputError


@dataclass(frozen=True)
class Friedman:
    """Average ranks of k methods over n cells.

    Attributes
    ----------
    ranks : array, shape (k,)
        Average rank, 1 the best.
    chi2, p : float
        Friedman's statistic, corrected for ties, and its p (chi-squared, k - 1 degrees of freedom); NaN where all
        methods tie in all cells.
    critical_difference : float
        Average ranks further apart than this differ at `alpha` by Nemenyi's test.
    pairwise : array, shape (k, k)
        p of Nemenyi's test, 1 on the diagonal.
    n_cells : int
        Cells that entered.
    """

    ranks: np.ndarray
    chi2: float
    p: float
    critical_difference: float
    pairwise: np.ndarray
    n_cells: int


def friedman_nemenyi(means: np.ndarray, higher_is_better: bool = True, alpha: float = 0.05) -> Friedman:
    """Friedman test and Nemenyi's critical difference over cells.

    Parameters
    ----------
    means : array, shape (cells, k)
        Mean of each method in each cell; 2 or more methods. Cells in which one has none (NaN) are left out.
    higher_is_better : bool
        Cells of different directions: turn the signs of one kind first.
    alpha : float
        Level of the critical difference.

    Raises
    ------
    InputError
        If fewer than 2 methods or 2 complete cells are left.
    """
    means = np.asarray(means, dtype=np.float64)
    complete = means[np.isfinite(means).all(axis=1)] if means.ndim == 2 else means
    if means.ndim != 2 or means.shape[1] < 2 or len(complete) < 2:
        raise InputError(
            "friedman_nemenyi: means must have 2 or more methods (columns) and 2 or more cells (rows) in which all of "
            f"them have a mean, got shape {means.shape} with {len(complete)} such cells."
        )
    n, k = complete.shape
    ranks = stats.rankdata(-complete if higher_is_better else complete, axis=1)
    average = ranks.mean(axis=0)
    # variance of the ranks of each cell: less than k (k + 1) / 12 where methods tie
    spread = ((ranks - (k + 1) / 2) ** 2).sum() / (n * (k - 1))
    chi2 = n * ((average - (k + 1) / 2) ** 2).sum() / spread if spread > 0 else np.nan
    unit = np.sqrt(k * (k + 1) / (6 * n)) / np.sqrt(2)
    apart = np.abs(average[:, None] - average)
    rows, columns = np.triu_indices(k, 1)
    pairwise = np.eye(k)
    pairwise[rows, columns] = stats.studentized_range.sf(apart[rows, columns] / unit, k, np.inf)
    pairwise = np.maximum(pairwise, pairwise.T)
    critical = float(stats.studentized_range.ppf(1 - alpha, k, np.inf) * unit)
    return Friedman(average, float(chi2), float(stats.chi2.sf(chi2, k - 1)), critical, pairwise, n)
