"""Statistics against scipy, statsmodels and scikit-posthocs, on data where these apply."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serxai.benchmark.stats.effects import equivalence, rank_biserial
from serxai.benchmark.stats.friedman import friedman_nemenyi
from serxai.benchmark.stats.multiplicity import holm
from serxai.benchmark.stats.power import detectable_difference
from serxai.benchmark.stats.resampling import sign_flip_test


@pytest.mark.long  # the import takes seconds
def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for row in np.random.default_rng(1).uniform(0, 0.3, (40, 12)):
        np.testing.assert_allclose(holm(row), multitest.multipletests(row, method="holm")[1], rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("margin", [0.2, 0.6, 1.5])
def test_equivalence_of_independent_clips_equals_statsmodels(margin: float) -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    rng = np.random.default_rng(2)
    for n in (6, 10, 25):
        x, y = rng.standard_normal((2, n))
        e = equivalence(x - y, margin, range(n))
        assert e.p == pytest.approx(weightstats.ttost_paired(x, y, -margin, margin)[0])
        interval = stats.ttest_rel(x, y).confidence_interval(0.9)
        assert (e.low, e.high) == pytest.approx((interval.low, interval.high))
        assert (e.p < 0.05) == (-margin < e.low and e.high < margin)


@pytest.mark.long
def test_detectable_difference_equals_statsmodels() -> None:
    their_power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    for n in (6, 10, 40):
        for power, alpha in ((0.8, 0.05), (0.9, 0.01)):
            effect = their_power.solve_power(nobs=n, alpha=alpha, power=power)
            assert detectable_difference(1 / np.sqrt(n), n - 1, power, alpha) == pytest.approx(effect, rel=1e-5)


def test_sign_flips_equal_scipys_permutation_test() -> None:
    rng = np.random.default_rng(3)
    for speakers in (6, 8, 11):
        codes = np.repeat(np.arange(speakers), rng.integers(1, 6, speakers))
        x = rng.standard_normal(codes.size) + 0.4
        sums = np.bincount(codes, weights=x)
        exact = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
        found = sign_flip_test(x, codes)
        assert found.p == pytest.approx(exact.pvalue) and found.exact and found.smallest == 2.0 ** (1 - speakers)


def test_rank_biserial_comes_from_wilcoxons_rank_sums() -> None:
    x = np.random.default_rng(4).normal(0.3, 1, 30).round(1)
    x = x[x != 0]
    larger = stats.wilcoxon(x, alternative="greater").statistic
    total = x.size * (x.size + 1) / 2
    assert rank_biserial(x, range(x.size)).value == pytest.approx(2 * larger / total - 1)


def tables() -> list[np.ndarray]:
    """Means of methods over cells, rounded so that some tie."""
    rng = np.random.default_rng(5)
    return [
        rng.standard_normal((n, k)).round(1) + np.linspace(0, 1, k).round(1) for n, k in ((6, 3), (12, 6), (30, 10))
    ]


def test_friedman_equals_scipy() -> None:
    for means in tables():
        found, theirs = friedman_nemenyi(means), stats.friedmanchisquare(*means.T)
        assert (found.chi2, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.long
def test_nemenyi_equals_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    for means in tables():
        found = friedman_nemenyi(means)
        nemenyi = posthocs.posthoc_nemenyi_friedman(pd.DataFrame(means)).to_numpy()
        np.testing.assert_allclose(found.pairwise, nemenyi, atol=2e-3)  # theirs interpolates a table
