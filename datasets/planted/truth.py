"""Ground-truth maps of planted clips: where a clip differs from its neutral twin.

Conventions
-----------
The truth is the difference of *magnitudes* of the two STFTs, never the complex difference: resynthesis changes phases
without moving energy. Only frames whose centre lies in a planted word or its crossfade count. A truth map is
non-negative, and zero for a neutral clip. Under a condition, clip and twin are shifted in the same way, and the same
functions apply.
"""

from __future__ import annotations

import numpy as np
import torch

from ...audio import Grid, Plane
from ...errors import InputError
from ..clip import Clip

CROSSFADE_S = 0.010  # on either side of a planted word
TRUTH_MASS = 0.95


def truth_map(clip: Clip, plane: Plane, twin_plane: Plane, grid: Grid) -> np.ndarray:
    """Ground-truth map: absolute STFT magnitude difference of clip and twin in the planted words, summed over cells.

    Parameters
    ----------
    clip : Clip
        With its plant, which names the words.
    plane, twin_plane : Plane
        Of the clip and of its twin, under the same condition.
    grid : Grid

    Returns
    -------
    array, float64, shape ``grid.shape``
        Non-negative.

    Raises
    ------
    InputError
        If the clip has no twin, or the two planes differ in shape.
    """
    if clip.plant is None:
        raise InputError(f"truth_map: clip {clip.id!r} has no neutral twin; only clips of corpus 'planted' have one.")
    if plane.spectrum.shape != twin_plane.spectrum.shape:
        raise InputError(
            f"truth_map: the clip's STFT has shape {tuple(plane.spectrum.shape)}, its twin's "
            f"{tuple(twin_plane.spectrum.shape)}; pass two planes of the same number of samples."
        )
    times = plane.times_s
    inside = np.zeros(times.shape, dtype=bool)
    for word in clip.plant.words:
        inside |= (times >= word.start_s - CROSSFADE_S) & (times <= word.end_s + CROSSFADE_S)
    difference = (plane.spectrum.abs() - twin_plane.spectrum.abs()).abs()
    return plane.sum_cells(difference * torch.as_tensor(inside, device=difference.device), grid)


def truth_mask(truth: np.ndarray, mass: float = TRUTH_MASS) -> np.ndarray:
    """Mask of the smallest set of cells that has at least the share `mass` of a truth map.

    Parameters
    ----------
    truth : array, any shape
        Non-negative.
    mass : float
        In (0, 1].

    Returns
    -------
    array of bool, same shape
        All false for an all-zero map. Ties are resolved in row-major order.

    Raises
    ------
    InputError
        For negative or non-finite values, or a mass outside (0, 1].
    """
    truth = np.asarray(truth, dtype=np.float64)
    if not np.all(np.isfinite(truth)) or np.any(truth < 0):
        raise InputError("truth_mask: the map must be finite and non-negative; take the output of truth_map.")
    if not 0 < mass <= 1:
        raise InputError(f"truth_mask: mass must lie in (0, 1], got {mass}; take e.g. {TRUTH_MASS}.")
    values = truth.ravel()
    mask = np.zeros(values.size, dtype=bool)
    if values.any():
        order = np.argsort(-values, kind="stable")
        cumulative = np.cumsum(values[order])
        # rounding of the sum must not add cells of value zero
        needed = int(np.searchsorted(cumulative, mass * cumulative[-1] * (1 - 1e-12))) + 1
        count = min(needed, int(np.count_nonzero(values)))
        mask[order[:count]] = True
    return mask.reshape(truth.shape)
