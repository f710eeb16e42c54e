"""Shortcut probes: how well facts about the recording, not the speech, tell the label.

A recogniser that may use a clip's length, its padding, its level or its share of silence need not listen. Each probe is
a small classifier that sees one such fact (or one kind of them) and nothing else, trained and tested on different
speakers. Where a probe beats chance, an explanation that points there may be right about the recogniser and worthless
about emotion.

Classifier: each feature is cut into bins at quantiles of the training speakers' clips; the label's shares per bin are
counted with one pseudo-count (naive Bayes over the features, all labels alike likely beforehand, so that it aims at the
unweighted average recall). It takes any shape of dependence, has no scale and nothing to tune, and needs one count for
each of the permutations. The slow twin in the tests is scikit-learn's `KBinsDiscretizer` with `CategoricalNB`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..keys import digest, rng
from .folds import speaker_folds
from .probe_features import FEATURES, measure

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import Corpus

VERSION = "1"
MAX_BINS, CLIPS_PER_CELL = 16, 5
MAX_FOLDS = 10
DRAWS = 5_000  # of the posterior, for an interval over clips
CHUNK = 64  # orders of the labels at once
FEW_SPEAKERS = 6  # below, no interval over speakers (design, definition 5)
RARE = 10  # clips; emotions with fewer are left out
ALPHA = 0.05
NEW, KNOWN = "new speakers", "known speakers"


@dataclass(frozen=True)
class Probe:
    """What one classifier may see."""

    name: str
    kind: str
    features: tuple[str, ...]


PROBES = (
    Probe("duration", "duration", ("duration_s",)),
    Probe("padding", "padding", ("leading_silence_s", "trailing_silence_s", "zeros_s")),
    Probe("leading silence", "padding", ("leading_silence_s",)),
    Probe("trailing silence", "padding", ("trailing_silence_s",)),
    Probe("end zeros", "padding", ("zeros_s",)),
    Probe("level", "level", ("rms_dbfs", "peak_dbfs")),
    Probe("RMS level", "level", ("rms_dbfs",)),
    Probe("peak level", "level", ("peak_dbfs",)),
    Probe("silence ratio", "silence", ("silence_ratio",)),
)


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found.

    Attributes
    ----------
    tested_on : str
        ``new speakers`` (held-out speakers: the honest split) or ``known speakers`` (held-out clips of speakers that
        were heard in training: what a leaking evaluation would reward).
    uar : float
        Unweighted average recall over all held-out clips, 0..1.
    low, high : float
        Its 95 % interval.
    chance : float
        Mean UAR over permuted labels.
    accuracy, majority : float
        Share of held-out clips told right, and of the most frequent label.
    p : float
        Share of permutations that reach the UAR (the observed order counted among them).
    p_holm : float
        The same after Holm's correction over all probes.
    beats_chance : bool
        ``p_holm`` below 5 %.
    """

    probe: str
    kind: str
    tested_on: str
    uar: float
    low: float
    high: float
    chance: float
    accuracy: float
    majority: float
    p: float
    p_holm: float
    beats_chance: bool


@dataclass(frozen=True)
class ProbeReport:
    """All probes of one corpus.

    Attributes
    ----------
    clips, speakers, speaker_folds, clip_folds : int
    emotions : tuple of str
    unreadable : tuple of str
        Clips that could not be decoded and were left out.
    interval : str
        How intervals were made.
    notes : tuple of str
        What a reader must know before citing a number.
    """

    corpus: str
    version: str
    clips: int
    speakers: int
    emotions: tuple[str, ...]
    speaker_folds: int
    clip_folds: int
    permutations: int
    seed: int
    unreadable: tuple[str, ...]
    interval: str
    notes: tuple[str, ...]
    results: tuple[ProbeResult, ...]

    def table(self) -> pd.DataFrame:
        """One row a probe, with the corpus and its size beside the result's fields."""
        import pandas as pd

        head = {"corpus": self.corpus, "clips": self.clips, "speakers": self.speakers, "classes": len(self.emotions)}
        return pd.DataFrame([head | asdict(result) for result in self.results])


