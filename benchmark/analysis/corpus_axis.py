"""Profiles of emotions across corpora, recognisers and emotions: which of these changes an explanation most.

A *profile* is the mean relevance of eight frequency bands (`band_table`), averaged over the clips of a speaker for
which one emotion is explained, then over speakers. Four means of correlations are compared, over all pairs of profiles
that differ in one thing alone:

- ``models``: same corpus and emotion, two kinds of recogniser;
- ``corpora``: same kind of recogniser and emotion, two corpora;
- ``emotions``: same corpus and recogniser, two emotions (what profiles without any information share: the floor);
- ``split half``: nothing differs but the speakers (the ceiling).

Like with like: two recognisers are compared on the same clips, two corpora never, and the shared clips alone make
profiles alike. So by default both profiles of every pair come from *disjoint halves* of each corpus' speakers, means
over `SPLITS` splits; ``shared`` gives the comparison as EmoLIME's paper shows it.

Intervals are a jackknife over speakers within corpora, for which corpora, recognisers and emotions are fixed: they say
nothing about other corpora. The permutation test asks that beside: labels (corpus, recogniser) of the profiles of each
emotion are exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from ...keys import rng
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from .band_table import BANDS, kinds

SPLITS = 50
PERMUTATIONS = 2_000
KINDS = ("models", "corpora", "emotions", "split half")
Cell = tuple[str, str, str]  # corpus, kind of recogniser, emotion explained


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles by speaker of one method.

    Attributes
    ----------
    cells : list of (str, str, str)
        Corpus, kind of recogniser and emotion of each profile.
    values : list of array, shape (speakers of the corpus, 8)
        For each cell; NaN where a speaker has no clip for which the emotion is explained.
    n_clips, n_explanations : int
    """

    cells: list[Cell]
    values: list[np.ndarray]
    n_clips: int
    n_explanations: int = 0

    @property
    def speakers(self) -> dict[str, int]:
        """Number of speakers of each corpus."""
        return {cell[0]: len(values) for cell, values in zip(self.cells, self.values, strict=True)}

    def above_lowest(self) -> Profiles:
        """The profiles without the lowest band."""
        return Profiles(self.cells, [v[:, 1:] for v in self.values], self.n_clips, self.n_explanations)


@dataclass(frozen=True)
class ProfileContrast:
    """Difference of two of the means with its interval.

    Attributes
    ----------
    means : dict of str to float
        By kind of pair, see the module.
    difference, low, high, p : float
        Of ``models - corpora``; interval and p by the jackknife over speakers, NaN where a corpus has fewer than 6.
    p_permutation : float
        One-sided, of exchanged labels; NaN where there is nothing to exchange.
    by_emotion : dict of str to (float, float, float)
        Difference with interval of each emotion.
    n_clips, n_explanations, n_corpora, n_models : int
    speakers : dict of str to int
    """

    means: dict[str, float]
    difference: float
    low: float
    high: float
    p: float
    p_permutation: float
    by_emotion: dict[str, tuple[float, float, float]]
    n_clips: int
    n_explanations: int
    n_corpora: int
    n_models: int
    speakers: dict[str, int]


def profiles_of(table: pd.DataFrame, method: str) -> Profiles:
    """Profiles by speaker of a method.

    Parameters
    ----------
    table : DataFrame
        Of `band_table`. A corpus explained by several trainings of one kind of recogniser counts each of them as the
        same kind.
    method : str
    """
    table = table[table["method"] == method]
    table = table.assign(model=kinds(table))
    speakers = {corpus: sorted(part["speaker"].unique()) for corpus, part in table.groupby("corpus")}
    cells, values = [], []
    for (corpus, model, emotion), part in table.groupby(["corpus", "model", "target"]):
        by_speaker = part.groupby("speaker")[BANDS].mean().reindex(speakers[corpus])
        cells.append((str(corpus), str(model), str(emotion)))
        values.append(by_speaker.to_numpy())
    clips = len(table[["corpus", "clip"]].drop_duplicates())
    return Profiles(cells, values, clips, len(table))


# -- pairs -------------------------------------------------------------------------------------------------------------


