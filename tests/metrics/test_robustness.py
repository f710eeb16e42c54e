"""Consistency under shift: rank correlation against scipy, the scale between floor and ceiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from serxai.audio import Grid, scoring_grid
from serxai.errors import InputError, NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import make_metric
from serxai.metrics.robustness import consistency
from serxai.metrics.similarity import rank_correlation


@pytest.mark.parametrize("seed", range(30))
def test_rank_correlation_equals_scipy(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(2, 20, 2))
    a = generator.standard_normal(shape)
    b = a * generator.uniform(-1, 1) + generator.standard_normal(shape)
    if seed % 2:
        a, b = np.round(a), np.round(b)  # many ties
    expected = spearmanr(a, b, axis=None).statistic
    assert rank_correlation(a, b) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(a, a) == 1
    assert rank_correlation(a, -a) == -1


@pytest.mark.parametrize("constant", [np.ones((3, 4)), np.zeros((3, 4))])
def test_constant_maps_are_undefined(constant):
    other = np.arange(12.0).reshape(3, 4)
    for pair in ((constant, other), (other, constant), (np.ones((1, 1)), np.ones((1, 1)))):
        with pytest.raises(NotApplicable, match="constant"):
            rank_correlation(*pair)


def test_scale():
    assert consistency(0.9, ceiling=0.9, floor=0.3) == pytest.approx(1)
    assert consistency(0.3, ceiling=0.9, floor=0.3) == pytest.approx(0)
    assert consistency(0.0, ceiling=0.9, floor=0.3) == pytest.approx(-0.5)  # not clipped
    assert consistency(1.0, ceiling=0.9, floor=0.3) > 1
    assert consistency(0.1, ceiling=0.35, floor=0.299) == pytest.approx((0.1 - 0.299) / 0.051)
    for ceiling, floor in ((0.349, 0.3), (0.2, 0.9), (1, 1)):
        with pytest.raises(NotApplicable, match="ceiling - floor"):
            consistency(0.5, ceiling, floor)


@pytest.fixture
def case(cnn, speech_like):
    return Case(cnn, speech_like(), "anger", condition="noise-20db")


def test_metric_equals_its_definition(case, explain):
    generator = np.random.default_rng(0)
    clean = generator.standard_normal(case.grid.shape)
    near = [clean + s * generator.standard_normal(clean.shape) for s in (1.0, 0.2)]
    long = scoring_grid(2 * case.clip.duration_s)
    other = generator.standard_normal(long.shape)
    explained = Explained(
        explain(near[0], case.grid, model_calls=1000),
        clean=explain(clean, case.grid, model_calls=1),
        repeat=explain(near[1], case.grid, model_calls=20),
        other=explain(other, long, model_calls=300),
        other_duration_s=2 * case.clip.duration_s,
    )
    halved = other.reshape(clean.shape[0], clean.shape[1], 2).sum(axis=2)  # two 80 ms cells of twice the time in one
    s, ceiling, floor = (spearmanr(m, clean, axis=None).statistic for m in (*near, halved))
    outcome = make_metric("consistency").score(case, explained)
    assert outcome.value == pytest.approx((s - floor) / (ceiling - floor), abs=1e-9)
    assert outcome.model_calls == 321


def test_an_unchanged_map_scores_one_and_a_strangers_zero(case, explain):
    generator = np.random.default_rng(1)
    clean, other = (explain(generator.standard_normal(case.grid.shape), case.grid) for _ in range(2))
    companions = {"clean": clean, "repeat": clean, "other": other, "other_duration_s": case.clip.duration_s}
    metric = make_metric("consistency")
    assert metric.score(case, Explained(clean, **companions)).value == 1
    assert metric.score(case, Explained(other, **companions)).value == 0


def test_a_condition_may_move_time(cnn, speech_like, explain):
    """An explanation that follows the clip's moments is consistent; one that keeps relative time is not."""
    generator = np.random.default_rng(2)
    recorded = scoring_grid(1.92)
    values = generator.standard_normal(recorded.shape)
    clean, other = explain(values, recorded), explain(generator.standard_normal(recorded.shape), recorded)
    # the first half as it was, the second at twice the tempo: pairs of its cells become one
    clip = replace(speech_like(duration_s=1.44), time_map=((0.0, 0.0), (0.96, 0.96), (1.92, 1.44)))
    edges = np.concatenate([recorded.time_edges_s[:13], 0.96 + 0.04 * np.arange(1, 13)])
    case = Case(cnn, clip, "anger", condition="late")
    follows = explain(values, Grid(recorded.freq_edges_hz, edges))
    keeps = explain(values, Grid(recorded.freq_edges_hz, recorded.time_edges_s * 0.75))
    metric = make_metric("consistency")
    scores = [metric.score(case, Explained(m, clean, clean, other, 1.92)).value for m in (follows, keeps)]
    assert scores[0] == pytest.approx(1, abs=1e-6) and scores[1] < 0.8


def test_the_same_picture_for_every_clip_is_not_called_robust(case, explain):
    picture = explain(np.random.default_rng(3).standard_normal(case.grid.shape), case.grid)
    explained = Explained(picture, picture, picture, picture, case.clip.duration_s)
    with pytest.raises(NotApplicable, match="hardly more alike"):
        make_metric("consistency").score(case, explained)


def test_a_method_that_does_not_repeat_itself_is_not_scored(case, explain):
    """Random maps: no ceiling. Scoring the few whose floor is lower by luck would report a high mean."""
    scored = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        shifted, *rest = (explain(generator.standard_normal(case.grid.shape), case.grid) for _ in range(4))
        try:
            make_metric("consistency").score(case, Explained(shifted, *rest, case.clip.duration_s))
        except NotApplicable:
            continue
        scored += 1
    assert scored <= 3  # three standard deviations: .13 %


def test_companions_are_required(case, explain):
    clean = explain(np.random.default_rng(3).standard_normal(case.grid.shape), case.grid)
    with pytest.raises(InputError, match="clean, repeat and other"):
        make_metric("consistency").score(case, Explained(clean, clean, clean))
