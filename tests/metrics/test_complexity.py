"""Gini index against Quantus and its definition by mean differences."""

from __future__ import annotations

import numpy as np
import pytest

from serxai import _torchvision  # noqa: F401  (before quantus)
from serxai.errors import NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.complexity import effective_area, entropy, gini
from serxai.metrics.records import make_metric


def mean_difference_gini(values):
    """Half the relative mean absolute difference, by looking at every pair."""
    a = np.abs(values).ravel()
    return np.abs(a[:, None] - a[None, :]).mean() / (2 * a.mean())


@pytest.mark.parametrize("seed", range(30))
def test_equals_quantus_and_the_definition(seed):
    import quantus

    generator = np.random.default_rng(seed)
    values = generator.standard_normal(tuple(generator.integers(2, 20, 2))) ** generator.integers(1, 4)
    metric = quantus.Sparseness(abs=True, normalise=False, disable_warnings=True)
    (expected,) = metric(
        model=None,
        x_batch=np.zeros((1, 1, *values.shape)),
        y_batch=np.zeros(1, int),
        a_batch=values[None, None].copy(),
        channel_first=True,
    )
    assert gini(values) == pytest.approx(expected, abs=1e-5)  # Quantus adds 1e-7 to every cell
    assert gini(values) == pytest.approx(mean_difference_gini(values), abs=1e-12)


def test_known_values():
    assert gini(np.full((4, 5), -2.0)) == pytest.approx(0, abs=1e-15)
    one = np.zeros(50)
    one[7] = -3
    assert gini(one) == pytest.approx(1 - 1 / 50, abs=1e-15)
    assert gini(np.ones((1, 1))) == 0
    assert gini(np.array([1.0, 3])) == pytest.approx(0.25)


def test_sign_and_scale_do_not_count():
    values = np.random.default_rng(0).standard_normal((16, 9))
    assert gini(-7 * values) == pytest.approx(gini(values), abs=1e-14)


def test_zero_maps_are_undefined():
    with pytest.raises(NotApplicable, match="zero everywhere"):
        gini(np.zeros((3, 3)))


def test_metric_scores_the_map_on_the_scoring_grid(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger")
    attribution = explain(np.random.default_rng(0).standard_normal(case.grid.shape), case.grid)
    outcome = make_metric("gini").score(case, Explained(attribution))
    assert outcome.value == pytest.approx(gini(attribution.values.astype(float)), abs=1e-7)
    assert outcome.model_calls == 0


@pytest.mark.parametrize("seed", range(20))
def test_entropy_equals_scipy_and_quantus(seed):
    import quantus
    from scipy.stats import entropy as scipy_entropy

    generator = np.random.default_rng(seed)
    values = generator.standard_normal(tuple(generator.integers(2, 20, 2)))
    expected = scipy_entropy(np.abs(values).ravel()) / np.log(values.size)
    assert entropy(values) == pytest.approx(expected, abs=1e-12)
    (theirs,) = quantus.Complexity(abs=True, normalise=False, disable_warnings=True)(
        model=None,
        x_batch=np.zeros((1, 1, *values.shape)),
        y_batch=np.zeros(1, int),
        a_batch=values[None, None].copy(),
        channel_first=True,
    )
    assert entropy(values) * np.log(values.size) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_effective_area_is_the_smallest_set(seed):
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(generator.integers(1, 60)) ** 3
    share = np.sort(np.abs(values))[::-1] / np.abs(values).sum()
    count = next(k for k in range(1, values.size + 1) if share[:k].sum() >= 0.8 - 1e-12)
    assert effective_area(values) == count / values.size


def test_entropy_and_effective_area_of_known_maps():
    even, one = np.full((4, 5), -2.0), np.zeros((4, 5))
    one[2, 3] = 5
    assert (entropy(even), effective_area(even)) == (pytest.approx(1), 16 / 20)  # rounding adds no cell
    assert (entropy(one), effective_area(one)) == (0, 1 / 20)
    assert (entropy(np.ones((1, 1))), effective_area(np.ones((1, 1)))) == (0, 1)
    for score in (entropy, effective_area):
        assert score(-3 * one) == score(one)
        with pytest.raises(NotApplicable, match="zero everywhere"):
            score(np.zeros((2, 2)))
