"""What replaces a removed cell is part of a score: how far does a mean move from one fill to the next?

One fill is not evidence. Where a run has several, each (method, metric) has a mean under each of them, and its *spread*
is the range of these means. Only clips that were scored under all fills enter: fill ``twin`` skips the neutral clips of
the planted corpus, and a range over other clips would not be the fill's alone.

Emotions are told apart as well. Sadness is planted by removing energy, so under ``attenuate`` no removal can undo it:
a mean over emotions would hide that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..stats.clustered import CELL, cluster_fit, compact, per_clip

GROUP = [name for name in CELL if name != "fill"]
ALL = "all"  # in column ``emotion``
COLUMNS = [
    *GROUP, "method", "emotion", "fill", "mean", "low", "high", "n_clips", "n_planned", "coverage", "n_speakers",
]  # fmt: skip
SPREAD = ["n_fills", "fill_low", "fill_high", "fill_clips", "fill_planned"]


def by_fill(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean of each method under each fill, over the clips that it has a score for under all of them.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per (setting, condition, metric, method, emotion, fill) where more than one fill has
        scores; ``emotion`` is `ALL`, then each emotion of the clips. ``low`` and ``high`` bound the mean with 95 %
        (speakers as clusters; missing below 6). ``n_clips`` entered of ``n_planned``.
    """
    filled = compact(scores).assign(emotion=scores["emotion"].astype(str).to_numpy())
    filled = filled[filled["fill"] != ""]
    frames = []
    for names, group in filled.groupby(GROUP, dropna=False, sort=True, observed=True):
        known = dict(zip(GROUP, names, strict=True))
        frames += [frame.assign(**known) for frame in _of_group(group)]
    return pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)


def _of_group(group: pd.DataFrame) -> Iterator[pd.DataFrame]:
    ok = group[group["status"] == "ok"]
    fills = sorted(map(str, ok["fill"].unique()))
    if len(fills) < 2:
        return
    table = ok.pivot_table(index=["clip", "seed"], columns=["method", "fill"], values="value", observed=True)
    clips = group.drop_duplicates("clip").set_index("clip")
    emotions = clips["emotion"].reindex(table.index.get_level_values("clip")).to_numpy()
    methods = sorted(map(str, group["method"].unique()))
    table = table.reindex(columns=pd.MultiIndex.from_product([methods, fills]))
    values = table.to_numpy().reshape(len(table), len(methods), len(fills))
    shared = np.where(np.isfinite(values).all(axis=2, keepdims=True), values, np.nan).reshape(len(table), -1)
    planned = group.drop_duplicates(["method", "clip"]).groupby(["method", "emotion"], observed=True).size()
    for emotion in (ALL, *sorted(clips["emotion"].unique())):
        chosen = slice(None) if emotion == ALL else emotions == emotion
        fit = cluster_fit(*per_clip(shared[chosen], table.index[chosen], clips["speaker"]))
        low, high = fit.mean - fit.half, fit.mean + fit.half
        frame = table.columns.to_frame(index=False, name=["method", "fill"])
        frame = frame.assign(emotion=emotion, mean=fit.mean, low=low, high=high, n_clips=fit.n)
        of_method = planned.groupby("method", observed=True).sum() if emotion == ALL else planned.xs(emotion, level=1)
        frame["n_planned"] = of_method.reindex(frame["method"], fill_value=0).to_numpy()
        frame["coverage"] = frame["n_clips"] / frame["n_planned"]
        yield frame.assign(n_speakers=fit.clusters)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """The range of the means over fills.

    Parameters
    ----------
    table : DataFrame
        As `by_fill` returns it.

    Returns
    -------
    DataFrame
        One row per (setting, condition, metric, method, emotion): ``n_fills``, ``fill_low`` and ``fill_high`` (the
        least and the largest mean, missing where no clip has a score under all fills), ``fill_clips`` that entered, of
        ``fill_planned``.
    """
    found = table.groupby([*GROUP, "method", "emotion"], dropna=False, sort=False)
    return found.agg(
        n_fills=("fill", "size"), fill_low=("mean", "min"), fill_high=("mean", "max"), fill_clips=("n_clips", "first"),
        fill_planned=("n_planned", "first"),
    ).reset_index()  # fmt: skip


def with_spread(board: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A board with the columns `SPREAD`, missing where only one fill was used.

    Parameters
    ----------
    board : DataFrame
        With the columns of `stats.clustered.CELL` and ``method``.
    table : DataFrame
        As `by_fill` returns it.
    """
    of_all = spread(table[table["emotion"] == ALL])
    merged = board.merge(of_all[[*GROUP, "method", *SPREAD]], on=[*GROUP, "method"], how="left")
    used = merged["fill"] != ""
    for name in SPREAD:
        merged[name] = merged[name].where(used)
    return merged.astype(dict.fromkeys(("n_fills", "fill_clips", "fill_planned"), "Int64"))


class SpreadTable(NamedTuple):
    """The spread of one family's metrics under one condition.

    Attributes
    ----------
    setting : dict of str to str
    condition, family : str
    metrics : dict of str to str
        Direction of each metric.
    fills : list of str
    lines : dict of str to dict of str to Series
        Board row (any of its fills) by method and metric.
    """

    setting: dict[str, str]
    condition: str
    family: str
    metrics: dict[str, str]
    fills: list[str]
    lines: dict[str, dict[str, pd.Series]]

    @property
    def title(self) -> str:
        """What the table shows, without the setting."""
        return f"{self.family}, {self.condition}: spread over fills"


def spread_tables(board: pd.DataFrame, setting: Sequence[str]) -> Iterator[SpreadTable]:
    """What a board says about the spread over fills.

    Parameters
    ----------
    board : DataFrame
        As `leaderboard.leaderboard` returns it.
    setting : sequence of str
        Columns whose values belong to a table's setting.
    """
    several = board[board["n_fills"].notna()]
    for names, part in several.groupby([*setting, "condition", "family"], dropna=False, sort=False):
        *values, condition, family = names
        lines: dict[str, dict[str, pd.Series]] = {}
        for _, row in part.drop_duplicates(["metric", "method"]).iterrows():
            lines.setdefault(row["method"], {})[row["metric"]] = row
        yield SpreadTable(
            dict(zip(setting, values, strict=True)),
            condition,
            family,
            dict(zip(part["metric"], part["direction"], strict=True)),
            sorted(part["fill"].unique()),
            lines,
        )
