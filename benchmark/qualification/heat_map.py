"""Heat map of the qualification: metrics by properties, required ones beside diagnostic ones, with verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patches import Rectangle

from ...metrics.qualified import Verdict
from ..report.figures.style import GREY, INK, STYLE, new_figure, save
from .estimates import property_names
from .notes import DETERMINISTIC, NO_SPREAD, SILENT, Note, find_note
from .properties import PROPERTIES

# fill and ink of a grade's cell
GRADE_COLOURS = {
    "yes": ("#0072B2", "white"), "one fill": ("#9CCBEA", INK), "no": ("#D55E00", "white"), "no claim": ("#E6E6E6", INK),
    "not tested": ("white", GREY),
}  # fmt: skip
SHORT = {"oracle-vs-random": "oracle vs\nrandom", "own-fills": "own fills"}
NAMES, VERDICT, GAP, CELL, THIN = 4.6, 1.25, 0.35, 1.0, 0.78  # widths in cells
UNIT = (0.58, 0.36)  # inches of a cell
PALE = "#EFEFEF"
OTHERS = "other libraries, with the ladder of their family"
COLUMNS = ["recogniser", "metric", "ladder", "qualified", "property", "estimate", "low", "high", "n_clips", "n_planned",
           "chance", "threshold", "passed", "note"]  # fmt: skip


class Column(NamedTuple):
    """One column of the picture: left edge and width in cells, what it shows; `emotion` of ``fills-EMOTION`` alone."""

    x: float
    width: float
    recogniser: str
    name: str
    emotion: str


def heat_map(table: pd.DataFrame, judged: Sequence[Verdict], picture: str | Path) -> Path:
    """Draw metrics as rows, grouped by ladder, and properties as columns, one block a recogniser.

    Parameters
    ----------
    table : DataFrame
        Of `estimates.estimate_properties`.
    judged : sequence of Verdict
        Of `verdicts.verdicts`.
    picture : path

    Returns
    -------
    Path
        The PNG; the SVG and the numbers as CSV lie beside it.
    """
    grades = {verdict.metric: verdict.grade for verdict in judged}
    white = set(table.loc[table["property"] == "own-fills", "recogniser"])
    recognisers = sorted((str(name) for name in table["recogniser"].unique()), key=lambda name: name not in white)
    rows, height = _rows(table)
    cells = table.set_index(["recogniser", "metric", "property"]).sort_index()
    columns, width = _columns(table, recognisers)
    with rc_context(STYLE):
        figure = new_figure(UNIT[0] * (width + 0.4), UNIT[1] * (height + 9.2))
        figure.set_layout_engine("none")
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set(xlim=(-0.2, width + 0.2), ylim=(height + 3.0, -6.2))
        ax.set_axis_off()
        _headings(ax, columns, width)
        for y, metric, heading in rows:
            if metric is None:
                ax.text(0, y + 0.62, heading, fontsize=9.5, fontweight="bold", va="center")
                ax.plot([0, width], [y + 0.98, y + 0.98], color=GREY, lw=0.7)
                continue
            ax.text(NAMES - 0.15, y + 0.5, metric, fontsize=9, ha="right", va="center")
            grade = grades[metric]
            back, ink = GRADE_COLOURS[grade]
            ax.add_patch(Rectangle((NAMES, y + 0.06), VERDICT, 0.88, facecolor=back, edgecolor=GREY, lw=0.4))
            ax.text(NAMES + VERDICT / 2, y + 0.5, grade, fontsize=8, ha="center", va="center", color=ink)
            for x, wide, recogniser, name, _ in columns:
                key = (recogniser, metric, name)
                _cell(ax, x, y, wide, cells.loc[key] if key in cells.index else None)
        _legend(ax, width, height + 0.5)
        numbers = table.assign(qualified=table["metric"].map(grades))[COLUMNS]
        return save(figure, numbers[numbers["property"] != ""], picture, kinds=("png", "svg"))


def _rows(table: pd.DataFrame) -> tuple[list[tuple[float, str | None, str]], float]:
    """Metrics and headings with their place; metrics of no ladder are left out."""
    metrics = table[table["ladder"] != ""].drop_duplicates("metric")
    groups: dict[str, list[str]] = {}
    for metric, family, ladder in metrics[["metric", "family", "ladder"]].itertuples(index=False):
        heading = OTHERS if ":" in metric else f"{family}   (ladder: {ladder})"
        groups.setdefault(heading, []).append(metric)
    rows: list[tuple[float, str | None, str]] = []
    y = 0.0
    for heading in sorted(groups, key=lambda name: name == OTHERS):  # stable: else in the order of the table
        rows.append((y, None, heading))
        y += 1.1
        for metric in groups[heading]:
            rows.append((y, metric, ""))
            y += 1
        y += 0.15
    return rows, y


def _columns(table: pd.DataFrame, recognisers: Sequence[str]) -> tuple[list[Column], float]:
    """Columns of each recogniser, and where the last one ends."""
    x, columns = NAMES + VERDICT + GAP, []
    emotion_of = dict(zip(table["property"], table["emotion"], strict=True))
    emotions = [name for name in property_names(table) if emotion_of[name]]
    required = [p.name for p in PROPERTIES if p.threshold is not None]
    diagnostic = [p.name for p in PROPERTIES if p.threshold is None and p.name != "own-fills"]
    for recogniser in recognisers:
        estimated = set(table.loc[table["recogniser"] == recogniser, "property"])
        blocks = [required, [*emotions, "own-fills"], [*diagnostic, "averaged"]]
        for block in blocks:
            shown = [name for name in block if name in estimated]
            for name in shown:
                width = THIN if name in emotions else CELL
                columns.append(Column(x, width, recogniser, name, emotion_of[name]))
                x += width
            x += GAP if shown else 0
        x += GAP
    return columns, x - 2 * GAP


def _headings(ax: Axes, columns: Sequence[Column], width: float) -> None:
    ax.text(0, -5.7, "Which metrics put explanations of known worth in order?", fontsize=15, fontweight="bold",
            va="center")  # fmt: skip
    ax.text(NAMES + VERDICT / 2, -0.25, "qualified?", fontsize=9, ha="center", va="bottom", fontweight="bold")
    threshold = {p.name: f"{'>' if p.above else '≥'} {p.threshold:g}" for p in PROPERTIES if p.threshold is not None}
    for recogniser in dict.fromkeys(c.recogniser for c in columns):
        own = [c for c in columns if c.recogniser == recogniser]
        ax.text(own[0].x, -4.6, f"on {recogniser}", fontsize=12, fontweight="bold", va="center")
        ax.plot([own[0].x, own[-1].x + own[-1].width], [-4.1, -4.1], color=INK, lw=1.2)
        for text, block in (("required", [c for c in own if c.name in threshold]),
                            ("diagnostic", [c for c in own if c.name not in threshold])):  # fmt: skip
            if block:
                ax.text(block[0].x, -3.7, text, fontsize=9, style="italic", va="center", color=GREY)
    for x, wide, _, name, emotion in columns:
        text = f"fills: {emotion}" if emotion else SHORT.get(name, name)
        if name in threshold:
            text += f"\n{threshold[name]}"
        ax.text(x + wide / 2 - 0.1, -0.25, text, rotation=55, fontsize=8.5, ha="left", va="bottom",
                rotation_mode="anchor", linespacing=1.0)  # fmt: skip


def _cell(ax: Axes, x: float, y: float, wide: float, row: pd.Series | None) -> None:
    box: dict[str, Any] = {"edgecolor": "white", "lw": 1.2}
    middle = x + wide / 2
    if row is None:
        return
    if not row["n_clips"]:
        ax.add_patch(Rectangle((x, y), wide, 1, facecolor="white", **box | {"edgecolor": PALE}))
        ax.text(middle, y + 0.5, f"lost\n0 of {row['n_planned']}", fontsize=5.5, ha="center", va="center", color=INK)
        return
    small = wide < CELL
    required, notes = pd.notna(row["threshold"]), row["notes"]
    back, ink = _colour(row)
    if find_note(notes, DETERMINISTIC) and row["estimate"] == 1:
        back, ink = PALE, INK
    patch = Rectangle((x, y), wide, 1, facecolor=back, **box)
    ax.add_patch(patch)
    if find_note(notes, NO_SPREAD) or find_note(notes, SILENT):
        patch.set_hatch("////")
        patch.set_edgecolor("#FFFFFF")
        ax.add_patch(Rectangle((x + 0.07 * wide, y + 0.08), 0.86 * wide, 0.84, facecolor=back, alpha=0.8, lw=0))
    if row["passed"] == "no":
        ax.add_patch(Rectangle((x + 0.05, y + 0.05), wide - 0.1, 0.9, fill=False, edgecolor="#7A1F00", lw=1.2))
    value = "–" if pd.isna(row["estimate"]) else f"{row['estimate']:.2f}"
    ax.text(middle, y + 0.33, value, fontsize=7.5 if small else 8.5, ha="center", va="center", color=ink,
            fontweight="bold" if required else "normal")  # fmt: skip
    ax.text(middle, y + 0.73, "\n".join(_small_print(row, notes)), fontsize=4.3 if small else 5.2, ha="center",
            va="center", color=ink, linespacing=0.95)  # fmt: skip


def _small_print(row: pd.Series, notes: Sequence[Note]) -> Iterator[str]:
    """Small print of a cell: the interval, or a note in its place; then lost or silent clips."""
    silent = find_note(notes, SILENT)
    if (constant := find_note(notes, DETERMINISTIC)) and row["estimate"] == 1:
        yield constant.text
    elif flat := find_note(notes, NO_SPREAD):
        if not silent:
            yield flat.text
    elif pd.notna(row["low"]):
        yield f"[{row['low']:.2f}, {row['high']:.2f}]"
    if row["passed"] == "no claim":
        yield "no claim" if row["n_clips"] == row["n_planned"] else f"{row['n_clips']} of {row['n_planned']} clips"
    elif silent:
        yield f"{silent.code} {silent.count} of {row['n_clips']}"
    elif row["n_clips"] < row["n_planned"]:
        yield f"{row['n_clips']} of {row['n_planned']} clips"


# -- colours -----------------------------------------------------------------------------------------------------------


def _maps() -> tuple[Colormap, Colormap]:
    """Colour maps of required and of diagnostic properties."""
    return sns.color_palette("vlag_r", as_cmap=True), sns.diverging_palette(300, 150, s=55, l=58, as_cmap=True)


def shade(row: pd.Series) -> float:
    """Position of a cell on its colour scale, -1..1.

    For a required property the lower end: chance is -1, the threshold 0, the value 1 is 1. For another the estimate:
    chance is 0, the value 1 is 1, and as far below chance is -1.
    """
    if pd.notna(row["threshold"]):
        value, middle = row["low"], row["threshold"]
        scale = 1 - middle if value >= middle else middle - row["chance"]
    else:
        value, middle, scale = row["estimate"], row["chance"], 1 - row["chance"]
    return float(np.clip((value - middle) / scale, -1, 1)) if pd.notna(value) else np.nan


def _colour(row: pd.Series) -> tuple[Any, str]:
    place = shade(row)
    if np.isnan(place) or row["passed"] == "no claim":
        return PALE, INK
    # a small step from failed to passed is visible as well
    if pd.notna(row["threshold"]):
        place = np.sign(place) * (0.25 + 0.75 * abs(place)) if row["passed"] == "no" else 0.25 + 0.75 * abs(place)
    colours = _maps()[0 if pd.notna(row["threshold"]) else 1]
    return colours(0.5 + 0.5 * place), "white" if abs(place) > 0.7 else INK


def _legend(ax: Axes, width: float, y: float) -> None:
    for x, text, ends, colours in (
        (NAMES, "required: lower end of the 95 % interval", ("chance", "threshold", "1"), _maps()[0]),
        (NAMES + 7.5, "diagnostic: estimate", ("below", "chance", "1"), _maps()[1]),
    ):
        ax.text(x, y, text, fontsize=8.5, va="center", fontweight="bold")
        steps = np.linspace(0, 1, 60)
        for i, value in enumerate(steps):
            ax.add_patch(Rectangle((x + 6 * i / 60, y + 0.4), 6 / 60 + 0.01, 0.5, facecolor=colours(value), lw=0))
        for place, end in zip((0, 3, 6), ends, strict=True):
            ax.text(x + place, y + 1.3, end, fontsize=8, ha="center", va="center")
    x = NAMES + 15
    ax.add_patch(Rectangle((x, y + 0.4), 1, 0.5, fill=False, edgecolor="#7A1F00", lw=1.2))
    ax.text(x + 1.2, y + 0.65, "fails", fontsize=8.5, va="center")
    ax.add_patch(Rectangle((x + 2.6, y + 0.4), 1, 0.5, facecolor=PALE, edgecolor=GREY, lw=0.4))
    ax.text(x + 3.8, y + 0.65, "deterministic (1 by construction), or no claim", fontsize=8.5, va="center")
    ax.add_patch(Rectangle((x, y + 1.1), 1, 0.5, facecolor="#9FC0E0", edgecolor="white", hatch="////", lw=0.4))
    ax.text(x + 1.2, y + 1.35, "no spread (all clips alike), or silent on some clips (all scores alike)", fontsize=8.5,
            va="center")  # fmt: skip
    ax.text(x, y + 2.0, "blank: does not apply; lost: applies, no clip was scored", fontsize=8.5, va="center")
    ax.text(NAMES, y + 2.0, "Large: mean over clips; small: its 95 % interval (speakers as clusters).", fontsize=8.5,
            va="center")  # fmt: skip
