"""Where a planted clip differs from its neutral twin: the truth that explanations are held to.

Conventions
-----------
The truth is the difference of *magnitudes* of the two short-time spectra, never the complex difference: resynthesis
shifts phases without moving energy. It counts only frames whose centre lies inside a planted word or its crossfade.
A truth map is non-negative, and all zero where nothing was planted. Under a condition both clip and twin are shifted
alike, and the same functions hold.
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
    """Absolute difference of the magnitudes of clip and twin, summed within each cell over the planted words.

    Parameters
    ----------
    clip : Clip
        Its plant says which words.
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
            f"{tuple(twin_plane.spectrum.shape)}; both must have as many samples."
        )
    times = plane.times_s
    inside = np.zeros(times.shape, dtype=bool)
    for word in clip.plant.words:
        inside |= (times >= word.start_s - CROSSFADE_S) & (times <= word.end_s + CROSSFADE_S)
    difference = (plane.spectrum.abs() - twin_plane.spectrum.abs()).abs()
    return plane.sum_cells(difference * torch.as_tensor(inside, device=difference.device), grid)


def truth_mask(truth: np.ndarray, mass: float = TRUTH_MASS) -> np.ndarray:
    """Smallest set of cells that holds at least `mass` of a truth map.

    Parameters
    ----------
    truth : array, any shape
        Non-negative.
    mass : float
        In (0, 1].

    Returns
    -------
    array of bool, same shape
        All false for an all-zero map. Of equal cells the earlier ones in row-major order come first.

    Raises
    ------
    InputError
        For negative or non-finite values, or a mass outside (0, 1].
    """
    truth = np.asarray(truth, dtype=np.float64)
    if not np.all(np.isfinite(truth)) or np.any(truth < 0):
        raise InputError("truth_mask: the map must be finite and non-negative; take the output of truth_map.")
    if not 0 < mass <= 1:
        raise InputError(f"truth_mask: mass must lie in (0, 1], got {mass}.")
    values = truth.ravel()
    mask = np.zeros(values.size, dtype=bool)
    if values.any():
        order = np.argsort(-values, kind="stable")
        held = np.cumsum(values[order])
        # a cell of value zero never enters, whatever rounding does to the sum
        count = min(int(np.searchsorted(held, mass * held[-1] * (1 - 1e-12))) + 1, int(np.count_nonzero(values)))
        mask[order[:count]] = True
    return mask.reshape(truth.shape)
