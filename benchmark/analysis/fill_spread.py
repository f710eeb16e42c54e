"""Spread of mean scores over fill operators (what replaces a removed cell).

Where a run has several fills, each (method, metric) has a mean under each, and its *spread* is the range of these
means. Only clips scored under all fills enter, so that the range is due to the fill and not to the clips: fill ``twin``
skips the neutral clips of the planted corpus.

Means are also given per emotion. Sadness is planted by removing energy, which ``attenuate`` cannot undo; a mean over
emotions would hide that.
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
    """Mean of each method under each fill, over the clips scored under all fills.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per (setting, condition, metric, method, emotion, fill) where more than one fill has
        scores; ``emotion`` is `ALL`, then each emotion of the clips. ``low`` and ``high`` bound the mean with 95 %
        (speakers and, where known, sentences as clusters; missing below 6 speakers). ``n_clips`` entered of
        ``n_planned``.
    """
    filled = compact(scores).assign(emotion=scores["emotion"].astype(str).to_numpy())
    filled = filled[filled["fill"] != ""]
    frames = []
    for names, group in filled.groupby(GROUP, dropna=False, sort=True, observed=True):
        group_values = dict(zip(GROUP, names, strict=True))
        frames += [frame.assign(**group_values) for frame in _of_group(group)]
    return pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)


def _of_group(group: pd.DataFrame) -> Iterator[pd.DataFrame]:
    ok = group[group["status"] == "ok"]
    fills = sorted(map(str, ok["fill"].unique()))
    if len(fills) < 2:
        return
    table = ok.pivot_table(index=["clip", "seed"], columns=["method", "fill"], values="value", observed=True)
    clips = group.drop_duplicates("clip").set_index("clip")
    emotions = clips["emotion"].reindex(table.index.get_level_values("clip")).to_numpy()
    known = "sentence" in clips and clips["sentence"].notna().all()
    labels = [clips[name] for name in (("speaker", "sentence") if known else ("speaker",))]
    methods = sorted(map(str, group["method"].unique()))
    table = table.reindex(columns=pd.MultiIndex.from_product([methods, fills]))
    values = table.to_numpy().reshape(len(table), len(methods), len(fills))
    shared = np.where(np.isfinite(values).all(axis=2, keepdims=True), values, np.nan).reshape(len(table), -1)
    planned = group.drop_duplicates(["method", "clip"]).groupby(["method", "emotion"], observed=True).size()
    for emotion in (ALL, *sorted(clips["emotion"].unique())):
        chosen = slice(None) if emotion == ALL else emotions == emotion
        fit = cluster_fit(*per_clip(shared[chosen], table.index[chosen], *labels))
        low, high = fit.mean - fit.half, fit.mean + fit.half
        frame = table.columns.to_frame(index=False, name=["method", "fill"])
        frame = frame.assign(emotion=emotion, mean=fit.mean, low=low, high=high, n_clips=fit.n)
        of_method = planned.groupby("method", observed=True).sum() if emotion == ALL else planned.xs(emotion, level=1)
        frame["n_planned"] = of_method.reindex(frame["method"], fill_value=0).to_numpy()
        frame["coverage"] = frame["n_clips"] / frame["n_planned"]
        yield frame.assign(n_speakers=fit.clusters)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Range of the means over fills.

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
    by_method = table.groupby([*GROUP, "method", "emotion"], dropna=False, sort=False)
    return by_method.agg(
        n_fills=("fill", "size"),
        fill_low=("mean", "min"),
        fill_high=("mean", "max"),
        fill_clips=("n_clips", "first"),
        fill_planned=("n_planned", "first"),
    ).reset_index()


def with_spread(board: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns `SPREAD` to a board, missing where only one fill was used.

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
    """Spread over fills of one family's metrics under one condition.

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
        """Title without the setting."""
        return f"{self.family}, {self.condition}: spread over fills"


def spread_tables(board: pd.DataFrame, setting: Sequence[str]) -> Iterator[SpreadTable]:
    """Spread tables of a board, one per setting, condition and family.

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
