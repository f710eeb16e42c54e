"""Inference about recognisers: means over independent retrainings, and the spread between the models of a run.

The clustered tests hold the models fixed: their null is a mean of 0 over *these* models. Two other things can be said.
With 6 or more independent retrainings (own seed *and* own draw of training speakers) each of them is one cluster, and
the claim is about recognisers trained like these, on the clips used. The fold models of one training share most of
their data, so between them only the spread is described.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...errors import InputError
from .cluster_variance import DESCRIBED_ONLY, LEVEL
from .clustered import Estimate, clustered_mean

MIN_RETRAININGS = 6
RECOGNISERS = "recognisers trained like these"


def retraining_mean(values: Any, retrainings: Any, level: float = LEVEL) -> Estimate:
    """Mean with a t interval over independent retrainings of a recogniser.

    Parameters
    ----------
    values : array_like, shape (n,)
        Scores or paired differences, of clips or of whole retrainings; NaN is left out.
    retrainings : array_like, shape (n,)
        Label of the retraining of each value. Each counts once, however many values it has.
    level : float
        Coverage of the interval, in 0..1.

    Returns
    -------
    Estimate
        ``n_speakers`` are the retrainings, ``n_clips`` the values; ``scope`` is "recognisers trained like these" from 6
        retrainings on, else "described only", without interval and p.

    Examples
    --------
    >>> e = retraining_mean([1, 2, 3, 4, 5, 6], range(6))
    >>> e.mean, round(e.low, 3), e.scope
    (3.5, 1.537, 'recognisers trained like these')
    """
    means = _means(values, retrainings)
    found = clustered_mean(means.to_numpy(), means.index, level=level)
    known = int(np.isfinite(np.asarray(values, dtype=np.float64)).sum())
    scope = RECOGNISERS if found.n_speakers >= MIN_RETRAININGS else DESCRIBED_ONLY
    return Estimate(
        found.mean, found.low, found.high, found.se, found.df, found.p, known, found.n_speakers, 0, scope
    )  # fmt: skip


@dataclass(frozen=True)
class ModelSpread:
    """How a mean, or a paired difference, varies between models.

    Attributes
    ----------
    means : dict of str to float
        By model, in alphabetical order; models without a value are left out.
    low, high : float
        The least and the largest of them; NaN without any.
    sign_changes : bool
        Whether some models' means are positive and others' negative.
    """

    means: dict[str, float]
    low: float
    high: float
    sign_changes: bool


def between_models(values: Any, models: Any) -> ModelSpread:
    """Mean of each model, their range, and whether the sign changes between them.

    Parameters
    ----------
    values : array_like, shape (n,)
        Scores or paired differences of clips; NaN is left out.
    models : array_like, shape (n,)
        Label of the model of each value, e.g. its fold. Where each fold model scores other speakers, the spread is that
        of models and speakers together.

    Examples
    --------
    >>> between_models([1, 3, -1], ["fold 0", "fold 0", "fold 1"])
    ModelSpread(means={'fold 0': 2.0, 'fold 1': -1.0}, low=-1.0, high=2.0, sign_changes=True)
    """
    means = _means(values, models).dropna()
    if means.empty:
        return ModelSpread({}, float("nan"), float("nan"), False)
    low, high = float(means.min()), float(means.max())
    return ModelSpread({str(k): float(v) for k, v in means.items()}, low, high, low < 0 < high)


def _means(values: Any, labels: Any) -> pd.Series:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(labels) != values.size:
        raise InputError(
            f"values must be one-dimensional with one model each, got {values.shape} values and {len(labels)} models."
        )
    return pd.Series(np.where(np.isfinite(values), values, np.nan)).groupby(np.asarray(labels), sort=True).mean()
