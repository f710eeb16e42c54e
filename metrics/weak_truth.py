"""Localisation by weak truth: does the explanation lie on stressed syllables, on voiced sounds?

Conventions
-----------
What labellers wrote down about stretches of a clip is no truth about emotion: nobody knows that a recogniser should
look at stressed syllables. It is *weak* truth: emotion is carried by the voice, and more of it where a syllable is
stressed, so an explanation that lies there no more than chance has it gives pause, and one that does is not thereby
right. These scores are named ``weak-...``, are no core metrics, and say nothing beside `energy`, which knows loudness
alone.

Only labelled time counts: silence before the first and after the last stretch, and pauses, are left out, since every
map of a voice avoids them. A clip's stretches are shared out over the columns of the scoring grid (80 ms) by their
seconds; relevance is summed over frequency. A stretch is *marked* where its number is at least 1: voiced sounds, and
syllables that listeners rated 1 or more on the corpus' scale from 0 to 3.

Sources
-------
EMODB's labels (Burkhardt et al. 2005, Interspeech). Mass as in Arras, Osman, Samek 2022 (see `localisation`), less the
share that an even map has; area under the ROC curve as in Fawcett 2006.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import numpy as np

from ..datasets.clip import Word
from ..errors import NotApplicable
from .case import Case, Explained, Metric, Outcome
from .localisation import truth_auc

MARKED = 1.0  # least number of a stretch that counts as marked


def shares(stretches: Iterable[Word], time_edges_s: np.ndarray) -> np.ndarray:
    """Share of each column that stretches cover.

    Parameters
    ----------
    stretches : iterable of Word
        They do not overlap.
    time_edges_s : array, shape (n_time + 1,)

    Returns
    -------
    array, shape (n_time,)
        In 0..1.
    """
    start, end = time_edges_s[:-1], time_edges_s[1:]
    covered = np.zeros(start.size)
    for word in stretches:
        covered += np.clip(np.minimum(end, word.end_s) - np.maximum(start, word.start_s), 0, None)
    return covered / (end - start)


def mass_gain(relevance: np.ndarray, marked: np.ndarray, labelled: np.ndarray) -> float:
    """Share of the positive relevance that lies in marked time, less the share of labelled time that is marked.

    Parameters
    ----------
    relevance : array, shape (n_freq, n_time)
    marked, labelled : array, shape (n_time,)
        Shares of each column, over which its relevance is spread evenly; columns are equally long.

    Returns
    -------
    float
        In -1..1; 0 for a map that is even over time.

    Raises
    ------
    NotApplicable
        If no labelled cell is positive.
    """
    mass = np.clip(relevance, 0, None).sum(axis=0)
    total = mass @ labelled
    if total <= 0:
        raise NotApplicable("the map has no positive relevance in labelled time")
    return float(mass @ marked / total - marked.sum() / labelled.sum())


def time_auc(relevance: np.ndarray, marked: np.ndarray, labelled: np.ndarray) -> float:
    """How often a column that is mostly marked is more relevant than one that is mostly not; ties count half.

    Columns of which less than half is labelled are left out.

    Parameters
    ----------
    relevance : array, shape (n_freq, n_time)
    marked, labelled : array, shape (n_time,)
        As of `mass_gain`.

    Raises
    ------
    NotApplicable
        If all columns are on one side.
    """
    used = labelled >= 0.5
    inside = marked[used] > labelled[used] / 2
    if inside.all() or not inside.any():
        raise NotApplicable("all labelled columns of the scoring grid are marked, or none is")
    return truth_auc(relevance.sum(axis=0)[used], inside)


def case_marks(case: Case, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Marked and labelled share of each column of the scoring grid.

    Raises
    ------
    NotApplicable
        If the clip has no such labels, or they tell nothing apart.
    """

    def make() -> tuple[np.ndarray, np.ndarray]:
        stretches = case.clip.marks.get(kind, ())
        if not stretches:
            raise NotApplicable(f"no weak truth: the clip has no annotation of {kind} (corpus 'emodb' has)")
        edges = case.grid.time_edges_s
        marked = shares((word for word in stretches if float(word.label) >= MARKED), edges)
        labelled = shares(stretches, edges)
        if not 0 < marked.sum() < labelled.sum():
            raise NotApplicable(f"the annotation of {kind} marks all of the clip's labelled time, or nothing")
        return marked, labelled

    return case.shared(("weak truth", kind), make)


class _Weak(Metric):
    """A score against one kind of annotation: a subclass fills in `kind` and `read`."""

    kind: str

    @staticmethod
    @abstractmethod
    def read(relevance: np.ndarray, marked: np.ndarray, labelled: np.ndarray) -> float:
        """Score of a map: `mass_gain` or `time_auc`."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(self.read(case.map(explained.attribution), *case_marks(case, self.kind)))


class StressMass(_Weak):
    """Relevance in stressed syllables beyond their share of time. Higher is better, 0 is expected of a random map."""

    kind = "stress"
    read = staticmethod(mass_gain)


class StressAuc(_Weak):
    """How often stressed time is more relevant than other speech. Higher is better, 0.5 is expected of a random map."""

    kind = "stress"
    read = staticmethod(time_auc)


class VoicingMass(_Weak):
    """Relevance in voiced sounds beyond their share of time. Higher is better, 0 is expected of a random map."""

    kind = "voicing"
    read = staticmethod(mass_gain)


class VoicingAuc(_Weak):
    """How often voiced time is more relevant than voiceless. Higher is better, 0.5 is expected of a random map."""

    kind = "voicing"
    read = staticmethod(time_auc)
