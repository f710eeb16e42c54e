"""Rows of the four axes of robustness read from runs: only the explanations that an axis compares, a few at a time.

A run of one recogniser on recorded clips, without repeats, holds no two explanations to compare: nothing of it is read.
Where there is something, the maps of one corpus and method are read, compared and dropped before the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ...errors import InputError
from ...progress import Progress
from .band_table import COLUMNS as BAND_COLUMNS
from .band_table import band_row
from .record_tables import AXES_KINDS, AXES_TABLE, MEASURE, recorded_table
from .robustness import AXES, PAIR, ROWS, clip_rows, draws
from .same_fill import against_one_fill, fill_order
from .shown_names import plain_name
from .stored_maps import CLEAN, FoundMap, RecordedMap

Group = dict[str, list[FoundMap]]  # by recogniser
PAIRED = ["axis", "corpus", "model", "other", "method", "clip", "target"]  # what names a comparison


class AxisTables(NamedTuple):
    """What the board of the axes is computed from.

    Attributes
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`.
    bands : DataFrame
        Of `band_table`, of kinds of recogniser that explained several corpora.
    """

    rows: pd.DataFrame
    bands: pd.DataFrame


def compared(group: Sequence[FoundMap], axes: Sequence[str] = AXES) -> list[FoundMap]:
    """Explanations of one corpus, method and fill that an axis compares, or needs for floor and ceiling.

    Parameters
    ----------
    group : sequence of FoundMap
    axes : sequence of str
        Some of `robustness.AXES`.
    """
    by_recogniser: Group = {}
    for one in group:
        by_recogniser.setdefault(one.recogniser, []).append(one)
    clips = {name: {o.clip for o in part if o.condition == CLEAN} for name, part in by_recogniser.items()}
    found: list[FoundMap] = []
    for name, part in by_recogniser.items():
        clean = [one for one in part if one.condition == CLEAN and one.repeat == 0]
        repeats = [one for one in part if one.condition == CLEAN and one.repeat == 1]
        explained = {(one.clip, one.target) for one in clean}
        shifted = [
            one
            for one in part
            if "shift" in axes and one.condition != CLEAN and one.repeat == 0 and (one.clip, one.target) in explained
        ]
        others = any(clips[name] & its for other, its in clips.items() if other != name)
        again = "seed" in axes and repeats and draws(part[0].method)
        if shifted or again or (others and {"model", "retraining"} & set(axes)):
            found += [*clean, *repeats, *shifted]
    return found


def of_several_corpora(found: Iterable[FoundMap]) -> list[FoundMap]:
    """First explanations of recorded clips by kinds of recogniser that were trained on, and heard, several corpora."""
    clean = [one for one in found if one.condition == CLEAN and one.repeat == 0 and not one.crossed]
    clean = against_one_fill(clean)
    corpora: dict[tuple[str, str], set[str]] = {}
    for one in clean:
        corpora.setdefault((one.kind, one.method), set()).add(one.corpus)
    return [one for one in clean if len(corpora[one.kind, one.method]) > 1]


def axis_tables(
    found: Sequence[FoundMap],
    by: str = "spearman",
    axes: Sequence[str] = AXES,
    corpora: bool = True,
    progress: Progress | None = None,
) -> AxisTables:
    """Compare what can be compared, each with explanations against the same fill; each is read at most once.

    Two recognisers, or a clip and its shifted version, that were explained against several fills are compared once:
    against the fill of most settings (`same_fill.fill_order`).

    Parameters
    ----------
    found : sequence of FoundMap
    by : str
        Measure of similarity.
    axes : sequence of str
        Some of `robustness.AXES`.
    corpora : bool
        Whether band profiles across corpora are wanted too.
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    InputError
        As `FoundMap.explanation`.
    """
    order = fill_order((one.corpus, one.recogniser, one.method, one.against) for one in found)
    groups: dict[tuple[str, str, str], list[FoundMap]] = {}
    recorded = [one for one in found if isinstance(one, RecordedMap)]
    for one in found:
        groups.setdefault((one.corpus, one.method, one.against), []).append(one)
    across = {id(one) for one in of_several_corpora(found)} if corpora else set()
    rows, bands = [pd.DataFrame(columns=ROWS)], list[dict[str, Any]]()
    for done, ((_, method, against), group) in enumerate(groups.items(), 1):
        wanted = {id(one) for one in compared([one for one in group if not isinstance(one, RecordedMap)], axes)}
        maps = []
        for one in group:
            if id(one) in wanted or id(one) in across:
                read = one.read()
                if id(one) in wanted:
                    maps.append(read)
                row = band_row(read) if id(one) in across else None
                bands += [row] if row is not None else []
        if maps:
            rows.append(clip_rows(maps, by, axes).assign(_order=order[method, against]))
        if progress is not None:
            progress("comparing maps", done, len(groups))
    rows += [part.assign(_order=0) for part in _recorded_rows(recorded, by, axes)]  # one fill each, see `results add`
    filled = [part for part in rows if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else rows[0].assign(_order=0)
    table = table[table["_order"].eq(table.groupby(PAIR)["_order"].transform("min"))]
    return AxisTables(_in_order(table, found), pd.DataFrame(bands, columns=BAND_COLUMNS))


def _recorded_rows(maps: Iterable[RecordedMap], by: str, axes: Sequence[str]) -> list[pd.DataFrame]:
    """Comparisons that records hold of these explanations, under the names under which they were found."""
    groups: dict[str, list[RecordedMap]] = {}
    for one in maps:
        groups.setdefault(str(one.store.path), []).append(one)
    parts = []
    for path, group in groups.items():
        table = recorded_table(group[0].store, AXES_TABLE, AXES_KINDS)
        if table is None or table.empty:
            continue
        if by != MEASURE:
            raise InputError(
                f"{path}: a record of results holds similarities by {MEASURE} alone; leave out --measure {by}, or give "
                "the run that it was made of."
            )
        shown = {plain_name(one.method): one.method for one in group}
        kept = table[table["axis"].isin(axes) & table["method"].isin(shown)]
        named = {"corpus": group[0].corpus, "model": group[0].recogniser, "method": kept["method"].map(shown)}
        parts.append(kept.assign(**named))
    if not parts:
        return []
    # pieces of one recogniser share methods, and each has the comparisons of its methods with all runs
    return [pd.concat(parts, ignore_index=True).drop_duplicates(PAIRED, ignore_index=True)]


def _in_order(rows: pd.DataFrame, found: Sequence[FoundMap]) -> pd.DataFrame:
    """Comparisons of one explanation with its own others first, then of two recognisers, in the order of the runs."""
    places = {place: i for i, place in enumerate(dict.fromkeys((o.corpus, o.recogniser, o.method) for o in found))}
    order = [places[place] for place in zip(rows["corpus"], rows["model"], rows["method"], strict=True)]
    pairs = rows["axis"].isin(["model", "retraining"])
    return rows.assign(_pair=pairs, _place=order).sort_values(
        ["_pair", "_place"], kind="stable", ignore_index=True
    )[ROWS]  # fmt: skip
