"""Map that was made elsewhere, as a manifest describes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import Grid


@dataclass(frozen=True, eq=False)
class ExternalMap:
    """One map that was made elsewhere, with what a manifest says of it.

    Attributes
    ----------
    clip, target, method : str
        Id of the clip in its corpus, class explained, and name of the method.
    values : array, shape (frequency, time), or (samples,) for grid ``waveform``
    grid : str or Grid
        Description, see `methods.map_grids`, or the edges themselves.
    condition : str
    repeat : int
        Number of the seed.
    calls : int
        Model calls that the map cost; 0 if unknown.
    against : str
        What it is relative to: a fill of serxai, ``own`` (a baseline of the method's own), or ``none``.
    stochastic : {'yes', 'no', 'unknown'}
        Whether another seed gives another map.
    corpus, model : str
        Names of the corpus and the recogniser; empty: not stated.
    """

    clip: str
    target: str
    values: np.ndarray
    grid: str | Grid
    method: str = "own"
    condition: str = "clean"
    repeat: int = 0
    calls: int = 0
    against: str = "none"
    stochastic: str = "unknown"
    corpus: str = ""
    model: str = ""
