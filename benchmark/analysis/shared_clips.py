"""Clips on which the methods of several runs stand beside one another.

Runs of one cell may have planned different clips: a submission 64, what was there before 48. Then

- mean, interval and differences of a method are over the clips that its own runs planned, differences over those of
  them that the baseline has too. No other run changes them;
- ranks, letters and all tables of orders are over the *shared clips*, of the methods run on all of them. Among the sets
  of clips that a method was run on, the shared clips are the set with the largest product of its size and the number of
  methods run on all of it, baselines and references not counted: where most scores can be compared;
- a method that several runs have (`random` and `energy`, as a rule) is shown on the shared clips if it has them all;
  what others are compared with are all its scores;
- a method whose clips were picked, by name or by leaving out emotions, has neither rank, letter nor mark beside others
  whose were not: its differences are there, and whoever picks clips by their scores gains nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...methods.records import baselines
from .shown_names import plain_name

RUNS = "runs"  # column of merged scores: which runs planned the row, see `run_label`
_PICKED = "*"


class SharedClips(NamedTuple):
    """What the methods of a cell have in common.

    Attributes
    ----------
    planned : DataFrame of bool
        Whether a method's own runs planned each (clip, seed) of the cell's table; columns are methods.
    shared : array of bool
        Rows of the table that are of the shared clips.
    compared : Series of bool
        By method, whether it was run on all shared clips, and they were not picked.
    picked : Series of bool
        By method, whether its clips were picked where those of others were not.
    left_out : DataFrame of bool or None
        Scores that are not shown: of methods that several runs have, on other than the shared clips.
    notes : Series of str
        By method, what must be said about its clips.
    """

    planned: pd.DataFrame
    shared: np.ndarray
    compared: pd.Series
    picked: pd.Series
    left_out: pd.DataFrame | None
    notes: pd.Series

    @property
    def alike(self) -> bool:
        """Whether all methods have the same clips and may be ordered."""
        return bool(self.shared.all() and self.compared.all())

    def of(self, methods: Sequence[str]) -> SharedClips:
        """The same for some methods."""
        names = list(methods)
        left_out = None if self.left_out is None else self.left_out[names]
        return SharedClips(
            self.planned[names], self.shared, self.compared[names], self.picked[names], left_out, self.notes[names]
        )

    def only_shared(self) -> SharedClips:
        """The same for a table of the shared clips alone."""
        return self._replace(planned=self.planned[self.shared], shared=self.shared[self.shared], left_out=None)

    def planned_clips(self, table: pd.DataFrame) -> pd.DataFrame:
        """By clip and method, whether any seed of it was planned."""
        return self.planned.groupby(level="clip", observed=True).any() if len(table) else self.planned


def run_label(number: int, info: Mapping[str, Any], emotions: Collection[str]) -> str:
    """Name of a run in the column `RUNS`, marked where its clips were picked.

    Parameters
    ----------
    number : int
        Of the run, among those that are merged.
    info : mapping
        Its run.json.
    emotions : collection of str
        Those that a run explains unless it is told otherwise.
    """
    config = info.get("config", {})
    picked = bool(config.get("clips")) or not set(emotions) <= set(config.get("emotions", emotions))
    return f"{number}{_PICKED if picked else ''}"


def parts_of_runs(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Score rows that each run planned, by its label; all of them under an empty one where they are of one run."""
    if RUNS not in rows:
        return {"": rows}
    labels = rows[RUNS].astype(str)
    several = list(map(str, labels.unique()))
    names = sorted({name for label in several for name in label.split()})
    if len(names) < 2:
        return {"": rows}
    return {name: rows[labels.isin([label for label in several if name in label.split()])] for name in names}


def clips_of_runs(table: pd.DataFrame, defined: Mapping[str, pd.DataFrame]) -> SharedClips:
    """Clips that each method was run on, and those that the methods share.

    Parameters
    ----------
    table : DataFrame
        Scores of a cell: index levels ``clip`` and ``seed``, a column for each method.
    defined : mapping of str to DataFrame
        Rows of each run (as `parts_of_runs` names them) on the clips where the metric is defined.
    """
    names = list(table)
    no = pd.Series(False, names)
    if len(defined) == 1:
        planned = pd.DataFrame(True, table.index, names)
        return SharedClips(planned, np.ones(len(table), bool), ~no, no, None, pd.Series("", names, dtype=object))
    planned = pd.DataFrame(False, table.index, names)
    replicates = _replicates(table.index)
    runs_of: dict[str, list[str]] = {name: [] for name in names}
    for run, part in defined.items():
        here = replicates.isin(_replicates(pd.MultiIndex.from_frame(part[["clip", "seed"]])))
        for name in map(str, part["method"].unique()):
            planned.loc[here, name] = True
            runs_of[name].append(run)
    picked = pd.Series({name: all(run.endswith(_PICKED) for run in runs) for name, runs in runs_of.items()}, dtype=bool)
    picked = no if picked.all() else picked
    scored = table.notna().any() & ~picked
    shared = _shared(planned.loc[:, scored if scored.any() else ~picked])
    covers = planned[shared].all() & ~picked
    left_out = pd.DataFrame(False, table.index, names)
    for name in names:
        if covers[name] and len(runs_of[name]) > 1:
            left_out[name] = planned[name] & ~shared
    notes = pd.Series({name: _note(name, planned, shared, covers, picked, left_out) for name in names}, dtype=object)
    return SharedClips(planned, shared, covers, picked, left_out if left_out.any(axis=None) else None, notes)


def _replicates(index: pd.MultiIndex) -> pd.MultiIndex:
    """Clips as texts, with their seeds."""
    return pd.MultiIndex.from_arrays([index.get_level_values(0).astype(str), index.get_level_values(1)])


def _shared(planned: pd.DataFrame) -> np.ndarray:
    """The planned set with the largest product of size and methods that have it all; of equal ones the larger."""
    known = set(baselines())
    methods = planned[[name for name in planned if plain_name(str(name)) not in known]]
    methods = methods if methods.shape[1] else planned
    values = methods.to_numpy()
    sets = np.unique(values, axis=1).T if values.size else values.T
    weights = [(int(one.sum()) * int(values[one].all(axis=0).sum()), int(one.sum())) for one in sets]
    best: np.ndarray = (
        sets[max(range(len(sets)), key=weights.__getitem__)] if len(sets) else np.ones(len(planned), bool)
    )
    return best


def _note(
    name: str,
    planned: pd.DataFrame,
    shared: np.ndarray,
    covers: pd.Series,
    picked: pd.Series,
    left_out: pd.DataFrame,
) -> str:
    clips = planned.index.get_level_values("clip").astype(str)
    own, n_shared = set(clips[planned[name]]), clips[shared].nunique()
    if picked[name]:
        return f"its {len(own)} clips were picked by name or emotion: no rank, letter or mark"
    if not covers[name]:
        common = len(own & set(clips[shared]))
        return f"run on {len(own)} clips, {common} of the {n_shared} that methods share: no rank, no letter"
    if left_out[name].any():
        more = len(own) - n_shared
        return f"{more} more clips of other runs left out" if more else "more seeds of other runs left out"
    if len(own) > n_shared:
        return f"mean and tests on {len(own)} clips, rank and letter on the {n_shared} that methods share"
    return ""
