"""What the literature expects emotions to do to the voice: one row per emotion, cue and source, never merged.

Sources may disagree. A direction is relative to the same speaker's neutral voice: 1 more, -1 less, 0 no change.
``status`` says how the row was obtained; rows marked *recalled* have not been checked against the source.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

NEUTRAL = "neutral"  # the reference, so it has no direction


class Expectation(NamedTuple):
    """One row of the table."""

    emotion: str
    cue: str
    direction: int
    source: str
    citation: str
    status: str


@cache
def expectations() -> tuple[Expectation, ...]:
    """All rows, in the order of the table."""
    text = files(__package__).joinpath("expert_cues.csv").read_text(encoding="utf-8")
    return tuple(
        Expectation(**{**row, "direction": int(row["direction"])})  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )


def expert_cues() -> pd.DataFrame:
    """The table as a new data frame: emotion, cue, direction, source, citation, status."""
    import pandas as pd

    return pd.DataFrame(expectations(), columns=list(Expectation._fields))


def sources() -> tuple[str, ...]:
    """Short names of all sources, in the order of the table."""
    return tuple(dict.fromkeys(row.source for row in expectations()))


def directions(emotion: str, source: str | None = None) -> dict[str, dict[str, int]]:
    """Expected directions for an emotion, source by source.

    Parameters
    ----------
    emotion : str
    source : str, optional
        Only this one.

    Returns
    -------
    dict of str to dict of str to int
        ``{source: {cue: direction}}``; empty for neutral and for emotions that no source speaks of.

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
    found: dict[str, dict[str, int]] = {}
    for row in expectations():
        if row.emotion == emotion and source in (None, row.source):
            found.setdefault(row.source, {})[row.cue] = row.direction
    return found
