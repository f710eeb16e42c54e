"""What the explanations of a board are relative to, and which do not match the fill that they are scored with.

A score row names in ``explained_against`` what its explanation is relative to: a fill or another baseline of the
method's parameter, ``own`` for a baseline of the method itself, ``none`` where there is none, ``twin`` for references
made of a planted clip and its twin. It is a *mismatch* where the score removes parts by one fill and the explanation is
relative to another: the method is then judged by a question that it did not answer. Mismatches are shown and marked,
not tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from ..stats.clustered import CELL, Cell
from ..stats.multiplicity import holm

AGAINST = "explained_against"
NO_FILL = ("", "own", "none")  # explanations that no fill can contradict; empty where the rows do not say
REFERENCE_COLUMNS = [AGAINST, "mismatch"]
_OF_TESTS = [
    "low", "high", "t", "df", "p", "p_holm", "effect_low", "effect_high", "rank_biserial_low", "rank_biserial_high",
    "p_permutation", "p_equivalent", "equivalent_low", "equivalent_high",
]  # fmt: skip


def mismatched(scores: pd.DataFrame) -> pd.Series:
    """Whether each score row removes parts by another fill than its explanation is relative to.

    Parameters
    ----------
    scores : DataFrame
        With ``fill`` and, where known, ``explained_against``.

    Returns
    -------
    Series of bool
        False where the metric removes nothing (empty ``fill``), or the rows do not say what they are relative to.
    """
    if AGAINST not in scores:
        return pd.Series(False, scores.index)
    against, fill = (scores[name].astype(object).fillna("") for name in (AGAINST, "fill"))
    return fill.ne("") & ~against.isin(NO_FILL) & against.ne(fill)


def references(scores: pd.DataFrame) -> pd.DataFrame:
    """Reference of each method in each cell.

    Parameters
    ----------
    scores : DataFrame
        Score rows.

    Returns
    -------
    DataFrame
        One row per cell (columns `stats.clustered.CELL`) and ``method``: ``explained_against``, several values joined
        by a space, and ``mismatch``: whether any row of the method there is one.
    """
    keys = [*CELL, "method"]
    told = scores[keys].assign(mismatch=mismatched(scores))
    told[AGAINST] = scores[AGAINST].astype(object).fillna("") if AGAINST in scores else ""
    found = told.drop_duplicates().groupby(keys, dropna=False, observed=True, sort=True)
    joined = {AGAINST: (AGAINST, lambda values: " ".join(sorted({v for v in values if v})))}
    return found.agg(**joined, mismatch=("mismatch", "any")).reset_index()


def matched_cells(cells: Iterable[Cell], table: pd.DataFrame) -> Iterator[Cell]:
    """The cells without the methods whose explanations do not match the fill: what is tested.

    Parameters
    ----------
    cells : iterable of Cell
    table : DataFrame
        As `references` returns it, of the same scores.
    """
    apart: dict[tuple[str, ...], set[str]] = {}
    for *names, method in table.loc[table["mismatch"], [*CELL, "method"]].itertuples(index=False, name=None):
        apart.setdefault(tuple(map(str, names)), set()).add(str(method))
    for cell in cells:
        dropped = apart.get(tuple(str(cell.names[name]) for name in CELL), set())
        kept = [name for name in cell.table if name not in dropped]
        yield cell.of(kept) if dropped else cell


def matched_pairs(pairs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Tests of pairs without those of mismatches, which keep their difference only; Holm over the others.

    Parameters
    ----------
    pairs : DataFrame
        As `stats.clustered.tests_of_pairs` returns it, with further columns.
    table : DataFrame
        As `references` returns it, of the same scores.
    """
    apart = {
        (*map(str, names), str(method)): str(against)
        for *names, method, against in table.loc[table["mismatch"], [*CELL, "method", AGAINST]].itertuples(index=False)
    }
    if not apart:
        return pairs
    pairs = pairs.copy()
    for at, pair in zip(pairs.index, pairs.to_dict("records"), strict=True):
        cell = tuple(str(pair[name]) for name in CELL)
        sides = [pair[side] for side in ("method_a", "method_b") if (*cell, pair[side]) in apart]
        if sides:
            notes = [f"{name} {mismatch_note(apart[*cell, name], str(pair['fill']))}" for name in sides]
            pairs.loc[at, [name for name in _OF_TESTS if name in pairs]] = np.nan
            pairs.loc[at, "note"] = "; ".join(filter(None, (pair["note"], *notes)))
    for _, rows in pairs.groupby(CELL, dropna=False):
        pairs.loc[rows.index, "p_holm"] = holm(rows["p"])
    return pairs


def mismatch_note(against: str, fill: str) -> str:
    """Why a method is not tested."""
    return f"explained against {against}, scored with {fill}: not tested"