def pair_masks(cells: Sequence[Cell], emotion: str | None = None) -> dict[str, np.ndarray]:
    """Which pairs of profiles are of each of `KINDS`, bool, shape (cells, cells).

    Parameters
    ----------
    cells : sequence of (str, str, str)
    emotion : str, optional
        Only pairs of this emotion; default all.
    """
    labels = np.array(cells, dtype=object).reshape(-1, 3)
    same = [labels[:, k][:, None] == labels[:, k][None, :] for k in range(3)]
    of_emotion = np.full(len(labels), emotion is None) | (labels[:, 2] == emotion)
    wanted = of_emotion[:, None] & of_emotion[None, :]
    return {
        "models": same[0] & ~same[1] & same[2] & wanted,
        "corpora": ~same[0] & same[1] & same[2] & wanted,
        "emotions": same[0] & same[1] & ~same[2] & wanted,
        "split half": same[0] & same[1] & same[2] & wanted,
    }


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of one array with each of another, NaN for constant rows.

    Parameters
    ----------
    first, second : array, shape (..., rows, columns)

    Returns
    -------
    array, shape (..., rows of the first, rows of the second)
    """
    found: np.ndarray = _units(first) @ _units(second).swapaxes(-1, -2)
    return found


Weights = Mapping[str, np.ndarray]  # by corpus: which speakers, shape (speakers,)


def _means(profiles: Profiles, chosen: Weights) -> np.ndarray:
    """Mean profile of each cell over each of several choices of speakers; NaN where none of them has it.

    Parameters
    ----------
    profiles : Profiles
    chosen : mapping of str to bool array
        By corpus, shape (choices, speakers).

    Returns
    -------
    array, shape (choices, cells, bands)
    """
    found = []
    for cell, values in zip(profiles.cells, profiles.values, strict=True):
        known = np.isfinite(values[:, 0])
        weights = chosen[cell[0]] & known
        with np.errstate(invalid="ignore", divide="ignore"):
            total = weights.astype(np.float64) @ np.where(known[:, None], values, 0.0)
            found.append(total / weights.sum(axis=1, keepdims=True))
    return np.stack(found, axis=1)


@cache
def _halves(corpus: str, n: int, seed: int) -> np.ndarray:
    """Which of n speakers are in the first half, bool, shape (`SPLITS`, n)."""
    found = np.zeros((SPLITS, n), dtype=bool)
    for split in range(SPLITS):
        found[split, rng("profile halves", seed, split, corpus).permutation(n)[::2]] = True
    return found


def similarity_matrix(profiles: Profiles, kept: Weights, shared: bool, seed: int = 0) -> np.ndarray:
    """Correlation of each pair of cells over the kept speakers, shape (cells, cells).

    Parameters
    ----------
    profiles : Profiles
    kept : mapping of str to bool array
        Speakers of each corpus that count.
    shared : bool
        Both profiles of a pair from all speakers; else from disjoint halves, mean over `SPLITS` splits. The splits
        do not depend on which speakers are kept.
    seed : int
    """
    if shared:
        own = _means(profiles, {corpus: members[None] for corpus, members in kept.items()})[0]
        return correlations(own, own)
    first = {corpus: _halves(corpus, n, seed) for corpus, n in profiles.speakers.items()}
    one = _means(profiles, {corpus: half & kept[corpus] for corpus, half in first.items()})
    other = _means(profiles, {corpus: ~half & kept[corpus] for corpus, half in first.items()})
    found = correlations(one, other)
    both = np.concatenate([found, found.transpose(0, 2, 1)])
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.nansum(both, axis=0) / np.isfinite(both).sum(axis=0)
    return mean


def left_out_matrices(profiles: Profiles, shared: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """`similarity_matrix` without each speaker in turn.

    Only the profiles of the speaker's corpus change, so only their rows and columns are computed again, those of all
    speakers of a corpus together.

    Parameters
    ----------
    profiles : Profiles
    shared, seed
        As of `similarity_matrix`.

    Returns
    -------
    dict of str to array
        By corpus, shape (speakers of the corpus, cells, cells).
    """
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in profiles.speakers.items()}
    chosen = {corpus: (members[None], members[None]) for corpus, members in everyone.items()}
    if not shared:
        halves = {corpus: _halves(corpus, n, seed) for corpus, n in profiles.speakers.items()}
        chosen = {corpus: (half, ~half) for corpus, half in halves.items()}
    whole = similarity_matrix(profiles, everyone, shared, seed)
    sides = [_units(_means(profiles, {corpus: both[side] for corpus, both in chosen.items()})) for side in (0, 1)]
    of_cell = np.array([cell[0] for cell in profiles.cells], dtype=object)
    found = {}
    for corpus, both in chosen.items():
        n, own = len(everyone[corpus]), of_cell == corpus
        places = np.flatnonzero(own)
        part = Profiles([profiles.cells[i] for i in places], [profiles.values[i] for i in places], 0)
        without = ~np.eye(n, dtype=bool)
        again = [_units(_means(part, {corpus: (half & without[:, None]).reshape(-1, n)})) for half in both]
        again = [x.reshape(n, -1, *x.shape[1:]) for x in again]
        matrices = np.repeat(whole[None], n, axis=0)
        rows = _mean_products([(again[0], sides[1][None]), (again[1], sides[0][None])])
        matrices[:, own] = rows
        matrices[:, :, own] = rows.swapaxes(1, 2)
        within = _mean_products([(again[0], again[1]), (again[1], again[0])])
        matrices[np.ix_(np.arange(n), places, places)] = within
        found[corpus] = matrices
    return found


def _units(means: np.ndarray) -> np.ndarray:
    """Centred profiles of length 1; NaN for constant and missing ones."""
    centred = means - means.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = centred / np.sqrt(np.sum(centred**2, axis=-1, keepdims=True))
    return found


def _mean_products(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mean scalar product over splits and pairs of arrays, of those that are known; NaN where none is.

    Parameters
    ----------
    pairs : sequence of (array, array)
        Shape (speakers or 1, splits, cells, bands) each.

    Returns
    -------
    array, shape (speakers, cells of the first, cells of the second)
    """
    total, counted = np.zeros(()), np.zeros(())
    for pair in pairs:
        known = [np.isfinite(x[..., 0]).astype(np.float64) for x in pair]
        first, second = (
            np.where(k[..., None] > 0, x, 0.0).swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)
            for k, x in zip(known, pair, strict=True)
        )
        total = total + first @ second.swapaxes(1, 2)
        counted = counted + known[0].swapaxes(1, 2) @ known[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = total / counted
    return found


def _mean_of(matrix: np.ndarray, mask: np.ndarray) -> float:
    known = matrix[mask]
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else np.nan


# -- the contrast ------------------------------------------------------------------------------------------------------


def profile_contrast(profiles: Profiles, shared: bool = False, seed: int = 0) -> ProfileContrast:
    """Whether profiles are more alike across recognisers than across corpora.

    Parameters
    ----------
    profiles : Profiles
    shared : bool
        See `similarity_matrix`.
    seed : int
    """
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in profiles.speakers.items()}
    emotions = sorted({cell[2] for cell in profiles.cells})
    masks = {None: pair_masks(profiles.cells)} | {e: pair_masks(profiles.cells, e) for e in emotions}

    def differences(matrix: np.ndarray) -> np.ndarray:
        return np.array([_mean_of(matrix, m["models"]) - _mean_of(matrix, m["corpora"]) for m in masks.values()])

    whole = similarity_matrix(profiles, everyone, shared, seed)
    estimate = differences(whole)
    low = high = p = np.full(estimate.shape, np.nan)
    if min(profiles.speakers.values()) >= MIN_SPEAKERS:
        left_out = left_out_matrices(profiles, shared, seed)
        low, high, p = jackknife(estimate, {c: np.array([differences(m) for m in its]) for c, its in left_out.items()})
    return ProfileContrast(
        means={kind: _mean_of(whole, masks[None][kind]) for kind in KINDS if not (shared and kind == "split half")},
        difference=float(estimate[0]),
        low=float(low[0]),
        high=float(high[0]),
        p=float(p[0]),
        p_permutation=label_permutation(profiles.cells, whole, seed),
        by_emotion={e: (float(estimate[i]), float(low[i]), float(high[i])) for i, e in enumerate(emotions, 1)},
        n_clips=profiles.n_clips,
        n_explanations=profiles.n_explanations,
        n_corpora=len({cell[0] for cell in profiles.cells}),
        n_models=len({cell[1] for cell in profiles.cells}),
        speakers=profiles.speakers,
    )


