"""What the explanations of a board are relative to, and which do not match the fill that they are scored with.

A score row names in ``explained_against`` what its explanation is relative to: a fill or another baseline of the
method's parameter, ``own`` for a baseline of the method itself, ``none`` where there is none, ``twin`` for references
made of a planted clip and its twin. It is a *mismatch* where the score removes parts by one fill and the explanation is
relative to another: the method is then judged by a question that it did not answer. Mismatches are shown and marked,
not tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from ..stats.clustered import CELL, Cell

AGAINST = "explained_against"
NO_FILL = ("", "own", "none")  # explanations that no fill can contradict; empty where the rows do not say
REFERENCE_COLUMNS = [AGAINST, "mismatch"]


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
        yield cell._replace(table=cell.table[kept]) if dropped else cell


def mismatch_note(against: str, fill: str) -> str:
    """Why a method is not tested."""
    return f"explained against {against}, scored with {fill}: not tested"
