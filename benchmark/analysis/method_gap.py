"""Pairwise comparison of methods by scores, maps, seed noise and cost, from a stored run without model calls.

Conventions
-----------
Two maps of a clip are compared on their own grid where they share it (weights of the same bands), else on the scoring
grid. Maps of different repeats differ by the method's random draws: their spread is its *noise*. A ridge penalty
shrinks the weights of a surrogate; quantities that depend on scale are given as stored and *at equal shrinkage*, each
map divided by its shrinkage factor (`surrogates.shrinkage`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ...audio import scoring_grid
from ...errors import InputError, UnknownNameError
from ...methods.attribution import Attribution
from ...methods.records import make_method
from ..stats.clustered import CELL, Cell, cells, clustered_mean, per_clip, tests_of_pairs
from ..storage.store import Store
from .abstention import completed
from .references import matched_pairs, references
from .shown_names import ShownNames, plain_name, shown_names

_PAIR = ["rank_correlation", "rank_correlation_of_means", "slope", "slope_at_equal_shrinkage"]
# identity of what is explained; an explanation does not depend on metric and fill
_EXPLAINED = ["corpus", "model", "condition", "clip", "target"]


class Repeats(NamedTuple):
    """Repeated explanations of one clip and target by one method.

    Attributes
    ----------
    maps : tuple of Attribution
        One per repeat, in order.
    seconds : float
        Time of the first repeat, its base's included; NaN where it was not timed. Later repeats share work.
    """

    maps: tuple[Attribution, ...]
    seconds: float


def method_gap(
    stores: Store | Sequence[Store], scores: pd.DataFrame, metric: str, methods: Sequence[str]
) -> pd.DataFrame:
    """Compare each pair of methods by their scores, their maps, their noise and their cost.

    Parameters
    ----------
    stores : Store or sequence of Store
        The run, or several.
    scores : DataFrame
        Their score rows, merged by `merge.merge_runs`, or some of them.
    metric : str
    methods : sequence of str
        Two or more, all of which the run holds.

    Returns
    -------
    DataFrame
        One row per cell (columns `stats.clustered.CELL`) and pair, in the order of `methods`: the columns of
        `stats.clustered.compare_pairwise`, and

        - ``rank_correlation``: Spearman's, of single explanations (mean over pairs of repeats);
          ``rank_correlation_of_means``: of the means over repeats, what remains of a difference without noise;
        - ``slope`` and ``slope_at_equal_shrinkage``: of the weights of a on those of b, means over repeats, centred
          clip by clip; 1 where a change of b's weight is the same change of a's;
        - ``n_explained``: the clips, of ``n_planned``, that both explain, which these four rest on;
        - ``mean_a`` and ``mean_b``: the scores on the ``n_clips`` clips of the paired difference, which is their own
          difference (with the sign of the metric's direction); where there are no bounds, ``note`` says why;
        - for a and for b, on all clips that it explains (``n_explained_a``): ``repeats``; ``noise``, the standard
          deviation of a weight over repeats (root mean square over cells, mean over clips), in the unit of the weights,
          and ``noise_at_equal_shrinkage``; ``relative_noise``, noise beside the standard deviation of the mean weights
          over cells (both root mean squares over clips); ``rank_correlation_of_repeats``; ``shrinkage`` (missing where
          the method has none); ``calls`` and ``seconds`` of one explanation.

        ``..._low`` and ``..._high`` bound each of them (``low`` and ``high`` the difference) with 95 %, speakers and,
        where known, sentences being clusters; missing below 6 speakers. Noise is 0 where nothing is drawn and missing
        where a method that draws was not repeated.

    Raises
    ------
    InputError
        For fewer than two methods, a metric that was not run, or scores without explanations.
    UnknownNameError
        For a method that the scores do not hold.
    """
    chosen = scores[scores["metric"] == metric]
    if chosen.empty:
        metrics = ", ".join(sorted(scores["metric"].unique())) or "none"
        raise InputError(f"compare: the scores hold no metric {metric!r}. They hold: {metrics}.")
    methods = tuple(dict.fromkeys(methods))
    if len(methods) < 2:
        raise InputError(f"compare: --method must name two or more, got {', '.join(methods) or 'none'}.")
    known = sorted(chosen["method"].unique())
    for name in methods:
        if name not in known:
            raise UnknownNameError("method of this run", name, known)
    # which clips a metric is defined on, and the worst score there, all methods of the run say
    laid_out = [found.of(methods).cell for found in completed(cells(chosen))]
    chosen = chosen[chosen["method"].isin(methods)]
    explanations = repeats_of(stores, chosen)
    targets = chosen.set_index(["corpus", "model", "target_rule", "clip"])["target"].to_dict()
    rows = []
    for cell in laid_out:
        names = cell.names
        by_clip = {
            clip: explanations.get(
                (
                    names["corpus"],
                    names["model"],
                    names["condition"],
                    clip,
                    targets[names["corpus"], names["model"], names["target_rule"], clip],
                ),
                {},
            )
            for clip in cell.speakers.index.astype(str)
        }
        estimates = {name: _of_method(name, cell, by_clip) for name in cell.table}
        for a, b in combinations(cell.table, 2):
            row = {"method_a": a, "method_b": b} | _scores_of_pair(a, b, cell) | _of_pair(a, b, cell, by_clip)
            for side, name in (("a", a), ("b", b)):
                row["n_explained_" + side], row["repeats_" + side] = estimates[name].counts
                for quantity, (influence, labels) in estimates[name].influence.items():
                    row |= _bounded(f"{quantity}_{side}", influence, *labels)
            rows.append(names | row)
    gaps = pd.DataFrame(rows)
    tests = matched_pairs(tests_of_pairs(laid_out), references(chosen))
    return tests.merge(gaps, on=[*CELL, "method_a", "method_b"], how="left")


def repeats_of(stores: Store | Sequence[Store], scores: pd.DataFrame) -> dict[tuple[str, ...], dict[str, Repeats]]:
    """Explanations of the rows that have a score, by (corpus, model, condition, clip, target) and method.

    Parameters
    ----------
    stores : Store or sequence of Store
    scores : DataFrame
        Score rows; names of corpora and recognisers are those under which merged runs are shown.

    Raises
    ------
    InputError
        If there are scores but no explanations.
    """
    runs = [stores] if isinstance(stores, Store) else list(stores)
    ok = scores[scores["status"] == "ok"]
    wanted = set(ok[[*_EXPLAINED, "method"]].itertuples(index=False, name=None))
    bases = {name: make_method(plain_name(name)).base for name in ok["method"].unique()}
    maps: dict[tuple[str, ...], dict[int, Attribution]] = {}
    seconds: dict[tuple[str, ...], float] = {}
    labels = shown_names([run.info for run in runs]) if len(runs) > 1 else [ShownNames()]
    for run, names in zip(runs, labels, strict=True):
        of_model = {name: label for (name, _), label in names.models.items()}
        timed = run.explanation_seconds()
        for key, e in run.keyed_explanations(first=True):
            corpus, model = names.corpus(e.corpus), of_model.get(e.model, e.model)
            method = names.method(e.attribution.method)
            identity = (corpus, model, e.condition, e.clip, e.attribution.target, method)
            if e.repeat == 0 and key in timed:
                seconds[identity] = timed[key]
            if identity in wanted:
                maps.setdefault(identity, {})[e.repeat] = e.attribution
    if wanted and not maps:
        named = ", ".join(str(run.path) for run in runs)
        raise InputError(f"{named}: has scores but no explanations; compare methods where the run was made.")
    by_clip: dict[tuple[str, ...], dict[str, Repeats]] = {}
    for (*clip, method), repeats in maps.items():
        spent = seconds.get((*clip, method), np.nan)
        base = bases[method]
        if base is not None:
            spent += seconds.get((*clip, base), np.nan)
        by_clip.setdefault(tuple(clip), {})[method] = Repeats(tuple(repeats[i] for i in sorted(repeats)), spent)
    return by_clip


def rank_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row of a with each row of b; NaN where a row is constant.

    Parameters
    ----------
    a, b : arrays, shapes (m, cells) and (n, cells)

    Returns
    -------
    array, float64, shape (m, n)
    """
    x, y = (rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2 for rows in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x @ y.T) / np.sqrt(np.square(x).sum(axis=1)[:, None] * np.square(y).sum(axis=1))


def pooled_slope(maps: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray]:
    """Least-squares slope of a on b over the cells of all clips, with an intercept per clip.

    Parameters
    ----------
    maps : sequence of (array, array), each of shape (cells,)
        a and b of each clip.

    Returns
    -------
    slope : float
        NaN where b does not vary.
    influence : array, shape (clips,)
        Per-clip influence values (delta method): their mean is the slope, their spread that of the estimate.
    """
    moments = np.array([(np.sum((x - x.mean()) * (y - y.mean())), y.size * y.var()) for x, y in maps])
    cross, square = moments.reshape(-1, 2).T
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = float(cross.sum() / square.sum())
        return slope, slope + (cross - slope * square) / square.mean()


def _scores_of_pair(a: str, b: str, cell: Cell) -> dict[str, float]:
    """Mean scores over the replicates and clips of the paired difference, which are those that both methods have."""
    both = cell.table[[a, b]].dropna()
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    values, *codes = per_clip(both.to_numpy(), both.index, *labels)
    return _bounded("mean_a", values[:, 0], *codes) | _bounded("mean_b", values[:, 1], *codes)


def _of_pair(a: str, b: str, cell: Cell, by_clip: Mapping[str, Mapping[str, Repeats]]) -> dict[str, Any]:
    """Columns `_PAIR` with their intervals, and the number of clips they are computed on."""
    clips = [clip for clip, methods in by_clip.items() if a in methods and b in methods]
    single, of_means = [], []
    means: list[tuple[np.ndarray, ...]] = []
    for clip in clips:
        one, other = (by_clip[clip][name].maps for name in (a, b))
        x, y = on_common_grid(one, other)
        single.append(_mean(rank_correlations(x, y)))
        of_means.append(float(rank_correlations(x.mean(axis=0)[None], y.mean(axis=0)[None])[0, 0]))
        levelled = (rows / _shrinkages(maps)[:, None] for rows, maps in ((x, one), (y, other)))
        means.append((x.mean(axis=0), y.mean(axis=0), *(rows.mean(axis=0) for rows in levelled)))
    plain, level = ([(row[i], row[i + 1]) for row in means] for i in (0, 2))
    values = (single, of_means, pooled_slope(plain)[1], pooled_slope(level)[1])
    labels = _labels(cell, clips)
    columns: dict[str, Any] = {"n_explained": len(clips)}
    for name, of_clips in zip(_PAIR, values, strict=True):
        columns |= _bounded(name, of_clips, *labels)
    return columns


class _MethodEstimates(NamedTuple):
    """Noise and cost of one method.

    Attributes
    ----------
    counts : (int, int)
        Clips explained, and repeats of each.
    influence : dict of str to (array, list)
        By quantity, its per-clip influence values and the clips' speakers and, where known, sentences.
    """

    counts: tuple[int, int]
    influence: dict[str, tuple[np.ndarray, list[list[Any]]]]


def _of_method(name: str, cell: Cell, by_clip: Mapping[str, Mapping[str, Repeats]]) -> _MethodEstimates:
    """Per-clip influence values of a method's noise, shrinkage and cost: the mean of each is the estimate."""
    explained = {clip: methods[name] for clip, methods in by_clip.items() if name in methods}
    draws = make_method(plain_name(name)).stochastic
    rows = []
    for maps, seconds in explained.values():
        values = np.stack([map_.values.ravel() for map_ in maps]).astype(np.float64)
        pairs = rank_correlations(values, values)[np.triu_indices(len(values), 1)]
        rows.append(
            {
                "noise": _spread(values, draws),
                "noise_at_equal_shrinkage": _spread(values / _shrinkages(maps)[:, None], draws),
                "signal": values.mean(axis=0).std(),
                "rank_correlation_of_repeats": _mean(pairs) if draws else 1.0,
                "shrinkage": _mean(_shrinkages(maps)),
                "calls": _mean([map_.model_calls for map_ in maps]),
                "seconds": seconds,
            }
        )
    names = [
        "noise",
        "noise_at_equal_shrinkage",
        "signal",
        "rank_correlation_of_repeats",
        "shrinkage",
        "calls",
        "seconds",
    ]
    table = pd.DataFrame(rows, columns=names, dtype=np.float64)
    table["relative_noise"] = _relative_noise(table["noise"].to_numpy(), table.pop("signal").to_numpy())
    labels = _labels(cell, list(explained))
    repeats = min((len(maps) for maps, _ in explained.values()), default=0)
    return _MethodEstimates((len(explained), repeats), {name: (table[name].to_numpy(), labels) for name in table})


def _labels(cell: Cell, clips: list[str]) -> list[list[Any]]:
    """Speakers of some clips and, where known, their sentences."""
    known = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    return [of_clip.reindex(clips).tolist() for of_clip in known]


def _relative_noise(noise: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Per-clip influence values of the ratio of root mean squares, noise over signal (delta method)."""
    known = np.isfinite(noise)
    n2, s2 = np.square(np.where(known, noise, np.nan)), np.square(np.where(known, signal, np.nan))
    if not known.any() or not np.nansum(s2) > 0:
        return np.full(noise.shape, np.nan)
    ratio = float(np.sqrt(np.nanmean(n2) / np.nanmean(s2)))
    if ratio == 0:
        return np.where(known, 0.0, np.nan)
    influence: np.ndarray = ratio + (n2 - ratio**2 * s2) / (2 * ratio * np.nanmean(s2))
    return influence


def on_common_grid(a: Sequence[Attribution], b: Sequence[Attribution]) -> tuple[np.ndarray, np.ndarray]:
    """Maps of one clip by two methods on a grid common to both, shape (repeats, cells) each."""
    maps = (*a, *b)
    if all(map_.grid == maps[0].grid for map_ in maps):
        rows = [map_.values.ravel().astype(np.float64) for map_ in maps]
    else:  # padding front ends only extend maps: the smallest end time is the clip's
        grid = scoring_grid(min(float(map_.grid.time_edges_s[-1]) for map_ in maps))
        rows = [map_.on(grid).ravel() for map_ in maps]
    return np.stack(rows[: len(a)]), np.stack(rows[len(a) :])


def _spread(rows: np.ndarray, draws: bool) -> float:
    """Standard deviation over repeats, root mean square over cells."""
    if not draws:
        return 0.0
    return float(np.sqrt(rows.var(axis=0, ddof=1).mean())) if len(rows) > 1 else np.nan


def _shrinkages(maps: Iterable[Attribution]) -> np.ndarray:
    return np.array([map_.details.get("shrinkage", np.nan) for map_ in maps])


def _mean(values: Any) -> float:
    """Mean of the finite values; NaN where there is none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else np.nan


def _bounded(name: str, values: Any, speakers: Any, sentences: Any = None) -> dict[str, float]:
    """Mean and 95 % bounds as columns ``NAME``, ``NAME_low``, ``NAME_high``."""
    estimate = clustered_mean(values, speakers, sentences)
    return dict(zip((name, f"{name}_low", f"{name}_high"), (estimate.mean, *estimate.bounds), strict=True))
