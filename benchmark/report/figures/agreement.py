"""Heat map of the pairwise agreement of methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from ....datasets.corpora import load_corpus
from ....errors import ClipError, InputError
from ....methods.records import METHODS
from ...analysis.agreement import agreement, agreement_matrix, agreement_of_profiles
from ...analysis.leaderboard import ordered
from ...analysis.shown_names import ShownNames, is_chosen, plain_name, recogniser_title, shown_names
from ...analysis.stored_maps import found_maps
from ...stats.clustered import MIN_SPEAKERS
from ...storage.clip_facts import read_clip_facts
from ...storage.store import Explanation, Store
from .choice import one_of
from .of_runs import FigureOfRuns
from .style import PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

MAPS = "the maps"
PROFILES = "band profiles (eight bands, time left out; a record of results holds no maps)"
MOST_TOLD = 14  # methods whose numbers are printed in the heat map
CELL, LARGEST = 0.42, 4.5  # inches: of a cell, and of the heat map


def draw_agreement(table: pd.DataFrame, picture: str | Path, compared: str = MAPS) -> Path:
    """Draw the agreement of methods in a table's first setting as a heat map, with the numbers of all as CSV.

    Parameters
    ----------
    table : DataFrame
        As `agreement` returns it.
    picture : path
    compared : str
        What was compared, for the note.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError(
            "figure: the run holds no explanations to compare; finish it with `serxai run --resume` first."
        )
    setting = table.iloc[0][["corpus", "model", "condition"]]
    part = table[(table[setting.index] == setting).all(axis=1)]
    methods = ordered({*part["method"], *part["other"]}, METHODS.names())
    matrix = agreement_matrix(part, methods)
    half = agreement_matrix(part.assign(mean=(part["high"] - part["low"]) / 2), methods)
    texts = [
        ["" if np.isnan(m) else f"{m:.2f}" + ("" if np.isnan(h) else f"\n±{h:.2f}") for m, h in zip(*row, strict=True)]
        for row in zip(matrix.round(2).to_numpy() + 0.0, half.to_numpy(), strict=True)  # without -0.00
    ]
    least, most = part["clips"].min(), part["clips"].max()
    over = f"{most}" if least == most else f"{least} to {most}"
    heading = f"Agreement of methods: {setting['corpus']}, {setting['model']}, {setting['condition']}"
    with_text = len(methods) <= MOST_TOLD
    note = (
        f"Rank correlation of {compared} of the same clips{', mean ± half its 95 % interval' if with_text else ''} "
        f"(speakers, sentences as clusters; none below {MIN_SPEAKERS} speakers) over {over} of {part['planned'].max()} "
        "clips; agreement is no quality."
    )
    others = len(table[list(setting.index)].drop_duplicates()) - 1
    if others:
        note += f" {others} more of corpus and recogniser in the CSV (--corpus, --model)."
    side = min(CELL * len(methods), LARGEST)
    with rc_context(PAPER):
        figure, content = new_page(TWO_COLUMNS, side + 1.4, heading, note)
        ax = content.subplots()
        labels = [shorten(name, 28, placeholder="…") for name in methods]
        sns.heatmap(
            matrix,
            annot=np.array(texts) if with_text else None,
            fmt="",
            cmap="vlag",
            vmin=-1,
            vmax=1,
            square=True,
            linewidths=0.7,
            ax=ax,
            annot_kws={"fontsize": SMALL},
            xticklabels=labels,
            yticklabels=labels,
            cbar_kws={"label": "rank correlation", "shrink": 0.6, "aspect": 30},
        )
        ax.tick_params(length=0)
        ax.set_xticks(ax.get_xticks(), labels, rotation=40, ha="right", rotation_mode="anchor")
        return save(figure, table, picture, dpi=PAPER_DPI)


