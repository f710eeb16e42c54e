"""Everything `serxai compare` says about each pair of methods on one metric, and about the order of all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ...metrics.records import METRICS
from ..stats.clustered import CELL, Cell, cells, per_clip, places_of_pairs, tests_of_pairs
from ..stats.friedman import Friedman, friedman_nemenyi
from ..stats.pair_details import details_of_pairs
from ..stats.recognisers import between_models
from ..stats.resampling import rank_intervals
from .abstention import CompletedCell, completed
from .group_views import pair_groups
from .rank_agreement import agreement_of
from .references import matched_pairs, references

ALPHA = 0.05
NO_DIFFERENCE = "no difference shown"
RANKS = [*CELL, "method", "rank", "rank_low", "rank_high", "first", "n_clips", "n_misses", "n_speakers"]


class Comparison(NamedTuple):
    """Comparison of methods on one metric.

    Attributes
    ----------
    pairs : DataFrame
        One row per cell and pair: the columns of `stats.clustered.tests_of_pairs` and of
        `stats.pair_details.details_of_pairs`, ``margin``, ``misses_a`` and ``misses_b``, ``n_models`` with
        ``models_low``, ``models_high`` and ``sign_changes`` of the difference, and ``finding``.
    ranks : DataFrame
        Columns `RANKS`: rank of each method in each cell by its mean, 95 % bootstrap interval, share of samples in
        which it is the best.
    order : Friedman or None
        Average ranks over cells, which share clips: a description. None with fewer than 2 complete cells.
    methods : list of str
        To which `order` refers.
    groups : DataFrame
        `group_views.pair_groups`: the difference of each pair by emotion and by sex.
    agreement : DataFrame
        `rank_agreement.rank_agreement`: Kendall's W of the order over emotions, sexes and fills.
    """

    pairs: pd.DataFrame
    ranks: pd.DataFrame
    order: Friedman | None
    methods: list[str]
    groups: pd.DataFrame
    agreement: pd.DataFrame


def compare_methods(
    scores: pd.DataFrame,
    metric: str,
    margin: float | None = None,
    difference: float | None = None,
    methods: Sequence[str] = (),
    against: Collection[str] = (),
) -> Comparison:
    """Compare pairs of methods; misses count as the worst score (`abstention`), mismatches are not tested.

    Parameters
    ----------
    scores : DataFrame
        Score rows.
    metric : str
    margin : float, optional
        Of the equivalence test; default `MetricRecord.equivalence_margin`, and no test where that is None.
    difference : float, optional
        True difference to plan clips and speakers for.
    methods : sequence of str
        Only pairs of these; default all. Where the metric is defined, and what the worst score is, all methods say.
    against : collection of str
        Only pairs that hold one of these, as `random` and `energy`; default all. Holm's correction is over the pairs
        compared.

    Raises
    ------
    InputError
        If no score of the metric is there, or `margin` is not above 0 or `difference` is 0.
    """
    chosen = scores[scores["metric"] == metric]
    if chosen.empty:
        known = ", ".join(sorted(scores["metric"].unique())) or "none"
        raise InputError(f"compare: the scores hold no metric {metric!r}. They hold: {known}.")
    if margin is not None and not margin > 0:
        raise InputError(f"--margin must be above 0, got {margin}.")
    if difference == 0:
        raise InputError("--difference must not be 0: no number of clips shows that nothing is there.")
    if margin is None and metric in METRICS:
        margin = METRICS.get(metric).equivalence_margin
    found = list(completed(cells(chosen)))
    if methods:
        found = [some for each in found if (some := each.of(methods)).cell.table.shape[1] > 1]
    laid_out = [each.cell for each in found]
    keys = [*CELL, "method_a", "method_b"]
    details = details_of_pairs(laid_out, margin, difference, against)
    pairs = tests_of_pairs(laid_out, against).merge(details, on=keys, how="left")
    pairs = matched_pairs(pairs.merge(_more_of_pairs(found, against), on=keys, how="left"), references(chosen))
    pairs["margin"] = np.nan if margin is None else margin
    pairs["finding"] = [_finding(row) for row in pairs.itertuples()]
    ranks = pd.concat([_ranks(each) for each in found], ignore_index=True)[RANKS]
    shared = [each.shared().cell for each in found]
    return Comparison(pairs, ranks, *order_over_cells(shared), pair_groups(found, against), agreement_of(found))


_SIGNED = (
    ("difference", "low", "high"),
    ("effect", "effect_low", "effect_high"),
    ("rank_biserial", "rank_biserial_low", "rank_biserial_high"),
    ("", "models_low", "models_high"),
    ("", "equivalent_low", "equivalent_high"),
)


def oriented(pair: dict[str, Any], ahead: bool) -> dict[str, Any]:
    """A row of `Comparison.pairs` as it is, or with a and b exchanged.

    Parameters
    ----------
    pair : dict
    ahead : bool
        Whether its method a shall stay a.
    """
    if ahead:
        return pair
    turned = dict(pair)
    for value, low, high in _SIGNED:
        turned[low], turned[high] = -pair[high], -pair[low]
        if value:
            turned[value] = -pair[value]
    for name in ("method", "misses"):
        turned[f"{name}_a"], turned[f"{name}_b"] = pair[f"{name}_b"], pair[f"{name}_a"]
    turned["finding"] = {"a better": "b better", "b better": "a better"}.get(pair["finding"], pair["finding"])
    return turned


def _finding(row: Any) -> str:
    """What may be said about a pair: nothing about direction without a significant difference."""
    if np.isnan(row.p_holm):
        return "no claim"
    if row.p_holm < ALPHA:
        misses = row.misses_a if row.difference > 0 else row.misses_b
        return "a better" if row.difference > 0 and not misses else "b better" if not misses else "ahead, with misses"
    return "equivalent" if row.p_equivalent < ALPHA else NO_DIFFERENCE


def _more_of_pairs(found: list[CompletedCell], against: Collection[str]) -> pd.DataFrame:
    rows = []
    for each in found:
        cell, sign = each.cell, -1 if each.cell.names["direction"] == "lower" else 1
        by_clip = cell.table.groupby(level="clip").mean()
        folds = None
        if "fold" in cell.rows:
            clips = cell.rows.drop_duplicates("clip")
            folds = clips.set_index(clips["clip"].astype(str))["fold"].astype(str)
            folds = folds.reindex(by_clip.index.astype(str)).to_numpy()
        for a, b in cell.table.columns.to_numpy()[places_of_pairs(list(cell.table), against)]:
            row = dict(cell.names) | {"method_a": a, "method_b": b}
            row |= {"misses_a": int(each.misses[a]), "misses_b": int(each.misses[b])}
            apart = sign * (by_clip[a] - by_clip[b]).to_numpy()
            spread = between_models(apart, np.full(apart.shape, "") if folds is None else folds)
            row |= {"n_models": len(spread.means), "models_low": spread.low, "models_high": spread.high}
            rows.append(row | {"sign_changes": spread.sign_changes})
    more = ["misses_a", "misses_b", "n_models", "models_low", "models_high", "sign_changes"]
    return pd.DataFrame(rows, columns=[*CELL, "method_a", "method_b", *more])


def _ranks(found: CompletedCell) -> pd.DataFrame:
    """Ranks of the methods that were run on all shared clips, on these."""
    found = found.shared()
    cell = found.cell
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    values, *codes = per_clip(cell.table.to_numpy(), cell.table.index, *labels)
    sentences = codes[1] if len(codes) > 1 else None
    intervals = rank_intervals(values, codes[0], sentences, higher_is_better=cell.names["direction"] == "higher")
    known = np.isfinite(values)
    return pd.DataFrame(
        {
            "method": cell.table.columns, "rank": intervals.rank, "rank_low": intervals.low,
            "rank_high": intervals.high, "first": intervals.first, "n_clips": known.sum(axis=0),
            "n_misses": found.misses.to_numpy(),
            "n_speakers": [len(np.unique(codes[0][column])) for column in known.T],
        }
    ).assign(**cell.names)  # fmt: skip


def order_over_cells(laid_out: list[Cell]) -> tuple[Friedman | None, list[str]]:
    """Average ranks over cells of the methods that have a score in all of them.

    Parameters
    ----------
    laid_out : list of Cell
        With misses filled in; of any metrics and directions.

    Returns
    -------
    order : Friedman or None
        None with fewer than 2 cells or 2 such methods.
    methods : list of str
    """
    means = {
        number: cell.table.mean() * (-1 if cell.names["direction"] == "lower" else 1)
        for number, cell in enumerate(laid_out)
        if cell.table.notna().any(axis=None)
    }
    table = pd.DataFrame(means).T
    table = table.loc[:, table.notna().all()]
    if min(table.shape) < 2:
        return None, []
    return friedman_nemenyi(table.to_numpy(dtype=np.float64)), [str(name) for name in table]
