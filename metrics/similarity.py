"""Similarity of two explanations on one grid: correlation, overlap, transport, signs and profiles.

Conventions
-----------
Both maps have the shape (n_freq, n_time) of one grid, row 0 the lowest band. Every measure is symmetric, does not
change when a map is multiplied by a positive number, is 1 for equal maps, and is higher for more similar maps. What a
raw value means depends on the maps: smooth or coarse maps are alike by chance more often than fine ones. Therefore
similarities are read between a floor (maps of other clips) and a ceiling (a repeat with another seed), see
`benchmark.analysis.robustness`.

`MEASURES` holds the measures by name; each takes two maps and raises `NotApplicable` where it is undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.stats import rankdata

from ..errors import NotApplicable, UnknownNameError

TOP_SHARE = 0.1  # of the cells, for the overlap of the most relevant ones
PROFILE_BANDS = 8  # of EmoLIME
TIME_BINS = 10  # of relative time, for time profiles
DIRECTIONS = 16  # onto which the plane is projected for the transport distance
CHANCE_SD = 3.0  # unrelated maps of n cells correlate with standard deviation 1 / sqrt(n - 1)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, mean ranks for equal cells.

    Parameters
    ----------
    a, b : array, same shape

    Returns
    -------
    float
        -1..1.

    Raises
    ------
    NotApplicable
        If a map is constant (a map of one cell is).
    """
    x, y = (rankdata(m, axis=None) - (m.size + 1) / 2 for m in (a, b))
    scale = np.sqrt((x @ x) * (y @ y))
    if scale == 0:
        raise NotApplicable("rank correlation is undefined: a map is constant")
    return float(np.clip(x @ y / scale, -1, 1))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two maps, -1..1.

    Raises
    ------
    NotApplicable
        If a map is zero everywhere.
    """
    scale = np.sqrt(np.sum(a * a) * np.sum(b * b))
    if not scale > 0:
        raise NotApplicable("cosine is undefined: a map is zero everywhere")
    return float(np.clip(np.sum(a * b) / scale, -1, 1))


def top_overlap(a: np.ndarray, b: np.ndarray, share: float = TOP_SHARE) -> float:
    """Intersection over union of the most relevant cells of two maps, 0..1.

    Cells that tie for the last places hold an equal part of them each, so that the order in which ties are listed does
    not matter; intersection and union are then sums of the smaller and of the larger part.

    Parameters
    ----------
    a, b : array, same shape
    share : float
        Share of the cells, rounded up to a whole number.

    Raises
    ------
    NotApplicable
        If a map is constant.
    """
    parts = [_membership(m.ravel(), int(np.ceil(share * m.size))) for m in (a, b)]
    return float(np.minimum(*parts).sum() / np.maximum(*parts).sum())


def _membership(values: np.ndarray, count: int) -> np.ndarray:
    """Part of each cell in the `count` largest."""
    if np.ptp(values) == 0:
        raise NotApplicable("the most relevant cells are undefined: a map is constant")
    last = np.partition(values, -count)[-count]
    above, tied = values > last, values == last
    return above + tied * ((count - above.sum()) / tied.sum())


def sign_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Agreement of signs, weighted by the smaller relevance of each cell, -1..1.

    With maps scaled to a sum of absolute values of 1: the sum of ``sign(a) sign(b) min(|a|, |b|)`` over the sum of
    ``min(|a|, |b|)``. 1: wherever both hold relevance, it has one sign.

    Raises
    ------
    NotApplicable
        If neither map has both signs, or no cell holds relevance in both.
    """
    if all(m.min() >= 0 or m.max() <= 0 for m in (a, b)):
        raise NotApplicable("sign agreement says nothing: both maps have one sign")
    smaller = np.minimum(*(np.abs(m) / np.abs(m).sum() for m in (a, b)))
    if not smaller.sum() > 0:
        raise NotApplicable("sign agreement is undefined: no cell holds relevance in both maps")
    return float(np.sum(np.sign(a) * np.sign(b) * smaller) / smaller.sum())


