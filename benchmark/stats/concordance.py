"""Kendall's coefficient of concordance W, and its comparison with random groups of the same clips.

W of the order of methods over classes is below 1 for two reasons: the order depends on the class, or the means of each
class are uncertain. So W is set beside that of *random groups*: the classes of the clips are permuted among clips
that are exchangeable if the class does not matter, which keeps their sizes and removes their meaning. The same
permutations test whether the differences between methods depend on the class, by the sum of squares of their
interaction: where the order turns in half of the clips, their mean has no order that W could miss.

Source: Kendall & Babington Smith 1939, Annals of Mathematical Statistics 10(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

DRAWS = 199  # random groupings


def concordance(scores: np.ndarray) -> float:
    """Kendall's W over raters, corrected for ties.

    Parameters
    ----------
    scores : array, shape (n_raters, n_objects)

    Returns
    -------
    float
        0..1: 1 where all raters rank alike; NaN where all scores are equal.

    Examples
    --------
    >>> concordance(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))
    1.0
    """
    return float(concordances(scores[None])[0])


def concordances(scores: np.ndarray) -> np.ndarray:
    """Kendall's W of several tables at once.

    Parameters
    ----------
    scores : array, shape (k, n_raters, n_objects)

    Returns
    -------
    array, shape (k,)
    """
    _, m, n = scores.shape
    ranks = rankdata(scores, axis=2)
    spread = ((ranks.sum(1) - m * (n + 1) / 2) ** 2).sum(1)
    # c^3 - c over groups of c equal ranks is c^2 - 1 over their members
    equal = (scores[..., None] == scores[..., None, :]).sum(-1)
    most = m**2 * (n**3 - n) - m * (equal**2 - 1).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        w: np.ndarray = np.where(most > 0, 12 * spread / most, np.nan)
    return w


def opposed(scores: np.ndarray) -> float:
    """Share of pairs of objects that two raters order differently, mean over pairs of raters.

    Without ties it is (1 - Kendall's tau) / 2, averaged over pairs of raters.

    Parameters
    ----------
    scores : array, shape (n_raters, n_objects)
        Equal scores of a rater oppose nobody.
    """
    signs = pair_signs(scores)
    return float(np.mean([np.mean(signs[a] * signs[b] < 0) for a, b in combinations(range(len(scores)), 2)]))


def pair_signs(scores: np.ndarray) -> np.ndarray:
    """Order of each pair of objects, -1, 0 or 1, shape (..., n_pairs), of scores of shape (..., n_objects)."""
    i, j = np.triu_indices(scores.shape[-1], 1)
    signs: np.ndarray = np.sign(scores[..., i] - scores[..., j])
    return signs


@dataclass(frozen=True)
class GroupConcordance:
    """Agreement of groups of clips about the order of methods.

    Attributes
    ----------
    w : float
        Kendall's W of the group means.
    w_random : float
        Mean W of random groups of the same sizes.
    p : float
        Share of random groupings (the observed one included) between which the differences between methods vary as
        much; small where they depend on the group.
    opposed : float
        `opposed` of the group means.
    """

    w: float
    w_random: float
    p: float
    opposed: float


def group_concordance(
    values: np.ndarray,
    groups: np.ndarray,
    speakers: np.ndarray,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> GroupConcordance:
    """Kendall's W over groups of clips, beside random groups.

    Parameters
    ----------
    values : array, shape (clips, methods)
        Complete.
    groups : array of int, shape (clips,)
        From 0.
    speakers : array of int, shape (clips,)
        From 0. Where each speaker is in one group (sex), random groupings permute speakers between groups; else clips
        are permuted between the groups within each speaker.
    generator : numpy Generator
    draws : int
    """
    # what all methods share on a clip moves no rank, but would move the means of random groups
    centred = values - values.mean(axis=1, keepdims=True)
    drawn = random_groupings(groups, speakers, generator, draws)
    means, sizes = group_means(centred, drawn)
    rounded = np.round(means, 12)
    w = concordances(rounded)
    apart = ((means - centred.mean(axis=0)) ** 2 * sizes).sum((1, 2))
    known = np.isfinite(w[1:])
    p = np.count_nonzero(apart >= apart[0] * (1 - 1e-9)) / (1 + draws)  # the observed grouping is one of them
    w_random = float(w[1:][known].mean()) if known.any() else np.nan
    return GroupConcordance(float(w[0]), w_random, float(p), opposed(rounded[0]))


def random_groupings(
    groups: np.ndarray, speakers: np.ndarray, generator: np.random.Generator, draws: int = DRAWS
) -> np.ndarray:
    """The groups of clips, then random ones of the same sizes, int, shape (1 + draws, clips).

    Parameters
    ----------
    groups, speakers, generator, draws
        As of `group_concordance`.
    """
    of_speaker = np.full(int(speakers.max()) + 1, -1)
    of_speaker[speakers] = groups
    nested = bool((of_speaker[speakers] == groups).all())
    drawn = np.empty((draws + 1, len(groups)), dtype=int)
    drawn[0] = groups
    for i in range(1, draws + 1):
        if nested:
            drawn[i] = of_speaker[generator.permutation(len(of_speaker))][speakers]
        else:
            order = np.lexsort((generator.random(len(groups)), speakers))
            drawn[i, order] = groups[np.argsort(speakers, kind="stable")]
    return drawn


def group_means(values: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each group under each grouping.

    Parameters
    ----------
    values : array, shape (clips, methods)
        Complete.
    drawn : array of int, shape (groupings, clips)
        From 0, see `random_groupings`.

    Returns
    -------
    means : array, shape (groupings, n_groups, methods)
    sizes : array, shape (groupings, n_groups, 1)
        Clips of each group.
    """
    n_groups = int(drawn[0].max()) + 1
    inside = (drawn[:, None, :] == np.arange(n_groups)[:, None]).astype(np.float64)
    sizes = inside.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside @ values / sizes, sizes
