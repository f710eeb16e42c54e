"""Recognisers on a CUDA device: `measure.py` with its goals; without a device its path is tried on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from serxai.models.recogniser import TorchRecogniser
from serxai.models.recurrent import differentiate_recurrent
from serxai.models.waveform import WaveformRecogniser
from serxai.tests.gpu.measure import CLASSES, Recurrent

SCRIPT = Path(__file__).with_name("measure.py")
GOAL = 30  # times the copies a second of two CPU cores
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch finds none")


def measured(tmp_path: Path, *flags: str) -> dict[str, dict[str, Any]]:
    out = tmp_path / "measured.json"
    subprocess.run([sys.executable, str(SCRIPT), *flags, "--out", str(out)], check=True)
    return {row["recogniser"]: row for row in json.loads(out.read_text("utf-8"))}


@needs_cuda
def test_scores_are_those_of_the_cpu_and_copies_many_times_as_fast(tmp_path: Path, record_property: Any) -> None:
    for name, row in measured(tmp_path, "--device", "cuda").items():
        record_property(name, row)
        assert row["difference"] < 1e-4 and row["gradient_difference"] < 1e-2, row
        assert name == "recurrent" or row["times_cpu"] > GOAL, row


@needs_cuda
@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_layers_pass_gradients_in_eval_mode(layer: type[nn.RNNBase]) -> None:
    network = layer(8, 4, batch_first=True).eval().cuda()
    differentiate_recurrent(network)
    x = torch.randn(2, 5, 8, device="cuda", requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0].sum(), x)
    assert bool(torch.isfinite(gradient).all()) and torch.backends.cudnn.enabled


@pytest.mark.long
def test_the_script_runs_on_the_cpu(tmp_path: Path) -> None:
    rows = measured(tmp_path, "--device", "cpu", "--quick")
    assert list(rows) == ["cnn", "whisper-tiny", "recurrent"]
    for row in rows.values():
        assert row["difference"] == row["gradient_difference"] == 0
        assert row["copies_per_second"] > 0 and row["cpu_copies_per_second"] > 0 and row["batch_bytes"] > 0
        assert 0.3 < row["inside"] <= 1


@pytest.mark.parametrize("kind", [WaveformRecogniser, TorchRecogniser])
def test_recurrent_layers_leave_cudnn_where_a_gradient_flows(kind: type) -> None:
    """cuDNN cannot differentiate them in eval mode; what is scored without a gradient keeps it."""
    network, seen = Recurrent(), []
    network.memory.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.enabled))
    front_end = nn.Identity()
    front_end.min_samples = 400  # type: ignore[assignment]
    before = torch.backends.cudnn.enabled
    if kind is WaveformRecogniser:
        recogniser: Any = WaveformRecogniser("r", CLASSES, network, "r")
        recogniser = WaveformRecogniser("again", CLASSES, network, "r")  # hooks are added once
        scores = recogniser.waveform_log_odds
    else:
        recogniser = TorchRecogniser("r", CLASSES, front_end, network, "r")
        scores = recogniser.feature_log_odds
    x = torch.randn(1, 4000)
    recogniser.log_odds(x)
    torch.autograd.grad(scores(x.requires_grad_()).sum(), x)
    assert seen == [before, False] and torch.backends.cudnn.enabled == before
    with pytest.raises(RuntimeError):
        network.memory(torch.randn(1, 3, 5, requires_grad=True))
    assert torch.backends.cudnn.enabled == before
