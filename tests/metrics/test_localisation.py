"""Localisation against Quantus, brute force over tie orders, and the planted truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from serxai import _torchvision  # noqa: F401  (before quantus)
from serxai.datasets.clip import Plant, Word
from serxai.datasets.planted.truth import TRUTH_MASS, truth_map
from serxai.errors import NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.localisation import (
    case_truth_mask,
    mass_accuracy,
    pointing_game,
    rank_accuracy,
    truth_auc,
    truth_iou,
)
from serxai.metrics.records import make_metric


@pytest.fixture(scope="module")
def quantus_score():
    """Score of one map by a Quantus metric, one clip a call."""
    import quantus

    def score(name, relevance, mask):
        metric = getattr(quantus, name)(abs=False, normalise=False, disable_warnings=True)
        (value,) = metric(
            model=None,
            x_batch=np.zeros((1, 1, *relevance.shape)),
            y_batch=np.zeros(1, int),
            a_batch=relevance[None, None].copy(),
            s_batch=mask[None, None],
            channel_first=True,
        )
        return value

    return score


def draw(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(2, 20, 2))
    mask = generator.random(shape) < generator.uniform(0.05, 0.9)
    mask.flat[0] = True
    return generator.standard_normal(shape), mask


@pytest.mark.parametrize("seed", range(30))
def test_equal_quantus(quantus_score, seed):
    relevance, mask = draw(seed)
    expected = quantus_score("RelevanceRankAccuracy", relevance, mask)
    assert rank_accuracy(relevance, mask) == pytest.approx(expected, abs=1e-12)
    # Quantus divides by the signed sum, the paper by the positive one: they agree on maps without negative cells
    positive = np.clip(relevance, 0, None)
    expected = quantus_score("RelevanceMassAccuracy", positive, mask)
    assert mass_accuracy(positive, mask) == pytest.approx(expected, abs=1e-12)
    assert mass_accuracy(relevance, mask) == mass_accuracy(positive, mask)


@pytest.mark.parametrize("seed", range(10))
def test_rank_accuracy_is_the_mean_over_all_orders_of_ties(seed):
    generator = np.random.default_rng(seed)
    relevance = generator.integers(-1, 2, (2, 3)).astype(float)
    mask = generator.permutation([True] * 2 + [False] * 4).reshape(2, 3)
    scores = []
    for tie_break in permutations(range(6)):
        order = np.lexsort((np.array(tie_break), -relevance.ravel()))
        scores.append(mask.ravel()[order[:2]].mean())
    assert rank_accuracy(relevance, mask) == pytest.approx(np.mean(scores), abs=1e-12)


def test_the_mask_itself_scores_exactly_one():
    for seed in range(10):
        _, mask = draw(seed)
        assert mass_accuracy(mask.astype(float), mask) == 1
        assert rank_accuracy(mask.astype(float), mask) == 1
        assert rank_accuracy(mask - 5.0, mask) == 1  # negative-only maps have a ranking
        if not mask.all():
            assert mass_accuracy((~mask).astype(float), mask) == 0


def test_constant_maps_score_as_a_random_one():
    _, mask = draw(0)
    assert rank_accuracy(np.zeros(mask.shape), mask) == pytest.approx(mask.mean(), abs=1e-15)
    assert mass_accuracy(np.ones(mask.shape), mask) == pytest.approx(mask.mean(), abs=1e-15)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), -np.ones((2, 2))])
def test_mass_needs_positive_relevance(values):
    with pytest.raises(NotApplicable, match="no positive relevance"):
        mass_accuracy(values, np.eye(2, dtype=bool))


def test_one_cell():
    mask = np.ones((1, 1), bool)
    assert mass_accuracy(np.ones((1, 1)), mask) == rank_accuracy(np.ones((1, 1)), mask) == 1


@pytest.fixture
def planted(cnn, speech_like):
    """A clip that is 12 dB louder than its twin between 0.4 and 0.64 s."""
    twin = speech_like().samples
    samples = twin.copy()
    samples[6400:10240] *= 4
    clip = replace(speech_like(), samples=samples, plant=Plant(twin, (Word("a", 0.4, 0.64),)))
    return Case(cnn, clip, "anger")


@pytest.mark.parametrize("name", ["mass-accuracy", "rank-accuracy"])
def test_relevance_on_the_planted_cells_scores_one_at_no_call(planted, explain, cnn, name):
    mask = case_truth_mask(planted)
    columns = np.flatnonzero(mask.any(axis=0))
    assert {5, 6, 7} <= set(columns) <= {4, 5, 6, 7, 8} and not mask.all(axis=1).any()
    before = cnn.calls
    metric = make_metric(name)
    outcome = metric.score(planted, Explained(explain(mask, planted.grid)))
    assert (outcome.value, outcome.model_calls) == (1, 0)
    assert metric.score(planted, Explained(explain(1.0 - mask, planted.grid))).value < 0.5
    assert cnn.calls == before


def test_the_truth_map_itself_ranks_perfectly_and_holds_the_masks_mass(planted, explain):
    truth = truth_map(planted.clip, planted.plane, planted.twin_plane, planted.grid)
    explained = Explained(explain(truth, planted.grid))
    assert make_metric("rank-accuracy").score(planted, explained).value == 1
    assert TRUTH_MASS - 1e-6 <= make_metric("mass-accuracy").score(planted, explained).value < 1


@pytest.mark.parametrize("name", ["mass-accuracy", "rank-accuracy"])
@pytest.mark.parametrize("plant", [None, "neutral"])
def test_clips_without_a_planted_cue_are_skipped(cnn, speech_like, explain, name, plant):
    clip = speech_like()
    clip = replace(clip, plant=Plant(clip.samples, ()) if plant else None)
    case = Case(cnn, clip, "anger")
    with pytest.raises(NotApplicable, match="no planted cue" if plant else "no ground truth"):
        make_metric(name).score(case, Explained(explain(np.ones(case.grid.shape), case.grid)))


@pytest.mark.parametrize("seed", range(20))
def test_pointing_game_auc_and_iou_against_others(quantus_score, seed):
    from sklearn.metrics import jaccard_score, roc_auc_score

    relevance, mask = draw(seed)
    assert pointing_game(relevance, mask) == quantus_score("PointingGame", relevance, mask)
    if not mask.all():
        expected = roc_auc_score(mask.ravel(), relevance.ravel())
        assert truth_auc(relevance, mask) == pytest.approx(expected, abs=1e-12)
        assert truth_auc(np.round(relevance), mask) == pytest.approx(
            roc_auc_score(mask.ravel(), np.round(relevance).ravel()), abs=1e-12
        )
        # Quantus takes the truth for the score: the same number, as every threshold is swept
        assert truth_auc(relevance, mask) == pytest.approx(quantus_score("AUC", relevance, mask), abs=1e-9)
    k = int(mask.sum())
    top = np.zeros(mask.size, dtype=bool)
    top[np.argsort(-relevance.ravel())[:k]] = True
    assert truth_iou(relevance, mask) == pytest.approx(jaccard_score(mask.ravel(), top), abs=1e-12)


def test_localisation_of_ties_and_of_the_truth_itself():
    mask = np.array([[True, True, False], [False, False, False]])
    one = np.ones((2, 3))
    assert pointing_game(one, mask) == pytest.approx(1 / 3)
    assert truth_auc(one, mask) == truth_auc(-one, mask) == 0.5
    assert truth_iou(one, mask) == pytest.approx((1 / 3) / (2 - 1 / 3))
    for score in (pointing_game, truth_auc, truth_iou):
        assert score(mask * 1.0, mask) == 1 and score(-(mask * 1.0), mask) == 0
    for all_or_nothing in (np.ones((2, 3), bool), np.zeros((2, 3), bool)):
        with pytest.raises(NotApplicable, match="one side"):
            truth_auc(one, all_or_nothing)
