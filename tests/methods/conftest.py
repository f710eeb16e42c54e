"""Tiny recognisers whose every part can be written out by hand, and clips to explain."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE, Grid, band_edges_hz
from serxai.datasets.clip import Clip, Plant, Word
from serxai.methods.explainer import Request
from serxai.models.recogniser import Recogniser, TorchRecogniser

CLASSES = ("anger", "happiness", "neutral", "sadness")


class TinyFrontEnd(nn.Module):
    """32 log-mel bands, 15 ms hop; its output may be double, so that finite differences can be taken."""

    min_samples, floor, hop, mels = 512, -2.0, 240, 32

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=self.mels)
        self.register_buffer("filters", torch.as_tensor(filters))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(
            waveforms, 512, self.hop, window=torch.hann_window(512), pad_mode="constant", return_complex=True
        )
        decibel = 10 * torch.log10((self.filters @ spectrum.abs().square()).clamp_min(1e-8))
        return ((decibel + 40) / 20)[:, None].to(self.dtype)

    def grid(self, n_samples: int) -> Grid:
        edges = (np.arange(2 + n_samples // self.hop) - 0.5) * self.hop / SAMPLE_RATE
        return Grid(band_edges_hz(self.mels, rows=self.mels), edges)


class WhiteBox(Recogniser):
    """Log-odds of class ``yes`` are a given function of the waveform, those of ``no`` its negative."""

    name, classes, fingerprint = "white-box", ("yes", "no"), "0"

    def __init__(self, function: Callable[[torch.Tensor], float]) -> None:
        self.function = function
        self.seen: list[torch.Tensor] = []

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.calls += len(waveforms)
        self.seen.append(waveforms.clone())
        y = torch.tensor([self.function(waveform) for waveform in waveforms], dtype=torch.float64)
        return torch.stack([y, -y], dim=1)


class TwoLayers:
    """``W2 relu(W1 x + b1) + b2`` in numpy, for rules written out by hand, and as a module.

    Attributes
    ----------
    features : int
        The tiny front end's map of a 0.1 s clip, 32 x 7 cells.
    """

    features = 32 * 7

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed).standard_normal
        self.w1, self.b1 = draw((20, self.features)) / 10, draw(20)
        self.w2, self.b2 = draw((4, 20)), draw(4)

    def module(self, kind: str = "module") -> nn.Module:
        """The ReLU is a module, one that works in place, one that is used twice, or a function."""
        return _TwoLayers(self, kind)

    def before(self, x: np.ndarray) -> np.ndarray:
        """What the ReLU is given."""
        return self.w1 @ x + self.b1

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.w2 @ np.maximum(self.before(x), 0) + self.b2

    def upstream(self, x: np.ndarray, target: int) -> np.ndarray:
        """Gradient of the target's one-vs-rest log-odds with respect to what the ReLU returns."""
        others = np.exp(self.logits(x))
        others[target] = 0
        return self.w2.T @ (np.eye(4)[target] - others / others.sum())


class _TwoLayers(nn.Module):
    def __init__(self, net: TwoLayers, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Linear(net.features, 20), nn.Linear(20, 4)
        for layer, weight, bias in ((self.first, net.w1, net.b1), (self.second, net.w2, net.b2)):
            layer.weight.data, layer.bias.data = torch.as_tensor(weight), torch.as_tensor(bias)
        self.relu = nn.ReLU(inplace=kind == "in place")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x.flatten(1))
        hidden = torch.relu(hidden) if self.kind == "function" else self.relu(hidden)
        return self.second(self.relu(hidden) if self.kind == "reused" else hidden)


@pytest.fixture
def two_layers() -> type[TwoLayers]:
    return TwoLayers


@pytest.fixture
def white_box() -> type[WhiteBox]:
    return WhiteBox


@pytest.fixture
def tiny_cnn() -> Callable[..., TorchRecogniser]:
    """Two convolutions with batch norm and random weights on 32 log-mel bands."""

    def make(seed: int = 0, dtype: torch.dtype = torch.float32) -> TorchRecogniser:
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8, 4),
        )
        nn.init.uniform_(network[1].running_mean, -0.5, 0.5)
        nn.init.uniform_(network[1].running_var, 0.5, 2)
        nn.init.normal_(network[-1].weight, std=2)
        return TorchRecogniser("tiny", CLASSES, TinyFrontEnd(dtype), network.to(dtype), fingerprint=str(seed))

    return make


@pytest.fixture
def on_features() -> Callable[..., TorchRecogniser]:
    """A recogniser with a network of one's own on the tiny front end."""

    def make(network: nn.Module, classes: tuple[str, ...] = CLASSES, dtype: torch.dtype = torch.float64):
        return TorchRecogniser("own", classes, TinyFrontEnd(dtype), network.to(dtype), fingerprint="own")

    return make


@pytest.fixture
def voice() -> Callable[..., Clip]:
    """A pulsing harmonic tone in noise; with ``planted``, its twin lacks a burst in the middle."""

    def make(seed: int = 0, duration_s: float = 0.8, planted: bool = False) -> Clip:
        generator = np.random.default_rng(seed)
        t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
        f0 = 120 + 60 * generator.random()
        tone = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 20)) * (0.6 + 0.4 * np.sin(20 * t + seed))
        samples = (0.1 * tone + 0.003 * generator.standard_normal(t.size)).astype(np.float32)
        if not planted:
            return Clip(f"voice-{seed}", samples, "anger", speaker="s")
        inside = (t > 0.4 * duration_s) & (t < 0.6 * duration_s)
        loud = samples + np.where(inside, 0.4 * np.sin(2 * np.pi * 3000 * t), 0).astype(np.float32)
        plant = Plant(samples, (Word("word", 0.4 * duration_s, 0.6 * duration_s),))
        return Clip(f"planted-{seed}", loud, "anger", speaker="s", corpus="planted", plant=plant)

    return make


@pytest.fixture
def ask() -> Callable[..., Request]:
    """A request for the recogniser's first class."""

    def make(recogniser: Recogniser, clip: Clip, seed: int = 0, target: str | None = None) -> Request:
        return Request(recogniser, clip, target or recogniser.classes[0], ("test", clip.id, seed))

    return make
