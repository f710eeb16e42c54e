"""Are the differences real? Inference with few speakers, many clips each.

Conventions
-----------
Clips of one speaker are not independent, so speakers are the clusters of every interval and test. What is estimated is
the mean over clips. Differences are *oriented*: positive means better, whatever the metric's direction.

Variance: CR2, bias-reduced linearisation (Bell & McCaffrey 2002, Survey Methodology 28(2)), in closed form for a mean.
Degrees of freedom: Satterthwaite, under a working model in which the clips of one speaker correlate as much as they
are measured to (Imbens & Kolesar 2016, Review of Economics and Statistics 98(4)). With uncorrelated clips that
is Bell and McCaffrey's own rule, which rejects up to 7 % at nominal 5 % where a few speakers hold most clips.

Limits, by simulation (20,000 experiments each; smaller ones in tests/benchmark/test_statistics.py): at nominal 5 % the
false-positive rate is at most 5.3 % for normal and heavy-tailed noise at 6, 8, 10 and 16 speakers, and far below where
two speakers hold most clips. Skewed differences exceed it, as they do for any test on so few speakers: exponential
noise to 6.2 %, exponential speaker effects to 7-11 %, log-normal ones to 15 %. The wild cluster bootstrap-t, Rademacher
or Webb, is no better there (docs/metrics.md has the table): its weights are symmetric.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ...errors import InputError

LEVEL = 0.95
MIN_SPEAKERS = 6  # below it there is no claim about a population

# what must be equal for scores of several methods to be compared
CELL = [
    "corpus", "model", "trained_on", "seen_in_training", "space", "target_rule", "condition", "fill", "family",
    "metric", "direction",
]  # fmt: skip
_REPLICATE = ["clip", "seed"]
_TEST = ["difference", "low", "high", "se", "t", "df", "p", "p_holm", "effect", "superiority", "n_clips", "n_speakers",
         "note"]  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean over clips with a cluster-robust interval; NaN where it cannot be estimated.

    Attributes
    ----------
    mean, low, high, se : float
    df : float
        Satterthwaite degrees of freedom.
    n, clusters : int
        Values and clusters that entered.
    """

    mean: float
    low: float
    high: float
    se: float
    df: float
    n: int
    clusters: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval as it may be shown: NaN below `MIN_SPEAKERS` clusters, where there is no claim."""
        return (self.low, self.high) if self.clusters >= MIN_SPEAKERS else (np.nan, np.nan)


def clustered_mean(values: Any, clusters: Any, level: float = LEVEL) -> Estimate:
    """Mean with a CR2 interval for clustered values.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN is left out.
    clusters : array_like, shape (n,)
        Label of the cluster of each value.
    level : float
        Coverage of the interval, in 0..1.

    Raises
    ------
    InputError
        If lengths differ or `level` is out of range.

    Examples
    --------
    >>> e = clustered_mean([1, 2, 3, 4, 5, 6], list("aabbcc"))
    >>> e.mean, round(e.df, 6), e.n, e.clusters
    (3.5, 2.0, 6, 3)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(clusters) != values.size:
        raise InputError(
            f"clustered_mean: values must be one-dimensional with one cluster each, got {values.shape} values and "
            f"{len(clusters)} clusters."
        )
    if not 0 < level < 1:
        raise InputError(f"clustered_mean: level must lie between 0 and 1, got {level}.")
    fit = cluster_fit(values[:, None], pd.factorize(np.asarray(clusters), use_na_sentinel=False)[0])
    half = fit.se * t_quantile(fit.df, level)
    mean, half, se, df = (float(column[0]) for column in (fit.mean, half, fit.se, fit.df))
    return Estimate(mean, mean - half, mean + half, se, df, int(fit.n[0]), int(fit.clusters[0]))


@dataclass(frozen=True)
class ClusterFit:
    """Clustered means of k columns, with standard errors, degrees of freedom and counts; arrays of shape (k,)."""

    mean: np.ndarray
    se: np.ndarray
    df: np.ndarray
    n: np.ndarray
    clusters: np.ndarray

    @property
    def half(self) -> np.ndarray:
        """Half the 95 % interval of each column, shape (k,); NaN below `MIN_SPEAKERS` clusters."""
        return np.where(self.clusters >= MIN_SPEAKERS, self.se * t_quantile(self.df), np.nan)


