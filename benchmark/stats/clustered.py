"""Cluster-robust mean with CR2 standard errors, and paired tests of methods in tables of scores.

Conventions
-----------
Clips of one speaker, and clips of one sentence, are not independent: both are clusters of every interval and test
(`cluster_variance` has the formulas, docs/statistics.md the reasons and error rates). What is estimated is the mean
over clips. Differences are *oriented*: positive means better, whatever the metric's direction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from .cluster_variance import LEVEL, MIN_SPEAKERS, cluster_fit
from .multiplicity import holm

NO_COMMON_CLIP = "no clip scored by both"
# what must be equal for scores of several methods to be compared
CELL = [
    "corpus", "model", "trained_on", "seen_in_training", "space", "target_rule", "condition", "fill", "family",
    "metric", "direction",
]  # fmt: skip
_REPLICATE = ["clip", "seed"]
_OF_CLIP = ["speaker", "sentence", "sex", "emotion", "fold"]  # where score rows have them
_TEST = ["difference", "low", "high", "se", "t", "df", "p", "p_holm", "effect", "superiority", "n_clips", "n_speakers",
         "n_sentences", "scope", "note"]  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean over clips with a cluster-robust interval; NaN where it cannot be estimated.

    Attributes
    ----------
    mean, low, high, se : float
        `low` and `high` are NaN where the scope is "described only".
    df : float
        Degrees of freedom.
    p : float
        Two-sided p of mean 0; NaN where there is no interval.
    n_clips, n_speakers, n_sentences : int
        Values, speakers (in general: clusters) and sentences that entered; 0 sentences where they are not given.
    scope : str
        What interval and p are about: "speakers and sentences", "these sentences", "recognisers trained like these" or
        "described only".
    """

    mean: float
    low: float
    high: float
    se: float
    df: float
    p: float
    n_clips: int
    n_speakers: int
    n_sentences: int
    scope: str

    @property
    def n(self) -> int:
        """Values that entered."""
        return self.n_clips

    @property
    def clusters(self) -> int:
        """Clusters of the first way: speakers, unless the caller clusters by something else."""
        return self.n_speakers

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval as it may be shown: NaN below `MIN_SPEAKERS` clusters, where there is no claim."""
        return (self.low, self.high) if self.n_speakers >= MIN_SPEAKERS else (np.nan, np.nan)


def clustered_mean(values: Any, speakers: Any, sentences: Any = None, level: float = LEVEL) -> Estimate:
    """Cluster-robust mean with CR2 standard errors, by speaker or by speaker x sentence.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN is left out. For a paired comparison: the differences.
    speakers : array_like, shape (n,)
        Label of the speaker of each value.
    sentences : array_like, shape (n,), optional
        Label of the sentence of each value; missing labels are one sentence. From 6 sentences on the variance is the
        largest of the one-way and two-way ones; with fewer, or without labels, the sentences are fixed and speakers are
        the only clusters: ``scope`` says so.
    level : float
        Coverage of the interval, in 0..1.

    Raises
    ------
    InputError
        If lengths differ or `level` is out of range.

    Examples
    --------
    >>> e = clustered_mean([1, 2, 3, 4, 5, 6], list("aabbcc"))
    >>> e.mean, round(e.df, 6), e.n_clips, e.n_speakers, e.scope
    (3.5, 2.0, 6, 3, 'described only')
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(speakers) != values.size:
        raise InputError(
            f"clustered_mean: values must be one-dimensional with one speaker each, got {values.shape} values and "
            f"{len(speakers)} speakers."
        )
    if sentences is not None and len(sentences) != values.size:
        raise InputError(
            f"clustered_mean: sentences must have one label for each of the {values.size} values, got {len(sentences)}."
        )
    if not 0 < level < 1:
        raise InputError(f"clustered_mean: level must lie between 0 and 1, got {level}.")
    fit = cluster_fit(values[:, None], label_codes(speakers), None if sentences is None else label_codes(sentences))
    mean, half, se, df, p = (float(column[0]) for column in (fit.mean, fit.half_at(level), fit.se, fit.df, fit.p))
    n, speakers_seen, sentences_seen = (int(column[0]) for column in (fit.n, fit.clusters, fit.sentences))
    return Estimate(
        mean, mean - half, mean + half, se, df, p, n, speakers_seen, sentences_seen, scope=str(fit.scope[0])
    )


