"""EmoLIME's robustness figure: mean band weights by recogniser and emotion, a line for each corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ....errors import InputError
from ...analysis.band_table import band_table
from ...analysis.published_profiles import BY_HAND, DEEP, HERE, PUBLISHED, profile_table
from ...analysis.stored_maps import CLEAN, FoundMap
from ...stats.clustered import MIN_SPEAKERS
from .choice import explainers, short_name
from .maps import MAX_HZ, from_mel, mel
from .of_runs import FigureOfRuns
from .style import (
    FAINT,
    GREY,
    MARKERS,
    PALETTE,
    PAPER,
    PAPER_DPI,
    SMALL,
    TWO_COLUMNS,
    new_page,
    save,
)

NAME = "emolime-robustness"
EMOTIONS = ("anger", "happiness", "sadness", "neutral")  # of the published figure, in its order
MAX_MODELS = 4
TICKS_HZ = (500, 1000, 2000, 4000)


def draw_emolime_robustness(table: pd.DataFrame, method: str, picture: str | Path, unsaid: str = "") -> Path:
    """Draw `profile_table`: rows are recognisers, each kind followed by the published one; columns are emotions.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.published_profiles.profile_table`; the first four recognisers are drawn.
    method : str
    picture : path
    unsaid : str
        What the runs hold and the table does not, for the note.

    Raises
    ------
    InputError
        If it is empty.
    """
    if table.empty:
        raise InputError(f"figure {NAME}: the runs hold no explanation by {method} of a clip as recorded.")
    here = table[table["source"] == HERE]
    models = list(dict.fromkeys(here["model"]))[:MAX_MODELS]
    left_out = _left_out(here, models)
    explained = set(here.loc[here["model"].isin(models), "emotion"])
    emotions = [e for e in EMOTIONS if e in explained] or sorted(explained)[: len(EMOTIONS)]
    rows = _rows(here, models)
    table = table[table["emotion"].isin(emotions) & table["model"].isin([model for _, model in rows])]
    corpora = list(dict.fromkeys(table["corpus"]))
    looks = {name: (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(corpora)}
    heading = f"Band weights of {method} by recogniser, emotion and corpus, beside the published ones"
    note = (
        "Points stand at the middle of the eight bands, on a mel axis with their true edges (faint lines); the "
        "paper's figure labels the same bands 0-1 to 7-8 kHz. Weights of a clip have a sum of absolute values of 1; "
        f"shaded: 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} speakers). Published weights (grey "
        "panels) have another scale: compare shapes. r: correlation over bands with the published line of the same "
        "corpus and emotion below, in brackets its 95 % jackknife interval over speakers."
    )
    note += "".join(f" {text}." for text in [*left_out, *([unsaid] if unsaid else [])])
    with rc_context(PAPER):
        figure, content = new_page(TWO_COLUMNS, 0.7 + 1.2 * len(rows), heading, note)
        axes = content.subplots(len(rows), len(emotions), sharex=True, sharey="row", squeeze=False)
        for line, (source, model) in zip(axes, rows, strict=True):
            for ax, emotion in zip(line, emotions, strict=True):
                part = table[(table["source"] == source) & (table["model"] == model) & (table["emotion"] == emotion)]
                _panel(ax, part, looks)
                if source == PUBLISHED:
                    ax.set_facecolor("#f4f4f4")
            line[0].set_ylabel(f"{'published: ' * (source == PUBLISHED)}{short_name(model)}\nmean weight")
            line[0].yaxis.set_major_locator(MaxNLocator(4))
            if source == HERE:
                low, high = line[0].get_ylim()
                line[0].set_ylim(low, high + 0.06 * (2 + len(corpora)) * (high - low))  # room for the correlations
        for ax, emotion in zip(axes[0], emotions, strict=True):
            ax.set_title(emotion, fontweight="bold")
        for ax in axes[-1]:
            ax.set_xlabel("frequency / kHz")
        handles = [Line2D([], [], color=c, marker=m, label=name) for name, (c, m) in looks.items()]
        content.legend(handles=handles, loc="outside lower center", ncols=6)
        return save(figure, table, picture, dpi=PAPER_DPI)


def _left_out(here: pd.DataFrame, drawn: Sequence[str]) -> list[str]:
    """Recognisers that are not drawn, with their corpora."""
    others = here[~here["model"].isin(drawn)].groupby("model", sort=False)["corpus"].unique()
    told = [f"{short_name(str(model))} on {', '.join(corpora)}" for model, corpora in others.items()]
    return [f"Not drawn, room for {MAX_MODELS} recognisers: {'; '.join(told)} (draw them by --run)"] * bool(told)


def _rows(here: pd.DataFrame, models: Sequence[str]) -> list[tuple[str, str]]:
    """Source and recogniser of each row of panels: recognisers of a kind, then the published one beside them."""
    kind = here.drop_duplicates("model").set_index("model")["beside"]
    rows = []
    for published in (BY_HAND, DEEP):
        of_kind = [(HERE, model) for model in models if kind[model] == published]
        rows += [*of_kind, (PUBLISHED, published)] if of_kind else []
    return rows


def _panel(ax: Any, part: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    told = []
    for corpus, (colour, marker) in looks.items():
        rows = part[part["corpus"] == corpus].sort_values("band")
        if rows.empty:
            continue
        middle = from_mel((mel(rows["low_hz"]) + mel(rows["high_hz"])) / 2)
        ax.plot(middle, rows["weight"], color=colour, marker=marker)
        ax.fill_between(middle, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        first = rows.iloc[0]
        if np.isfinite(first["r"]):
            interval = f" [{first['r_low']:.2f}, {first['r_high']:.2f}]" if np.isfinite(first["r_low"]) else ""
            told.append((f"r {first['r']:.2f}{interval}", colour))
    if part.empty:
        ax.text(0.5, 0.6, "no clip", transform=ax.transAxes, ha="center", fontsize=SMALL, color=GREY)
    for line, (text, colour) in enumerate(told):
        ax.text(
            0.98, 0.97 - 0.13 * line, text, transform=ax.transAxes, ha="right", va="top", fontsize=SMALL, color=colour
        )
    for edge in part.loc[part["band"] > 0, "low_hz"].unique():
        ax.axvline(edge, color=FAINT, linewidth=0.6, zorder=0)
    ax.set_xscale("function", functions=(mel, from_mel))
    ax.set_xlim(0, MAX_HZ)
    ax.xaxis.set_major_locator(FixedLocator(TICKS_HZ))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz / 1000:g}"))


def emolime_robustness_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_emolime_robustness` of runs: of the method that is chosen, else EmoLIME's.

    Raises
    ------
    InputError
        If the runs hold no explanation by it, or several methods are chosen.
    """
    found = figure.found(1, condition=CLEAN, repeat=0)
    chosen, (method,) = figure.methods(found, _default)
    held = dict.fromkeys((one.recogniser, one.corpus) for one in found)
    for one in chosen:
        held.pop((one.recogniser, one.corpus), None)
    told = "; ".join(f"{short_name(model, corpus)} on {corpus}" for model, corpus in held)
    unsaid = f"No explanation by {method}: {told}" if held else ""
    table = profile_table(band_table(figure.read(chosen)), method)
    return draw_emolime_robustness(table, method, figure.picture, unsaid)


def _default(found: Sequence[FoundMap]) -> list[str]:
    return explainers((((one.corpus, one.kind), one.method) for one in found), ("emolime",))[:1]
