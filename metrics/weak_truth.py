"""Localisation against weak labels: relevance in stressed syllables and in voiced sounds.

Conventions
-----------
Phonetic annotations are no ground truth about emotion: a recogniser need not use stressed syllables. They are *weak*
labels: emotion is carried by the voice, more so in stressed syllables, so that relevance there at chance level is
suspicious, but relevance above chance is no evidence of a correct explanation. The metrics are named ``weak-...``, are
not core metrics, and should be compared with `energy`, which depends on loudness alone.

Only labelled time counts: silence before the first and after the last segment, and pauses, are left out, since most
maps of speech avoid them. Segments are assigned to the columns of the scoring grid (80 ms) in proportion to their
overlap; relevance is summed over frequency. A segment is *marked* if its label is at least 1: voiced sounds, and
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

MARKED = 1.0  # least label of a marked segment


def covered_shares(segments: Iterable[Word], time_edges_s: np.ndarray) -> np.ndarray:
    """Share of each column that is covered by segments.

    Parameters
    ----------
    segments : iterable of Word
        Must not overlap.
    time_edges_s : array, shape (n_time + 1,)

    Returns
    -------
    array, shape (n_time,)
        In 0..1.
    """
    start, end = time_edges_s[:-1], time_edges_s[1:]
    covered = np.zeros(start.size)
    for word in segments:
        covered += np.clip(np.minimum(end, word.end_s) - np.maximum(start, word.start_s), 0, None)
    return covered / (end - start)


def mass_gain(relevance: np.ndarray, marked: np.ndarray, labelled: np.ndarray) -> float:
    """Share of the positive relevance in marked time minus the marked share of labelled time.

    Parameters
    ----------
    relevance : array, shape (n_freq, n_time)
    marked, labelled : array, shape (n_time,)
        Marked and labelled share of each column; relevance is taken as uniform within a column.

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
    """ROC AUC of relevance for columns that are mostly marked; ties count half.

    Columns that are less than half labelled are left out.

    Parameters
    ----------
    relevance : array, shape (n_freq, n_time)
    marked, labelled : array, shape (n_time,)
        As in `mass_gain`.

    Raises
    ------
    NotApplicable
        If all columns are marked, or none is.
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
        If the clip has no such labels, or all of its labelled time is marked, or none.
    """

    def make() -> tuple[np.ndarray, np.ndarray]:
        segments = case.clip.marks.get(kind, ())
        if not segments:
            raise NotApplicable(f"no weak truth: the clip has no annotation of {kind} (corpus 'emodb' has)")
        edges = case.grid.time_edges_s
        marked = covered_shares((word for word in segments if float(word.label) >= MARKED), edges)
        labelled = covered_shares(segments, edges)
        if not 0 < marked.sum() < labelled.sum():
            raise NotApplicable(f"the annotation of {kind} marks all of the clip's labelled time, or nothing")
        return marked, labelled

    return case.shared(("weak truth", kind), make)


class _WeakLabelMetric(Metric):
    """Base class of metrics against one kind of annotation; subclasses set `kind` and `read`."""

    kind: str

    @staticmethod
    @abstractmethod
    def read(relevance: np.ndarray, marked: np.ndarray, labelled: np.ndarray) -> float:
        """Score a map by `mass_gain` or `time_auc`."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(self.read(case.map(explained.attribution), *case_marks(case, self.kind)))


class StressMass(_WeakLabelMetric):
    """Relevance in stressed syllables beyond their share of time. Higher is better, 0 is expected of a random map."""

    kind = "stress"
    read = staticmethod(mass_gain)


class StressAuc(_WeakLabelMetric):
    """ROC AUC of relevance for stressed time. Higher is better, 0.5 is expected of a random map."""

    kind = "stress"
    read = staticmethod(time_auc)


class VoicingMass(_WeakLabelMetric):
    """Relevance in voiced sounds beyond their share of time. Higher is better, 0 is expected of a random map."""

    kind = "voicing"
    read = staticmethod(mass_gain)


class VoicingAuc(_WeakLabelMetric):
    """ROC AUC of relevance for voiced time. Higher is better, 0.5 is expected of a random map."""

    kind = "voicing"
    read = staticmethod(time_auc)
