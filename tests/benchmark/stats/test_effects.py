"""Effect sizes and equivalence: by hand, by coverage and error rate in simulations with clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from serxai.benchmark.stats.effects import equivalence, rank_biserial, standardised_difference
from serxai.benchmark.stats.simulation import LAYOUTS, Effects, limit, simulate
from serxai.errors import InputError

LAYOUT = LAYOUTS["emodb, 80 clips"]
SIMULATED = Effects(speaker=0.1, sentence=0.1)


def slow_rank_biserial(x: np.ndarray) -> float:
    """Sums of pairs (Walsh): positive less negative, over all pairs."""
    signs = [np.sign(x[i] + x[j]) for i in range(len(x)) for j in range(i, len(x))]
    return float(np.mean(signs))


def test_rank_biserial_equals_its_sum_over_pairs() -> None:
    for seed in range(5):
        x = np.random.default_rng(seed).normal(0.2, 1, 20).round(1)
        assert rank_biserial(x, range(20)).value == pytest.approx(slow_rank_biserial(x[x != 0]))


def test_intervals_cover_the_true_effect() -> None:
    """Normal differences of mean .5 and variance 1: d is .5; r is P(X + Y > 0) - P(X + Y < 0) of independent clips."""
    runs, rng = 300, np.random.default_rng(0)
    x = 0.5 + simulate(LAYOUT, SIMULATED, runs, rng)
    truth = {standardised_difference: 0.5, rank_biserial: 2 * stats.norm.cdf(0.5 * np.sqrt(2)) - 1}
    for effect, true in truth.items():
        found = [effect(column, *LAYOUT.codes) for column in x.T]
        covered = np.mean([e.low <= true <= e.high for e in found])
        assert 0.92 <= covered <= 0.99, effect.__name__
        assert np.mean([e.value for e in found]) == pytest.approx(true, abs=0.04)
        assert all(-1 < e.low < e.value < e.high < 1 for e in found) or effect is standardised_difference


def test_clusters_widen_the_interval_of_an_effect() -> None:
    rng = np.random.default_rng(1)
    x = 0.3 + rng.standard_normal(10).repeat(6) + 0.5 * rng.standard_normal(60)
    for effect in (standardised_difference, rank_biserial):
        alone, clustered = effect(x, range(60)), effect(x, np.arange(10).repeat(6))
        assert alone.value == clustered.value and clustered.high - clustered.low > 1.5 * (alone.high - alone.low)


def test_effects_without_variance_or_speakers() -> None:
    same = standardised_difference([2.0] * 8, range(8))
    assert np.isnan([same.value, same.low, same.high]).all()
    won = rank_biserial([1.0, 2, 3, 4, 5, 6], range(6))
    assert won.value == 1 and np.isnan([won.low, won.high]).all()
    assert np.isnan(rank_biserial([0.0, np.nan], list("ab")).value)
    few = standardised_difference([1.0, 2, 4], list("abc"))
    assert few.value > 0 and np.isnan([few.low, few.high]).all()
    with pytest.raises(InputError, match="one speaker"):
        rank_biserial([1.0], list("ab"))


def test_equivalence_at_the_margin_is_claimed_in_5_percent() -> None:
    x = 0.5 + simulate(LAYOUT, SIMULATED, 600, np.random.default_rng(2))
    p = np.array([equivalence(column, 0.5, *LAYOUT.codes).p for column in x.T])
    assert 0.01 < (p < 0.05).mean() <= limit(600)
    within = [equivalence(column - 0.5, 1.0, *LAYOUT.codes).p for column in x.T[:100]]
    assert np.mean(np.array(within) < 0.05) > 0.9


def test_equivalence_of_few_or_equal_clips() -> None:
    few = equivalence([0.1, 0.2, 0.1], 1.0, list("abc"))
    assert np.isnan(few.p) and few.scope == "described only"
    assert equivalence([0.1] * 6, 0.2, range(6)).p == 0 and equivalence([0.3] * 6, 0.2, range(6)).p == 1
    with pytest.raises(InputError, match=r"margin must be above 0.*got margin 0"):
        equivalence([1.0], 0.0, list("a"))
