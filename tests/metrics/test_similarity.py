"""Measures of similarity against slow twins and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr, wasserstein_distance

from serxai.errors import NotApplicable, UnknownNameError
from serxai.metrics.similarity import (
    DIRECTIONS,
    MEASURES,
    band_profile,
    cosine,
    measure,
    profile_correlation,
    rank_correlation,
    sign_agreement,
    time_profile,
    top_overlap,
    transport_similarity,
)


def pairs(n: int = 25, shape: tuple[int, int] = (16, 21)):
    generator = np.random.default_rng(5)
    for i in range(n):
        a = generator.normal(size=shape)
        b = generator.normal(size=shape) + generator.uniform(0, 2) * a
        yield (np.round(a, 1), np.round(b, 1)) if i % 2 else (a, b)  # rounded maps have ties


@pytest.mark.parametrize("name", MEASURES)
def test_equal_maps_are_alike_and_scale_and_order_do_not_matter(name: str):
    for a, b in pairs():
        assert measure(name)(a, a) == pytest.approx(1, abs=1e-9)
        assert measure(name)(a, 3.5 * b) == pytest.approx(measure(name)(a, b), abs=1e-9)
        assert measure(name)(b, a) == pytest.approx(measure(name)(a, b), abs=1e-9)
        assert -1 <= measure(name)(a, b) < 1


@pytest.mark.parametrize("name", MEASURES)
def test_more_of_the_same_map_is_more_alike(name: str):
    generator = np.random.default_rng(2)
    # smooth maps: what profiles and transport see of noise in single cells averages out
    a = np.outer(np.sin(np.linspace(0, 5, 16)), np.cos(np.linspace(0, 4, 30)) + 0.4)
    found = []
    for level in (0.1, 0.5, 3.0):
        noise = [generator.normal(size=a.shape) for _ in range(20)]
        found.append(np.mean([measure(name)(a, a + level * n) for n in noise]))
    assert found[0] > found[1] > found[2]


def test_rank_correlation_is_scipys():
    for a, b in pairs():
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)


def test_cosine_of_vectors_at_a_known_angle():
    for angle in (0.0, 30.0, 90.0, 150.0):
        a, b = np.array([[1.0, 0.0]]), np.array([[math.cos(math.radians(angle)), math.sin(math.radians(angle))]])
        assert cosine(a, b) == pytest.approx(math.cos(math.radians(angle)), abs=1e-12)


def test_overlap_of_the_top_cells_counts_sets_where_nothing_ties():
    for a, b in list(pairs())[::2]:
        count = math.ceil(0.1 * a.size)
        top = [set(np.argsort(-m, axis=None)[:count].tolist()) for m in (a, b)]
        assert top_overlap(a, b) == pytest.approx(len(top[0] & top[1]) / len(top[0] | top[1]), abs=1e-12)


def test_overlap_does_not_depend_on_the_order_of_ties():
    a = np.zeros((4, 10))
    a[0, :2] = 1  # 4 places, two of them shared by 38 cells
    b = a[:, ::-1].copy()
    parts = [(m == 1) + (m == 0) * (2 / 38) for m in (a, b)]
    assert top_overlap(a, b) == pytest.approx(np.minimum(*parts).sum() / np.maximum(*parts).sum())


def test_transport_along_each_direction_is_scipys_distance():
    for a, b in list(pairs(6)):
        x, y = ((np.arange(n) + 0.5) / n for n in a.shape)
        weights = [np.clip(m, 0, None).ravel() for m in (a, b)]
        found, extent = [], []
        for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
            place = (np.cos(angle) * x[:, None] + np.sin(angle) * y[None, :]).ravel()
            found.append(wasserstein_distance(place, place, *weights))
            extent.append(abs(np.cos(angle)) + abs(np.sin(angle)))
        assert transport_similarity(a, b) == pytest.approx(1 - np.mean(found) / np.mean(extent), abs=1e-9)


def test_transport_knows_near_from_far_where_correlation_does_not():
    def burst(column: int) -> np.ndarray:
        m = np.zeros((16, 40))
        m[5, column] = 1.0
        return m

    near, far = (transport_similarity(burst(5), burst(column)) for column in (7, 35))
    assert near > far
    assert cosine(burst(5), burst(7)) == cosine(burst(5), burst(35)) == 0


def test_signs_by_a_loop():
    for a, b in pairs(8):
        p, q = np.abs(a).sum(), np.abs(b).sum()
        top = below = 0.0
        for u, v in zip(a.ravel(), b.ravel(), strict=True):
            weight = min(abs(u) / p, abs(v) / q)
            top, below = top + weight * np.sign(u) * np.sign(v), below + weight
        assert sign_agreement(a, b) == pytest.approx(top / below, abs=1e-12)
    assert sign_agreement(a, -a) == pytest.approx(-1)


def test_profiles_preserve_the_sum_and_place_it():
    generator = np.random.default_rng(0)
    for columns in (5, 10, 33):
        a = generator.normal(size=(16, columns))
        assert band_profile(a).sum() == pytest.approx(a.sum())
        assert time_profile(a).sum() == pytest.approx(a.sum())
        assert band_profile(a)[3] == pytest.approx(a[6:8].sum())
    assert time_profile(a[:, :30])[2] == pytest.approx(a[:, 6:9].sum())


@pytest.mark.parametrize(
    "call",
    [
        lambda: rank_correlation(np.ones((2, 2)), np.eye(2)),
        lambda: cosine(np.zeros((2, 2)), np.eye(2)),
        lambda: top_overlap(np.ones((2, 2)), np.eye(2)),
        lambda: sign_agreement(np.eye(2), np.eye(2)),
        lambda: sign_agreement(np.array([[1.0, -1, 0, 0]]), np.array([[0, 0, 1.0, -1]])),
        lambda: transport_similarity(-np.ones((2, 2)), np.eye(2)),
        lambda: profile_correlation(np.ones(8), np.arange(8)),
        lambda: band_profile(np.ones((15, 3))),
    ],
)
def test_where_a_measure_says_nothing_it_is_undefined(call):
    with pytest.raises(NotApplicable):
        call()


def test_an_unknown_measure_gets_the_near_misses():
    with pytest.raises(UnknownNameError, match="spearman"):
        measure("spearmann")
