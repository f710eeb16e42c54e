"""Retrainings as clusters, and the spread between models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from serxai.benchmark.stats.recognisers import between_models, retraining_mean
from serxai.errors import InputError


def test_each_retraining_counts_once() -> None:
    rng = np.random.default_rng(0)
    means = rng.standard_normal(7)
    labels = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 7])
    values = means[labels]
    e = retraining_mean(values, labels)
    theirs = stats.ttest_1samp(means, 0)
    interval = theirs.confidence_interval(0.95)
    assert (e.mean, e.p, e.low, e.high, e.df) == pytest.approx(
        (means.mean(), theirs.pvalue, interval.low, interval.high, 6)
    )
    assert (e.n_clips, e.n_speakers, e.n_sentences, e.scope) == (28, 7, 0, "recognisers trained like these")


def test_fewer_than_six_retrainings_are_described_only() -> None:
    e = retraining_mean([1.0, 2, 3, 4, 5, np.nan], range(6))
    assert e.mean == 3 and e.n_speakers == 5 and e.scope == "described only" and np.isnan([e.low, e.p]).all()
    with pytest.raises(InputError, match="one model each"):
        retraining_mean([1.0], [])


def test_the_spread_between_models() -> None:
    spread = between_models([1.0, 3, -1, np.nan, np.nan], ["b", "b", "a", "a", "c"])
    assert spread.means == {"a": -1.0, "b": 2.0} and (spread.low, spread.high) == (-1, 2) and spread.sign_changes
    assert (
        not between_models([0.0, 1.0], list("ab")).sign_changes
        and not between_models([-2.0, -1.0], list("ab")).sign_changes
    )
    nothing = between_models([np.nan], list("a"))
    assert nothing.means == {} and np.isnan(nothing.low) and not nothing.sign_changes
