"""Metrics beside what they replace: ROAD's imputation beside Quantus', tables beside their recogniser calls."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from serxai import _torchvision
from serxai.audio import SAMPLE_RATE
from serxai.benchmark.run.processes import keep_heap
from serxai.datasets.clip import Clip
from serxai.keys import rng
from serxai.metrics.case import Case
from serxai.metrics.removals import random_removals
from serxai.metrics.road import Imputer
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

_torchvision.ensure_torchvision()

FASTER = 5  # than Quantus, summed over its default percentages
WORTH = 1e-4  # largest difference of imputed values
GOAL = 1.8  # time of a table over that of its recogniser calls: each copy is a waveform of its own, made once a clip


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.long
def test_imputation_is_faster_than_quantus_and_equal(benchmark, speed, one_thread):
    """Processor time of both over the same removals: 1, 3, ... 99 % of a 128 x 241 map (2.4 s), most relevant first.

    The relevance is smooth, as explanations are: scattered holes are easier for both.
    """
    import quantus
    from quantus.functions.perturb_func import noisy_linear_imputation

    shape, generator = (128, 241), rng("road speed")
    values = gaussian_filter(generator.standard_normal(shape), 2) * 60 + generator.standard_normal(shape)
    order = np.argsort(-gaussian_filter(generator.standard_normal(shape), (6, 4)).ravel())
    spent, worst = np.zeros(2), 0.0
    impute = Imputer(shape)
    percentages = quantus.ROAD(disable_warnings=True).percentages
    assert len(percentages) == 50

    def removals():
        for percentage in percentages:
            holes = order[: int(order.size * percentage / 100)]
            removed = np.zeros(order.size, dtype=bool)
            removed[holes] = True
            yield holes, removed.reshape(shape)

    def ours():
        found, solved = [], None
        for _, removed in removals():
            solved = impute(values, removed, solved)
            found.append(solved)
        return found

    start = time.process_time()
    found = ours()
    spent[0] = time.process_time() - start
    for (holes, _), own in zip(removals(), found, strict=True):
        start = time.process_time()
        expected = noisy_linear_imputation(values[None], holes, noise=0.0)[0]
        spent[1] += time.process_time() - start
        worst = max(worst, float(np.abs(own - expected).max()))
    benchmark.extra_info |= {"ratio": spent[1] / spent[0], "largest difference": worst, "quantus_s": spent[1]}
    benchmark.pedantic(ours, rounds=1)
    assert worst <= WORTH
    gain = spent[1] / spent[0]
    speed.goal(gain >= FASTER, f"imputation {gain:.1f} x as fast as Quantus'; goal {FASTER}")


def test_a_table_of_removals_costs_less_than_twice_its_calls(benchmark, speed, one_thread):
    """Least processor time of each in alternating runs, freed memory kept as in a worker."""
    keep_heap()
    torch.manual_seed(0)
    network = ResidualCNN(4, width=16)
    recogniser = TorchRecogniser("cnn", ("a", "b", "c", "d"), LogMel(), network, fingerprint="random")
    samples = rng("speed").standard_normal(int(2.4 * SAMPLE_RATE)).astype(np.float32) * 0.05
    clip, copies = Clip("speed", samples), np.repeat(samples[None], 256, axis=0)

    def table():
        return random_removals(Case(recogniser, clip, "a", "noise"))

    table(), recogniser.log_odds(copies[:8])
    spent = speed.best(table, lambda: recogniser.log_odds(copies), rounds=4)
    benchmark.extra_info["ratio"] = ratio = spent[0] / spent[1]
    assert benchmark.pedantic(table, rounds=1).model_calls == 257
    speed.goal(ratio <= GOAL, f"table of removals {ratio:.2f} x its calls; goal {GOAL}")
