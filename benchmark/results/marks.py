"""Numbers and tables in texts that are rewritten from committed tables, between marks that Markdown does not show.

    <!-- number: TABLE COLUMN FORMAT NAME=VALUE ... -->4.24<!-- /number -->
    <!-- table: TABLE COLUMN,COLUMN NAME=VALUE ... -->
    | method | mean |
    <!-- /table -->

``TABLE`` is a CSV of ``results/board``, without suffix; ``NAME=VALUE`` choose rows, a number needs exactly one.
Columns ``count`` and ``share`` are of the rows chosen, the share of those that all but the last condition choose.
Numbers have a format as in Python (``.2f``), or none for texts. A value with blanks stands in quotes. Nothing is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from html import unescape

import pandas as pd

from ...errors import InputError

COUNT, SHARE = "count", "share"
_NUMBER = re.compile(r"(<!-- number: ([^>]*?) -->)(.*?)(<!-- /number -->)", re.DOTALL)
_TABLE = re.compile(r"(<!-- table: ([^>]*?) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)
_FORMAT = re.compile(r"[+]?(?:\.[0-9])?[fg%d]")


def rewritten(text: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """The text with all marked numbers and tables as the tables have them.

    Parameters
    ----------
    text : str
    tables : mapping of str to DataFrame
        Of texts, as read from CSV.

    Raises
    ------
    InputError
        If a mark cannot be read, names what is not there, or chooses no single row.
    """
    text = _NUMBER.sub(lambda found: f"{found[1]}{_number(found[2], tables)}{found[4]}", text)
    return _TABLE.sub(lambda found: f"{found[1]}{_table(found[2], tables)}{found[4]}", text)


def has_marks(text: str) -> bool:
    """Whether a text has any mark."""
    return bool(_NUMBER.search(text) or _TABLE.search(text))


def _chosen(mark: str, table: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or name not in table:
            raise InputError(f"mark {mark!r}: {name!r} is no column; there are {', '.join(table.columns)}.")
        table = table[table[name].astype(str) == value]
    return table


def _parts(mark: str, tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, str, list[str]]:
    try:
        name, columns, *rest = shlex.split(unescape(mark))
    except ValueError:
        raise InputError(f"mark {mark!r}: write TABLE COLUMN [FORMAT] NAME=VALUE ...") from None
    if name not in tables:
        raise InputError(f"mark {mark!r}: no table {name!r}; there are {', '.join(sorted(tables))}.")
    return tables[name], columns, rest


def _number(mark: str, tables: Mapping[str, pd.DataFrame]) -> str:
    table, column, rest = _parts(mark, tables)
    spec = rest.pop(0) if rest and "=" not in rest[0] else ""
    if spec and not _FORMAT.fullmatch(spec):
        raise InputError(f"mark {mark!r}: format {spec!r} is none of .2f, +.2f, .3g, .0%, d.")
    rows = _chosen(mark, table, rest)
    if column == COUNT:
        return str(len(rows))
    if column == SHARE:
        return format(len(rows) / max(1, len(_chosen(mark, table, rest[:-1]))), spec or ".2f")
    if column not in table:
        raise InputError(f"mark {mark!r}: {column!r} is no column; there are {', '.join(table.columns)}.")
    if len(rows) != 1:
        raise InputError(f"mark {mark!r}: chooses {len(rows)} rows, not one.")
    return _shown(rows.iloc[0][column], spec, mark)


def _shown(value: str, spec: str, mark: str) -> str:
    if not spec:
        return value
    try:
        number = float(value)
    except ValueError:
        raise InputError(f"mark {mark!r}: {value!r} is no number.") from None
    return format(round(number) if spec.endswith("d") else number + 0.0, spec)


def _table(mark: str, tables: Mapping[str, pd.DataFrame]) -> str:
    table, columns, rest = _parts(mark, tables)
    names = columns.split(",")
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"mark {mark!r}: {missing[0]!r} is no column; there are {', '.join(table.columns)}.")
    lines = [names, ["---"] * len(names)]
    for row in _chosen(mark, table, rest)[names].itertuples(index=False, name=None):
        lines.append([_short(cell) for cell in row])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(cell: str) -> str:
    """A cell of a Markdown table: numbers with three digits."""
    try:
        number = float(cell)
    except ValueError:
        return cell.replace("|", "\\|").replace("\n", " ")
    return cell if number.is_integer() else f"{number:.3g}"