def transport_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """One less the sliced Wasserstein distance of the positive relevance, 0..1.

    The plane is the unit square: frequency in rows of the grid and relative time. Positive relevance, scaled to a sum
    of 1, is projected onto 16 directions; the earth mover's distance along each is the area between the two cumulative
    distributions, and their mean is divided by the extent of the square along them (Rabin, Peyre, Delon, Bernot 2011,
    "Wasserstein barycenter and its application to texture mixing").

    Raises
    ------
    NotApplicable
        If a map has no positive relevance.
    """
    masses = [np.clip(m, 0, None) for m in (a, b)]
    if not all(m.sum() > 0 for m in masses):
        raise NotApplicable("transport is undefined: a map has no positive relevance")
    x, y = ((np.arange(n) + 0.5) / n for n in a.shape)
    moved = (masses[0] / masses[0].sum() - masses[1] / masses[1].sum()).ravel()
    angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    distances = []
    for angle in angles:
        place = (np.cos(angle) * x[:, None] + np.sin(angle) * y[None, :]).ravel()
        order = np.argsort(place, kind="stable")
        distances.append(np.sum(np.abs(np.cumsum(moved[order])[:-1]) * np.diff(place[order])))
    largest = np.mean(np.abs(np.cos(angles)) + np.abs(np.sin(angles)))  # extent of the unit square
    return float(np.clip(1 - np.mean(distances) / largest, 0, 1))


def band_profile(values: np.ndarray, bands: int = PROFILE_BANDS) -> np.ndarray:
    """Relevance of each frequency band, summed over time, shape (bands,).

    Raises
    ------
    NotApplicable
        If the grid's rows cannot be grouped into so many bands.
    """
    if values.shape[0] % bands:
        raise NotApplicable(f"{values.shape[0]} rows cannot be grouped into {bands} bands")
    found: np.ndarray = values.sum(axis=1).reshape(bands, -1).sum(axis=1)
    return found


def stretched(values: np.ndarray, columns: int) -> np.ndarray:
    """Move a map onto so many columns of equal duration, preserving the sum of each row, shape (n_freq, columns)."""
    have = values.shape[1]
    running = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.linspace(0, have, columns + 1)
    left = np.minimum(at.astype(int), have - 1)
    moved: np.ndarray = np.diff(running[:, left] + (at - left) * values[:, left], axis=1)
    return moved


def time_profile(values: np.ndarray, bins: int = TIME_BINS) -> np.ndarray:
    """Relevance of each tenth of the clip, summed over frequency, shape (bins,)."""
    return stretched(values.sum(axis=0, keepdims=True), bins)[0]


def profile_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two profiles, -1..1.

    Raises
    ------
    NotApplicable
        If a profile is constant.
    """
    x, y = (m - m.mean() for m in (np.ravel(a), np.ravel(b)))
    scale = np.sqrt((x @ x) * (y @ y))
    if not scale > 1e-12 * max(np.abs(a).max(), np.abs(b).max(), 1e-300) ** 2:
        raise NotApplicable("correlation is undefined: a profile is constant")
    return float(np.clip(x @ y / scale, -1, 1))


def _bands(a: np.ndarray, b: np.ndarray) -> float:
    return profile_correlation(band_profile(a), band_profile(b))


def _bands_above_lowest(a: np.ndarray, b: np.ndarray) -> float:
    return profile_correlation(band_profile(a)[1:], band_profile(b)[1:])


def _time(a: np.ndarray, b: np.ndarray) -> float:
    return profile_correlation(time_profile(a), time_profile(b))


Measure = Callable[[np.ndarray, np.ndarray], float]
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "spearman": rank_correlation,
        "cosine": cosine,
        "top-overlap": top_overlap,
        "transport": transport_similarity,
        "signs": sign_agreement,
        "bands": _bands,
        "bands-above-lowest": _bands_above_lowest,
        "time": _time,
    }
)


def measure(name: str) -> Measure:
    """Measure by name.

    Raises
    ------
    UnknownNameError
        For a name that is not in `MEASURES`.
    """
    if name not in MEASURES:
        raise UnknownNameError("measure of similarity", name, list(MEASURES))
    return MEASURES[name]
