"""Expected direction of each acoustic cue under each emotion, by literature source; sources are never merged.

Sources may disagree. A direction is relative to the same speaker's neutral voice: 1 increase, -1 decrease, 0 no change.
``status`` says how the row was obtained: ``read`` in the source, ``quoted`` from a text that reports the source, or
``recalled`` and checked against nothing; ``where`` names the part read, or who quotes it. Metrics use the rows that are
not merely recalled (`directions` with ``checked=True``).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from ..errors import UnknownNameError

NEUTRAL = "neutral"  # the reference of all directions
READ, QUOTED, RECALLED = STATUSES = ("read", "quoted", "recalled")


class Expectation(NamedTuple):
    """Expected direction of one cue under one emotion, as one source states it."""

    emotion: str
    cue: str
    direction: int
    source: str
    citation: str
    status: str
    where: str


@cache
def expectations() -> tuple[Expectation, ...]:
    """All rows of ``expert_cues.csv``, in file order."""
    text = files(__package__).joinpath("expert_cues.csv").read_text(encoding="utf-8")
    return tuple(
        Expectation(**{**row, "direction": int(row["direction"])})  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )


def sources() -> tuple[str, ...]:
    """Short names of all sources, in file order."""
    return tuple(dict.fromkeys(row.source for row in expectations()))


def directions(emotion: str, source: str | None = None, checked: bool = False) -> dict[str, dict[str, int]]:
    """Look up the expected cue directions of an emotion, by source.

    Parameters
    ----------
    emotion : str
        In the common taxonomy.
    source : str, optional
        Only this source; default: all.
    checked : bool
        Whether to leave out rows that are merely recalled.

    Returns
    -------
    dict of str to dict of str to int
        ``{source: {cue: direction}}``; empty for neutral and for emotions that no source covers.

    Raises
    ------
    UnknownNameError
        If there is no such source.

    Examples
    --------
    >>> directions("fear", "L08")["L08"]["loudness"]
    0
    """
    if source is not None and source not in sources():
        raise UnknownNameError("source", source, sources())
    by_source: dict[str, dict[str, int]] = {}
    for row in expectations():
        if row.emotion == emotion and source in (None, row.source) and not (checked and row.status == RECALLED):
            by_source.setdefault(row.source, {})[row.cue] = row.direction
    return by_source
