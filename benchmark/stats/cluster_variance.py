"""Cluster-robust means of many columns: one-way CR2 by speaker, and the two-way (speaker x sentence) maximum rule.

Conventions
-----------
What is estimated is the mean over clips. The one-way variance of a mean is CR2, bias-reduced linearisation (Bell &
McCaffrey 2002, Survey Methodology 28(2)), in closed form. The two-way variance is that of Cameron, Gelbach & Miller
(2011, Journal of Business & Economic Statistics 29(2)): by speaker + by sentence - by (speaker, sentence) pair, each
of them CR2. It is unbiased with effects of both, but too small, even negative, without; so the *largest* of the two
one-way variances and the two-way variance is taken.

Degrees of freedom of one way: Satterthwaite, under a working model in which the clips of one cluster correlate as much
as they are measured to (Imbens & Kolesar 2016, Review of Economics and Statistics 98(4)); never above clusters - 1. Of
two ways: the smaller of both, so never above the smaller number of clusters - 1.

Scopes: from `MIN_SENTENCES` sentences on the claim is about speakers and sentences like these; with fewer (or where
sentences are not given) the sentences are fixed and the claim is about these sentences; below `MIN_SPEAKERS` speakers
there is neither interval nor p. docs/statistics.md has the false-positive rates of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
MIN_SPEAKERS = 6  # below it there is no claim about a population of speakers
MIN_SENTENCES = 6  # below it sentences are fixed: the claim is about these sentences

SPEAKERS_AND_SENTENCES = "speakers and sentences"
THESE_SENTENCES = "these sentences"
DESCRIBED_ONLY = "described only"


@dataclass(frozen=True)
class ClusterFit:
    """Clustered means of k columns; arrays of shape (k,).

    Attributes
    ----------
    mean, se : array, float64
        NaN where nothing is known; `se` also with a single cluster.
    df : array, float64
        Degrees of freedom.
    n, clusters, sentences : array of int
        Clips, speakers (in general: clusters of the first way) and sentences that entered; 0 sentences where they are
        not given.
    """

    mean: np.ndarray
    se: np.ndarray
    df: np.ndarray
    n: np.ndarray
    clusters: np.ndarray
    sentences: np.ndarray

    @property
    def claim(self) -> np.ndarray:
        """Whether there are speakers enough for an interval and a test, bool, shape (k,)."""
        return self.clusters >= MIN_SPEAKERS

    @property
    def half(self) -> np.ndarray:
        """Half the 95 % interval of each column, shape (k,); NaN below `MIN_SPEAKERS` clusters."""
        return self.half_at(LEVEL)

    def half_at(self, level: float) -> np.ndarray:
        """Half the interval of a coverage in 0..1, shape (k,); NaN below `MIN_SPEAKERS` clusters."""
        return np.where(self.claim, self.se * t_quantile(self.df, level), np.nan)

    @property
    def t(self) -> np.ndarray:
        """Mean over standard error, shape (k,); NaN where nothing varies."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.se > 0, self.mean / self.se, np.nan)

    @property
    def p(self) -> np.ndarray:
        """Two-sided p of mean 0, shape (k,).

        NaN below `MIN_SPEAKERS` clusters and where all clips have one value other than 0; 1 where all are 0.
        """
        p = 2 * stats.t.sf(np.abs(self.t), self.df)
        p = np.where((self.se == 0) & (self.mean == 0), 1.0, p)
        return np.where(self.claim, p, np.nan)

    @property
    def scope(self) -> np.ndarray:
        """What interval and p are about, array of str, shape (k,)."""
        named = np.where(self.sentences >= MIN_SENTENCES, SPEAKERS_AND_SENTENCES, THESE_SENTENCES)
        return np.where(self.claim, named, DESCRIBED_ONLY)


