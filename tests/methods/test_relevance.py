"""Relevance propagation against rules written out by hand, and what it must conserve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import InputError, NotApplicable
from serxai.methods.canonical import canonical
from serxai.methods.explainer import Request
from serxai.methods.gradient import InputXGradient
from serxai.methods.records import METHODS, make_method
from serxai.methods.relevance import ExcitationBackprop, LrpEpsilonPlus, LrpEpsilonPlusFlat, LrpGamma
from serxai.models.cnn import ResidualCNN
from serxai.models.recogniser import TorchRecogniser

FEATURES = 32 * 7  # the tiny front end's map of a 0.1 s clip
LRP = ("lrp-epsilon-plus", "lrp-epsilon-plus-flat", "lrp-gamma", "excitation-backprop")


class Misdeclared(nn.Module):
    """A residual network whose batch norms are declared after all convolutions, with functional activations and sums.

    As in the seed code: folding by declaration order would change what it computes.
    """

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, stride=2, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(6, 6, 1, bias=bias)
        self.bn1, self.bn2 = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4, bias=bias)
        for norm in (self.bn1, self.bn2):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias, std=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(x))
        branch += self.shortcut(x)
        x = nn.functional.relu(branch, inplace=True)
        return self.fc(nn.functional.max_pool2d(x, 2).mean(dim=(2, 3)))


def residual(seed: int, width: int = 4) -> nn.Module:
    """The benchmark's own network with random weights and statistics."""
    torch.manual_seed(seed)
    network = ResidualCNN(4, width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias, std=0.3)
    nn.init.normal_(network.linear.bias, std=0.5)
    return network


NETWORKS = {"residual": residual, "misdeclared": lambda seed: (torch.manual_seed(seed), Misdeclared())[1]}


# -- canonical form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("seed", range(4))
def test_canonical_form_computes_the_same(kind, seed, on_features):
    recogniser = on_features(NETWORKS[kind](seed), dtype=torch.float32)
    form = canonical(recogniser, "test")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in form.network.modules())
    features = torch.randn(5, 1, 32, 40, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(form.network(features), recogniser.network(features), rtol=1e-5, atol=1e-5)


def test_batch_norm_follows_the_data_not_the_declaration(on_features):
    """Folded as declared, the last convolution before a batch norm would be the shortcut."""
    form = canonical(on_features(NETWORKS["misdeclared"](0)), "test")
    assert form.folded == {"bn1": "conv1", "bn2": "conv2"}
    assert list(form.maps) == ["conv1", "relu", "conv2", "shortcut", "add", "relu_1", "max_pool2d"]
    assert form.first == {"conv1"}


def test_networks_that_cannot_be_followed_are_skipped_with_the_reason(on_features, voice, ask):
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3)).expand(-1, 4) * (1 if x.sum() > 0 else 2)

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * x.mean(dim=(2, 3), keepdim=True)).mean(dim=(2, 3)).expand(-1, 4)

    recurrent = nn.Sequential(nn.Flatten(2), nn.Flatten(0, 1), nn.LSTM(32 * 7, 4))
    for network, reason in (
        (Branches(), "cannot be followed"),
        (Product(), "no relevance rule is known for"),
        (nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 4), nn.Softmax(dim=1)), "no rule for layers of kind Softmax"),
        (recurrent, "no rule for layers of kind LSTM"),
    ):
        recogniser = on_features(network)
        for name in LRP:
            with pytest.raises(NotApplicable, match=reason):
                make_method(name).attribute(ask(recogniser, voice(0, 0.1)))
            with pytest.raises(NotApplicable, match=reason):
                make_method(name).calls(1600, recogniser)
        assert recogniser.calls == 0


def test_a_form_that_computes_something_else_is_refused(tiny_cnn, voice, ask):
    """A batch norm that is left in training mode uses statistics of its own, which folding does not."""
    recogniser = tiny_cnn()
    recogniser.network[1].train()
    with pytest.raises(NotApplicable, match=r"is off by .* on this clip"):
        LrpEpsilonPlus().attribute(ask(recogniser, voice(duration_s=0.3)))


# -- rules -----------------------------------------------------------------------------------------------------------


def relevance(net, x: np.ndarray, target: int, share) -> np.ndarray:
    """Of one logit of two layers, by a rule written out as sums over pairs."""
    hidden = np.maximum(net.before(x), 0)
    return share(x + 2.0, net.w1, share(hidden, net.w2, np.eye(4)[target] * net.logits(x)))


def epsilon_rule(x, weights, relevance):
    found = np.zeros_like(x)
    for j, upper in enumerate(relevance):
        contributions = x * weights[j]
        if contributions.sum() != 0:
            found += upper * contributions / contributions.sum()
    return found


