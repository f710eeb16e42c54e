"""Metrics that read tables of removals, against captum, Quantus, scipy and plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from scipy.stats import pearsonr, spearmanr

from serxai import _torchvision
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case, Explained
from serxai.metrics.prediction import (
    CORRELATION_SIZE,
    correlation,
    faithfulness_correlation,
    faithfulness_estimate,
    infidelity,
    monotonicity_correlation,
    sensitivity_n,
)
from serxai.metrics.records import make_metric
from serxai.metrics.removals import SUBSET_SHARES, SUBSETS, random_removals, random_subsets, single_removals
from serxai.metrics.trajectory import super_grid

_torchvision.ensure_torchvision()


class CellNetwork(torch.nn.Module):
    """A network on the cells of a map, with interactions: what removing cells does is known by asking."""

    def __init__(self, seed: int, n_cells: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(n_cells, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture
def cells():
    """A network, a map of 8 x 8 cells, relevance, and effects of removals (cells set to 0) by asking."""

    def make(seed: int):
        generator = np.random.default_rng(seed)
        network = CellNetwork(seed, 64).eval()
        x = generator.random((1, 1, 8, 8)).astype(np.float32)
        relevance = (x * generator.standard_normal((1, 1, 8, 8))).astype(np.float32)

        def effect(removed: np.ndarray) -> np.ndarray:
            copies = np.where(removed.reshape(-1, 1, 8, 8), 0, x).astype(np.float32)
            with torch.no_grad():
                return (network(torch.tensor(x)) - network(torch.tensor(copies)))[:, 0].double().numpy()

        return network, x, relevance, effect

    return make


@pytest.mark.parametrize("seed", range(5))
def test_infidelity_is_captums_normalised(cells, seed):
    """captum multiplies the perturbation of the input with the attribution: here both are per unit of input."""
    network, x, relevance, effect = cells(seed)
    removed, _ = random_subsets(64, rng("captum", seed))
    per_unit = relevance / x
    drawn = iter(removed.astype(np.float32))

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taken = torch.stack([torch.tensor(next(drawn)).view(1, 8, 8) for _ in inputs]) * inputs
        return taken, inputs - taken

    expected = captum_infidelity(
        lambda i: network(i)[:, 0],
        perturb,
        torch.tensor(x),
        torch.tensor(per_unit),
        n_perturb_samples=len(removed),
        max_examples_per_batch=len(removed),
        normalize=True,
    )
    change = effect(removed)
    told = removed @ relevance.ravel().astype(float)
    if told @ change < 0:  # captum would turn the map round, which rewards the opposite of an explanation
        assert infidelity(relevance.ravel().astype(float), removed, change) == 1
        relevance = -relevance
    found = infidelity(relevance.ravel().astype(float), removed, change) * np.mean(change**2)
    assert found == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_scipys(cells, seed):
    _, _, relevance, effect = cells(seed)
    flat = relevance.ravel().astype(float)
    removed, size = random_subsets(64, rng("scipy", seed))
    change = effect(removed)
    by_size = [pearsonr(removed[size == s] @ flat, change[size == s])[0] for s in range(len(SUBSET_SHARES))]
    quarter = size == CORRELATION_SIZE
    found = faithfulness_correlation(flat, removed[quarter], change[quarter])
    assert found == pytest.approx(by_size[CORRELATION_SIZE], abs=1e-9)
    assert sensitivity_n(flat, removed, change, size) == pytest.approx(np.mean(by_size), abs=1e-9)
    single = effect(np.eye(64, dtype=bool))
    assert faithfulness_estimate(flat, single) == pytest.approx(pearsonr(flat, single)[0], abs=1e-9)
    expected = spearmanr(np.abs(flat), single**2)[0]
    assert monotonicity_correlation(flat, single) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_quantus_clip_by_clip(cells, seed):
    """Where its definition is ours: the estimate exactly, the correlation within the error of random sets.

    Quantus normalises maps by their maximum (a correlation does not care) and asks for probabilities unless told not
    to. Its Infidelity removes patches cumulatively, its MonotonicityCorrelation measures an uncertainty over random
    values: no oracles for removals.
    """
    import quantus

    network, x, relevance, effect = cells(seed)
    common = {"disable_warnings": True, "perturb_baseline": 0.0, "return_aggregate": False}
    call = {
        "model": network,
        "x_batch": x,
        "y_batch": np.array([0]),
        "a_batch": relevance,
        "softmax": False,
        "channel_first": True,
        "device": "cpu",
        "batch_size": 1,
    }
    flat = relevance.ravel().astype(float)
    (expected,) = quantus.FaithfulnessEstimate(features_in_step=1, **common)(**call)
    assert faithfulness_estimate(flat, effect(np.eye(64, dtype=bool))) == pytest.approx(expected, abs=1e-4)

    (expected,) = quantus.FaithfulnessCorrelation(nr_runs=2000, subset_size=16, **common)(**call)
    place = rng("quantus", seed).random((4000, 64)).argsort(axis=1).argsort(axis=1)
    found = faithfulness_correlation(flat, place < 16, effect(place < 16))
    assert found == pytest.approx(expected, abs=4 / np.sqrt(2000))  # 4 standard errors of theirs


def test_perfect_and_opposite_maps():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal(64)
    removed, size = random_subsets(64, generator)
    effect = removed @ truth
    for scale in (1, 1e-6, 1e6):
        assert infidelity(scale * truth, removed, effect) == pytest.approx(0, abs=1e-12)
        assert sensitivity_n(scale * truth, removed, effect, size) == pytest.approx(1)
        assert sensitivity_n(-scale * truth, removed, effect, size) == pytest.approx(-1)
    assert infidelity(-truth, removed, effect) == infidelity(np.zeros(64), removed, effect) == 1
    assert faithfulness_estimate(truth, truth) == pytest.approx(1)
    assert monotonicity_correlation(-3 * truth, truth) == pytest.approx(1)  # sign and scale do not count


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_effects_is_not_ranked(seed):
    """Most cells have no effect at all: what a float32 network makes of them must not put them in order."""
    generator = np.random.default_rng(seed)
    relevance, effect = generator.standard_normal(64), np.zeros(64)
    effect[:4] = generator.standard_normal(4)
    expected = spearmanr(np.abs(relevance), effect**2)[0]
    assert monotonicity_correlation(relevance, effect) == pytest.approx(expected, abs=1e-12)
    noise = 1e-7 * generator.standard_normal(64)
    assert monotonicity_correlation(relevance, effect + noise) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("constant", [np.full(64, 0.1), np.zeros(64), np.full(64, -1e9)])
def test_constant_maps_are_undefined_whatever_rounding_says(constant):
    generator = np.random.default_rng(0)
    removed, size = random_subsets(64, generator)
    effect = generator.standard_normal(len(removed))
    with pytest.raises(NotApplicable, match="same for all sets"):
        sensitivity_n(constant, removed, effect, size)
    with pytest.raises(NotApplicable, match="same for all sets"):
        correlation(effect[:5], np.ones(5))


@pytest.mark.parametrize("n_cells", [1, 2, 7, 64, 480])
def test_sets_are_of_the_sizes_told_and_every_cell_is_as_likely(n_cells):
    removed, size = random_subsets(n_cells, np.random.default_rng(n_cells))
    counts = [max(1, round(share * n_cells)) for share in SUBSET_SHARES]
    np.testing.assert_array_equal(removed.sum(axis=1), np.repeat(counts, SUBSETS))
    np.testing.assert_array_equal(size, np.repeat(range(4), SUBSETS))
    if n_cells == 7:
        share = np.mean([random_subsets(7, np.random.default_rng(i))[0] for i in range(50)], axis=(0, 1))
        np.testing.assert_allclose(share, share.mean(), atol=0.02)


@pytest.mark.parametrize("fill", ["attenuate", "noise"])
def test_tables_are_what_a_plain_loop_finds(cnn, speech_like, fill):
    case = Case(cnn, speech_like(), "anger", fill, seed=("table",))
    for table, grid in ((random_removals(case), case.grid), (single_removals(case), super_grid(case))):
        for i in np.random.default_rng(0).choice(len(table.removed), 6, replace=False):
            keep = ~table.removed[i].reshape(1, *grid.shape)
            left = cnn.log_odds(case.plane.render(keep, grid, case.fill_spectrum))[0, 0]
            assert table.effect[i] == pytest.approx(case.log_odds[0] - left, abs=1e-5)
        assert np.ptp(table.effect) > 1e-3
    np.testing.assert_array_equal(single_removals(case).removed, np.eye(np.prod(super_grid(case).shape)))


@pytest.mark.parametrize("batch", [1, 3, 8, 24, 32, 48, 100])
def test_model_calls_are_what_the_work_says_whatever_the_batch(linear_recogniser, speech_like, explain, batch):
    clip = speech_like(duration_s=0.4)
    weights = np.random.default_rng(0).standard_normal(clip.samples.size)
    effects = []
    for size in (8, batch):
        recogniser = linear_recogniser(weights)
        recogniser.batch = size
        case = Case(recogniser, clip, "yes", seed=("calls",))
        explained = Explained(explain(np.random.default_rng(0).random(case.grid.shape), case.grid))
        for name in ("sensitivity-n", "faithfulness-estimate"):
            case, before = replace(case, _memo={}), recogniser.calls
            told = make_metric(name).score(case, explained).model_calls
            assert recogniser.calls - before == told == sum(make_metric(name).work(case, explained).values())
        effects.append(random_removals(case).effect)
    np.testing.assert_allclose(*effects, atol=1e-5)


def test_sets_are_the_same_for_all_fills(cnn, speech_like):
    case = Case(cnn, speech_like(), "anger", "attenuate", seed=("table",))
    a, b = random_removals(case), random_removals(case.with_fill("noise"))
    np.testing.assert_array_equal(a.removed, b.removed)
    assert not np.array_equal(a.effect, b.effect)
    other = random_removals(Case(cnn, case.clip, "anger", "attenuate", seed=("another clip",)))
    assert not np.array_equal(a.removed, other.removed)


def test_true_effects_score_best(linear_recogniser, speech_like, explain):
    clip = speech_like()
    weights = np.random.default_rng(0).standard_normal(clip.samples.size)
    case = Case(linear_recogniser(weights), clip, "yes", seed=("linear",))
    change = case.plane.differences(case.grid, case.fill_spectrum).double().numpy() @ weights
    truth = explain(-change.reshape(case.grid.shape), case.grid)
    names = ("faithfulness-correlation", "sensitivity-n", "infidelity", "faithfulness-estimate")
    found = {name: make_metric(name).score(case, Explained(truth)).value for name in names}
    # removals of a linear recogniser add up, up to float32 and cells that share frames
    assert found["faithfulness-correlation"] > 0.999 and found["sensitivity-n"] > 0.999
    assert found["infidelity"] < 1e-3
    assert found["faithfulness-estimate"] > 0.9  # super-cells do not nest in an even number of columns everywhere
    random = [explain(np.random.default_rng(i).standard_normal(case.grid.shape), case.grid) for i in range(10)]
    scores = [make_metric("sensitivity-n").score(case, Explained(a)).value for a in random]
    assert abs(np.mean(scores)) < 0.2 and max(scores) < 0.6
