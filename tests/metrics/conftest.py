"""Recognisers whose log-odds are known functions of the waveform, and clips to score."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai.audio import SAMPLE_RATE, Grid, Plane
from serxai.datasets.clip import Clip, Plant, Word
from serxai.methods.attribution import Attribution
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case, Explained
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import Recogniser, TorchRecogniser


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of `test_oracles`, wherever its tests ran."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind) if r.when == "call"]
    rows = [json.loads(told) for report in reports for name, told in report.user_properties if name == "oracle"]
    if rows:
        head = ["metric", "compared with", "largest difference", "n", "what differs"]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        terminalreporter.section("oracles of the metrics")
        for row in (head, *rows):
            terminalreporter.write_line("  ".join(map(str.ljust, row, widths)).rstrip())


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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def planted_clip(speech_like) -> Clip:
    """A clip with a twin that is half as loud above 2 kHz, planted in its middle, and labelled as EMODB's are."""
    clip = speech_like()
    spectrum = np.fft.rfft(clip.samples)
    spectrum[np.fft.rfftfreq(clip.samples.size, 1 / SAMPLE_RATE) > 2000] *= 0.5
    twin = np.fft.irfft(spectrum, clip.samples.size).astype(np.float32)
    third = clip.duration_s / 3
    inside = np.arange(clip.samples.size) / SAMPLE_RATE
    twin = np.where((inside > third) & (inside < 2 * third), twin, clip.samples).astype(np.float32)
    stretches = (("0.4", 0.1, third), ("2.4", third, 2 * third), ("0.9", 2 * third, 0.9))
    marks = {
        "stress": tuple(Word(*stretch) for stretch in stretches),
        "voicing": tuple(Word(label[0], start, end) for label, start, end in stretches),
    }
    return replace(clip, plant=Plant(twin, (Word("a", third, 2 * third),)), marks=marks)


def explained_by(case: Case, method: str, **fields: object) -> Explained:
    """A method's explanation of a case, with all companions and the method itself, as the harness makes it."""
    explainer, own = make_method(method), case.recogniser

    def explain(clip, *seed, recogniser=None, target=None) -> Attribution:
        used = own if recogniser is None else recogniser
        before = used.calls
        found = explainer.attribute(Request(used, clip, target or case.target, ("explain", *case.seed, *seed)))
        calls = used.calls - before
        if used is not own:
            own.calls += calls
        return replace(found, model_calls=calls)

    attribution = explain(case.clip)
    other = replace(attribution, values=attribution.values[:, ::-1])
    return Explained(attribution, attribution, attribution, other, case.clip.duration_s, explain, **fields)


@pytest.fixture(scope="session")
def explained_as_in_a_run() -> Callable[..., Explained]:
    """`explained_by`."""
    return explained_by
