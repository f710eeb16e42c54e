"""Attributions: signed relevance over the cells of a time-frequency grid, with target, method and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..audio import Grid
from ..errors import InputError


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
