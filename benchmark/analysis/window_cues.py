"""Acoustic cues of an explanation's salient windows in units of the same speaker's neutral voice.

Salient windows are those of the plausibility metrics (`metrics.salience_contrast`): at most five of 150 ms, those with
the most positive relevance. Each cue is expressed in standard deviations over sets of as many windows of the speaker's
neutral clips (`cues.neutral`): of the salient windows, of the rest of the clip, and of as many random windows of the
same clip, matched in voiced time and energy (mean over at most 50 sets). What differs from neutral in the salient
windows and in the others alike is the speech and not the explanation.

Clips are explained for the class that the run's target rule names, as recorded, first repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...cues.neutral import mean_of_known
from ...cues.records import REGION_CUES
from ...cues.windows import WindowCues
from ...datasets.corpora import load_corpus
from ...datasets.corpus import Corpus
from ...errors import NotApplicable
from ...keys import rng
from ...metrics.plausibility import DRAWS, KEEP
from ...metrics.salience_contrast import timed_windows, window_scores
from ...progress import Progress
from ..run.neutral import neutral_reference, window_cues
from ..stats.clustered import clustered_mean
from ..storage.store import Explanation, Store
from .merge import shown_names

SALIENT, RANDOM, REST = "salient windows", "random windows", "rest of the clip"
PARTS = (SALIENT, RANDOM, REST)
ROWS = [
    "corpus", "model", "method", "clip", "speaker", "sentence", "emotion", "predicted", "target", "cue", "n_windows",
    *PARTS,
]  # fmt: skip
MEANS = ["cue", "group", "z", "low", "high", "n_clips", "n_speakers"]


def salient(explanation: Explanation, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Window edges of a clip in seconds and its salient windows, shapes (n + 1,) and (n,).

    Raises
    ------
    NotApplicable
        For clips shorter than two windows, and maps without positive relevance or without resolution in time.
    """
    edges, scores = window_scores(explanation.attribution, duration_s)
    draw = rng("window cues", explanation.corpus, explanation.clip, explanation.attribution.method)
    return edges, timed_windows(scores, draw)


class NamedExplanation:
    """An explanation of a clip as recorded, with the names under which several runs show it.

    Attributes
    ----------
    explanation : Explanation
    corpus, model : str
        Shown names; the model with its training corpus.
    predicted : str
    """

    def __init__(self, explanation: Explanation, corpus: str, model: str, predicted: str) -> None:
        self.explanation = explanation
        self.corpus = corpus
        self.model = model
        self.predicted = predicted

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.explanation.attribution.method


def clean_explanations(stores: Sequence[Store]) -> Iterator[tuple[Store, NamedExplanation]]:
    """Explanations of clips as recorded, first repeats, each once, with the run that holds them."""
    corpus_names, model_names = shown_names([store.info for store in stores])
    seen = set()
    for store, corpora, models in zip(stores, corpus_names, model_names, strict=True):
        rows = store.scores(["corpus", "model", "trained_on", "condition", "clip", "predicted"])
        rows = rows[(rows["condition"] == "clean") & (rows["predicted"] != "")]
        facts = rows.drop_duplicates(["corpus", "model", "clip"]).set_index(["corpus", "model", "clip"])
        told = facts[["trained_on", "predicted"]].astype(str).to_dict("index")
        for e in store.explanations(condition="clean", first=True, repeat=0):
            known = told.get((e.corpus, e.model, e.clip))
            if known is None:
                continue
            model = models.get((e.model, known["trained_on"]), e.model)
            named = f"{model} ({known['trained_on']})" if known["trained_on"] else model
            one = NamedExplanation(e, corpora.get(e.corpus, e.corpus), named, known["predicted"])
            place = (one.corpus, one.model, one.method, e.clip, e.attribution.target)
            if place not in seen:
                seen.add(place)
                yield store, one


def data_root_of(store: Store, data_root: str | Path | None) -> Any:
    """Folder that holds the corpora: the given one, else that of the run."""
    return data_root or store.info.get("execution", {}).get("data_root")


