"""Part weights from a mask table: linear and forest surrogates, Shapley and Banzhaf values, KernelSHAP.

Conventions
-----------
Masks are rows of 0 and 1, one column per part, 1 keeps it; there is one response per mask. A *full* table holds every
mask once, in the order of `masks.all_masks`.

Sources: LIME: Ribeiro, Singh & Guestrin 2016, "Why should I trust you?", KDD, arXiv 1602.04938; kernel as in the `lime`
package that EmoLIME builds on. Shapley 1953, "A value for n-person games". Banzhaf 1965, "Weighted voting doesn't
work". KernelSHAP: Lundberg & Lee 2017, NeurIPS, arXiv 1705.07874, theorem 2. Random forests as surrogates: Bolaños et
al. 2025, Interspeech, arXiv 2506.04391.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.linalg import helmert

from ..errors import InputError

KERNEL_WIDTH = 0.25
RESOLUTION = 1e-6  # responses that vary less than this are constant up to rounding


@dataclass(frozen=True, eq=False)
class LinearSurrogate:
    """Linear model ``intercept + masks @ weights``.

    Attributes
    ----------
    weights : array, float64, shape (parts,)
    intercept : float
    r2 : float
        Weighted coefficient of determination; 1 if the response is constant.
    """

    weights: np.ndarray
    intercept: float
    r2: float


def lime_weights(masks: np.ndarray, kernel_width: float = KERNEL_WIDTH) -> np.ndarray:
    """LIME kernel weight of each mask, ``sqrt(exp(-d^2 / width^2))`` with d its cosine distance to the all-kept mask.

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
    """Weighted ridge regression with an unpenalised intercept.

    Minimises ``sum_i w_i (y_i - b - x_i @ beta)^2 + alpha |beta|^2``, as scikit-learn's ``Ridge``. For
    collinear parts it is the minimum-norm solution.

    Parameters
    ----------
    masks : array, shape (n, parts)
    response : array, shape (n,)
    weights : array, shape (n,)
        At least 0, not all 0.
    alpha : float
        Ridge penalty; LIME's default is 1.

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


def shrinkage(masks: np.ndarray, weights: np.ndarray, alpha: float) -> float:
    """Mean shrinkage factor of a ridge penalty, 0..1: ``trace((M + alpha I)^-1 M) / parts``.

    M are the weighted second moments of the centred masks.

    Parameters
    ----------
    masks, weights, alpha
        As for `fit_linear`.

    Examples
    --------
    >>> from .masks import all_masks
    >>> round(shrinkage(all_masks(8), lime_weights(all_masks(8)), 1.0), 3)
    0.969
    """
    kept = np.linalg.eigvalsh(_moments(masks, weights)).clip(min=0)
    return float(np.mean(kept / (kept + alpha))) if alpha > 0 else 1.0


def unshrunk(coefficients: np.ndarray, masks: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """Recover least-squares coefficients from ridge coefficients, given the masks.

    The former solve ``M b = X'Wy``, the latter ``(M + alpha I) b = X'Wy``.

    Parameters
    ----------
    coefficients : array, shape (parts,)
        From `fit_linear` with this penalty.
    masks, weights, alpha
        As for `fit_linear`.

    Returns
    -------
    array, float64, shape (parts,)
    """
    moments = _moments(masks, weights)
    return coefficients + alpha * np.linalg.pinv(moments, hermitian=True) @ coefficients


def _moments(masks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted second moments of the centred masks, shape (parts, parts)."""
    x = np.asarray(masks, dtype=np.float64)
    x = x - np.average(x, axis=0, weights=weights)
    return x.T @ (weights[:, None] * x)


def linear_errors(
    masks: np.ndarray, response: np.ndarray, weights: np.ndarray, alpha: float, groups: np.ndarray
) -> np.ndarray:
    """Jackknife standard errors of the weights of `fit_linear` over randomly drawn masks.

    Parameters
    ----------
    masks, response, weights, alpha
        As for `fit_linear`.
    groups : array of int, shape (n,)
        Masks drawn together share a number, e.g. a mask and its complement; groups are of equal size.

    Returns
    -------
    array, float64, shape (parts,)
    """
    x = np.asarray(masks, dtype=np.float64)
    design = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    penalty = np.r_[0.0, np.full(x.shape[1], alpha)]
    return _jackknife_error(_without_each_group(design, response, weights, penalty, groups))[1:]


def shapley_values(response: np.ndarray) -> np.ndarray:
    """Exact Shapley values from a full table; they sum to the response to all parts minus that to none.

    Parameters
    ----------
    response : array, shape (2 ** parts,)

    Returns
    -------
    array, float64, shape (parts,)

    Raises
    ------
    InputError
        If the number of responses is not a power of two.
    """
    size, parts = _sizes(response)
    within = np.array([1 / (parts * comb(parts - 1, s)) for s in range(parts)])
    return _marginals(response, np.r_[0.0, within][size], np.r_[within, 0.0][size])


def banzhaf_values(response: np.ndarray) -> np.ndarray:
    """Exact Banzhaf values: mean marginal contribution over all masks of the others; see `shapley_values`."""
    size, parts = _sizes(response)
    share = np.full(size.shape, 2.0 ** (1 - parts))
    return _marginals(response, share, share)


