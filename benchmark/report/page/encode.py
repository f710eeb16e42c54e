"""Compact JSON of tables, safe inside a script element and inside a script file.

Conventions
-----------
A table is an object of columns of one length n, each either a list (numbers, null where missing), ``{"d": values,
"c": codes}`` (words by their place in ``d``), or ``{"k": value, "n": n}`` (one value throughout). Numbers have five
significant digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

DIGITS = 5
# what could end a script element or open a comment in it, and line ends that older JavaScript refuses in strings
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def safe_json(value: Any) -> str:
    r"""JSON text that neither ends a script element nor is read as HTML.

    Examples
    --------
    >>> safe_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def rounded(value: Any) -> float | int | None:
    """A number with `DIGITS` significant digits; None where it is missing or not finite."""
    if value is None or value is pd.NA:
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    if number == int(number) and abs(number) < 2**53:
        return int(number)
    return float(f"{number:.{DIGITS}g}")


def numbers(values: Iterable[Any]) -> list[float | int | None]:
    """`rounded`, of each value."""
    return [rounded(value) for value in values]


def column(values: pd.Series) -> Any:
    """One column of a table; see the module's conventions."""
    if pd.api.types.is_bool_dtype(values.dtype):
        values = values.astype(int)
    if pd.api.types.is_numeric_dtype(values.dtype):
        listed: list[Any] = numbers(values)
    else:
        texts = ["" if pd.isna(value) else str(value) for value in values]
        words = list(dict.fromkeys(texts))
        if len(words) > 1:
            place = {word: i for i, word in enumerate(words)}
            return {"d": words, "c": [place[text] for text in texts]}
        listed = texts
    if len(listed) > 1 and all(value == listed[0] for value in listed):
        return {"k": listed[0], "n": len(listed)}
    return listed


def table(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Columns of a table; those that it lacks are left out."""
    return {name: column(frame[name]) for name in names if name in frame}


def grid(values: np.ndarray) -> list[list[float | int | None]]:
    """Rows of numbers."""
    return [numbers(row) for row in values]