def label_codes(labels: Any) -> np.ndarray:
    """Number each label from 0 in order of appearance, shape (n,); missing labels share one number."""
    return pd.factorize(np.asarray(labels), use_na_sentinel=False)[0]


# -- score tables ------------------------------------------------------------------------------------------------------


def tests_against(cells: Iterable[Cell], baseline: str) -> pd.DataFrame:
    """Test each method against a baseline, clip by clip under the same condition and seed, where both have a score.

    Parameters
    ----------
    cells : iterable of Cell
        As `cells` lays out score rows.
    baseline : str
        Method that the others are compared with.

    Returns
    -------
    DataFrame
        One row per cell (columns `CELL`) and method other than the baseline: ``difference`` (oriented; positive is
        better than the baseline) with ``low`` and ``high`` (95 %), ``se``, ``t``, ``df``, two-sided ``p``, ``p_holm``
        over the methods of the cell, ``effect`` (mean / standard deviation of the clips' differences), ``superiority``
        (share of clips won, ties half), ``n_clips`` compared of ``n_planned``, ``coverage`` (their ratio),
        ``n_speakers``, ``n_sentences`` (0 where the score rows name none), ``scope`` of the test and ``note``: why
        there is no p, if there is none.
    """
    frames = []
    for cell in cells:
        table, own = cell.table, cell.own_table
        methods = [name for name in table if name != baseline]
        reference = table[baseline].to_numpy() if baseline in table else np.full(len(table), np.nan)
        found = _test(own[methods].to_numpy() - reference[:, None], cell)
        if baseline not in table:
            found["note"] = f"{baseline!r} was not run"
        planned = cell.own_rows.groupby("method", observed=True)["clip"].nunique()
        found.insert(0, "method", methods)
        found["n_planned"] = planned[methods].to_numpy()
        found["coverage"] = found["n_clips"] / found["n_planned"]
        frames.append(found.assign(**cell.names))
    return _stacked(frames, [*CELL, "method", *_TEST, "n_planned", "coverage"])


