"""What an explanation costs beside the recogniser calls it cannot do without (front end included)."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from serxai.audio import SAMPLE_RATE, Plane
from serxai.datasets.clip import Clip
from serxai.keys import rng
from serxai.methods.explainer import Request
from serxai.methods.masks import all_masks, fill_of
from serxai.methods.occlusion import Occlusion
from serxai.methods.records import make_method
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

SECONDS = 3.0


class Timed(TorchRecogniser):
    """Knows how long it was busy; so a busy machine slows down both sides of a ratio."""

    seconds = 0.0

    def log_odds(self, waveforms):
        start = time.perf_counter()
        result = super().log_odds(waveforms)
        self.seconds += time.perf_counter() - start
        return result


@pytest.fixture
def request_3s():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classes = ("a", "b", "c", "d")
    recogniser = Timed("cnn", classes, LogMel(), ResidualCNN(4, width=16), fingerprint="random")
    samples = (0.05 * rng("speed").standard_normal(int(SECONDS * SAMPLE_RATE))).astype(np.float32)
    yield Request(recogniser, Clip("speed", samples), "a", ("speed",))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name, goal", [("emolime", 1.15), ("occlusion", 1.4)])
def test_explanation_costs_little_more_than_its_calls(benchmark, request_3s, name, goal):
    """Whole explanation over its own recogniser calls, from a fresh request; for emolime the goal of band tables."""
    method, recogniser = make_method(name), request_3s.recogniser
    ratios = []

    def explain():
        recogniser.seconds, start = 0.0, time.perf_counter()
        method.attribute(request_3s)
        ratios.append((time.perf_counter() - start) / recogniser.seconds)

    benchmark.pedantic(explain, rounds=3, warmup_rounds=1)
    benchmark.extra_info["ratio"] = ratio = float(np.median(ratios[1:]))
    assert ratio <= goal


def test_masks_cost_little_beside_the_calls(benchmark, request_3s):
    """Rendering all 256 copies of a 3 s clip, plane, fill and band signals included, over 256 recogniser calls."""
    recogniser, samples = request_3s.recogniser, request_3s.clip.samples
    grid = make_method("emolime").attribute(request_3s).grid
    removed = torch.as_tensor(1.0 - all_masks(8), dtype=torch.float32).split(recogniser.batch)

    def synthesis():
        plane = Plane(samples)
        differences = plane.differences(grid, fill_of(request_3s, plane, "attenuate"))
        for batch in removed:
            plane.samples + batch @ differences

    benchmark.pedantic(synthesis, rounds=5, warmup_rounds=1)
    before = recogniser.seconds
    recogniser.log_odds(np.repeat(samples[None], 256, axis=0))
    benchmark.extra_info["ratio"] = ratio = benchmark.stats.stats.median / (recogniser.seconds - before)
    assert ratio <= 0.15


def test_patches_are_rendered_faster_than_whole_clips(benchmark, request_3s):
    """Occlusion inverts only the stretch that a patch reaches."""
    request_3s.recogniser.log_odds = lambda waveforms: np.zeros((len(waveforms), 4))
    method = Occlusion()
    grid = method.attribute(request_3s).grid
    benchmark.pedantic(lambda: method.attribute(request_3s), rounds=3, warmup_rounds=1)
    plane = Plane(request_3s.clip.samples)
    fill = fill_of(request_3s, plane, "spectral-mean")
    keep = (1 - np.eye(320, dtype=np.float32)).reshape(320, *grid.shape)
    start = time.perf_counter()
    for first in range(0, 320, 8):
        plane.render(keep[first : first + 8], grid, fill)
    benchmark.extra_info["gain"] = gain = (time.perf_counter() - start) / benchmark.stats.stats.median
    assert gain > 2
