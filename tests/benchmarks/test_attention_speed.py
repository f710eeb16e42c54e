"""What an explanation made for attention costs beside a gradient, on an encoder of whisper-tiny's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serxai import _torchvision  # noqa: F401  (before transformers)
from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip
from serxai.keys import rng
from serxai.methods.explainer import Request
from serxai.methods.records import METHODS, make_method

pytest.importorskip("transformers")

import transformers

from serxai.models.head import LinearHead
from serxai.models.headed import HeadedNetwork
from serxai.models.hf_front_ends import WhisperLogMel
from serxai.models.hf_states import PooledStates, make_encoder
from serxai.models.recogniser import TorchRecogniser

SECONDS = 2.5
NAMES = [record.name for record in METHODS if record.needs == "attention"]


@pytest.fixture(scope="module")
def whisper_tiny() -> TorchRecogniser:
    """Random weights in the shape of whisper-tiny.en: 4 layers, 384 wide, 6 heads; the mean of its last state."""
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = transformers.WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80
    )
    torch.manual_seed(0)
    front_end = WhisperLogMel(80, 400, 160, 30 * SAMPLE_RATE, padded=False)
    body = PooledStates(make_encoder(front_end, WhisperEncoder(config), [4]), [4], "mean")
    head = LinearHead(4, 384)
    head.weight.data = torch.randn(4, 384, dtype=torch.float64)
    return TorchRecogniser("whisper", ("a", "b", "c", "d"), front_end, HeadedNetwork(body, head), "random")


@pytest.mark.parametrize("name", NAMES)
def test_attention_methods_cost_at_most_two_gradients(benchmark, speed, whisper_tiny, name):
    """Whole explanation over one bare pass forward and back, front end included in both; and one model call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = (0.05 * rng("speed").standard_normal(int(SECONDS * SAMPLE_RATE))).astype(np.float32)
    method, request = make_method(name), Request(whisper_tiny, Clip("speed", samples), "a", ("speed",))

    def gradient():
        maps = whisper_tiny.features(samples).requires_grad_()
        torch.autograd.grad(whisper_tiny.feature_log_odds(maps)[:, 0].sum(), maps)

    calls = whisper_tiny.calls
    method.attribute(request)
    assert whisper_tiny.calls - calls == method.calls(samples.size, whisper_tiny) == 1
    gradient()
    ours, bare = speed.best(lambda: method.attribute(request), gradient)
    benchmark.pedantic(lambda: method.attribute(request), rounds=1)
    torch.set_num_threads(threads)
    benchmark.extra_info["ratio"] = ratio = ours / bare
    speed.goal(ratio <= 2, f"{name}: {ratio:.2f} x a gradient; goal 2")
