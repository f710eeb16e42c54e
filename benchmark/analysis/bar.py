"""Marks of a board: what a method must beat to be called better.

In faithfulness and localisation a method is better if it is better than `random` *and* than `energy`: both differences
favourable, p the larger of the two. In sanity both baselines are the worst explanations by construction, so a method
must be better than the score that the metric's record states (`MetricRecord.bar`). In plausibility it must be better
than each rule that knows the target and not the recogniser: `random`, `energy` and `loud-quiet`, in the metric itself
and, for the metric that compares with permuted weights, also in `neutral-agreement` of the same setting. Metrics that
only describe (`MetricRecord.ranked`) give no marks. p-values are corrected by Holm over all marks of one family on the
board: methods, metrics, conditions, fills, corpora and recognisers; baselines and references have none. A method with
misses is tested (p = 1), so that it cannot shorten the family by abstaining. One whose explanations do not match the
fill of the score is not tested (`references`).

The family is the board's, so a mark depends on what else stands on it. Beside the p that decides stand the number of
tests of the family, and p corrected over the methods of one setting alone (a cell: corpus, recogniser, condition, fill
and metric), which describes how much the size of the board costs and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...metrics.records import METRICS, is_ranked
from ..stats.cluster_variance import cluster_fit
from ..stats.clustered import CELL
from ..stats.multiplicity import holm, intersection_union

RANDOM = "random"  # the baseline of the tests; column ``beats_random`` is named after it
ENERGY = "energy"
BOTH_BASELINES = ("faithfulness", "localisation")  # families whose bar is the better of the two baselines
STATED_MARGIN = ("sanity",)
EVERY_RULE = ("plausibility",)  # families whose bar is the best of the rules without a recogniser
RULE = "loud-quiet"  # the rule that knows the target
BAR_FAMILIES = (*BOTH_BASELINES, *STATED_MARGIN, *EVERY_RULE)
BEYOND_RULES = {
    "neutral-agreement-trained": "neutral-agreement"
}  # metric to the one in which it must beat each rule too
ALPHA = 0.05

BAR_COLUMNS = [
    "diff_energy", "diff_energy_low", "diff_energy_high", "diff_energy_clips", "p_bar", "n_tests", "p_setting",
    "passes_bar",
]  # fmt: skip


def sanity_p(metric: str, values: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Two-sided p that the mean is the score stated in a metric's record, 1 where it is not better.

    Parameters
    ----------
    metric : str
    values : array, shape (clips, k)
    codes : sequence of int arrays, shape (clips,)
        Number of each clip's speaker and, where known, sentence.

    Returns
    -------
    array, shape (k,)
        NaN where the record states none, or there are too few speakers.
    """
    record = METRICS.get(metric) if metric in METRICS else None
    if record is None or record.bar is None:
        return np.full(values.shape[1], np.nan)
    better = values - record.bar
    fit = cluster_fit(-better if record.direction == "lower" else better, *codes)
    p = np.where((fit.se == 0) & (fit.mean != 0) & fit.claim, 0.0, fit.p)  # every clip is beyond it by the same amount
    return np.where(np.isnan(p) | (fit.mean > 0), p, 1.0)


def with_marks(
    board: pd.DataFrame, against_random: pd.DataFrame, against_energy: pd.DataFrame, against_rule: pd.DataFrame
) -> pd.DataFrame:
    """Add the columns `BAR_COLUMNS` to a board.

    Parameters
    ----------
    board : DataFrame
        With the columns of `stats.clustered.CELL`, ``method``, ``baseline``, ``complete``, ``mismatch``, ``picked``,
        ``mean`` and ``p_sanity``.
    against_random, against_energy, against_rule : DataFrame
        `stats.clustered.tests_against` of its cells, the last against the rule `RULE`.

    Returns
    -------
    DataFrame
        ``diff_energy`` is the oriented difference to `energy` on ``diff_energy_clips`` clips; ``p_bar`` the corrected p
        of the bar, ``n_tests`` the tests of the family over which it is corrected, ``p_setting`` p corrected over the
        methods of the cell alone. ``passes_bar`` is yes, no, ``no claim`` (too few speakers, a baseline was not run, a
        mismatch, or picked clips), or empty: baselines, families without a bar, and metrics that only describe.
    """
    keys = [*CELL, "method"]
    energy = against_energy[[*keys, "difference", "low", "high", "n_clips", "p"]].rename(
        columns={
            "difference": "diff_energy",
            "low": "diff_energy_low",
            "high": "diff_energy_high",
            "n_clips": "diff_energy_clips",
            "p": "p_energy",
        }
    )
    random = against_random[[*keys, "difference", "p"]].rename(columns={"difference": "over_random", "p": "p_random"})
    rule = against_rule[[*keys, "difference", "p"]].rename(columns={"difference": "over_rule", "p": "p_rule"})
    for tests in (energy, random, rule):
        board = board.merge(tests, on=keys, how="left")
    board["diff_energy_clips"] = board["diff_energy_clips"].astype("Int64")
    both = intersection_union(
        board["p_random"], board["p_energy"], board["over_random"].gt(0), board["diff_energy"].gt(0)
    )
    every = intersection_union(both, board["p_rule"], True, board["over_rule"].gt(0))
    p = np.select(
        [board["family"].isin(families) for families in (BOTH_BASELINES, EVERY_RULE, STATED_MARGIN)],
        [both, _beyond_rules(board, every), board["p_sanity"]],
        np.nan,
    )
    ranked = board["metric"].map(is_ranked).astype(bool)
    marked = (
        ~board["baseline"].astype(bool) & board["family"].isin(BAR_FAMILIES) & board["mean"].notna() & ranked
    ).to_numpy()
    p = np.where(
        marked & ~board["mismatch"] & ~board["picked"], np.where(board["complete"] | np.isnan(p), p, 1.0), np.nan
    )
    corrected, in_setting, n_tests = (np.full(len(board), np.nan) for _ in range(3))
    for family in BAR_FAMILIES:
        chosen = (board["family"] == family).to_numpy()
        corrected[chosen] = holm(p[chosen])
        n_tests[chosen & ~np.isnan(p)] = np.count_nonzero(~np.isnan(p[chosen]))
    for places in board.reset_index(drop=True).groupby(CELL, dropna=False, observed=True).indices.values():
        in_setting[places] = holm(p[places])
    board["p_bar"], board["p_setting"] = corrected, in_setting
    board["n_tests"] = pd.array(n_tests, dtype="Float64").astype("Int64")
    board["passes_bar"] = np.select([~marked, np.isnan(corrected), corrected < ALPHA], ["", "no claim", "yes"], "no")
    return board


def _beyond_rules(board: pd.DataFrame, p: np.ndarray) -> np.ndarray:
    """The larger of each p and that of the same method in the metric that `BEYOND_RULES` names; NaN without it."""
    setting = [name for name in (*CELL, "method") if name not in ("metric", "direction")]
    known = dict(zip(board[[*setting, "metric"]].astype(str).itertuples(index=False, name=None), p, strict=True))
    out = p.copy()
    for i, row in enumerate(board[[*setting, "metric"]].astype(str).itertuples(index=False, name=None)):
        if row[-1] in BEYOND_RULES:
            out[i] = np.maximum(p[i], known.get((*row[:-1], BEYOND_RULES[row[-1]]), np.nan))
    return out
