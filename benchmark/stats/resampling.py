"""Resampling over clusters: sign-flip permutation over speakers, and bootstrap intervals of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from ...keys import rng
from .cluster_variance import LEVEL, MIN_SENTENCES, MIN_SPEAKERS
from .clustered import label_codes

EXACT_SPEAKERS = 14  # 2^14 sign patterns are enumerated; above, they are drawn
DRAWS = 9999


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip test.

    Attributes
    ----------
    p : float
        Two-sided; NaN below 6 speakers.
    smallest : float
        The smallest p that this many speakers, or draws, can give: .0078 for 8 speakers.
    exact : bool
        Whether all sign patterns were enumerated.
    """

    p: float
    smallest: float
    exact: bool


def sign_flip_test(differences: Any, speakers: Any, seed: int = 0) -> SignFlip:
    """Paired permutation test over speakers: the signs of all differences of a speaker are flipped together.

    Exact if, without an effect, each speaker's differences are as likely to have the opposite sign; sentences are held
    fixed. The statistic is the absolute mean over clips.

    Parameters
    ----------
    differences : array_like, shape (n,)
        NaN is left out.
    speakers : array_like, shape (n,)
    seed : int
        Of the sign patterns drawn with more than 14 speakers.

    Examples
    --------
    >>> sign_flip_test([1, 2, 3, 4, 5, 6, 7, 8], range(8))
    SignFlip(p=0.0078125, smallest=0.0078125, exact=True)
    """
    x = np.asarray(differences, dtype=np.float64)
    if x.ndim != 1 or len(speakers) != x.size:
        raise InputError(
            f"sign_flip_test: differences must be one-dimensional with one speaker each, got {x.shape} differences and "
            f"{len(speakers)} speakers."
        )
    known = np.isfinite(x)
    codes = label_codes(np.asarray(speakers)[known])
    sums = np.bincount(codes, weights=x[known])
    exact = sums.size <= EXACT_SPEAKERS
    if sums.size < MIN_SPEAKERS:
        return SignFlip(np.nan, np.nan, True)
    if exact:  # the first sign is kept: the other half of the patterns mirrors these
        bits = np.arange(2 ** (sums.size - 1))[:, None] >> np.arange(sums.size - 1)
        rest = 1.0 - 2.0 * (bits & 1)
        flipped = sums[0] + rest @ sums[1:]
    else:
        flipped = rng("sign flip", seed).choice([-1.0, 1.0], (DRAWS, sums.size)) @ sums
    # sums of equal terms in another order differ by rounding
    reached = int((np.abs(flipped) >= abs(sums.sum()) - 1e-12 * np.abs(sums).sum()).sum())
    if exact:
        return SignFlip(reached / flipped.size, 1 / flipped.size, True)
    return SignFlip((1 + reached) / (1 + DRAWS), 1 / (1 + DRAWS), False)


@dataclass(frozen=True)
class RankIntervals:
    """Ranks of k methods, 1 the best, with bootstrap intervals; arrays of shape (k,).

    Attributes
    ----------
    rank : array of float
        By the mean; ties share their mean rank; NaN without a value.
    low, high : array of float
        95 % percentile interval; NaN below 6 speakers.
    first : array of float
        Share of bootstrap samples in which the method is (also) the best.
    """

    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray


def rank_intervals(
    values: np.ndarray,
    speakers: Any,
    sentences: Any = None,
    higher_is_better: bool = True,
    draws: int = 2000,
    seed: int = 0,
) -> RankIntervals:
    """Ranks of methods with intervals by cluster bootstrap.

    Speakers are drawn with replacement; from 6 sentences on, sentences independently as well, and a clip counts as
    often as its speaker times its sentence were drawn (pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics
    1(2)). Percentile intervals with few clusters are too short for a test; they describe how stable an order is.

    Parameters
    ----------
    values : array, shape (clips, k)
        Scores of k methods on the same clips; NaN is left out, method by method.
    speakers, sentences : array_like, shape (clips,)
        Labels.
    higher_is_better : bool
    draws : int
        Bootstrap samples.
    seed : int
    """
    values = np.asarray(values, dtype=np.float64)
    codes = [label_codes(labels) for labels in (speakers, sentences) if labels is not None]
    if values.ndim != 2 or any(len(of_way) != len(values) for of_way in codes):
        raise InputError(
            f"rank_intervals: values must have shape (clips, methods) with one label a clip, got {values.shape} and "
            f"{' and '.join(str(len(of_way)) for of_way in codes)} labels."
        )
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    ways = [codes[0]] + [of_way for of_way in codes[1:] if of_way.max(initial=-1) + 1 >= MIN_SENTENCES]
    generator = rng("rank intervals", seed)
    weights = np.ones((draws, len(values)))
    for of_way in ways:
        n = int(of_way.max(initial=-1)) + 1
        if n:
            weights *= generator.multinomial(n, np.full(n, 1 / n), size=draws)[:, of_way]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ filled) / (weights @ known)
        rank = _ranks((filled.sum(0) / known.sum(0))[None], higher_is_better)[0]
    drawn = _ranks(means, higher_is_better)
    if codes[0].max(initial=-1) + 1 < MIN_SPEAKERS:
        nothing = np.full(values.shape[1], np.nan)
        return RankIntervals(rank, nothing, nothing, nothing)
    tail = (1 - LEVEL) / 2
    ordered = np.where(np.isnan(drawn), np.inf, drawn)
    low, high = np.quantile(ordered, (tail, 1 - tail), axis=0, method="inverted_cdf")
    first = (ordered == ordered.min(axis=1, keepdims=True)).mean(axis=0)
    return RankIntervals(rank, *(np.where(np.isnan(rank), np.nan, part) for part in (low, high, first)))


def _ranks(means: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Mean ranks of each row, 1 the best; NaN where a mean is missing."""
    x = -means if higher_is_better else means
    better = (x[:, None, :] < x[:, :, None]).sum(axis=2)
    equal = (x[:, None, :] == x[:, :, None]).sum(axis=2)
    return np.where(np.isnan(x), np.nan, better + (equal + 1) / 2)
