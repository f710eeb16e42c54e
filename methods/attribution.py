"""What an explanation is: signed relevance over the cells of a grid, with its target, origin and cost."""

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
        Positive cells speak for the target.
    grid : Grid
        Time edges may lie outside the clip (front-end padding).
    target : str
        The class explained.
    method : str
        Name in the method registry.
    details : dict of str to float
        What the method reports about itself, e.g. a surrogate's R squared.
    cues : tuple of dict
        Cue table, one dict a row, where the method makes one.
    channels : dict of str to array, float32, shape ``grid.shape``
        Conditional maps that `values` is the sum of, where the method tells concepts apart. Not stored with a run.
    errors : array, float32, shape ``grid.shape``, optional
        Standard error of each value, where the method draws and can tell. Not stored with a run.
    base : Attribution, optional
        The map it was made from, where another method made that. Not stored with a run.
    model_calls : int
        Copies that went through the recogniser to make it; filled in by the harness.
    """

    values: np.ndarray
    grid: Grid
    target: str
    method: str
    details: dict[str, float] = field(default_factory=dict)
    cues: tuple[dict[str, Any], ...] = ()
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    errors: np.ndarray | None = None
    base: Attribution | None = field(default=None, repr=False)
    model_calls: int = 0

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.shape != self.grid.shape:
            raise InputError(f"Attribution: values have shape {values.shape}, the grid has {self.grid.shape}.")
        if not np.all(np.isfinite(values)):
            raise InputError(f"Attribution of method {self.method!r} holds NaN or infinite values.")
        object.__setattr__(self, "values", values)
        if self.errors is not None:
            object.__setattr__(self, "errors", np.asarray(self.errors, dtype=np.float32).reshape(self.grid.shape))

    def on(self, grid: Grid) -> np.ndarray:
        """The map moved to another grid; sums are preserved. float64, shape ``grid.shape``."""
        return self.grid.transfer(self.values, grid)

    def outside_share(self, duration_s: float) -> float:
        """Share of absolute relevance that lies before 0 or after `duration_s`, in 0..1."""
        total = float(np.abs(self.values).sum())
        if total == 0:
            return 0.0
        edges = self.grid.time_edges_s
        inside = np.clip(np.minimum(edges[1:], duration_s) - np.maximum(edges[:-1], 0), 0, None) / np.diff(edges)
        return float((np.abs(self.values) * (1 - inside)).sum() / total)
