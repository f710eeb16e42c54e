"""Explanations against the same fill, where a clip was explained against several.

Occlusion, LIME or integrated gradients explain relative to what replaces the sound. Each run has its own fills, the
first with reach for its recogniser, so that several runs may hold explanations of one clip against several fills. What
is compared must be against one: a setting (corpus and recogniser) is shown by the explanations against the fill that
most settings of the method share, and where it has none of those, by its own against the fill that most others share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import pandas as pd

from ...audio.fill_records import FILL_NAMES
from .recogniser_titles import recogniser_titles
from .stored_maps import MapFacts

Setting = tuple[str, str, str, str]  # corpus, recogniser, method, what the explanations are relative to
M = TypeVar("M", bound=MapFacts)


def fill_order(settings: Iterable[Setting]) -> dict[tuple[str, str], int]:
    """Place of each fill among those of its method, by (method, fill): 0 for that of most settings.

    Ties are broken in the order of `audio.fill_records.FILL_NAMES`, so that the order of the runs decides nothing.
    """
    counts = Counter((method, against) for _, _, method, against in set(settings))

    def last(of_method: tuple[str, str]) -> tuple[int, int, str]:
        against = of_method[1]
        place = FILL_NAMES.index(against) if against in FILL_NAMES else len(FILL_NAMES)
        return -counts[of_method], place, against

    places: dict[tuple[str, str], int] = {}
    seen: Counter[str] = Counter()
    for method, against in sorted(counts, key=last):
        places[method, against] = seen[method]
        seen[method] += 1
    return places


def _chosen(settings: Sequence[Setting]) -> list[bool]:
    """Of each explanation's setting, whether it is against the fill that the setting is shown by."""
    order = fill_order(settings)
    first: dict[tuple[str, str, str], int] = {}
    for *place, against in settings:
        key = (place[0], place[1], place[2])
        first[key] = min(order[place[2], against], first.get(key, len(order)))
    return [order[method, against] == first[corpus, of, method] for corpus, of, method, against in settings]


def against_one_fill(found: Sequence[M]) -> list[M]:
    """Explanations, those of each corpus, recogniser and method against one fill."""
    kept = _chosen([(one.corpus, one.recogniser, one.method, one.against) for one in found])
    return [one for one, its in zip(found, kept, strict=True) if its]


def rows_against_one_fill(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table of explanations, those of each corpus, recogniser and method against one fill.

    Parameters
    ----------
    table : DataFrame
        Columns ``corpus``, ``model``, ``trained_on``, ``method`` and ``against``.
    """
    return table[_chosen(_settings(table))].reset_index(drop=True) if len(table) else table


def of_other_fills(table: pd.DataFrame) -> pd.Series:
    """Whether each row is against another fill than most settings of its method, as `rows_against_one_fill`."""
    settings = _settings(table)
    order = fill_order(settings)
    return pd.Series([order[method, against] > 0 for _, _, method, against in settings], table.index, dtype=bool)


def _settings(table: pd.DataFrame) -> list[Setting]:
    columns = (table["corpus"], recogniser_titles(table), table["method"], table["against"])
    return list(zip(*(column.astype(str) for column in columns), strict=True))
