"""Acoustic cues of the salient windows of stored explanations, beside windows chosen without the recogniser.

What the claims of the Beyond Saliency paper are decided on, and what its figures draw. No model is called; the clips'
audio is read.

Conventions
-----------
Salient windows, neutral reference and agreement with sources are those of `metrics.neutral_agreement`: at most five
windows of 150 ms, cues in standard deviations of as many windows of the same speaker's neutral clips, agreement -1..1.
Beside the salient windows stand

- as many windows of the *rivals* of that metric: matched in voiced time and energy at random (mean over at most 50
  sets), loudest (``energy``), and loudest or for sadness quietest (``loud-quiet``), which know the class and not the
  recogniser;
- as many windows *anywhere* in the clip: the mean over 40 random sets. A region of another size has other cues (a
  longer one varies more), so the whole clip is represented by sets of the same size;
- the *rest* of the clip. What differs from neutral there as in the salient windows is the speech, not the explanation.

Draws depend on the clip and on the windows, not on the method. Clips with less than 200 ms of voice have no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from ...errors import ClipError, NotApplicable
from ...keys import rng
from ...methods.baselines import rule_map
from ...metrics.neutral_agreement import RANDOM_WINDOWS, RIVALS, WindowAgreement
from ...metrics.plausibility import DRAWS, KEEP, MIN_VOICED_FRAMES, expected_directions
from ...metrics.salience_contrast import timed_windows, window_scores
from ...progress import Progress
from ..run.neutral import neutral_reference, window_cues
from ..storage.store import Explanation, Store
from .band_table import AGAINST, FACTS
from .record_tables import CUES, kinds_of, needed_table
from .shown_names import plain_name
from .stored_maps import FoundMap, MapFacts

ANYWHERE_SETS = 40
SALIENT, RANDOM, ANYWHERE, REST = "salient", "random", "anywhere", "rest"  # windows, as columns begin
WHERE = (SALIENT, RANDOM, ANYWHERE, REST)
TRUE, OWN = "true", "own"
_SHOWN = ("corpus", "model", "method", AGAINST)  # not as a record has them
JUDGED = [OWN, *RIVALS]  # agreement with what sources expect of the class explained
COLUMNS = [
    *FACTS, "n_windows", *JUDGED, *(f"{TRUE} {name}" for name in JUDGED),
    *(f"{where} {cue}" for where in WHERE for cue in REGION_CUES),
]  # fmt: skip


def salient_windows(scores: np.ndarray, corpus: str, clip: str, size: int = TOP) -> np.ndarray:
    """Salient windows of a clip, bool, shape (n_windows,); ties are broken alike for all explanations of it.

    Parameters
    ----------
    scores : array, shape (n_windows,)
        Positive relevance of each window (`metrics.salience_contrast.window_scores`).
    corpus, clip : str
    size : int
        At most so many.

    Raises
    ------
    NotApplicable
        As `metrics.salience_contrast.timed_windows`.
    """
    return timed_windows(scores, rng("salient cues", corpus, clip), size)


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
        """Salient windows of a map, see `salient_windows`."""
        return salient_windows(scores, self.clip.corpus, self.clip.id, size)

    def z(self, sets: np.ndarray) -> np.ndarray:
        """Cues of sets of equally many windows in standard deviations of neutral ones, shape (n_sets, n_cues)."""
        return self.reference.values(int(sets[0].sum())).z(self.cues.values(sets)[0])

    def rest(self, salient: np.ndarray) -> np.ndarray:
        """Cues of the rest of the clip in standard deviations of as many neutral windows, shape (n_cues,)."""
        found: np.ndarray = self.reference.values(int(salient.sum())).z(self.cues.values(salient[None])[1])[0]
        return found

    def anywhere(self, size: int) -> np.ndarray:
        """Mean z of random sets of so many windows, shape (n_cues,); NaN where no set has the cue."""
        if size not in self._anywhere:
            draw = rng("salient cues", "anywhere", self.clip.corpus, self.clip.id, size)
            ranks = draw.random((ANYWHERE_SETS, self.cues.n_windows)).argsort(axis=1).argsort(axis=1)
            self._anywhere[size] = mean_of_known(self.z(ranks < size))
        return self._anywhere[size]

    def matched(self, salient: np.ndarray) -> np.ndarray:
        """Sets of as many other windows, matched in voiced time and energy, shape (n_sets, n_windows)."""
        draw = rng("salient cues", RANDOM_WINDOWS, self.clip.corpus, self.clip.id)
        return self.cues.matched_sets(salient, draw, DRAWS, KEEP)

    def judged(self, salient: np.ndarray, emotion: str, matched: np.ndarray | None = None) -> dict[str, float]:
        """Agreement of salient windows, and of as many of each rival, with what sources expect of an emotion.

        Parameters
        ----------
        salient : array of bool, shape (n_windows,)
        emotion : str
        matched : array of bool, optional
            Their `matched` sets, where they are known.

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
        controls = self.matched(salient) if matched is None else matched
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

    def row(self, scores: np.ndarray, target: str, emotion: str) -> dict[str, float] | None:
        """What is measured of one explanation; None where it has no salient windows, or nothing to compare them with.

        Parameters
        ----------
        scores : array, shape (n_windows,)
            Positive relevance of each window.
        target : str
            Class that is explained.
        emotion : str
            Class of the clip.
        """
        try:
            salient = self.salient(scores)
            size = int(salient.sum())
            found = {SALIENT: self.z(salient[None])[0], ANYWHERE: self.anywhere(size), REST: self.rest(salient)}
        except NotApplicable:
            return None
        matched = self.matched(salient)
        nothing = np.full(len(REGION_CUES), np.nan)
        found[RANDOM] = mean_of_known(self.z(matched)) if len(matched) else nothing
        row = self.judged(salient, target, matched)
        of_true = row if emotion == target else self.judged(salient, emotion, matched)
        row = {"n_windows": size} | row | {f"{TRUE} {name}": value for name, value in of_true.items()}
        for where in WHERE:
            row |= {f"{where} {cue}": float(z) for cue, z in zip(REGION_CUES, found[where], strict=True)}
        return row


