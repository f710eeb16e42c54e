"""Shortcut probes: how well non-speech features of a recording predict the emotion label.

A recogniser can exploit a clip's duration, padding, level or share of silence instead of the voice. Each probe is a
small classifier of one such feature (or of one kind of them), trained and tested on different speakers. Where a probe
beats chance, an explanation that points to the feature may be faithful to the recogniser and say nothing of emotion.

Classifier: categorical naive Bayes with Laplace smoothing and a uniform prior (so that it maximises the unweighted
average recall, UAR) on features binned at quantiles of the training clips. It fits any shape of dependence, is
invariant to scale, has nothing to tune, and a permutation of the labels costs one count. The slow twin in the tests is
scikit-learn's `KBinsDiscretizer` with `CategoricalNB`.
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
from .probe_features import FEATURES, corpus_features

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import Corpus

VERSION = "1"
MAX_BINS, CLIPS_PER_CELL = 16, 5
MAX_FOLDS = 10
DRAWS = 5_000  # of the posterior, for an interval over clips
CHUNK = 64  # permutations at once
FEW_SPEAKERS = 6  # below, no interval over speakers (design, definition 5)
RARE = 10  # clips; emotions with fewer are left out
ALPHA = 0.05
NEW, KNOWN = "new speakers", "known speakers"


@dataclass(frozen=True)
class Probe:
    """Input features of one classifier."""

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
    """Result of one probe.

    Attributes
    ----------
    tested_on : str
        ``new speakers`` (speaker-disjoint split) or ``known speakers`` (held-out clips of the training speakers, the
        split of an evaluation with speaker leakage).
    uar : float
        Unweighted average recall over all held-out clips, 0..1.
    low, high : float
        95 % interval of the UAR.
    chance : float
        Mean UAR over permuted labels.
    accuracy, majority : float
        Share of held-out clips classified correctly, and share of the most frequent label.
    p : float
        Permutation p-value: share of permutations whose UAR reaches the observed one, which is counted among them.
    p_holm : float
        Holm-corrected p-value over all probes of the split.
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
        Clips that could not be decoded and were excluded.
    interval : str
        Method of the intervals.
    notes : tuple of str
        Caveats to the results.
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
        """Results as a data frame, one row per probe and split, with the corpus and its size."""
        import pandas as pd

        head = {"corpus": self.corpus, "clips": self.clips, "speakers": self.speakers, "classes": len(self.emotions)}
        return pd.DataFrame([head | asdict(result) for result in self.results])


def bins_for(training: np.ndarray, n_classes: int) -> np.ndarray:
    """Inner bin edges at quantiles of the training values.

    The number of bins, 2 to `MAX_BINS`, gives about `CLIPS_PER_CELL` training clips of each label per bin; duplicate
    edges (many clips of one value) are merged.

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
    # a value on an edge belongs to the upper bin: an edge at the minimum would leave an empty bin below
    return edges[edges > training.min()]


class BinnedNaiveBayes:
    """Cross-validated naive Bayes on quantile-binned features, vectorised over permutations of the labels.

    Parameters
    ----------
    values : array, shape (n_clips, n_features)
    folds : array of int, shape (n_clips,)
        Fold in which each clip is held out.
    n_classes : int
    """

    def __init__(self, values: np.ndarray, folds: np.ndarray, n_classes: int) -> None:
        self.n_classes = n_classes
        self._folds = []
        for fold in np.unique(folds):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            edges = [bins_for(column[train], n_classes) for column in values.T]
            binned = [np.searchsorted(e, column, "right") for e, column in zip(edges, values.T, strict=True)]
            # one-hot columns, one per bin of a feature: label counts per bin are a matrix product
            inside = np.hstack([np.eye(len(e) + 1)[bins[train]] for bins, e in zip(binned, edges, strict=True)])
            sizes = [len(e) + 1 for e in edges]
            self._folds.append((train, test, inside, sizes, [bins[test] for bins in binned]))

    def predict(self, orders: np.ndarray, probes: Sequence[Sequence[int]]) -> np.ndarray:
        """Predict the labels of the held-out clips, by one classifier per probe; ties go to the first label.

        Parameters
        ----------
        orders : array of int, shape (n_orders, n_clips)
            Labels: the observed ones or permutations of them, one per row.
        probes : sequence of sequences of int
            Feature columns of each probe.

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
            shares[:, totals == 0] = -np.inf  # a label that is absent in training is not predicted
            by_feature = np.split(shares, np.cumsum(sizes)[:-1])
            for row, columns in zip(predicted, probes, strict=True):
                if len(columns) == 1:
                    best = by_feature[columns[0]].argmax(axis=-1)[tested[columns[0]]]
                else:
                    best = np.sum([by_feature[c][tested[c]] for c in columns], axis=0).argmax(axis=-1)
                row[:, test] = best.T
        return predicted


