"""Acoustic cues of the salient windows of stored explanations, beside windows chosen without the recogniser.

What the claims of the Beyond Saliency paper are decided on. No model is called; the clips' audio is read.

Conventions
-----------
Salient windows, neutral reference and agreement with sources are those of `metrics.neutral_agreement`: at most five
windows of 150 ms, cues in standard deviations of as many windows of the same speaker's neutral clips, agreement -1..1.
Beside the salient windows stand as many windows

- of the *rivals* of that metric: matched in voiced time and energy at random, loudest (``energy``), and loudest or for
  sadness quietest (``loud-quiet``), which know the class and not the recogniser;
- *anywhere* in the clip: the mean over 40 random sets. A region of another size has other cues (a longer one varies
  more), so the whole clip is represented by sets of the same size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...cues.neutral import NeutralReference, mean_of_known
from ...cues.records import REGION_CUES
from ...cues.windows import TOP, WindowCues
from ...datasets.clip import Clip
from ...datasets.corpora import load_corpus
from ...datasets.corpus import Corpus
from ...errors import ClipError, InputError, NotApplicable
from ...keys import rng
from ...methods.attribution import Attribution
from ...methods.baselines import rule_map
from ...metrics.neutral_agreement import RANDOM_WINDOWS, RIVALS, WindowAgreement
from ...metrics.plausibility import DRAWS, KEEP, MIN_VOICED_FRAMES, expected_directions
from ...metrics.salience_contrast import timed_windows, window_scores
from ...progress import Progress
from ..run.neutral import neutral_reference, window_cues
from ..storage.store import Store
from .merge import shown_names
from .stored_maps import explained_facts

ANYWHERE_SETS = 40
SALIENT, ANYWHERE, TRUE = "salient", "anywhere", "true"
OWN = "own"
FACTS = ["corpus", "model", "method", "clip", "speaker", "sentence", "emotion", "predicted", "target"]
JUDGED = [OWN, *RIVALS]  # agreement with what sources expect of the class explained
COLUMNS = [
    *FACTS, *JUDGED, *(f"{TRUE} {name}" for name in JUDGED),
    *(f"{where} {cue}" for where in (SALIENT, ANYWHERE) for cue in REGION_CUES),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Explained:
    """Facts of one explanation and the relevance of the clip's windows."""

    corpus: str  # as the run names it
    facts: dict[str, Any]
    scores: np.ndarray


class ClipWindows:
    """Cues of the windows of one clip, against its speaker's neutral windows.

    Parameters
    ----------
    clip : Clip
    cues : WindowCues
    reference : NeutralReference
    """

    def __init__(self, clip: Clip, cues: WindowCues, reference: NeutralReference) -> None:
        self.clip, self.cues, self.reference = clip, cues, reference
        self._anywhere: dict[int, np.ndarray] = {}
        self._rivals: dict[tuple[str, str, int], np.ndarray | None] = {}

    def salient(self, scores: np.ndarray, size: int = TOP) -> np.ndarray:
        """Salient windows of a map, bool, shape (n_windows,); ties are broken alike for all explanations.

        Raises
        ------
        NotApplicable
            As `metrics.salience_contrast.timed_windows`.
        """
        return timed_windows(scores, rng("salient cues", self.clip.corpus, self.clip.id), size)

    def z(self, sets: np.ndarray) -> np.ndarray:
        """Cues of sets of equally many windows in standard deviations of neutral ones, shape (n_sets, n_cues)."""
        return self.reference.values(int(sets[0].sum())).z(self.cues.values(sets)[0])

    def anywhere(self, size: int) -> np.ndarray:
        """Mean z of random sets of so many windows, shape (n_cues,); NaN where no set has the cue."""
        if size not in self._anywhere:
            draw = rng("salient cues", "anywhere", self.clip.corpus, self.clip.id, size)
            ranks = draw.random((ANYWHERE_SETS, self.cues.n_windows)).argsort(axis=1).argsort(axis=1)
            self._anywhere[size] = mean_of_known(self.z(ranks < size))
        return self._anywhere[size]

    def judged(self, salient: np.ndarray, emotion: str) -> dict[str, float]:
        """Agreement of salient windows, and of as many of each rival, with what sources expect of an emotion.

        Returns
        -------
        dict of str to float
            By `JUDGED`; NaN for rivals without as many windows, and all where no source expects anything.
        """
        found = dict.fromkeys(JUDGED, np.nan)
        size = int(salient.sum())
        try:
            windows = WindowAgreement(self.cues, self.reference, expected_directions(emotion))
            found[OWN] = float(windows.of(salient[None])[0])
        except NotApplicable:
            return found
        draw = rng("salient cues", RANDOM_WINDOWS, self.clip.corpus, self.clip.id)
        controls = self.cues.matched_sets(salient, draw, DRAWS, KEEP)
        if len(controls):
            found[RANDOM_WINDOWS] = float(windows.of(controls).mean())
        for name in RIVALS[1:]:
            chosen = self._of_rival(name, emotion, size)
            if chosen is not None:
                found[name] = float(windows.of(chosen[None])[0])
        return found

    def _of_rival(self, name: str, emotion: str, size: int) -> np.ndarray | None:
        place = name, emotion, size
        if place not in self._rivals:
            try:
                scores = window_scores(rule_map(name, self.clip, emotion), self.clip.duration_s)[1]
                self._rivals[place] = self.salient(scores, size)
            except NotApplicable:
                self._rivals[place] = None
        return self._rivals[place]


