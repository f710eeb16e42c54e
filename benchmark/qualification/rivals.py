"""Rivals of the truth: wrong explanations of kinds that methods produce, beside truth mixed with noise.

==================== =================================================================================================
``negated``          the truth with all signs turned
``energy``           the truth mixed with the clip's energy; level 0 is the energy alone
``shift``            the truth shifted by 80, 160 and 320 ms; level 0 is the last
``coarse``           the truth at a coarser resolution: means of blocks of 2 x 2 and 4 x 4 cells
``edges``            magnitude of the gradient of the clip's spectrogram in dB, as an edge detector sees it
``other class``      the truth of another class: on a white box its exact map for that class, else the oracle of the
                     same voice's clip of the same sentence with another emotion
``method``           on white boxes, maps of real methods; their level is the cosine with the exact map
==================== =================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...audio import scoring_grid
from ...datasets.clip import Clip
from ...errors import NotApplicable
from ...methods.baselines import Oracle
from ...methods.blend import blended, coarse, shifted, unit
from ...methods.explainer import Request
from ...methods.records import make_method
from ...metrics.case import Case
from ...models.white_box import WhiteBox

COLUMN_MS = 80  # of the scoring grid
SHIFTS_MS = (80, 160, 320)
ENERGY_SHARES = (0.0, 0.5)  # of the truth in the mixture with energy
BLOCKS = (2, 4)  # cells on a side
METHODS = ("saliency", "input-x-gradient", "integrated-gradients", "occlusion")
MODEL_BLIND = ("energy", "shift", "edges", "other class")  # checks whose level 0 the truth must beat
CHECKS = ("negated", "coarse", "method", *MODEL_BLIND)
FLOOR_DB = 60.0  # below the loudest bin


def rival_maps(case: Case, best: np.ndarray, kind: str, other: Clip | None) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield check, level and map of each rival; those that cannot be made for this clip are left out.

    Parameters
    ----------
    case : Case
    best : array, shape of the scoring grid
        The truth.
    kind : str
        ``truth`` or ``oracle``: whose truth of another class is taken.
    other : Clip, optional
        Same voice and sentence with another planted emotion.
    """
    yield "negated", -1.0, -best
    energy = case.plane.energy(case.grid)
    for share in ENERGY_SHARES:
        yield "energy", share, blended(best, energy, share)
    for shift in SHIFTS_MS:
        moved = shifted(best, shift // COLUMN_MS)
        if moved.any():
            yield "shift", 1 - shift / SHIFTS_MS[-1], moved
    for cells in BLOCKS:
        yield "coarse", 1 / cells, coarse(best, cells)
    yield "edges", 0.0, edge_map(case)
    wrong = _of_other_class(case, kind, other)
    if wrong is not None and wrong.any():
        yield "other class", 0.0, wrong


def method_maps(case: Case, best: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Yield closeness to the exact map of a white box, and the map of each of `METHODS` that applies."""
    for name in METHODS:
        try:
            request = Request(case.recogniser, case.clip, case.target, (*case.seed, name))
            found = unit(make_method(name).attribute(request).on(case.grid))
        except NotApplicable:
            continue
        yield float((unit(best) * found).sum()), found


def edge_map(case: Case) -> np.ndarray:
    """Magnitude of the gradient of the clip's spectrogram in dB, 60 dB deep, summed over the scoring grid's cells."""
    power = case.plane.spectrum.abs().square().double()
    level = 10 * (power / power.max()).clamp_min(10 ** (-FLOOR_DB / 10)).log10()
    by_frequency, by_time = (np.gradient(level.cpu().numpy(), axis=axis) for axis in (0, 1))
    import torch

    return case.plane.sum_cells(torch.as_tensor(np.hypot(by_frequency, by_time)), case.grid)


def _of_other_class(case: Case, kind: str, other: Clip | None) -> np.ndarray | None:
    recogniser, clip = case.recogniser, case.clip
    if kind == "truth" and isinstance(recogniser, WhiteBox) and clip.plant is not None:
        target = next(name for name in recogniser.classes if name not in (case.target, "neutral"))
        return recogniser.relevance(clip.samples, clip.plant.twin, target, case.grid)
    if other is None:
        return None
    try:
        truth = Oracle().attribute(Request(recogniser, other, other.emotion))
    except NotApplicable:
        return None
    return truth.grid.transfer(truth.values, scoring_grid(clip.duration_s))
