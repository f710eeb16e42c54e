"""Gini index against Quantus and its definition by mean differences."""

from __future__ import annotations

import numpy as np
import pytest

from serxai import _torchvision  # noqa: F401  (before quantus)
from serxai.errors import NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.complexity import gini
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
