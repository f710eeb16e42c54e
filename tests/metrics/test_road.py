"""ROAD: imputation against Quantus and the dense system, and the score by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from serxai import _torchvision
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import make_metric
from serxai.metrics.road import NEIGHBOURS, NOISE, SHARES, Imputer, feature_log_odds, imputed_series
from serxai.metrics.trajectory import ranking

_torchvision.ensure_torchvision()


def dense_imputation(values, removed):
    """Every removed value the weighted mean of its neighbours, by one dense solve."""
    n_rows, n_columns = values.shape
    holes = [tuple(h) for h in np.argwhere(removed)]
    left, right = np.zeros((len(holes), len(holes))), np.zeros(len(holes))
    for i, (row, column) in enumerate(holes):
        for down, along, weight in NEIGHBOURS:
            near = row + down, column + along
            if 0 <= near[0] < n_rows and 0 <= near[1] < n_columns:
                left[i, i] += weight
                if removed[near]:
                    left[i, holes.index(near)] -= weight
                else:
                    right[i] += weight * values[near]
    result = values.copy()
    result[removed] = np.linalg.solve(left, right)
    return result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_imputed_values_are_the_dense_solution(seed, share):
    generator = np.random.default_rng(seed)
    shape = tuple(int(n) for n in generator.integers(2, 14, 2))
    values = generator.normal(-8, 3, shape)
    removed = generator.random(shape) < share
    removed[tuple(generator.integers(0, shape))] = False
    found = Imputer(shape)(values, removed)
    np.testing.assert_allclose(found, dense_imputation(values, removed), atol=1e-5)
    np.testing.assert_array_equal(found[~removed], values[~removed])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["scattered", "coherent"])
def test_imputed_values_are_quantus(kind, share):
    from quantus.functions.perturb_func import noisy_linear_imputation

    generator = np.random.default_rng(0)
    values = gaussian_filter(generator.normal(0, 12, (40, 60)), 2) + generator.normal(0, 1, (40, 60))
    relevance = generator.random((40, 60))
    relevance = gaussian_filter(relevance, 5) if kind == "coherent" else relevance
    holes = np.argsort(-relevance.ravel())[: int(share * relevance.size)]
    removed = np.zeros(relevance.size, dtype=bool)
    removed[holes] = True
    expected = noisy_linear_imputation(values[None], holes, noise=0.0)[0]
    np.testing.assert_allclose(Imputer((40, 60))(values, removed.reshape(40, 60)), expected, atol=1e-4)


def test_nothing_removed_and_everything_removed():
    values = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(Imputer((3, 4))(values, np.zeros((3, 4), bool)), values)
    with pytest.raises(NotApplicable, match="nothing to impute from"):
        Imputer((3, 4))(values, np.ones((3, 4), bool))
    one = np.ones((3, 4), bool)
    one[2, 1] = False
    np.testing.assert_allclose(Imputer((3, 4))(values, one), values[2, 1], atol=1e-6)


def test_series_start_does_not_move_the_solution():
    """Each share starts from the one before: the values are those of a fresh start."""
    generator = np.random.default_rng(1)
    values, order = generator.normal(0, 5, (20, 30)), generator.permutation(600)
    series = imputed_series(values, order, rng("noise"))
    noise = rng("noise").standard_normal(600).reshape(20, 30) * NOISE * values.std()
    for share, found in zip(SHARES, series, strict=True):
        removed = np.zeros(600, bool)
        removed[order[: int(share * 600)]] = True
        removed = removed.reshape(20, 30)
        np.testing.assert_allclose(found, Imputer((20, 30))(values, removed) + noise * removed, atol=1e-4)


def test_score_by_hand(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("road",))
    grid = cnn.feature_grid(case.clip.samples.size)
    values = np.random.default_rng(0).standard_normal(grid.shape)
    explained = Explained(explain(values, grid))
    features = cnn.features(case.clip.samples)[0, 0].double().numpy()
    order = ranking(case.map_on(explained.attribution, grid), rng("road", "road ties", "test"))
    curves = []
    for taken in (order, order[::-1]):
        maps = imputed_series(features, taken, rng("road", "road noise"))
        curves.append([feature_log_odds(cnn, m[None])[0, 0] for m in maps])
    assert make_metric("road").score(case, explained).value == pytest.approx(
        np.mean(curves[1]) - np.mean(curves[0]), abs=1e-5
    )
    opposite = Explained(explain(-values, grid))
    both = [make_metric("road").score(case, e).value for e in (explained, opposite)]
    assert both[0] == pytest.approx(-both[1], abs=1e-9)  # the two orders change places: 0 on average


def test_features_are_scored_in_batches_of_one_shape(cnn, speech_like):
    features = cnn.features(speech_like().samples)[0].numpy()
    maps = np.repeat(features, 11, axis=0)
    before = cnn.calls
    found = feature_log_odds(cnn, maps)
    assert cnn.calls - before == 16 and found.shape == (11, 4)
    np.testing.assert_array_equal(found, np.repeat(found[:1], 11, axis=0))
    np.testing.assert_allclose(found[0], cnn.log_odds(speech_like().samples[None])[0], atol=1e-4)
