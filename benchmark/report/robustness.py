"""Robustness of the explanations of runs, as a board and its page show it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ...errors import InputError
from ...progress import Progress
from ..analysis.axis_board import COLUMNS, axis_board, axis_clips, passed_bar, ranked_axes
from ..analysis.axis_rows import axis_tables
from ..analysis.robustness import ROWS, pooled
from ..analysis.stored_maps import found_maps
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes
from ..storage.store import Store

FILE = Path("robustness") / "robustness.csv"  # in a run's folder, by `serxai robustness RUN --out RUN/robustness`


class Robustness(NamedTuple):
    """Robustness on the four axes.

    Attributes
    ----------
    axes : DataFrame
        `analysis.axis_board.axis_board`; without rows where nothing can be compared.
    clips : DataFrame
        `analysis.axis_board.axis_clips`: the comparisons behind it.
    strength : DataFrame
        `analysis.robustness.pooled`: each shifted condition, recogniser and training by itself.
    """

    axes: pd.DataFrame
    clips: pd.DataFrame
    strength: pd.DataFrame


NOTHING = Robustness(pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=ROWS), pd.DataFrame())


def ranked(robust: Robustness, scores: pd.DataFrame, board: pd.DataFrame) -> Robustness:
    """Robustness with marks and ranks by the bar of a board, the `leaderboard` of the scores."""
    return robust._replace(axes=ranked_axes(robust.axes, passed_bar(scores, board)))


def robustness_of(stores: Sequence[Store], progress: Progress | None = None) -> tuple[Robustness, list[str]]:
    """Robustness of the explanations of runs, not `ranked` yet, and notes on what is missing.

    Where a run holds `FILE`, strength curves are drawn from it, since it may be of more runs, or another measure.

    Parameters
    ----------
    stores : sequence of Store
    progress : callable, optional

    Raises
    ------
    InputError
        If `FILE` of a run cannot be read.
    """
    files = [store.path / FILE for store in stores if (store.path / FILE).is_file()]
    written = [read_table(file) for file in files]
    curves = pd.concat(written, ignore_index=True) if written else NOTHING.strength
    try:
        tables = axis_tables(found_maps(stores), progress=progress)
    except InputError as error:
        return NOTHING, [f"no board of the four axes: {error}"]
    if tables.rows.empty and tables.bands.empty:
        return NOTHING._replace(strength=curves), []
    clips = axis_clips(tables.rows)
    return Robustness(axis_board(tables), clips, curves if written else pooled(clips)), []


def read_table(file: Path) -> pd.DataFrame:
    """Content of one robustness.csv, which anybody may have written.

    Raises
    ------
    InputError
        If it is no such table, or its scores are no numbers.
    """
    try:
        table = pd.read_csv(io.BytesIO(read_bytes(file, MAX_FILE_BYTES)))
        for name in {"score", "low", "high"} & set(table.columns):
            table[name] = pd.to_numeric(table[name])
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{file}: cannot be read ({' '.join(str(error).split())[:200]}); write it again with serxai robustness."
        ) from None
    return table
