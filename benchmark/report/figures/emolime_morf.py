"""Figure of band removal: predictions kept and log-odds left, most relevant bands first and at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.lines import Line2D

from ....errors import InputError
from ....methods.records import baselines
from ....metrics.similarity import PROFILE_BANDS
from ...analysis.band_removal import SETTING, removal_curves
from ...analysis.stored_maps import CLEAN, FoundMap
from ...stats.clustered import MIN_SPEAKERS
from .choice import by_registry, explainers, short_name
from .of_runs import FigureOfRuns, beside
from .style import (
    FAINT,
    GREY,
    INK,
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

NAME = "emolime-morf"
MAX_PANELS, MAX_METHODS = 12, 4
PER_ROW = 4
LABELS = {
    "label kept": "share of predictions kept\n(paper: by absolute weight)",
    "log-odds": "log-odds of the class\n(ours: by signed weight)",
}


def draw_emolime_morf(table: pd.DataFrame, picture: str | Path, held: Sequence[tuple[str, str]] = ()) -> Path:
    """Draw `removal_curves`: a column for each corpus and recogniser, `PER_ROW` side by side, a row for each rule.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.band_removal.removal_curves`; the first `MAX_PANELS` settings are drawn.
    picture : path
    held : sequence of (corpus, recogniser)
        Settings whose tables of masks the runs hold; those that are not drawn are named.

    Raises
    ------
    InputError
        If it is empty.
    """
    if table.empty:
        raise InputError(
            f"figure {NAME}: the runs hold no explanation that scored every set of eight bands; run them with "
            "--method emolime."
        )
    every = list(table.groupby(SETTING, sort=False))
    panels = every[:MAX_PANELS]
    table = pd.concat([part for _, part in panels], ignore_index=True)
    methods = by_registry(table["method"])
    looks = {name: (PALETTE[i], MARKERS[i]) for i, name in enumerate(methods)}
    of_clips = table.groupby(SETTING)["n_clips"].max()
    clips = str(of_clips.max()) if of_clips.nunique() == 1 else f"{of_clips.min()} to {of_clips.max()}"
    note = (
        f"{clips} clips a panel, read from EmoLIME's tables of all 256 sets of bands, without a further model call. "
        "Above, the paper's rule: bands in the order of their absolute weight, a prediction is kept where its "
        "one-vs-rest probability stays on its side of one half. Below, ours: bands that speak most for the class "
        "first, no threshold. Dotted: mean over all orders. delta-AUC: area between dotted and own line over the "
        "removed share; higher is better, 0 is chance. Shaded, in brackets: 95 %, speakers as clusters (none below "
        f"{MIN_SPEAKERS} speakers). Dashed: baselines, their maps summed over the bands."
    )
    curves, drawn = {place for place, _ in every}, {place for place, _ in panels}
    for why, places in (
        (f"room for {MAX_PANELS} panels", [place for place in curves if place not in drawn]),
        ("tables of masks without a map of these methods", [place for place in held if place not in curves]),
    ):
        if places:
            told = "; ".join(f"{corpus} {short_name(model, corpus)}" for corpus, model in sorted(places))
            note += f" Not drawn, {why}: {told}."
    with rc_context(PAPER):
        width = TWO_COLUMNS if len(panels) > 1 else 0.6 * TWO_COLUMNS
        across, down = min(PER_ROW, len(panels)), -(-len(panels) // PER_ROW)
        figure, content = new_page(width, 4.3 * down + 0.3, "Removal of frequency bands, most relevant first", note)
        axes = content.subplots(2 * down, across, squeeze=False, sharex=True, sharey="row")
        columns = [axes[2 * row : 2 * row + 2, place] for row in range(down) for place in range(across)]
        for column in columns[len(panels) :]:
            for ax in column:
                ax.set_visible(False)
        for column, ((corpus, model), part) in zip(columns, panels, strict=False):
            for ax, (_, rows) in zip(column, part.groupby("rule", sort=False), strict=True):
                _panel(ax, rows, looks)
            column[0].set_title(f"{corpus}\n{short_name(model, corpus)}", fontweight="bold", loc="left")
            column[1].set_xlabel("bands removed, of 8")
            column[1].tick_params(labelbottom=True)
        for ax, words in zip(axes[:, 0], list(LABELS.values()) * down, strict=True):
            ax.set_ylabel(words)
        for ax in axes[::2, 0]:
            ax.set_ylim(-0.03, 1.03)
            ax.set_yticks(np.linspace(0, 1, 6))
        for ax in axes[:, 0]:
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.1 * (1 + len(methods)) * (high - low))  # room for the numbers
        handles = legend_lines(looks, baselines())
        handles.append(Line2D([], [], color=GREY, linestyle=":", label="random order"))
        content.legend(handles=handles, loc="outside lower center", ncols=5)
        return save(figure, table, picture, dpi=PAPER_DPI)


def _panel(ax: Any, rows: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    random = rows.groupby("removed")["at_random"].mean()
    ax.plot(random.index, random, color=GREY, linestyle=":", linewidth=1.4)
    told = []
    for method, (colour, marker) in looks.items():
        own = rows[rows["method"] == method].sort_values("removed")
        if own.empty:
            continue
        ax.fill_between(own["removed"], own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
        style = "--" if method in baselines() else "-"
        ax.plot(own["removed"], own["value"], color=colour, marker=marker, linestyle=style)
        first = own.iloc[0]
        interval = ""
        if np.isfinite(first["delta_auc_low"]):
            interval = f" [{first['delta_auc_low']:.2f}, {first['delta_auc_high']:.2f}]"
        told.append((f"{round(first['delta_auc'], 2) + 0.0:.2f}{interval}", colour))
    told.append(("delta-AUC", INK))
    for line, (text, colour) in enumerate(told):
        y = 0.97 - 0.075 * (len(told) - 1 - line)
        lit = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.4}  # over the lines of the grid
        ax.text(
            0.98, y, text, transform=ax.transAxes, color=colour, fontsize=SMALL, ha="right", va="top", bbox=lit,
        )  # fmt: skip
    ax.set_xticks(range(0, PROFILE_BANDS + 1, 2))


def emolime_morf_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_emolime_morf` of runs: of the methods that are chosen, else EmoLIME and the baseline energy.

    Raises
    ------
    InputError
        If the runs hold no table of all masks, or too many methods are chosen.
    """
    found = figure.found(MAX_METHODS, condition=CLEAN, repeat=0)
    if not any(one.has_table for one in found):
        return draw_emolime_morf(removal_curves([], []), figure.picture)
    chosen, methods = figure.methods(found, _default)
    # the responses to masks are read from any method's explanation that stores them
    tables = {(one.corpus, one.recogniser, one.clip, one.target): one for one in found if one.has_table}
    maps = figure.read(list(dict.fromkeys([*chosen, *tables.values()])))
    held = list(dict.fromkeys((one.corpus, one.recogniser) for one in tables.values()))
    return draw_emolime_morf(removal_curves(maps, methods), figure.picture, held)


def _default(found: Sequence[FoundMap]) -> list[str]:
    with_table = (((one.corpus, one.recogniser), one.method) for one in found if one.has_table)
    return [*explainers(with_table, ("emolime",))[:1], *beside(["energy"])(found)]
