"""Time-frequency grids: cell edges, mel bands, and overlap-weighted resampling of maps between grids.

Conventions
-----------
Frequencies are in Hz, times in seconds from the first sample. Row 0 is the lowest band, column 0 the earliest cell.
``values[i, j]`` belongs to ``freq_edges_hz[i] .. [i + 1]`` and ``time_edges_s[j] .. [j + 1]``. Time edges may lie
outside the clip (front-end padding).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..errors import InputError

MEL_ROWS = 128  # of the finest mel grid; coarser mel bands are groups of whole rows, so all mel grids nest
SCORING_BANDS = 16
SCORING_CELL_S = 0.08


@dataclass(frozen=True, eq=False)
class Grid:
    """Rectangular partition of a region of the time-frequency plane.

    Parameters
    ----------
    freq_edges_hz : array, shape (n_freq + 1,)
        Strictly increasing.
    time_edges_s : array, shape (n_time + 1,)
        Strictly increasing.

    Raises
    ------
    InputError
        If edges are not finite and strictly increasing.
    """

    freq_edges_hz: np.ndarray
    time_edges_s: np.ndarray

    def __post_init__(self) -> None:
        for name in ("freq_edges_hz", "time_edges_s"):
            edges = np.array(getattr(self, name), dtype=np.float64)  # a copy, because it is made read-only below
            if edges.ndim != 1 or edges.size < 2 or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
                raise InputError(
                    f"Grid: {name} must be at least two finite, strictly increasing numbers, got {edges}; sort the "
                    "edges and drop duplicates."
                )
            edges.setflags(write=False)
            object.__setattr__(self, name, edges)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns, (n_freq, n_time)."""
        return self.freq_edges_hz.size - 1, self.time_edges_s.size - 1

    def __eq__(self, other: object) -> bool:
        """Whether all edges are equal."""
        return (
            isinstance(other, Grid)
            and np.array_equal(self.freq_edges_hz, other.freq_edges_hz)
            and np.array_equal(self.time_edges_s, other.time_edges_s)
        )

    def rows_of(self, freqs_hz: np.ndarray) -> np.ndarray:
        """Row index of each frequency, int, shape of `freqs_hz`; frequencies outside the grid get the nearest row."""
        rows = np.searchsorted(self.freq_edges_hz, freqs_hz, side="right") - 1
        return np.clip(rows, 0, self.shape[0] - 1)

    def columns_of(self, times_s: np.ndarray) -> np.ndarray:
        """Column index of each time, int, shape of `times_s`; times outside the grid get the nearest column."""
        columns = np.searchsorted(self.time_edges_s, times_s, side="right") - 1
        return np.clip(columns, 0, self.shape[1] - 1)

    def transfer(self, values: np.ndarray, target: Grid) -> np.ndarray:
        """Resample a map of cell sums to another grid by overlap area, preserving the total.

        Overlap is measured in seconds and in mel rows, not in Hz: a map that is constant over all frequencies stays
        constant on a mel grid, instead of concentrating in its wide upper bands. Relevance outside `target` is added
        to its nearest row or column.

        Parameters
        ----------
        values : array, shape (n_freq, n_time)
            Sum over each cell of this grid.
        target : Grid

        Returns
        -------
        array, float64, shape ``target.shape``

        Raises
        ------
        InputError
            If `values` does not have this grid's shape.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self.shape:
            raise InputError(
                f"Grid.transfer: values must have the grid's shape {self.shape}, got {values.shape}; pass the map with "
                "the grid it was computed on."
            )
        if self == target:
            return values.copy()
        rows, columns = self.overlaps(target)
        moved: np.ndarray = rows.T @ values @ columns
        return moved

    def overlaps(self, target: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Matrices R and C of `transfer`, which is ``R.T @ values @ C``: shapes (n_freq, its n_freq), (n_time, its)."""
        rows = _overlap(mel_row_of(self.freq_edges_hz), mel_row_of(target.freq_edges_hz))
        return rows, _overlap(self.time_edges_s, target.time_edges_s)

    def stretched(self, duration_s: float, onto_s: float) -> Grid:
        """Grid with its time axis scaled by ``onto_s / duration_s``, to compare two clips in relative time."""
        return Grid(self.freq_edges_hz, self.time_edges_s * (onto_s / duration_s))


