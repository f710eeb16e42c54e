"""Explanations of one or several runs as maps on the scoring grid of the clip as recorded, with the facts of the clip.

What analyses across conditions, recognisers, corpora and retrainings start from. No model is called, no audio read.
`found_maps` says what there is, from the small heads of the explanations; `FoundMap.read` reads one. Callers choose
first and read then, so that the maps of a large run need not be read, or held, all at once.

A record of results holds no maps: what it has of an explanation is its band profile and table of masks (`RecordedMap`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...audio import Grid, scoring_grid
from ...datasets.clip import recorded_times
from ...errors import InputError
from ...metrics.case import summed_on
from ...metrics.resolution import resolution_of
from ...metrics.similarity import band_profile, stretched
from ..storage.clip_facts import read_clip_facts
from ..storage.derived import NO_MAPS
from ..storage.store import Explanation, Head, Store
from .merge import older_methods
from .record_tables import (
    AXES_KINDS,
    AXES_TABLE,
    BAND_KINDS,
    BAND_TABLE,
    MASK_KINDS,
    MASK_TABLES,
    needed_table,
    recorded_table,
)
from .shown_names import ShownNames, is_chosen, plain_name, recogniser_title, shown_names

CLEAN = "clean"
_FACTS = ["corpus", "model", "trained_on", "condition", "clip", "speaker", "emotion", "predicted", "strength"]


@dataclass(frozen=True, eq=False)
class MapFacts:
    """What an explanation is of.

    Attributes
    ----------
    corpus, model, trained_on, method, condition, clip, target : str
        `corpus`, `model` and `method` are shown names (`shown_names`): where several have one name, what tells them
        apart stands behind it.
    repeat : int
    speaker, sentence, sex, emotion, predicted : str
        `predicted` under the condition; empty where not known.
    strength : float
        Measured strength of the condition.
    against : str
        What the explanation is relative to: a fill, ``own``, ``none`` (column ``explained_against``).
    """

    corpus: str
    model: str
    trained_on: str
    method: str
    condition: str
    clip: str
    target: str
    repeat: int
    speaker: str
    sentence: str
    sex: str
    emotion: str
    predicted: str
    strength: float
    against: str

    @property
    def recogniser(self) -> str:
        """Model with its training corpus."""
        return recogniser_title(self.model, self.trained_on)

    @property
    def kind(self) -> str:
        """Kind of the recogniser: its name without the digest that tells several apart."""
        return plain_name(self.model)

    @property
    def crossed(self) -> bool:
        """Whether the recogniser was trained on another corpus than the one it hears."""
        return self.trained_on not in ("", plain_name(self.corpus))


FACTS = tuple(field.name for field in fields(MapFacts))


@dataclass(frozen=True, eq=False)
class StoredMap(MapFacts):
    """One explanation.

    Attributes
    ----------
    duration_s : float
        Of the clip as recorded.
    values : array, shape (16, n)
        Sums over the cells of the scoring grid of the clip as recorded; n is 0 where a record gives `bands` alone.
    cells : int
        Cells that the map resolves (`metrics.resolution`).
    table : array, shape (2 ** parts,), optional
        Responses of all masks, where the explanation scored every one (`methods.attribution.Attribution`).
    bands : array, shape (8,), optional
        Band profile that a record holds.
    """

    duration_s: float
    values: np.ndarray
    cells: int
    table: np.ndarray | None = None
    bands: np.ndarray | None = None

    @property
    def profile(self) -> np.ndarray:
        """Relevance of eight frequency bands, shape (8,); of a record scaled to a sum of absolute values of 1."""
        return band_profile(self.values) if self.bands is None else self.bands

    def on(self, columns: int) -> np.ndarray:
        """The map with its time axis stretched to so many columns, shape (16, columns)."""
        return self.values if self.values.shape[1] == columns else stretched(self.values, columns)


@dataclass(frozen=True, eq=False)
class FoundMap(MapFacts):
    """An explanation that is stored and was not read.

    Attributes
    ----------
    store : Store
    path : Path
        File that holds it.
    key : str
    has_table : bool
        Whether responses to all masks are stored with it.
    """

    store: Store
    path: Path
    key: str
    has_table: bool

    def explanation(self) -> Explanation:
        """Read the explanation as it is stored.

        Raises
        ------
        InputError
            If it is damaged.
        """
        return self.store.read_explanation(self.path, self.key)

    def read(self) -> StoredMap:
        """Read it, and sum it on the scoring grid.

        Raises
        ------
        InputError
            As `explanation`.
        """
        return self.on_scoring_grid(self.explanation())

    def on_scoring_grid(self, e: Explanation) -> StoredMap:
        """The map of the explanation that was read."""
        recorded_s = e.time_map[-1][0] if e.time_map else e.duration_s
        own, grid = e.attribution.grid, scoring_grid(recorded_s)
        native = Grid(own.freq_edges_hz, recorded_times(own.time_edges_s, e.time_map))
        resolution = resolution_of(e.attribution.values, native, grid)
        return StoredMap(
            **{name: getattr(self, name) for name in FACTS},
            duration_s=recorded_s,
            values=summed_on(e.attribution.values, native, grid),
            cells=min(resolution.rows, grid.shape[0]) * min(resolution.columns, grid.shape[1]),
            table=e.attribution.table,
        )


@dataclass(frozen=True, eq=False)
class RecordedMap(FoundMap):
    """What a record of results has of an explanation; `bands` is None of explanations under a shift.

    Attributes
    ----------
    bands : array, shape (8,), optional
    table : array, shape (256,), optional
    """

    bands: np.ndarray | None = None
    table: np.ndarray | None = None

    def explanation(self) -> Explanation:
        """Refuse: there is no map.

        Raises
        ------
        InputError
        """
        raise InputError(f"{self.path}: {NO_MAPS}")

    def read(self) -> StoredMap:
        """Band profile and table of masks, without a map.

        Raises
        ------
        InputError
            If the record has no band profile of it.
        """
        if self.bands is None:
            self.explanation()
        return StoredMap(
            **{name: getattr(self, name) for name in FACTS}, duration_s=0.0, values=np.empty((0, 0)), cells=0,
            table=self.table, bands=self.bands,
        )  # fmt: skip


def found_maps(stores: Sequence[Store], methods: Sequence[str] = (), **where: Any) -> list[FoundMap]:
    """What explanations runs hold, each once; of one run's against several fills the one against its first.

    Several runs may have explained a clip against several fills, see `same_fill`.

    Parameters
    ----------
    stores : sequence of Store
    methods : sequence of str
        Default all.
    **where
        Other facts that they must have, as `Store.heads` takes them.

    Raises
    ------
    InputError
        As `maps_of_run`.
    """
    infos = [store.info for store in stores]
    found: dict[tuple, FoundMap] = {}
    for store, names, left_out in zip(stores, shown_names(infos), older_methods(infos), strict=True):
        for one in maps_of_run(store, methods, names, **where):
            if plain_name(one.method) in left_out:
                continue
            place = one.corpus, one.recogniser, one.method, one.condition, one.repeat, one.clip, one.target
            found[*place, one.against] = one
    return list(found.values())


def maps_of_run(
    store: Store,
    methods: Sequence[str] = (),
    names: ShownNames | None = None,
    **where: Any,
) -> Iterator[FoundMap]:
    """What explanations one run holds.

    Parameters
    ----------
    store : Store
    methods : sequence of str
        Default all.
    names : ShownNames, optional
        Names under which its corpora, recognisers and methods are shown; default those of the run.
    **where
        As `found_maps`.

    Raises
    ------
    InputError
        If files are damaged, or explanations do not say how long their clips are, as those of earlier versions do not.
    """
    names = names or ShownNames()
    if store.is_record:
        yield from _recorded_maps(store, methods, names, where)
        return
    facts = explained_facts(store)
    if methods:
        where = where | {"method": frozenset(map(plain_name, methods))}
    for path, head in store.heads(first=True, **where):
        if not is_chosen(names.method(head.method), methods):
            continue
        known = facts.get((head.corpus, head.model, head.condition, head.clip))
        known = known or facts.get((head.corpus, head.model, "", head.clip))
        if known is not None and not head.duration_s > 0:
            raise InputError(
                f"{store.path}: explanations of an earlier version, without the length of their clips; compute them "
                "again in another folder (`serxai run --out`)."
            )
        if known is not None:
            yield _found_map(store, path, head, known, names)


def _recorded_maps(
    store: Store,
    methods: Sequence[str],
    shown: ShownNames,
    where: Mapping[str, Any],
) -> Iterator[RecordedMap]:
    """What a record has of explanations: of clips as recorded, and under shifts that were compared with them."""
    masks = {}
    tables = recorded_table(store, MASK_TABLES, MASK_KINDS)
    if tables is not None:
        places = zip(tables["method"], tables["clip"], tables["target"], strict=True)
        masks = dict(zip(places, tables["responses"], strict=True))
    names = [name for name in BAND_KINDS if name.startswith("band_")]
    bands = needed_table(store, BAND_TABLE, BAND_KINDS)
    profiles = bands[names].to_numpy()
    own: list[tuple[str, str, str, str, np.ndarray | None]] = [
        (method, CLEAN, clip, target, profile)
        for method, clip, target, profile in zip(bands["method"], bands["clip"], bands["target"], profiles, strict=True)
    ]
    axes = recorded_table(store, AXES_TABLE, AXES_KINDS)
    if axes is not None:
        shifted = axes.loc[axes["axis"] == "shift", ["method", "other", "clip", "target"]]
        own += [(*place, None) for place in shifted.itertuples(index=False, name=None)]
    facts, against = explained_facts(store), recorded_references(store)
    corpus, model = store.info["config"]["corpora"][0], store.info["config"]["models"][0]
    for method, condition, clip, target, profile in own:
        known = facts.get((corpus, model, condition, clip)) or facts.get((corpus, model, "", clip))
        if known is None or not is_chosen(shown.method(method), methods):
            continue
        told: dict[str, Any] = known | {
            "corpus": shown.corpus(corpus), "model": shown.model(model, str(known["trained_on"])),
            "method": shown.method(method), "condition": condition, "clip": clip, "target": target, "repeat": 0,
            "against": against.get(method, "none"),
        }  # fmt: skip
        if all(told.get(n, v) in (v if isinstance(v, frozenset) else {v}) for n, v in where.items()):
            table = masks.get((method, clip, target)) if profile is not None else None
            yield RecordedMap(
                **told, store=store, path=store.path, key="", has_table=table is not None, table=table, bands=profile
            )


def recorded_references(store: Store) -> dict[str, str]:
    """What a record's explanations are relative to, by method: of those against several fills the first fill."""
    corpus, model = store.info["config"]["corpora"][0], store.info["config"]["models"][0]
    first = store.info.get("fills", {}).get(corpus, {}).get(model, [])[:1]
    rows = store.scores(["method", "fill", "explained_against"]).astype(str).drop_duplicates()
    rows = rows.assign(first=rows["fill"].isin(["", *first])).sort_values("first", kind="stable")  # these decide
    return dict(zip(rows["method"], rows["explained_against"], strict=True))


