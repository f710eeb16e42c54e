"""The truth of planted clips against brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from serxai.audio import Plane, scoring_grid
from serxai.datasets.clip import Clip, Plant, Word
from serxai.datasets.planted.truth import CROSSFADE_S, truth_map, truth_mask
from serxai.datasets.shifts.conditions import apply_condition
from serxai.errors import InputError
from serxai.keys import rng


def _pair(seed: int) -> Clip:
    """Noise whose two 'words' are scaled up in one copy."""
    draw = rng("truth", seed)
    n = int(draw.integers(8000, 20000))
    twin = (0.1 * draw.standard_normal(n)).astype(np.float32)
    starts = np.sort(draw.uniform(0.05, n / 16000 - 0.2, size=2))
    words = tuple(Word(str(i), float(s), float(s + draw.uniform(0.05, 0.15))) for i, s in enumerate(starts))
    samples = twin.copy()
    for word in words:
        samples[int(word.start_s * 16000) : int(word.end_s * 16000)] *= 2
    return Clip(f"c{seed}", samples, emotion="anger", corpus="planted", plant=Plant(twin, words))


def _slow_map(clip: Clip, grid) -> np.ndarray:
    """Cell by cell, bin by bin."""
    clip_size, twin_size = (
        np.abs(Plane(x).spectrum.numpy()).astype(np.float64) for x in (clip.samples, clip.plant.twin)
    )
    out = np.zeros(grid.shape)
    for frame in range(clip_size.shape[1]):
        time = frame * 128 / 16000
        if not any(w.start_s - CROSSFADE_S <= time <= w.end_s + CROSSFADE_S for w in clip.plant.words):
            continue
        for k in range(clip_size.shape[0]):
            row = max(i for i in range(grid.shape[0]) if k * 16000 / 512 >= grid.freq_edges_hz[i])
            column = max(j for j in range(grid.shape[1]) if time >= grid.time_edges_s[j])
            out[row, column] += abs(clip_size[k, frame] - twin_size[k, frame])
    return out


@pytest.mark.parametrize("seed", range(4))
def test_truth_map_is_the_magnitude_difference_of_the_words_summed_by_cell(seed):
    clip = _pair(seed)
    grid = scoring_grid(clip.duration_s)
    found = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), grid)
    np.testing.assert_allclose(found, _slow_map(clip, grid), rtol=1e-4, atol=1e-4)
    assert found.sum() > 0


def test_truth_map_is_blind_to_phase():
    clip = _pair(1)
    plane = Plane(clip.samples)
    turned = replace(clip, plant=replace(clip.plant, twin=-clip.samples))
    assert not truth_map(turned, plane, Plane(-clip.samples), scoring_grid(clip.duration_s)).any()


def test_truth_map_ignores_what_differs_outside_the_words():
    clip = _pair(2)
    nowhere = replace(clip, plant=replace(clip.plant, words=()))
    planes = Plane(clip.samples), Plane(clip.plant.twin)
    assert not truth_map(nowhere, *planes, scoring_grid(clip.duration_s)).any()


def test_truth_under_a_condition_comes_from_both_shifted_copies():
    clip = _pair(3)
    grid = scoring_grid(clip.duration_s)
    shifted = apply_condition("noise-10db", clip)
    clean = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), grid)
    noisy = truth_map(shifted, Plane(shifted.samples), Plane(shifted.plant.twin), grid)
    assert not np.array_equal(clean, noisy)
    # the noise is common to both copies, so what is left of it stays within the words
    assert not noisy[:, clean.sum(axis=0) == 0].any()


def test_truth_map_needs_a_twin_of_the_same_length():
    clip = _pair(0)
    plane, grid = Plane(clip.samples), scoring_grid(clip.duration_s)
    with pytest.raises(InputError, match="no neutral twin"):
        truth_map(replace(clip, plant=None), plane, plane, grid)
    with pytest.raises(InputError, match="same number of samples"):
        truth_map(clip, plane, Plane(clip.samples[:4000]), grid)


@pytest.mark.parametrize("seed", range(30))
def test_truth_mask_is_the_smallest_set_that_holds_the_mass(seed):
    draw = rng("mask", seed)
    values = draw.integers(0, 6, size=(2, 4)) * draw.choice([1.0, 0.1])
    mass = float(draw.choice([0.3, 0.5, 0.9, 0.95, 1.0]))
    mask = truth_mask(values, mass)
    flat, needed = values.ravel(), mass * values.sum() * (1 - 1e-9)
    smallest = min(n for n in range(9) if any(sum(c) >= needed for c in combinations(flat, n)))
    assert mask.shape == values.shape and mask.sum() == smallest
    assert values[mask].sum() >= needed and not (mask & (values == 0)).any()


def test_truth_mask_of_equal_cells_takes_the_earlier_ones():
    np.testing.assert_array_equal(truth_mask(np.ones((2, 2)), 0.5), [[True, True], [False, False]])


def test_truth_mask_refuses_what_is_no_truth():
    assert not truth_mask(np.zeros((3, 2))).any()
    for bad, mass, message in (([-1.0], 0.9, "non-negative"), ([np.nan], 0.9, "finite"), ([1.0], 0.0, "mass")):
        with pytest.raises(InputError, match=message):
            truth_mask(np.array(bad), mass)
