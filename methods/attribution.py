"""Attributions: signed relevance over the cells of a time-frequency grid, with target, method and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import Grid
from ..errors import InputError
from .record import EXTERNAL

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Attribution:
    """Signed relevance over grid cells.

    Attributes
    ----------
    values : array, float32, shape ``grid.shape``
        Positive cells are evidence for the target.
    grid : Grid
        Time edges may lie outside the clip (front-end padding).
    target : str
        The class explained.
    method : str
        Name in the method registry.
    details : dict of str to float
        Diagnostics reported by the method, e.g. a surrogate's R squared.
    cues : tuple of dict
        Acoustic cue table, one dict per row; empty for methods without one.
    channels : dict of str to array, float32, shape ``grid.shape``
        Conditional maps per concept, which sum to `values` (concept relevance propagation). Not stored with a run.
    errors : array, float32, shape ``grid.shape``, optional
        Sampling standard error of each value, for methods that estimate it. Not stored with a run.
    table : array, float32, shape (2 ** parts,), optional
        Responses that the values were computed from, where every mask of the parts was scored once: the log-odds of
        what is explained, in the order of `masks.all_masks`. Stored with a run.
    interactions : array, float64, shape (parts, parts), optional
        Main effects of the parts on the diagonal and their pairwise interactions off it (`band-interactions`). Not
        stored with a run.
    base : Attribution, optional
        Attribution of another method from which this one was derived. Not stored with a run.
    model_calls : int
        Waveforms evaluated by the recogniser for this explanation; filled in by the runner.
    """

    values: np.ndarray
    grid: Grid
    target: str
    method: str
    details: dict[str, float] = field(default_factory=dict)
    cues: tuple[dict[str, Any], ...] = ()
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    errors: np.ndarray | None = None
    table: np.ndarray | None = field(default=None, repr=False)
    interactions: np.ndarray | None = field(default=None, repr=False)
    base: Attribution | None = field(default=None, repr=False)
    model_calls: int = 0

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.shape != self.grid.shape:
            raise InputError(f"Attribution: values have shape {values.shape}, the grid has {self.grid.shape}.")
        if not np.all(np.isfinite(values)):
            raise InputError(f"Attribution of method {self.method!r} holds NaN or infinite values.")
        object.__setattr__(self, "values", values)
        if self.table is not None:
            object.__setattr__(self, "table", np.asarray(self.table, dtype=np.float32))
        if self.errors is not None:
            object.__setattr__(self, "errors", np.asarray(self.errors, dtype=np.float32).reshape(self.grid.shape))

    @property
    def drawn_as(self) -> str:
        """Name of the method in seeds: maps made elsewhere are scored with the draws of the method that made them."""
        return self.method.removeprefix(f"{EXTERNAL}:")

    def on(self, grid: Grid) -> np.ndarray:
        """Resample the map onto another grid, preserving its sum. float64, shape ``grid.shape``."""
        return self.grid.transfer(self.values, grid)

    def outside_share(self, duration_s: float) -> float:
        """Share of the absolute relevance before 0 s or after `duration_s`, 0..1."""
        total = float(np.abs(self.values).sum())
        if total == 0:
            return 0.0
        edges = self.grid.time_edges_s
        inside = np.clip(np.minimum(edges[1:], duration_s) - np.maximum(edges[:-1], 0), 0, None) / np.diff(edges)
        return float((np.abs(self.values) * (1 - inside)).sum() / total)

    def __repr__(self) -> str:
        rows, columns = self.grid.shape
        calls = f", {self.model_calls} model calls" if self.model_calls else ""
        return f"Attribution({self.method!r}, target={self.target!r}, {rows} x {columns} cells{calls})"

    def to_frame(self) -> pd.DataFrame:
        """Cells as a table, lowest band first.

        Returns
        -------
        DataFrame
            One row per cell: ``method``, ``target``, ``low_hz``, ``high_hz``, ``start_s``, ``end_s``, ``relevance``
            (positive: evidence for the target), and ``error``, the standard error, where the method estimates it.
        """
        import pandas as pd

        freqs, times = self.grid.freq_edges_hz, self.grid.time_edges_s
        rows, columns = np.indices(self.grid.shape).reshape(2, -1)
        table = {
            "method": self.method,
            "target": self.target,
            "low_hz": freqs[rows],
            "high_hz": freqs[rows + 1],
            "start_s": times[columns],
            "end_s": times[columns + 1],
            "relevance": self.values.ravel(),
        }
        return pd.DataFrame(table | ({} if self.errors is None else {"error": self.errors.ravel()}))

    def to_xarray(self) -> Any:
        """Map as a labelled array.

        Returns
        -------
        xarray.DataArray, float32
            Dimensions ``frequency`` and ``time``, whose coordinates are the centres of the cells in Hz and seconds;
            the edges are coordinates as well (``low_hz``, ``high_hz``, ``start_s``, ``end_s``). Attributes: method,
            target, model_calls and the diagnostics of the method.

        Raises
        ------
        InputError
            If xarray is not installed.
        """
        return labelled_array(
            self.values,
            self.grid,
            self.method,
            {"target": self.target, "model_calls": self.model_calls, **self.details},
        )


def labelled_array(values: np.ndarray, grid: Grid, name: str, facts: Mapping[str, Any]) -> Any:
    """Values over a grid as ``xarray.DataArray``; see `Attribution.to_xarray`.

    Parameters
    ----------
    values : array, shape ``grid.shape``
    grid : Grid
    name : str
    facts : mapping of str to object
        Attributes.

    Raises
    ------
    InputError
        If xarray is not installed.
    """
    try:
        import xarray
    except ImportError:
        raise InputError("to_xarray needs xarray: pip install 'serxai[xarray]'. Or take to_frame().") from None
    freqs, times = grid.freq_edges_hz, grid.time_edges_s
    coordinates = {
        "frequency": ("frequency", (freqs[:-1] + freqs[1:]) / 2, {"units": "Hz"}),
        "time": ("time", (times[:-1] + times[1:]) / 2, {"units": "s"}),
        "low_hz": ("frequency", freqs[:-1]),
        "high_hz": ("frequency", freqs[1:]),
        "start_s": ("time", times[:-1]),
        "end_s": ("time", times[1:]),
    }
    return xarray.DataArray(values, coordinates, ("frequency", "time"), name=name, attrs=dict(facts))
