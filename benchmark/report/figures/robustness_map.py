"""Heat maps of the similarity of band profiles, corpus by corpus and recogniser by recogniser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ....errors import InputError
from ...analysis.band_table import band_table
from ...analysis.profile_maps import AXES, BANDS, profile_map
from ...analysis.stored_maps import CLEAN, FoundMap
from ...stats.clustered import MIN_SPEAKERS
from .choice import explainers, short_name
from .of_runs import FigureOfRuns, beside
from .style import FAINT, GREY, INK, PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

NAME = "robustness-map"
MAX_METHODS = 3
CELL, LEAST_CELL = 0.5, 0.29  # inches; an interval does not fit in smaller ones
LETTER, LINE = 0.054, 0.12  # inches of a label's letter and line
SLANT = 45  # degrees of labels below that are wider than their cell
BAR = 0.85  # inches for the colour bar
TITLES = {"corpora": "across corpora,\nsame recogniser", "recognisers": "across recognisers,\nsame corpus"}
OF_OTHERS = (
    " A recogniser trained on another corpus than the one it hears is a recogniser of its own here, and no part of the "
    "map of corpora."
)


def draw_robustness_map(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `profile_map` of one or several methods, a row of two heat maps each.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.profile_maps.profile_map`; of several methods, one after the other.
    picture : path

    Raises
    ------
    InputError
        If there are neither two corpora nor two recognisers.
    """
    sizes = {axis: table.loc[table["axis"] == axis, "one"].nunique() for axis in AXES}
    if max(sizes.values()) < 2:
        raise InputError(
            f"figure {NAME}: needs runs of two corpora, or of two recognisers on one corpus; add --run for each."
        )
    methods = list(dict.fromkeys(table["method"]))
    drawn = [axis for axis in AXES if sizes[axis] > 1]
    table = table[table["axis"].isin(drawn)]
    colours = ScalarMappable(Normalize(-1, 1), sns.color_palette("vlag", as_cmap=True))
    of_others = any(name.endswith(")") for name in table.loc[table["axis"] == "recognisers", "one"])
    missing = [axis for axis in AXES if axis not in drawn]
    aside = f" No map of {missing[0]}: the runs have one only; add --run of another." if missing else ""
    note = (
        "On and below the diagonal all eight bands; above it, framed, without the lowest. Means over emotions, and "
        "over the recognisers or corpora that both have in common; both profiles of a pair come from disjoint halves "
        "of the speakers. Diagonal: split half, the most that can be expected. ± half the 95 % interval, jackknife "
        f"over speakers (none below {MIN_SPEAKERS} speakers of a corpus): it says nothing about other corpora or "
        f"recognisers.{aside}" + (OF_OTHERS if of_others else "")
    )
    heading = "Similarity of explanations across corpora and across recognisers"
    names = {axis: [_label(name) for name in table.loc[table["axis"] == axis, "one"].unique()] for axis in drawn}
    cell = cell_size(names)
    if cell < LEAST_CELL:
        note = note.replace("± half", "Not shown for lack of room (see the CSV): half")
    with rc_context(PAPER):
        rows = 0.6 + cell * max(len(labels) for labels in names.values()) + max(_below(x, cell) for x in names.values())
        figure, content = new_page(TWO_COLUMNS, 0.35 + len(methods) * rows, heading, note)
        axes = content.subplots(
            len(methods), len(drawn), squeeze=False, width_ratios=[len(labels) for labels in names.values()]
        )
        for row, method in zip(axes, methods, strict=True):
            for ax, axis in zip(row, drawn, strict=True):
                part = table[(table["method"] == method) & (table["axis"] == axis)]
                if part["one"].nunique() > 1:
                    _heat_map(ax, part, colours, cell)
                    ax.set_title(f"{method}\n{TITLES[axis]}", loc="left", fontweight="bold", fontsize=7)
                else:
                    ax.set_axis_off()
        bar = content.colorbar(colours, ax=axes, shrink=0.7, aspect=30, pad=0.02)
        bar.set_label("correlation of band profiles")
        return save(figure, table, picture, dpi=PAPER_DPI)


