"""Tables of text as they are written: one line of the file is one row, with one cell for each column.

Comma- and semicolon-separated tables follow RFC 4180 within a line; in tab-separated ones a quotation mark is a
character like any other. What cannot be read that way is refused with its line, never guessed: a shifted cell would
turn a piece of a sentence into a speaker.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
MAX_TABLE_BYTES = 2**28


@dataclass(frozen=True)
class Table:
    """Content of a table.

    Attributes
    ----------
    header : tuple of str
        Names of the columns, stripped; empty for a column without a name.
    rows : list of list of str
        Cells, stripped; each row has as many as the header.
    lines : list of int
        Line of the file that each row stands in, from 1.
    """

    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]


def read_table(path: Path, where: str) -> Table:
    """Read a table; blank lines are skipped.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark. Separated by tabs if its name ends in ``.tsv``, else by whichever of
        comma, semicolon and tab is most frequent in the header.
    where : str
        Start of error messages.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8, has no header, repeats a column, or has a line whose quotation marks
        or number of cells are wrong.
    """
    lines = re.split(r"\r\n|\n|\r", _text(path, where))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"{where}: cannot be read as a table: it is empty; it needs a header and one row a clip.")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(SEPARATORS, key=lines[first].count)
    header = _cells(lines[first], separator, f"{where}: line {first + 1}")
    repeated = [name for name, count in Counter(header).items() if count > 1 and name]
    if repeated:
        raise InputError(f"{where}: line {first + 1} names the column {repeated[0]!r} more than once; rename one.")
    rows, numbers = [], []
    for number, line in enumerate(lines[first + 1 :], start=first + 2):
        if not line.strip(" \r"):
            continue
        cells = _cells(line, separator, f"{where}: line {number}")
        if len(cells) != len(header):
            raise InputError(
                f"{where}: line {number} has {len(cells)} cells, the header has {len(header)}: {line[:80]!r}. "
                + (
                    "Give each line one cell a column, with tabs between."
                    if separator == "\t"
                    else f"Put cells that hold a {SEPARATORS[separator]} in double quotes."
                )
            )
        rows.append(cells)
        numbers.append(number)
    return Table(tuple(header), rows, numbers)


def _text(path: Path, where: str) -> str:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{where}: larger than {MAX_TABLE_BYTES >> 20} MB; is it a table of clips?")
        text = path.read_bytes().decode("utf-8-sig")  # Excel marks UTF-8 by a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start} is not UTF-8 ({error.object[error.start : error.start + 4]!r}); save the "
            "table as UTF-8."
        ) from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}).") from None
    if "\0" in text:
        raise InputError(f"{where}: holds NUL characters (UTF-16, or no text at all); save the table as UTF-8.")
    return text


def _cells(line: str, separator: str, where: str) -> list[str]:
    """Stripped cells of one line; `where` names the line."""
    if separator == "\t":
        return [cell.strip() for cell in line.split("\t")]
    try:
        (cells,) = csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True)
    except csv.Error as error:
        what = "a quotation mark is not closed on it" if "end of data" in str(error) else str(error)
        raise InputError(
            f"{where} cannot be read as a table: {what}. A cell in double quotes ends on its line, and quotes inside "
            'it are doubled ("").'
        ) from None
    return [cell.strip() for cell in cells]