def jackknife(
    estimate: np.ndarray, left_out: Mapping[str, np.ndarray], level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interval and p of estimates by the jackknife over speakers within corpora.

    The variance is the sum over corpora of (n - 1) / n times the squared deviations of the leave-one-out estimates; the
    degrees of freedom are Welch and Satterthwaite's. NaN where a corpus has fewer than 6 speakers.

    Parameters
    ----------
    estimate : array, shape (k,)
    left_out : mapping of str to array
        By corpus, the estimates without each speaker, shape (speakers, k).
    level : float

    Returns
    -------
    low, high, p : array, shape (k,)
    """
    sizes = [len(spread) for spread in left_out.values()]
    if min(sizes, default=0) < MIN_SPEAKERS:
        unknown = np.full(estimate.shape, np.nan)
        return unknown, unknown, unknown
    parts = [(len(x) - 1) / len(x) * np.sum((x - x.mean(axis=0)) ** 2, axis=0) for x in left_out.values()]
    variance = np.sum(parts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / np.sum([part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True)], axis=0)
        se = np.sqrt(variance)
        half = stats.t.ppf((1 + level) / 2, freedom) * se
        p = 2 * stats.t.sf(np.abs(estimate) / se, freedom)
    return estimate - half, estimate + half, p


def label_permutation(
    cells: Sequence[Cell], matrix: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> float:
    """One-sided p of models - corpora when labels (corpus, recogniser) are exchanged within emotions.

    Parameters
    ----------
    cells : sequence of (str, str, str)
    matrix : array, shape (cells, cells)
        Similarity of each pair.
    seed : int
    permutations : int

    Returns
    -------
    float
        (1 + permutations that reach the difference) / (1 + permutations); NaN where no pair differs in the corpus, or
        none in the recogniser.
    """
    masks = pair_masks(cells)
    if not (masks["models"].any() and masks["corpora"].any()):
        return np.nan
    observed = _mean_of(matrix, masks["models"]) - _mean_of(matrix, masks["corpora"])
    emotions = np.array([cell[2] for cell in cells], dtype=object)
    groups = [np.flatnonzero(emotions == e) for e in sorted(set(emotions))]
    draw, reached = rng("profile labels", seed), 0
    for _ in range(permutations):
        order = np.arange(len(cells))
        for group in groups:
            order[group] = draw.permutation(group)
        moved = matrix[np.ix_(order, order)]
        reached += _mean_of(moved, masks["models"]) - _mean_of(moved, masks["corpora"]) >= observed - 1e-12
    return (1 + reached) / (1 + permutations)
