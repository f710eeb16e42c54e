"""Missing scores: a method that applies and gives none gets the worst score there, so that abstaining never pays.

Conventions
-----------
Only clips that a method's own runs planned can be missing. A run plans each of its methods on each of its clips; a clip
of another run only (column ``runs`` of merged scores, see `merge`) is no miss, and adding a run changes no number of
methods that it does not have.

A metric is *defined* for a clip where any method or baseline of the run has a score; elsewhere it is undefined for all.
A method *applies* in a cell where it has a score: one that was skipped on every clip for one reason (no gradients, no
alignment) does not apply and is listed without a mean. Where it applies and the metric is defined, each missing score
(failed, skipped, or planned and not there) is a *miss* and counts as the worst score of the metric's record or, where
that is unbounded, as the worst that any method or baseline of the run got on the clip. A run without a score of a
baseline cannot say where a metric is defined: for it all runs say so. A skip because explaining again would exceed the
budget of model calls is no miss, and stays missing. So do missing scores of baselines and references: an oracle has no
truth on neutral clips.

Where runs of one cell have different clips, methods stand beside one another on the *shared clips* (`shared_clips`).
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
from .shared_clips import SharedClips, clips_of_runs, parts_of_runs

NOT_RUN = "not run on this clip"


class CompletedCell(NamedTuple):
    """A cell in which misses count as the worst score.

    Attributes
    ----------
    cell : Cell
        `rows` with a row for each clip that a run planned a method on and did not run it; `table` with the worst score
        for misses, NaN only where a missing score is none.
    misses : Series of int
        By method, clips with at least one miss.
    complete : Series of bool
        By method, whether each clip that its runs planned has a score of its own.
    notes : Series of str
        By method, why it has no mean, letter or mark.
    clips : SharedClips
        Which clips the methods have in common.
    """

    cell: Cell
    misses: pd.Series
    complete: pd.Series
    notes: pd.Series
    clips: SharedClips

    def of(self, methods: Sequence[str]) -> CompletedCell:
        """The same for some methods, in their order; those that were not run are left out."""
        names = [name for name in methods if name in self.cell.table]
        return CompletedCell(
            self.cell.of(names), self.misses[names], self.complete[names], self.notes[names], self.clips.of(names)
        )

    def shared(self) -> CompletedCell:
        """The same for the methods that were run on all shared clips, on these clips alone: what may be ordered."""
        if self.clips.alike:
            return self
        found = self.of([name for name in self.cell.table if self.clips.compared[name]])
        table = found.cell.table[found.clips.shared]
        rows = found.cell.rows
        kept = rows["clip"].astype(str).isin(table.index.get_level_values("clip").astype(str))
        cell = found.cell._replace(rows=rows[kept], table=table, left_out=None)
        return found._replace(cell=cell, clips=found.clips.only_shared())


def completed(cells: Iterable[Cell]) -> Iterator[CompletedCell]:
    """Fill in the misses of each cell."""
    exempt = set(baselines())
    for cell in cells:
        yield _completed(cell, exempt)


def _completed(cell: Cell, exempt: set[str]) -> CompletedCell:
    scored = cell.table.notna().any()
    applies = scored.index[scored].difference(list(exempt))
    parts = parts_of_runs(cell.rows)
    missing, lost, defined = [], [], {}
    for run, own in parts.items():
        added = _rows_not_run(own, cell.rows)
        part = own if added is None else _joined(own, added)
        missing += [] if added is None else [added]
        ok = part[part["status"] == "ok"]
        says = ok if len(parts) == 1 or ok["method"].isin(exempt).any() else cell.rows[cell.rows["status"] == "ok"]
        known = part["clip"].astype(str).isin(set(says["clip"].astype(str)))
        defined[run] = part[known]
        budget = part["reason"].astype(str).str.startswith(OVER_BUDGET) if "reason" in part else False
        of_run = part[(part["status"] != "ok") & known & ~budget & part["method"].isin(applies)]
        if len(of_run):
            lost.append(of_run.assign(value=_worst(says, cell.names).reindex(of_run["clip"].astype(str)).to_numpy()))
    rows = _joined(cell.rows, *missing).reset_index(drop=True) if missing else cell.rows
    table, of_method = cell.table, pd.Series(dtype=int)
    if lost:
        losses = _worst_first(lost, cell.names)
        filled = pd.concat([rows.loc[rows["status"] == "ok", _COLUMNS], losses[_COLUMNS]])
        filled = filled.astype({"clip": str, "method": str})
        table = filled.pivot_table(index=["clip", "seed"], columns="method", values="value", aggfunc="mean")
        table = table.reindex(columns=cell.table.columns)
        of_method = losses.groupby(losses["method"].astype(str))["clip"].nunique()
    misses = of_method.reindex(table.columns, fill_value=0)
    clips = clips_of_runs(table, defined)
    there = table.notna().groupby(level="clip", observed=True).any() if len(table) else table.notna()
    whole = (there | ~clips.planned_clips(table)).all() & scored
    notes = _notes(rows, scored, whole, misses)
    notes = pd.Series(
        [_both(notes[name], clips.notes.get(name, "")) for name in notes.index], notes.index, dtype=object
    )
    cell = cell._replace(rows=rows, table=table, left_out=clips.left_out)
    return CompletedCell(cell, misses, whole & (misses == 0), notes, clips)


_COLUMNS = ["clip", "seed", "method", "value"]


def _both(*texts: str) -> str:
    return "; ".join(filter(None, texts))


def _worst_first(lost: Sequence[pd.DataFrame], names: dict[str, str]) -> pd.DataFrame:
    """Misses of all runs, each once: of two runs that miss the same score the worse value."""
    if len(lost) == 1:
        return lost[0]
    losses = _joined(*lost).sort_values("value", ascending=names["direction"] != "lower", kind="stable")
    same = [name for name in ("clip", "seed", "method", "repeat") if name in losses]
    return losses.drop_duplicates(same).sort_index(kind="stable")


def _rows_not_run(part: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame | None:
    """A skipped row for each method and clip of a run that no run has a row of; None without such."""
    there = pd.crosstab(part["clip"].astype(str), part["method"].astype(str))
    absent = there.stack()
    absent = absent[absent == 0]
    if len(part) < len(rows) and len(absent):
        anywhere = pd.MultiIndex.from_arrays([rows["clip"].astype(str), rows["method"].astype(str)])
        absent = absent[~absent.index.isin(anywhere)]
    if absent.empty:
        return None
    clips, methods = (absent.index.get_level_values(level) for level in (0, 1))
    template = part.drop_duplicates("clip").assign(clip=lambda own: own["clip"].astype(str)).set_index("clip")
    added = template.loc[clips].reset_index().assign(method=methods, status="skipped", reason=NOT_RUN, value=np.nan)
    added["model_calls"], added["repeat"] = 0, 0
    return added


def _joined(*frames: pd.DataFrame) -> pd.DataFrame:
    """Rows one below the other, words as categories."""
    words = {name for frame in frames for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    plain = [frame.astype({name: object for name in words if name in frame}) for frame in frames]
    return pd.concat(plain, ignore_index=True).astype(dict.fromkeys(words, "category"))


def _worst(ok: pd.DataFrame, names: dict[str, str]) -> pd.Series:
    """The worst score of each clip: the record's bound, else the worst that any method got."""
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
    """Rank of each method on the shared clips, 1 the best, that never contradicts a paired difference there.

    Methods with a score on every clip (misses count as the worst) are ranked by their mean. One that lacks some (a
    reference without truth there, a skip by budget) is ranked among them where, on the clips that it has, it is behind
    the first of them and ahead of all others; else it has no rank.

    Returns
    -------
    Series of Int64
        By method; missing without a rank, as for methods that were not run on all shared clips.
    """
    every, found = list(found.cell.table), found.shared()
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
    return pd.Series([ahead.get(i, pd.NA) for i in range(len(names))], names, dtype="Int64").reindex(every) + 1


def _sign(differences: np.ndarray) -> float:
    known = differences[np.isfinite(differences)]
    return float(np.sign(known.mean())) if known.size else np.nan