def plus_rule(x, weights, relevance):
    found = np.zeros_like(x)
    for j, upper in enumerate(relevance):
        contributions = np.maximum(x * weights[j], 0)
        found += upper * (contributions / contributions.sum() if contributions.sum() > 0 else 1 / x.size)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_epsilon_rule_by_hand(seed, two_layers, on_features, voice, ask):
    net = two_layers(seed)
    asked = ask(on_features(net.module()), voice(seed, 0.1), target="neutral")
    x = asked.recogniser.features(asked.clip.samples).numpy().ravel()
    for method in (LrpEpsilonPlus(), LrpGamma()):
        attribution = method.attribute(asked)
        expected = relevance(net, x, 2, epsilon_rule).reshape(32, 7)
        np.testing.assert_allclose(attribution.values, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        assert attribution.details["conserved"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_excitation_backprop_by_hand(seed, two_layers, on_features, voice, ask):
    net = two_layers(seed)
    asked = ask(on_features(net.module()), voice(seed, 0.1), target="neutral")
    x = asked.recogniser.features(asked.clip.samples).numpy().ravel()
    hidden = np.maximum(net.before(x), 0)
    expected = plus_rule(x + 2.0, net.w1, plus_rule(hidden, net.w2, np.eye(4)[2])).reshape(32, 7)
    attribution = ExcitationBackprop().attribute(asked)
    np.testing.assert_allclose(attribution.values, expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert attribution.values.min() >= 0 and attribution.values.sum() == pytest.approx(1, abs=1e-5)


class OneConvolution(nn.Module):
    """Convolution, ReLU, mean of all cells, linear layer: small enough for loops."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.relu = nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU()
        self.pool, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flatten(self.pool(self.relu(self.conv(x)))))


def convolution_by_hand(network, x, target, rule, gamma=0.25):
    """Relevance of a logit of `OneConvolution`, neuron by neuron and weight by weight; x of shape (32, 7)."""
    weight, bias = network.conv.weight.detach().numpy(), network.conv.bias.detach().numpy()
    tall, wide = 16, 4
    at_input = np.zeros_like(x)
    places = {
        (k, i, j): [
            (2 * i + u - 1, 2 * j + v - 1, weight[k, 0, u, v])
            for u in range(3)
            for v in range(3)
            if 0 <= 2 * i + u - 1 < 32 and 0 <= 2 * j + v - 1 < 7
        ]
        for k in range(3)
        for i in range(tall)
        for j in range(wide)
    }
    z = {n: bias[n[0]] + sum(w * x[p, q] for p, q, w in seen) for n, seen in places.items()}
    a = {n: max(0.0, value) for n, value in z.items()}
    pooled = np.array([np.mean([a[k, i, j] for i in range(tall) for j in range(wide)]) for k in range(3)])
    logit = float(network.fc.weight[target].detach().numpy() @ pooled + network.fc.bias[target].item())
    channels = epsilon_rule(pooled, network.fc.weight[target].detach().numpy()[None], [logit])
    for n, seen in places.items():
        relevance = channels[n[0]] * a[n] / (tall * wide * pooled[n[0]]) if pooled[n[0]] else 0.0
        contributions = np.array([w * (x[p, q] + 2.0) for p, q, w in seen])  # from silence
        if rule == "plus":
            contributions = np.maximum(contributions, 0)
        elif rule == "gamma":
            sign = np.sign(contributions.sum())
            contributions = contributions + gamma * sign * np.maximum(sign * contributions, 0)
        elif rule == "flat":
            contributions = np.ones(len(seen))
        total = contributions.sum()
        shares = contributions / total if abs(total) > 1e-9 else np.full(len(seen), 1 / len(seen))
        for (p, q, _), share in zip(seen, shares, strict=True):
            at_input[p, q] += relevance * share
    return at_input


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "method, rule", [(LrpEpsilonPlus(), "plus"), (LrpEpsilonPlusFlat(), "flat"), (LrpGamma(), "gamma")]
)
def test_convolution_rules_by_hand(seed, method, rule, on_features, voice, ask):
    recogniser = on_features(OneConvolution(seed))
    asked = ask(recogniser, voice(seed, 0.1), target=recogniser.classes[seed])
    x = recogniser.features(asked.clip.samples)[0, 0].numpy()
    expected = convolution_by_hand(recogniser.network, x, seed, rule)
    values = method.attribute(asked).values
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_linear_network_gets_input_times_gradient(on_features, voice, ask):
    """Without biases and with two classes whose weights are opposite, log-odds are twice the logit."""
    torch.manual_seed(0)
    layer = nn.Linear(FEATURES, 2, bias=False)
    layer.weight.data[1] = -layer.weight.data[0]
    asked = ask(on_features(nn.Sequential(nn.Flatten(), layer), ("yes", "no")), voice(0, 0.1))
    expected = InputXGradient().attribute(asked).values / 2
    shift = -2.0 * float(layer.weight[0].sum())  # what silence itself says, like a bias
    attribution = LrpEpsilonPlus().attribute(asked)
    scale = attribution.details["start"] / (attribution.details["start"] - shift)
    np.testing.assert_allclose(attribution.values, expected * scale, rtol=1e-4, atol=1e-6)


# -- conservation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LRP)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("seed", range(4))
def test_relevance_adds_up_to_what_it_started_with(name, kind, seed, on_features, voice, ask):
    recogniser = on_features(NETWORKS[kind](seed), dtype=torch.float32)
    asked = ask(recogniser, voice(seed, 0.5), target=recogniser.classes[seed])
    logit = float(recogniser.network(recogniser.features(asked.clip.samples))[0, seed])
    attribution = make_method(name).attribute(asked)
    start = 1.0 if name == "excitation-backprop" else logit
    assert attribution.details["start"] == pytest.approx(start, rel=1e-5)
    assert abs(attribution.values.sum(dtype=float) - start) < 1e-3 * abs(start)
    assert attribution.details["conserved"] == pytest.approx(1, abs=1e-3)
    kept = make_method(name, biases="kept").attribute(asked)
    assert kept.details["bias_share"] == pytest.approx(1 - kept.values.sum(dtype=float) / start, abs=1e-3)
    assert abs(kept.details["bias_share"]) > 1e-3


def test_neurons_driven_by_their_bias_lose_nothing(on_features, voice, ask):
    """All weights negative: nothing contributes positively anywhere, and zennit's own rule would pass nothing on."""
    network = OneConvolution(0)
    network.conv.weight.data = -network.conv.weight.data.abs()
    network.conv.bias.data.fill_(40.0)
    asked = ask(on_features(network), voice(0, 0.1))
    attribution = LrpEpsilonPlus().attribute(asked)
    assert attribution.details["conserved"] == pytest.approx(1, abs=1e-5)
    assert np.abs(attribution.values).max() > 0


def test_contrast_starts_with_the_difference_of_logits(on_features, voice):
    recogniser, clip = on_features(residual(0), dtype=torch.float32), voice(duration_s=0.5)
    one, other = (LrpEpsilonPlus().attribute(Request(recogniser, clip, name)) for name in ("anger", "sadness"))
    both = LrpEpsilonPlus().attribute(Request(recogniser, clip, "anger", contrast="sadness"))
    assert both.target == "anger-sadness"
    scale = max(np.abs(one.values).max(), np.abs(other.values).max())
    np.testing.assert_allclose(both.values, one.values - other.values, atol=2e-4 * scale)
    assert both.details["start"] == pytest.approx(one.details["start"] - other.details["start"], rel=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"biases": "none"}, "biases must be 'zeroed' or 'kept', got 'none'"),
        ({"gamma": -1.0}, "gamma must be at least 0, got -1.0"),
    ],
)
def test_bad_parameters_are_refused(options, message, tiny_cnn, voice, ask):
    with pytest.raises(InputError, match=message):
        LrpGamma(**options).attribute(ask(tiny_cnn(), voice()))


def test_records_call_relevance_what_needs_layers():
    family = {record.name for record in METHODS if record.family == "relevance"}
    assert family == {*LRP, "crp", "crp-paper"}
    assert all(METHODS.get(name).needs == "features" for name in family)


@pytest.mark.real_data
def test_the_authors_checkpoint_is_explained_to_the_last_unit(data_root):
    """Their rules, biases zeroed, on what their network makes of TESS clips."""
    from serxai.datasets.corpora import load_corpus
    from serxai.models.obtain import load_model

    path = data_root / "beyond-saliency-checkpoints" / "best_model_tess.pth"
    recogniser = load_model("beyond-saliency-tess", checkpoint=path)
    assert isinstance(recogniser, TorchRecogniser)
    corpus = load_corpus("tess", data_root)
    for clip_id in list(corpus.table.index)[:: len(corpus.table) // 5][:5]:
        clip = corpus.clip(clip_id)
        target = recogniser.classes[int(recogniser.log_odds(clip.samples[None])[0].argmax())]
        for name in ("lrp-epsilon-plus", "lrp-epsilon-plus-flat"):
            attribution = make_method(name).attribute(Request(recogniser, clip, target))
            assert attribution.details["conserved"] == pytest.approx(1, abs=1e-3)
