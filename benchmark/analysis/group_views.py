"""Every metric per emotion and per sex, with the gap between a group's clips and all others.

The gap of a group is its mean less the mean of the other clips. Where speakers are in one group only (sex), the two
means are independent and the interval is Welch's, on the clustered standard errors and degrees of freedom of both;
where a speaker has clips in both (emotion), the gap is the mean of per-clip influence values, clustered like any mean.
With sentences the standard errors of both sides contain the effects of sentences that the sides share, so the interval
of the gap between sexes errs towards width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pandas as pd

from ..stats.cluster_variance import MIN_SPEAKERS, cluster_fit, t_quantile
from ..stats.clustered import CELL, Cell, cells, per_clip, places_of_pairs
from .abstention import CompletedCell, completed

VIEWS = ("emotion", "sex")
COLUMNS = [
    *CELL, "method", "view", "group", "mean", "low", "high", "n_clips", "n_planned", "coverage", "n_misses",
    "n_speakers", "gap", "gap_low", "gap_high",
]  # fmt: skip


PAIR_COLUMNS = [
    *CELL, "method_a", "method_b", "view", "group", "difference", "low", "high", "n_clips", "gap", "gap_low",
    "gap_high",
]  # fmt: skip


def group_views(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean of each method and metric in each group of clips, and its gap to all others.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs, with a column ``sex`` where known (`storage.clip_facts`).

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per cell (`stats.clustered.CELL`), method, view and group, where a view has two or
        more groups. ``low`` and ``high`` bound the mean, ``gap_low`` and ``gap_high`` the gap with 95 % (missing below
        6 speakers; of all clips for the gap). The gap is in the metric's own direction. Misses count as the worst
        score (`abstention`); ``n_clips`` entered of ``n_planned``.
    """
    return views_of(completed(cells(scores)))


def views_of(found: Iterable[CompletedCell], crossed: str = "") -> pd.DataFrame:
    """`group_views` for cells that are laid out already.

    Parameters
    ----------
    found : iterable of CompletedCell
    crossed : str
        Where given, the only view is that of all `VIEWS` together, under this name, as of groups "anger, female".
    """
    frames = [frame for each in found for frame in _of_cell(each, crossed)]
    return pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)


def _of_cell(found: CompletedCell, crossed: str = "") -> Iterator[pd.DataFrame]:
    cell, table, rows = found.cell, found.cell.own_table, found.cell.own_rows
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    values, *codes = per_clip(table.to_numpy(), table.index, *labels)
    order = clip_order(table)
    for view, group_of, names in _crossed_view(cell, crossed) if crossed else labelled_views(cell):
        here = group_of.reindex(order).to_numpy()
        ok = rows["status"] == "ok"
        of_group = group_of.reindex(rows["clip"].astype(str)).to_numpy()
        pairs = [rows["method"].astype(str), of_group]
        planned = rows["clip"].astype(str).groupby(pairs).nunique()
        scored = rows["clip"].astype(str)[ok].groupby([pairs[0][ok], of_group[ok]]).nunique()
        parts: list[dict[str, np.ndarray]] = []
        for name in names:
            inside = here == name
            fit = cluster_fit(values[inside], *(of_way[inside] for of_way in codes))
            gap, half = gap_to_others(values, inside, codes)
            keys = pd.MultiIndex.from_product([table.columns, [name]])
            n_planned, n_scored = (part.reindex(keys, fill_value=0).to_numpy() for part in (planned, scored))
            with np.errstate(invalid="ignore"):
                coverage = np.where(n_planned > 0, n_scored / np.maximum(n_planned, 1), np.nan)
            parts.append(
                {
                    "mean": fit.mean, "low": fit.mean - fit.half, "high": fit.mean + fit.half, "n_clips": fit.n,
                    "n_planned": n_planned, "coverage": coverage, "n_misses": np.maximum(fit.n - n_scored, 0),
                    "n_speakers": fit.clusters, "gap": gap, "gap_low": gap - half, "gap_high": gap + half,
                }
            )  # fmt: skip
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        n = table.shape[1]
        of_row = {"method": np.tile(table.columns.to_numpy(), len(names)), "view": view, "group": np.repeat(names, n)}
        yield pd.DataFrame(of_row | columns).assign(**cell.names)


def _crossed_view(cell: Cell, view: str) -> Iterator[tuple[str, pd.Series, list[str]]]:
    """The groups of all views together, of clips that have a group in each."""
    clips = cell.rows.drop_duplicates("clip")
    clips = clips.assign(clip=clips["clip"].astype(str)).set_index("clip")
    if not set(VIEWS) <= set(clips):
        return
    of_view = [clips[name].astype(object).where(clips[name].notna(), "").astype(str) for name in VIEWS]
    known = np.logical_and.reduce([group_of != "" for group_of in of_view])
    group_of = of_view[0].str.cat(of_view[1:], sep=", ").where(known, "")
    names = sorted(set(group_of) - {""})
    if len(names) > 1:
        yield view, group_of, names


