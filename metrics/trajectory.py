"""Deletion trajectories: log-odds as cells are removed in order of relevance, shared by all perturbation-curve metrics.

The cells of the scoring grid are ranked by signed relevance, the highest first, with ties in a seeded random order.
They are removed from the waveform in 16 steps of equal area (equal numbers of cells), once from the top of the ranking
(most relevant first, MoRF) and once from its bottom (least relevant first, LeRF), and the log-odds of the target are
computed after each step. The inverse STFT is linear, so every copy is the clip plus a cumulative sum of the 16 steps'
difference signals (or plus the full sum minus a cumulative one).

Both ends are common to both curves: 2 x 15 + 2 = 32 copies, four full batches of eight.

There are also trajectories on a map's own grid (native), on super-cells, and for random orders; the latter are computed
once per clip, condition and fill, for all methods. A random order and its reverse give two random curves.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch

from ..audio import Grid, scoring_grid
from ..keys import rng
from ..methods.attribution import Attribution
from ..models.recogniser import Recogniser
from .case import Case

STEPS = 16
RANDOM_TRAJECTORIES = 2  # four random orders
SUPER_BANDS, SUPER_CELL_S = 8, 0.16  # a super-cell is about two by two cells of the scoring grid
AT_ONCE = 4  # steps inverted together; their spectra fit the CPU cache (half the time of 16 for a 2.4 s clip)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Log-odds of the target along one ranking of the cells.

    Attributes
    ----------
    area : array, float64, shape (steps + 1,)
        Share of the cells removed, from 0 to 1.
    morf : array, float64, shape (steps + 1,)
        ``morf[i]``: log-odds with the top ``area[i]`` of the ranking removed.
    lerf : array, float64, shape (steps + 1,)
        ``lerf[i]``: log-odds with the bottom of the ranking removed, all but its top ``area[-1 - i]``. Steps are equal
        wherever the number of cells is a multiple of 16, as on the scoring grid: then that is the bottom ``area[i]``.
    model_calls : int
        Batch padding included.
    """

    area: np.ndarray
    morf: np.ndarray
    lerf: np.ndarray
    model_calls: int


def ranking(relevance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rank cells by signed relevance, highest first, ties in random order.

    Parameters
    ----------
    relevance : array, any shape
    generator : numpy Generator

    Returns
    -------
    array, int, shape (n_cells,)
        Flat indices.
    """
    flat = relevance.ravel()
    return np.lexsort((generator.permutation(flat.size), -flat))


def step_of(order: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Step at which each cell is removed, from 0, in steps of equal numbers of cells (to within one).

    Grids with fewer cells than steps have one step per cell.
    """
    n = order.size
    steps = min(steps, n)
    step = np.empty(n, dtype=np.int64)
    step[order] = np.arange(n) * steps // n
    return step


def share_removed(step: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Removed share of the cells, or of their weights (not all zero), after each step; shape (steps + 1,)."""
    running = np.append(0, np.cumsum(np.bincount(step, weights)))
    return running / running[-1]


def deletion_trajectory(case: Case, order: np.ndarray, grid: Grid | None = None) -> Trajectory:
    """Compute the trajectory of removing cells in this order and in its reverse.

    Parameters
    ----------
    case : Case
    order : array, int, shape (n_cells,)
        Every cell of the grid once, as flat index, the most relevant first.
    grid : Grid, optional
        Default: the scoring grid.

    Returns
    -------
    Trajectory
    """
    grid = case.grid if grid is None else grid
    step = step_of(order)
    steps = int(step.max()) + 1
    waveforms = _waveforms(case, step.reshape(grid.shape), grid, steps)
    before = case.recogniser.calls
    log_odds = case.recogniser.log_odds(waveforms)
    calls = case.recogniser.calls - before
    y = case.response(log_odds)
    return Trajectory(
        area=share_removed(step),
        morf=y[: steps + 1],
        lerf=np.concatenate([y[:1], y[steps + 1 :], y[steps : steps + 1]]),
        model_calls=calls,
    )


def order_of(case: Case, attribution: Attribution) -> np.ndarray:
    """Flat indices of the scoring grid's cells in the order of removal, most relevant first."""
    return ranking(case.map(attribution), rng(*case.seed, "ties", attribution.drawn_as))


def trajectory_of(case: Case, attribution: Attribution) -> Trajectory:
    """Deletion trajectory of an explanation under the case's fill, cached per case, fill and ranking."""
    order = order_of(case, attribution)
    return case.shared(("trajectory", case.fill, order.tobytes()), lambda: deletion_trajectory(case, order))


def native_trajectory(case: Case, attribution: Attribution) -> Trajectory:
    """As `trajectory_of`, over the cells of the map's own grid."""
    grid = attribution.grid
    if grid == case.grid:
        return trajectory_of(case, attribution)
    order = ranking(attribution.values, rng(*case.seed, "native ties", attribution.drawn_as))
    key = ("native trajectory", case.fill, _edges(grid), order.tobytes())
    return case.shared(key, lambda: deletion_trajectory(case, order, grid))


def super_grid(case: Case) -> Grid:
    """Grid of super-cells: 8 mel bands x 160 ms."""
    return scoring_grid(case.clip.duration_s, SUPER_BANDS, SUPER_CELL_S)


def super_trajectory(case: Case, attribution: Attribution) -> Trajectory:
    """As `trajectory_of`, over super-cells."""
    grid = super_grid(case)
    order = ranking(case.map_on(attribution, grid), rng(*case.seed, "super ties", attribution.drawn_as))
    return case.shared(("super trajectory", case.fill, order.tobytes()), lambda: deletion_trajectory(case, order, grid))


def random_trajectories(case: Case) -> list[Trajectory]:
    """Trajectories of random orders, cached per case and fill for all methods."""

    def make() -> list[Trajectory]:
        n_cells = case.grid.shape[0] * case.grid.shape[1]
        orders = [rng(*case.seed, "random order", i).permutation(n_cells) for i in range(RANDOM_TRAJECTORIES)]
        return [deletion_trajectory(case, order) for order in orders]

    return case.shared(("random trajectories", case.fill), make)


def trajectory_calls(recogniser: Recogniser, n_cells: int) -> int:
    """Model calls of one trajectory over `n_cells` cells, batch padding included."""
    return recogniser.calls_for(2 * min(STEPS, n_cells))


def trajectory_work(case: Case, grid: Grid, kind: str, explanation: Hashable) -> dict[Hashable, int]:
    """Model calls of one explanation's trajectory, as returned by `CallingMetric.work`."""
    key = (kind, case.fill, explanation)
    return {key: trajectory_calls(case.recogniser, grid.shape[0] * grid.shape[1])}


def _edges(grid: Grid) -> bytes:
    return grid.freq_edges_hz.tobytes() + b"x" + grid.time_edges_s.tobytes()


def _waveforms(case: Case, step: np.ndarray, grid: Grid, steps: int) -> torch.Tensor:
    """Render the clip; without steps 0, 0-1, ..., all; without the last step, the last two, ..., all but the first."""
    plane = case.plane
    rows, columns = plane.cells(grid)
    label = torch.as_tensor(step, device=rows.device)[rows][:, columns]
    change = case.fill_spectrum - plane.spectrum
    chunks = torch.arange(steps, device=label.device)[:, None, None].split(AT_ONCE)
    top = torch.cat([plane.istft(torch.where(label == chunk, change, 0)) for chunk in chunks]).cumsum_(dim=0)
    bottom = top[-1] - top[:-1].flip(0)
    return torch.cat([plane.samples[None], plane.samples + top, plane.samples + bottom])
