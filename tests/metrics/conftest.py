"""Recognisers whose log-odds are known functions of the waveform, and clips to score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from serxai.audio import SAMPLE_RATE, Grid, Plane
from serxai.datasets.clip import Clip
from serxai.methods.attribution import Attribution
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import Recogniser, TorchRecogniser


class WhiteBox(Recogniser):
    """Log-odds of class ``yes`` are a given function of the waveform; ``no`` has their negative."""

    name, classes, fingerprint = "white-box", ("yes", "no"), "0"

    def __init__(self, function: Callable[[torch.Tensor], float]) -> None:
        self.function = function

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.calls += len(waveforms)
        y = torch.tensor([self.function(w) for w in waveforms], dtype=torch.float64)
        return torch.stack([y, -y], dim=1)


@pytest.fixture
def linear_recogniser() -> Callable[[np.ndarray], WhiteBox]:
    """Log-odds linear in the samples, so what each removed cell takes away adds up exactly."""
    return lambda weights: WhiteBox(lambda w: float(w.double().numpy() @ weights))


@pytest.fixture
def energy_recogniser() -> Callable[[np.ndarray, np.ndarray, Grid], WhiteBox]:
    """Log-odds = sum over cells of weight times the cell's energy relative to its energy in the reference clip."""

    def make(weights: np.ndarray, reference: np.ndarray, grid: Grid) -> WhiteBox:
        used = weights != 0
        scale = weights[used] / Plane(reference).energy(grid)[used]
        return WhiteBox(lambda w: float(Plane(w.numpy()).energy(grid)[used] @ scale))

    return make


@pytest.fixture(scope="session")
def cnn() -> TorchRecogniser:
    """A small residual network on log-mel, with random weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classes = ("anger", "happiness", "neutral", "sadness")
    return TorchRecogniser("cnn", classes, LogMel(), ResidualCNN(4, width=4), fingerprint="random")


@pytest.fixture
def speech_like() -> Callable[..., Clip]:
    """A harmonic tone that glides and pulses, in noise."""

    def make(seed: int = 0, duration_s: float = 0.96) -> Clip:
        generator = np.random.default_rng(seed)
        t = np.arange(int(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
        phase = 2 * np.pi * np.cumsum(120 + 60 * generator.random() + 30 * np.sin(5 * t)) / SAMPLE_RATE
        tone = sum(np.sin(k * phase) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(20 * t + seed))
        samples = 0.1 * tone + 0.003 * generator.standard_normal(t.size)
        return Clip(f"clip-{seed}", samples.astype(np.float32), "anger", speaker="s")

    return make


@pytest.fixture
def explain() -> Callable[..., Attribution]:
    """Attribution with these values on this grid."""

    def make(values: np.ndarray, grid: Grid, method: str = "test", **fields: object) -> Attribution:
        return Attribution(values, grid, "anger", method, **fields)  # type: ignore[arg-type]

    return make
