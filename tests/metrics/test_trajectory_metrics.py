"""Comprehensiveness, sufficiency, delta-AUC, monotonicity, IROF and the native area between, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import auc as sklearn_auc

from serxai.audio import Grid, band_edges_hz, scoring_grid
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case, Explained
from serxai.metrics.faithfulness import (
    SHARES,
    area_between,
    auc,
    comprehensiveness,
    delta_auc,
    irof,
    monotonicity,
    sufficiency,
)
from serxai.metrics.records import make_metric
from serxai.metrics.trajectory import (
    RANDOM_TRAJECTORIES,
    deletion_trajectory,
    native_trajectory,
    random_trajectories,
    super_grid,
    trajectory_of,
)


@pytest.fixture
def case(linear_recogniser, speech_like) -> Case:
    """Log-odds linear in the samples, so that what each cell takes away adds up exactly."""
    clip = speech_like()
    weights = np.random.default_rng(0).standard_normal(clip.samples.size)
    return Case(linear_recogniser(weights), clip, "yes", seed=("linear",))


def effects(case: Case, grid: Grid) -> np.ndarray:
    """What each cell holds of the log-odds."""
    change = case.plane.differences(grid, case.fill_spectrum)
    whole = case.recogniser.log_odds(case.plane.samples[None])[0, 0]
    return whole - case.recogniser.log_odds(case.plane.samples + change)[:, 0]


def test_comprehensiveness_and_sufficiency_are_sums_of_effects(case, explain):
    effect = effects(case, case.grid)
    top = np.sort(effect)[::-1]
    n = top.size
    explained = Explained(explain(effect.reshape(case.grid.shape), case.grid))
    lost = [top[: round(share * n)].sum() for share in SHARES]
    left_out = [top[round(share * n) :].sum() for share in SHARES]
    assert make_metric("comprehensiveness").score(case, explained).value == pytest.approx(np.mean(lost), abs=2e-3)
    assert make_metric("sufficiency").score(case, explained).value == pytest.approx(np.mean(left_out), abs=2e-3)
    # no map does better than the effects themselves
    for i in range(5):
        other = Explained(explain(np.random.default_rng(i).permutation(effect).reshape(case.grid.shape), case.grid))
        assert make_metric("comprehensiveness").score(case, other).value < np.mean(lost)
        assert make_metric("sufficiency").score(case, other).value > np.mean(left_out)


@pytest.mark.parametrize("seed", range(10))
def test_curves_read_point_by_point(seed):
    generator = np.random.default_rng(seed)
    area = np.linspace(0, 1, 17)
    morf, lerf, *random = generator.normal(0, 3, (5, 17))
    places = [1, 2, 4, 8]
    assert comprehensiveness(area, morf) == pytest.approx(np.mean([morf[0] - morf[i] for i in places]), abs=1e-12)
    assert sufficiency(area, lerf) == pytest.approx(np.mean([lerf[0] - lerf[16 - i] for i in places]), abs=1e-12)
    expected = np.mean([sklearn_auc(area, curve) for curve in random]) - sklearn_auc(area, morf)
    assert delta_auc(area, morf, random) == pytest.approx(expected, abs=1e-12)
    gains = [morf[i] - morf[i + 1] for i in range(16)]
    assert monotonicity(morf) == sum(gain >= 0 for gain in gains) / 16
    assert irof(area, morf) == pytest.approx(1 - np.trapezoid(expit(morf) / expit(morf[0]), area), abs=1e-12)


def test_shares_between_steps_are_interpolated():
    """A grid of five cells has no step at 1/16: the curve is taken as straight between its steps."""
    area = np.linspace(0, 1, 6)
    morf = 10 * (1 - area)
    assert comprehensiveness(area, morf) == pytest.approx(10 * np.mean(SHARES))
    assert sufficiency(area, morf) == pytest.approx(10 * (1 - np.mean(SHARES)))


def test_known_values():
    area = np.linspace(0, 1, 17)
    flat = np.full(17, 2.0)
    assert irof(area, flat) == comprehensiveness(area, flat) == sufficiency(area, flat) == 0
    assert monotonicity(flat) == monotonicity(-area) == 1
    assert monotonicity(area) == 0
    assert monotonicity(flat + 1e-8 * (-1) ** np.arange(17)) == 1  # rounding is no step back
    assert irof(area, np.r_[2.0, np.full(16, -700.0)]) == pytest.approx(1 - 1 / 32)
    for unlikely in (-6.91, -20.0, -800.0):  # 1e-3 is -6.9068
        with pytest.raises(NotApplicable, match=r"probability on the clip is below 0\.001"):
            irof(area, np.r_[unlikely, np.zeros(16)])
    assert irof(area, np.r_[-6.9, np.full(16, -6.9)]) == 0


def test_random_orders_are_drawn_once_for_all_methods_and_again_for_each_fill(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("r",))
    before = cnn.calls
    first = random_trajectories(case)
    assert len(first) == RANDOM_TRAJECTORIES and cnn.calls - before == 32 * RANDOM_TRAJECTORIES
    assert random_trajectories(case.with_fill("attenuate")) is first
    noise = random_trajectories(case.with_fill("noise"))
    # the same orders, so that fills differ in the fill alone
    order = rng("r", "random order", 0).permutation(np.prod(case.grid.shape))
    for fill, found in (("attenuate", first), ("noise", noise)):
        np.testing.assert_array_equal(found[0].morf, deletion_trajectory(case.with_fill(fill), order).morf)
    assert not np.array_equal(noise[0].morf, first[0].morf)
    assert not np.array_equal(first[1].morf, first[0].morf)


def test_random_maps_gain_nothing_on_random_order(case, explain):
    """Random maps and their reverses: the mean over them is what the random orders have by luck."""
    scores = []
    for i in range(8):
        values = np.random.default_rng(i).standard_normal(case.grid.shape)
        scores += [
            make_metric("delta-auc").score(case, Explained(explain(s * values, case.grid))).value for s in (1, -1)
        ]
    best = make_metric("delta-auc").score(
        case, Explained(explain(effects(case, case.grid).reshape(case.grid.shape), case.grid))
    )
    # an order and its reverse average to the straight line where effects add up: so do the four random orders
    assert np.mean(scores) == pytest.approx(0, abs=1e-2)
    assert best.value > 3 * np.std(scores)


def test_native_cells_are_the_maps_own(case, explain):
    grid = Grid(band_edges_hz(8), np.array([0, case.clip.duration_s]))
    effect = effects(case, grid)
    attribution = explain(effect.reshape(8, 1), grid)
    order = np.argsort(-effect)
    slow = deletion_trajectory(case, order, grid)
    found = native_trajectory(case, attribution)
    np.testing.assert_array_equal(found.morf, slow.morf)
    assert found.area.size == 9 and found.model_calls == 16
    np.testing.assert_allclose(found.morf[0] - found.morf, np.r_[0, np.cumsum(effect[order])], atol=2e-3)
    value = make_metric("abpc-native").score(case, Explained(attribution)).value
    assert value == area_between(slow.area, slow.morf, slow.lerf)
    # on the scoring grid it is the trajectory that all share
    own = explain(np.random.default_rng(0).random(case.grid.shape), case.grid)
    assert native_trajectory(case, own) is trajectory_of(case, own)


def test_super_cells_cover_the_scoring_grid(cnn, speech_like, explain):
    for duration in (0.05, 0.5, 0.96, 2.41):
        case = Case(cnn, speech_like(duration_s=duration), "anger", seed=(duration,))
        grid = super_grid(case)
        assert grid == scoring_grid(case.clip.duration_s, 8, 0.16)
        values = np.random.default_rng(1).random(case.grid.shape)
        attribution = explain(values, case.grid)
        assert case.map_on(attribution, grid).sum() == pytest.approx(values.sum(), rel=1e-6)
        order = np.argsort(-case.map_on(attribution, grid).ravel())
        slow = deletion_trajectory(case, order, grid)
        p = expit(slow.morf)
        expected = 1 - auc(slow.area, p / p[0])
        assert make_metric("irof").score(case, Explained(attribution)).value == pytest.approx(expected, abs=1e-12)