def cell_size(names: Mapping[str, Sequence[str]]) -> float:
    """Side of a cell in inches, so that maps of these labels fit beside each other.

    Parameters
    ----------
    names : mapping of str to sequence of str
        Labels of each map, lines broken.
    """
    beside = sum(LETTER * _width(labels) + 0.15 for labels in names.values())
    return min(CELL, (TWO_COLUMNS - BAR - beside) / sum(map(len, names.values())))


def _label(name: str) -> str:
    return short_name(name).replace(" (", "\n(trained on ")


def _width(labels: Sequence[str]) -> int:
    """Letters of the longest line."""
    return max(len(line) for label in labels for line in label.split("\n"))


def _slanted(labels: Sequence[str], cell: float) -> bool:
    return LETTER * _width(labels) > cell


def _below(labels: Sequence[str], cell: float) -> float:
    """Height of the labels below a map."""
    if not _slanted(labels, cell):
        return LINE * (1 + max(label.count("\n") for label in labels))
    longest = max(len(label) for label in labels)  # on one line: two would meet those beside
    return float((LETTER * longest + LINE) * np.sin(np.radians(SLANT)))


def _heat_map(ax: Any, part: pd.DataFrame, colours: ScalarMappable, cell: float) -> None:
    names = list(dict.fromkeys(part["one"]))
    known = part.set_index(["one", "other", "bands"])
    for i in range(len(names)):
        for j in range(len(names)):
            # each pair stands once in the table, in the order of the names
            place = (names[min(i, j)], names[max(i, j)], BANDS[int(j > i)])
            row = known.loc[place]
            value, half = row["correlation"], (row["high"] - row["low"]) / 2
            background = colours.to_rgba(value) if np.isfinite(value) else FAINT
            ax.add_patch(
                Rectangle(
                    (j - 0.47, i - 0.47), 0.94, 0.94, facecolor=background, edgecolor=GREY if j > i else "none",
                    linewidth=0.7,
                )
            )  # fmt: skip
            ink = "white" if np.isfinite(value) and abs(value) > 0.7 else INK
            spread = f"\n±{half:.2f}" if np.isfinite(half) and cell >= LEAST_CELL else ""
            told = f"{value + 0.0:.2f}{spread}" if np.isfinite(value) else "–"
            ax.text(
                j, i, told if cell >= LEAST_CELL else told.replace("0.", "."), ha="center", va="center",
                fontsize=SMALL + 0.5, color=ink,
            )  # fmt: skip
    ax.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    ax.set_anchor("NW")
    labels = [_label(name) for name in names]
    slanted = _slanted(labels, cell)
    below = [label.replace("\n", " ") for label in labels] if slanted else labels
    turned = {"rotation": SLANT, "ha": "right"} if slanted else {"rotation": 0, "ha": "center"}
    ax.set_xticks(range(len(names)), below, va="top", rotation_mode="anchor", **turned)
    ax.set_yticks(range(len(names)), labels)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def robustness_map_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_robustness_map` of runs: of the methods that are chosen, else EmoLIME's and the baseline energy.

    Raises
    ------
    InputError
        If the runs are of one corpus and recogniser, or too many methods are chosen.
    """
    chosen, methods = figure.methods(figure.found(MAX_METHODS, condition=CLEAN, repeat=0), _default)
    table, parts = band_table(figure.read(chosen)), []
    for done, method in enumerate(methods, 1):
        parts.append(profile_map(table, method))
        if figure.progress is not None:
            figure.progress("comparing profiles", done, len(methods))
    return draw_robustness_map(pd.concat(parts, ignore_index=True), figure.picture)


def _default(found: Sequence[FoundMap]) -> list[str]:
    explained = explainers((((one.corpus, one.kind), one.method) for one in found), ("emolime",))
    return [*explained[:1], *beside(["energy"])(found)]
