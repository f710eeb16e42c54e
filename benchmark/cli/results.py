"""``serxai leaderboard`` and ``figures``: reports of finished runs."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ..analysis.axis_board import axis_board, passed_bar
from ..analysis.axis_rows import axis_tables
from ..analysis.merge import merged, refuse_incomplete
from ..analysis.stored_maps import found_maps
from ..report.catalogue import draw_figure
from ..report.conventions import read_conventions
from ..report.html import write_board
from ..report.page.write import ASSETS, Source
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes, refuse_links, writing
from ..storage.store import Store
from .console import Bars, Console
from .inputs import figure_choice


def leaderboard(arguments: Namespace) -> int:
    """Write the leaderboard of one or several runs."""
    stores = [Store(path) for path in arguments.runs]
    scores, infos, notes = merged(stores, arguments.partial)
    conventions = [table for store in stores for table in read_conventions(store.path / "report")]
    refuse_links(arguments.out, ["figures", ASSETS])
    axes = _axes(stores, scores)
    source = Source(stores, arguments.data_root, arguments.clips)
    with writing(arguments.out, resumable=False):
        _, page = write_board(
            scores, infos, arguments.out, notes=notes, conventions=conventions, axes=axes, source=source,
            strength=_strength(stores),
        )  # fmt: skip
    print_notes(notes)
    Console().print(f"leaderboard: {page.resolve()}", highlight=False, soft_wrap=True)
    return 0


def _strength(stores: Sequence[Store]) -> pd.DataFrame | None:
    """Tables that ``serxai robustness RUN --out RUN/robustness`` wrote, together; None where there is none."""
    files = [store.path / "robustness" / "robustness.csv" for store in stores]
    tables = [_robustness(file) for file in files if file.is_file()]
    return pd.concat(tables, ignore_index=True) if tables else None


def _robustness(file: Path) -> pd.DataFrame:
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


def _axes(stores: Sequence[Store], scores: pd.DataFrame) -> pd.DataFrame:
    """Robustness on the four axes; empty where the runs hold nothing to compare, or no explanations that say enough."""
    try:
        with Bars() as bars:
            tables = axis_tables(found_maps(stores), progress=bars)
    except InputError as error:
        print_notes([f"no board of the four axes: {error}"])
        return pd.DataFrame()
    return axis_board(tables, passed_bar(scores))


def print_notes(notes: Iterable[str]) -> None:
    """Print what the readers of merged runs must know, beside the result."""
    for note in notes:
        print(f"serxai: {note}", file=sys.stderr)


def figures(arguments: Namespace) -> int:
    """Draw one figure by name."""
    stores = [Store(path) for path in arguments.run]
    for store in stores:
        store.refuse_damage()
        refuse_incomplete(store)
    choice = figure_choice(arguments)
    with Bars() as bars, writing(arguments.out, resumable=False):
        paths = draw_figure(arguments.name, stores, arguments.out, arguments.data_root, bars, choice)
    for path in paths:
        Console().print(str(path), highlight=False, soft_wrap=True)
    return 0
