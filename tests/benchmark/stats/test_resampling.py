"""Sign flips and rank intervals: by enumeration, by error rate, against slow resampling."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from serxai.benchmark.stats.resampling import rank_intervals, sign_flip_test
from serxai.errors import InputError


def test_sign_flips_by_enumeration() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(7), [1, 2, 3, 4, 3, 2, 1])
    x = rng.standard_normal(16) + 0.4
    means = [abs(np.mean(x * np.array(signs)[codes])) for signs in product((1, -1), repeat=7)]
    assert sign_flip_test(x, codes).p == pytest.approx(np.mean(np.array(means) >= abs(x.mean()) - 1e-12))
    missing = np.r_[x, np.nan]
    assert sign_flip_test(missing, [*codes, 99]) == sign_flip_test(x, codes)


def test_the_smallest_p_is_that_of_the_number_of_speakers() -> None:
    assert sign_flip_test(np.ones(8), range(8)).smallest == sign_flip_test(np.ones(8), range(8)).p == 0.0078125
    many = sign_flip_test(np.ones(20), range(20))
    assert not many.exact and many.smallest == 1e-4 and many.p == pytest.approx(1e-4, abs=2e-4)
    few = sign_flip_test([1.0, 2, 3], list("abc"))
    assert np.isnan(few.p) and np.isnan(few.smallest)
    assert sign_flip_test(np.zeros(8), range(8)).p == 1
    with pytest.raises(InputError, match="one speaker each"):
        sign_flip_test([1.0, 2], list("a"))


def test_drawn_signs_agree_with_all_of_them_and_are_seeded() -> None:
    x = np.random.default_rng(1).standard_normal(15) + 0.5
    drawn = sign_flip_test(x, range(15))
    exact = np.mean(np.abs(np.array(list(product((1, -1), repeat=15))) @ x) >= abs(x.sum()) - 1e-12)
    assert not drawn.exact and drawn.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 9999))
    assert drawn == sign_flip_test(x, range(15)) and drawn != sign_flip_test(x, range(15), seed=1)


def test_sign_flips_hold_their_level() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(9), 5)
    x = rng.standard_normal((2000, 9))[:, codes] + rng.standard_t(3, (2000, 45))
    rate = np.mean([sign_flip_test(row, codes).p <= 0.05 for row in x])
    assert 0.03 < rate <= 0.05 + 3.1 * np.sqrt(0.05 * 0.95 / 2000)


def test_rank_intervals_by_slow_resampling() -> None:
    rng = np.random.default_rng(3)
    speakers, sentences = np.repeat(np.arange(8), 7), np.tile(np.arange(7), 8)
    x = rng.standard_normal((56, 4)) + [0.0, 0.1, 0.4, 2.0] + 0.5 * rng.standard_normal((8, 4))[speakers]
    found = rank_intervals(x, speakers, sentences)
    drawn = []
    for _ in range(2000):
        s, t = rng.integers(0, 8, 8), rng.integers(0, 7, 7)
        rows = [i for a in s for b in t for i in np.flatnonzero((speakers == a) & (sentences == b))]
        drawn.append((-x[rows].mean(0)).argsort().argsort() + 1)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0, method="inverted_cdf")
    assert np.abs(found.low - low).max() <= 1 and np.abs(found.high - high).max() <= 1
    np.testing.assert_allclose(found.first, (np.array(drawn) == 1).mean(0), atol=0.05)
    assert found.rank[3] == found.low[3] == found.high[3] == 1 and found.first[3] > 0.99
    assert (found.low <= found.rank).all() and (found.rank <= found.high).all()
    lower = rank_intervals(x, speakers, sentences, higher_is_better=False)
    np.testing.assert_array_equal(lower.rank, 5 - found.rank)


def test_rank_intervals_of_equal_missing_and_few() -> None:
    x = np.random.default_rng(4).standard_normal((12, 1)).repeat(3, axis=1)
    x[:, 2] = np.nan
    tied = rank_intervals(x, np.arange(12) % 6)
    np.testing.assert_array_equal(tied.rank, [1.5, 1.5, np.nan])
    np.testing.assert_array_equal(tied.first, [1, 1, np.nan])
    assert np.isnan(rank_intervals(x, np.arange(12) % 5).low).all()
    with pytest.raises(InputError, match=r"shape \(clips, methods\)"):
        rank_intervals(x[:, 0], range(12))