@dataclass(frozen=True)
class Variances:
    """Variances of k column means by each way of clustering; arrays of shape (k,).

    Attributes
    ----------
    speaker, sentence, pair : array
        CR2 by speaker, by sentence and by (speaker, sentence) pair.
    speaker_df, sentence_df : array
        Satterthwaite degrees of freedom of the first two.
    speakers, sentences : array of int
        Clusters that hold clips.
    """

    speaker: np.ndarray
    sentence: np.ndarray
    pair: np.ndarray
    speaker_df: np.ndarray
    sentence_df: np.ndarray
    speakers: np.ndarray
    sentences: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Two-way variance of Cameron, Gelbach & Miller: by speaker + by sentence - by pair; can be negative."""
        with np.errstate(invalid="ignore"):  # one cluster: infinite, and so not known
            return self.speaker + self.sentence - self.pair

    @property
    def largest(self) -> np.ndarray:
        """The largest of the one-way and two-way variances."""
        return np.maximum.reduce([self.speaker, self.sentence, self.difference])


def cluster_fit(values: np.ndarray, codes: np.ndarray, sentences: np.ndarray | None = None) -> ClusterFit:
    """Cluster-robust mean, standard error and degrees of freedom of each column.

    Parameters
    ----------
    values : array, shape (n, k)
        NaN is left out, column by column.
    codes : array of int, shape (n,)
        Number of each row's speaker.
    sentences : array of int, shape (n,), optional
        Number of each row's sentence. Columns with fewer than `MIN_SENTENCES` sentences, and all where it is not
        given, are clustered by speaker alone.
    """
    mean, residual, known = _centred(values)
    speaker = _one_way(residual, known, codes)
    variance, df = speaker.variance, speaker.df
    count = np.zeros_like(speaker.clusters)
    if sentences is not None:
        both = _two_ways(residual, known, codes, sentences, speaker)
        count = both.sentences
        two_way = count >= MIN_SENTENCES
        variance = np.where(two_way, both.largest, variance)
        df = np.where(two_way, np.fmin(df, both.sentence_df), df)
    se = np.sqrt(variance)
    # rounding in sums of equal values is no variance
    se = np.where(se <= 1e-12 * np.abs(np.where(known, values, 0.0)).max(axis=0, initial=0.0), 0.0, se)
    single = speaker.clusters < 2
    k = values.shape[1]
    n = np.broadcast_to(known.sum(0), (k,))
    return ClusterFit(
        mean, np.where(single, np.nan, se), np.where(single, np.nan, df), n, *_wide(k, speaker.clusters, count)
    )


def variances(values: np.ndarray, codes: np.ndarray, sentences: np.ndarray) -> Variances:
    """Variances of each column's mean by each way of clustering, for the comparison of rules.

    Parameters
    ----------
    values : array, shape (n, k)
        NaN is left out.
    codes, sentences : array of int, shape (n,)
        Number of each row's speaker and sentence.
    """
    _, residual, known = _centred(values)
    return _two_ways(residual, known, codes, sentences, _one_way(residual, known, codes))


@dataclass(frozen=True)
class _OneWay:
    variance: np.ndarray
    df: np.ndarray
    clusters: np.ndarray


def _centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, residuals (0 where a value is missing) and what is known; one column where every column is complete."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(0) / known.sum(0)
        residual = np.where(known, values - mean, 0.0)
    return mean, residual, known[:, :1] if known.all() else known


def _two_ways(
    residual: np.ndarray, known: np.ndarray, codes: np.ndarray, sentences: np.ndarray, speaker: _OneWay
) -> Variances:
    sentence = _one_way(residual, known, sentences)
    pair = _one_way(residual, known, codes * (sentences.max(initial=-1) + 1) + sentences)
    return Variances(
        speaker.variance, sentence.variance, pair.variance, speaker.df, sentence.df,
        *_wide(residual.shape[1], speaker.clusters, sentence.clusters),
    )  # fmt: skip


def _wide(k: int, *counts: np.ndarray) -> list[np.ndarray]:
    return [np.broadcast_to(count, (k,)) for count in counts]


def _one_way(residual: np.ndarray, known: np.ndarray, codes: np.ndarray) -> _OneWay:
    """CR2 variance of a mean and its degrees of freedom.

    For a mean, the adjustment matrix (I - 11'/N)^(-1/2) of a cluster of n clips only ever meets the vector of ones,
    which it stretches by w = (1 - n/N)^(-1/2); so everything follows from the clusters' sizes and residual sums.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    size, sums = (
        np.add.reduceat(part[order].astype(np.float64), starts, axis=0) if len(order) else np.zeros((0, part.shape[1]))
        for part in (known, residual)
    )
    total = size.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        w = (1 - size / total) ** -0.5
        variance = ((w * sums) ** 2).sum(0) / total**2
        df = _satterthwaite(size, w, _intraclass(residual, sums, size))
    return _OneWay(variance, df, (size > 0).sum(0))


def _intraclass(residual: np.ndarray, sums: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Intraclass correlation of each column by analysis of variance, in 0..1; 0 where it cannot be estimated."""
    total, clusters = size.sum(0), (size > 0).sum(0)
    between = (sums**2 / np.maximum(size, 1)).sum(0)
    within = np.maximum(np.einsum("nk,nk->k", residual, residual) - between, 0) / (total - clusters)
    typical = (total - (size**2).sum(0) / total) / (clusters - 1)
    speaker = np.maximum(between / (clusters - 1) - within, 0) / typical
    icc = speaker / (speaker + within)
    return np.where(np.isfinite(icc), icc, 0.0)


def _satterthwaite(size: np.ndarray, w: np.ndarray, icc: np.ndarray) -> np.ndarray:
    """Degrees of freedom: trace(C)^2 / ||C||^2, with C the covariance of the clusters' adjusted residual sums.

    C = diag(w^2 v) - a u' - u a' + sum(v) a a', with v the variances of the clusters' sums, u = w v and a = w n / N.
    """
    v = size * (1 - icc) + size**2 * icc
    a, u, d = w * size / size.sum(0), w * v, w**2 * v
    aa, au, uu, all_v = (a * a).sum(0), (a * u).sum(0), (u * u).sum(0), v.sum(0)
    trace = d.sum(0) - 2 * au + all_v * aa
    outer = 2 * aa * uu + 2 * au**2 + all_v**2 * aa**2 - 4 * all_v * aa * au
    return trace**2 / ((d * d).sum(0) + 2 * (d * (all_v * a * a - 2 * a * u)).sum(0) + outer)


def t_quantile(df: np.ndarray | float, level: float = LEVEL) -> np.ndarray:
    """Half length of a two-sided interval in standard errors."""
    return stats.t.ppf((1 + level) / 2, df)
