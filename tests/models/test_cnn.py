"""The residual network: shape, the properties attribution methods need, and its front end's recogniser."""

from __future__ import annotations

import inspect
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import ClipError, InputError
from serxai.models import cnn
from serxai.models.cnn import ResidualBlock, ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser, one_vs_rest

CLASSES = ("anger", "happiness", "neutral", "sadness")


def network(seed: int = 0, **options) -> ResidualCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ResidualCNN(4, **{"width": 4, **options})
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):  # statistics that are not the identity
                nn.init.normal_(module.running_mean, 0, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def recogniser(seed: int = 0) -> TorchRecogniser:
    return TorchRecogniser("cnn", CLASSES, LogMel(), network(seed), "fingerprint", "test")


def noise(n: int, samples: int = 9000, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((n, samples))).astype(np.float32)


@pytest.mark.parametrize("frames", [3, 20, 114, 201])
def test_takes_any_length(frames: int) -> None:
    assert network()(torch.zeros(2, 1, 128, frames)).shape == (2, 4)


def test_layers_are_those_of_the_paper() -> None:
    net = ResidualCNN(7, width=32)
    shapes = {}
    for name in ("conv", "maxpool", "layer1", "layer2", "pool"):
        getattr(net, name).register_forward_hook(
            lambda m, i, o, name=name: shapes.__setitem__(name, tuple(o.shape[1:]))
        )
    net(torch.zeros(2, 1, 128, 134))
    assert shapes == {
        "conv": (32, 64, 67), "maxpool": (32, 32, 34), "layer1": (64, 32, 34), "layer2": (128, 16, 17),
        "pool": (128, 1, 1),
    }  # fmt: skip
    assert net.dropout.p == 0.5 and net.linear.out_features == 7


def test_relus_are_modules_used_once_and_nothing_is_functional() -> None:
    net = network()
    calls: dict[nn.Module, int] = {}
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda m, i, o: calls.__setitem__(m, calls.get(m, 0) + 1))
    net(torch.zeros(1, 1, 128, 30))
    assert sum(isinstance(m, nn.ReLU) for m in calls) == 5
    assert set(calls.values()) == {1}
    assert "functional" not in inspect.getsource(cnn).replace("Functional", "")


def test_batch_norms_follow_their_convolution_in_declaration_and_in_data_flow() -> None:
    net = network()
    leaves = [m for m in net.modules() if not list(m.children())]
    for before, norm in pairwise(leaves):
        if isinstance(norm, nn.BatchNorm2d):
            assert isinstance(before, nn.Conv2d) and before.out_channels == norm.num_features
    # merging by declaration order must not change the network, as it does in the released code
    features = torch.randn(3, 1, 128, 40, generator=torch.Generator().manual_seed(0))
    expected = net(features)
    for before, norm in pairwise(leaves):
        if isinstance(norm, nn.BatchNorm2d):
            fused = torch.nn.utils.fuse_conv_bn_eval(before, norm)
            before.weight, before.bias = fused.weight, fused.bias
            norm.reset_running_stats(), norm.reset_parameters()
            norm.eps = 0.0
    torch.testing.assert_close(net(features), expected, atol=1e-4, rtol=1e-4)


def test_residual_block_is_the_sum_of_its_branches() -> None:
    block = ResidualBlock(3, 6, stride=2).eval()
    x = torch.randn(2, 3, 16, 10)
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(branch + block.shortcut(x)))


@pytest.mark.parametrize("wrong", [{"n_classes": 1}, {"n_classes": 4, "width": 0}, {"n_classes": 4, "dropout": 1.0}])
def test_refuses_nonsense(wrong: dict) -> None:
    with pytest.raises(InputError, match="ResidualCNN"):
        ResidualCNN(**wrong)


# -- as a recogniser ---------------------------------------------------------------------------------------------------


def test_one_vs_rest_is_the_log_odds_of_the_softmax() -> None:
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 4
    p = torch.softmax(logits, dim=1)
    torch.testing.assert_close(one_vs_rest(logits), torch.log(p / (1 - p)))


def test_one_vs_rest_of_two_classes_is_the_difference() -> None:
    logits = torch.tensor([[3.0, -1.0], [400.0, -400.0]])
    torch.testing.assert_close(one_vs_rest(logits), torch.tensor([[4.0, -4.0], [800.0, -800.0]]))


def test_rows_of_a_batch_equal_single_rows() -> None:
    model = recogniser()
    waveforms = noise(11)
    single = np.concatenate([model.log_odds(row[None]) for row in waveforms])
    np.testing.assert_allclose(model.log_odds(waveforms), single, atol=1e-5, rtol=0)


def test_a_copy_scores_the_same_in_any_company() -> None:
    model = recogniser()
    waveforms = noise(19)
    together = model.log_odds(waveforms)
    for rows in ([0, 5], list(range(3, 12)), [18, 2, 9]):
        assert np.array_equal(model.log_odds(waveforms[rows]), together[rows])


@pytest.mark.parametrize(("copies", "calls"), [(1, 1), (2, 8), (8, 8), (9, 16), (16, 16), (17, 24)])
def test_calls_count_the_copies_with_their_fill_up(copies: int, calls: int) -> None:
    model = recogniser()
    shapes = []
    model.network.register_forward_pre_hook(lambda module, args: shapes.append(len(args[0])))
    assert model.log_odds(noise(copies, 2000)).shape == (copies, 4)
    assert model.calls == sum(shapes) == calls


def test_probabilities_are_the_softmax() -> None:
    model = recogniser()
    waveforms = noise(5)
    with torch.no_grad():
        expected = torch.softmax(model.network(model.front_end(torch.from_numpy(waveforms))), dim=1).numpy()
    np.testing.assert_allclose(model.predict_proba(waveforms), expected, atol=1e-6)


def test_gradient_flows_from_log_odds_to_the_waveform() -> None:
    model = recogniser()
    waveform = torch.from_numpy(noise(1)).requires_grad_()
    model.feature_log_odds(model.front_end(waveform))[0, 2].backward()
    assert waveform.grad is not None and bool(torch.isfinite(waveform.grad).all())
    assert waveform.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in model.network.parameters())


def test_features_lie_on_the_grid() -> None:
    model = recogniser()
    samples = noise(1)[0]
    assert tuple(model.features(samples).shape[2:]) == model.feature_grid(len(samples)).shape


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_waveforms_that_are_not_finite(bad: float) -> None:
    waveforms = noise(2)
    waveforms[1, 7] = bad
    with pytest.raises(ClipError, match="NaN or infinite"):
        recogniser().log_odds(waveforms)


def test_refuses_waveforms_below_one_window() -> None:
    model = recogniser()
    with pytest.raises(ClipError, match="30 ms window"):
        model.log_odds(noise(1, 479))
    assert np.isfinite(model.log_odds(noise(1, 480))).all()


def test_refuses_wrong_shapes_and_unknown_classes() -> None:
    model = recogniser()
    with pytest.raises(InputError, match="shape"):
        model.log_odds(noise(1)[0])
    with pytest.raises(InputError, match="joy"):
        model.class_index("joy")
    assert model.class_index("neutral") == 2
