"""Tables that are no wider than the terminal.

A column that says the same in every row goes into a line above the table; then columns are left out, least important
first, and named. Names are broken only where nothing else is left to give way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .console import Console
from .terminal_text import printable

PIPED = 160  # width where the output is no terminal
NAME = 8  # names are not broken into less
COLUMN = 10  # nor other columns, which give way after them


def width_of(console: Console) -> int:
    """Columns to print in: those of the terminal, or of the variable COLUMNS; else enough for most tables."""
    told = console.is_terminal or "COLUMNS" in os.environ
    return console.width if told else max(console.width, PIPED)


def fitted(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    names: int = 1,
    gives_way: Sequence[str] = (),
) -> Group:
    """A title and a table of at most `width` characters a line, as long as its names have room.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequence of str
        Cells in the order of `columns`.
    width : int
    names : int
        Columns at the left that hold names.
    gives_way : sequence of str
        Columns that may be left out, the least important first.
    """
    cells = {name: [printable(str(row[place])) for row in rows] for place, name in enumerate(columns)}
    kept, same, left_out = list(columns), list[str](), list[str]()

    def size(name: str) -> int:
        return max(map(len, [*name.split(), *cells[name]]), default=1)

    def total() -> int:
        return sum(size(name) + 1 for name in kept)

    if total() > width and len(rows) > 1:
        same = [name for name in kept[names:] if name in gives_way and len(set(cells[name])) == 1]
        kept = [name for name in kept if name not in same]
    for name in gives_way:
        if total() > width and name in kept:
            kept.remove(name)
            left_out.append(name)
    sizes = {name: size(name) for name in kept}
    while sum(sizes.values()) + len(kept) > width:
        widest = max(kept[:names], key=sizes.__getitem__)
        if sizes[widest] <= NAME:
            widest = max(kept, key=sizes.__getitem__)
            if sizes[widest] <= COLUMN:
                break
        sizes[widest] -= 1
    said = [f"in every row: {'; '.join(f'{name} {cells[name][0]}' for name in same)}"] if same else []
    said += [f"no room for {', '.join(left_out)}: --json or --csv FILE"] if left_out else []
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for place, name in enumerate(kept):
        table.add_column(
            name, width=sizes[name], no_wrap=False, overflow="fold", justify="left" if place < names else "right"
        )
    for place in range(len(rows)):
        table.add_row(*(cells[name][place] for name in kept))
    return Group(*(Text(printable(line), style="italic") for line in [title, *said]), table)
