"""Formula of each method and metric, and when it misleads: tables beside the records, read when they are shown."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_ROOMS = ("methods", "metrics")


class UsageNote(NamedTuple):
    """What a reader of scores should know of a method or metric, beside its record.

    Attributes
    ----------
    formula : str
        LaTeX, in the notation of the reference pages of the documentation; empty where unknown.
    misleads : str
        When the map, or the score, is not what it seems; empty where unknown.
    """

    formula: str = ""
    misleads: str = ""


@cache
def usage_notes(kind: str) -> Mapping[str, UsageNote]:
    """Notes of all methods, or metrics, that come with serxai, by name.

    Parameters
    ----------
    kind : str
        ``methods`` or ``metrics``; there are none of other kinds.
    """
    if kind not in _ROOMS:
        return {}
    table = tomllib.loads(files("serxai").joinpath(kind, "usage_notes.toml").read_text("utf-8"))
    return {name: UsageNote(**entry) for name, entry in table.items()}


def usage_note(kind: str, name: str) -> UsageNote:
    """Note of one method or metric; that of ``NAME:`` serves every ``NAME:ARGUMENT``.

    Parameters
    ----------
    kind : str
        As in `usage_notes`.
    name : str

    Returns
    -------
    UsageNote
        An empty one for names of other packages.

    Examples
    --------
    >>> usage_note("metrics", "gini").misleads
    'Sparser is not better: one lit cell has the highest index. Described, never ranked.'
    """
    notes = usage_notes(kind)
    return notes.get(name) or notes.get(f"{name.partition(':')[0]}:" if ":" in name else name) or UsageNote()
