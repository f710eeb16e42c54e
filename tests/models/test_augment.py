"""Augmentation of log-mel crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serxai.audio import band_edges_hz
from serxai.models.augment import Augmentation, _add_noise, augment

NOTHING = Augmentation(gain_db=0, tilt_db=0, noise=0, stripes=0, cells=0)


def crop(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-70, 10, size=(128, 60)).astype(np.float32)


def test_nothing_asked_changes_nothing() -> None:
    assert np.array_equal(augment(crop(), NOTHING, -80, np.random.default_rng(0)), crop())


@pytest.mark.parametrize("seed", range(20))
def test_stays_above_the_floor_and_is_the_same_for_one_seed(seed: int) -> None:
    before = crop(seed)
    first, second = (augment(before, Augmentation(), -80, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first, second) and first.dtype == np.float32 and first.shape == before.shape
    assert first.min() >= -80 and np.array_equal(before, crop(seed))


def test_gain_moves_all_cells_alike() -> None:
    moved = augment(crop(), replace(NOTHING, gain_db=6), -200, np.random.default_rng(3)) - crop()
    assert np.ptp(moved) < 1e-4 and 0 < abs(moved.mean()) <= 6


def test_stripes_and_cells_remove_a_part_only() -> None:
    for settings in (replace(NOTHING, stripes=2), replace(NOTHING, cells=1.0)):
        changed = [(augment(crop(), settings, -80, np.random.default_rng(seed)) != crop()).mean() for seed in range(30)]
        assert max(changed) > 0.1 and np.mean(changed) < 0.6


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_has_the_power_asked_for(snr_db: float) -> None:
    before = crop().astype(np.float64)
    after = _add_noise(before, snr_db, np.random.default_rng(0))
    widths = np.diff(band_edges_hz(128))[:, None]
    signal = (10 ** (before / 10) * widths).sum()
    noise = ((10 ** (after / 10) - 10 ** (before / 10)) * widths).sum()
    assert 10 * np.log10(signal / noise) == pytest.approx(snr_db, abs=1e-6)
