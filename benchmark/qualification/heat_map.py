"""Heat map of the qualification: metrics by scopes, the probability that all requirements hold jointly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from ...metrics.qualified import Verdict
from ..report.figures.style import GREY, INK, STYLE, new_figure, save
from .joint import QUALIFIED
from .scopes import scopes, scopes_of

# fill and ink of a grade's cell
GRADE_COLOURS = {
    "yes": ("#0072B2", "white"), "in scope": ("#9CCBEA", INK), "no": ("#D55E00", "white"), "no claim": ("#E6E6E6", INK),
    "not tested": ("white", GREY),
}  # fmt: skip
NAMES, VERDICT, GAP = 4.4, 1.2, 0.8  # widths in cells
UNIT = (0.54, 0.27)  # inches of a cell
HEAD = 7.2  # rows above a panel
PALE, EDGE = "#EFEFEF", "#222222"
_COLOURS = LinearSegmentedColormap.from_list("probability", ["#F7E3D9", "#FFFFFF", "#D6E6F2", "#5B9BC8"])


def heat_map(table: pd.DataFrame, judged: Sequence[Verdict], scope_table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw metrics as rows and scopes as columns; metrics on a ladder of truth at the left, all others at the right.

    Parameters
    ----------
    table : DataFrame
        Of `estimates.estimate_properties`.
    judged : sequence of Verdict
    scope_table : DataFrame
        Of `verdicts.Judged.scopes`.
    picture : path

    Returns
    -------
    Path
        The PNG; the SVG and the numbers as CSV lie beside it.
    """
    tested = [v for v in judged if v.ladder]
    panels = [[v for v in tested if v.ladder == "truth"], [v for v in tested if v.ladder != "truth"]]
    columns = [[s.name for s in scopes_of(kind)] for kind in ("truth", "oracle")]
    shown = [(rows, names) for rows, names in zip(panels, columns, strict=True) if rows]
    width = sum(NAMES + VERDICT + len(names) for _, names in shown) + GAP * (len(shown) - 1)
    height = max((len(rows) for rows, _ in shown), default=1)
    cells = scope_table.set_index(["metric", "scope"])
    with rc_context(STYLE):
        figure = new_figure(UNIT[0] * (width + 0.4), UNIT[1] * (height + HEAD + 3.5))
        figure.set_layout_engine("none")
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set(xlim=(-0.2, width + 0.2), ylim=(height + 3.3, -HEAD - 0.2))
        ax.set_axis_off()
        ax.text(0, -HEAD + 0.6, "Which metrics put explanations of known quality in order, and where?", fontsize=14,
                fontweight="bold", va="center")  # fmt: skip
        x = 0.0
        for rows, names in shown:
            _panel(ax, x, rows, names, cells)
            x += NAMES + VERDICT + len(names) + GAP
        _legend(ax, height + 0.6, width)
        grades = {verdict.metric: verdict.grade for verdict in judged}
        numbers = scope_table.assign(qualified=scope_table["metric"].map(grades))
        return save(figure, numbers, picture, kinds=("png", "svg"))


def _panel(ax: Axes, x: float, rows: Sequence[Verdict], names: Sequence[str], cells: pd.DataFrame) -> None:
    truth = rows[0].ladder == "truth"
    ax.text(x, -HEAD + 1.7, "ladder of truth" if truth else "other ladders", fontsize=10, style="italic", va="center")
    ax.text(x + NAMES + VERDICT / 2, -0.2, "qualified?", fontsize=8, ha="center", va="bottom", fontweight="bold")
    for i, name in enumerate(names):
        ax.text(x + NAMES + VERDICT + i + 0.45, -0.2, fill(name, 21), rotation=60, fontsize=7.5, ha="left", va="bottom",
                rotation_mode="anchor", linespacing=0.95)  # fmt: skip
    for y, verdict in enumerate(rows):
        ax.text(x + NAMES - 0.1, y + 0.5, verdict.metric, fontsize=7.5, ha="right", va="center")
        back, ink = GRADE_COLOURS[verdict.grade]
        ax.add_patch(Rectangle((x + NAMES, y + 0.06), VERDICT, 0.88, facecolor=back, edgecolor=GREY, lw=0.4))
        ax.text(x + NAMES + VERDICT / 2, y + 0.5, verdict.grade, fontsize=7, ha="center", va="center", color=ink)
        for i, name in enumerate(names):
            if (verdict.metric, name) in cells.index:
                chosen = verdict.scope == name and verdict.grade in ("yes", "in scope")
                _cell(ax, x + NAMES + VERDICT + i, y, float(cells.loc[(verdict.metric, name), "probability"]), chosen)


def _cell(ax: Axes, x: float, y: float, probability: float, chosen: bool) -> None:
    back = PALE if np.isnan(probability) else _COLOURS(shade(probability))
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=back, edgecolor="white", lw=1))
    text = "–" if np.isnan(probability) else f"{probability:.2f}".replace("0.", ".")
    ax.text(x + 0.5, y + 0.5, text, fontsize=7, ha="center", va="center", color=INK,
            fontweight="bold" if probability >= QUALIFIED else "normal")  # fmt: skip
    if chosen:
        ax.add_patch(Rectangle((x + 0.05, y + 0.06), 0.9, 0.88, fill=False, edgecolor=EDGE, lw=1.3))


def shade(probability: float) -> float:
    """Position of a probability on the colour scale, 0..1: 0 at 0, two thirds at .95, 1 at 1."""
    low = probability < QUALIFIED
    return float(2 / 3 * probability / QUALIFIED if low else 2 / 3 + (probability - QUALIFIED) / (1 - QUALIFIED) / 3)


def _legend(ax: Axes, y: float, width: float) -> None:
    names = ", ".join(f"{scope.name}" for scope in scopes() if not scope.signed)
    text = (
        "Probability that all requirements of the scope hold jointly (bootstrap over voices and sentences); bold from "
        ".95. Framed: the scope of the verdict, the widest one, or chosen on half of the voices and confirmed on the "
        f"other half. –: nothing can be claimed. Without the test of turned signs: {names}."
    )
    ax.text(0, y, fill(text, int(11 * width)), fontsize=7.5, va="top", linespacing=1.2)