def uar(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Unweighted average recall over the last axis (clips).

    Parameters
    ----------
    labels : array of int, shape (..., n_clips)
        Rows must be permutations of each other.
    predicted : array of int, shape (..., n_clips)

    Returns
    -------
    array, shape (...)
        In 0..1.
    """
    classes, counts = np.unique(labels.reshape(-1, labels.shape[-1])[0], return_counts=True)
    weights = np.zeros(classes[-1] + 1)
    weights[classes] = 1 / counts / len(classes)
    return ((labels == predicted) * weights[labels]).sum(axis=-1)


def permuted(labels: np.ndarray, speakers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Permute labels within each speaker: the null hypothesis that features depend on the speaker only."""
    order = np.lexsort((generator.random(len(labels)), speakers))
    shuffled = np.empty_like(labels)
    shuffled[np.argsort(speakers, kind="stable")] = labels[order]
    return shuffled


def uar_interval(
    labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the UAR, over speakers where there are enough, else over clips.

    With at least `FEW_SPEAKERS` speakers: delete-one-speaker jackknife and the t distribution with speakers - 1 degrees
    of freedom. With fewer: clips are taken as independent, and each label's recall has its Jeffreys posterior.

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
    """Holm-corrected p-values (Holm 1979), shape (n_tests,)."""
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
    """Run all probes on a table of features.

    Parameters
    ----------
    name : str
        Of the corpus; part of the seed.
    measured : DataFrame
        From `corpus_features`; the order of rows does not matter.
    permutations : int
        Of the labels within speakers, for chance level and p-values; at least ``len(PROBES) / ALPHA``.
    seed : int
    unreadable : sequence of str
        Clips that could not be decoded, for the report.
    progress : callable, optional
        Called with (done, total) chunks of permutations.

    Returns
    -------
    ProbeReport

    Raises
    ------
    InputError
        If there are fewer than two emotions of `RARE` clips, two speakers, or ``len(PROBES) / ALPHA`` permutations.
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
            f"{n_speakers}; take a larger part of the corpus."
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
    # the same permutations for all probes and both splits; the observed labels first
    orders = [permuted(labels, speakers, rng("probes", VERSION, name, seed, i)) for i in range(permutations)]
    chunks = np.array_split(np.array([labels, *orders]), 1 + permutations // CHUNK)
    results: list[ProbeResult] = []
    for step, (tested_on, fold_of) in enumerate(folds.items()):
        classifier = BinnedNaiveBayes(values, fold_of, len(emotions))
        uars = []
        for done, chunk in enumerate(chunks):
            uars.append(uar(chunk, classifier.predict(chunk, seen)))
            if progress is not None:
                progress(step * len(chunks) + done + 1, len(folds) * len(chunks))
        predicted = classifier.predict(labels[None], seen)[:, 0]
        observed, null = np.split(np.hstack(uars), [1], axis=1)
        p = (1 + np.sum(null >= observed - 1e-12, axis=1)) / (1 + permutations)
        corrected = holm(p)
        for i, probe in enumerate(PROBES):
            generator = rng("probe interval", VERSION, name, seed, tested_on, probe.name)
            low, high = uar_interval(labels, predicted[i], speakers, generator)
            results.append(
                ProbeResult(
                    probe=probe.name,
                    kind=probe.kind,
                    tested_on=tested_on,
                    uar=float(observed[i, 0]),
                    low=low,
                    high=high,
                    chance=float(null[i].mean()),
                    accuracy=float(np.mean(predicted[i] == labels)),
                    majority=float(totals.max() / len(labels)),
                    p=float(p[i]),
                    p_holm=float(corrected[i]),
                    beats_chance=bool(corrected[i] < ALPHA),
                )
            )
    return ProbeReport(
        corpus=name,
        version=VERSION,
        clips=len(measured),
        speakers=n_speakers,
        emotions=tuple(map(str, emotions)),
        speaker_folds=n_folds,
        clip_folds=MAX_FOLDS,
        permutations=permutations,
        seed=seed,
        unreadable=tuple(unreadable),
        interval=_interval_kind(n_speakers),
        notes=_notes(n_speakers, rare, unreadable),
        results=tuple(results),
    )


def _clip_folds(ids: Sequence[str], speakers: np.ndarray) -> np.ndarray:
    """Fold of each clip, int, shape (n_clips,): each speaker's clips are split by digest of their ids, not by label."""
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
        counts = ", ".join(f"{emotion} ({count})" for emotion, count in sorted(rare.items()))
        notes.append(f"left out for fewer than {RARE} clips: {counts}")
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
    """Compute the features of every clip of a corpus and run all probes.

    Parameters
    ----------
    corpus : Corpus
    permutations : int
        As for `probe_table`.
    seed : int
    progress : callable, optional
        Called with (description, done, total).

    Returns
    -------
    ProbeReport

    Raises
    ------
    InputError
        If there are fewer than two emotions or speakers, or no clip can be decoded.
    """
    report = progress or (lambda what, done, total: None)
    measured, unreadable = corpus_features(corpus, partial(report, f"measuring {corpus.name}"))
    probed = probe_table(
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
    return replace(probed, notes=(*probed.notes, level))
