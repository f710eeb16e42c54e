"""Concept relevance: conditional maps, what they add up to, and the channels they are made for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import InputError
from serxai.methods.canonical import canonical
from serxai.methods.crp import Crp
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.models.cnn import ResidualCNN
from serxai.models.recogniser import TorchRecogniser

RULES = ("lrp-epsilon-plus", "lrp-epsilon-plus-flat", "lrp-gamma", "excitation-backprop")
CUTS = ("conv", "relu", "maxpool", "layer1.relu2", "layer2.relu2")  # all relevance flows through these


@pytest.fixture
def recogniser(on_features) -> TorchRecogniser:
    torch.manual_seed(1)
    network = ResidualCNN(4, 4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.normal_(module.bias, std=0.3)
    return on_features(network, dtype=torch.float32)


@pytest.mark.parametrize("layer", CUTS)
@pytest.mark.parametrize("rules", RULES)
def test_all_channels_add_up_to_the_unconditional_map(layer, rules, recogniser, voice, ask):
    asked = ask(recogniser, voice(duration_s=0.5))
    whole = make_method(rules).attribute(asked)
    found = Crp(layer, "all", rules=rules).attribute(asked)
    scale = np.abs(whole.values).max()
    np.testing.assert_allclose(sum(found.channels.values()), whole.values, atol=1e-4 * scale)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-4 * scale)
    assert found.details["layer_share"] == pytest.approx(1, abs=1e-3)
    assert found.details["chosen_share"] == pytest.approx(found.details["layer_share"], abs=1e-5)


def test_branches_of_a_block_share_its_relevance(recogniser, voice, ask):
    """What flows through the convolutions and past them, through the shortcut, is all there is."""
    asked = ask(recogniser, voice(duration_s=0.5))
    through, past = (Crp(f"layer1.{layer}", "all").attribute(asked) for layer in ("conv1", "shortcut.0"))
    whole = make_method("lrp-epsilon-plus-flat").attribute(asked)
    shares = [part.details["layer_share"] for part in (through, past)]
    assert sum(shares) == pytest.approx(1, abs=1e-3) and all(abs(share) > 1e-3 for share in shares)
    np.testing.assert_allclose(through.values + past.values, whole.values, atol=1e-4 * np.abs(whole.values).max())


def test_one_channel_by_the_chain_rule(on_features, voice, ask):
    """A 1 x 1 convolution: a cell's relevance through a channel is what that cell adds to the logit through it."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4, bias=False)
    )
    recogniser = on_features(network)
    asked = ask(recogniser, voice(0, 0.1))
    x = recogniser.features(asked.clip.samples)[0, 0].numpy()
    kernel, weight = network[0].weight.flatten().numpy(), network[3].weight[0].numpy()
    found = Crp("0", (2, 0), rules="lrp-gamma").attribute(asked)
    assert set(found.channels) == {"0:0", "0:2"}
    for channel in (0, 2):
        expected = kernel[channel] * weight[channel] * x / x.size
        np.testing.assert_allclose(found.channels[f"0:{channel}"], expected, rtol=1e-3, atol=1e-6)


def test_top_channels_carry_the_most_relevance(recogniser, voice, ask):
    asked = ask(recogniser, voice(duration_s=0.5))
    every = Crp(None, "all").attribute(asked)
    top = Crp(n_top=3).attribute(asked)
    sums = {name: part.sum(dtype=float) for name, part in every.channels.items()}
    assert list(top.channels) == sorted(sums, key=sums.get, reverse=True)[:3]
    np.testing.assert_array_equal(top.values, np.sum([every.channels[name] for name in top.channels], axis=0))
    assert top.details["chosen_share"] * top.details["start"] == pytest.approx(
        sum(sorted(sums.values())[-3:]), rel=1e-3
    )
    for name, part in top.channels.items():
        assert top.details[name] * top.details["start"] == pytest.approx(part.sum(dtype=float), rel=1e-3)
    assert sum(top.details[name] for name in top.channels) == pytest.approx(top.details["chosen_share"], abs=1e-6)
    assert len(Crp(n_top=1000).attribute(asked).channels) == len(every.channels) == 16


def test_fixed_channels_as_in_the_seed_code(recogniser, voice, ask):
    asked = ask(recogniser, voice(duration_s=0.5))
    found = Crp("layer1.conv1", (5,)).attribute(asked)
    every = Crp("layer1.conv1", "all").attribute(asked)
    assert list(found.channels) == ["layer1.conv1:5"]
    np.testing.assert_array_equal(found.values, every.channels["layer1.conv1:5"])


def test_a_folded_batch_norm_stands_for_its_convolution(recogniser, voice, ask):
    asked = ask(recogniser, voice(duration_s=0.5))
    one, other = (Crp(layer, (3,)).attribute(asked) for layer in ("layer1.bn1", "layer1.conv1"))
    np.testing.assert_array_equal(one.values, other.values)


def test_contrast(recogniser, voice):
    found = Crp().attribute(Request(recogniser, voice(duration_s=0.5), "anger", contrast="neutral"))
    logits = recogniser.network(recogniser.features(voice(duration_s=0.5).samples))[0]
    assert found.target == "anger-neutral"
    assert found.details["start"] == pytest.approx(float(logits[0] - logits[2]), rel=1e-4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "layer9"}, "no layer 'layer9' with a map; the network has conv, "),
        ({"layer": "linear"}, "no layer 'linear' with a map"),
        ({"channels": (3, 99)}, "no channel 99; the layer has 0 to 15"),
        ({"channels": "best"}, "channels must be top or all or some numbers, got 'best'"),
        ({"channels": ()}, "channels must be"),
        ({"n_top": 0}, "n_top must be at least 1, got 0"),
        ({"rules": "saliency"}, "rules must be one of lrp-epsilon-plus, .*, got 'saliency'"),
    ],
)
def test_bad_parameters_are_refused(options, message, recogniser, voice, ask):
    with pytest.raises(InputError, match=message):
        Crp(**options).attribute(ask(recogniser, voice(duration_s=0.5)))


def test_default_layer_is_the_last_map(recogniser):
    assert canonical(recogniser, "test").layer(None) == "layer2.relu2"
