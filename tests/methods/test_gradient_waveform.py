"""Gradient methods on networks without a feature map, through the short-time Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE, Plane
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.methods.explainer import Request
from serxai.methods.gradient import InputXGradient, IntegratedGradients, Saliency
from serxai.methods.inspection import draws_of, grid_of, view_of
from serxai.methods.records import METHODS, make_method
from serxai.models.waveform import WaveformRecogniser

ON_THE_PLANE = (
    "saliency",
    "input-x-gradient",
    "integrated-gradients",
    "smoothgrad",
    "gradient-shap",
    "feature-ablation",
)


class Waves(nn.Module):
    """Convolutions on the waveform, in double precision if asked."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv1d(1, 8, 64, stride=16),
            nn.GELU(),
            nn.Conv1d(8, 8, 8, stride=4),
            nn.Tanh(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )
        nn.init.normal_(self.layers[0].weight, std=0.5)
        nn.init.normal_(self.layers[-1].weight, std=2)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.layers(20 * waveforms[:, None].to(self.layers[0].weight.dtype))


class Linear(nn.Module):
    """Logits (weights . waveform, 0)."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weights", torch.as_tensor(weights, dtype=torch.float32))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        y = waveforms @ self.weights
        return torch.stack([y, torch.zeros_like(y)], dim=1)


class BandLevel(nn.Module):
    """Logits (log energy of the waveform near one frequency, 0), by a filter on samples."""

    def __init__(self, freq_hz: float) -> None:
        super().__init__()
        t = torch.arange(401) / SAMPLE_RATE
        carrier = torch.stack([torch.cos(2 * torch.pi * freq_hz * t), torch.sin(2 * torch.pi * freq_hz * t)])
        self.register_buffer("filters", (carrier * torch.hann_window(401))[:, None])

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        level = nn.functional.conv1d(waveforms[:, None], self.filters).square().mean(dim=(1, 2)).add(1e-6).log()
        return torch.stack([level, torch.zeros_like(level)], dim=1)


@pytest.fixture
def waves() -> WaveformRecogniser:
    return WaveformRecogniser("waves", ("anger", "happiness", "neutral", "sadness"), Waves(), "0", min_samples=512)


def test_saliency_by_finite_differences(waves, voice, ask):
    asked = ask(waves, voice(duration_s=0.3))
    waves.module.double()
    values = Saliency().attribute(asked).values
    view = view_of(asked, "test")
    step = 3e-3
    for row, column in np.random.default_rng(0).integers(values.shape, size=(40, 2)):
        slopes = []
        for part in (0, 1):  # real, imaginary
            moved = view.values.repeat(2, 1, 1, 1)
            moved[0, part, row, column] += step
            moved[1, part, row, column] -= step
            high, low = view.response(moved).tolist()
            slopes.append((high - low) / (2 * step))
        assert values[row, column] == pytest.approx(np.hypot(*slopes), rel=2e-2, abs=2e-3 * float(values.max()))


def test_linear_network_is_explained_exactly(voice, ask):
    """Relevance of all cells is weight . waveform; and what it is of one cell, the cell's own waveform says."""
    clip = voice(duration_s=0.3)
    weights = np.random.default_rng(0).standard_normal(clip.samples.size)
    asked = ask(WaveformRecogniser("linear", ("yes", "no"), Linear(weights), "0"), clip)
    product = InputXGradient().attribute(asked)
    path = IntegratedGradients(2).attribute(asked)
    assert product.values.sum(dtype=float) == pytest.approx(float(weights @ clip.samples), rel=1e-4)
    np.testing.assert_allclose(path.values, product.values, atol=1e-5 * np.abs(product.values).max())
    plane = Plane(clip.samples)
    for row, column in [(0, 3), (8, 0), (100, 20), (256, 10), (30, product.values.shape[1] - 1)]:
        alone = torch.zeros_like(plane.spectrum)
        alone[row, column] = plane.spectrum[row, column]
        expected = float(plane.istft(alone).double().numpy() @ weights)
        assert product.values[row, column] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_relevance_of_cells_adds_up_to_that_of_samples(waves, voice, ask):
    """Re(conj(X) dy/dX) over all cells is x dy/dx over all samples: the inverse transform is linear."""
    asked = ask(waves, voice(duration_s=0.5))
    samples = torch.tensor(asked.clip.samples)[None].requires_grad_()
    (gradient,) = torch.autograd.grad(waves.waveform_log_odds(samples)[0, 0], samples)
    expected = float((samples.detach() * gradient).sum())
    assert InputXGradient().attribute(asked).values.sum(dtype=float) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("baseline", ["silence", "attenuate", "noise", "spectral-mean", "twin"])
