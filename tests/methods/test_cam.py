"""Class activation maps against captum and sums written out, and where their cells lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable
from serxai.methods.cam import GradCam, LayerCam
from serxai.methods.canonical import Spacing, canonical
from serxai.models.cnn import ResidualCNN


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layer", [None, "0", "4"])
def test_gradcam_equals_captums(seed, layer, tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(seed), voice(seed, 0.5), target="neutral")
    recogniser = asked.recogniser
    module = recogniser.network[{None: 4, "0": 1, "4": 4}[layer]]  # a convolution's map is taken after its batch norm
    oracle = LayerGradCam(lambda x: recogniser.feature_log_odds(x)[:, 2], module)
    expected = oracle.attribute(recogniser.features(asked.clip.samples).requires_grad_())[0, 0].detach().numpy()
    values = GradCam(layer).attribute(asked).values
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(4))
def test_layercam_by_hand(seed, tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(seed, torch.float64), voice(seed, 0.3), target="neutral")
    recogniser = asked.recogniser
    with torch.no_grad():
        activation = recogniser.network[:5](recogniser.features(asked.clip.samples))[0]

    def y(maps: torch.Tensor) -> float:
        logits = recogniser.network[5:](maps[None])[0]
        return float(logits[2] - torch.logsumexp(logits[[0, 1, 3]], 0))

    expected = np.zeros(activation.shape[1:])
    with torch.no_grad():
        for place in np.ndindex(*activation.shape):  # finite differences, one cell of one channel after the other
            step = torch.zeros_like(activation)
            step[place] = 1e-5
            slope = (y(activation + step) - y(activation - step)) / 2e-5
            expected[place[1:]] += max(slope, 0) * float(activation[place])
    np.testing.assert_allclose(LayerCam().attribute(asked).values, expected, rtol=1e-4, atol=1e-7)


LAYERS = [
    nn.Conv2d(1, 2, 3, stride=2, padding=1),
    nn.Conv2d(1, 2, 7, stride=2, padding=3),
    nn.Conv2d(1, 2, 3),
    nn.Conv2d(1, 2, (1, 5), stride=(1, 3)),
    nn.Conv2d(1, 2, 3, dilation=2, padding="same"),
    nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(2, 2, 3, padding=1)),
    nn.Sequential(nn.Conv2d(1, 2, 5, 2, 2), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3, stride=2)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_cells_lie_where_their_receptive_fields_do(layer, on_features):
    """The middle of what a cell's gradient reaches, away from the edges, is the centre told by strides and paddings."""
    layer = nn.Sequential(*layer) if isinstance(layer, nn.Sequential) else nn.Sequential(layer)
    network = nn.Sequential(*layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 4))
    spacing = list(canonical(on_features(network, dtype=torch.float32), "test").maps.values())[-1]
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.rand(1, 1, 48, 53, requires_grad=True)
    out = layer(x)
    row, column = out.shape[2] // 2, out.shape[3] // 2
    maxpool = any(isinstance(module, nn.MaxPool2d) for module in layer)
    reached = torch.zeros(48, 53)
    for _ in range(60 if maxpool else 1):  # a maximum looks at one place at a time
        x = torch.rand(1, 1, 48, 53, requires_grad=True)
        reached += torch.autograd.grad(layer(x)[0, 0, row, column], x)[0][0, 0].abs()
    for axis, index in ((0, row), (1, column)):
        places = np.flatnonzero(reached.sum(dim=1 - axis).numpy())
        middle = (places[0] + places[-1]) / 2
        assert middle == spacing.first[axis] + index * spacing.step[axis]


def test_edges_lie_halfway_between_centres_and_cover_the_features(tiny_cnn):
    cells = tiny_cnn().feature_grid(16_000)
    grid = Spacing((4, 4), (0.0, 1.5)).grid((8, 17), cells)
    assert grid.shape == (8, 17)
    assert grid.freq_edges_hz[[0, -1]].tolist() == cells.freq_edges_hz[[0, -1]].tolist()
    assert grid.time_edges_s[[0, -1]].tolist() == cells.time_edges_s[[0, -1]].tolist()
    # between rows 0 and 4 lies the middle of row 2; between columns 1.5 and 5.5 the edge before column 4
    assert grid.freq_edges_hz[1] == pytest.approx(cells.freq_edges_hz[2:4].mean())
    assert grid.time_edges_s[1] == pytest.approx(cells.time_edges_s[4])


def test_cells_outside_the_features_are_refused(tiny_cnn):
    with pytest.raises(NotApplicable, match="cells lie outside"):
        Spacing((4, 4), (0.0, 0.0)).grid((12, 17), tiny_cnn().feature_grid(16_000))


class Ear(nn.Module):
    """A network of convolutions that adds up all levels above a threshold, at the resolution of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.ReLU()
        self.pool, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)
        nn.init.constant_(self.conv.weight, 1 / 9)
        nn.init.constant_(self.conv.bias, 0.5)
        nn.init.zeros_(self.fc.bias)
        self.fc.weight.data = torch.tensor([[1.0], [0.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flatten(self.pool(self.relu(self.conv(x)))))


@pytest.mark.parametrize("time_s, freq_hz", [(0.2, 400.0), (0.67, 1500.0), (0.9, 3200.0), (1.05, 6000.0)])
@pytest.mark.parametrize("method", [GradCam(), LayerCam()], ids=lambda method: method.name)
def test_tone_burst_lights_its_own_cell(method, time_s, freq_hz, on_features, ask):
    t = np.arange(round(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    burst = 0.3 * np.exp(-(((t - time_s) / 0.02) ** 2)) * np.sin(2 * np.pi * freq_hz * t)
    clip = Clip("burst", burst.astype(np.float32))
    attribution = method.attribute(ask(on_features(Ear(), ("yes", "no"), torch.float32), clip))
    row, column = np.unravel_index(attribution.values.argmax(), attribution.values.shape)
    low, high = attribution.grid.freq_edges_hz[[row, row + 1]]
    start, end = attribution.grid.time_edges_s[[column, column + 1]]
    assert low - 100 <= freq_hz <= high + 100  # a mel filter reaches beyond its cell
    assert start - 0.015 <= time_s <= end + 0.015


def test_default_layer_of_the_benchmarks_network(on_features, voice, ask):
    torch.manual_seed(0)
    asked = ask(on_features(ResidualCNN(4, 4), dtype=torch.float32), voice())
    default, named = (GradCam(layer).attribute(asked) for layer in (None, "layer2.relu2"))
    assert np.array_equal(default.values, named.values)
    assert default.values.shape == (4, 7)  # 32 x 54 features, 8 times coarser
    assert GradCam("layer1.relu2").attribute(asked).values.shape == (8, 14)


def test_networks_without_a_map_are_skipped(on_features, voice, ask):
    dense = on_features(nn.Sequential(nn.Flatten(), nn.Linear(32 * 7, 4)))
    with pytest.raises(NotApplicable, match="no layer of the network is a map"):
        GradCam().attribute(ask(dense, voice(0, 0.1)))
    with pytest.raises(NotApplicable, match="no layer of the network is a map"):
        GradCam().calls(1600, dense)


def test_unknown_layers_are_refused(tiny_cnn, voice, ask):
    with pytest.raises(InputError, match="no layer '7' with a map; the network has 0, 2, 3, 4"):
        LayerCam("7").attribute(ask(tiny_cnn(), voice()))
