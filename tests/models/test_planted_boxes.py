"""White boxes that are not additive: exact maps against all orders of removal, known limits, what magnitudes show."""

from __future__ import annotations

from itertools import permutations
from math import log

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Plane, scoring_grid
from serxai.keys import rng
from serxai.models.obtain import load_model
from serxai.models.planted_boxes import group_factors

BOXES = ("planted-saturation", "planted-redundancy", "planted-interaction", "planted-phase")


def by_orders(base: np.ndarray, change: np.ndarray, sign: float) -> np.ndarray:
    """Shapley values by adding the groups in every order."""

    def combined(sums: np.ndarray) -> float:
        return sign * log(sum(np.exp(sign * sums)))

    found, orders = np.zeros(len(base)), list(permutations(range(len(base))))
    for order in orders:
        sums = base.copy()
        for group in order:
            before = combined(sums)
            sums[group] += change[group]
            found[group] += combined(sums) - before
    return found / len(orders)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_factors_are_those_of_all_orders(sign: float):
    for i in range(8):
        base, change = (scale * rng("groups", i, scale).standard_normal(5) for scale in (2.0, 3.0))
        assert group_factors(base, change, sign) * change == pytest.approx(by_orders(base, change, sign))
    one = group_factors(np.array([1.0]), np.array([-2.0]), sign)
    assert one == pytest.approx([1.0])


def test_limits_that_are_known_by_hand():
    both = group_factors(np.array([-9.0, -9.0]), np.array([20.0, 20.0]), 1.0)  # either suffices: half each
    assert both == pytest.approx(0.5, abs=0.05)
    only = group_factors(np.array([-50.0, 0.0]), np.array([10.0, 10.0]), 1.0)  # the first never reaches the maximum
    assert only == pytest.approx([0.0, 1.0], abs=1e-6)
    still = group_factors(np.array([0.0, 0.0]), np.array([0.0, 5.0]), 1.0)  # no change: the derivative, over orders
    assert still[0] == pytest.approx((0.5 + 1 / (1 + np.exp(5))) / 2, abs=1e-3)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A harmonic tone with noise, and a softer copy with another spectrum."""
    draw, t = rng("box"), np.arange(round(1.3 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * t + k * k) / k for k in range(1, 30))
    loud = 0.05 * tone * (1 + 0.5 * np.sin(7 * t)) + 0.01 * draw.standard_normal(t.size)
    return loud.astype(np.float32), (0.4 * loud + 0.003 * draw.standard_normal(t.size)).astype(np.float32)


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("target", ["anger", "happiness", "sadness", "neutral"])
def test_cells_add_up_to_the_difference(name: str, target: str, pair):
    box, (samples, other) = load_model(name), pair
    cells = box.relevance(samples, other, target, scoring_grid(samples.size / SAMPLE_RATE))
    y = box.log_odds(np.stack([samples, other]))[:, box.class_index(target)]
    assert cells.sum() == pytest.approx(y[0] - y[1], abs=2e-3)
    assert cells.any() == (target != "neutral")


def test_fingerprints_differ():
    assert len({load_model(name).fingerprint for name in (*BOXES, "planted-rule")}) == 5


def test_phases_alone_move_the_box_of_phase(pair):
    """The same magnitudes with other phases: levels stay, skewness does not."""
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    waves = [
        sum(np.cos(2 * np.pi * 125 * k * t + shift * k * k) for k in range(1, 12)).astype(np.float32) / 50
        for shift in (0.0, 1.0)
    ]
    magnitudes = [Plane(wave).spectrum.abs()[:, 20:-20].square().mean(dim=1) for wave in waves]
    assert float((magnitudes[0] / magnitudes[1]).log10().mul(10).abs()[4:44:4].max()) < 1.0
    phase, levels = load_model("planted-phase"), load_model("planted-rule")
    y = phase.log_odds(np.stack(waves))[:, 0]
    assert abs(y[0] - y[1]) > 10 and phase.log_odds(2 * waves[0][None])[0, 0] == pytest.approx(y[0], rel=0.02)
    assert np.ptp(levels.log_odds(np.stack(waves))[:, 0]) < 1.5
