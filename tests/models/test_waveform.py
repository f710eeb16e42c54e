"""Recognisers that are one module from waveforms to logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import ClipError
from serxai.models.head import log_probabilities
from serxai.models.waveform import WaveformRecogniser

CLASSES = ("anger", "neutral", "sadness")


class Bands(nn.Module):
    """Level of three bands, as one might in a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 16, stride=4)
        self.drop = nn.Dropout(0.5)
        with torch.no_grad():
            self.conv.weight.copy_(torch.linspace(-1, 1, 48).reshape(3, 1, 16))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.drop(0.2 * self.conv(waveforms[:, None]).square().mean(2))


class Calibrated(Bands):
    def raw(self, waveforms: torch.Tensor) -> torch.Tensor:
        return super().forward(waveforms)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return log_probabilities(self.raw(waveforms))


def noise(n: int, samples: int = 500) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, samples)).astype(np.float32)


@pytest.fixture
def model() -> WaveformRecogniser:
    return WaveformRecogniser("mine", CLASSES, Bands(), "print", "emodb", min_samples=16)


def test_log_odds_are_those_of_the_softmax(model: WaveformRecogniser) -> None:
    waveforms = noise(5)
    p = torch.softmax(model.module(torch.from_numpy(waveforms)), dim=1).numpy()
    np.testing.assert_allclose(model.predict_proba(waveforms), p, atol=1e-6)
    np.testing.assert_allclose(model.log_odds(waveforms), np.log(p / (1 - p)), rtol=1e-4, atol=1e-4)
    assert (model.name, model.trained_on, model.fingerprint, model.classes) == ("mine", "emodb", "print", CLASSES)


def test_is_differentiable_in_eval_mode(model: WaveformRecogniser) -> None:
    assert model.differentiable and not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())
    model.module.double()
    tensor = torch.from_numpy(noise(2)).double().requires_grad_()
    odds = model.waveform_log_odds(tensor)
    odds[0, 1].backward()
    assert tensor.grad is not None and tensor.grad[0].abs().max() > 0
    assert torch.count_nonzero(tensor.grad[1]) == 0  # rows do not mix
    direction = torch.from_numpy(noise(1)) * 1e-3
    with torch.no_grad():
        change = model.waveform_log_odds(tensor[:1] + direction) - model.waveform_log_odds(tensor[:1] - direction)
    assert float((tensor.grad[0] * direction[0]).sum()) == pytest.approx(float(change[0, 1]) / 2, rel=1e-4)


@pytest.mark.parametrize(("copies", "calls"), [(1, 1), (2, 8), (8, 8), (9, 16)])
def test_counts_calls(model: WaveformRecogniser, copies: int, calls: int) -> None:
    model.log_odds(noise(copies))
    assert model.calls == model.calls_for(copies) == calls
    model.waveform_log_odds(torch.from_numpy(noise(3)))
    assert model.calls == calls + 3


def test_rows_do_not_depend_on_their_company(model: WaveformRecogniser) -> None:
    waveforms = noise(19)
    together = model.log_odds(waveforms)
    assert np.array_equal(model.log_odds(waveforms[3:12]), together[3:12])
    single = np.concatenate([model.log_odds(row[None]) for row in waveforms])
    np.testing.assert_allclose(together, single, atol=1e-5)


def test_raw_scores_are_kept() -> None:
    model = WaveformRecogniser("mine", CLASSES, Calibrated(), "print")
    waveforms = noise(11)
    z = model.raw(waveforms)
    p = 1 / (1 + np.exp(-z))
    assert abs(p.sum(axis=1) - 1).min() > 1e-3  # not normalised
    np.testing.assert_allclose(model.predict_proba(waveforms), p / p.sum(axis=1, keepdims=True), atol=1e-6)
    plain = WaveformRecogniser("mine", CLASSES, Bands(), "print")
    np.testing.assert_array_equal(plain.raw(waveforms), plain.log_odds(waveforms))


def test_refuses_short_and_broken_waveforms(model: WaveformRecogniser) -> None:
    with pytest.raises(ClipError, match="window of recogniser 'mine'"):
        model.log_odds(noise(1, 15))
    broken = noise(2)
    broken[1, 3] = np.nan
    with pytest.raises(ClipError, match="NaN"):
        model.log_odds(broken)


def test_refuses_outputs_that_are_not_finite(model: WaveformRecogniser) -> None:
    with torch.no_grad():
        model.module.conv.bias.fill_(torch.inf)
    with pytest.raises(ClipError, match="not finite"):
        model.log_odds(noise(1))
