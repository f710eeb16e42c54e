"""Figure of robustness under shift: similarity over the measured strength, changed predictions below.

Where runs have several strengths of a shift, the area under the score over them stands below the panels, by method.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator

from ....errors import InputError
from ....methods.records import baselines
from ...analysis.axis_rows import axis_tables
from ...analysis.robustness import ROWS
from ...analysis.shift_curves import shift_curves
from ...analysis.stored_maps import CLEAN, FoundMap
from ...stats.clustered import MIN_SPEAKERS
from .choice import by_registry, explainers, short_name
from .of_runs import FigureOfRuns, beside
from .style import (
    FAINT,
    GREY,
    MARKERS,
    PALETTE,
    PAPER,
    PAPER_DPI,
    SMALL,
    TWO_COLUMNS,
    legend_lines,
    new_page,
    save,
)

NAME = "shift"
RANDOM = "random"  # whose floor and ceiling are 0
MAX_METHODS = len(PALETTE)
PER_ROW, MOST_PER_ROW = 4, 5  # panels; more than three rows of them and the table would not fit a page
LINE = 0.135  # inches of height of a line of the table
ONE_LINE = 6  # methods up to which an area and its interval stand on one line
LABEL = 0.27  # share of the width for the names of the curves
LEAST_ROOM = {PER_ROW: 0.13, MOST_PER_ROW: 0.2}  # between two labels, of the range of strengths, by panels in a row
BANDS: dict[str, Any] = {
    "floor": {"facecolor": GREY, "alpha": 0.20},
    "ceiling": {"facecolor": "none", "edgecolor": GREY, "hatch": "//////", "alpha": 0.45},
}
AXES = {  # labels by unit
    "s T60": "reverberation T60 / s", "dB SNR": "signal-to-noise ratio / dB", "st": "shift / semitones",
    "Hz band": "width of the band / kHz", "kbit/s": "bit rate / kbit/s", "times": "tempo (1: as recorded)",
    "dB": "gain / dB",
}  # fmt: skip
SCALE = {"Hz band": 1e-3}
BOTH_WAYS = ("gain", "pitch", "tempo")  # kinds of shift with a curve in either direction
HEIGHTS = {1: 2.35, 2: 2.35, 3: 1.9}  # inches of a row of panels, by their number
MOST_WORDS = 2  # rows of panels up to which the labels of their y axes say it all
APART = "°"  # behind an area over other clips than those of the methods beside it
WORDS = {"room": "reverberation", "babble mix": "babble", "opus": "Opus", "mp3": "MP3"}  # kinds of shift
BESIDE = ("energy", RANDOM)  # baselines that are drawn unless methods are named


def draw_shift(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `shift_curves` of one corpus and recogniser, a panel for each shift, from its weakest strength on.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.shift_curves.shift_curves`, of at most eight methods.
    picture : path

    Raises
    ------
    InputError
        If it is empty.
    """
    if table.empty:
        raise InputError(
            f"figure {NAME}: the runs hold no shifted clip and the same clip as recorded; run them with --condition "
            "clean --condition noise-20db --condition noise-10db (see: serxai ls conditions)."
        )
    shifts = [part for _, part in table.groupby("shift", sort=False)]
    areas = table[table["curve"] != ""].drop_duplicates(["method", "curve"])
    methods = by_registry(table["method"])
    looks = {name: (PALETTE[i % MAX_METHODS], MARKERS[i % MAX_METHODS]) for i, name in enumerate(methods)}
    columns = min(PER_ROW if len(shifts) <= 2 * PER_ROW else MOST_PER_ROW, max(len(shifts), 2))
    blocks, room = -(-len(shifts) // columns), LEAST_ROOM[max(columns, PER_ROW)]
    least = min(0.0, table[["similarity", "low", "floor"]].min().min())
    first, least_n, most_n = table.iloc[0], table["n_clips"].min(), table["n_clips"].max()
    heading = f"Explanations under shift: {first['corpus']}, {short_name(first['model'], first['corpus'])}"
    clips = f"{most_n}" if least_n == most_n else f"{least_n} to {most_n}"
    of_all = " or ".join(str(n) for n in sorted(table["n_all"].unique()))
    note = (
        f"Rank correlation of maps, mean over the clips whose predicted class is unchanged ({clips} of "
        f"{of_all}), with 95 % interval (speakers as clusters; none below {MIN_SPEAKERS} speakers). "
        "Strength: mean as measured, the stronger the further right. A line is of one set of clips: those that the "
        "methods with all strengths explained at each. Open markers on the right: "
        "each method's own floor, the similarity to other clips explained for the same class; only what lies above it "
        "is due to the clip. Bands: range of floors and of ceilings (a repeat with another seed), without random. "
        "Dashed: baselines; a map that ignores the recogniser is stable too."
    )
    if len(areas):
        note += (
            " Area: under (similarity - floor) / (ceiling - floor) over the strengths of a shift, equally spaced on "
            "0..1, same clips; [95 %] by a jackknife over speakers, none where a strength has fewer "
            f"than {MIN_SPEAKERS} with an unchanged prediction (the fewest are given); – where a strength has no score."
        )
    if (table["apart"] != "").any():
        note += (
            " Dotted: methods that lack strengths that others have, and have no area, or that explained other clips "
            f"({APART})."
        )
    with rc_context(PAPER):
        panels, below = HEIGHTS.get(blocks, min(HEIGHTS.values())) * blocks, _table_height(areas)
        figure, content = new_page(TWO_COLUMNS, 0.75 + panels + below, heading, note)
        parts = content.add_gridspec(2, 1, height_ratios=(panels, below)) if below else content.add_gridspec(1, 1)
        grid = parts[0].subgridspec(2 * blocks, columns, height_ratios=[3, 1] * blocks)
        axes = grid.subplots(squeeze=False, sharey="row")
        for ax in axes.ravel():
            ax.set_axis_off()
        for place, part in enumerate(shifts):
            first = part.iloc[0]
            block, column = divmod(place, columns)
            above, changed = axes[2 * block, column], axes[2 * block + 1, column]
            above.set_axis_on()
            changed.set_axis_on()
            _panel(above, part, looks)
            above.set_title(shift_title(first["kind"], first["shift"]), fontweight="bold")
            above.set_ylim(least - 0.03, 1.05)
            _changed(changed, part)
            changed.set_xlabel(AXES.get(first["unit"], f"{first['kind']} / {first['unit']}"))
            measured = _by_strength(part)["strength"].dropna()
            for ax in (above, changed):
                ax.set_xlim(*limits(part))
                ax.xaxis.set_major_locator(FixedLocator(readable_ticks(sorted(measured), room)))
                ax.xaxis.set_major_formatter(partial(strength_text, unit=first["unit"]))
            above.tick_params(labelbottom=False)
            if column == 0:
                roomy = blocks <= MOST_WORDS
                above.set_ylabel("similarity to the map\nof the clip as recorded" if roomy else "similarity")
                changed.set_ylabel("predictions\nchanged" if roomy else "changed")
        if below:
            _areas(content.add_subplot(parts[1]), areas, looks)
        content.legend(handles=_legend(looks, table), loc="outside lower center", ncols=5, handlelength=2.6)
        return save(figure, table, picture, dpi=PAPER_DPI)


def shift_title(kind: str, shift: str) -> str:
    """Name of a shift for a panel.

    Examples
    --------
    >>> shift_title("pitch", "lower"), shift_title("room", "reverb"), shift_title("white noise", "noise")
    ('pitch, lower', 'reverberation', 'white noise')
    """
    return f"{kind}, {shift}" if kind in BOTH_WAYS else WORDS.get(kind, kind)


def strength_text(x: float, _: int = 0, unit: str = "") -> str:
    """Label of a strength, with two digits.

    Examples
    --------
    >>> strength_text(3100.0, unit="Hz band"), strength_text(-0.99), strength_text(26.8), strength_text(-0.001)
    ('3.1', '-1', '27', '0')
    """
    x *= SCALE.get(unit, 1.0)
    x = round(x, 1 if abs(x) > 0.95 else 2) + 0.0  # without -0
    return f"{x:.2g}" if abs(x) < 100 else f"{x:.0f}"


def readable_ticks(measured: Sequence[float], room: float = LEAST_ROOM[PER_ROW]) -> list[float]:
    """Strengths whose labels do not overlap: the least and the largest, and those between with room around them.

    Parameters
    ----------
    measured : sequence of float
        Ascending.
    room : float
        Share of the range.

    Examples
    --------
    >>> readable_ticks([0.10, 0.16, 0.29, 0.46, 0.64])
    [0.1, 0.29, 0.46, 0.64]
    """
    kept = [measured[0], measured[-1]] if len(measured) > 1 else list(measured)
    room *= measured[-1] - measured[0]
    for place in measured[1:-1]:
        if min(abs(place - other) for other in kept) >= room:
            kept.append(place)
    return sorted(kept)


def _panel(ax: Any, part: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    for bound, look in BANDS.items():
        of_methods = part[part["method"] != RANDOM].groupby("method")[bound].mean().dropna()
        if len(of_methods):
            ax.axhspan(of_methods.min() - 0.005, of_methods.max() + 0.005, linewidth=0, **look)
    shift = np.linspace(-1, 1, len(looks)) * 0.008 * np.ptp(limits(part))
    for offset, (method, (colour, marker)) in zip(shift, looks.items(), strict=True):
        rows = part[part["method"] == method].sort_values("strength")
        if rows.empty:
            continue
        half = (rows["high"] - rows["low"]).to_numpy() / 2
        ax.errorbar(
            rows["strength"] + offset, rows["similarity"], yerr=half, color=colour, marker=marker, elinewidth=0.7,
            linestyle=":" if (rows["apart"] != "").any() else "--" if method in baselines() else "-", clip_on=False,
        )  # fmt: skip
        floor = rows["floor"].mean()
        ax.plot(
            1.03, floor, transform=ax.get_yaxis_transform(), color=colour, marker=marker, markerfacecolor="white",
            markersize=2.8, clip_on=False,
        )  # fmt: skip


def _changed(ax: Any, part: pd.DataFrame) -> None:
    """Changed predictions: the same for all methods that explain the same clips, else the mean over methods."""
    told = _by_strength(part)
    ax.plot(told["strength"], told["changed"], color=GREY, marker="o", clip_on=False)
    ax.fill_between(told["strength"], 0, told["changed"], color=GREY, alpha=0.15, linewidth=0)
    ax.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _by_strength(part: pd.DataFrame) -> pd.DataFrame:
    """Strength and share of changed predictions by condition, weakest first, of methods with all of them if any."""
    whole = part[part["apart"] == ""]
    return (whole if len(whole) else part).groupby("condition", sort=False)[["strength", "changed"]].mean()


def _table_height(areas: pd.DataFrame) -> float:
    """Inches for `_areas`: title and names of the methods, and the lines of each curve."""
    lines = 1 if areas["method"].nunique() <= ONE_LINE else 2
    return LINE * (4.5 + lines * areas["curve"].nunique()) if len(areas) else 0.0


def _areas(ax: Any, areas: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """Table of the areas under the curves: a row for each curve, a column for each method."""
    curves = list(dict.fromkeys(areas["curve"]))
    known = areas.set_index(["curve", "method"])
    one_line = len(looks) <= ONE_LINE
    ax.set(xlim=(0, 1), ylim=(len(curves) - 0.5, -0.5 - 1.8 / (1 if one_line else 2)))
    ax.set_axis_off()
    ax.set_title("Area under the score over the strengths of a shift [95 %]", loc="left", fontweight="bold")
    centres = LABEL + (np.arange(len(looks)) + 0.5) * (1 - LABEL) / len(looks)
    for x, (method, (colour, _)) in zip(centres, looks.items(), strict=True):
        ax.text(x, -0.65, fill(method, 13), ha="center", va="bottom", color=colour, fontsize=SMALL, linespacing=0.95)
    for y, curve in enumerate(curves):
        ax.axhline(y - 0.5, color=FAINT, linewidth=0.6)
        ax.text(0, y, curve_label(areas[areas["curve"] == curve]), va="center", fontsize=SMALL)
        for x, method in zip(centres, looks, strict=True):
            told = area_text(known.loc[(curve, method)], one_line) if (curve, method) in known.index else ""
            ax.text(x, y, told, ha="center", va="center", fontsize=SMALL, linespacing=1.0)


def curve_label(areas: pd.DataFrame) -> str:
    """Name of a curve and the speakers that its areas rest on."""
    first, speakers = areas.iloc[0], sorted({int(n) for n in areas["area_speakers"] if n > 0}) or [0]
    name = shift_title(first["kind"], first["curve"])
    n = f"{speakers[0]}" if len(speakers) == 1 else f"{speakers[0]} to {speakers[-1]}"
    few = ": described only" if speakers[-1] < MIN_SPEAKERS and areas["area"].notna().any() else ""
    return f"{name} ({n} speaker{'' if n == '1' else 's'}{few})"


def area_text(row: pd.Series, one_line: bool) -> str:
    """Area of a row of `shift_curves` with its interval, where there is one."""
    if not np.isfinite(row["area"]):
        return (row["apart"] if one_line else row["apart"].replace(" s", "\ns")) or "–"
    interval = f"[{row['area_low']:.2f}, {row['area_high']:.2f}]" if np.isfinite(row["area_low"]) else ""
    return f"{row['area'] + 0.0:.2f}{APART * bool(row['apart'])}{' ' if one_line else chr(10)}{interval}".rstrip()


def limits(part: pd.DataFrame) -> tuple[float, float]:
    """Limits of the axis of strengths of a shift: the weakest left, also where that is the larger number.

    Parameters
    ----------
    part : DataFrame
        Of `shift_curves`, one shift.
    """
    measured = _by_strength(part)["strength"].dropna()
    low, high = float(part["strength"].min()), float(part["strength"].max())
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    falling = len(measured) > 1 and measured.iloc[-1] < measured.iloc[0]
    return (high + margin, low - margin) if falling else (low - margin, high + margin)


def _legend(looks: dict[str, tuple[str, str]], table: pd.DataFrame) -> list[Any]:
    handles: list[Any] = legend_lines(looks, baselines())
    known = table[table["method"] != RANDOM]
    return handles + [
        Patch(label=f"{bound}s" if known[bound].notna().any() else f"no {bound}: run with --repeats 2", **look)
        for bound, look in BANDS.items()
    ]


def shift_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_shift` of runs: of chosen methods, else of up to six with most strengths, energy and random.

    Raises
    ------
    InputError
        If the runs hold no shifted clip, or too many methods are chosen.
    """
    found = figure.found(MAX_METHODS, every_fill=True)
    shifted = [one for one in found if one.condition != CLEAN]
    if not shifted:
        return draw_shift(shift_curves(pd.DataFrame(columns=ROWS)), figure.picture)
    setting = figure.setting(shifted)
    chosen, _ = figure.methods((one for one in found if (one.corpus, one.recogniser) == setting), _default)
    rows = axis_tables(chosen, axes=["shift"], corpora=False, progress=figure.progress).rows
    return draw_shift(shift_curves(rows), figure.picture)


def _default(found: Sequence[FoundMap]) -> list[str]:
    explained = explainers((one.condition, one.method) for one in found if one.condition != CLEAN)
    return [*explained[: MAX_METHODS - len(BESIDE)], *beside(BESIDE)(found)]
