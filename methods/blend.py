"""Maps of known worth: a true map mixed with noise, or spoilt step by step.

Conventions
-----------
All functions are pure, take a map of any shape (`blurred`: two axes) and return a new one, float64. Draws come from the
generator given. Where maps are mixed they are first brought to norm 1, so that a weight says how much of each is in it.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import NotApplicable

BLUR_CELLS = 4.0  # standard deviation of the widest blur


def unit(values: np.ndarray) -> np.ndarray:
    """The map at norm 1.

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
    """``weight`` parts of the truth and ``1 - weight`` of the noise, each at norm 1.

    Parameters
    ----------
    truth, noise : array, same shape
    weight : float
        In 0..1; 0 is the noise alone, 1 the truth.
    """
    return weight * unit(truth) + (1 - weight) * unit(noise)


def blurred(values: np.ndarray, strength: float) -> np.ndarray:
    """Smeared over neighbouring cells by a Gaussian of ``strength`` times 4 cells; the sum stays. 0 changes nothing."""
    return gaussian_filter(np.asarray(values, dtype=np.float64), strength * BLUR_CELLS, mode="reflect")


def sign_noise(values: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A share ``strength / 2`` of the cells with the other sign; at 1 signs are random."""
    flipped = generator.random(values.shape) < strength / 2
    return np.where(flipped, -values, values).astype(np.float64)


def shuffled(values: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A share ``strength`` of the cells exchanged among each other; at 1 relevance lies anywhere."""
    flat = np.array(values, dtype=np.float64).ravel()
    chosen = generator.permutation(flat.size)[: round(strength * flat.size)]
    flat[chosen] = flat[generator.permutation(chosen)]
    return flat.reshape(values.shape)


def even_map(shape: tuple[int, ...], cells: int, generator: np.random.Generator) -> np.ndarray:
    """``cells`` equal cells at random places, the rest 0."""
    flat = np.zeros(int(np.prod(shape)))
    flat[generator.permutation(flat.size)[:cells]] = 1.0
    return flat.reshape(shape)
