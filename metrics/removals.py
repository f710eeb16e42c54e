"""Removal tables: effects of removing sets of cells, computed once per clip, condition and fill, for all methods.

`random_removals` removes random sets of cells of the scoring grid from the waveform, `single_removals` one super-cell
at a time. They are used by the metrics that correlate relevance and effect (`metrics.prediction`).

Conventions
-----------
An effect is the drop of the target's log-odds, ``y(clip) - y(clip without the cells)``: positive if the cells are
evidence for the target. Copies are scored in fixed chunks of a multiple of the recogniser's batch size.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch

from ..audio import Grid
from ..keys import rng
from .case import CLIP_LOG_ODDS, Case
from .trajectory import AT_ONCE, super_grid

SUBSET_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the cells
SUBSETS = 64  # of each size
PIECE = 64  # copies held at once, rounded down to full batches of the recogniser


@dataclass(frozen=True, eq=False)
class Removals:
    """Sets of cells and the effects of their removal.

    Attributes
    ----------
    removed : array of bool, shape (n, n_cells)
    effect : array, float64, shape (n,)
        Log-odds of the clip minus those of the copy.
    size : array, int, shape (n,)
        Index of the set's size in `SUBSET_SHARES`; 0 for single cells.
    model_calls : int
        Including the one for the clip itself.
    """

    removed: np.ndarray
    effect: np.ndarray
    size: np.ndarray
    model_calls: int


def random_subsets(n_cells: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random sets of cells, `SUBSETS` of each of `SUBSET_SHARES` (at least one cell each).

    Returns
    -------
    removed : array of bool, shape (n, n_cells)
    size : array, int, shape (n,)
    """
    size = np.repeat(np.arange(len(SUBSET_SHARES)), SUBSETS)
    count = np.array([max(1, round(share * n_cells)) for share in SUBSET_SHARES])[size]
    place = generator.random((size.size, n_cells)).argsort(axis=1).argsort(axis=1)
    return place < count[:, None], size


def random_removals(case: Case) -> Removals:
    """Removals of random sets of cells of the scoring grid, cached per case and fill."""

    def make() -> Removals:
        generator = rng(*case.seed, "random subsets")
        removed, size = random_subsets(case.grid.shape[0] * case.grid.shape[1], generator)
        return _measured(case, case.grid, removed, size)

    return case.shared(("random removals", case.fill), make)


def single_removals(case: Case) -> Removals:
    """Removals of each super-cell alone, cached per case and fill."""

    def make() -> Removals:
        grid = super_grid(case)
        n_cells = grid.shape[0] * grid.shape[1]
        return _measured(case, grid, np.eye(n_cells, dtype=bool), np.zeros(n_cells, dtype=int))

    return case.shared(("single removals", case.fill), make)


def random_removal_work(case: Case) -> dict[Hashable, int]:
    """Model calls of `random_removals`, as returned by `metrics.case.CallingMetric.work`."""
    return _work(case, "random removals", SUBSETS * len(SUBSET_SHARES))


def single_removal_work(case: Case) -> dict[Hashable, int]:
    """Model calls of `single_removals`, as returned by `metrics.case.CallingMetric.work`."""
    grid = super_grid(case)
    return _work(case, "single removals", grid.shape[0] * grid.shape[1])


def _work(case: Case, kind: str, n: int) -> dict[Hashable, int]:
    return {CLIP_LOG_ODDS: case.recogniser.calls_for(1), (kind, case.fill): case.recogniser.calls_for(n)}


def _measured(case: Case, grid: Grid, removed: np.ndarray, size: np.ndarray) -> Removals:
    clip = case.response(case.log_odds)
    recogniser, before = case.recogniser, case.recogniser.calls
    at_once = max(1, PIECE // recogniser.batch) * recogniser.batch  # only the last chunk is padded
    y = np.concatenate([_log_odds_without(case, grid, piece) for piece in _pieces(removed, at_once)])
    return Removals(removed, clip - y, size, recogniser.calls - before + recogniser.calls_for(1))


def _log_odds_without(case: Case, grid: Grid, removed: np.ndarray) -> np.ndarray:
    keep = ~removed.reshape(-1, *grid.shape)
    copies = [case.plane.render(few, grid, case.fill_spectrum) for few in _pieces(keep, AT_ONCE)]
    return case.response(case.recogniser.log_odds(torch.cat(copies)))


def _pieces(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(rows, range(size, len(rows), size))
