"""Agreement of predicted and labelled dimensions: concordance correlation coefficient with intervals over speakers.

Lin 1989, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45(1):
``2 cov / (var_true + var_predicted + (mean_true - mean_predicted)^2)``, moments over n. Values are audmetric's.

The interval is a bootstrap-t over speakers: speakers are drawn with replacement, the deviation on Fisher's scale is
divided by the jackknife standard error over the drawn speakers (Efron & Tibshirani 1993, An introduction to the
bootstrap, section 12.5). A percentile interval of a few speakers is too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..keys import rng

CCC_INTERVAL = "95 % bootstrap-t interval over speakers on Fisher's scale, jackknife standard errors"
DRAWS = 1999
MIN_SPEAKERS = 5  # of an interval; below, resampling says nothing
LARGEST = 1 - 1e-9  # correlation whose Fisher transform is still finite


def ccc_of(moments: np.ndarray) -> np.ndarray:
    """Coefficient from sums.

    Parameters
    ----------
    moments : array, shape (..., 6)
        n, sums of x, y, x^2, y^2 and x y.

    Returns
    -------
    array, shape (...)
        NaN where neither varies and the means agree.
    """
    n, sx, sy, sxx, syy, sxy = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mx, my = sx / n, sy / n
        value: np.ndarray = 2 * (sxy / n - mx * my) / (sxx / n - mx**2 + syy / n - my**2 + (mx - my) ** 2)
    return value


def ccc_interval(true: np.ndarray, predicted: np.ndarray, speakers: np.ndarray) -> list[float] | None:
    """Interval of the coefficient, clustered by speaker; None below `MIN_SPEAKERS` speakers or where it is undefined.

    Parameters
    ----------
    true, predicted : array, shape (n_clips,)
    speakers : array of str, shape (n_clips,)
    """
    names, index = np.unique(speakers, return_inverse=True)
    if len(names) < MIN_SPEAKERS:
        return None
    x, y = true - true.mean(), predicted - true.mean()  # sums of squares of centred values lose no digits
    moments = np.zeros((len(names), 6))
    np.add.at(moments, index, np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1))
    z, error = _fisher(moments[None])
    draws = rng("ccc interval").integers(len(names), size=(DRAWS, len(names)))
    drawn_z, drawn_error = _fisher(moments[draws])
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (drawn_z - z) / drawn_error
    t = t[np.isfinite(t)]
    if not (np.isfinite(z[0]) and np.isfinite(error[0])) or len(t) < DRAWS / 2:
        return None
    upper, lower = np.quantile(t, [0.975, 0.025])
    return [float(np.tanh(z[0] - upper * error[0])), float(np.tanh(z[0] - lower * error[0]))]


def _fisher(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fisher-transformed coefficient and its jackknife error, from each draw's speakers, shape (draws, speakers, 6)."""
    total = moments.sum(axis=1)
    z = np.arctanh(np.clip(ccc_of(total), -LARGEST, LARGEST))
    left_out = np.arctanh(np.clip(ccc_of(total[:, None] - moments), -LARGEST, LARGEST))
    n = moments.shape[1]
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean(axis=1, keepdims=True)).sum(axis=1))
    return z, error


def dimension_scores(
    true: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Agreement of each dimension.

    Parameters
    ----------
    true, predicted : array, shape (n_clips, n_dimensions)
    speakers : array of str, shape (n_clips,)
    names : sequence of str

    Returns
    -------
    dict
        ``n``, ``speakers``, ``ccc`` and ``ccc_interval`` by dimension.
    """
    import audmetric

    columns = list(zip(names, true.T, predicted.T, strict=True))
    return {
        "n": len(true),
        "speakers": len(np.unique(speakers)),
        "ccc": {name: float(audmetric.concordance_cc(x, y)) for name, x, y in columns},
        "ccc_interval": {name: ccc_interval(x, y, speakers) for name, x, y in columns},
    }