class Voices:
    """Corpora, cues of windows and neutral references, each read once for all runs.

    Parameters
    ----------
    data_root : path, optional
        Folder that holds the corpora; default that of each run.
    """

    def __init__(self, data_root: str | Path | None = None) -> None:
        self.data_root = data_root
        self._corpora: dict[tuple[str, str], Corpus] = {}
        self._cues: dict[tuple[str, str, str], WindowCues | None] = {}
        self._windows: dict[tuple[str, str, str], ClipWindows | None] = {}

    def _root(self, store: Store) -> Any:
        return self.data_root or store.info.get("execution", {}).get("data_root")

    def corpus(self, store: Store, name: str) -> Corpus:
        """Corpus of a run, by its own name.

        Raises
        ------
        InputError
            If it is not on disk.
        """
        root = self._root(store)
        if (str(root), name) not in self._corpora:
            self._corpora[str(root), name] = load_corpus(name, root)
        return self._corpora[str(root), name]

    def windows(self, store: Store, corpus: str, clip: str) -> ClipWindows | None:
        """Windows of a clip; None where it has no cues, or the corpus on disk does not have it.

        Raises
        ------
        InputError
            If the corpus is not on disk.
        """
        place = str(self._root(store)), corpus, clip
        if place not in self._windows:
            self._windows[place] = self._measured(place, self.corpus(store, corpus))
        return self._windows[place]

    def _measured(self, place: tuple[str, str, str], corpus: Corpus) -> ClipWindows | None:
        root, name, clip_id = place

        def cues_of(other: str) -> WindowCues | None:
            if (root, name, other) not in self._cues:
                try:
                    self._cues[root, name, other] = window_cues(corpus.clip(other))
                except ClipError:
                    self._cues[root, name, other] = None
            return self._cues[root, name, other]

        own = cues_of(clip_id) if clip_id in corpus.table.index else None
        if own is None:
            return None
        clip = corpus.clip(clip_id)
        if int(clip.cue_tracks.voiced.sum()) < MIN_VOICED_FRAMES:
            return None
        return ClipWindows(clip, own, neutral_reference(corpus, clip_id, cues_of))


