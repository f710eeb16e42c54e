"""Sounds at one level."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.audio.loudness import LEVEL_DB, PEAK, matched_levels, rms_db


def test_the_level_of_a_sine_is_3_db_below_its_peak() -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert rms_db(0.1 * sine) == pytest.approx(-20 - 3.0103, abs=1e-4)
    assert rms_db(np.zeros(9)) == rms_db(np.zeros(0)) == -np.inf


def test_all_have_one_level_and_keep_their_shape() -> None:
    draw = np.random.default_rng(0).standard_normal
    sounds = [0.001 * draw(4000), 0.1 * draw(8000), 0.03 * draw(100), np.zeros(50)]
    matched = matched_levels(sounds)
    levels = [rms_db(each) for each in matched]
    assert levels[:3] == pytest.approx([LEVEL_DB] * 3, abs=1e-4) and levels[3] == -np.inf
    for before, after in zip(sounds[:3], matched, strict=False):
        assert after.dtype == np.float32 and np.corrcoef(before, after)[0, 1] > 1 - 1e-6


def test_none_clips_a_peaky_one_lowers_all() -> None:
    click = np.zeros(10000)
    click[5000] = 0.2
    noise = 0.05 * np.random.default_rng(1).standard_normal(10000)
    matched = matched_levels([click, noise])
    assert np.abs(matched[0]).max() == pytest.approx(PEAK, rel=1e-6)
    assert rms_db(matched[0]) == pytest.approx(rms_db(matched[1]), abs=1e-4)
    assert rms_db(matched[0]) < LEVEL_DB
