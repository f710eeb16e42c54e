"""Comparisons that methods share, so that scores which stand beside each other rest on the same conditions and clips.

Methods of one setting need not have explained the same: one under 26 conditions, another under four, a slow one on
half of the clips. Means over whatever each has would compare conditions, not methods. So methods are pooled over the
comparisons that all of them have. A method that has few would leave few for all: the methods that share are chosen so
that pairs of methods times shared comparisons, the number of paired comparisons that the setting rests on, is largest
(pairs of two baselines do not count).
Methods outside are pooled over their own comparisons, marked, and not ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from ...methods.records import baselines

SETTING = ["axis", "corpus", "model"]
KEY = ["other", "clip", "target", "unchanged"]  # what names a comparison of a setting
SHARED = "shared"


def as_bits(
    keys: Mapping[str, Iterable[tuple[Hashable, ...]]],
) -> tuple[dict[str, int], dict[tuple[Hashable, ...], int]]:
    """Sets of keys as bits of integers, and the place of each key.

    Parameters
    ----------
    keys : mapping of str to iterable of tuple
        By method.
    """
    places: dict[tuple[Hashable, ...], int] = {}
    found: dict[str, int] = {}
    for name, own in keys.items():
        bits = 0
        for key in own:
            bits |= 1 << places.setdefault(key, len(places))
        found[name] = bits
    return found, places


def shared_by_most(
    comparisons: Mapping[str, int], count: Callable[[int], int] = int.bit_count, beside: Collection[str] = ()
) -> tuple[list[str], int]:
    """Methods, and comparisons that all of them have, with the most pairs of methods times comparisons.

    Pairs of two methods that only stand beside others, as baselines do, do not count.

    The largest such product is that of a maximum biclique, which takes too long to search for in general. From each
    method on, the method that keeps the most shared comparisons is added, to the last; the best set on these ways is
    taken. Where the comparisons of methods are nested in each other, as those of runs with more and fewer conditions
    are, that is the best of all. The order of the methods decides nothing.

    Parameters
    ----------
    comparisons : mapping of str to int
        By method, a bit for each comparison.
    count : callable
        Number of comparisons that count among some; no more of fewer.
    beside : collection of str
        Methods that others are compared with.

    Returns
    -------
    methods : list of str
        In the order given; empty where no method has a comparison that counts.
    shared : int
        Bits of their comparisons.
    """
    names = sorted(name for name, own in comparisons.items() if count(own))
    best: tuple[int, int, int] = (0, 0, 0)
    shared = 0
    for first in names:
        kept, rest, members, aside = comparisons[first], [n for n in names if n != first], 1, int(first in beside)
        while count(kept):
            pairs = members * (members - 1) // 2 - aside * (aside - 1) // 2
            value = (pairs * count(kept), members, count(kept))
            if value > best:
                best, shared = value, kept
            if not rest:
                break
            left = {name: count(kept & comparisons[name]) for name in rest}
            added = max(rest, key=left.__getitem__)
            kept &= comparisons[added]
            rest.remove(added)
            members, aside = members + 1, aside + (added in beside)
    if not count(shared):
        return [], 0
    return [name for name, own in comparisons.items() if own & shared == shared], shared


def pooled_alike(rows: pd.DataFrame) -> pd.DataFrame:
    """Comparisons over which the methods of each setting and axis are pooled.

    Parameters
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`, or `axis_board.axis_clips`, numbered.

    Returns
    -------
    DataFrame
        In their order, with column ``shared``: True for comparisons that the methods of a setting share; False for all
        those of methods outside. What only some of the former have is left out. A comparison counts where similarity,
        floor and ceiling are known, and decides where the prediction is unchanged too.
    """
    counts = rows[["similarity", "floor", "ceiling"]].notna().all(axis=1)
    facts = rows[[*SETTING, "method", *KEY]].assign(unchanged=rows["unchanged"].ne(False))
    parts = []
    for _, part in facts.groupby(SETTING, sort=False):
        known = part[counts[part.index]]
        comparisons, places = as_bits({str(method): _keys(own) for method, own in known.groupby("method", sort=False)})
        unchanged = 0
        for key, place in places.items():
            unchanged |= int(bool(key[-1])) << place
        methods, shared = shared_by_most(comparisons, partial(_count, among=unchanged), baselines())
        inside = part["method"].isin(methods)
        bits = [1 << places[key] if key in places else 0 for key in _keys(part)]
        of_all = np.array([bool(bit & shared) for bit in bits], dtype=bool) & counts[part.index]
        parts.append(rows.loc[part.index].assign(**{SHARED: inside})[of_all | ~inside])
    return pd.concat(parts).sort_index(ignore_index=True) if parts else rows.assign(**{SHARED: False})


def _keys(part: pd.DataFrame) -> list[tuple[Hashable, ...]]:
    return list(part[KEY].itertuples(index=False, name=None))


def _count(some: int, among: int) -> int:
    return (some & among).bit_count()
