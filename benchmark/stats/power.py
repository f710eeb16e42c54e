"""Power of a paired comparison: variance components, the smallest detectable difference, clips and speakers needed.

Conventions
-----------
Power is that of the two-sided t test of a mean difference, by the noncentral t distribution. Sizes are planned for a
balanced layout: the variance of the mean is speaker / speakers + sentence / sentences + clip / clips, the degrees of
freedom are the smaller number of clusters - 1. Where sentences are fixed (fewer than 6), theirs is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from ...errors import InputError
from .cluster_variance import MIN_SENTENCES, MIN_SPEAKERS
from .clustered import label_codes

POWER = 0.8
ALPHA = 0.05
MOST = 10_000  # speakers and clips per speaker; more are as good as infinitely many


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of the effects of speaker, sentence and clip (what is left), each at least 0.

    Attributes
    ----------
    speaker, sentence, clip : float
        In the squared unit of the values; `sentence` is 0 where sentences are not given.
    """

    speaker: float
    sentence: float
    clip: float

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of speaker, sentence and clip in their sum; NaN where nothing varies."""
        total = self.speaker + self.sentence + self.clip
        if not total > 0:
            return (float("nan"),) * 3
        return self.speaker / total, self.sentence / total, self.clip / total


def variance_components(values: Any, speakers: Any, sentences: Any = None) -> VarianceComponents:
    """Variance components of crossed random effects by Henderson's method I (1953, Biometrics 9(2)).

    Sums of squares are equated with their expectations, which is unbiased for unbalanced layouts; negative estimates
    are set to 0.

    Parameters
    ----------
    values : array_like, shape (n,)
        Scores or paired differences of clips; NaN is left out.
    speakers, sentences : array_like, shape (n,)
        Labels.

    Returns
    -------
    VarianceComponents
        NaN where there are too few clips to tell the components apart.
    """
    x = np.asarray(values, dtype=np.float64)
    labels = [label_codes(column) for column in (speakers, sentences) if column is not None]
    if x.ndim != 1 or any(len(codes) != x.size for codes in labels):
        raise InputError(
            f"variance_components: values must be one-dimensional with one label each, got {x.shape} values and "
            f"{' and '.join(str(len(codes)) for codes in labels)} labels."
        )
    known = np.isfinite(x)
    x = x[known] - x[known].mean() if known.any() else x[known]
    ways = [np.eye(int(codes.max(initial=-1)) + 1)[codes[known]] for codes in labels]
    ways = [members[:, members.any(axis=0)] for members in ways]
    n = x.size
    # each line: a sum of squares, and how often it holds each component (the grand mean's square is n times in each)
    lines = [(float(x @ x), [float(n)] * (len(ways) + 1))]
    for members in ways:
        size = members.sum(axis=0)
        holds = [float(((members.T @ other) ** 2 / size[:, None]).sum()) for other in ways]
        lines.append((float(((x @ members) ** 2 / size).sum()), [*holds, float(members.shape[1])]))
    grand = np.array([float((members.sum(axis=0) ** 2).sum()) / max(n, 1) for members in ways] + [1.0])
    matrix = np.array([holds for _, holds in lines]) - grand
    if n == 0 or np.linalg.matrix_rank(matrix) < len(matrix):
        return VarianceComponents(float("nan"), float("nan"), float("nan"))
    found = np.maximum(np.linalg.solve(matrix, [square for square, _ in lines]), 0)
    speaker, *sentence, clip = (float(component) for component in found)
    return VarianceComponents(speaker, sentence[0] if sentence else 0.0, clip)


def detectable_difference(se: float, df: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """The smallest true difference that a test with this standard error finds with this power.

    Parameters
    ----------
    se, df : float
        Of the run's own comparison (`clustered.Estimate`).
    power, alpha : float
        In 0..1; `alpha` two-sided. For one of m tests after Holm's correction, alpha / m is the safe choice.

    Returns
    -------
    float
        NaN where there is no test.

    Examples
    --------
    >>> round(detectable_difference(se=1.0, df=9), 3)
    3.15
    """
    if not 0 < alpha < power < 1:
        raise InputError(f"power must lie above alpha, both in 0..1; got power {power} and alpha {alpha}.")
    if not (np.isfinite(se) and df > 0):
        return float("nan")
    return float(se * _noncentrality(float(df), power, alpha))


def clips_needed(
    difference: float,
    components: VarianceComponents,
    speakers: int,
    sentences: int = 0,
    power: float = POWER,
    alpha: float = ALPHA,
) -> float:
    """Clips with which these speakers and sentences show a difference.

    Parameters
    ----------
    difference : float
        True difference, not 0.
    components : VarianceComponents
    speakers, sentences : int
        Numbers of both; fewer than 6 sentences are fixed.
    power, alpha : float

    Returns
    -------
    float
        A whole number; infinity where no number of clips is enough, and below 6 speakers.
    """
    _checked(difference)
    if speakers < MIN_SPEAKERS:
        return float("inf")
    target = (abs(difference) / _noncentrality(_df(speakers, sentences), power, alpha)) ** 2
    left = target - _between(components, speakers, sentences)
    if not left > 0:
        return float("inf")
    return float(max(np.ceil(components.clip / left - 1e-9), speakers))


def speakers_needed(
    difference: float,
    components: VarianceComponents,
    clips_per_speaker: float,
    sentences: int = 0,
    power: float = POWER,
    alpha: float = ALPHA,
) -> float:
    """Speakers with this many clips each that show a difference on the same sentences.

    Parameters
    ----------
    difference : float
        True difference, not 0.
    components : VarianceComponents
    clips_per_speaker : float
    sentences : int
        Fewer than 6 are fixed.
    power, alpha : float

    Returns
    -------
    float
        A whole number from 6 up; infinity where 10,000 are not enough.
    """
    _checked(difference)

    def enough(speakers: int) -> bool:
        variance = _between(components, speakers, sentences) + components.clip / (speakers * clips_per_speaker)
        return bool(variance * _noncentrality(_df(speakers, sentences), power, alpha) ** 2 <= difference**2)

    low, high = MIN_SPEAKERS, MOST
    if not enough(high):
        return float("inf")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return float(low)


def _between(components: VarianceComponents, speakers: int, sentences: int) -> float:
    of_sentences = components.sentence / sentences if sentences >= MIN_SENTENCES else 0.0
    return components.speaker / speakers + of_sentences


def _df(speakers: int, sentences: int) -> float:
    return float(min(speakers, sentences) - 1 if sentences >= MIN_SENTENCES else speakers - 1)


def _noncentrality(df: float, power: float, alpha: float) -> float:
    """Difference in standard errors at which a t test has this power."""
    critical = stats.t.ppf(1 - alpha / 2, df)

    def missing(shift: float) -> float:
        # scipy gives NaN where the tails are 1 and 0 to rounding
        found, opposite = stats.nct.sf(critical, df, shift), stats.nct.cdf(-critical, df, shift)
        return float(np.nan_to_num(found, nan=1.0) + np.nan_to_num(opposite)) - power

    return float(optimize.brentq(missing, 0.0, 3 * critical + 10))


def _checked(difference: float) -> None:
    if not np.isfinite(difference) or difference == 0:
        raise InputError(f"difference must be a number other than 0, got {difference}.")
