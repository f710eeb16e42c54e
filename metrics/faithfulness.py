"""Faithfulness by perturbation curves: change of the target's log-odds when relevant cells are removed or kept.

Conventions
-----------
Curves are log-odds of the target (natural logarithm), one-vs-rest. The x axis is the share of the cells that are
removed (deletion) or kept (insertion), 0..1; areas are therefore mean log-odds along the curve, in log-odds. Removed
cells are replaced by the case's fill, in the waveform. Except for IROF nothing is normalised per clip: compare methods
on the same clips. All metrics here are computed from a trajectory (`metrics.trajectory`), most of them from the same.

Sources
-------
Samek, Binder, Montavon, Lapuschkin, Müller 2017, "Evaluating the visualization of what a deep neural network has
learned", IEEE TNNLS 28(11): most and least relevant first. Petsiuk, Das, Saenko 2018, "RISE", BMVC: areas under the
deletion and insertion curves. Schulz, Sixt, Tombari, Landgraf 2020, "Restricting the flow", ICLR: the area between.
DeYoung et al. 2020, "ERASER", ACL: comprehensiveness and sufficiency, averaged over shares (AOPC). Wullenweber,
Akman, Schuller 2022, "CoughLIME", EMBC: the area gained on random order. Arya et al. 2019, "One explanation does not
fit all" (AIX360): monotonicity. Rieger, Hansen 2020, "IROF", arXiv:2003.08747.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy.special import expit

from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome
from .trajectory import (
    RANDOM_TRAJECTORIES,
    Trajectory,
    native_trajectory,
    random_trajectories,
    super_grid,
    super_trajectory,
    trajectory_calls,
    trajectory_of,
    trajectory_work,
)

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the cells, for comprehensiveness and sufficiency
LOG_ODDS_RESOLUTION = 1e-6  # log-odds; smaller decreases are rounding errors of the network
LEAST_PROBABILITY = 1e-3  # of the target on the clip, for IROF


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
    """Deletion AUC: area under the curve with the most relevant cells removed first; low if faithful."""
    return auc(area, morf)


def insertion_auc(area: np.ndarray, lerf: np.ndarray) -> float:
    """Insertion AUC: area under the curve with the most relevant cells restored first; high if faithful.

    Keeping the top ``area[i]`` equals removing the rest, least relevant first: the reversed `lerf`.
    """
    return auc(area, lerf[::-1])


def area_between(area: np.ndarray, morf: np.ndarray, lerf: np.ndarray) -> float:
    """Area between the perturbation curves: insertion AUC - deletion AUC.

    Both curves share their end points, so that the levels of clip and fill cancel; the expectation over random rankings
    is exactly 0.
    """
    return insertion_auc(area, lerf) - deletion_auc(area, morf)


def comprehensiveness(area: np.ndarray, morf: np.ndarray, shares: Sequence[float] = SHARES) -> float:
    """Drop of the log-odds without the top shares of the cells, averaged over the shares (AOPC).

    The curve is interpolated linearly between steps.
    """
    return float(morf[0] - np.mean(np.interp(shares, area, morf)))


def sufficiency(area: np.ndarray, lerf: np.ndarray, shares: Sequence[float] = SHARES) -> float:
    """Drop of the log-odds with only the top shares of the cells, averaged over the shares; low if faithful."""
    return float(lerf[0] - np.mean(np.interp(shares, area, lerf[::-1])))


def delta_auc(area: np.ndarray, morf: np.ndarray, random: Sequence[np.ndarray]) -> float:
    """Mean deletion AUC of random orders minus that of the explanation.

    Parameters
    ----------
    area : array, shape (n,)
    morf : array, shape (n,)
    random : sequence of array, shape (n,)
        Curves of random orders over the same steps.
    """
    return float(np.mean([auc(area, curve) for curve in random])) - auc(area, morf)


def monotonicity(morf: np.ndarray) -> float:
    """Share of steps that do not lower the log-odds as cells are restored, least relevant first; 0..1."""
    return float(np.mean(np.diff(morf[::-1]) >= -LOG_ODDS_RESOLUTION))


def irof(area: np.ndarray, morf: np.ndarray) -> float:
    """Area over the curve of the target's probability relative to that of the clip, most relevant first.

    At most 1; 0 if removals do not change the probability.

    Raises
    ------
    NotApplicable
        If the clip's probability is below 0.001: the quotient would be unbounded.
    """
    if expit(morf[0]) < LEAST_PROBABILITY:
        raise NotApplicable(
            f"the target's probability on the clip is below {LEAST_PROBABILITY}: no other is told relative to it"
        )
    return 1 - auc(area, expit(morf) / expit(morf[0]))


# -- the metrics -------------------------------------------------------------------------------------------------------


class _OfTrajectory(Metric):
    """Base class of metrics computed from the explanation's trajectory; subclasses implement `read`."""

    @abstractmethod
    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return trajectory_work(case, case.grid, "trajectory", explained.identity)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = trajectory_of(case, explained.attribution)
        return Outcome(self.read(t), t.model_calls)


class Deletion(_OfTrajectory):
    """Deletion AUC: mean log-odds while the most relevant cells are removed first. Lower is better."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return deletion_auc(t.area, t.morf)


class Insertion(_OfTrajectory):
    """Insertion AUC: mean log-odds while the most relevant cells are put back first. Higher is better."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return insertion_auc(t.area, t.lerf)


class AreaBetween(_OfTrajectory):
    """Area between the perturbation curves. Higher is better, 0 is expected of a random ranking."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return area_between(t.area, t.morf, t.lerf)


class Comprehensiveness(_OfTrajectory):
    """Drop of the log-odds without the most relevant cells. Higher is better."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return comprehensiveness(t.area, t.morf)


class Sufficiency(_OfTrajectory):
    """Drop of the log-odds with the most relevant cells alone. Lower is better."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return sufficiency(t.area, t.lerf)


class Monotonicity(_OfTrajectory):
    """Share of steps that do not lower the log-odds as cells are restored. Higher is better."""

    def read(self, t: Trajectory) -> float:
        """Score of a trajectory."""
        return monotonicity(t.morf)


class DeltaAuc(Metric):
    """Deletion AUC of random orders minus that of the explanation. Higher is better, 0 expected at random."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        own = trajectory_work(case, case.grid, "trajectory", explained.identity)
        calls = RANDOM_TRAJECTORIES * trajectory_calls(case.recogniser, int(np.prod(case.grid.shape)))
        return own | {("random trajectories", case.fill): calls}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = trajectory_of(case, explained.attribution)
        random = random_trajectories(case)
        value = delta_auc(t.area, t.morf, [curve for r in random for curve in (r.morf, r.lerf)])
        return Outcome(value, t.model_calls + sum(r.model_calls for r in random))


class NativeAreaBetween(Metric):
    """Area between the perturbation curves over the cells of the map's own grid. Higher is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        grid = explained.attribution.grid
        kind = "trajectory" if grid == case.grid else "native trajectory"
        return trajectory_work(case, grid, kind, explained.identity)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        t = native_trajectory(case, explained.attribution)
        return Outcome(area_between(t.area, t.morf, t.lerf), t.model_calls)


class Irof(Metric):
    """Area over the relative probability while super-cells are removed, most relevant first. Higher is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case.one_class("a probability")
        return trajectory_work(case, super_grid(case), "super trajectory", explained.identity)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        case.one_class("a probability")
        t = super_trajectory(case, explained.attribution)
        return Outcome(irof(t.area, t.morf), t.model_calls)
