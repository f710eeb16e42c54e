"""Cost: what an explanation takes, and what its deletion is paid with.

Conventions
-----------
Model calls, not seconds: copies that went through the recogniser, the same on every machine. Energy: of the clip's
spectrum on the scoring grid, which holds all of it. Neither says how good an explanation is.
"""

from __future__ import annotations

import numpy as np

from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome
from .trajectory import order_of, share_removed, step_of


class ExplanationCalls(Metric):
    """Copies that went through the recogniser to make the explanation. Lower is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(float(explained.attribution.model_calls))


def energy_removed(energy: np.ndarray, step: np.ndarray) -> float:
    """Mean share of the energy that is gone, over the share of area that is gone from 0 to 1.

    Parameters
    ----------
    energy : array, shape (n_cells,)
        Non-negative, not all zero.
    step : array, int, shape (n_cells,)
        Step at which each cell is removed, 0 first.

    Returns
    -------
    float
        0..1: above .5 the loud cells go first; .5 for an order drawn at random, on average.
    """
    return float(np.trapezoid(share_removed(step, energy), share_removed(step)))


class EnergyRemoved(Metric):
    """Mean share of the clip's energy that is gone along its deletion trajectory. Lower: fewer loud cells first.

    Beside a deletion score it says what the drop was paid with: two explanations that take the same area rarely take
    the same energy.
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
