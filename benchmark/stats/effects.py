"""Effect sizes with cluster-robust intervals, and equivalence of two methods.

Both effect sizes are functions of a mean of clips, so their standard errors come from per-clip influence values with
the same clusters, variance rule and degrees of freedom as the paired difference (`cluster_variance.cluster_fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ...errors import InputError
from .cluster_variance import ClusterFit, cluster_fit
from .clustered import clustered_mean, label_codes


@dataclass(frozen=True)
class EffectSize:
    """An effect size with its 95 % interval; NaN where it cannot be estimated."""

    value: float
    low: float
    high: float


def standardised_difference(differences: Any, speakers: Any, sentences: Any = None) -> EffectSize:
    """Paired standardised difference: mean over standard deviation of the clips' differences (Cohen's d_z).

    Parameters
    ----------
    differences : array_like, shape (n,)
        NaN is left out.
    speakers, sentences : array_like, shape (n,)
        Labels, as of `clustered.clustered_mean`.

    Examples
    --------
    >>> standardised_difference([1.0, 3.0], ["a", "b"]).value
    1.414213562373095
    """
    x, labels = _known(differences, speakers, sentences)
    spread = float(x.std(ddof=1)) if x.size > 1 else 0.0
    if not spread > 1e-12 * np.abs(x).max(initial=0.0):
        return EffectSize(np.nan, np.nan, np.nan)
    z = (x - x.mean()) / x.std()
    value = float(x.mean() / spread)
    fit = _fit(z - value / 2 * (z**2 - 1), labels)
    half = float(fit.half[0])
    return EffectSize(value, value - half, value + half)


def rank_biserial(differences: Any, speakers: Any, sentences: Any = None) -> EffectSize:
    """Matched-pairs rank-biserial correlation (Kerby 2014, Comprehensive Psychology 3), -1..1.

    The difference of the rank sums of Wilcoxon's signed-rank test over their sum; zeros are left out. Its interval is
    made on Fisher's z scale, so it stays within -1..1; at -1 and 1 it is missing, nothing varies.

    Parameters
    ----------
    differences : array_like, shape (n,)
        NaN is left out.
    speakers, sentences : array_like, shape (n,)
        Labels, as of `clustered.clustered_mean`.

    Examples
    --------
    >>> rank_biserial([1.0, 2.0, -3.0, 4.0], list("abcd")).value
    0.4
    """
    x, labels = _known(differences, speakers, sentences)
    nonzero = x != 0
    x, labels = x[nonzero], [codes[nonzero] for codes in labels]
    if not x.size:
        return EffectSize(np.nan, np.nan, np.nan)
    ranks = stats.rankdata(np.abs(x))
    value = float(ranks @ np.sign(x) / ranks.sum())
    # share of pairs whose sum is positive less the share whose sum is negative: the U statistic behind the ranks
    ordered = np.sort(x)
    above = x.size - np.searchsorted(ordered, -x, side="right")
    below = np.searchsorted(ordered, -x, side="left")
    fit = _fit(2 * (above - below) / x.size, labels)
    if abs(value) == 1:
        return EffectSize(value, np.nan, np.nan)
    half = float(fit.half[0]) / (1 - value**2)
    centre = np.arctanh(value)
    return EffectSize(value, float(np.tanh(centre - half)), float(np.tanh(centre + half)))


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests against a margin.

    Attributes
    ----------
    p : float
        The larger of the two one-sided p-values; NaN where there is no test.
    low, high : float
        Interval of coverage 1 - 2 alpha: equivalent at alpha where it lies within the margin.
    margin : float
    scope : str
        As of `clustered.Estimate`.
    """

    p: float
    low: float
    high: float
    margin: float
    scope: str


def equivalence(
    differences: Any, margin: float, speakers: Any, sentences: Any = None, alpha: float = 0.05
) -> Equivalence:
    """Test that a mean difference lies within -margin..margin (TOST; Schuirmann 1987).

    Parameters
    ----------
    differences : array_like, shape (n,)
        NaN is left out.
    margin : float
        Above 0, fixed before the data are seen: from the metric's record or another corpus.
    speakers, sentences : array_like, shape (n,)
        Labels, as of `clustered.clustered_mean`.
    alpha : float
        Level, in 0..0.5.

    Raises
    ------
    InputError
        If margin or alpha is out of range.
    """
    if not margin > 0 or not 0 < alpha < 0.5:
        raise InputError(
            f"equivalence: margin must be above 0 and alpha in 0..0.5, got margin {margin} and alpha {alpha}."
        )
    e = clustered_mean(differences, speakers, sentences, level=1 - 2 * alpha)
    p = np.nan
    if np.isfinite(e.low):
        distance = margin - abs(e.mean)
        p = float(stats.t.sf(distance / e.se, e.df)) if e.se > 0 else float(distance <= 0)
    return Equivalence(p, e.low, e.high, margin, e.scope)


def _known(values: Any, speakers: Any, sentences: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    x = np.asarray(values, dtype=np.float64)
    labels = [label_codes(column) for column in (speakers, sentences) if column is not None]
    if x.ndim != 1 or any(len(codes) != x.size for codes in labels):
        raise InputError(
            f"effect size: differences must be one-dimensional with one speaker and one sentence each, got {x.shape} "
            f"differences and {' and '.join(str(len(codes)) for codes in labels)} labels."
        )
    known = np.isfinite(x)
    return x[known], [codes[known] for codes in labels]


def _fit(values: np.ndarray, labels: list[np.ndarray]) -> ClusterFit:
    return cluster_fit(values[:, None], *labels)
