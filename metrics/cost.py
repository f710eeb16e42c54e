"""Cost metrics: model calls of an explanation, and energy removed along its deletion curve.

Conventions
-----------
Model calls (waveforms evaluated by the recogniser) are counted instead of seconds, because they are the same on every
machine. Energy is that of the clip's spectrum on the scoring grid. Neither measures the quality of an explanation.
"""

from __future__ import annotations

import numpy as np

from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome
from .trajectory import order_of, share_removed, step_of


class ExplanationCalls(Metric):
    """Number of model calls of the explanation. Lower is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(float(explained.attribution.model_calls))


def energy_removed(energy: np.ndarray, step: np.ndarray) -> float:
    """Area under the curve of the removed share of energy over the removed share of cells.

    Parameters
    ----------
    energy : array, shape (n_cells,)
        Non-negative, not all zero.
    step : array, int, shape (n_cells,)
        Step at which each cell is removed, 0 first.

    Returns
    -------
    float
        0..1; above .5 if loud cells are removed first, .5 on average for a random order.
    """
    return float(np.trapezoid(share_removed(step, energy), share_removed(step)))


class EnergyRemoved(Metric):
    """Mean share of the clip's energy removed along its deletion trajectory. Lower: fewer loud cells first.

    Context for deletion scores: explanations that remove the same area rarely remove the same energy.
    """

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`.

        Raises
        ------
        NotApplicable
            For a silent clip.
        """
        energy = case.plane.energy(case.grid).ravel()
        if not energy.any():
            raise NotApplicable("the clip is silent: there is no energy to remove")
        return Outcome(energy_removed(energy, step_of(order_of(case, explained.attribution))))
