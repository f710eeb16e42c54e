"""Style shared by all figures: colours, sizes, titles, footnotes, saving."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...storage.files import write_atomically
from ..escape import csv_safe

# Okabe and Ito's palette, distinguishable with any colour vision
INK, BLUE, ORANGE, GREY = "#222222", "#0072B2", "#D55E00", "#767676"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
MARKERS = "osD^vhp<"  # beside the colours of `PALETTE`, so that no line is told by colour alone
FAINT = "#e4e4e4"  # grid lines
STYLE: Any = {
    "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "serxai", "svg.fonttype": "path",
    "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK, "legend.frameon": False,
    "text.parse_math": False, "pdf.fonttype": 42,
}  # fmt: skip
# figures for the columns of a printed page: their width in inches is that of the page, their text is not scaled
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
SMALL = 6.0  # points, of the least text
PAPER: Any = STYLE | {
    "font.size": 7, "axes.titlesize": 7.5, "axes.labelsize": 7, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5, "legend.title_fontsize": 6.5, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5, "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
}  # fmt: skip
KINDS = ("png", "svg", "pdf")
DPI, PAPER_DPI = 150, 250
_HASHED = re.compile(rb"(?<=[\"#])(?:image|[phmC])[0-9a-f]{10}(?=[\")])")  # ids of clips, hatches, markers, images
_STAMPS: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


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


def legend_lines(looks: Mapping[str, tuple[str, str]], dashed: Container[str]) -> list[Line2D]:
    """Legend entries of methods, in the order of their looks.

    Parameters
    ----------
    looks : mapping of str to (str, str)
        Colour and marker of each method.
    dashed : container of str
        Methods whose lines are dashed.
    """
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="--" if name in dashed else "-", label=name)
        for name, (colour, marker) in looks.items()
    ]


def new_page(width: float, height: float, heading: str, note: str) -> tuple[Figure, Any]:
    """Create a figure for a printed page, in `PAPER` style: title, content, and a note of its own height below.

    Parameters
    ----------
    width, height : float
        In inches; the height is that of title and content.
    heading, note : str
        Both are wrapped to the width.

    Returns
    -------
    figure : Figure
    content : SubFigure
        To draw in; its legends may stand outside of its axes.
    """
    wrapped = fill(note, int(21.5 * width))
    lines = wrapped.count("\n") + 1
    below = lines * SMALL * 1.25 / 72 + 0.06
    figure = new_figure(width, height + below)
    parts: Any = figure.subfigures(2, 1, height_ratios=(height, below), hspace=0)
    content, foot = parts
    content.suptitle(fill(heading, int(15 * width)), x=0.01, ha="left", fontsize=8, fontweight="bold")
    foot.text(0.01, 1.0, wrapped, ha="left", va="top", fontsize=SMALL, color=GREY, linespacing=1.2)
    return figure, content


def save(
    figure: Figure, numbers: pd.DataFrame, picture: str | Path, kinds: Sequence[str] = KINDS, dpi: int = DPI
) -> Path:
    """Write the picture in each kind, and the numbers as CSV beside it, deterministically.

    Parameters
    ----------
    figure : Figure
    numbers : DataFrame
    picture : path
        Its suffix is replaced.
    kinds : sequence of {'png', 'svg', 'pdf'}
    dpi : int
        Of the PNG, and of what is drawn as pixels in the others.

    Returns
    -------
    Path
        The PNG's.
    """
    picture = Path(picture).with_suffix(".png")
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once for all kinds
    _snap(figure)
    for kind in kinds:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_STAMPS[kind])
        body = buffer.getvalue()
        write_atomically(picture.with_suffix(f".{kind}"), _numbered(body) if kind == "svg" else body)
    csv = csv_safe(numbers).to_csv(index=False, float_format="%.10g", lineterminator="\n")
    write_atomically(picture.with_suffix(".csv"), csv.encode())
    return picture


def _snap(figure: Figure) -> None:
    """Round positions that the layout engine found: their last digits differ from call to call."""
    for panel in figure.subfigs:
        panel.bbox_relative.p0 = np.round(panel.bbox_relative.p0, 6)
        panel.bbox_relative.p1 = np.round(panel.bbox_relative.p1, 6)
    for ax in figure.get_axes():
        ax.set_position(np.round(ax.get_position(original=True).bounds, 6))
    for part in (figure, *figure.subfigs):
        for text in part.texts:
            x, y = text.get_position()
            text.set_position((round(x, 6), round(y, 6)))


def _numbered(svg: bytes) -> bytes:
    """Replace the hashes in the ids of an SVG by numbers: they are of coordinates with more digits than are written."""
    ids = list(dict.fromkeys(_HASHED.findall(svg)))
    number = {old: b"%s%d" % (old[:1], place) for place, old in enumerate(ids)}
    return _HASHED.sub(lambda found: number[found[0]], svg)