def test_integrated_gradients_are_complete(waves, voice, ask, baseline):
    asked = ask(waves, voice(planted=True))
    view = view_of(asked, "test")
    starts = [view.plane.istft(torch.complex(*one[0])) for one in view.baselines(baseline, draws_of(baseline))]
    y = waves.log_odds(torch.stack([torch.tensor(asked.clip.samples), *starts]))[:, 0]
    change = y[0] - y[1:].mean()
    found = IntegratedGradients(200, baseline).attribute(asked)
    assert abs(change) > 1e-2
    assert found.values.sum(dtype=float) == pytest.approx(change, rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("name", ON_THE_PLANE)
@pytest.mark.parametrize("time_s, freq_hz", [(0.1, 500.0), (0.31, 2000.0), (0.4, 5000.0)])
def test_tone_burst_lights_its_own_cell(name, time_s, freq_hz, ask):
    """A network that listens to one frequency at all times: nothing is relevant but the burst."""
    t = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    burst = 0.3 * np.exp(-(((t - time_s) / 0.02) ** 2)) * np.sin(2 * np.pi * freq_hz * t)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(t.size)
    clip = Clip("burst", (burst + noise).astype(np.float32))
    params = {"smoothgrad": {"noise": 1e-4}}.get(name, {})
    found = make_method(name, **params).attribute(
        ask(WaveformRecogniser("band", ("yes", "no"), BandLevel(freq_hz), "0"), clip)
    )
    row, column = np.unravel_index(found.values.argmax(), found.grid.shape)
    assert found.grid.freq_edges_hz[row] - 32 <= freq_hz <= found.grid.freq_edges_hz[row + 1] + 32
    assert found.grid.time_edges_s[column] - 0.016 <= time_s <= found.grid.time_edges_s[column + 1] + 0.016


@pytest.mark.parametrize("n_samples", [1, 127, 128, 16_000])
def test_every_bin_and_frame_lies_in_its_own_cell(n_samples, waves):
    plane = Plane(np.zeros(n_samples, np.float32))
    grid = grid_of(n_samples, waves)
    assert grid.shape == tuple(plane.spectrum.shape)
    assert np.array_equal(grid.rows_of(plane.freqs_hz), np.arange(257))
    assert np.array_equal(grid.columns_of(plane.times_s), np.arange(plane.times_s.size))
    assert grid.freq_edges_hz[[0, -1]].tolist() == [0, 8000]


@pytest.mark.parametrize("name", [record.name for record in METHODS if record.needs == "features"])
def test_methods_that_look_into_layers_are_skipped_with_the_reason(name, waves, voice, ask):
    with pytest.raises(NotApplicable, match="needs a network on a feature map; recogniser 'waves' has none"):
        make_method(name).attribute(ask(waves, voice()))
    assert waves.calls == 0


@pytest.mark.parametrize("name", ON_THE_PLANE)
def test_calls_are_told_and_batches_bounded(name, waves, voice, ask):
    sizes = set()
    waves.module.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    method, clip = make_method(name), voice(duration_s=0.4)
    told = method.calls(clip.samples.size, waves)
    assert waves.calls == 0
    method.attribute(ask(waves, clip))
    assert waves.calls == told
    assert max(sizes) <= waves.batch


@pytest.mark.parametrize("name", [name for name in ON_THE_PLANE if name not in ("saliency", "smoothgrad")])
def test_contrast_is_the_difference_of_two_explanations(name, waves, voice):
    """All but the magnitudes are linear in the response; draws do not depend on the target."""
    clip = voice(duration_s=0.4)
    one, other, both = (
        make_method(name).attribute(Request(waves, clip, target, ("s",), contrast=contrast))
        for target, contrast in (("anger", None), ("sadness", None), ("anger", "sadness"))
    )
    assert both.target == "anger-sadness"
    scale = np.abs(one.values).max()
    np.testing.assert_allclose(both.values, one.values - other.values, atol=1e-5 * scale)
