"""Result of one validation check, and the label of a score row in messages."""

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
    """Result of one check of a run.

    Attributes
    ----------
    name : str
    result : {'pass', 'fail', 'warning', 'not checked'}
    summary : str
        What was compared, or why nothing was.
    found : tuple of str
        Discrepancies, one entry per file, row or name.
    """

    name: str
    result: str
    summary: str
    found: tuple[str, ...] = ()


def concluded(name: str, summary: str, found: Iterable[str], otherwise: str = PASS) -> Check:
    """Build a check that fails if there are discrepancies; else its result is `otherwise`."""
    found = tuple(found)
    return Check(name, FAIL if found else otherwise, summary, found)


def row_name(row: Any) -> str:
    """Label of a score row for messages."""
    fill = f", fill {row['fill']}" if row["fill"] else ""
    repeat = f", repeat {row['repeat']}" if row["repeat"] else ""
    return f"clip {row['clip']}, {row['method']}, {row['metric']}, {row['condition']}{fill}{repeat}"


def dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dicts."""
    return rows.to_dict("records")
