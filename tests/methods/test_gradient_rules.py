"""Guided backpropagation and DeepLIFT against rules written out by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import NotApplicable, UnknownNameError
from serxai.methods.backprop import DeepLift, GuidedBackprop
from serxai.methods.explainer import Request
from serxai.methods.gradient import Saliency

FEATURES = 32 * 7


def by_hand(net, x: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Guided gradient of the log-odds; DeepLIFT's contributions to the logit, against features of -2."""
    before, baseline = net.before(x), net.before(np.full_like(x, -2.0))
    guided = net.w1.T @ (np.maximum(net.upstream(x, target), 0) * (before > 0))
    slope = (np.maximum(before, 0) - np.maximum(baseline, 0)) / (before - baseline)
    return guided, (x + 2.0) * (net.w1.T @ (slope * net.w2[target]))


@pytest.mark.parametrize("kind", ["module", "function", "reused", "in place"])
@pytest.mark.parametrize("seed", range(3))
def test_rules_by_hand(kind, seed, two_layers, on_features, voice, ask):
    """However the ReLU is written; hooked on the network itself, a function would be passed over."""
    net = two_layers(seed)
    asked = ask(on_features(net.module(kind)), voice(seed, 0.1), target="neutral")
    x = asked.recogniser.features(asked.clip.samples).numpy().ravel()
    guided, contributions = (found.reshape(32, 7) for found in by_hand(net, x, 2))
    found = GuidedBackprop().attribute(asked).values
    np.testing.assert_allclose(found, guided, rtol=1e-5, atol=1e-6 * np.abs(guided).max())
    assert not np.allclose(np.abs(found), Saliency().attribute(asked).values, rtol=1e-3)
    lift = DeepLift().attribute(asked)
    np.testing.assert_allclose(lift.values, contributions, rtol=1e-5, atol=1e-6 * np.abs(contributions).max())
    assert abs(lift.details["convergence_delta"]) < 1e-9


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d((3, 5), 1)], ids=str)
@pytest.mark.parametrize("baseline", ["silence", "attenuate", "noise", "twin"])
def test_deeplift_adds_up_to_the_change_of_the_logit(pool, baseline, on_features, voice, ask):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        pool,
        nn.Conv2d(6, 8, 3),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    nn.init.normal_(network[-1].weight, std=2)
    nn.init.uniform_(network[1].running_mean, -0.5, 0.5)
    asked = ask(on_features(network), voice(planted=True))
    attribution = DeepLift(baseline).attribute(asked)
    assert abs(attribution.values.sum(dtype=float)) > 1e-3
    assert abs(attribution.details["convergence_delta"]) < 1e-5


def test_contrast(two_layers, on_features, voice):
    recogniser, clip = on_features(two_layers(0).module()), voice(0, 0.1)
    one, other, both = (
        DeepLift().attribute(Request(recogniser, clip, target, contrast=contrast)).values
        for target, contrast in (("anger", None), ("sadness", None), ("anger", "sadness"))
    )
    np.testing.assert_allclose(both, one - other, atol=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("method", [GuidedBackprop(), DeepLift()], ids=lambda method: method.name)
def test_nothing_to_rule_is_not_applicable(method, on_features, voice, ask):
    linear = on_features(nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 4)))
    with pytest.raises(NotApplicable, match=r"needs one of ReLU.*; recogniser 'own' has none"):
        method.attribute(ask(linear, voice(0, 0.1)))
    assert linear.calls == 0


def test_captums_notices_are_not_passed_on(two_layers, on_features, voice, ask):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in (GuidedBackprop(), DeepLift()):
            assert method.attribute(ask(on_features(two_layers(0).module()), voice(0, 0.1))).values.any()


def test_unknown_baseline_is_refused(tiny_cnn, voice, ask):
    with pytest.raises(UnknownNameError, match="unknown baseline 'zeros'"):
        DeepLift("zeros").attribute(ask(tiny_cnn(), voice()))
