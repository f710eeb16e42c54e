"""Main effects and pairwise interactions of the parts of a clip as a square picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.colors import Normalize

from ....errors import InputError
from ....methods.attribution import Attribution
from .maps import AGAINST_TO_FOR
from .style import INK, STYLE, footnote, new_figure, save, title

LEGEND = (
    "Diagonal: the main effect of a band. Off it: what two bands do together beyond what each does; green: they need "
    "each other, vermilion: one stands in for the other. A band's weight is its main effect plus half of its "
    "interactions."
)


def interactions_of(attribution: Attribution) -> np.ndarray:
    """Matrix of main effects and interactions of an attribution.

    Raises
    ------
    InputError
        If it has none.
    """
    if attribution.interactions is None:
        raise InputError(f"an explanation by {attribution.method} has no interactions; band-interactions' has.")
    return attribution.interactions


def part_labels(attribution: Attribution) -> list[str]:
    """Labels of the parts: frequency ranges of bands, else ranges in time, else numbers.

    Examples
    --------
    >>> from serxai.audio import Grid
    >>> part_labels(Attribution([[1.0], [2.0]], Grid([0, 500, 8000], [0, 1]), "anger", "test"))
    ['0-500 Hz', '500-8000 Hz']
    """
    rows, columns = attribution.values.shape
    parts = rows * columns if attribution.interactions is None else len(attribution.interactions)
    freqs, times = attribution.grid.freq_edges_hz, attribution.grid.time_edges_s
    if columns == 1 and rows == parts:
        return [f"{low:.0f}-{high:.0f} Hz" for low, high in pairwise(freqs)]
    if rows == 1 and columns == parts:
        return [f"{start:.2f}-{end:.2f} s" for start, end in pairwise(times)]
    return [f"part {i + 1}" for i in range(parts)]


def interaction_matrix(attribution: Attribution, heading: str, picture: str | Path) -> Path:
    """Draw main effects and interactions as a matrix with printed numbers; the CSV holds each pair once.

    Parameters
    ----------
    attribution : Attribution
        With `interactions`.
    heading : str
    picture : path

    Raises
    ------
    InputError
        If it has no interactions.
    """
    effects, labels = interactions_of(attribution), part_labels(attribution)
    largest = float(np.abs(effects).max()) or 1.0
    with rc_context(STYLE):
        figure = new_figure(8.4, 7.2)
        ax: Any = figure.subplots()
        image = ax.imshow(effects, cmap=AGAINST_TO_FOR, norm=Normalize(-largest, largest))
        for i, j in np.ndindex(effects.shape):
            weight = "bold" if i == j else "normal"
            ax.text(j, i, f"{effects[i, j]:+.2f}", ha="center", va="center", fontsize=8.5, color=INK, fontweight=weight)
        ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(left=False, bottom=False)
        for side in ax.spines.values():
            side.set_visible(False)
        ax.set_title(f"{attribution.method}: {attribution.target}{_shares(attribution)}", loc="left", fontweight="bold")
        figure.colorbar(image, ax=ax, pad=0.015, aspect=25, ticks=[-largest, 0, largest], format="{x:.2g}")
        title(figure, heading)
        footnote(figure, LEGEND)
        rows = [
            (attribution.target, labels[i], labels[j], "main effect" if i == j else "interaction", effects[i, j])
            for i in range(len(labels))
            for j in range(i, len(labels))
        ]
        table = pd.DataFrame(rows, columns=["target", "part", "other", "kind", "effect"])
        return save(figure, table, picture, kinds=("png",))


def _shares(attribution: Attribution) -> str:
    details = attribution.details
    if "additive" not in details:
        return ""
    return f" (bands alone {details['additive']:.0%}, with pairs {details['with_pairs']:.0%} of the variance)"
