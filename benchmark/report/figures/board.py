"""Figures of boards: ranking, consistency under shift, confusion matrix, transfer between corpora.

Each function writes ``picture`` (PNG), the same as SVG and PDF, and the numbers as CSV beside it, and returns the path
of the PNG.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from ....errors import InputError
from ....methods.records import baselines
from ....metrics.records import METRICS
from ....metrics.verdict import labelled, marks_note
from ...analysis.leaderboard import RANDOM, SETTING, leaderboard
from ...stats.clustered import MIN_SPEAKERS
from ...storage.clip_facts import with_clip_facts
from ...storage.store import Store
from ..tables import ARROWS, mark, setting_title
from .style import (
    BLUE,
    FAINT,
    GREY,
    KINDS,
    ONE_COLUMN,
    ORANGE,
    PAPER,
    PAPER_DPI,
    SMALL,
    TWO_COLUMNS,
    new_page,
    save,
)

if TYPE_CHECKING:
    from ...run.runner import Progress

MAX_PANELS = 24


def one_setting(board: pd.DataFrame) -> pd.DataFrame:
    """Rows of a board's first setting (a figure shows one).

    Raises
    ------
    InputError
        If the board is empty.
    """
    if board.empty:
        raise InputError("figure: the run holds no scores; finish it with `serxai run --resume` first.")
    first = board[SETTING].iloc[0]
    return board[(board[SETTING] == first).all(axis=1)]


def ranking(board: pd.DataFrame, picture: str | Path, kinds: Sequence[str] = KINDS) -> Path:
    """Forest plot: mean and 95 % interval of each method, one panel per metric, the random baseline as a line.

    Each panel orders the methods by its own metric; there is no order over metrics.
    A metric is shown under ``clean``, or under each of its conditions where it is defined only for shifted clips.

    Parameters
    ----------
    board : DataFrame
        As `leaderboard.leaderboard` returns it; its first setting is drawn.
    picture : path
    kinds : sequence of str
        Of picture files, see `style.save`.

    Raises
    ------
    InputError
        If the board is empty.
    """
    board = one_setting(board)
    clean = board.groupby("metric")["condition"].transform(lambda conditions: (conditions == "clean").any())
    board = board[~clean | (board["condition"] == "clean")]
    panels = list(board.groupby(["family", "metric", "condition", "fill"], dropna=False, sort=False))[:MAX_PANELS]
    baseline = set(baselines())
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    tallest = [
        max(part["method"].nunique() for _, part in panels[columns * k : columns * (k + 1)]) for k in range(rows)
    ]
    heights = [0.5 + 0.15 * n for n in tallest]
    note = (
        "Mean and 95 % interval (speakers and, where known, sentences as clusters; none below "
        f"{MIN_SPEAKERS} speakers); right: scores / planned; line: random; filled: better by the bar of its "
        "family, or worse than random; * baseline; each panel in the order of its own metric" + _marks(board["metric"])
    )
    with rc_context(PAPER):
        width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
        figure, content = new_page(width, 0.3 + sum(heights), setting_title(board.iloc[0][SETTING].to_dict()), note)
        axes = content.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
        for ax, ((family, metric, condition, filled), part) in zip(axes, panels, strict=False):
            methods = _by_own_mean(part)
            rows_of = part.set_index("method").reindex(methods)
            _forest(ax, rows_of, baseline)
            for place, counts in enumerate(_counts(rows_of)):
                ax.text(
                    1.02, place, counts, transform=ax.get_yaxis_transform(), fontsize=SMALL - 1, color=GREY, va="center"
                )
            where = ", ".join([condition] * (condition != "clean") + [f"fill {filled}"] * bool(filled)) or family
            ax.set_title(
                f"{labelled(str(metric))} {ARROWS[part['direction'].iloc[0]]}\n", loc="left", fontweight="bold"
            )
            ax.text(0, 1.02, where, transform=ax.transAxes, fontsize=SMALL, color=GREY, va="bottom")
            ax.set_ylim(len(methods) - 0.5, -0.5)
            ax.set_yticks(range(len(methods)), [f"{m} *" if m in baseline else m for m in methods])
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        drawn = pd.concat([part for _, part in panels])
        numbers = drawn[
            [
                *SETTING,
                "family",
                "metric",
                "metric_qualified",
                "direction",
                "condition",
                "fill",
                "method",
                "mean",
                "low",
                "high",
                "n_ok",
                "n_planned",
                "coverage",
                "n_speakers",
                "n_misses",
                "p_holm",
                "beats_random",
                "p_bar",
                "passes_bar",
            ]
        ]
        return save(figure, numbers, picture, kinds, PAPER_DPI)


def _counts(rows: pd.DataFrame) -> list[str]:
    """Scores / planned of each row; empty where the method was not run."""
    known = rows[["n_ok", "n_planned"]].itertuples(index=False)
    return ["" if pd.isna(planned) else f"{ok:.0f}/{planned:.0f}" for ok, planned in known]


def _marks(metrics: pd.Series) -> str:
    """Legend of the marks beside the metrics' names, to end a footnote."""
    note = marks_note(map(str, metrics))
    return f"; {note}" if note else ""


