"""Friedman and Nemenyi: published critical values, error rate, the ends."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.benchmark.stats.friedman import friedman_nemenyi
from serxai.errors import InputError


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_the_published_ones(k: int, q: float) -> None:
    """Demsar 2006, table 5(a)."""
    found = friedman_nemenyi(np.random.default_rng(0).standard_normal((14, k)))
    assert found.critical_difference == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), abs=1e-3)


def test_ranks_direction_and_pairs() -> None:
    means = np.arange(4.0) + np.random.default_rng(0).normal(0, 0.01, (9, 4))
    means[0, 1] = np.nan
    found = friedman_nemenyi(means)
    assert found.ranks.tolist() == [4, 3, 2, 1] and found.n_cells == 8 and found.p < 0.001
    assert friedman_nemenyi(means, higher_is_better=False).ranks.tolist() == [1, 2, 3, 4]
    apart = np.abs(found.ranks[:, None] - found.ranks) > found.critical_difference
    np.testing.assert_array_equal(found.pairwise < 0.05, apart)
    np.testing.assert_array_equal(found.pairwise, found.pairwise.T)


def test_equal_methods_and_too_few() -> None:
    tied = friedman_nemenyi(np.ones((3, 3)))
    assert tied.ranks.tolist() == [2, 2, 2] and np.isnan(tied.chi2) and np.isnan(tied.p)
    for means in (np.ones((5, 1)), np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [np.nan, 2.0]]), np.ones(3)):
        with pytest.raises(InputError, match="2 or more methods"):
            friedman_nemenyi(means)
