"""Sanity: random weights, another class, another clip; the recogniser itself is never touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from serxai import _torchvision
from serxai.errors import InputError, NotApplicable
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import make_metric
from serxai.metrics.sanity import PARTS, complexity_rise, histogram_entropy, layers_of, part_of, randomised

_torchvision.ensure_torchvision()


def weights(recogniser):
    return [p.detach().clone() for layer in layers_of(recogniser.network) for p in layer.parameters(recurse=False)]


def test_every_layer_is_in_one_part_from_output_to_input():
    for n in (1, 3, 4, 9, 40):
        part = part_of(n)
        assert part[-1] == 0 and np.all(np.diff(part) <= 0) and part.max() <= PARTS - 1
        if n >= PARTS:
            assert set(part) == set(range(PARTS))
            assert np.ptp(np.bincount(part)) <= 1


def test_layers_hold_every_parameter_once(cnn):
    layers = layers_of(cnn.network)
    held = [id(p) for layer in layers for p in layer.parameters(recurse=False)]
    assert sorted(held) == sorted(id(p) for p in cnn.network.parameters())
    assert isinstance(layers[-1], torch.nn.Linear)  # the output comes last


@pytest.mark.parametrize("parts", [(0,), (2,), (0, 1), (0, 1, 2, 3)])
def test_weights_are_permuted_in_their_parts_alone(cnn, speech_like, parts):
    before, calls, fingerprint = weights(cnn), cnn.calls, cnn.fingerprint
    samples = speech_like().samples[None]
    said = cnn.log_odds(samples)
    copy = randomised(cnn, parts, ("seed", 1))
    copy_said = copy.log_odds(samples)
    assert cnn.calls == calls + 1 and copy.calls == calls + 2  # each counts its own
    assert cnn.fingerprint == fingerprint != copy.fingerprint
    for old, kept in zip(before, weights(cnn), strict=True):
        assert torch.equal(old, kept)
    layers = layers_of(copy.network)
    place = 0
    for layer, part in zip(layers, part_of(len(layers)), strict=True):
        for parameter in layer.parameters(recurse=False):
            old = before[place]
            place += 1
            assert torch.equal(old.flatten().sort().values, parameter.flatten().sort().values)
            if part not in parts:
                assert torch.equal(old, parameter)
            elif old.unique().numel() > 8:
                assert not torch.equal(old, parameter)
    assert not np.allclose(copy_said, said)
    np.testing.assert_array_equal(cnn.log_odds(samples), said)


def test_draws_depend_on_seed_and_layer_not_on_other_parts(cnn):
    both, one = weights(randomised(cnn, (0, 1), ("a",))), weights(randomised(cnn, (0,), ("a",)))
    assert torch.equal(both[-2], one[-2])  # the output layer's weights
    assert not torch.equal(weights(randomised(cnn, (0,), ("b",)))[-2], one[-2])
    again = weights(randomised(cnn, (0, 1), ("a",)))
    assert all(torch.equal(x, y) for x, y in zip(both, again, strict=True))


def test_what_never_asks_the_recogniser_fails(cnn, speech_like, explained_as_in_a_run):
    case = Case(cnn, speech_like(), "anger", seed=("sanity",))
    for method in ("random", "energy"):
        explained = explained_as_in_a_run(case, method)
        for name in ("parameter-randomisation", "independent-randomisation", "random-logit"):
            assert make_metric(name).score(case, explained).value == 1
        assert make_metric("efficient-randomisation").score(case, explained).value == 0


def test_a_gradient_depends_on_weights_and_class(cnn, speech_like, explained_as_in_a_run):
    found = {"parameter-randomisation": [], "independent-randomisation": [], "random-logit": []}
    for seed in range(3):
        case = Case(cnn, speech_like(seed), "anger", seed=("sanity", seed))
        explained = explained_as_in_a_run(case, "input-x-gradient")
        for name in found:
            found[name].append(make_metric(name).score(case, explained).value)
    assert np.mean(found["parameter-randomisation"]) < 0.8
    assert np.mean(found["random-logit"]) < 0.8


def test_the_cascade_by_hand(cnn, speech_like, explained_as_in_a_run):
    case = Case(cnn, speech_like(), "anger", seed=("hand",))
    explained = explained_as_in_a_run(case, "saliency")
    own = case.map(explained.attribution).ravel()
    expected = [
        spearmanr(own, case.map(explained.explain(case.clip, recogniser=randomised(cnn, parts, case.seed))).ravel())[0]
        for parts in ((0,), (0, 1), (0, 1, 2), (0, 1, 2, 3))
    ]
    found = make_metric("parameter-randomisation").score(case, explained).value
    assert found == pytest.approx(np.mean(expected), abs=1e-9)


def test_random_logit_takes_the_next_likely_class(cnn, speech_like):
    case = Case(cnn, speech_like(), "anger", seed=("logit",))
    order = [cnn.classes[i] for i in np.argsort(-case.log_odds)]
    asked = []

    def explain(clip, *seed, recogniser=None, target=None):
        asked.append(target)
        return Attribution(np.random.default_rng(0).random(case.grid.shape), case.grid, target, "test")

    for target in order:
        one = Case(cnn, case.clip, target)
        attribution = Attribution(np.random.default_rng(0).random(case.grid.shape), case.grid, target, "test")
        assert make_metric("random-logit").score(one, Explained(attribution, explain=explain)).value == 1
    assert asked == [order[1], *[order[0]] * (len(order) - 1)]


def test_input_independence_is_the_similarity_with_another_clip(cnn, speech_like):
    case = Case(cnn, speech_like(duration_s=0.96), "anger")
    values = np.random.default_rng(0).random(case.grid.shape)
    own = Attribution(values, case.grid, "anger", "test")
    metric = make_metric("input-independence")
    same = Explained(own, other=own, other_duration_s=case.clip.duration_s)
    assert metric.score(case, same).value == 1
    stretched = Attribution(values, case.grid.stretched(0.96, 1.92), "anger", "test", model_calls=7)
    outcome = metric.score(case, Explained(own, other=stretched, other_duration_s=1.92))
    assert outcome.value == 1 and outcome.model_calls == 7  # the same picture in relative time
    with pytest.raises(InputError, match="companion other"):
        metric.score(case, Explained(own))


@pytest.mark.parametrize("seed", range(5))
def test_histogram_entropy_is_quantus(seed):
    from quantus.functions.complexity_func import discrete_entropy

    values = np.random.default_rng(seed).standard_normal((16, 12)) ** 3
    assert histogram_entropy(values) == pytest.approx(discrete_entropy(a=values, x=values, num_bins=100), abs=1e-9)


def test_complexity_rise_of_known_maps():
    constant, two = np.ones((4, 4)), np.r_[np.zeros(8), np.ones(8)]
    assert histogram_entropy(constant) == 0 and histogram_entropy(two) == pytest.approx(np.log(2))
    assert complexity_rise(two, np.repeat([0.0, 1, 2, 3], 4)) == pytest.approx(1)
    assert complexity_rise(two, constant) == -1
    with pytest.raises(NotApplicable, match="constant"):
        complexity_rise(constant, two)