def pair_groups(found: Iterable[CompletedCell], against: Collection[str] = ()) -> pd.DataFrame:
    """Paired difference of each two methods in each group of clips, and its gap to all others.

    Parameters
    ----------
    found : iterable of CompletedCell
    against : collection of str
        As of `stats.clustered.places_of_pairs`.

    Returns
    -------
    DataFrame
        Columns `PAIR_COLUMNS`, one row per cell, pair, view and group; ``difference`` is oriented: positive is in
        favour of a. Intervals as of `group_views`.
    """
    frames = [frame for each in found for frame in _pairs_of_cell(each, against)]
    return pd.concat(frames, ignore_index=True)[PAIR_COLUMNS] if frames else pd.DataFrame(columns=PAIR_COLUMNS)


def _pairs_of_cell(found: CompletedCell, against: Collection[str]) -> Iterator[pd.DataFrame]:
    cell, table = found.cell, found.cell.table
    pairs = places_of_pairs(list(table), against)
    x = table.to_numpy() * (-1.0 if cell.names["direction"] == "lower" else 1.0)
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    values, *codes = per_clip(x[:, pairs[:, 0]] - x[:, pairs[:, 1]], table.index, *labels)
    methods = table.columns.to_numpy()
    for view, group_of, names in labelled_views(cell):
        here = group_of.reindex(clip_order(table)).to_numpy()
        for name in names:
            inside = here == name
            fit = cluster_fit(values[inside], *(of_way[inside] for of_way in codes))
            gap, half = gap_to_others(values, inside, codes)
            yield pd.DataFrame(
                {
                    "method_a": methods[pairs[:, 0]], "method_b": methods[pairs[:, 1]], "view": view, "group": name,
                    "difference": fit.mean, "low": fit.mean - fit.half, "high": fit.mean + fit.half, "n_clips": fit.n,
                    "gap": gap, "gap_low": gap - half, "gap_high": gap + half,
                }
            ).assign(**cell.names)  # fmt: skip


def labelled_views(cell: Cell) -> Iterator[tuple[str, pd.Series, list[str]]]:
    """Each view with two or more groups: its name, the group of each clip (empty where unknown), and the groups."""
    clips = cell.rows.drop_duplicates("clip")
    clips = clips.assign(clip=clips["clip"].astype(str)).set_index("clip")
    for view in VIEWS:
        if view not in clips:
            continue
        group_of = clips[view].astype(object).where(clips[view].notna(), "").astype(str)
        names = sorted(set(group_of) - {""})
        if len(names) > 1:
            yield view, group_of, names


def clip_order(table: pd.DataFrame) -> pd.Index:
    """Clips in the order of the values of `stats.clustered.per_clip` for a table."""
    of_row = pd.Index(table.index.get_level_values("clip")).astype(str)
    return pd.DataFrame(index=of_row).groupby(level=0).size().index if of_row.has_duplicates else of_row


def gap_to_others(values: np.ndarray, inside: np.ndarray, codes: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of a group less that of all other clips, and half its 95 % interval.

    Parameters
    ----------
    values : array, shape (clips, k)
        NaN is left out.
    inside : array of bool, shape (clips,)
    codes : iterable of int arrays, shape (clips,)
        Number of each clip's speaker and, where known, sentence.

    Returns
    -------
    gap, half : array, shape (k,)
        `half` is NaN below 6 speakers and where a side has fewer than 2.
    """
    codes = list(codes)
    one, other = (cluster_fit(values[side], *(of_way[side] for of_way in codes)) for side in (inside, ~inside))
    gap = one.mean - other.mean
    if set(codes[0][inside]) & set(codes[0][~inside]):
        sign, total = np.where(inside[:, None], 1.0, -1.0), np.isfinite(values).sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(inside[:, None], one.n, other.n) / total
            centred = values - np.where(inside[:, None], one.mean, other.mean)
            influence = gap + sign * centred / share
        fit = cluster_fit(influence, *codes)
        return gap, np.where((one.clusters >= 2) & (other.clusters >= 2), fit.half, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = one.se**2 + other.se**2
        df = variance**2 / (one.se**4 / one.df + other.se**4 / other.df)
    df = np.where(variance > 0, df, 1.0)
    half = np.sqrt(variance) * t_quantile(df)
    return gap, np.where(one.clusters + other.clusters >= MIN_SPEAKERS, half, np.nan)