def _found_map(
    store: Store,
    path: Path,
    head: Head,
    known: Mapping[str, Any],
    names: ShownNames,
) -> FoundMap:
    return FoundMap(
        corpus=names.corpus(head.corpus), model=names.model(head.model, known["trained_on"]),
        method=names.method(head.method), condition=head.condition, clip=head.clip, target=head.target,
        repeat=head.repeat, against=head.against, store=store, path=path, key=head.key, has_table=head.has_table,
        **known,
    )  # fmt: skip


def explained_facts(store: Store) -> dict[tuple[str, str, str, str], dict[str, object]]:
    """Facts of each (corpus, model, condition, clip); under condition "" those of companions without own rows."""
    rows = store.scores(_FACTS)
    rows = rows[rows["predicted"] != ""]
    sentences = read_clip_facts(store.path).drop_duplicates(["corpus", "clip"])
    rows = rows.sort_values("strength").drop_duplicates(_FACTS[:5]).merge(sentences, "left", ["corpus", "clip"])
    rows[["sentence", "sex"]] = rows[["sentence", "sex"]].fillna("")
    told = {}
    for row in rows.to_dict("records"):
        place = (row.pop("corpus"), row.pop("model"), row.pop("condition"), row.pop("clip"))
        told[place] = row
        if place[2] != "clean":
            told.setdefault((place[0], place[1], "", place[3]), row | {"predicted": "", "strength": np.nan})
    return told
