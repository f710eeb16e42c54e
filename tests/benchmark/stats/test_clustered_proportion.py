"""Clustered proportions: the exact binomial interval where nothing varies, coverage by simulation, empty input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from serxai.benchmark.stats.clustered_proportion import clustered_share


def test_independent_trials_get_the_binomial_interval():
    for hits, n in ((0, 12), (12, 12)):
        found = clustered_share(np.full(n, hits / n), np.ones(n), range(n))
        exact = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        assert (found.mean, found.n, found.clusters) == (hits / n, n, n)


def test_trials_that_agree_within_clusters_count_as_fewer():
    alone = clustered_share([1, 0] * 20, [1] * 40, range(40))
    alike = clustered_share([1, 0] * 20, [1] * 40, [i % 8 for i in range(40)])
    assert alike.high - alike.low > 1.8 * (alone.high - alone.low)
    # eight clusters of five that agree are hardly more than eight trials
    exact = stats.binomtest(4, 8).proportion_ci(0.95, "exact")
    assert (alike.low, alike.high) == pytest.approx((exact.low, exact.high), abs=0.06)


@pytest.mark.parametrize("trials", [0.3, 1.0, 6.0])
@pytest.mark.parametrize(("share", "spread"), [(0.3, 0.0), (0.3, 0.2), (0.95, 0.05)])
def test_the_interval_covers_the_truth(trials, share, spread):
    """16 clusters of 3 groups; clusters differ in their share, and hold 14, 48 or 288 trials on average."""
    draw = np.random.default_rng(0)
    clusters, covered, runs = np.repeat(np.arange(16), 3), 0, 600
    strength = share * (1 - share) / spread**2 - 1 if spread else np.inf
    for _ in range(runs):
        own = np.full(16, share) if spread == 0 else draw.beta(share * strength, (1 - share) * strength, 16)
        counts = draw.poisson(trials, 48)
        found = clustered_share(draw.binomial(counts, own[clusters]), counts, clusters)
        assert found.clusters == 16
        covered += found.n == 0 or found.low <= share <= found.high
    assert covered / runs >= 0.95 - 2.5 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize(("rate", "share"), [(0.05, 0.4), (0.1, 0.4), (0.4, 0.9)])
def test_the_interval_covers_where_the_trials_of_a_group_are_equal(rate, share):
    """Most groups hold nothing, the others one to four trials that are hits together or not at all."""
    draw = np.random.default_rng(1)
    clusters, covered, runs = np.repeat(np.arange(16), 3), [], 600
    for _ in range(runs):
        counts = (draw.random(48) < rate) * draw.integers(1, 5, 48)
        found = clustered_share(counts * (draw.random(48) < share), counts, clusters)
        if found.n:
            covered.append(found.low <= share <= found.high)
    assert len(covered) > 500 and np.mean(covered) >= 0.92
    # five hits in two groups are two hits
    five = clustered_share([4, 1, 0, 0], [4, 1, 0, 0], ["a", "b", "c", "d"])
    exact = stats.binomtest(2, 2).proportion_ci(0.95, "exact")
    assert (five.low, five.high) == pytest.approx((exact.low, exact.high))


def test_no_trials_and_a_single_cluster_have_no_interval():
    found = clustered_share([0, 0], [0, 0], ["a", "b"])
    assert np.isnan([found.mean, found.low, found.high]).all() and found.n == 0
    single = clustered_share([1, 1], [2, 2], ["a", "a"])
    assert single.mean == 0.5 and np.isnan(single.low)
