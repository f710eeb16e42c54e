"""``serxai leaderboard`` and ``figures``: reports of finished runs."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable

from ..analysis.merge import merged, refuse_incomplete
from ..analysis.retrainings import recorded_trainings
from ..report.catalogue import draw_figure
from ..report.conventions import read_conventions
from ..report.html import write_board
from ..report.page.write import ASSETS, Source
from ..report.robustness import robustness_of
from ..report.short import short_ranking
from ..report.tables import tests_note
from ..storage.files import refuse_links, writing
from ..storage.store import Store
from .console import Bars, Console
from .fitted_table import width_of
from .inputs import figure_choice


def leaderboard(arguments: Namespace) -> int:
    """Write the leaderboard of one or several runs."""
    stores = [Store(path) for path in arguments.runs]
    scores, infos, notes = merged(stores, arguments.partial)
    conventions = [table for store in stores for table in read_conventions(store.path / "report")]
    refuse_links(arguments.out, ["figures", ASSETS])
    with Bars() as bars:
        robust, missing = robustness_of(stores, bars)
    print_notes(missing)
    source = Source(stores, arguments.data_root, arguments.clips)
    with writing(arguments.out, resumable=False):
        board, page = write_board(
            scores, infos, arguments.out, notes=notes, conventions=conventions, robust=robust, source=source,
            trainings=recorded_trainings(stores),
        )  # fmt: skip
    print_notes(notes)
    console = Console()
    console.width = width_of(console)
    if (ranking := short_ranking(board)) is not None:
        console.print(ranking)
        if told := tests_note(board):
            console.print(told, style="dim", highlight=False)
    console.print(f"leaderboard: {page.resolve()}", highlight=False, soft_wrap=True)
    return 0


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
