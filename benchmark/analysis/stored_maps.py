"""Explanations of one or several runs as maps on the scoring grid of the clip as recorded, with the facts of the clip.

What analyses across conditions, recognisers, corpora and retrainings start from. No model is called, no audio read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...audio import Grid, scoring_grid
from ...datasets.clip import recorded_times
from ...errors import InputError
from ...metrics.case import summed_on
from ...metrics.resolution import resolution_of
from ...metrics.similarity import stretched
from ..storage.clip_facts import read_clip_facts
from ..storage.store import Explanation, Store
from .merge import shown_names

_FACTS = ["corpus", "model", "trained_on", "condition", "clip", "speaker", "emotion", "predicted", "strength"]


@dataclass(frozen=True, eq=False)
class StoredMap:
    """One explanation.

    Attributes
    ----------
    corpus, model, trained_on, method, condition, clip, target : str
        `model` is the shown name: with a short digest where several recognisers have one name.
    repeat : int
    speaker, sentence, sex, emotion, predicted : str
        `predicted` under the condition; empty where not known.
    strength : float
        Measured strength of the condition.
    duration_s : float
        Of the clip as recorded.
    values : array, shape (16, n)
        Sums over the cells of the scoring grid of the clip as recorded.
    cells : int
        Cells that the map resolves (`metrics.resolution`).
    table : array, shape (2 ** parts,), optional
        Responses of all masks, where the explanation scored every one (`methods.attribution.Attribution`).
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
    duration_s: float
    values: np.ndarray
    cells: int
    table: np.ndarray | None = None

    @property
    def recogniser(self) -> str:
        """Model with its training corpus."""
        return f"{self.model} ({self.trained_on})" if self.trained_on else self.model

    @property
    def kind(self) -> str:
        """Kind of the recogniser: its name without the digest that tells several apart."""
        return self.model.partition("@")[0]

    @property
    def crossed(self) -> bool:
        """Whether the recogniser was trained on another corpus than the one it hears."""
        return self.trained_on not in ("", self.corpus)

    def on(self, columns: int) -> np.ndarray:
        """The map with its time axis stretched to so many columns, shape (16, columns)."""
        return self.values if self.values.shape[1] == columns else stretched(self.values, columns)


def stored_maps(stores: Sequence[Store], methods: Sequence[str] = ()) -> list[StoredMap]:
    """Maps of the runs' explanations, each once; of explanations against several fills the one against the first.

    Parameters
    ----------
    stores : sequence of Store
    methods : sequence of str
        Default all.

    Raises
    ------
    InputError
        If a run holds no explanation that says how long its clip is, as those of earlier versions do not.
    """
    corpus_names, model_names = shown_names([store.info for store in stores])
    found: dict[tuple, StoredMap] = {}
    for store, corpora, models in zip(stores, corpus_names, model_names, strict=True):
        facts = explained_facts(store)
        for e in store.explanations():
            if not e.first or (methods and e.attribution.method not in methods):
                continue
            known = facts.get((e.corpus, e.model, e.condition, e.clip)) or facts.get((e.corpus, e.model, "", e.clip))
            if known is None:
                continue
            one = _stored_map(store, e, known)
            named = {
                "corpus": corpora.get(e.corpus, e.corpus),
                "model": models.get((e.model, one.trained_on), e.model),
            }
            one = StoredMap(**{**vars(one), **named})
            found[one.corpus, one.recogniser, one.method, one.condition, one.repeat, one.clip, one.target] = one
    return list(found.values())


def _stored_map(store: Store, e: Explanation, facts: dict[str, object]) -> StoredMap:
    if not e.duration_s > 0:
        raise InputError(
            f"{store.path}: explanations of an earlier version, without the length of their clips; compute them again "
            "in another folder (`serxai run --out`)."
        )
    recorded_s = e.time_map[-1][0] if e.time_map else e.duration_s
    own, grid = e.attribution.grid, scoring_grid(recorded_s)
    native = Grid(own.freq_edges_hz, recorded_times(own.time_edges_s, e.time_map))
    resolution = resolution_of(e.attribution.values, native, grid)
    return StoredMap(
        corpus=e.corpus,
        model=e.model,
        method=e.attribution.method,
        condition=e.condition,
        clip=e.clip,
        target=e.attribution.target,
        repeat=e.repeat,
        duration_s=recorded_s,
        values=summed_on(e.attribution.values, native, grid),
        cells=min(resolution.rows, grid.shape[0]) * min(resolution.columns, grid.shape[1]),
        table=e.attribution.table,
        **facts,  # type: ignore[arg-type]
    )


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
