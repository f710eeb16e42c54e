"""Degraded copies of a true map, for the qualification of metrics: mixed with noise, blurred, flipped, shuffled.

Conventions
-----------
All functions are pure, take a map of any shape (`blurred`: two axes) and return a new one, float64. Draws come from the
given generator. Maps are normalised to Euclidean norm 1 before they are mixed, so that weights are comparable.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import NotApplicable

BLUR_CELLS = 4.0  # standard deviation of the widest blur


def unit(values: np.ndarray) -> np.ndarray:
    """Normalise a map to Euclidean norm 1.

    Raises
    ------
    NotApplicable
        If it is zero everywhere.
    """
    values = np.asarray(values, dtype=np.float64)
    norm = np.linalg.norm(values)
    if norm == 0:
        raise NotApplicable("the true map is zero everywhere")
    return values / norm


def noise_like(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Independent normal noise of the map's shape, at norm 1."""
    return unit(generator.standard_normal(values.shape))


def blended(truth: np.ndarray, noise: np.ndarray, weight: float) -> np.ndarray:
    """Convex combination ``weight * truth + (1 - weight) * noise`` of normalised maps.

    Parameters
    ----------
    truth, noise : array, same shape
    weight : float
        0 (noise alone) to 1 (truth alone).
    """
    return weight * unit(truth) + (1 - weight) * unit(noise)


def blurred(values: np.ndarray, strength: float) -> np.ndarray:
    """Gaussian blur with a standard deviation of ``4 * strength`` cells; preserves the sum."""
    return gaussian_filter(np.asarray(values, dtype=np.float64), strength * BLUR_CELLS, mode="reflect")


def sign_noise(values: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Flip the sign of each cell with probability ``strength / 2``; at 1 signs are random."""
    flipped = generator.random(values.shape) < strength / 2
    return np.where(flipped, -values, values).astype(np.float64)


def shuffled(values: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Permute a random share ``strength`` of the cells; at 1 the whole map is shuffled."""
    flat = np.array(values, dtype=np.float64).ravel()
    chosen = generator.permutation(flat.size)[: round(strength * flat.size)]
    flat[chosen] = flat[generator.permutation(chosen)]
    return flat.reshape(values.shape)


def even_map(shape: tuple[int, ...], cells: int, generator: np.random.Generator) -> np.ndarray:
    """Map with `cells` cells of 1 at random positions and 0 elsewhere."""
    flat = np.zeros(int(np.prod(shape)))
    flat[generator.permutation(flat.size)[:cells]] = 1.0
    return flat.reshape(shape)


def shifted(values: np.ndarray, columns: int) -> np.ndarray:
    """Shift a map by columns to the right, zeros entering; columns shifted out are lost."""
    moved = np.zeros(np.shape(values))
    moved[:, columns:] = values[:, : max(values.shape[1] - columns, 0)]
    return moved


def coarse(values: np.ndarray, cells: int) -> np.ndarray:
    """Replace each block of ``cells x cells`` cells (smaller ones at the end) by its mean; preserves the sum."""
    values = np.asarray(values, dtype=np.float64)
    rows, columns = (np.arange(size) // cells for size in values.shape)
    block = rows[:, None] * (columns.max() + 1) + columns
    sums = np.bincount(block.ravel(), values.ravel()) / np.bincount(block.ravel())
    return sums[block]
