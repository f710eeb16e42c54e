"""A deletion trajectory beside the recogniser calls it cannot do without."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest
import torch

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip
from serxai.keys import rng
from serxai.metrics.case import Case
from serxai.metrics.trajectory import deletion_trajectory
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

GOAL = 1.4  # time of the trajectory over that of the bare recogniser calls, front end included


@pytest.fixture
def steady_heap():
    """Keep freed memory: otherwise the recogniser's buffers are handed back and faulted in again in every batch.

    That costs up to a third of a recogniser call, now here and now there, and says nothing about the trajectory.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    for option in (trim_threshold, mmap_threshold):
        libc.mallopt(option, 1 << 30)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def recogniser():
    torch.manual_seed(0)
    return TorchRecogniser("cnn", ("a", "b", "c", "d"), LogMel(), ResidualCNN(4, width=16), fingerprint="random")


@pytest.mark.parametrize(
    ("duration_s", "fill"), [(2.4, "noise"), pytest.param(6.0, "attenuate", marks=pytest.mark.long)]
)
def test_trajectory_costs_little_more_than_its_calls(
    benchmark, speed, one_thread, steady_heap, recogniser, fill, duration_s
):
    """From a fresh case, its plane and fill included; least processor time of each in alternating runs."""
    samples = rng("speed").standard_normal(int(duration_s * SAMPLE_RATE)).astype(np.float32) * 0.05
    clip = Clip("speed", samples)
    copies = np.repeat(samples[None], 32, axis=0)
    order = rng("order").permutation(np.prod(Case(recogniser, clip, "a").grid.shape))

    def trajectory():
        return deletion_trajectory(Case(recogniser, clip, "a", fill), order)

    def bare():
        return recogniser.log_odds(copies)

    trajectory(), bare()
    spent = speed.best(trajectory, bare, rounds=15)
    ratio = spent[0] / spent[1]
    benchmark.extra_info["ratio"] = ratio
    assert benchmark.pedantic(trajectory, rounds=1).model_calls == 32
    speed.goal(ratio <= GOAL, f"{duration_s} s, {fill}: {ratio:.2f} x its recogniser calls; goal {GOAL}")