@dataclass(frozen=True, eq=False)
class TimedMap:
    """An explanation and the positive relevance of its clip's windows, shape (n_windows,)."""

    one: MapFacts
    corpus: str  # as the run names it
    scores: np.ndarray


def timed(one: MapFacts, e: Explanation) -> TimedMap | None:
    """Relevance of the windows of an explanation; None for clips shorter than two windows."""
    try:
        return TimedMap(one, e.corpus, window_scores(e.attribution, e.duration_s)[1])
    except NotApplicable:
        return None


def one_a_clip(maps: Iterable[TimedMap]) -> list[TimedMap]:
    """One explanation for each recogniser, method and clip: that of the predicted class where there are several."""
    chosen: dict[tuple[str, ...], TimedMap] = {}
    for each in maps:
        one = each.one
        place = one.corpus, one.recogniser, one.method, one.clip
        if place not in chosen or one.target == one.predicted:
            chosen[place] = each
    return list(chosen.values())


def cue_table(maps: Sequence[TimedMap], store: Store, voices: Voices, progress: Progress | None = None) -> pd.DataFrame:
    """Cues and agreement of the salient windows of each explanation of a run's clips as recorded.

    Parameters
    ----------
    maps : sequence of TimedMap
        Of one run. Maps that say nothing about time have no salient windows and no rows.
    store : Store
        The run.
    voices : Voices
        Shared by runs of the same corpora.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row for each recogniser, method and clip, see `one_a_clip`; NaN where a cue has no value
        or is not compared (levels of corpora whose levels are not comparable).

    Raises
    ------
    InputError
        If a corpus is not on disk.
    """
    chosen = sorted(one_a_clip(maps), key=lambda each: (each.corpus, each.one.clip))
    rows = []
    for done, each in enumerate(chosen, 1):
        windows = voices.windows(store, each.corpus, each.one.clip)
        found = windows.row(each.scores, each.one.target, each.one.emotion) if windows is not None else None
        if found is not None:
            rows.append({name: getattr(each.one, name) for name in FACTS} | found)
        if progress is not None:
            progress("measuring cues of salient windows", done, len(chosen))
    return pd.DataFrame(rows, columns=COLUMNS)


def cues_of_maps(
    maps: Iterable[FoundMap], data_root: str | Path | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """`cue_table` of explanations of one or several runs, under the names under which they were found.

    Parameters
    ----------
    maps : iterable of FoundMap
        Of clips as recorded, first repeats.
    data_root : path, optional
    progress : callable, optional

    Raises
    ------
    InputError
        As `cue_table`, and `FoundMap.explanation`.
    """
    by_run: dict[str, list[FoundMap]] = {}
    for one in maps:
        by_run.setdefault(str(one.store.path), []).append(one)
    voices, parts = Voices(data_root), [pd.DataFrame(columns=COLUMNS)]
    for found in by_run.values():
        if found[0].store.is_record:
            parts.append(_recorded_cues(found))
            continue
        read = (timed(one, one.explanation()) for one in found)
        parts.append(cue_table([each for each in read if each is not None], found[0].store, voices, progress))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


CUE_KINDS = kinds_of(name for name in COLUMNS if name != AGAINST)


def _recorded_cues(maps: Sequence[FoundMap]) -> pd.DataFrame:
    """Rows that a record holds of these explanations, under the names under which they were found."""
    table = needed_table(maps[0].store, CUES, CUE_KINDS)
    wanted = {(plain_name(one.method), one.clip, one.target) for one in maps}
    places = zip(table["method"], table["clip"], table["target"], strict=True)
    table = table[[place in wanted for place in places]]
    of_method = {plain_name(one.method): one for one in maps}
    told = {name: table["method"].map({m: getattr(one, name) for m, one in of_method.items()}) for name in _SHOWN}
    return table.assign(**told)[COLUMNS]
