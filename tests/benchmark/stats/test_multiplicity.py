"""Holm's correction against its definition; the intersection-union test by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from serxai.benchmark.stats.multiplicity import holm, intersection_union


def test_holm_by_hand_and_against_the_definition() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm([np.nan, np.nan])).all() and holm([]).size == 0
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(0, 0.2, 8)
        order = np.argsort(p)
        slow = np.empty(8)
        for at, i in enumerate(order):
            slow[i] = min(1, max((8 - k) * p[order[k]] for k in range(at + 1)))
        np.testing.assert_allclose(holm(p), slow)


def test_the_family_is_the_whole_array() -> None:
    p = np.random.default_rng(1).uniform(0.01, 0.3, (4, 3))
    assert holm(p).shape == p.shape and holm(p).min() == pytest.approx(min(p.min() * p.size, 1))


def test_both_differences_must_be_favourable() -> None:
    p1, p2 = [0.01, 0.01, 0.01, 0.2, np.nan], [0.03, 0.03, 0.03, 0.01, 0.01]
    found = intersection_union(p1, p2, [True, True, False, True, True], [True, False, False, True, True])
    np.testing.assert_allclose(found, [0.03, 1, 1, 0.2, np.nan])
    np.testing.assert_array_equal(found, intersection_union(p2, p1, [1, 0, 0, 1, 1], [1, 1, 0, 1, 1]))


@pytest.mark.parametrize("other", [0.0, 10.0])
def test_the_intersection_union_test_holds_its_level(other: float) -> None:
    """Not better than one baseline, whether far better than the other or not: half of 5 %, one direction's share."""
    rng = np.random.default_rng(0)
    shared, n = rng.standard_normal((10, 4000)), 4000
    x, y = rng.standard_normal((10, n)) + shared, other + rng.standard_normal((10, n)) + shared
    tests = [stats.ttest_1samp(d, 0) for d in (x, y)]
    p = intersection_union(*(t.pvalue for t in tests), *(t.statistic > 0 for t in tests))
    assert (p < 0.05).mean() <= 0.025 + 3.1 * np.sqrt(0.025 * 0.975 / n)
    assert (p < 0.05).mean() > (0.018 if other else 0.004)