def _overlap(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fraction of each source interval in each target interval, shape (n_source, n_target); rows sum to 1."""
    inner = target.copy()
    inner[0], inner[-1] = min(source[0], target[0]), max(source[-1], target[-1])
    low = np.maximum(source[:-1, None], inner[None, :-1])
    high = np.minimum(source[1:, None], inner[None, 1:])
    share: np.ndarray = np.clip(high - low, 0, None) / np.diff(source)[:, None]
    return share


def mel_points_hz(rows: int = MEL_ROWS, max_hz: float = 8000.0) -> np.ndarray:
    """Corner frequencies in Hz of a Slaney mel filter bank, shape (rows + 2,); filter i has corners i, i + 1, i + 2."""
    import librosa

    return librosa.mel_frequencies(n_mels=rows + 2, fmin=0.0, fmax=max_hz)


def band_edges_hz(bands: int, rows: int = MEL_ROWS, max_hz: float = 8000.0) -> np.ndarray:
    """Edges in Hz of mel bands made of whole mel rows: the frequencies where adjacent triangular filters cross.

    Parameters
    ----------
    bands : int
        Must divide `rows`.
    rows : int
        Mel filters from 0 to `max_hz`.
    max_hz : float
        Upper edge of the last band.

    Returns
    -------
    array, shape (bands + 1,)
        From 0 to `max_hz`. For 8 bands: 0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000 Hz, the true ranges of
        the bands that EmoLIME's figures label 0-1 kHz, 1-2 kHz and so on.

    Raises
    ------
    InputError
        If `bands` does not divide `rows`.
    """
    if bands < 1 or rows % bands:
        raise InputError(f"band_edges_hz: bands must divide {rows}, got {bands}; take 1, 2, 4, 8, 16, 32, 64 or 128.")
    peaks = mel_points_hz(rows, max_hz)[1:-1]
    crossings = (peaks[:-1] + peaks[1:]) / 2
    step = rows // bands
    return np.concatenate([[0.0], crossings[step - 1 :: step], [max_hz]])


@cache
def _row_edges_hz() -> np.ndarray:
    return band_edges_hz(MEL_ROWS)


def mel_row_of(freqs_hz: np.ndarray) -> np.ndarray:
    """Map frequencies to fractional mel row indices (128 rows): integers at row edges, linear in Hz within a row.

    Frequencies above 8 kHz continue with the slope of the last row.
    """
    edges = _row_edges_hz()
    rows: np.ndarray = np.interp(freqs_hz, edges, np.arange(edges.size))
    rows = rows + np.maximum(np.asarray(freqs_hz) - edges[-1], 0) / (edges[-1] - edges[-2])
    return rows


def scoring_grid(duration_s: float, bands: int = SCORING_BANDS, cell_s: float = SCORING_CELL_S) -> Grid:
    """Scoring grid of a clip: by default 16 mel bands x 80 ms, on which all explanations are compared.

    All cells have the same duration, the one closest to `cell_s` that divides the clip: a longer last cell would sum
    more relevance than its neighbours and be removed before them.

    Parameters
    ----------
    duration_s : float
        Of the clip, positive.
    bands : int
        Mel bands from 0 to 8 kHz; must divide 128.
    cell_s : float
        Nominal duration of a cell.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If the duration is not positive and finite, or `bands` does not divide 128.
    """
    if not 0 < duration_s < np.inf:
        raise InputError(
            f"scoring_grid: duration_s must be positive and finite, got {duration_s} s; pass the clip's duration."
        )
    cells = max(1, int(np.floor(duration_s / cell_s + 0.5)))
    return Grid(band_edges_hz(bands), np.linspace(0.0, duration_s, cells + 1))