def _by_own_mean(part: pd.DataFrame) -> list[str]:
    """Methods of one panel, best first by the panel's own metric; those without a mean last, by name."""
    mean = part.groupby("method")["mean"].mean()
    lower = part["direction"].iloc[0] == "lower"
    return [str(name) for name in mean.sort_index().sort_values(ascending=lower, kind="stable").index]


def _forest(ax: Any, rows: pd.DataFrame, baseline: Collection[str]) -> None:
    places = np.arange(len(rows))
    if RANDOM in rows.index and np.isfinite(rows.loc[RANDOM, "mean"]):
        ax.axvline(rows.loc[RANDOM, "mean"], color=ORANGE, linewidth=0.8, zorder=1)
    half = (rows["high"] - rows["mean"]).astype(float)
    significant = [pd.notna(row["mean"]) and mark(row) != "" for _, row in rows.iterrows()]
    for place, (name, row), length, filled in zip(places, rows.iterrows(), half, significant, strict=True):
        if pd.isna(row["mean"]):
            continue
        colour = ORANGE if name == RANDOM else GREY if name in baseline else BLUE
        ax.errorbar(
            row["mean"],
            place,
            xerr=None if np.isnan(length) else length,
            fmt="o",
            color=colour,
            markerfacecolor=colour if filled or name == RANDOM else "white",
            markeredgewidth=0.8,
            elinewidth=0.9,
            capsize=0,
            zorder=3,
        )
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)


def consistency(
    board: pd.DataFrame, picture: str | Path, metric: str = "consistency", kinds: Sequence[str] = KINDS
) -> Path:
    """Slope chart: consistency of each method under each shifted condition, with 95 % intervals.

    Parameters
    ----------
    board : DataFrame
        As `leaderboard.leaderboard` returns it; its first setting is drawn.
    picture : path
    metric : str
    kinds : sequence of str
        Of picture files, see `style.save`.

    Raises
    ------
    InputError
        If the board holds no score of the metric.
    """
    part = board[board["metric"] == metric]
    if part.empty:
        raise InputError(
            f"figure: the run holds no scores of metric {metric!r}; run it with --metric {metric} --condition "
            "noise-20db --condition noise-10db."
        )
    part = one_setting(part)
    conditions = list(dict.fromkeys(part["condition"]))
    methods = sorted(part["method"].unique())
    baseline = set(baselines())
    colours = dict(zip(methods, sns.color_palette("colorblind", len(methods)), strict=True))
    markers = dict(zip(methods, np.resize(list("osD^vPX*<>"), len(methods)), strict=True))
    note = (
        f"Mean and 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} speakers); methods by name, behind "
        "it: scores/planned, of each condition where they differ; * baseline, dashed" + _marks(part["metric"])
    )
    with rc_context(PAPER):
        heading = setting_title(part.iloc[0][SETTING].to_dict())
        figure, content = new_page(TWO_COLUMNS, 0.3 + max(2.2, 0.3 + 0.125 * len(methods)), heading, note)
        ax = content.subplots()
        spread = np.linspace(-0.16, 0.16, len(methods)) if len(methods) > 1 else [0.0]
        for offset, method in zip(spread, methods, strict=True):
            rows = part[part["method"] == method].set_index("condition").reindex(conditions)
            places = np.arange(len(conditions)) + offset
            counts = dict.fromkeys(filter(None, _counts(rows)))
            ax.errorbar(
                places,
                rows["mean"].astype(float),
                yerr=(rows["high"] - rows["mean"]).astype(float).to_numpy(),
                marker=markers[method],
                color=colours[method],
                linewidth=0.9,
                elinewidth=0.8,
                linestyle="--" if method in baseline else "-",
                label=f"{method}{' *' * (method in baseline)}, {', '.join(counts)}",
            )
        ax.axhline(0, color=GREY, linewidth=0.7, zorder=0)
        ax.axhline(1, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        ax.set_xticks(range(len(conditions)), conditions, rotation=30 if len(conditions) > 6 else 0)
        ax.set_xlim(-0.4, len(conditions) - 0.6)
        scale = METRICS.get(metric).scale if metric in METRICS else ""
        ax.set_ylabel(fill(labelled(metric) + (f" ({scale})" if scale else ""), 44))
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="method, scores/planned", alignment="left")
        numbers = part[
            [
                *SETTING,
                "metric",
                "metric_qualified",
                "condition",
                "method",
                "mean",
                "low",
                "high",
                "n_ok",
                "n_planned",
                "coverage",
                "n_speakers",
            ]
        ]
        return save(figure, numbers, picture, kinds, PAPER_DPI)


