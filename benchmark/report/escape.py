"""Escaping of names and reasons that leave in files which other programs interpret.

A name of a corpus, model, clip or method, or the reason of a failure, may come from somebody else's file. A spreadsheet
runs a text that looks like a formula, Markdown makes links and headings of it, LaTeX commands.
"""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = frozenset("\\|<>*_`~&@")
# what makes a link of brackets, an address or a heading; brackets alone stay, since intervals have them
_MARKDOWN_LINKS = re.compile(r"\](?=[(\[:])|!(?=\[)|:(?=//)|(?<=www)\.|^#", re.IGNORECASE)


def one_line(text: str) -> str:
    """A text in one line, without control characters, direction marks and lone surrogates."""
    kept = "".join(" " if c.isspace() else c for c in text)
    return " ".join("".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Cs")).split())


def csv_cell(text: str) -> str:
    """A text that a spreadsheet does not run as a formula: one that looks like it gets an apostrophe before it."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def csv_safe(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose text cells and column names are `csv_cell`; numbers stay numbers."""
    safe = table.rename(columns=lambda name: csv_cell(name) if isinstance(name, str) else name)
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
            column = table.iloc[:, place].astype(object)
            safe.isetitem(place, column.map(lambda v: csv_cell(v) if isinstance(v, str) else v))
    return safe


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is: no table cells, links, headings, code, HTML or line breaks."""
    escaped = "".join(f"&#{ord(c)};" if c in _MARKDOWN else c for c in one_line(text))
    return _MARKDOWN_LINKS.sub(lambda found: f"&#{ord(found.group())};", escaped)
