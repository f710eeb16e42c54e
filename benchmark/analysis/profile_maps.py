"""Similarity of band profiles corpus by corpus, and recogniser by recogniser, for heat maps.

Means of the correlations of `corpus_axis` over all emotions and over what is held fixed: of two corpora over the kinds
of recogniser that explain both, of two recognisers over the corpora that both explain. A recogniser that was trained
on another corpus than the one it hears is another recogniser, named with its training corpus, and no part of the map of
corpora: profiles of one set of weights on two corpora would be alike for other reasons. Both profiles of a pair come
from disjoint halves of each corpus' speakers, so the diagonal is the split-half correlation, the most to expect.
Profiles of explanations against several fills are not compared.
Intervals are a jackknife over the speakers of the corpora that a cell is about; missing where one has fewer than 6.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from .band_table import AGAINST, crossed, kind_titles
from .corpus_axis import Profiles, left_out_matrices, profiles_of, similarity_matrix

AXES = ("corpora", "recognisers")
BANDS = ("8 bands", "without the lowest band")
CELLS = ["method", "axis", "one", "other", "bands", "correlation", "low", "high", "n_pairs", "n_clips"]
Mask = np.ndarray  # bool, shape (cells, cells): pairs of profiles whose mean a number is


def pairs_of(
    profiles: Profiles, crossed_titles: Collection[str] = (), against: Mapping[tuple[str, str], str] | None = None
) -> list[tuple[str, str, str, Mask, set[str]]]:
    """Axis, two names, pairs of profiles and corpora of each cell of the two heat maps.

    Parameters
    ----------
    profiles : Profiles
    crossed_titles : collection of str
        Recognisers that were trained on another corpus.
    against : mapping of (str, str) to str, optional
        What the explanations of each (corpus, recogniser) are relative to; default the same for all.
    """
    labels = np.array(profiles.cells, dtype=object).reshape(-1, 3)
    fills = np.array([(against or {}).get((corpus, title), "") for corpus, title, _ in profiles.cells], dtype=object)
    own = ~np.isin(labels[:, 1].astype(str), list(crossed_titles))
    found = []
    for axis, varied, fixed, counted in (("corpora", 0, 1, own), ("recognisers", 1, 0, np.ones_like(own))):
        names = list(dict.fromkeys(labels[counted, varied]))
        same = (labels[:, fixed][:, None] == labels[:, fixed]) & (labels[:, 2][:, None] == labels[:, 2])
        same &= counted[:, None] & counted & (fills[:, None] == fills)
        for i, one in enumerate(names):
            for other in names[i:]:
                mask = same & (labels[:, varied] == one)[:, None] & (labels[:, varied] == other)
                corpora = {str(labels[k, 0]) for pair in np.argwhere(mask) for k in pair}
                found.append((axis, str(one), str(other), mask, corpora))
    return found


def profile_map(table: pd.DataFrame, method: str, seed: int = 0) -> pd.DataFrame:
    """Correlations of both heat maps of a method, with all bands and without the lowest.

    Parameters
    ----------
    table : DataFrame
        Of `band_table`.
    method : str
    seed : int
        Of the halves of speakers.

    Returns
    -------
    DataFrame
        Columns `CELLS`; each pair of names once, and each name with itself. Empty where the method explained nothing.
        Recognisers are kinds, with the training corpus in brackets where that is another one than they hear.
    """
    table = table[table["method"] == method]
    titles = kind_titles(table)
    profiles, of_others = profiles_of(table.assign(model=titles), method), set(titles[crossed(table)])
    against = dict(zip(zip(table["corpus"], titles, strict=True), table[AGAINST], strict=True))
    rows = []
    for bands, chosen in zip(BANDS, (profiles, profiles.above_lowest()), strict=True):
        if not chosen.cells:
            break
        everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in chosen.speakers.items()}
        cells = pairs_of(chosen, of_others, against)
        masks = [mask for _, _, _, mask, _ in cells]
        whole = _means(similarity_matrix(chosen, everyone, shared=False, seed=seed), masks)
        left_out = {
            corpus: np.array([_means(matrix, masks) for matrix in matrices])
            for corpus, matrices in left_out_matrices(chosen, shared=False, seed=seed).items()
        }
        for k, (axis, one, other, mask, corpora) in enumerate(cells):
            half = _half_width([left_out[corpus][:, k] for corpus in sorted(corpora)])
            rows.append(
                (method, axis, one, other, bands, whole[k], whole[k] - half, whole[k] + half, int(mask.sum()),
                 profiles.n_clips)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=CELLS)


def _means(matrix: np.ndarray, masks: Sequence[Mask]) -> np.ndarray:
    """Mean of the known similarities of each choice of pairs, shape (masks,)."""
    known = np.isfinite(matrix)
    with np.errstate(invalid="ignore"):
        return np.array([matrix[m & known].sum() / np.float64((m & known).sum()) for m in masks])


def _half_width(left_out: Sequence[np.ndarray]) -> float:
    """Half the 95 % interval from the leave-one-speaker-out estimates of each corpus, Welch's degrees of freedom."""
    if not left_out or min(map(len, left_out)) < MIN_SPEAKERS:
        return float("nan")
    sizes = np.array([len(values) for values in left_out])
    parts = np.array([(n - 1) / n * np.sum((v - v.mean()) ** 2) for n, v in zip(sizes, left_out, strict=True)])
    variance = parts.sum()
    if not variance > 0:
        return float("nan")
    freedom = variance**2 / np.sum(parts**2 / (sizes - 1))
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