def salient_cues(
    stores: Sequence[Store],
    methods: Sequence[str] = (),
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Cues and agreement of the salient windows of each explanation of a clean clip.

    Parameters
    ----------
    stores : sequence of Store
    methods : sequence of str
        Default those that each run names. Maps that say nothing about time have no salient windows and no rows.
    data_root : path, optional
        Folder that holds the corpora; default that of each run.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row for each recogniser, method and clip: of a clip that is explained for several
        classes the explanation of the predicted one. ``model`` is the recogniser with its training corpus where it is
        not the corpus explained.

    Raises
    ------
    InputError
        If a corpus is not there.
    """
    corpus_names, model_names = shown_names([store.info for store in stores])
    known: dict[tuple[str, str, str], list[_Explained]] = {}
    corpora: dict[tuple[str, str], Corpus] = {}
    for store, corpus_labels, model_labels in zip(stores, corpus_names, model_names, strict=True):
        root = data_root or store.info["execution"]["data_root"]
        for one in _explained(store, methods, corpus_labels, model_labels):
            place = (str(root or ""), one.corpus)
            if place not in corpora:
                corpora[place] = load_corpus(one.corpus, root)
            known.setdefault((*place, one.facts["clip"]), []).append(one)
    rows: list[dict[str, Any]] = []
    cues: dict[tuple[str, str, str], WindowCues | None] = {}
    for done, ((root, name, clip_id), group) in enumerate(sorted(known.items(), key=lambda item: item[0]), 1):
        rows += _clip_rows(corpora[root, name], clip_id, group, (root, name), cues)
        if progress is not None:
            progress("measuring cues of salient windows", done, len(known))
    return pd.DataFrame(rows, columns=COLUMNS)


def _explained(
    store: Store,
    methods: Sequence[str],
    corpus_labels: Mapping[str, str],
    model_labels: Mapping[tuple[str, str], str],
) -> Iterator[_Explained]:
    """Explanations of a run's clean clips, one a clip and method: that of the predicted class where there is one."""
    facts, wanted = explained_facts(store), set(methods) or set(store.info["config"]["methods"])
    chosen: dict[tuple[str, str, str, str], _Explained] = {}
    for e in store.explanations(condition="clean", first=True):
        of_clip = facts.get((e.corpus, e.model, "clean", e.clip))
        if e.repeat or of_clip is None or e.attribution.method not in wanted:
            continue
        scores = _scores(e.attribution, e.duration_s)
        if scores is None:
            continue
        place, target = (e.corpus, e.model, e.attribution.method, e.clip), e.attribution.target
        if place in chosen and target != of_clip["predicted"]:
            continue
        trained_on = str(of_clip["trained_on"])
        model = model_labels.get((e.model, trained_on), e.model)
        told = {name: of_clip[name] for name in ("speaker", "sentence", "emotion", "predicted")}
        told |= {"corpus": corpus_labels.get(e.corpus, e.corpus), "clip": e.clip}
        told |= {"model": model if trained_on in ("", e.corpus) else f"{model} ({trained_on})"}
        told |= {"method": e.attribution.method, "target": target}
        chosen[place] = _Explained(e.corpus, told, scores)
    yield from chosen.values()


def _scores(attribution: Attribution, duration_s: float) -> np.ndarray | None:
    if not duration_s > 0:
        raise InputError(
            "explanations of an earlier version, without the length of their clips; compute them again in another "
            "folder (`serxai run --out`)."
        )
    try:
        return window_scores(attribution, duration_s)[1]
    except NotApplicable:  # shorter than two windows
        return None


def _clip_rows(
    corpus: Corpus,
    clip_id: str,
    group: Iterable[_Explained],
    place: tuple[str, str],
    cues: dict[tuple[str, str, str], WindowCues | None],
) -> Iterator[dict[str, Any]]:
    """Rows of one clip's explanations; `cues` keeps the windows of clips that several references share."""

    def cues_of(name: str) -> WindowCues | None:
        if (*place, name) not in cues:
            try:
                cues[(*place, name)] = window_cues(corpus.clip(name))
            except ClipError:
                cues[(*place, name)] = None
        return cues[(*place, name)]

    own = cues_of(clip_id)
    if own is None:
        return
    clip = corpus.clip(clip_id)
    if int(clip.cue_tracks.voiced.sum()) < MIN_VOICED_FRAMES:
        return
    windows = ClipWindows(clip, own, neutral_reference(corpus, clip_id, cues_of))
    for one in group:
        with_row = explanation_row(windows, one.scores, str(one.facts["target"]), str(one.facts["emotion"]))
        if with_row is not None:
            yield one.facts | with_row


def explanation_row(windows: ClipWindows, scores: np.ndarray, target: str, emotion: str) -> dict[str, float] | None:
    """What is measured of one explanation; None where it has no salient windows, or nothing to compare them with.

    Parameters
    ----------
    windows : ClipWindows
    scores : array, shape (n_windows,)
        Positive relevance of each window.
    target : str
        Class that is explained.
    emotion : str
        Class of the clip.
    """
    try:
        salient = windows.salient(scores)
        z = windows.z(salient[None])[0]
        anywhere = windows.anywhere(int(salient.sum()))
    except NotApplicable:
        return None
    row = windows.judged(salient, target)
    of_true = row if emotion == target else windows.judged(salient, emotion)
    row = row | {f"{TRUE} {name}": value for name, value in of_true.items()}
    for where, values in ((SALIENT, z), (ANYWHERE, anywhere)):
        row |= {f"{where} {cue}": float(value) for cue, value in zip(REGION_CUES, values, strict=True)}
    return row