def agreement_of_runs(figure: FigureOfRuns) -> Path:
    """Draw the agreement of methods on recorded clips by one recogniser; the numbers are of all recognisers.

    Where one of them is a record of results, which has no maps, band profiles are compared. Lengths of clips that
    explanations of an earlier version do not say are read where the corpora are on disk.

    Raises
    ------
    InputError
        If a chosen corpus, recogniser or method explained nothing, or nothing can be compared.
    """
    recorded = any(store.is_record for store in figure.stores)
    table = _of_profiles(figure) if recorded else _of_maps(figure)
    compared = PROFILES if recorded else MAPS
    if table.empty:
        return draw_agreement(table, figure.picture, compared)
    corpus = one_of("--corpus", figure.choice.corpus, table["corpus"])
    model = one_of("--model", figure.choice.model, table.loc[table["corpus"] == corpus, "model"])
    first = (table["corpus"] == corpus) & (table["model"] == model)
    return draw_agreement(pd.concat([table[first], table[~first]]), figure.picture, compared)


def _of_profiles(figure: FigureOfRuns) -> pd.DataFrame:
    return agreement_of_profiles(
        found_maps(figure.stores, figure.choice.methods, condition="clean", repeat=0), figure.progress
    )


def _of_maps(figure: FigureOfRuns) -> pd.DataFrame:
    infos = [store.info for store in figure.stores]
    runs = [
        _Run(store, figure.data_root or store.info["execution"]["data_root"], names)
        for store, names in zip(figure.stores, shown_names(infos), strict=True)
    ]
    speakers = {place: speaker for run in runs for place, speaker in run.speakers.items()}
    sentences = {place: sentence for run in runs for place, sentence in run.sentences.items()}

    def duration(corpus: str, clip: str) -> float | None:
        return next((s for run in runs if (s := run.duration(corpus, clip)) is not None), None)

    explained = (e for run in runs for e in run.explanations(figure.choice.methods))
    return agreement(explained, speakers, figure.progress, duration, sentences)


class _Run:
    """Explanations of one run under the names that several runs show."""

    def __init__(self, store: Store, root: Path | str | None, names: ShownNames) -> None:
        self.store = store
        self._names = names
        self._shown = {name: names.corpus(name) for name in store.info["corpora"]}
        facts = store.scores(["corpus", "model", "trained_on", "clip", "speaker"]).drop_duplicates()
        told = facts.astype(str).itertuples(index=False, name=None)
        self._models: dict[tuple[str, str], str] = {}
        self.speakers: dict[tuple[str, str], str] = {}
        for corpus, model, trained_on, clip, speaker in told:
            name = names.model(model, trained_on)
            self._models[corpus, model] = recogniser_title(name, trained_on, corpus)
            self.speakers[self._shown.get(corpus, corpus), clip] = speaker
        clips = read_clip_facts(store.path)
        self.sentences = {(self._shown.get(r.corpus, r.corpus), r.clip): r.sentence for r in clips.itertuples()}
        self._corpus_of = cache(lambda name: load_corpus(name, root))

    def explanations(self, methods: Sequence[str]) -> Iterator[Explanation]:
        """First explanations of recorded clips that have scores."""
        where: dict[str, Any] = {"method": frozenset(map(plain_name, methods))} if methods else {}
        for e in self.store.explanations(condition="clean", first=True, repeat=0, **where):
            corpus, model = self._shown.get(e.corpus, e.corpus), self._models.get((e.corpus, e.model))
            method = self._names.method(e.attribution.method)
            if is_chosen(method, methods) and model is not None and (corpus, e.clip) in self.speakers:
                yield e._replace(corpus=corpus, model=model, attribution=replace(e.attribution, method=method))

    def duration(self, corpus: str, clip: str) -> float | None:
        """Length of a clip of a corpus by its shown name; None where it is not on disk."""
        try:
            own = next(name for name, shown in self._shown.items() if shown == corpus)
            return self._corpus_of(own).clip(clip).duration_s
        except (StopIteration, KeyError, InputError, ClipError):
            return None
