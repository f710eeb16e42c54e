"""Conditions as parameters of tests: of each shift the weakest and the strongest, and those between as long tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from serxai.datasets.shifts.conditions import CURVES

BETWEEN = {name for names in CURVES.values() for name in names[1:-1]}


def each(items: Iterable[Any]) -> list[Any]:
    """Names or records of conditions; strengths between the weakest and the strongest of a shift are marked long."""
    return [
        pytest.param(item, marks=pytest.mark.long, id=str(name))
        if name in BETWEEN
        else pytest.param(item, id=str(name))
        for item, name in ((item, getattr(item, "name", item)) for item in items)
    ]
