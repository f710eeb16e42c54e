"""Figure of robustness under shift: similarity over the measured strength, changed predictions below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ....errors import InputError
from ....methods.records import baselines
from ...analysis.robustness import clip_rows
from ...analysis.shift_curves import FALLING, shift_curves
from ...analysis.stored_maps import stored_maps
from ...stats.clustered import MIN_SPEAKERS
from ...storage.store import Store
from .choice import ANYTHING, Choice, by_registry, chosen_methods, explainers, one_of
from .style import (
    FAINT,
    GREY,
    MARKERS,
    PALETTE,
    PAPER,
    PAPER_DPI,
    TWO_COLUMNS,
    new_figure,
    paper_note,
    paper_title,
    save,
)

if TYPE_CHECKING:
    from ....progress import Progress

NAME = "shift"
MAX_METHODS = len(PALETTE)
PER_ROW = 4  # panels
BESIDE = ("energy", "random")  # baselines that are drawn unless methods are named


def draw_shift(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `shift_curves` of one corpus and recogniser, a panel for each kind of shift.

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
    kinds = list(table.groupby(["kind", "unit"], sort=False))
    methods = by_registry(table["method"])
    looks = {name: (PALETTE[i % MAX_METHODS], MARKERS[i % MAX_METHODS]) for i, name in enumerate(methods)}
    columns = min(PER_ROW, max(len(kinds), 2))
    blocks = -(-len(kinds) // columns)
    with rc_context(PAPER):
        figure = new_figure(TWO_COLUMNS, 1.0 + 2.5 * blocks)
        axes = figure.subplots(2 * blocks, columns, squeeze=False, sharey="row", height_ratios=[3, 1] * blocks)
        least = min(0.0, table[["similarity", "low", "floor"]].min().min())
        for place, ((kind, unit), part) in enumerate(kinds):
            block, column = divmod(place, columns)
            above, below = axes[2 * block, column], axes[2 * block + 1, column]
            _panel(above, part, looks)
            above.set(title=str(kind), ylim=(least - 0.03, 1.05))
            above.tick_params(labelbottom=False)
            _changed(below, part)
            below.set_xlabel(_axis_label(str(kind), str(unit)))
            below.set_xlim(*_limits(part["strength"], str(unit) in FALLING))
            above.set_xlim(below.get_xlim())
        for row in range(0, 2 * blocks, 2):
            axes[row, 0].set_ylabel("similarity to the map\nof the clip as recorded")
            axes[row + 1, 0].set_ylabel("predictions\nchanged")
        for place in range(len(kinds), blocks * columns):
            block, column = divmod(place, columns)
            axes[2 * block, column].set_axis_off()
            axes[2 * block + 1, column].set_axis_off()
        figure.legend(
            handles=_legend(looks, table["ceiling"].notna().any()),
            loc="outside lower center",
            ncols=4,
            handlelength=2.6,
        )
        first = table.iloc[0]
        paper_title(figure, f"Explanations under shift: {first['corpus']}, {first['model']}")
        least_n, most_n = table["n_clips"].min(), table["n_clips"].max()
        paper_note(
            figure,
            f"Spearman correlation of maps, mean over the clips whose predicted class is unchanged ({least_n} to "
            f"{most_n} of {table['n_all'].max()}) with 95 % interval (speakers as clusters; none below {MIN_SPEAKERS} "
            "speakers). Strength: mean as measured, stronger to the right where it has a direction. Grey bands: range "
            "over methods of floor (other clips explained for the same class) and ceiling (a repeat with another "
            "seed); open markers right: each method's own floor. Dashed: baselines. A map that ignores the recogniser "
            "is stable too.",
        )
        return save(figure, table, picture, dpi=PAPER_DPI)


def _panel(ax: Any, part: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    for bound in ("floor", "ceiling"):
        of_methods = part.groupby("method")[bound].mean().dropna()
        if len(of_methods):
            ax.axhspan(of_methods.min() - 0.004, of_methods.max() + 0.004, color=GREY, alpha=0.18, linewidth=0)
    shift = np.linspace(-1, 1, len(looks)) * 0.008 * np.ptp(_limits(part["strength"], False))
    for offset, (method, (colour, marker)) in zip(shift, looks.items(), strict=True):
        rows = part[part["method"] == method].sort_values("strength")
        if rows.empty:
            continue
        half = (rows["high"] - rows["low"]).to_numpy() / 2
        ax.errorbar(
            rows["strength"] + offset, rows["similarity"], yerr=half, color=colour, marker=marker, elinewidth=0.7,
            linestyle="--" if method in baselines() else "-", clip_on=False,
        )  # fmt: skip
        floor = rows["floor"].mean()
        ax.plot(
            1.03, floor, transform=ax.get_yaxis_transform(), color=colour, marker=marker, markerfacecolor="white",
            markersize=2.8, clip_on=False,
        )  # fmt: skip


def _changed(ax: Any, part: pd.DataFrame) -> None:
    """Changed predictions: the same for all methods that explain the same clips, else the mean over methods."""
    changed = part.groupby("strength")["changed"].mean()
    ax.plot(changed.index, changed, color=GREY, marker="o", clip_on=False)
    ax.fill_between(changed.index, 0, changed, color=GREY, alpha=0.15, linewidth=0)
    ax.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _limits(strength: pd.Series, falling: bool) -> tuple[float, float]:
    """Limits of an axis of strengths, the stronger shift right."""
    low, high = float(strength.min()), float(strength.max())
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return (high + margin, low - margin) if falling else (low - margin, high + margin)


def _axis_label(kind: str, unit: str) -> str:
    words = {"s T60": "reverberation time T60 / s", "dB SNR": "signal-to-noise ratio / dB", "st": "shift / semitones"}
    return words.get(unit, f"{'rate' if kind == 'tempo' else kind} / {unit}")


def _legend(looks: dict[str, tuple[str, str]], with_ceiling: bool) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], color=c, marker=m, linestyle="--" if name in baselines() else "-", label=name)
        for name, (c, m) in looks.items()
    ]
    what = "floor and ceiling, all methods" if with_ceiling else "floor, all methods (no repeats: no ceiling)"
    return [*handles, Patch(color=GREY, alpha=0.25, linewidth=0, label=what)]


def shift_of_runs(
    stores: Sequence[Store],
    picture: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    choice: Choice = ANYTHING,
) -> Path:
    """Draw `draw_shift` of runs: of the methods that are chosen, else up to six and the baselines energy and random.

    Raises
    ------
    InputError
        If the runs hold no shifted clip, or too many methods are chosen.
    """
    if len(choice.methods) > MAX_METHODS:
        raise InputError(f"--method: figure {NAME} shows at most {MAX_METHODS}, got {len(choice.methods)}.")
    maps = stored_maps(stores)
    shifted = [one for one in maps if one.condition != "clean"]
    if not shifted:
        return draw_shift(shift_curves(clip_rows([])), picture)
    corpus = one_of("--corpus", choice.corpus, [one.corpus for one in shifted])
    model = one_of("--model", choice.model, [one.recogniser for one in shifted if one.corpus == corpus])
    here = [one for one in maps if (one.corpus, one.recogniser) == (corpus, model)]
    known = {one.method for one in here}
    default = [*explainers(known)[: MAX_METHODS - len(BESIDE)], *(name for name in BESIDE if name in known)]
    methods = chosen_methods(NAME, choice, known, default)
    rows = clip_rows([one for one in here if one.method in methods], axes=["shift"], progress=progress)
    return draw_shift(shift_curves(rows), picture)
