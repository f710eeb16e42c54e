"""Grids on the time-frequency plane.

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

MEL_ROWS = 128  # rows of the finest mel grid; coarser mel bands are whole groups of them, so all of them nest
SCORING_BANDS = 16
SCORING_CELL_S = 0.08


@dataclass(frozen=True, eq=False)
class Grid:
    """Rectangular partition of a piece of the plane.

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
            edges = np.array(getattr(self, name), dtype=np.float64)  # a copy, for it is frozen below
            if edges.ndim != 1 or edges.size < 2 or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
                raise InputError(f"Grid: {name} must be at least two finite, strictly increasing numbers, got {edges}.")
            edges.setflags(write=False)
            object.__setattr__(self, name, edges)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_freq, n_time)."""
        return self.freq_edges_hz.size - 1, self.time_edges_s.size - 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and np.array_equal(self.freq_edges_hz, other.freq_edges_hz)
            and np.array_equal(self.time_edges_s, other.time_edges_s)
        )

    def rows_of(self, freqs_hz: np.ndarray) -> np.ndarray:
        """Row that each frequency belongs to; frequencies outside go to the nearest row."""
        rows = np.searchsorted(self.freq_edges_hz, freqs_hz, side="right") - 1
        return np.clip(rows, 0, self.shape[0] - 1)

    def columns_of(self, times_s: np.ndarray) -> np.ndarray:
        """Column that each time belongs to; times outside go to the nearest column."""
        columns = np.searchsorted(self.time_edges_s, times_s, side="right") - 1
        return np.clip(columns, 0, self.shape[1] - 1)

    def transfer(self, values: np.ndarray, target: Grid) -> np.ndarray:
        """Move sums of cells to another grid, each cell shared out by overlap; the total is preserved.

        Overlap is measured in seconds and in mel rows, not in Hz: a map that is flat over all frequencies stays flat
        on a mel grid, instead of lying mostly in its wide upper bands. What lies outside `target` goes to its nearest
        row or column.

        Parameters
        ----------
        values : array, shape (n_freq, n_time)
        target : Grid

        Returns
        -------
        array, float64, shape ``target.shape``
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self.shape:
            raise InputError(f"Grid.transfer: values have shape {values.shape}, the grid has {self.shape}.")
        if self == target:
            return values.copy()
        rows = _overlap(mel_row_of(self.freq_edges_hz), mel_row_of(target.freq_edges_hz))
        columns = _overlap(self.time_edges_s, target.time_edges_s)
        return rows.T @ values @ columns

    def stretched(self, duration_s: float, onto_s: float) -> Grid:
        """The same grid with time scaled from one duration to another (to compare two clips in relative time)."""
        return Grid(self.freq_edges_hz, self.time_edges_s * (onto_s / duration_s))


def _overlap(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Share of each source interval in each target interval; rows add up to one."""
    inner = target.copy()
    inner[0], inner[-1] = min(source[0], target[0]), max(source[-1], target[-1])
    low = np.maximum(source[:-1, None], inner[None, :-1])
    high = np.minimum(source[1:, None], inner[None, 1:])
    return np.clip(high - low, 0, None) / np.diff(source)[:, None]


def mel_points_hz(rows: int = MEL_ROWS, max_hz: float = 8000.0) -> np.ndarray:
    """Corner frequencies of a Slaney mel filter bank: filter i spans points i .. i + 2 with its peak at i + 1."""
    import librosa

    return librosa.mel_frequencies(n_mels=rows + 2, fmin=0.0, fmax=max_hz)


def band_edges_hz(bands: int, rows: int = MEL_ROWS, max_hz: float = 8000.0) -> np.ndarray:
    """True edges of bands made of whole mel rows: where neighbouring triangular filters cross.

    Parameters
    ----------
    bands : int
        Must divide `rows`.

    Returns
    -------
    array, shape (bands + 1,)
        From 0 to `max_hz`. For 8 bands: 0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000 Hz, the true ranges of
        the bands that EmoLIME's figures label 0-1 kHz, 1-2 kHz and so on.
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
    """Position on the axis of 128 mel rows: whole numbers at the edges of rows, linear in Hz within one.

    Frequencies above 8 kHz continue the last row's slope.
    """
    edges = _row_edges_hz()
    rows = np.interp(freqs_hz, edges, np.arange(edges.size))
    return rows + np.maximum(np.asarray(freqs_hz) - edges[-1], 0) / (edges[-1] - edges[-2])


def scoring_grid(duration_s: float, bands: int = SCORING_BANDS, cell_s: float = SCORING_CELL_S) -> Grid:
    """The one grid on which all explanations are scored: 16 mel bands x 80 ms.

    All cells are equally long, as near to `cell_s` as divides the clip: a longer last cell would gather more relevance
    than its neighbours and be removed before them.
    """
    if not 0 < duration_s < np.inf:
        raise InputError(f"scoring_grid: duration must be positive and finite, got {duration_s} s.")
    cells = max(1, int(np.floor(duration_s / cell_s + 0.5)))
    return Grid(band_edges_hz(bands), np.linspace(0.0, duration_s, cells + 1))
