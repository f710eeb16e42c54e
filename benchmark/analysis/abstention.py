"""Missing scores: a method that applies and gives none gets the worst score there, so that abstaining never pays.

Conventions
-----------
A metric is *defined* for a clip where any method or baseline has a score; elsewhere it is undefined for all. A method
*applies* in a cell where it has a score: one that was skipped on every clip for one reason (no gradients, no alignment)
does not apply and is listed without a mean. Where it applies and the metric is defined, each missing score (failed,
skipped, or never planned) is a *miss* and counts as the worst score of the metric's record or, where that is unbounded,
as the worst that any method or baseline got on the clip. A skip because explaining again would exceed the budget of
model calls is no miss, and stays missing. So do missing scores of baselines and references: an oracle has no truth on
neutral clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...methods.records import baselines
from ...metrics.record import OVER_BUDGET
from ...metrics.records import METRICS
from ..stats.clustered import Cell, per_clip

NOT_RUN = "not run on this clip"


class CompletedCell(NamedTuple):
    """A cell in which misses count as the worst score.

    Attributes
    ----------
    cell : Cell
        `rows` with a row for each clip that a method was not run on; `table` with the worst score for misses, NaN only
        where a missing score is none.
    misses : Series of int
        By method, clips with at least one miss.
    complete : Series of bool
        By method, whether each clip of the table has a score of its own.
    notes : Series of str
        By method, why it has no mean, letter or mark.
    """

    cell: Cell
    misses: pd.Series
    complete: pd.Series
    notes: pd.Series

    def of(self, methods: Sequence[str]) -> CompletedCell:
        """The same for some methods, in their order; those that were not run are left out."""
        names = [name for name in methods if name in self.cell.table]
        cell = self.cell._replace(table=self.cell.table[names])
        return CompletedCell(cell, self.misses[names], self.complete[names], self.notes[names])


def completed(cells: Iterable[Cell]) -> Iterator[CompletedCell]:
    """Fill in the misses of each cell."""
    exempt = set(baselines())
    for cell in cells:
        yield _completed(cell, exempt)


def _completed(cell: Cell, exempt: set[str]) -> CompletedCell:
    rows, table = _with_rows_not_run(cell), cell.table
    scored = table.notna().any()
    known = rows["clip"].isin(table.index.get_level_values("clip").unique())
    budget = rows["reason"].astype(str).str.startswith(OVER_BUDGET) if "reason" in rows else False
    counts = (
        (rows["status"] != "ok") & known & ~budget & rows["method"].isin(scored.index[scored].difference(list(exempt)))
    )
    lost = rows[counts]
    if len(lost):
        lost = lost.assign(value=_worst(rows, cell.names).reindex(lost["clip"].astype(str)).to_numpy())
        filled = pd.concat([rows.loc[rows["status"] == "ok", _COLUMNS], lost[_COLUMNS]])
        filled = filled.astype({"clip": str, "method": str})
        table = filled.pivot_table(index=["clip", "seed"], columns="method", values="value", aggfunc="mean")
        table = table.reindex(columns=cell.table.columns)
    misses = lost.groupby(lost["method"].astype(str))["clip"].nunique().reindex(table.columns, fill_value=0)
    of_clip = table.groupby(level="clip").count() > 0 if len(table) else table.notna()
    whole = of_clip.all() & scored
    return CompletedCell(
        cell._replace(rows=rows, table=table), misses, whole & (misses == 0), _notes(rows, scored, whole, misses)
    )


_COLUMNS = ["clip", "seed", "method", "value"]


def _with_rows_not_run(cell: Cell) -> pd.DataFrame:
    """Rows of a cell and one skipped row for each method and clip that has none."""
    rows = cell.rows
    there = pd.crosstab(rows["clip"].astype(str), rows["method"].astype(str))
    absent = there.stack()
    absent = absent[absent == 0]
    if absent.empty:
        return rows
    clips, methods = (absent.index.get_level_values(level) for level in (0, 1))
    template = rows.drop_duplicates("clip").assign(clip=lambda part: part["clip"].astype(str)).set_index("clip")
    added = template.loc[clips].reset_index().assign(method=methods, status="skipped", reason=NOT_RUN, value=np.nan)
    added["model_calls"], added["repeat"] = 0, 0
    words = [name for name in rows if isinstance(rows[name].dtype, pd.CategoricalDtype)]
    plain = pd.concat([rows.astype(dict.fromkeys(words, object)), added.astype(dict.fromkeys(words, object))])
    return plain.astype(dict.fromkeys(words, "category")).reset_index(drop=True)


def _worst(rows: pd.DataFrame, names: dict[str, str]) -> pd.Series:
    """The worst score of each clip: the record's bound, else the worst that any method got."""
    ok = rows[rows["status"] == "ok"]
    by_clip = ok.groupby(ok["clip"].astype(str))["value"]
    got = by_clip.max() if names["direction"] == "lower" else by_clip.min()
    metric = names["metric"]
    bound = METRICS.get(metric).worst if metric in METRICS else None
    return got if bound is None else pd.Series(bound, got.index)


def _notes(rows: pd.DataFrame, scored: pd.Series, whole: pd.Series, misses: pd.Series) -> pd.Series:
    notes = {}
    for method in scored.index:
        if not scored[method]:
            of_method = rows[rows["method"] == method]
            reasons = of_method["reason"].astype(str).unique() if "reason" in rows else []
            constant = len(reasons) == 1 and (of_method["status"] == "skipped").all()
            notes[method] = f"does not apply: {reasons[0]}" if constant else "no score"
        elif misses[method]:
            notes[method] = f"{misses[method]} clips without a score count as the worst: no letter, no mark"
        else:
            notes[method] = "" if whole[method] else "not scored on all clips: no letter, no mark"
    return pd.Series(notes, dtype=object)


def ranks(found: CompletedCell) -> pd.Series:
    """Rank of each method, 1 the best, that never contradicts the sign of a paired difference.

    Methods with a score on every clip (misses count as the worst) are ranked by their mean. One that lacks some (a
    reference without truth there, a skip by budget) is ranked among them where, on the clips that it has, it is behind
    the first of them and ahead of all others; else it has no rank.

    Returns
    -------
    Series of Int64
        By method; missing without a rank.
    """
    values, _ = per_clip(found.cell.table.to_numpy(), found.cell.table.index, found.cell.speakers)
    values = -values if found.cell.names["direction"] == "lower" else values
    names = list(found.cell.table.columns)
    finite = np.isfinite(values)
    full = [i for i in range(len(names)) if finite[:, i].all() and len(values)]
    placed = sorted(full, key=lambda i: -values[:, i].mean())
    ahead = {i: sum(values[:, k].mean() > values[:, i].mean() for k in full) for i in full}
    for j in (i for i in range(len(names)) if i not in full and finite[:, i].any()):
        with np.errstate(invalid="ignore"):
            signs = [_sign(values[:, j] - values[:, i]) for i in placed]
        if any(np.isnan(signs)) or signs != sorted(signs):
            continue
        for i, sign in zip(placed, signs, strict=True):
            ahead[i] += sign > 0
        ahead[j] = signs.count(-1.0)
        placed.insert(ahead[j], j)
    return pd.Series([ahead.get(i, pd.NA) for i in range(len(names))], names, dtype="Int64") + 1


def _sign(differences: np.ndarray) -> float:
    known = differences[np.isfinite(differences)]
    return float(np.sign(known.mean())) if known.size else np.nan
