"""Passing on only what a patch changes equals passing on everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from serxai.methods import ablation
from serxai.methods.ablation import OcclusionPaper
from serxai.methods.canonical import canonical
from serxai.methods.local import LocalPass
from serxai.models.cnn import ResidualCNN
from serxai.models.recogniser import TorchRecogniser


class Branches(nn.Module):
    """Branches of unlike reach, functional steps, a mean instead of a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(1, 4, (7, 5), 2, (3, 2)), nn.Conv2d(1, 4, 1, 2)
        self.norm, self.last, self.fc = nn.BatchNorm2d(4), nn.Conv2d(4, 5, (1, 4)), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.wide(x)) + torch.tanh(self.narrow(x)))
        return self.fc(torch.relu(self.last(x)).mean(dim=(2, 3)))


NETWORKS = {
    "residual": lambda: ResidualCNN(4, 4),
    "branches": Branches,
    "pools": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.MaxPool2d(3, 2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, 3, groups=2),
        nn.MaxPool2d(2, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4, 4),
    ),
}
OTHERS = {
    "dense": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(4)),
    "dilated": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, dilation=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 4)
    ),
    "first batch norm": lambda: nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 4)
    ),
    "coarse pool": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 4)),
}


def built(make, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


@pytest.mark.parametrize("size", [(1, 1), (1, 10), (5, 4), (32, 3), (32, 40)])
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("seed", range(2))
def test_logits_equal_those_of_whole_maps(kind, size, seed, on_features):
    """Every place of the patch, all corners and edges among them."""
    form = canonical(on_features(built(NETWORKS[kind], seed)), "test")
    assert LocalPass.follows(form)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, 1, 32, 40, generator=generator, dtype=torch.float64)
    local = LocalPass(form, features)
    rows, columns = range(32 - size[0] + 1), range(40 - size[1] + 1)
    places = [(r, c) for r in rows for c in columns][:: max(1, len(rows) * len(columns) // 300)]
    places += [(r, c) for r in (0, rows[-1]) for c in (0, columns[-1])]
    patches = torch.randn(len(places), *size, 1, generator=generator, dtype=torch.float64)
    maps = features.repeat(len(places), 1, 1, 1)
    for one, patch, (row, column) in zip(maps[:, 0], patches[..., 0], places, strict=True):
        one[row : row + size[0], column : column + size[1]] = patch
    with torch.no_grad():
        expected = form.network(maps)
    assert expected.std(dim=0).min() > 1e-6
    torch.testing.assert_close(local.run(patches, torch.tensor(places).T), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"rows": 40, "frames": 60}, {"rows": 3, "stride": 1, "fill": "silence"}])
@pytest.mark.parametrize("duration_s", [0.05, 0.3])
def test_the_method_is_the_same_either_way(options, duration_s, on_features, voice, ask, monkeypatch):
    asked = ask(on_features(built(NETWORKS["residual"])), voice(duration_s=duration_s))
    local = OcclusionPaper(**options).attribute(asked)
    told, asked.recogniser.calls = asked.recogniser.calls, 0
    monkeypatch.setattr(ablation, "local_pass", lambda view, method: None)
    whole = OcclusionPaper(**options).attribute(asked)
    np.testing.assert_allclose(local.values, whole.values, rtol=1e-5, atol=1e-8)
    assert np.abs(whole.values).max() > 1e-6
    assert asked.recogniser.calls == told


@pytest.mark.parametrize("kind", OTHERS)
def test_other_networks_pass_whole_maps(kind, voice, ask, on_features):
    network = built(OTHERS[kind]).double()
    network(torch.zeros(2, 1, 32, 14, dtype=torch.float64))  # gives the dense layer its size
    recogniser = on_features(network)
    assert not LocalPass.follows(canonical(recogniser, "test"))
    sizes = set()
    network.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    OcclusionPaper(stride=12).attribute(ask(recogniser, voice(duration_s=0.2)))
    assert sizes == {recogniser.batch}


class Largest(TorchDispatchMode):
    """Remembers the most elements that one step made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.elements = max(self.elements, out.numel() if isinstance(out, torch.Tensor) else 0)
        return out


def test_boxes_take_no_more_memory_than_whole_maps(on_features, voice, ask, monkeypatch):
    """More patches than maps pass together, but no step makes a larger tensor."""
    recogniser: TorchRecogniser = on_features(built(lambda: ResidualCNN(4, 8)), dtype=torch.float32)
    asked = ask(recogniser, voice(duration_s=1.5))
    found = []
    for way in (ablation.local_pass, lambda view, method: None):
        monkeypatch.setattr(ablation, "local_pass", way)
        with Largest() as largest:
            OcclusionPaper(stride=30).attribute(asked)
        found.append(largest.elements)
    assert found[0] <= found[1]
