"""Localisation metrics: agreement of the map with the ground-truth mask of planted clips.

Conventions
-----------
Maps and truth masks lie on the scoring grid. Only planted clips have a truth. It holds for the planted emotion, so
these scores are meant for the true class as target. All scores lie in 0..1; 1 means that all relevance lies inside the
mask. The mask holds 95 % of the truth map's mass, so the truth map itself has rank accuracy 1 and mass accuracy 0.95 or
slightly more. For tied cells scores are the expectation over all orders: a constant map scores like a random one.

Sources
-------
Arras, Osman, Samek 2022, "CLEVR-XAI: a benchmark dataset for the ground truth evaluation of neural network
explanations", Information Fusion 81, 14-40: Relevance Mass Accuracy and Relevance Rank Accuracy. Zhang et al. 2018,
"Top-down neural attention by excitation backprop", IJCV 126: pointing game. Fawcett 2006, "An introduction to ROC
analysis", Pattern Recognition Letters 27: area under the curve, the chance that a cell inside outranks one outside.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from ..datasets.planted.truth import truth_map, truth_mask
from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome


def mass_accuracy(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Positive relevance inside the mask over all positive relevance.

    Parameters
    ----------
    relevance : array, any shape
    mask : array of bool, same shape

    Returns
    -------
    float

    Raises
    ------
    NotApplicable
        If no cell is positive.
    """
    positive = np.clip(relevance, 0, None)
    total = positive.sum()
    if total == 0:
        raise NotApplicable("the map has no positive relevance")
    return float(positive[mask].sum() / total)


def rank_accuracy(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Share of the K most relevant cells that lie inside the mask, K the size of the mask.

    For ties at rank K this is the exact expectation over all orders of them; a constant map scores the mask's share of
    the cells, like a random one.

    Parameters
    ----------
    relevance : array, any shape
    mask : array of bool, same shape
        Not empty.

    Returns
    -------
    float
    """
    values, inside = relevance.ravel(), mask.ravel()
    k = int(inside.sum())
    threshold = np.partition(values, values.size - k)[values.size - k]
    above, tied = values > threshold, values == threshold
    places = k - above.sum()
    return float((inside[above].sum() + places * inside[tied].mean()) / k)


def pointing_game(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Pointing game: 1 if the most relevant cell lies inside the mask, else 0; for ties the share inside.

    Parameters
    ----------
    relevance : array, any shape
    mask : array of bool, same shape
    """
    return float(mask[relevance == relevance.max()].mean())


def truth_auc(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Area under the ROC curve of relevance as a predictor of the mask; 0.5 for a random map.

    Parameters
    ----------
    relevance : array, any shape
    mask : array of bool, same shape

    Raises
    ------
    NotApplicable
        If all cells lie inside, or all outside.
    """
    inside = int(mask.sum())
    outside = mask.size - inside
    if not inside or not outside:
        raise NotApplicable("all cells lie on one side of the truth mask")
    ranks = rankdata(relevance, axis=None)[mask.ravel()].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * outside))


def truth_iou(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of the mask and the most relevant cells, as many as the mask has.

    With K cells each, this is a function of rank accuracy r alone, ``r / (2 - r)``; for ties r is the expectation over
    their orders.
    """
    accuracy = rank_accuracy(relevance, mask)
    return accuracy / (2 - accuracy)


def case_truth_mask(case: Case) -> np.ndarray:
    """Truth mask of a planted clip on the scoring grid, bool, cached per case.

    Raises
    ------
    NotApplicable
        If the clip is not planted, neutral, or has no measurable planted change; for a contrast of classes.
    """

    def make() -> np.ndarray:
        return truth_mask(truth_map(case.clip, case.plane, case.twin_plane, case.grid))

    case.one_class("the planted truth")
    mask = case.shared("truth mask", make)
    if not mask.any():
        raise NotApplicable("no planted cue")
    return mask


class MassAccuracy(Metric):
    """Relevance Mass Accuracy. Higher is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(mass_accuracy(case.map(explained.attribution), case_truth_mask(case)))


class RankAccuracy(Metric):
    """Relevance Rank Accuracy. Higher is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(rank_accuracy(case.map(explained.attribution), case_truth_mask(case)))


class PointingGame(Metric):
    """Whether the most relevant cell lies where the cue was planted. Higher is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(pointing_game(case.map(explained.attribution), case_truth_mask(case)))


class TruthAuc(Metric):
    """ROC AUC of relevance for planted cells. Higher is better, 0.5 is expected of a random map."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(truth_auc(case.map(explained.attribution), case_truth_mask(case)))


class TruthIou(Metric):
    """Intersection over union of the mask and as many top cells. Higher is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(truth_iou(case.map(explained.attribution), case_truth_mask(case)))
