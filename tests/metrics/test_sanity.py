"""Sanity: random weights, another class, another clip; the recogniser itself is never touched."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from serxai import _torchvision
from serxai.errors import InputError, NotApplicable
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained, work_of
from serxai.metrics.records import make_metric
from serxai.metrics.sanity import PARTS, complexity_rise, histogram_entropy, layers_of, part_of, randomised
from serxai.models.front_end import LogMel
from serxai.models.head import LinearHead
from serxai.models.headed import HeadedNetwork
from serxai.models.planted_rule import PlantedRule
from serxai.models.recogniser import TorchRecogniser
from serxai.models.waveform import WaveformRecogniser

_torchvision.ensure_torchvision()


def weights(recogniser):
    return [p.detach().clone() for layer in layers_of(recogniser.network) for p in layer.parameters(recurse=False)]


def test_every_layer_is_in_one_part_from_output_to_input():
    for n in (1, 2, 3, 4, 5, 9, 40):
        part = part_of(n)
        assert part[-1] == 0 and np.all(np.diff(part) <= 0)
        assert set(part) == set(range(min(PARTS, n)))  # none is empty
        assert np.ptp(np.bincount(part)) <= 1
    assert part_of(0).size == 0


def test_layers_hold_every_weight_that_a_permutation_can_change_once(cnn):
    layers = layers_of(cnn.network)
    held = [id(p) for layer in layers for p in layer.parameters(recurse=False)]
    assert len(held) == len(set(held))
    left = [p for p in cnn.network.parameters() if id(p) not in held]
    assert left and all(p.unique().numel() == 1 for p in left)  # of batch norms that were never trained
    assert isinstance(layers[-1], torch.nn.Linear)  # the output comes last


class Dense(nn.Module):
    """Some linear layers on the mean spectrum, each behind a layer that a permutation cannot change."""

    def __init__(self, n_layers: int):
        super().__init__()
        sizes = [128, *[24] * (n_layers - 1), 4]
        layers = [layer for n, m in pairwise(sizes) for layer in (nn.LayerNorm(n), nn.Linear(n, m), nn.PReLU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, features):
        return self.layers(features.mean(dim=(1, 3)))


def dense(n_layers: int) -> TorchRecogniser:
    torch.manual_seed(n_layers)
    return TorchRecogniser("dense", ("a", "b", "c", "d"), LogMel(), Dense(n_layers), "dense")


RANDOMISED = ("parameter-randomisation", "independent-randomisation", "efficient-randomisation")


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4, 9])
def test_networks_of_any_number_of_layers(speech_like, explained_as_in_a_run, n_layers):
    """As many networks are explained as there are parts, none of them twice, and each differs from the original."""
    recogniser = dense(n_layers)
    case = Case(recogniser, speech_like(), "a", seed=("layers", n_layers))
    explained = explained_as_in_a_run(case, "input-x-gradient")
    assert [type(layer) for layer in layers_of(recogniser.network)] == [nn.Linear] * n_layers
    asked = []

    def explain(*args, **kwargs):
        asked.append(kwargs["recogniser"].fingerprint)
        return explained.explain(*args, **kwargs)

    own, n = case.map(explained.attribution), min(PARTS, n_layers)
    watched = replace(explained, explain=explain)
    alone = {}
    for name, networks in zip(RANDOMISED, (n, n, 1), strict=True):
        asked.clear()
        before, fresh = recogniser.calls, replace(case, _memo={})
        told = work_of(make_metric(name), fresh, watched)
        alone[name] = make_metric(name).score(fresh, watched)
        assert len(asked) == len(set(asked)) == len(told) == networks
        assert sum(told.values()) == alone[name].model_calls == recogniser.calls - before == networks
    asked.clear()
    assert {name: make_metric(name).score(case, watched) for name in RANDOMISED} == alone
    assert len(asked) == len(set(asked)) == 2 * n - 1  # the output part alone is the cascade's first network
    changed = [
        case.map(explained.explain(case.clip, recogniser=randomised(recogniser, (p,), case.seed))) for p in range(n)
    ]
    similarities = [spearmanr(own.ravel(), other.ravel())[0] for other in changed]
    assert max(similarities) < 1
    assert alone["independent-randomisation"].value == pytest.approx(np.mean(similarities), abs=1e-9)


def test_a_network_without_weights_is_not_randomised(speech_like, explained_as_in_a_run):
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(128)  # all ones, all zeros: no permutation changes it

        def forward(self, features):
            return self.norm(features.mean(dim=(1, 3)))[:, :2]

    case = Case(TorchRecogniser("bare", ("a", "b"), LogMel(), Bare(), "0"), speech_like(), "a")
    explained = explained_as_in_a_run(case, "saliency")
    for name in RANDOMISED:
        with pytest.raises(NotApplicable, match="'bare' has no weights that could be re-drawn"):
            make_metric(name).score(case, explained)


def test_a_linear_head_is_the_output_layer(speech_like):
    """What was fitted is re-drawn; what only describes the features stays, as a batch norm's statistics do."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.AdaptiveAvgPool2d((8, 1)), nn.Flatten(), nn.Linear(8, 6))
    head = LinearHead(5, 6)
    draws = np.random.default_rng(0)
    head.load_state_dict({name: torch.from_numpy(draws.random(v.shape) + 0.5) for name, v in head.state_dict().items()})
    recogniser = TorchRecogniser("headed", tuple("abcde"), LogMel(), HeadedNetwork(body, head), "0")
    assert layers_of(recogniser.network) == [body[2], head]
    copy = randomised(recogniser, (0,), ("head",))
    assert torch.equal(copy.network.body[2].weight, body[2].weight)
    for name, old in head.state_dict().items():
        new = copy.network.head.state_dict()[name]
        assert torch.equal(new.flatten().sort().values, old.flatten().sort().values)
        assert torch.equal(new, old) == (name in ("mean", "scale")), name
    clip = speech_like().samples[None]
    assert not np.allclose(copy.log_odds(clip), recogniser.log_odds(clip))


def test_networks_on_waveforms_are_randomised_too(speech_like, explained_as_in_a_run):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Unflatten(1, (1, -1)),
        nn.Conv1d(1, 6, 64, 32),
        nn.ReLU(),
        nn.Conv1d(6, 6, 8, 4),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    recogniser = WaveformRecogniser("waves", ("a", "b", "c"), module, "0")
    case = Case(recogniser, speech_like(), "a", seed=("waves",))
    explained, before = explained_as_in_a_run(case, "saliency"), recogniser.calls
    copy = randomised(recogniser, (1,), case.seed)  # the convolution in the middle
    same = [torch.equal(a, b) for a, b in zip(copy.module.parameters(), module.parameters(), strict=True)]
    assert same == [True, True, False, False, True, True]
    outcome = make_metric("parameter-randomisation").score(case, explained)
    assert outcome.model_calls == recogniser.calls - before == 3 and outcome.value < 1


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
    for name, values in found.items():
        assert np.mean(values) < 0.8, name


def test_the_white_box_has_one_layer_and_depends_on_it(speech_like, explained_as_in_a_run):
    found = []
    for seed in range(3):
        case = Case(PlantedRule(), speech_like(seed), "anger", seed=("sanity", seed))
        explained = explained_as_in_a_run(case, "input-x-gradient")
        cascade, alone = (make_metric(name).score(case, explained) for name in RANDOMISED[:2])
        assert cascade == alone and cascade.model_calls == 1
        found.append(alone.value)
    assert np.mean(found) < 0.5


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