def confusion(counts: Any, classes: Sequence[str], picture: str | Path, heading: str = "") -> Path:
    """Confusion matrix: rows are true classes, cells show counts, coloured by the share of the row.

    Parameters
    ----------
    counts : array_like of int, shape (n, n)
    classes : sequence of str, length n
    picture : path
    heading : str

    Raises
    ------
    InputError
        If the shape does not fit the classes.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)):
        raise InputError(f"confusion: {len(classes)} classes need a square matrix of counts, got shape {counts.shape}.")
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    labels = np.array([[f"{n}\n{s:.0%}" for n, s in zip(*row, strict=True)] for row in zip(counts, share, strict=True)])
    width = ONE_COLUMN if len(classes) < 6 else TWO_COLUMNS
    with rc_context(PAPER):
        note = "Clips, and share of the true class."
        figure, content = new_page(width, 0.6 + 0.4 * len(classes), heading or "Confusion of classes", note)
        ax = content.subplots()
        sns.heatmap(
            share,
            annot=labels,
            fmt="",
            cmap="Blues",
            vmin=0,
            vmax=1,
            linewidths=0.6,
            ax=ax,
            xticklabels=list(classes),
            yticklabels=list(classes),
            cbar_kws={"label": "share of the true class"},
        )
        ax.set(xlabel="recognised", ylabel="true")
        ax.tick_params(axis="x", rotation=30 if max(map(len, classes)) > 10 else 0, length=0)
        ax.tick_params(axis="y", rotation=0, length=0)
        pairs = [(i, j) for i in range(len(classes)) for j in range(len(classes))]
        numbers = pd.DataFrame(
            {
                "true": [classes[i] for i, _ in pairs],
                "recognised": [classes[j] for _, j in pairs],
                "clips": counts.ravel(),
                "share_of_true": share.ravel(),
            }
        )
        return save(figure, numbers, picture, dpi=PAPER_DPI)


# -- from a run --------------------------------------------------------------------------------------------------------


def ranking_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `ranking` of a run's scores."""
    return ranking(leaderboard(with_clip_facts(store.scores(), [store.path])), picture)


def localisation(board: pd.DataFrame, picture: str | Path, kinds: Sequence[str] = KINDS) -> Path:
    """Draw `ranking` of the localisation metrics alone.

    Raises
    ------
    InputError
        If the board holds none.
    """
    part = board[board["family"] == "localisation"]
    if part.empty:
        raise InputError(
            "figure localisation: the run holds no localisation metric; run it on corpus planted with --metric "
            "rank-accuracy --metric truth-auc."
        )
    return ranking(part, picture, kinds)


def localisation_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `localisation` of a run's scores."""
    return localisation(leaderboard(with_clip_facts(store.scores(), [store.path])), picture)


def consistency_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `consistency` of a run's scores."""
    return consistency(leaderboard(with_clip_facts(store.scores(), [store.path])), picture)


def transfer(rows: Sequence[dict[str, Any]], picture: str | Path, heading: str = "") -> Path:
    """Heat map of unweighted average recall: training corpora in rows, test corpora in columns.

    Parameters
    ----------
    rows : sequence of dict
        From `models.transfer.transfer_row`.
    picture : path
    heading : str
    """
    numbers = pd.DataFrame(rows)
    numbers[["low", "high"]] = [interval or (np.nan, np.nan) for interval in numbers["uar_interval"]]
    numbers["text"] = [
        f"{row.uar:.2f}" + (f"\n{row.low:.2f}-{row.high:.2f}" if row.low == row.low else "")
        for row in numbers.itertuples()
    ]
    order = list(dict.fromkeys(numbers["trained_on"]))
    table, text = (
        numbers.pivot(index="trained_on", columns="tested_on", values=name).loc[order, order]
        for name in ("uar", "text")
    )
    note = "Unweighted average recall with 95 % interval over speakers; on the diagonal, speakers held out."
    with rc_context(PAPER):
        width = ONE_COLUMN if len(order) < 5 else TWO_COLUMNS
        figure, content = new_page(width, 0.6 + 0.4 * len(order), heading or "Transfer between corpora", note)
        ax = content.subplots()
        sns.heatmap(
            table.astype(float),
            annot=text,
            fmt="",
            cmap="Blues",
            vmin=0,
            vmax=1,
            linewidths=0.6,
            ax=ax,
            cbar_kws={"label": "UAR"},
        )
        ax.set(xlabel="tested on", ylabel="trained on")
        ax.tick_params(axis="both", rotation=0, length=0)
        columns = ["model", "trained_on", "tested_on", "n", "speakers", "uar", "low", "high", "accuracy"]
        return save(figure, numbers[columns], picture, dpi=PAPER_DPI)
