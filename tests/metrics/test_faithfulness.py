"""Areas under curves against numpy and scikit-learn; the three metrics together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc as sklearn_auc

from serxai.audio import Grid, band_edges_hz
from serxai.errors import ClipError
from serxai.metrics.case import Case, Explained
from serxai.metrics.faithfulness import area_between, auc, deletion_auc, insertion_auc
from serxai.metrics.records import make_metric


@pytest.mark.parametrize("seed", range(20))
def test_areas_equal_other_implementations(seed):
    generator = np.random.default_rng(seed)
    steps = int(generator.integers(1, 17))
    area = np.r_[0, np.sort(generator.random(steps - 1)), 1]
    morf, lerf = generator.normal(0, 5, (2, steps + 1))
    assert auc(area, morf) == pytest.approx(np.trapezoid(morf, area), abs=1e-12)
    assert auc(area, morf) == pytest.approx(sklearn_auc(area, morf), abs=1e-12)
    assert deletion_auc(area, morf) == auc(area, morf)
    assert insertion_auc(area, lerf) == pytest.approx(np.trapezoid(lerf[::-1], area), abs=1e-12)
    equal = np.linspace(0, 1, steps + 1)
    # read backwards over equal steps, a curve keeps its area: the area between is that between the two curves
    assert insertion_auc(equal, lerf) == pytest.approx(auc(equal, lerf), abs=1e-12)
    assert area_between(equal, morf, lerf) == pytest.approx(np.trapezoid(lerf - morf, equal), abs=1e-12)


def test_area_of_a_constant_curve_is_its_height():
    assert auc(np.linspace(0, 1, 17), np.full(17, -2.5)) == pytest.approx(-2.5, abs=1e-15)


def test_the_three_metrics_cost_one_trajectory(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("a",))
    explained = Explained(explain(np.random.default_rng(0).standard_normal(case.grid.shape), case.grid))
    before = cnn.calls
    outcomes = {name: make_metric(name).score(case, explained) for name in ("deletion", "insertion", "abpc")}
    assert cnn.calls - before == 32
    assert {o.model_calls for o in outcomes.values()} == {32}
    assert outcomes["abpc"].value == outcomes["insertion"].value - outcomes["deletion"].value


@pytest.mark.parametrize("fill", ["attenuate", "noise", "spectral-mean"])
def test_scores_do_not_depend_on_order(cnn, speech_like, explain, fill):
    """Bitwise the same for any order of clips, methods and metrics, and with or without others before."""
    names = ("deletion", "insertion", "abpc", "gini")
    seeds = range(3)

    def cases():
        return {s: Case(cnn, speech_like(s), "anger", fill, seed=(s,)) for s in seeds}

    def explained(case, method):
        size = case.grid.shape
        values = np.random.default_rng(len(method)).integers(0, 3, size)  # many ties
        return Explained(explain(values, case.grid, method))

    jobs = [(s, m, n) for s in seeds for m in ("a", "bb") for n in names]

    def run(jobs, shared):
        made = cases()
        found = {}
        for s, m, n in jobs:
            case = made[s] if shared else cases()[s]
            found[s, m, n] = make_metric(n).score(case, explained(case, m))
        return found

    first = run(jobs, shared=True)
    assert run(jobs[::-1], shared=True) == first
    some = [jobs[i] for i in np.random.default_rng(0).permutation(len(jobs))[:8]]
    assert run(some, shared=False).items() <= first.items()


def test_constant_zero_and_negative_maps_are_scored_as_rankings(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("a",))
    shape = case.grid.shape

    def score(values):
        return make_metric("abpc").score(case, Explained(explain(values, case.grid))).value

    assert score(np.zeros(shape)) == score(np.ones(shape)) == score(np.full(shape, -3.0))
    values = np.random.default_rng(0).random(shape)
    assert score(values - 2) == score(values)  # only the order counts


@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (1, 12), (128, 65), (16, 12)])
def test_maps_finer_and_coarser_than_the_grid(cnn, speech_like, explain, shape):
    clip = speech_like()
    case = Case(cnn, clip, "anger", seed=("a",))
    grid = Grid(band_edges_hz(shape[0]), np.linspace(0, clip.duration_s, shape[1] + 1))
    attribution = explain(np.random.default_rng(1).standard_normal(shape), grid)
    assert case.map(attribution).shape == (16, 12)
    assert case.map(attribution).sum() == pytest.approx(attribution.values.sum(dtype=float), abs=1e-5)
    assert np.isfinite(make_metric("abpc").score(case, Explained(attribution)).value)


def test_a_recogniser_that_fails_is_a_clip_error(linear_recogniser, speech_like, explain):
    clip = speech_like()
    case = Case(linear_recogniser(np.full(clip.samples.size, np.nan)), clip, "yes")
    with pytest.raises(ClipError, match="not finite"):
        make_metric("deletion").score(case, Explained(explain(np.ones(case.grid.shape), case.grid)))
