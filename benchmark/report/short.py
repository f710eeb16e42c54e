"""What of a large board is written as text: rows to cite, and a ranking of a line a setting for the terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table
from rich.text import Text

from ...methods.records import baselines
from ...metrics.records import METRICS, is_ranked
from ...metrics.verdict import labelled
from ..analysis.axis_board import BAR_METRIC
from ..analysis.leaderboard import SETTING, core_rows
from ..analysis.recogniser_titles import recogniser_titles
from ..analysis.shown_names import plain_name
from .tables import mark, number

WHOLE = 2000  # rows of a board that Markdown and LaTeX hold whole
BEST = 5  # methods named for each setting
SHORT_NOTE = (
    f"In short: clips as recorded; of each family that is ranked its core metrics, and {BAR_METRIC}. All other "
    "metrics, conditions, other differences, spreads over fills, emotions and sexes are in leaderboard.csv, fills.csv, "
    "groups.csv, and on the page."
)


def is_large(board: pd.DataFrame) -> bool:
    """Whether Markdown and LaTeX hold `in_short` of the board rather than all."""
    return len(board) > WHOLE


def in_short(board: pd.DataFrame) -> pd.DataFrame:
    """Rows of clips as recorded, of the core metrics of ranked families and of the bar's metric.

    Methods that were never scored by them are left out.

    Parameters
    ----------
    board : DataFrame
        Of `analysis.leaderboard.leaderboard`.
    """
    clean = board[(board["condition"] == "clean") & board["mean"].notna()]
    ranked = clean[[name not in METRICS or is_ranked(name) for name in clean["metric"]]]
    core = [core_rows(part) for _, part in ranked.groupby("family", sort=False)]
    kept = {name for part in core for name in part["metric"]} | {BAR_METRIC}
    return ranked[ranked["metric"].isin(kept)].reset_index(drop=True)


def short_ranking(board: pd.DataFrame, metric: str = BAR_METRIC) -> Table | None:
    """The best methods of each setting and fill in one metric, with their marks.

    Parameters
    ----------
    board : DataFrame
        Of `analysis.leaderboard.leaderboard`.
    metric : str
        Where the board does not hold it, its first ranked metric is taken.

    Returns
    -------
    rich.table.Table or None
        None where no method has a mean on clips as recorded.
    """
    clean = board[(board["condition"] == "clean") & board["mean"].notna() & board["rank"].notna()]
    if clean.empty:
        return None
    metric = metric if (clean["metric"] == metric).any() else str(clean["metric"].iloc[0])
    rows = clean[clean["metric"] == metric]
    rows = rows.assign(recogniser=recogniser_titles(rows), plain=rows["method"].map(plain_name))
    table = Table(
        title=f"{labelled(metric)}, clips as recorded: the {BEST} best methods, ▲ those that pass the bar",
        title_justify="left", box=None, header_style="bold", padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name in ("corpus", "recogniser", "fill", "▲ of", "best methods (mean)"):
        table.add_column(name, overflow="fold", justify="right" if name == "▲ of" else "left")
    places = [*SETTING, "recogniser", "fill"]
    for names, part in rows.groupby(places, dropna=False, sort=False):
        place = dict(zip(places, names, strict=True))
        methods = part[~part["plain"].isin(baselines())].sort_values(["rank", "method"])
        tested = methods["passes_bar"].isin(["yes", "no"])
        passed = f"{(methods['passes_bar'] == 'yes').sum()} of {tested.sum()}" if tested.any() else "no test"
        told = [f"{row['method']} {number(row['mean'])}{mark(row)}" for _, row in methods.head(BEST).iterrows()]
        rule = "" if place["target_rule"] == "predicted" else f", {place['target_rule']} class"
        texts = (place["corpus"], place["recogniser"] + rule, place["fill"], passed, ", ".join(told) or "–")
        table.add_row(*(Text(str(text)) for text in texts))
    return table
