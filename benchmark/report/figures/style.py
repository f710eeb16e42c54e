"""Style shared by all figures: colours, sizes, titles, footnotes, saving."""

from __future__ import annotations

import io
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...storage.files import write_atomically
from ..escape import csv_safe

# Okabe and Ito's palette, distinguishable with any colour vision
INK, BLUE, ORANGE, GREY = "#222222", "#0072B2", "#D55E00", "#767676"
STYLE: Any = {
    "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "serxai", "svg.fonttype": "path",
    "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK, "legend.frameon": False,
    "text.parse_math": False,
}  # fmt: skip


def new_figure(width: float, height: float) -> Figure:
    """Create a figure outside pyplot's global state, size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def title(figure: Figure, text: str) -> None:
    """Set a left-aligned title, wrapped to the figure's width."""
    figure.suptitle(fill(text, int(11 * figure.get_figwidth())), x=0.01, ha="left", fontsize=11)


def footnote(figure: Figure, text: str) -> None:
    """Set a note below the figure, wrapped to its width."""
    wrapped = fill(text, int(13.5 * figure.get_figwidth()))
    figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=9, color=GREY)


def save(figure: Figure, numbers: pd.DataFrame, picture: str | Path, svg: bool = True) -> Path:
    """Write the PNG, the numbers as CSV and on request the SVG, deterministically."""
    picture = Path(picture).with_suffix(".png")
    for kind in ("png", "svg") if svg else ("png",):
        buffer = io.BytesIO()
        stamp: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=stamp)
        write_atomically(picture.with_suffix(f".{kind}"), buffer.getvalue())
    csv = csv_safe(numbers).to_csv(index=False, float_format="%.10g", lineterminator="\n")
    write_atomically(picture.with_suffix(".csv"), csv.encode())
    return picture
