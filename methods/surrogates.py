"""Surrogates: simple models that imitate a recogniser on masked copies of one clip, fitted in closed form.

Source: Ribeiro, Singh & Guestrin 2016, "Why should I trust you?", KDD, arXiv 1602.04938; kernel as in the `lime`
package that EmoLIME builds on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

KERNEL_WIDTH = 0.25
RESOLUTION = 1e-6  # responses that vary less than this differ by rounding alone


@dataclass(frozen=True, eq=False)
class LinearSurrogate:
    """``intercept + masks @ weights``.

    Attributes
    ----------
    weights : array, float64, shape (parts,)
    intercept : float
    r2 : float
        Weighted coefficient of determination; 1 where the response does not vary.
    """

    weights: np.ndarray
    intercept: float
    r2: float


def lime_weights(masks: np.ndarray, kernel_width: float = KERNEL_WIDTH) -> np.ndarray:
    """LIME's weight of each mask, ``sqrt(exp(-d^2 / width^2))`` with d its cosine distance to the all-kept mask.

    Parameters
    ----------
    masks : array of 0 and 1, shape (n, parts)
    kernel_width : float

    Returns
    -------
    array, float64, shape (n,)
        1 for the all-kept mask; the all-removed one has distance 1.
    """
    distance = 1 - np.sqrt(masks.mean(axis=1))
    return np.exp(-np.square(distance / kernel_width) / 2)


def fit_linear(masks: np.ndarray, response: np.ndarray, weights: np.ndarray, alpha: float = 0.0) -> LinearSurrogate:
    """Weighted ridge regression with an intercept that is not penalised.

    Minimises ``sum_i w_i (y_i - b - x_i @ beta)^2 + alpha |beta|^2``, as scikit-learn's ``Ridge``. Parts that the
    masks cannot tell apart share their weight (the solution of least norm).

    Parameters
    ----------
    masks : array, shape (n, parts)
    response : array, shape (n,)
    weights : array, shape (n,)
        At least 0, not all 0.
    alpha : float
        0: unshrunk. LIME's default is 1.

    Returns
    -------
    LinearSurrogate

    Raises
    ------
    InputError
        If `alpha` is negative.
    """
    if not alpha >= 0:
        raise InputError(f"fit_linear: alpha must be at least 0, got {alpha}; take 0 for no shrinkage, 1 for LIME's.")
    x, y = np.asarray(masks, dtype=np.float64), np.asarray(response, dtype=np.float64)
    x_mean, y_mean = np.average(x, axis=0, weights=weights), np.average(y, weights=weights)
    root = np.sqrt(weights)
    penalty = np.sqrt(alpha) * np.eye(x.shape[1])
    design = np.concatenate([root[:, None] * (x - x_mean), penalty])
    goal = np.concatenate([root * (y - y_mean), np.zeros(x.shape[1])])
    beta = np.linalg.lstsq(design, goal, rcond=None)[0]
    intercept = float(y_mean - x_mean @ beta)
    spread = np.average(np.square(y - y_mean), weights=weights)
    error = np.average(np.square(y - intercept - x @ beta), weights=weights)
    return LinearSurrogate(beta, intercept, float(1 - error / spread) if spread > RESOLUTION**2 else 1.0)
