"""Score of the axis of corpora: are profiles of an emotion more alike across corpora than those of other emotions.

As on the other axes of `robustness` there is a floor and a ceiling, here of profiles of emotions (`corpus_axis`) by one
kind of recogniser, all pairs from disjoint halves of the speakers:

    score = (corpora - emotions) / (split half - emotions)

Each is a mean over the same pairs of profiles, those of an emotion in two corpora: the floor of a pair is the mean of
both profiles' similarity to those of other emotions of their corpus, its ceiling the mean of their split halves. Two
halves are the less alike the fewer clips there are, and so are two corpora: the ratio of the two is free of that.

The interval is a jackknife over speakers within corpora; corpora and recogniser are fixed. The score is missing unless
the lower bound of the range, split half - emotions, exceeds `MIN_RANGE`: where there is none, as of random maps, the
quotient is noise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..stats.cluster_variance import MIN_SPEAKERS
from .corpus_axis import Profiles, jackknife, left_out_matrices, pair_masks, similarity_matrix
from .robustness import MIN_RANGE


class CorporaScore(NamedTuple):
    """Score of one method and kind of recogniser.

    Attributes
    ----------
    score, low, high : float
        With 95 % interval; NaN where the range may be too small, the interval also where a corpus has fewer than 6
        speakers.
    corpora, emotions, split_half : float
        Means of correlations.
    range_low : float
        Lower bound of split half - emotions; the difference itself where a corpus has fewer than 6 speakers.
    note : str
        Why a number is missing.
    """

    score: float
    low: float
    high: float
    corpora: float
    emotions: float
    split_half: float
    range_low: float
    note: str


def corpora_score(profiles: Profiles, seed: int = 0) -> CorporaScore:
    """Score of the axis of corpora, with interval.

    Parameters
    ----------
    profiles : Profiles
        Of one kind of recogniser, in at least two corpora.
    seed : int
        Of the halves of speakers.
    """
    masks = pair_masks(profiles.cells)
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in profiles.speakers.items()}
    means = paired_means(similarity_matrix(profiles, everyone, shared=False, seed=seed), masks)
    told = {"corpora": means[0], "emotions": means[1], "split_half": means[2]}
    nothing = {"score": np.nan, "low": np.nan, "high": np.nan}
    estimate = _score_and_range(means)
    if not np.isfinite(estimate).all():
        return CorporaScore(
            **nothing, **told, range_low=np.nan, note="no emotion that two corpora share, beside others"
        )
    few = sorted(corpus for corpus, n in profiles.speakers.items() if n < MIN_SPEAKERS)
    low = high = np.full(2, np.nan)
    range_low = estimate[1]
    if not few:
        left_out = left_out_matrices(profiles, shared=False, seed=seed)
        low, high, _ = jackknife(
            estimate, {corpus: _score_and_range(paired_means(each, masks)) for corpus, each in left_out.items()}
        )
        # NaN without one of the speakers: nothing is left to compare then
        range_low = low[1] if np.isfinite(low).all() else -np.inf
    if not range_low > MIN_RANGE:
        note = f"split half - emotions may be below {MIN_RANGE}: two halves are hardly more alike than two emotions"
        return CorporaScore(**nothing, **told, range_low=range_low, note=note)
    note = f"described only: {profiles.speakers[few[0]]} speakers in {few[0]}" if few else ""
    return CorporaScore(estimate[0], low[0], high[0], **told, range_low=range_low, note=note)


def paired_means(matrices: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """Similarity, floor and ceiling, means over pairs of profiles of an emotion in two corpora that have all three.

    Parameters
    ----------
    matrices : array, shape (..., cells, cells)
        Of `similarity_matrix`.
    masks : dict of str to array
        Of `pair_masks`.

    Returns
    -------
    array, shape (..., 3)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        other = masks["emotions"] & np.isfinite(matrices)
        floor = np.where(other, matrices, 0.0).sum(axis=-1) / other.sum(axis=-1)
        ceiling = np.diagonal(matrices, axis1=-2, axis2=-1)
        whole = np.isfinite(floor) & np.isfinite(ceiling)
        pairs = masks["corpora"] & np.isfinite(matrices) & whole[..., :, None] & whole[..., None, :]
        weights = pairs.sum(axis=-1)  # pairs that a cell is in
        n = weights.sum(axis=-1)
        found: np.ndarray = np.stack(
            [
                np.where(pairs, matrices, 0.0).sum(axis=(-2, -1)) / n,
                (weights * np.where(whole, floor, 0.0)).sum(axis=-1) / n,
                (weights * np.where(whole, ceiling, 0.0)).sum(axis=-1) / n,
            ],
            axis=-1,
        )
    return found


def _score_and_range(means: np.ndarray) -> np.ndarray:
    """Score and range, shape (..., 2), of `paired_means`."""
    span = means[..., 2] - means[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([(means[..., 0] - means[..., 1]) / span, span], axis=-1)
