"""Additivity, pairwise interactions and label curves of a full mask table; no model call is needed.

Conventions
-----------
A *table* holds the log-odds of the explained class for every mask of p parts once, in the order of `masks.all_masks`:
row r keeps part i if bit i of r is set (`Attribution.table`). Variance is taken over all masks with equal weights; its
decomposition is that of Walsh and of the functional analysis of variance (Hoeffding 1948, Annals of Mathematical
Statistics 19(3)).

Share kept and delta-AUC follow the papers: EmoLIME (Hjuler, Clemmensen & Das 2025) as its code does it, the summary
from CoughLIME (Wullenweber, Akman & Schuller 2022).
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import expit

from ..errors import InputError
from .masks import all_masks
from .surrogates import banzhaf_values, shapley_values

RESPONSES = ("log-odds", "probability")
INDICES = ("shapley", "banzhaf")


def number_of_parts(table: np.ndarray) -> int:
    """Number of parts of a table.

    Raises
    ------
    InputError
        If its length is not a power of two, or it has fewer than two parts.
    """
    parts = len(table).bit_length() - 1
    if parts < 1 or len(table) != 1 << parts:
        raise InputError(f"a full table holds 2 ** parts responses, got {len(table)}; score every mask once.")
    return parts


def as_response(table: np.ndarray, response: str = "log-odds") -> np.ndarray:
    """Responses of a table as log-odds, or as one-vs-rest probabilities, float64.

    Raises
    ------
    InputError
        For another response.
    """
    if response not in RESPONSES:
        raise InputError(f"response {response!r} is not known; take {' or '.join(RESPONSES)}.")
    values = np.asarray(table, dtype=np.float64)
    return values if response == "log-odds" else np.asarray(expit(values))


def walsh_coefficients(values: np.ndarray) -> np.ndarray:
    """Walsh coefficients: element S is the mean of the response times the product over the parts i in S of +1 or -1.

    Parameters
    ----------
    values : array, shape (2 ** parts,)

    Returns
    -------
    array, float64, shape (2 ** parts,)
        Bit i of an element's number says whether part i is in S. Element 0 is the mean; the squares of the others sum
        to the variance.
    """
    found = np.asarray(values, dtype=np.float64).copy()
    for part in range(number_of_parts(found)):
        pairs = found.reshape(-1, 2, 1 << part)
        found = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 1] - pairs[:, 0]], axis=1).ravel() / 2
    return found


def variance_shares(table: np.ndarray, response: str = "log-odds") -> tuple[float, float]:
    """Shares of a table's variance that weights of single parts explain, and that these with all pairs explain.

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    response : {'log-odds', 'probability'}

    Returns
    -------
    additive, with_pairs : float
        0..1; NaN for a constant table.
    """
    squares = np.square(walsh_coefficients(as_response(table, response)))
    order = all_masks(number_of_parts(table)).sum(axis=1, dtype=np.int64)
    total = squares[1:].sum()
    if not total > 1e-12:
        return float("nan"), float("nan")
    return float(squares[order == 1].sum() / total), float(squares[(order == 1) | (order == 2)].sum() / total)


def banzhaf_interactions(table: np.ndarray, response: str = "log-odds") -> np.ndarray:
    """Banzhaf interaction index of each pair: what two parts add together beyond what each adds alone.

    The mean of the second difference over all masks of the other parts, four times the pair's Walsh coefficient
    (Grabisch & Roubens 1999, International Journal of Game Theory 28).

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    response : {'log-odds', 'probability'}

    Returns
    -------
    array, float64, shape (parts, parts)
        Symmetric; the diagonal is 0. Positive: the parts need each other; negative: they stand in for each other.
    """
    parts = number_of_parts(table)
    coefficients = walsh_coefficients(as_response(table, response))
    found = np.zeros((parts, parts))
    for i in range(parts):
        for j in range(i):
            found[i, j] = found[j, i] = 4 * coefficients[1 << i | 1 << j]
    return found


def shapley_interactions(table: np.ndarray, response: str = "log-odds") -> np.ndarray:
    """Shapley interaction index of each pair: the second difference, weighted as the Shapley value weights orders.

    A mask that keeps s of the other ``parts - 2`` parts has weight ``1 / ((parts - 1) comb(parts - 2, s))``, so that
    each s counts alike (Grabisch & Roubens 1999).

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    response : {'log-odds', 'probability'}

    Returns
    -------
    array, float64, shape (parts, parts)
        Symmetric; the diagonal is 0. Sign as of `banzhaf_interactions`.
    """
    parts, values = number_of_parts(table), as_response(table, response)
    masks = all_masks(parts)
    size = masks.sum(axis=1, dtype=np.int64)
    weights = np.array([1 / ((parts - 1) * comb(parts - 2, s)) for s in range(parts - 1)])
    found = np.zeros((parts, parts))
    for i, j in combinations(range(parts), 2):
        rows = np.flatnonzero((masks[:, i] == 0) & (masks[:, j] == 0))
        a, b = 1 << i, 1 << j
        second = values[rows | a | b] - values[rows | a] - values[rows | b] + values[rows]
        found[i, j] = found[j, i] = weights[size[rows]] @ second
    return found


def second_order_effects(table: np.ndarray, index: str = "shapley", response: str = "log-odds") -> np.ndarray:
    """Main effects and pairwise interactions, as a matrix whose halved off-diagonal entries add up to part values.

    Off the diagonal stands the interaction index of two parts; on it the *main effect* of a part, its value less half
    of its interactions. A main effect plus half of the part's interactions is therefore its Shapley value (index
    ``shapley``: order 2 of the k-Shapley interaction values, Lundberg et al. 2020, Nature Machine Intelligence 2; Bordt
    & von Luxburg 2023, AISTATS) or its Banzhaf value (index ``banzhaf``: the coefficients of the best least-squares
    approximation by single parts and pairs, Hammer & Holzman 1992, ZOR 36).

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    index : {'shapley', 'banzhaf'}
    response : {'log-odds', 'probability'}

    Returns
    -------
    array, float64, shape (parts, parts)
        Symmetric.

    Raises
    ------
    InputError
        For another index.
    """
    if index not in INDICES:
        raise InputError(f"interaction index {index!r} is not known; take {' or '.join(INDICES)}.")
    shapley = index == "shapley"
    found = (shapley_interactions if shapley else banzhaf_interactions)(table, response)
    values = (shapley_values if shapley else banzhaf_values)(as_response(table, response))
    found[np.diag_indices_from(found)] = values - found.sum(axis=1) / 2
    return found


def share_kept(table: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the label is kept while parts are removed: most relevant first, and at random.

    As the EmoLIME authors' code does it: parts are ordered by the absolute value of their weights, and the label is
    kept where the one-vs-rest probability stays on its side of one half. Their code draws one random set of each size;
    here it is the mean over all sets.

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    weights : array, shape (parts,)

    Returns
    -------
    removed_first : array of bool, shape (parts + 1,)
        With 0, 1, ... parts removed.
    at_random : array, float64, shape (parts + 1,)
        Share of the sets of as many parts whose removal keeps the label.
    """
    parts = number_of_parts(table)
    positive = np.asarray(table) > 0
    kept = positive == positive[-1]
    order = np.argsort(-np.abs(np.asarray(weights, dtype=np.float64)), kind="stable")
    rows = np.cumsum(np.concatenate([[0], 1 << order]))
    removed = parts - all_masks(parts).sum(axis=1, dtype=np.int64)
    at_random = np.bincount(removed, weights=kept) / np.bincount(removed)
    return kept[(1 << parts) - 1 - rows], at_random