def _sizes(response: np.ndarray) -> tuple[np.ndarray, int]:
    parts = len(response).bit_length() - 1
    if len(response) != 2**parts:
        raise InputError(f"a full table has 2 ** parts responses, got {len(response)}; score every mask once.")
    return _bits(parts).sum(axis=1), parts


def _bits(parts: int) -> np.ndarray:
    return np.arange(2**parts)[:, None] >> np.arange(parts) & 1


def _marginals(response: np.ndarray, with_part: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Weighted sum of responses to masks with each part minus that to masks without it."""
    parts = len(response).bit_length() - 1
    y = np.asarray(response, dtype=np.float64)
    masks = _bits(parts).astype(np.float64)
    return masks.T @ (with_part * y) - (1 - masks).T @ (without * y)


def leave_one_out(full: float, without: np.ndarray) -> np.ndarray:
    """Drop of the response without each part: ``full - without``, shape (parts,)."""
    return full - np.asarray(without, dtype=np.float64)


def kernel_shap(
    masks: np.ndarray, response: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """KernelSHAP: Shapley values by weighted least squares under the efficiency constraint.

    The Shapley kernel's mass of each mask size is divided equally among the masks of that size in the table. A full
    table therefore gives the exact Shapley values, and a sample estimates them whatever distribution its sizes have.

    Parameters
    ----------
    masks : array, shape (n, parts)
        Must include the all-kept and the all-removed mask.
    response : array, shape (n,)
    groups : array of int, shape (n,), optional
        See `linear_errors`; None for a full table.

    Returns
    -------
    values, errors : arrays, float64, shape (parts,)
        Jackknife standard errors; 0 without `groups`.

    Raises
    ------
    InputError
        If the all-kept or the all-removed mask is missing.
    """
    x, y = np.asarray(masks, dtype=np.float64), np.asarray(response, dtype=np.float64)
    parts, size = x.shape[1], np.asarray(masks).sum(axis=1, dtype=np.int64)
    if not (np.any(size == 0) and np.any(size == parts)):
        raise InputError("kernel_shap: the all-kept and the all-removed mask must be among the masks; score them too.")
    none, full = y[size == 0][0], y[size == parts][0]
    even = np.full(parts, (full - none) / parts)
    inner = (size > 0) & (size < parts)
    if not inner.any():
        return even, np.zeros(parts)
    counts = np.bincount(size[inner], minlength=parts)
    weights = (parts - 1) / (size[inner] * (parts - size[inner])) / counts[size[inner]]
    basis = helmert(parts)  # orthonormal basis of deviations from the equal share, which sum to 0
    design, goal = x[inner] @ basis.T, y[inner] - none - x[inner] @ even
    root = np.sqrt(weights)
    values = even + np.linalg.lstsq(root[:, None] * design, root * goal, rcond=None)[0] @ basis
    if groups is None:
        return values, np.zeros(parts)
    others = _without_each_group(design, goal, weights, np.zeros(parts - 1), groups[inner])
    return values, _jackknife_error(others @ basis)


def forest_importance(
    masks: np.ndarray, response: np.ndarray, weights: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
    """Random-forest feature importance of each part, with the sign of the linear fit.

    Parameters
    ----------
    masks, response, weights
        As for `fit_linear`.
    seed : int

    Returns
    -------
    importance : array, float64, shape (parts,)
        Shares of the variance reduction, summing to 1 in absolute value; zeros if the response is constant. Forest
        importance is unsigned: the sign is that of the unpenalised linear weight.
    r2 : float
        Weighted, on the training masks.
    """
    from sklearn.ensemble import RandomForestRegressor

    if np.ptp(response) <= RESOLUTION:
        return np.zeros(masks.shape[1]), 1.0
    forest = RandomForestRegressor(100, random_state=seed).fit(masks, response, sample_weight=weights)
    signs = np.where(fit_linear(masks, response, weights).weights < 0, -1.0, 1.0)
    return signs * forest.feature_importances_, float(forest.score(masks, response, sample_weight=weights))


def _without_each_group(
    design: np.ndarray, goal: np.ndarray, weights: np.ndarray, penalty: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Leave-one-group-out coefficients of the weighted, penalised least-squares fit, shape (groups, columns).

    Closed form: the change of the solution follows from the residuals and leverages of the rows left out.
    """
    moments = design.T @ (weights[:, None] * design) + np.diag(penalty)
    inverse = np.linalg.pinv(moments, hermitian=True)
    beta = inverse @ (design.T @ (weights * goal))
    rows = np.argsort(groups, kind="stable").reshape(np.unique(groups).size, -1)
    x, residual = design[rows], (goal - design @ beta)[rows]
    pull = (x * weights[rows][..., None]) @ inverse
    left = np.linalg.pinv(np.eye(rows.shape[1]) - x @ pull.swapaxes(1, 2)) @ residual[..., None]
    return beta - (pull * left).sum(axis=1)


def _jackknife_error(estimates: np.ndarray) -> np.ndarray:
    """Jackknife standard error from leave-one-group-out estimates."""
    n = len(estimates)
    return np.sqrt((n - 1) / n * np.square(estimates - estimates.mean(axis=0)).sum(axis=0))
