"""What one question about a run came to, and how a score row is named in the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

PASS, FAIL, WARNING, NOT_CHECKED = "pass", "fail", "warning", "not checked"
COORDINATES = ["condition", "method", "metric", "fill"]
ROW = ["corpus", "fold", "model", "trained_on", "clip", "target_rule", "seed", "repeat", *COORDINATES]


@dataclass(frozen=True)
class Check:
    """One question about a run.

    Attributes
    ----------
    name : str
    result : {'pass', 'fail', 'warning', 'not checked'}
    summary : str
        What was compared, or why it was not.
    found : tuple of str
        What differs, one entry a file, row or name.
    """

    name: str
    result: str
    summary: str
    found: tuple[str, ...] = ()


def concluded(name: str, summary: str, found: Iterable[str], otherwise: str = PASS) -> Check:
    """A check that fails if anything was found."""
    found = tuple(found)
    return Check(name, FAIL if found else otherwise, summary, found)


def row_name(row: Any) -> str:
    """A score row in words."""
    fill = f", fill {row['fill']}" if row["fill"] else ""
    repeat = f", repeat {row['repeat']}" if row["repeat"] else ""
    return f"clip {row['clip']}, {row['method']}, {row['metric']}, {row['condition']}{fill}{repeat}"


def dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, one dict each."""
    return rows.to_dict("records")
