"""Where a copy's time goes in the bundled `cnn`, and what is left to gain: both sides in one run, one thread.

The front end takes more than the network, most of it in the FFT, so that folding batch norm into the convolutions, the
largest gain there is within the network, gains little over all: `CEILING` bounds it. Scores would move in the last
digits, and with them every stored score, so the network is scored as it is explained.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from serxai.models.obtain import load_models
from serxai.models.recogniser import TorchRecogniser

COPIES, SAMPLES, SIZE = 8, 40_000, 768
CEILING = 1.3  # of the fused network over the plain one, front end included


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fused(network: nn.Module) -> nn.Module:
    """A copy whose batch norms are folded into the convolutions before them."""
    own = copy.deepcopy(network)
    own.conv, own.bn = fuse_conv_bn_eval(own.conv, own.bn), nn.Identity()
    for block in (own.layer1, own.layer2):
        block.conv1, block.bn1 = fuse_conv_bn_eval(block.conv1, block.bn1), nn.Identity()
        block.conv2, block.bn2 = fuse_conv_bn_eval(block.conv2, block.bn2), nn.Identity()
        block.shortcut = nn.Sequential(fuse_conv_bn_eval(*block.shortcut))
    return own


def test_what_folding_batch_norm_would_gain(benchmark, speed) -> None:
    recogniser = load_models("cnn", "planted").recogniser("0")
    assert isinstance(recogniser, TorchRecogniser)
    front_end, plain = recogniser.front_end, recogniser.network
    folded = fused(plain)
    waveforms = torch.from_numpy((0.1 * np.random.default_rng(0).standard_normal((COPIES, SAMPLES))).astype(np.float32))
    with torch.inference_mode():
        features = front_end(waveforms)
        assert torch.allclose(plain(features), folded(features), atol=1e-4)
        with FlopCounterMode(display=False) as counter:
            plain(features)
    square = torch.randn(SIZE, SIZE)

    def within(job):
        def run() -> None:
            with torch.inference_mode():
                job()

        return run

    jobs = (
        lambda: front_end(waveforms), lambda: plain(features), lambda: folded(features), lambda: square @ square,
    )  # fmt: skip
    benchmark.pedantic(within(jobs[1]), rounds=speed.rounds(5), warmup_rounds=1)
    front, eager, without, product = speed.best(*map(within, jobs), rounds=15, clock=time.thread_time)
    gain = (front + eager) / (front + without)
    reached = (counter.get_total_flops() / eager) / (2 * SIZE**3 / product)
    speed.report("speed", f"front end {front / (front + eager):.2f} of a copy's time")
    speed.report("speed", f"the network reaches {reached:.2f} of the FLOP/s of a matrix product")
    speed.report("speed", f"{COPIES / (front + eager):.0f} copies of 2.5 s a second")
    speed.goal(
        gain < CEILING, f"folding batch norm would gain {gain:.2f}, below {CEILING}: not worth other last digits"
    )
