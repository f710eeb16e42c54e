"""Resolution of a map, measured on the map, and the truth as a map of that resolution can show it.

Conventions
-----------
A map of coarse cells cannot point at a narrow truth however right it is: the truth itself, summed over 8 bands, ranks
the planted cells poorly. The *attainable* score of a map is that of the truth at the map's own resolution, which is
measured on the stored values, not taken from what a method declares, in two steps:

1. *Cells.* Neighbouring rows (columns) of the map's native grid with the same density in every column (row) are one
   row (column): a band map stored on 128 x frames has 8 x 1 cells. Rows that are zero everywhere say nothing about
   resolution and are not merged, so that a sparse map is not taken for a coarse one. The truth is summed over these
   cells and moved onto the scoring grid in the way maps are (`case.summed_on`), which averages it within each.
2. *Bandwidth*, along an axis on which the cells of step 1 are finer than those of the scoring grid: smooth maps, such
   as a class activation map enlarged by interpolation, have distinct but redundant cells. The bandwidth is the number
   of coefficients of the discrete cosine transform (DCT-II) along the axis that hold 99 % of the map's variance along
   it. The truth keeps as many of its own, which matters where that is fewer than the scoring grid has cells.

Both steps err towards a finer resolution, so towards a higher attainable score: linear interpolation between k nodes
needs up to 1.7 k coefficients, and where structure is rough at the native scale, no bandwidth is lost. A constant map
has one cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.fft import dct, idct

from ..audio import Grid, band_edges_hz
from ..audio.grid import mel_row_of
from ..datasets.planted.truth import truth_map
from .case import Case, summed_on
from .localisation import case_truth_mask, mass_accuracy, pointing_game, rank_accuracy, truth_auc

EQUAL = 1e-6  # relative to the largest density; smaller differences are rounding errors of float32
HELD = 0.99  # share of the variance along an axis within the bandwidth
MEASURED_ROWS = 128  # mel rows on which bandwidth over frequency is measured


class Resolution(NamedTuple):
    """Resolution of one map.

    Attributes
    ----------
    grid : Grid
        Cells of step 1.
    rows, columns : int
        Cells, or DCT coefficients where these are fewer.
    limited_rows, limited_columns : bool
        Whether bandwidth limits the axis.
    """

    grid: Grid
    rows: int
    columns: int
    limited_rows: bool
    limited_columns: bool


def cells_of(values: np.ndarray, grid: Grid) -> Grid:
    """Grid of the map's cells: its own without the edges between rows, and columns, of equal density.

    Parameters
    ----------
    values : array, shape ``grid.shape``
        Sum over each cell.
    grid : Grid
    """
    density = _density(values, grid)
    tolerance = EQUAL * np.abs(density).max()
    return Grid(
        grid.freq_edges_hz[_kept_edges(density, tolerance)], grid.time_edges_s[_kept_edges(density.T, tolerance)]
    )


def bandwidth(values: np.ndarray, axis: int) -> int:
    """Number of DCT-II coefficients along an axis that hold `HELD` of the map's variance along it, 1 if it is constant.

    Parameters
    ----------
    values : array, shape (n_freq, n_time)
        Sums over cells of equal size.
    axis : {0, 1}
    """
    power = np.square(dct(np.asarray(values, dtype=np.float64), axis=axis, norm="ortho")).sum(axis=1 - axis)
    varying = power[1:].sum()
    if varying <= EQUAL**2 * power.sum():
        return 1
    return 2 + int(np.searchsorted(np.cumsum(power[1:]), HELD * varying * (1 - 1e-12)))


def resolution_of(values: np.ndarray, grid: Grid, scoring: Grid) -> Resolution:
    """Measure the resolution of a map.

    Parameters
    ----------
    values : array, shape ``grid.shape``
    grid : Grid
        Native grid of the map.
    scoring : Grid
        The clip's scoring grid.
    """
    cells = cells_of(values, grid)
    rows, columns = cells.shape
    fine_rows, fine_columns = rows > scoring.shape[0], columns > scoring.shape[1]
    if fine_rows or fine_columns:
        even = grid.transfer(values, _even(grid))
        rows = min(rows, bandwidth(even, 0)) if fine_rows else rows
        columns = min(columns, bandwidth(even, 1)) if fine_columns else columns
    return Resolution(
        cells, rows, columns, fine_rows and rows < scoring.shape[0], fine_columns and columns < scoring.shape[1]
    )


def low_passed(values: np.ndarray, axis: int, coefficients: int) -> np.ndarray:
    """Keep only the first DCT-II coefficients along an axis (least-squares projection).

    Parameters
    ----------
    values : array, shape (n_freq, n_time)
    axis : {0, 1}
    coefficients : int
        At least 1.
    """
    spectrum = dct(values, axis=axis, norm="ortho")
    np.moveaxis(spectrum, axis, 0)[coefficients:] = 0
    kept: np.ndarray = idct(spectrum, axis=axis, norm="ortho")
    return kept


def truth_at(case: Case, resolution: Resolution) -> np.ndarray:
    """Truth of a planted clip as a map of this resolution shows it on the scoring grid.

    Parameters
    ----------
    case : Case
    resolution : Resolution

    Returns
    -------
    array, float64, shape ``case.grid.shape``

    Raises
    ------
    NotApplicable
        If the clip has no truth; see `localisation.case_truth_mask`.
    """
    case_truth_mask(case)
    cells = resolution.grid
    shown = summed_on(truth_map(case.clip, case.plane, case.twin_plane, cells), cells, case.grid)
    if resolution.limited_rows:
        shown = low_passed(shown, 0, resolution.rows)
    if resolution.limited_columns:
        shown = low_passed(shown, 1, resolution.columns)
    return shown


# score of a map against the truth mask, by metric
AGAINST_TRUTH: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mass-accuracy": mass_accuracy,
    "rank-accuracy": rank_accuracy,
    "pointing-game": pointing_game,
    "truth-auc": truth_auc,
}


def expected_at_random(metric: str, mask: np.ndarray) -> float:
    """Expected score of an exchangeable random map by a metric of `AGAINST_TRUTH`, for one truth mask."""
    return 0.5 if metric == "truth-auc" else float(mask.mean())


def _density(values: np.ndarray, grid: Grid) -> np.ndarray:
    size = np.diff(mel_row_of(grid.freq_edges_hz))[:, None] * np.diff(grid.time_edges_s)
    density: np.ndarray = np.asarray(values, dtype=np.float64) / size
    return density


def _kept_edges(density: np.ndarray, tolerance: float) -> np.ndarray:
    """Which edges between the rows of an array stay, outer edges included; bool, shape (n_rows + 1,)."""
    equal = (np.abs(np.diff(density, axis=0)) <= tolerance).all(axis=1)
    silent = (np.abs(density) <= tolerance).all(axis=1)
    return np.concatenate([[True], ~(equal & ~silent[:-1]), [True]])


def _even(grid: Grid) -> Grid:
    """Grid over the same extent in time with cells of equal size, on which bandwidth is measured."""
    edges = grid.time_edges_s
    return Grid(band_edges_hz(MEASURED_ROWS), np.linspace(edges[0], edges[-1], edges.size))
