"""Tables that the papers' claims are decided on: derived from runs first, decided from the tables alone afterwards.

`derive_tables` reads the explanations of one run, and the audio of its clips, once each; its tables are small and hold
the run's own names. `joined_tables` puts those of several runs together, under names that tell their recognisers apart,
each setting explained against one fill (`same_fill`). `decide` reads nothing else. Derive again with one more run, or
leave one out, and every claim is decided anew on what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ...errors import InputError
from ...progress import Progress
from ..storage.store import Store
from .band_table import AGAINST, BANDS, band_row
from .band_table import COLUMNS as BAND_COLUMNS
from .beyond_saliency_claims import beyond_saliency_claims
from .claim_scope import recognition_of
from .claims import Finding, beside_blind, emolime_claims
from .merge import older_methods
from .record_tables import BAND_KINDS, BAND_TABLE, CUES, needed_table, recorded_table
from .salient_cues import COLUMNS as CUE_COLUMNS
from .salient_cues import CUE_KINDS, TimedMap, Voices, cue_table, timed
from .same_fill import rows_against_one_fill
from .shown_names import ShownNames, is_chosen, plain_name, shown_names
from .stored_maps import CLEAN, maps_of_run, recorded_references

BEYOND_SALIENCY = "Beyond Saliency"  # the claim of a finding where no cue could be measured
SAME = ["corpus", "model", "trained_on", "method", "clip", AGAINST]


class ClaimTables(NamedTuple):
    """What claims are decided on.

    Attributes
    ----------
    bands : DataFrame
        Of `band_table`, a row for each explanation.
    cues : DataFrame
        Of `salient_cues.cue_table`, a row for each explanation with salient windows.
    lacking : str
        Why cues were not measured; empty where they were.
    """

    bands: pd.DataFrame
    cues: pd.DataFrame
    lacking: str = ""


def derive_tables(
    store: Store, methods: Sequence[str] = (), voices: Voices | None = None, progress: Progress | None = None
) -> ClaimTables:
    """Tables of one run: its explanations of clips as recorded, first repeats, each read once.

    Parameters
    ----------
    store : Store
    methods : sequence of str
        Default all.
    voices : Voices, optional
        Shared by several runs; default the corpora of the run.
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    InputError
        If explanations are damaged, or of an earlier version.
    """
    if store.is_record:
        return _recorded(store, methods)
    found = list(maps_of_run(store, methods, condition=CLEAN, repeat=0))
    bands: list[dict[str, Any] | None] = []
    windows: list[TimedMap | None] = []
    for done, one in enumerate(found, 1):
        e = one.explanation()
        bands.append(band_row(one.on_scoring_grid(e)))
        windows.append(timed(one, e))
        if progress is not None:
            progress("reading explanations", done, len(found))
    table = pd.DataFrame([row for row in bands if row is not None], columns=BAND_COLUMNS)
    try:
        known = [each for each in windows if each is not None]
        return ClaimTables(table, cue_table(known, store, voices or Voices(), progress))
    except InputError as error:  # a corpus is not there
        return ClaimTables(table, pd.DataFrame(columns=CUE_COLUMNS), str(error))


def _recorded(store: Store, methods: Sequence[str]) -> ClaimTables:
    """The tables that a record of results holds."""
    bands = needed_table(store, BAND_TABLE, BAND_KINDS)
    bands = bands[bands[BANDS].ne(0).any(axis=1)]  # others say nothing about frequency
    cues = recorded_table(store, CUES, CUE_KINDS)
    lacking = f"{store.path}: a record without cues of salient windows" if cues is None else ""
    cues = pd.DataFrame(columns=CUE_COLUMNS) if cues is None else cues
    against = recorded_references(store)
    bands, cues = (t.assign(**{AGAINST: t["method"].map(against).fillna("none")}) for t in (bands, cues))
    bands, cues = bands[BAND_COLUMNS], cues[CUE_COLUMNS]
    if methods:
        bands, cues = bands[bands["method"].isin(methods)], cues[cues["method"].isin(methods)]
    return ClaimTables(bands, cues, lacking)


def joined_tables(infos: Sequence[Mapping[str, Any]], tables: Sequence[ClaimTables]) -> ClaimTables:
    """Tables of several runs together, each explanation once, under the names of `shown_names`.

    Of explanations against several fills those against one are kept, see `same_fill`; of the same explanation of
    several runs that of the last.

    Parameters
    ----------
    infos : sequence of mapping
        Content of each run's run.json.
    tables : sequence of ClaimTables
        In the same order.
    """
    names = shown_names(infos)
    tables = [
        t._replace(bands=t.bands[~t.bands["method"].isin(older)], cues=t.cues[~t.cues["method"].isin(older)])
        for t, older in zip(tables, older_methods(infos), strict=True)
    ]
    bands = _together([t.bands for t in tables], names, [*SAME, "target"], BAND_COLUMNS)
    cues = _together([t.cues for t in tables], names, SAME, CUE_COLUMNS)
    lacking = dict.fromkeys(t.lacking for t in tables if t.lacking)
    return ClaimTables(bands, cues, "; ".join(lacking))


def _together(
    tables: Sequence[pd.DataFrame],
    names: Sequence[ShownNames],
    same: Sequence[str],
    columns: Sequence[str],
) -> pd.DataFrame:
    parts = []
    for table, shown in zip(tables, names, strict=True):
        if len(table):
            model = [shown.model(m, t) for m, t in zip(table["model"], table["trained_on"], strict=True)]
            named = {"corpus": table["corpus"].map(shown.corpus), "method": table["method"].map(shown.method)}
            parts.append(table.assign(**named, model=model))
    if not parts:
        return pd.DataFrame(columns=list(columns))
    together = pd.concat(parts, ignore_index=True).drop_duplicates(list(same), keep="last", ignore_index=True)
    return rows_against_one_fill(together)


def decide(tables: ClaimTables) -> list[Finding]:
    """Findings on all claims of both papers, from the tables alone."""
    methods = sorted({*tables.bands["method"], *tables.cues["method"]})
    heard = recognition_of(tables.bands, tables.cues)
    found = emolime_claims(tables.bands, methods, heard)
    if len(tables.cues):
        found += beyond_saliency_claims(tables.cues, heard)
    if tables.lacking:
        note = f"needs the audio: {tables.lacking}"
        found.append(Finding(BEYOND_SALIENCY, "all", "", "cues of salient windows", note=note))
    return beside_blind(found)


def derive_and_join(
    stores: Iterable[Store], methods: Sequence[str] = (), voices: Voices | None = None, progress: Progress | None = None
) -> ClaimTables:
    """`derive_tables` of each run, `joined_tables` of all."""
    runs, voices = list(stores), voices or Voices()
    tables = [derive_tables(store, [plain_name(name) for name in methods], voices, progress) for store in runs]
    joined = joined_tables([store.info for store in runs], tables)
    bands, cues = (table[_chosen(table, methods)] for table in (joined.bands, joined.cues))
    return ClaimTables(bands, cues, joined.lacking)


def _chosen(table: pd.DataFrame, methods: Sequence[str]) -> pd.Series:
    return pd.Series([is_chosen(name, methods) for name in table["method"]], table.index, bool)
