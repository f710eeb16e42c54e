"""Groups of clips as text: every metric by emotion and by speaker's sex, and agreement about the order of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...metrics.verdict import labelled
from ..analysis.axis_board import AXIS_LEGEND, axis_grid, shared_texts
from ..analysis.leaderboard import SETTING, core_rows
from ..analysis.rank_agreement import LEAST_METHODS
from ..stats.wording import p_text
from .escape import markdown_text
from .tables import number, setting_title
from .text import markdown_table, mean_text, signed_text

VIEWS_LEGEND = (
    "Mean of each group of clips with its 95 % interval, and behind the slash its gap, the mean less that of all other "
    "clips (of two sexes: their difference), with a 95 % interval (none below 6 speakers; uncorrected); clips scored "
    "of planned. Misses count as the worst score. All numbers: groups.csv."
)
AGREEMENT_LEGEND = (
    "Kendall's W of the order of the methods, baselines left out, over the means of the emotions, of the speakers' "
    "sexes and under the fills: 1 where all give the same order, 1 / groups on average where the orders have nothing "
    "in common. Random groups: mean W of groups of the same sizes without a meaning, which is below 1 because means "
    "are uncertain; p is small where differences between methods depend on the group (permutation of clips or "
    "speakers between groups; uncorrected). "
    f"{LEAST_METHODS} or more methods with a score on every clip; misses count as the worst score. All numbers: "
    "agreement.csv."
)


def view_grid(rows: pd.DataFrame) -> list[list[str]]:
    """Header and lines of one family's means per emotion or sex, as text.

    Parameters
    ----------
    rows : DataFrame
        Rows of `group_views.group_views` for one setting, condition, fill, family and view.
    """
    groups = sorted(rows["group"].unique())
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault((str(row["metric"]), str(row["method"])), {})[str(row["group"])] = _view_cell(row)
    lines = [
        [method, labelled(metric), *(of_group[name] for name in groups)] for (metric, method), of_group in cells.items()
    ]
    return [["method", "metric", *groups], *lines]


def _view_cell(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["mean"]):
        return "–"
    gap = signed_text(row["gap"], row["gap_low"], row["gap_high"])
    return f"{mean_text(row)} / {gap}; {row['n_clips'] - row['n_misses']} of {row['n_planned']}"


def view_tables(views: pd.DataFrame, setting: Mapping[str, str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and grid of each table per emotion or sex of one setting."""
    for (view, condition, fill, family), rows in of_setting(views, setting).groupby(
        ["view", "condition", "fill", "family"], sort=False
    ):
        yield f"By {view}: {family}, {condition}" + (f", fill {fill}" if fill else ""), view_grid(rows)


def of_setting(table: pd.DataFrame, setting: Mapping[str, str]) -> pd.DataFrame:
    """Rows of one setting."""
    return table[(table[SETTING] == pd.Series(setting)[SETTING]).all(axis=1)] if len(table) else table


def agreement_grid(rows: pd.DataFrame) -> list[list[str]]:
    """Header and lines of Kendall's W, one line per metric, condition and fill, as text.

    Parameters
    ----------
    rows : DataFrame
        Rows of `rank_agreement.rank_agreement` for one setting. W over fills is repeated beside each fill.
    """
    over_fills = {(row["metric"], row["condition"]): row for row in rows[rows["view"] == "fill"].to_dict("records")}
    lines = []
    of_groups = rows[rows["view"] != "fill"]
    shown = of_groups if len(of_groups) else rows
    for (metric, condition, fill), part in shown.groupby(["metric", "condition", "fill"], sort=False):
        by_view = {row["view"]: row for row in part.to_dict("records")}
        fills = over_fills.get((metric, condition)) if fill or not len(of_groups) else None
        lines.append(
            [
                labelled(str(metric)), str(condition), str(fill),
                *(_over(by_view.get(view)) for view in ("emotion", "sex")),
                "–" if fills is None else f"{number(fills['w'])} over {fills['n_groups']}",
                str(part["n_methods"].iloc[0]),
            ]
        )  # fmt: skip
    return [["metric", "condition", "fill", "W over emotions", "W over sexes", "W over fills", "methods"], *lines]


def _over(row: Mapping[str, float] | None) -> str:
    if row is None:
        return "–"
    return f"{number(row['w'])} over {row['n_groups']} (random groups {number(row['w_random'])}, p {p_text(row['p'])})"


def groups_markdown(board: pd.DataFrame, views: pd.DataFrame, agreement: pd.DataFrame) -> str:
    """Core metrics by emotion and sex and the agreement of groups, as Markdown sections; empty without groups.

    Parameters
    ----------
    board : DataFrame
        As `leaderboard.leaderboard` returns it.
    views, agreement : DataFrame
        As `group_views.group_views` and `rank_agreement.rank_agreement` return them.
    """
    parts = []
    core = {name for _, part in board.groupby("family", sort=False) for name in core_rows(part)["metric"]}
    for names, _ in board.groupby(SETTING, dropna=False, sort=False):
        setting = dict(zip(SETTING, names, strict=True))
        title = markdown_text(setting_title(setting))
        agreed = of_setting(agreement, setting)
        if len(agreed):
            grid = agreement_grid(agreed)
            parts.append(f"### Order of methods over groups: {title}\n\n{markdown_table(grid, texts=1)}")
        shown = views[views["metric"].isin(core)]
        for name, grid in view_tables(shown, setting):
            parts.append(f"### {markdown_text(name)}: {title}\n\n{markdown_table(grid, texts=2)}")
    if not parts:
        return ""
    return "\n\n".join(["\n## By emotion and by speaker's sex", VIEWS_LEGEND, AGREEMENT_LEGEND, *parts]) + "\n"


def axes_markdown(axes: pd.DataFrame) -> str:
    """Robustness on the four axes as a Markdown section; empty without axes.

    Parameters
    ----------
    axes : DataFrame
        Of `axis_board.axis_board`.
    """
    if axes.empty:
        return ""
    parts = ["\n## Robustness: shift, recognisers, corpora, retrainings and seeds", AXIS_LEGEND]
    shared = "Pooled over: " + "; ".join(shared_texts(axes)) + "."
    return "\n\n".join([*parts, markdown_table(axis_grid(axes), texts=3), markdown_text(shared)]) + "\n"
