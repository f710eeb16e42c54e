"""Confusion matrix, UAR, accuracy and calibration error, with speaker-clustered intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

INTERVAL = "95 % t interval, variance linearised and clustered by speaker, speakers - 1 degrees of freedom"


def confusion(true: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Confusion matrix: counts, int64, shape (n_classes, n_classes); rows are the true classes."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def unweighted_average_recall(counts: np.ndarray) -> float:
    """Mean recall over the classes that have clips, in 0..1."""
    total = counts.sum(axis=1)
    present = total > 0
    return float((np.diag(counts)[present] / total[present]).mean())


def calibration_error(true: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error of the predicted class, in 0..1.

    Clips are sorted into `bins` equal ranges of the predicted class' probability; the error is the mean distance of
    accuracy and mean probability, weighted by clips (Guo et al. 2017, On calibration of modern neural networks, eq. 3).

    Parameters
    ----------
    true : array of int, shape (n_clips,)
    probabilities : array, shape (n_clips, n_classes)
    bins : int
    """
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == true
    where = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [np.abs((hit[where == b] - confidence[where == b]).sum()) for b in range(bins)]
    return float(np.sum(gaps) / len(true))


def score(true: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, n_classes: int) -> dict[str, Any]:
    """UAR and accuracy with speaker-clustered intervals.

    A score is a mean of ratios over clips. With ``u_s`` the sum over speaker ``s`` of each clip's influence on it, the
    variance is ``S / (S - 1) * sum u_s^2`` (linearisation, Cameron & Miller 2015, with the small-sample factor), and
    the interval takes the t distribution with ``S - 1`` degrees of freedom, cut to 0..1. It has no width where every
    speaker does equally well, and is left out below 2 speakers.

    Parameters
    ----------
    true, predicted : array of int, shape (n_clips,)
    speakers : array of str, shape (n_clips,)
    n_classes : int

    Returns
    -------
    dict
        ``n``, ``speakers``, ``uar``, ``accuracy``, ``uar_interval``, ``accuracy_interval``.
    """
    from scipy import stats

    counts = confusion(true, predicted, n_classes)
    hit = (true == predicted).astype(float)
    total = counts.sum(axis=1)
    recall = np.diag(counts) / np.maximum(total, 1)
    uar, accuracy = unweighted_average_recall(counts), float(hit.mean())
    names = np.unique(speakers)
    result: dict[str, Any] = {"n": len(true), "speakers": len(names), "uar": uar, "accuracy": accuracy}
    influences = {
        "uar": (hit - recall[true]) / total[true] / np.count_nonzero(total),
        "accuracy": (hit - accuracy) / len(true),
    }
    for name, influence in influences.items():
        interval = None
        if len(names) > 1:
            sums = np.array([influence[speakers == speaker].sum() for speaker in names])
            error = np.sqrt(len(names) / (len(names) - 1) * np.square(sums).sum())
            half = stats.t.ppf(0.975, len(names) - 1) * error
            interval = [float(max(0, result[name] - half)), float(min(1, result[name] + half))]
        result[f"{name}_interval"] = interval
    return result
