"""Faithfulness: does the recogniser lose the target when what the explanation calls relevant is taken away?

Conventions
-----------
Curves are log-odds of the target (natural logarithm), one-vs-rest. The x axis is the share of the scoring grid's cells
that was removed (deletion) or kept (insertion), 0..1; areas are therefore mean log-odds along the curve, in log-odds.
What is removed is replaced by the case's fill, in the waveform. Nothing is normalised by clip: compare methods on the
same clips.

Sources
-------
Samek, Binder, Montavon, Lapuschkin, Müller 2017, "Evaluating the visualization of what a deep neural network has
learned", IEEE TNNLS 28(11): most and least relevant first. Petsiuk, Das, Saenko 2018, "RISE", BMVC: areas under the
deletion and insertion curves. Schulz, Sixt, Tombari, Landgraf 2020, "Restricting the flow", ICLR: the area between.
"""

from __future__ import annotations

import numpy as np

from .case import Case, Explained, Outcome
from .trajectory import trajectory_of


def auc(area: np.ndarray, curve: np.ndarray) -> float:
    """Area under a curve by the trapezoid rule.

    Parameters
    ----------
    area : array, shape (n,)
        Increasing from 0 to 1.
    curve : array, shape (n,)
        Log-odds.

    Returns
    -------
    float
        Mean log-odds along the curve.
    """
    return float(np.sum(np.diff(area) * (curve[1:] + curve[:-1]) / 2))


def deletion_auc(area: np.ndarray, morf: np.ndarray) -> float:
    """Area under the curve that removes the most relevant cells first; low for a faithful explanation."""
    return auc(area, morf)


def insertion_auc(area: np.ndarray, lerf: np.ndarray) -> float:
    """Area under the curve that puts the most relevant cells back first; high for a faithful explanation.

    Keeping the top ``area[i]`` is removing the rest, least relevant first: `lerf` read backwards.
    """
    return auc(area, lerf[::-1])


def area_between(area: np.ndarray, morf: np.ndarray, lerf: np.ndarray) -> float:
    """Area between the perturbation curves: insertion AUC - deletion AUC.

    Both curves start and end alike, so what the clip and the fill alone account for cancels; the expectation over
    random rankings is exactly 0.
    """
    return insertion_auc(area, lerf) - deletion_auc(area, morf)


class Deletion:
    """Deletion AUC: mean log-odds while the most relevant cells are removed first. Lower is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = trajectory_of(case, explained.attribution)
        return Outcome(deletion_auc(t.area, t.morf), t.model_calls)


class Insertion:
    """Insertion AUC: mean log-odds while the most relevant cells are put back first. Higher is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = trajectory_of(case, explained.attribution)
        return Outcome(insertion_auc(t.area, t.lerf), t.model_calls)


class AreaBetween:
    """Area between the perturbation curves. Higher is better, 0 is expected of a random ranking."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = trajectory_of(case, explained.attribution)
        return Outcome(area_between(t.area, t.morf, t.lerf), t.model_calls)
