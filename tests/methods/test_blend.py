"""Maps of known worth."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.methods.blend import blended, blurred, even_map, noise_like, shuffled, sign_noise, unit

MAPS = [rng("map", i).standard_normal((4 + i, 7)) ** 3 for i in range(5)]


@pytest.mark.parametrize("values", MAPS)
def test_a_blend_goes_from_noise_to_truth(values):
    noise = noise_like(values, rng("noise"))
    assert blended(values, noise, 1.0) == pytest.approx(unit(values)) and blended(values, noise, 0.0) == pytest.approx(
        noise
    )
    near = [np.vdot(unit(blended(values, noise, w)), unit(values)) for w in np.linspace(0, 1, 11)]
    assert np.all(np.diff(near) > 0)
    assert blended(7 * values, noise / 3, 0.4) == pytest.approx(blended(values, noise, 0.4))  # scales do not count


@pytest.mark.parametrize("values", MAPS)
def test_spoiling_by_nothing_changes_nothing(values):
    assert np.array_equal(blurred(values, 0.0), values)
    assert np.array_equal(sign_noise(values, 0.0, rng("s")), values)
    assert np.array_equal(shuffled(values, 0.0, rng("s")), values)


@pytest.mark.parametrize("values", MAPS)
def test_spoiling_keeps_what_it_says(values):
    assert blurred(values, 1.0).sum() == pytest.approx(values.sum())
    assert np.abs(blurred(values, 1.0)).max() < np.abs(values).max()
    assert np.array_equal(np.abs(sign_noise(values, 1.0, rng("s"))), np.abs(values))
    mixed = shuffled(values, 1.0, rng("s"))
    assert np.array_equal(np.sort(mixed, axis=None), np.sort(values, axis=None)) and not np.array_equal(mixed, values)
    half = shuffled(values, 0.5, rng("s"))
    assert (half != values).sum() <= round(0.5 * values.size)


def test_sign_noise_flips_half_of_the_cells_at_most():
    values = np.ones((100, 100))
    for strength in (0.2, 0.6, 1.0):
        assert np.mean(sign_noise(values, strength, rng("s")) < 0) == pytest.approx(strength / 2, abs=0.02)


@pytest.mark.parametrize("cells", [1, 5, 12])
def test_an_even_map_has_so_many_cells(cells):
    values = even_map((3, 4), cells, rng("e"))
    assert values.sum() == cells and set(np.unique(values)) <= {0.0, 1.0}


def test_a_map_of_zeros_has_no_truth_to_blend():
    with pytest.raises(NotApplicable, match="zero everywhere"):
        unit(np.zeros((2, 2)))
