"""F-Fidelity against a plain twin, and what it gives known explanations on a recogniser whose cells add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai.audio import Plane
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case, Explained
from serxai.metrics.f_fidelity import DRAWS, FFidelity, f_fidelity, removals, removed_count
from serxai.metrics.faithfulness import SHARES
from serxai.metrics.trajectory import ranking
from serxai.models.fine_tuning import FineTuning
from serxai.models.recogniser import Recogniser

CLASSES = ("anger", "happiness", "neutral", "sadness")


class Additive(Recogniser):
    """Log-odds of anger are a weighted sum of the energies of cells, relative to those of the clip."""

    name, classes, fingerprint = "additive", CLASSES, "additive"

    def __init__(self, weights: np.ndarray, samples: np.ndarray, grid) -> None:
        self.scale, self.grid = weights / Plane(samples).energy(grid), grid

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.calls += len(waveforms)
        y = [float(np.sum(Plane(w.numpy()).energy(self.grid) * self.scale)) for w in waveforms]
        return torch.tensor([[v, -v, 0.0, 0.0] for v in y], dtype=torch.float64)


@pytest.fixture
def case(cnn, speech_like) -> Case:
    """The copy is additive, so that removals are known; the recogniser explained is another, as in a run."""
    clip = speech_like()
    plain = Case(cnn, clip, "anger", "attenuate", seed=(0, clip.id))
    weights = rng("weights").exponential(size=plain.grid.shape) ** 2
    copy = Additive(weights, clip.samples, plain.grid)
    return replace(plain, fine_tuned=lambda fill: copy)


@pytest.fixture
def score(case, explain):
    return lambda values, of=None: FFidelity().score(of or case, Explained(explain(values, case.grid))).value


def weights_of(case: Case) -> np.ndarray:
    copy = case.fine_tuned("attenuate")
    return copy.scale * case.plane.energy(case.grid)


def test_a_plain_twin_gives_the_same(case, score):
    """One removal at a time, cell by cell, with fidelity+ and fidelity- as the paper has them."""
    values = rng("map").standard_normal(case.grid.shape)
    order = sorted(range(values.size), key=lambda cell: -values.ravel()[cell])
    draw, copy, n = rng(*case.seed, "f-fidelity"), case.fine_tuned("attenuate"), values.size

    def answer(cells) -> float:
        keep = np.ones(n)
        keep[list(cells)] = 0
        return copy.log_odds(case.plane.render(keep.reshape(1, *case.grid.shape), case.grid, case.fill_spectrum))[0, 0]

    whole, parts = answer([]), []
    for share in SHARES:
        top = round(share * n)
        count = int(min(0.5 * top, 0.1 * n))
        plus, minus = [], []
        for _ in range(DRAWS):
            plus.append(whole - answer([order[rank] for rank in draw.permutation(top)[:count]]))
            minus.append(whole - answer([order[top + rank] for rank in draw.permutation(n - top)[:count]]))
        parts.append(np.mean(plus) - np.mean(minus))
    assert score(values) == pytest.approx(np.mean(parts), abs=1e-6)


def test_the_truth_beats_noise_and_energy_and_its_negative_loses(case, score):
    truth = weights_of(case)
    drawn = [score(rng("random", i).standard_normal(truth.shape)) for i in range(24)]
    error = np.std(drawn, ddof=1) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn)) < 3.5 * error  # 0 is expected at random
    best, energy = score(truth), score(case.plane.energy(case.grid))
    assert best > max(*drawn, energy) and score(-truth) < min(drawn)
    mixed = [score((1 - a) * truth / truth.std() + a * rng("mix").standard_normal(truth.shape)) for a in (0, 0.5, 0.9)]
    assert mixed == sorted(mixed, reverse=True)


def test_ties_are_broken_by_the_seed(case, score):
    flat = np.zeros(case.grid.shape)
    assert score(flat) == score(flat + 1.0)
    other = replace(case, seed=(1, case.clip.id), _memo={})
    assert score(flat, other) != score(flat)


def test_only_the_order_of_the_cells_counts(case, score):
    values = rng("map").standard_normal(case.grid.shape)
    assert score(values) == score(np.sign(values) * np.abs(values) ** 3)


def test_no_removal_is_larger_than_those_the_copy_has_heard():
    limit = FineTuning().share
    for n in (2, 3, 16, 100, 480, 3000):
        for share in SHARES:
            count, top = removed_count(n, share, limit), max(1, round(share * n))
            assert 1 <= count <= max(1, limit * n) and count <= max(1, min(top, n - top))
        order = rng("order", n).permutation(n)
        top_removed, rest_removed = removals(order, limit, rng("draws"))
        assert (top_removed.sum(axis=2) == rest_removed.sum(axis=2)).all()
        for i, share in enumerate(SHARES):
            top = order[: max(1, round(share * n))]
            assert top_removed[i].any(axis=0)[order[len(top) :]].sum() == 0
            assert rest_removed[i].any(axis=0)[top].sum() == 0
    assert f_fidelity(np.array([[1.0, 3.0]]), np.array([[4.0, 6.0]])) == 3.0


def test_all_methods_lose_the_cells_of_the_same_ranks(case):
    n = int(np.prod(case.grid.shape))
    one, other = rng("one").permutation(n), rng("other").permutation(n)
    first, second = removals(one, 0.1, rng("draw")), removals(other, 0.1, rng("draw"))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a[..., one], b[..., other])


def test_calls_are_those_of_the_copy_and_borne_by_the_recogniser(case, explain):
    explained, metric = Explained(explain(rng("m").standard_normal(case.grid.shape), case.grid)), FFidelity()
    before = case.recogniser.calls
    outcome = metric.score(case, explained)
    assert outcome.model_calls == sum(metric.work(case, explained).values()) == 2 * len(SHARES) * DRAWS
    assert case.recogniser.calls - before == case.fine_tuned("attenuate").calls == outcome.model_calls
    assert metric.score(case, explained) == outcome and case.recogniser.calls - before == outcome.model_calls


def test_it_is_skipped_with_the_reason(case, explain, energy_recogniser):
    explained = Explained(explain(rng("m").standard_normal(case.grid.shape), case.grid))
    with pytest.raises(NotApplicable, match="needs clips of the same corpus by other speakers"):
        FFidelity().score(replace(case, fine_tuned=None), explained)
    weights = np.ones(case.grid.shape)
    black_box = energy_recogniser(weights, case.clip.samples, case.grid)
    with pytest.raises(NotApplicable, match="'white-box' gives no gradient of its weights: it cannot be fine-tuned"):
        FFidelity().score(replace(case, recogniser=black_box, target="yes"), explained)
    assert ranking(weights, rng("x")).size == weights.size