def bins_for(training: np.ndarray, n_classes: int) -> np.ndarray:
    """Inner bin edges at quantiles of the training clips.

    About `CLIPS_PER_CELL` training clips of each label fall into a bin, of at most `MAX_BINS` bins; equal edges (many
    clips of one value) are one edge.

    Parameters
    ----------
    training : array, shape (n_clips,)
    n_classes : int

    Returns
    -------
    array, shape (at most MAX_BINS - 1,)
    """
    n = int(np.clip(len(training) // (CLIPS_PER_CELL * n_classes), 2, MAX_BINS))
    edges = np.unique(np.quantile(training, np.arange(1, n) / n))
    # a clip on an edge belongs above it: an edge at the smallest value would leave nothing below
    return edges[edges > training.min()]


class _Split:
    """Held-out folds of some clips, features cut into bins, ready for any order of the labels.

    Parameters
    ----------
    values : array, shape (n_clips, n_features)
    folds : array of int, shape (n_clips,)
        In which fold a clip is held out.
    n_classes : int
    """

    def __init__(self, values: np.ndarray, folds: np.ndarray, n_classes: int) -> None:
        self.n_classes = n_classes
        self._folds = []
        for fold in np.unique(folds):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            edges = [bins_for(column[train], n_classes) for column in values.T]
            binned = [np.searchsorted(e, column, "right") for e, column in zip(edges, values.T, strict=True)]
            # one column a bin of a feature: counting labels per bin is a matrix product
            inside = np.hstack([np.eye(len(e) + 1)[bins[train]] for bins, e in zip(binned, edges, strict=True)])
            sizes = [len(e) + 1 for e in edges]
            self._folds.append((train, test, inside, sizes, [bins[test] for bins in binned]))

    def predict(self, orders: np.ndarray, probes: Sequence[Sequence[int]]) -> np.ndarray:
        """Labels of the held-out clips by the classifiers of some features each; of labels alike likely, the first.

        Parameters
        ----------
        orders : array of int, shape (n_orders, n_clips)
            Labels, in the order observed and in others.
        probes : sequence of sequences of int
            Columns of the values that a probe may see.

        Returns
        -------
        array of int, shape (n_probes, n_orders, n_clips)
        """
        n_orders, n_clips = orders.shape
        predicted = np.empty((len(probes), n_orders, n_clips), dtype=int)
        for train, test, inside, sizes, tested in self._folds:
            known = np.eye(self.n_classes)[orders[:, train].T]  # (n_train, n_orders, n_classes)
            counts = (inside.T @ known.reshape(len(train), -1)).reshape(-1, n_orders, self.n_classes)
            totals = known.sum(axis=0)
            shares = np.log((counts + 1) / (totals + np.repeat(sizes, sizes)[:, None, None]))
            shares[:, totals == 0] = -np.inf  # a label that was not heard is not guessed
            by_feature = np.split(shares, np.cumsum(sizes)[:-1])
            for row, columns in zip(predicted, probes, strict=True):
                if len(columns) == 1:
                    best = by_feature[columns[0]].argmax(axis=-1)[tested[columns[0]]]
                else:
                    best = np.sum([by_feature[c][tested[c]] for c in columns], axis=0).argmax(axis=-1)
                row[:, test] = best.T
        return predicted


def held_out_predictions(values: np.ndarray, labels: np.ndarray, folds: np.ndarray, n_classes: int) -> np.ndarray:
    """Predicted label of each clip by the classifier that has not seen its fold.

    Parameters
    ----------
    values : array, shape (n_clips, n_features)
    labels : array of int, shape (n_clips,)
    folds : array of int, shape (n_clips,)
        In which fold a clip is held out.
    n_classes : int

    Returns
    -------
    array of int, shape (n_clips,)
    """
    return _Split(values, folds, n_classes).predict(labels[None], [range(values.shape[1])])[0, 0]


def uar(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Unweighted average recall over the last axis (clips); every label must occur, and as often in each order."""
    classes, counts = np.unique(labels.reshape(-1, labels.shape[-1])[0], return_counts=True)
    weights = np.zeros(classes[-1] + 1)
    weights[classes] = 1 / counts / len(classes)
    return ((labels == predicted) * weights[labels]).sum(axis=-1)


def permuted(labels: np.ndarray, speakers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Labels in another order within each speaker: what would be seen if nothing but the speaker set the feature."""
    order = np.lexsort((generator.random(len(labels)), speakers))
    shuffled = np.empty_like(labels)
    shuffled[np.argsort(speakers, kind="stable")] = labels[order]
    return shuffled


def uar_interval(
    labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the UAR, over speakers where there are enough, else over clips.

    With at least `FEW_SPEAKERS` speakers: delete-one-speaker jackknife and the t distribution with speakers - 1 degrees
    of freedom. Below: clips as if independent, each label's recall drawn from its Jeffreys posterior.

    Returns
    -------
    tuple of float
        Within 0..1.
    """
    from scipy import stats

    classes, counted = np.unique(labels, return_inverse=True)
    totals = np.bincount(counted)
    hits = np.bincount(counted[labels == predicted], minlength=len(classes))
    names = np.unique(speakers)
    if len(names) < FEW_SPEAKERS:
        draws = generator.beta(hits + 0.5, totals - hits + 0.5, size=(DRAWS, len(classes))).mean(axis=1)
        return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))
    without = []
    for name in names:
        own = speakers == name
        total = totals - np.bincount(counted[own], minlength=len(classes))
        hit = hits - np.bincount(counted[own & (labels == predicted)], minlength=len(classes))
        without.append((hit[total > 0] / total[total > 0]).mean())
    n, whole = len(names), (hits / totals).mean()
    error = np.sqrt((n - 1) / n * np.square(without - np.mean(without)).sum())
    half = stats.t.ppf(0.975, n - 1) * error
    return float(max(0, whole - half)), float(min(1, whole + half))


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction (Holm 1979), shape (n_tests,)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def probe_table(
    name: str,
    measured: pd.DataFrame,
    *,
    permutations: int = 999,
    seed: int = 0,
    unreadable: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ProbeReport:
    """Run all probes on measured features.

    Parameters
    ----------
    name : str
        Of the corpus; part of the seed.
    measured : DataFrame
        As `measure` returns it; the order of rows does not matter.
    permutations : int
        Of the labels within speakers, for chance and p.
    seed : int
    unreadable : sequence of str
        For the report.
    progress : callable, optional
        Called with (done, total) parts of the permutations.

    Raises
    ------
    InputError
        If there are fewer than two emotions of `RARE` clips, two speakers, or `len(PROBES) / ALPHA` permutations.
    """
    fewest = int(len(PROBES) / ALPHA)
    if permutations < fewest:
        raise InputError(f"{permutations} permutations cannot tell {len(PROBES)} probes from chance; take {fewest}.")
    counts = measured["emotion"].value_counts()
    rare = counts[counts < RARE]
    measured = measured[~measured["emotion"].isin(rare.index)].sort_index()
    emotions, labels = np.unique(measured["emotion"].to_numpy(dtype=str), return_inverse=True)
    speakers = measured["speaker"].to_numpy(dtype=str)
    n_speakers = len(set(speakers))
    if len(emotions) < 2 or n_speakers < 2:
        raise InputError(
            f"corpus {name!r}: probes need 2 emotions of {RARE} clips each and 2 speakers, got {len(emotions)} and "
            f"{n_speakers}."
        )
    n_folds = min(MAX_FOLDS, n_speakers)
    of_speaker = speaker_folds(measured, n_folds)
    folds = {
        NEW: np.array([int(of_speaker.fold_of(speaker)) for speaker in speakers]),
        KNOWN: _clip_folds(measured.index, speakers),
    }
    columns = list(FEATURES)
    values = measured[columns].to_numpy(dtype=float)
    seen = [[columns.index(feature) for feature in probe.features] for probe in PROBES]
    totals = np.bincount(labels)
    # the same orders for all probes and both splits; the observed one first
    orders = [permuted(labels, speakers, rng("probes", VERSION, name, seed, i)) for i in range(permutations)]
    chunks = np.array_split(np.array([labels, *orders]), 1 + permutations // CHUNK)
    results: list[ProbeResult] = []
    for step, (tested_on, fold_of) in enumerate(folds.items()):
        split = _Split(values, fold_of, len(emotions))
        uars = []
        for done, chunk in enumerate(chunks):
            uars.append(uar(chunk, split.predict(chunk, seen)))
            if progress is not None:
                progress(step * len(chunks) + done + 1, len(folds) * len(chunks))
        predicted = split.predict(labels[None], seen)[:, 0]
        observed, null = np.split(np.hstack(uars), [1], axis=1)
        p = (1 + np.sum(null >= observed - 1e-12, axis=1)) / (1 + permutations)
        corrected = holm(p)
        for i, probe in enumerate(PROBES):
            generator = rng("probe interval", VERSION, name, seed, tested_on, probe.name)
            low, high = uar_interval(labels, predicted[i], speakers, generator)
            results.append(
                ProbeResult(
                    probe=probe.name, kind=probe.kind, tested_on=tested_on, uar=float(observed[i, 0]), low=low,
                    high=high, chance=float(null[i].mean()), accuracy=float(np.mean(predicted[i] == labels)),
                    majority=float(totals.max() / len(labels)), p=float(p[i]), p_holm=float(corrected[i]),
                    beats_chance=bool(corrected[i] < ALPHA),
                )
            )  # fmt: skip
    return ProbeReport(
        corpus=name, version=VERSION, clips=len(measured), speakers=n_speakers, emotions=tuple(map(str, emotions)),
        speaker_folds=n_folds, clip_folds=MAX_FOLDS, permutations=permutations, seed=seed,
        unreadable=tuple(unreadable), interval=_interval_kind(n_speakers), notes=_notes(n_speakers, rare, unreadable),
        results=tuple(results),
    )  # fmt: skip


def _clip_folds(ids: Sequence[str], speakers: np.ndarray) -> np.ndarray:
    """Each speaker's clips dealt out by digest of their ids, shape (n_clips,); labels play no part."""
    folds = np.zeros(len(speakers), dtype=int)
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        own = own[np.argsort([digest("probe fold", ids[i]) for i in own], kind="stable")]
        folds[own] = np.arange(len(own)) % MAX_FOLDS
    return folds


def _interval_kind(n_speakers: int) -> str:
    if n_speakers < FEW_SPEAKERS:
        return f"95 %, clips taken as independent ({n_speakers} speakers are too few): says nothing of other speakers"
    return f"95 %, delete-one-speaker jackknife, t with {n_speakers - 1} degrees of freedom"


def _notes(n_speakers: int, rare: pd.Series, unreadable: Sequence[str]) -> tuple[str, ...]:
    notes = [
        "p: labels permuted within speakers, Holm-corrected over the probes of a split",
        f"{KNOWN}: other clips of the same speakers were heard in training, as in much published work",
    ]
    if n_speakers < FEW_SPEAKERS:
        notes.append(f"only {n_speakers} speakers: no claim about a population of speakers")
    if len(rare):
        told = ", ".join(f"{emotion} ({count})" for emotion, count in sorted(rare.items()))
        notes.append(f"left out for fewer than {RARE} clips: {told}")
    if unreadable:
        notes.append(f"{len(unreadable)} clips cannot be decoded and are left out")
    return tuple(notes)


def probe_corpus(
    corpus: Corpus,
    *,
    permutations: int = 999,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> ProbeReport:
    """Measure every clip of a corpus and run all probes.

    Parameters
    ----------
    corpus : Corpus
    permutations : int
    seed : int
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    InputError
        If there are fewer than two emotions or speakers, or no clip can be decoded.
    """
    report = progress or (lambda what, done, total: None)
    measured, unreadable = measure(corpus, partial(report, f"measuring {corpus.name}"))
    found = probe_table(
        corpus.name,
        measured,
        permutations=permutations,
        seed=seed,
        unreadable=unreadable,
        progress=partial(report, f"probing {corpus.name}"),
    )
    level = (
        "levels are comparable in this corpus: level may be how the emotion sounds, not only how it was recorded"
        if corpus.record.level_comparable
        else "levels are not comparable in this corpus: what level tells comes from processing, not from the voice"
    )
    return replace(found, notes=(*found.notes, level))