class Voices:
    """Corpora, cues of windows and neutral references, each read once.

    Parameters
    ----------
    data_root : path, optional
        Default that of each run.
    """

    def __init__(self, data_root: str | Path | None = None) -> None:
        self.data_root = data_root
        self._corpora: dict[tuple[str, str], Corpus] = {}
        self._cues: dict[tuple[str, str], WindowCues | None] = {}

    def corpus(self, store: Store, name: str) -> Corpus:
        """Corpus of a run.

        Raises
        ------
        InputError
            If it is not on disk.
        """
        root = data_root_of(store, self.data_root)
        if (name, str(root)) not in self._corpora:
            self._corpora[name, str(root)] = load_corpus(name, root)
        return self._corpora[name, str(root)]

    def cues(self, corpus: Corpus, clip: str) -> WindowCues | None:
        """Cues of a clip's windows; None where it has none."""
        if (corpus.name, clip) not in self._cues:
            self._cues[corpus.name, clip] = window_cues(corpus.clip(clip))
        return self._cues[corpus.name, clip]

    def standardised(self, corpus: Corpus, clip: str, chosen: np.ndarray, seed: str) -> dict[str, np.ndarray]:
        """Cues of salient, random and other windows in units of the speaker's neutral, each of shape (n_cues,).

        Parameters
        ----------
        corpus : Corpus
        clip : str
        chosen : array of bool, shape (n_windows,)
            The salient windows.
        seed : str
            Of the random ones.

        Raises
        ------
        NotApplicable
            If the clip has no cues, or its speaker fewer than 3 neutral clips that are long enough.
        """
        own = self.cues(corpus, clip)
        if own is None:
            raise NotApplicable("the clip is too short for windows, or has no cues")
        neutral = neutral_reference(corpus, clip, lambda name: self.cues(corpus, name)).values(int(chosen.sum()))
        inside, rest = own.values(chosen[None])
        matched = own.matched_sets(chosen, rng("window cues", corpus.name, clip, seed), DRAWS, KEEP)
        random = neutral.z(own.values(matched)[0]) if len(matched) else np.full((1, len(REGION_CUES)), np.nan)
        return {SALIENT: neutral.z(inside)[0], RANDOM: mean_of_known(random), REST: neutral.z(rest)[0]}


def window_cue_table(
    stores: Sequence[Store],
    wanted: Callable[[NamedExplanation], bool],
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Standardised cues of the windows of explanations.

    Parameters
    ----------
    stores : sequence of Store
    wanted : callable
        Which explanations.
    data_root : path, optional
        Folder that holds the corpora; default that of each run.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    DataFrame
        Columns `ROWS`, one row for each explanation and cue; NaN where a cue has no value or is not compared (levels of
        corpora whose levels are not comparable). Explanations without salient windows, and of speakers with fewer than
        3 neutral clips, have no rows.

    Raises
    ------
    InputError
        If a corpus is not on disk.
    """
    chosen = [(store, one) for store, one in clean_explanations(stores) if wanted(one)]
    voices, rows = Voices(data_root), []
    for done, (store, one) in enumerate(chosen, 1):
        if progress is not None:
            progress("measuring cues", done, len(chosen))
        e = one.explanation
        corpus = voices.corpus(store, e.corpus)
        if e.clip not in corpus.table.index:
            continue
        try:
            _, windows = salient(e, e.duration_s or corpus.clip(e.clip).duration_s)
            z = voices.standardised(corpus, e.clip, windows, one.method)
        except NotApplicable:
            continue
        facts = corpus.table.loc[e.clip]
        place = (one.corpus, one.model, one.method, e.clip, str(facts["speaker"]), str(facts.get("sentence", "")),
                 str(facts["emotion"]), one.predicted, e.attribution.target)  # fmt: skip
        rows += [
            (*place, cue, int(windows.sum()), *(float(z[part][k]) for part in PARTS))
            for k, cue in enumerate(REGION_CUES)
        ]
    return pd.DataFrame(rows, columns=ROWS)


def mean_z(table: pd.DataFrame, groups: Mapping[str, tuple[str, pd.Series]]) -> pd.DataFrame:
    """Mean of each cue in groups of clips, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        Of `window_cue_table`, with one row for each clip and cue.
    groups : mapping of str to (str, Series of bool)
        By the group's name: the part whose cues are averaged, and the rows of the table that belong to it.

    Returns
    -------
    DataFrame
        Columns `MEANS`; speakers and, where known, sentences are clusters. No interval below 6 speakers.
    """
    rows = []
    for cue in dict.fromkeys(table["cue"]):
        for group, (part, members) in groups.items():
            of_cue = table[members & (table["cue"] == cue)].dropna(subset=[part])
            if of_cue.empty:
                rows.append((cue, group, *(np.nan,) * 3, 0, 0))
                continue
            sentences = of_cue["sentence"].tolist() if of_cue["sentence"].ne("").all() else None
            found = clustered_mean(of_cue[part].to_numpy(), of_cue["speaker"].tolist(), sentences)
            rows.append((cue, group, found.mean, *found.bounds, found.n_clips, found.n_speakers))
    return pd.DataFrame(rows, columns=MEANS)
