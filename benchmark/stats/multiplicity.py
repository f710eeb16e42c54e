"""Multiple testing: Holm's correction, and the intersection-union test of "better than both baselines"."""

from __future__ import annotations

from typing import Any

import numpy as np


def holm(p: Any) -> np.ndarray:
    """Holm's step-down correction (1979); NaN stays NaN and does not count as a test.

    Parameters
    ----------
    p : array_like
        p-values of one family of tests, of any shape.

    Returns
    -------
    array, float64, same shape

    Examples
    --------
    >>> holm([0.01, 0.04, float("nan"), 0.03]).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    p = np.asarray(p, dtype=np.float64)
    flat, out = p.ravel(), np.full(p.size, np.nan)
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(flat[order] * factors), 1.0)
    return out.reshape(p.shape)


def intersection_union(p1: Any, p2: Any, favourable1: Any, favourable2: Any) -> np.ndarray:
    """p-value of "better in both comparisons": the larger p where both differences are favourable, else 1.

    The null is that at least one difference is not favourable; rejecting where both tests reject holds the level
    without a correction for the two of them (Berger 1982, Technometrics 24(4)). The p-values are two-sided ones, so
    that a mark never contradicts the two 95 % intervals beside it; the level of one direction is half.

    Parameters
    ----------
    p1, p2 : array_like
        Two-sided p-values of the two differences (to `random` and to `energy`).
    favourable1, favourable2 : array_like of bool
        Whether each difference is in favour of the method.

    Returns
    -------
    array, float64
        NaN where one of the p-values is missing: no test, no mark.

    Examples
    --------
    >>> intersection_union([0.01, 0.01, float("nan")], [0.03, 0.02, 0.1], True, [True, False, True]).tolist()
    [0.03, 1.0, nan]
    """
    larger = np.maximum(np.asarray(p1, dtype=np.float64), np.asarray(p2, dtype=np.float64))
    both = np.asarray(favourable1, dtype=bool) & np.asarray(favourable2, dtype=bool)
    return np.where(np.isnan(larger) | both, larger, 1.0)