def cluster_fit(values: np.ndarray, codes: np.ndarray) -> ClusterFit:
    """CR2 for the mean of each column.

    Parameters
    ----------
    values : array, shape (n, k)
        NaN is left out.
    codes : array of int, shape (n,)
        Number of each row's cluster.

    Notes
    -----
    For a mean, the adjustment matrix (I - 11'/N)^(-1/2) of a cluster of n clips only ever meets the vector of ones,
    which it stretches by w = (1 - n/N)^(-1/2); so everything follows from the clusters' sizes and residual sums.
    """
    known = np.isfinite(values)
    members = (codes[None, :] == np.arange(codes.max(initial=-1) + 1)[:, None]).astype(np.float64)
    size = members @ known  # (clusters, k)
    total = size.sum(0)
    clusters = (size > 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(0) / total
        residual = np.where(known, values - mean, 0.0)
        sums = members @ residual
        w = (1 - size / total) ** -0.5
        se = np.sqrt(((w * sums) ** 2).sum(0)) / total
        # rounding in sums of equal values is no variance
        se[se <= 1e-12 * np.abs(np.where(known, values, 0.0)).max(axis=0, initial=0.0)] = 0.0
        df = _satterthwaite(size, w, _intraclass(residual, sums, size))
    single = clusters < 2
    se[single] = df[single] = np.nan
    return ClusterFit(mean, se, df, total.astype(int), clusters)


def _intraclass(residual: np.ndarray, sums: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Intraclass correlation of each column by analysis of variance, in 0..1; 0 where it cannot be estimated."""
    total, clusters = size.sum(0), (size > 0).sum(0)
    between = np.divide(sums**2, size, out=np.zeros_like(sums), where=size > 0).sum(0)
    within = np.maximum((residual**2).sum(0) - between, 0) / (total - clusters)
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


def t_quantile(df: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Half length of a two-sided interval in standard errors."""
    return stats.t.ppf((1 + level) / 2, df)


def holm(p: Any) -> np.ndarray:
    """Holm's step-down correction (1979); NaN stays NaN and does not count as a test.

    Examples
    --------
    >>> holm([0.01, 0.04, float("nan"), 0.03]).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    p = np.asarray(p, dtype=np.float64)
    out = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return out


# -- score tables ------------------------------------------------------------------------------------------------------


def compare_to_random(scores: pd.DataFrame, baseline: str = "random") -> pd.DataFrame:
    """Test each method against the random explanation: the primary family of tests.

    Differences are taken clip by clip under the same condition and seed, where both have a score.

    Parameters
    ----------
    scores : DataFrame
        Score rows.
    baseline : str
        Method that the others are compared with.

    Returns
    -------
    DataFrame
        One row per cell (columns `CELL`) and method other than the baseline: ``difference`` (oriented; positive is
        better than the baseline) with ``low`` and ``high`` (95 %), ``se``, ``t``, ``df``, two-sided ``p``, ``p_holm``
        over the methods of the cell, ``effect`` (mean / standard deviation of the clips' differences), ``superiority``
        (share of clips won, ties half), ``n_clips`` compared of ``n_planned``, ``n_speakers``, ``coverage`` (their
        ratio) and ``note``: why there is no p, if there is none.
    """
    return tests_against(cells(scores), baseline)


def tests_against(cells: Iterable[Cell], baseline: str) -> pd.DataFrame:
    """`compare_to_random` for cells that are laid out already."""
    frames = []
    for cell, group, table, speakers in cells:
        methods = [name for name in table if name != baseline]
        reference = table[baseline].to_numpy() if baseline in table else np.full(len(table), np.nan)
        found = _test(table[methods].to_numpy() - reference[:, None], table.index, speakers, cell["direction"])
        if baseline not in table:
            found["note"] = f"{baseline!r} was not run"
        planned = group.groupby("method", observed=True)["clip"].nunique()
        found.insert(0, "method", methods)
        found["n_planned"] = planned[methods].to_numpy()
        found["coverage"] = found["n_clips"] / found["n_planned"]
        frames.append(found.assign(**cell))
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
        As `compare_to_random`, with ``method_a`` and ``method_b``; a positive difference is in favour of a.

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


def tests_of_pairs(cells: Iterable[Cell]) -> pd.DataFrame:
    """`compare_pairwise` for cells that are laid out already."""
    frames = []
    for cell, rows, table, speakers in cells:
        pairs = np.array(list(combinations(range(table.shape[1]), 2)), dtype=int).reshape(-1, 2)
        x = table.to_numpy()
        found = _test(x[:, pairs[:, 0]] - x[:, pairs[:, 1]], table.index, speakers, cell["direction"])
        names = table.columns.to_numpy()
        found.insert(0, "method_a", names[pairs[:, 0]])
        found.insert(1, "method_b", names[pairs[:, 1]])
        frames.append(found.assign(**cell, n_planned=rows["clip"].nunique()))
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
    """

    names: dict[str, Any]
    rows: pd.DataFrame
    table: pd.DataFrame
    speakers: pd.Series


def compact(scores: pd.DataFrame) -> pd.DataFrame:
    """The columns that tests and boards need, words as categories: a third of the memory, grouped by number.

    Categories are in alphabetical order, so that groups come in the same order as those of words.
    """
    used = [*CELL, "method", *_REPLICATE, "repeat", "speaker", "status", "value", "model_calls"]
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
        speakers = group.drop_duplicates("clip").set_index("clip")["speaker"]
        yield Cell(dict(zip(CELL, names, strict=True)), group, table, speakers)


def per_clip(values: np.ndarray, index: pd.MultiIndex, speakers: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Average the replicates of each clip (another seed is not another clip).

    Parameters
    ----------
    values : array, shape (replicates, k)
    index : MultiIndex
        With a level ``clip``, as of the tables of `cells`.
    speakers : Series
        Speaker of each clip.

    Returns
    -------
    means : array, shape (clips, k)
        NaN where a clip has no value.
    codes : array of int, shape (clips,)
        Number of each clip's speaker.
    """
    clips = index.get_level_values("clip")
    if clips.has_duplicates:
        frame = pd.DataFrame(values, index=clips).groupby(level=0).mean()
        values, clips = frame.to_numpy(), frame.index
    return values, pd.factorize(speakers.reindex(clips).to_numpy(), use_na_sentinel=False)[0]


def _test(differences: np.ndarray, index: pd.MultiIndex, speakers: pd.Series, direction: str) -> pd.DataFrame:
    """One row of results for each column of paired differences, replicates x comparisons."""
    if direction == "lower":
        differences = -differences
    differences, codes = per_clip(differences, index, speakers)
    fit = cluster_fit(differences, codes)
    claim, half = fit.clusters >= MIN_SPEAKERS, fit.half
    with np.errstate(invalid="ignore", divide="ignore"):
        t = fit.mean / fit.se
        spread = np.sqrt(np.nansum((differences - fit.mean) ** 2, axis=0) / (fit.n - 1))
        effect = np.where(fit.se > 0, fit.mean / spread, np.nan)
        p = 2 * stats.t.sf(np.abs(t), fit.df)
        wins = np.where(np.isnan(differences), np.nan, (np.sign(differences) + 1) / 2)
        superiority = np.nansum(wins, axis=0) / fit.n
    constant = fit.se == 0
    p = np.where(constant, np.where(fit.mean == 0, 1.0, np.nan), p)
    p = np.where(claim, p, np.nan)
    notes = np.where(constant & (fit.mean != 0), "every clip differs by the same amount: no test", "")
    notes = np.where(claim, notes, [f"no claim about a population: {k} speakers" for k in fit.clusters])
    notes = np.where(fit.n == 0, "no clip scored by both", notes)
    return pd.DataFrame(
        {
            "difference": fit.mean, "low": fit.mean - half, "high": fit.mean + half, "se": fit.se,
            "t": np.where(constant, np.nan, t), "df": fit.df, "p": p, "p_holm": holm(p), "effect": effect,
            "superiority": superiority, "n_clips": fit.n, "n_speakers": fit.clusters, "note": notes,
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