def log_odds_left(table: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds while parts are removed: those that speak most for the class first, and at random.

    Unlike `share_kept`, the order heeds the sign of the weights and no threshold decides: as the deletion curve of
    `metrics.faithfulness`, over parts.

    Parameters
    ----------
    table : array, shape (2 ** parts,)
    weights : array, shape (parts,)

    Returns
    -------
    removed_first : array, float64, shape (parts + 1,)
        With 0, 1, ... parts removed.
    at_random : array, float64, shape (parts + 1,)
        Mean over the sets of as many parts.
    """
    parts, values = number_of_parts(table), as_response(table)
    order = np.argsort(-np.asarray(weights, dtype=np.float64), kind="stable")
    rows = np.cumsum(np.concatenate([[0], 1 << order]))
    removed = parts - all_masks(parts).sum(axis=1, dtype=np.int64)
    return values[(1 << parts) - 1 - rows], np.bincount(removed, weights=values) / np.bincount(removed)


def delta_auc(table: np.ndarray, weights: np.ndarray) -> float:
    """Area under the share kept at random less that of the most relevant first, by trapezoids over the removed share.

    Higher is better; 0 for weights as good as chance. CoughLIME's summary, with `share_kept`.
    """
    first, at_random = share_kept(table, weights)
    return float(np.trapezoid(at_random - first, dx=1 / (len(first) - 1)))