def compare_pairwise(scores: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Test every pair of methods, Holm's correction over all pairs of a cell.

    Parameters
    ----------
    scores : DataFrame
        Score rows.
    metric : str, optional
        Only this metric; default all.

    Returns
    -------
    DataFrame
        As `tests_against`, with ``method_a`` and ``method_b``; a positive difference is in favour of a.

    Raises
    ------
    InputError
        If no score of the metric is there.
    """
    if metric is not None:
        chosen = scores[scores["metric"] == metric]
        if chosen.empty:
            known = ", ".join(sorted(scores["metric"].unique())) or "none"
            raise InputError(f"compare: the scores hold no metric {metric!r}. They hold: {known}.")
        scores = chosen
    return tests_of_pairs(cells(scores))


def places_of_pairs(names: Sequence[str], against: Collection[str] = ()) -> np.ndarray:
    """Places of the two methods of each pair, shape (pairs, 2).

    Parameters
    ----------
    names : sequence of str
        Methods.
    against : collection of str
        Only pairs that hold one of these; default all pairs.

    Examples
    --------
    >>> places_of_pairs(["energy", "ig", "occlusion"], against=["energy"]).tolist()
    [[0, 1], [0, 2]]
    """
    every = combinations(range(len(names)), 2)
    pairs = [(a, b) for a, b in every if not against or names[a] in against or names[b] in against]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def tests_of_pairs(cells: Iterable[Cell], against: Collection[str] = ()) -> pd.DataFrame:
    """`compare_pairwise` for cells that are laid out already, of the pairs that `places_of_pairs` names.

    Holm's correction is over these pairs.
    """
    frames = []
    for cell in cells:
        pairs = places_of_pairs(list(cell.table), against)
        x = cell.table.to_numpy()
        found = _test(x[:, pairs[:, 0]] - x[:, pairs[:, 1]], cell)
        names = cell.table.columns.to_numpy()
        found.insert(0, "method_a", names[pairs[:, 0]])
        found.insert(1, "method_b", names[pairs[:, 1]])
        frames.append(found.assign(**cell.names, n_planned=cell.rows["clip"].nunique()))
    return _stacked(frames, [*CELL, "method_a", "method_b", *_TEST, "n_planned"])


class Cell(NamedTuple):
    """What is compared: the scores of all methods where everything in `CELL` is equal.

    Attributes
    ----------
    names : dict of str to str
        Values of `CELL`.
    rows : DataFrame
        Score rows, as `compact` makes them.
    table : DataFrame
        One row per (clip, seed), one column per method, NaN where there is no score. Repeats are averaged: those of
        two methods have nothing in common.
    speakers : Series
        By clip.
    sentences : Series or None
        By clip; None where the score rows have no column ``sentence``, or lack some: then speakers are the only
        clusters.
    left_out: DataFrame of bool or None
        Like `table`: scores that others may be compared with, but that are not in their method's own mean and
        differences (`analysis.shared_clips`); None where there are none.
    """

    names: dict[str, Any]
    rows: pd.DataFrame
    table: pd.DataFrame
    speakers: pd.Series
    sentences: pd.Series | None = None
    left_out: pd.DataFrame | None = None

    @property
    def own_table(self) -> pd.DataFrame:
        """`table` without the scores that are left out."""
        return self.table if self.left_out is None else self.table.mask(self.left_out)

    @property
    def own_rows(self) -> pd.DataFrame:
        """`rows` without those that are left out."""
        if self.left_out is None:
            return self.rows
        out = self.left_out.stack()
        keys = [*_REPLICATE, "method"]
        gone = out.index[out].set_names(keys).to_frame(index=False).astype({"clip": str, "method": str})
        here = self.rows[keys].astype({"clip": str, "method": str})
        return self.rows[~pd.MultiIndex.from_frame(here).isin(pd.MultiIndex.from_frame(gone))]

    def of(self, methods: Sequence[str]) -> Cell:
        """The same for some methods of its table."""
        left_out = None if self.left_out is None else self.left_out[list(methods)]
        return self._replace(table=self.table[list(methods)], left_out=left_out)


def compact(scores: pd.DataFrame) -> pd.DataFrame:
    """The columns that tests and boards need, words as categories: a third of the memory, grouped by number.

    Categories are in alphabetical order, so that groups come in the same order as those of words.
    """
    used = [*CELL, "method", *_REPLICATE, "repeat", *_OF_CLIP, "status", "reason", "value", "model_calls", "runs"]
    columns = {name: scores[name] for name in used if name in scores}
    numeric = pd.api.types.is_numeric_dtype
    return pd.DataFrame({n: c if numeric(c) else c.astype("category") for n, c in columns.items()})


def cells(scores: pd.DataFrame) -> Iterator[Cell]:
    """Lay out score rows cell by cell, in a fixed order."""
    for names, group in compact(scores).groupby(CELL, dropna=False, sort=True, observed=True):
        ok = group[group["status"] == "ok"]
        table = ok.pivot_table(index=_REPLICATE, columns="method", values="value", aggfunc="mean", observed=True)
        table.columns = table.columns.astype(str)
        table = table.reindex(columns=sorted(group["method"].unique()))
        clips = group.drop_duplicates("clip").set_index("clip")
        sentences = clips.get("sentence")
        if sentences is not None and sentences.isna().any():
            sentences = None
        yield Cell(dict(zip(CELL, names, strict=True)), group, table, clips["speaker"], sentences)


def per_clip(values: np.ndarray, index: pd.MultiIndex, *labels: pd.Series) -> tuple[np.ndarray, ...]:
    """Average the replicates of each clip (another seed is not another clip).

    Parameters
    ----------
    values : array, shape (replicates, k)
    index : MultiIndex
        With a level ``clip``, as of the tables of `cells`.
    *labels : Series
        Speaker of each clip; if wanted, its sentence.

    Returns
    -------
    means : array, shape (clips, k)
        NaN where a clip has no value.
    *codes : arrays of int, shape (clips,)
        Number of each clip's speaker, and sentence: what `cluster_fit` takes.
    """
    clips = index.get_level_values("clip")
    if clips.has_duplicates:
        frame = pd.DataFrame(values, index=clips).groupby(level=0).mean()
        values, clips = frame.to_numpy(), frame.index
    return values, *(label_codes(of_clip.reindex(clips)) for of_clip in labels)


def _test(differences: np.ndarray, cell: Cell) -> pd.DataFrame:
    """One row of results for each column of paired differences, replicates x comparisons."""
    if cell.names["direction"] == "lower":
        differences = -differences
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    differences, *codes = per_clip(differences, cell.table.index, *labels)
    fit = cluster_fit(differences, *codes)
    half, p = fit.half, fit.p
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.nansum((differences - fit.mean) ** 2, axis=0) / (fit.n - 1))
        effect = np.where(fit.se > 0, fit.mean / spread, np.nan)
        wins = np.where(np.isnan(differences), np.nan, (np.sign(differences) + 1) / 2)
        superiority = np.nansum(wins, axis=0) / fit.n
    notes = np.where((fit.se == 0) & (fit.mean != 0), "every clip differs by the same amount: no test", "")
    notes = np.where(fit.claim, notes, [f"no claim about a population: {k} speakers" for k in fit.clusters])
    notes = np.where(fit.n == 0, NO_COMMON_CLIP, notes)
    return pd.DataFrame(
        {
            "difference": fit.mean, "low": fit.mean - half, "high": fit.mean + half, "se": fit.se, "t": fit.t,
            "df": fit.df, "p": p, "p_holm": holm(p), "effect": effect, "superiority": superiority, "n_clips": fit.n,
            "n_speakers": fit.clusters, "n_sentences": fit.sentences, "scope": fit.scope, "note": notes,
        }
    )  # fmt: skip


def _stacked(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def significance_groups(pairs: pd.DataFrame, best_first: list[str], alpha: float = 0.05) -> dict[str, str]:
    """Compact letter display of one cell: methods that share a letter are not distinguishable.

    Insert and absorb (Piepho 2004, Journal of Computational and Graphical Statistics 13(2)). The letter ``a`` belongs
    to the best method.

    Parameters
    ----------
    pairs : DataFrame
        Rows of `compare_pairwise` for one cell.
    best_first : list of str
        Methods in order of their mean, best first.
    alpha : float
        A pair is distinguishable if its corrected p is below.

    Returns
    -------
    dict of str to str
        Letters by method; empty if a pair of these methods has no test. Two methods that differ by the same amount on
        every clip have none either, and are distinguishable.
    """
    rank = {name: i for i, name in enumerate(best_first)}
    pairs = pairs[pairs["method_a"].isin(rank) & pairs["method_b"].isin(rank)]
    constant = (pairs["se"] == 0) & (pairs["difference"] != 0) & (pairs["n_speakers"] >= MIN_SPEAKERS)
    pairs = pairs.assign(p_holm=pairs["p_holm"].mask(constant, 0.0))
    if pairs["p_holm"].isna().any() or len(pairs) < len(rank) * (len(rank) - 1) // 2:
        return {}
    groups = [frozenset(rank.values())] if rank else []
    for a, b, p in pairs[["method_a", "method_b", "p_holm"]].itertuples(index=False):
        if p >= alpha:
            continue
        i, j = rank[a], rank[b]
        split = [part for g in groups for part in ((g - {i}, g - {j}) if {i, j} <= g else (g,))]
        unique = sorted(set(split), key=lambda g: (-len(g), sorted(g)))
        groups = [g for at, g in enumerate(unique) if not any(g < other for other in unique[:at])]
    groups.sort(key=sorted)
    return {name: "".join(_letter(k) for k, g in enumerate(groups) if i in g) for name, i in rank.items()}


def _letter(number: int) -> str:
    return ascii_letters[number] if number < len(ascii_letters) else chr(ord("α") + number - len(ascii_letters))
