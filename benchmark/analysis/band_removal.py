"""Curves of band removal read from stored mask tables, by the EmoLIME authors' rule and by that of this package.

A table of EmoLIME holds the recogniser's response to every set of its eight bands, so the removal of bands in any order
is known without a model call: also in the order of other methods, whose maps are summed over the bands. Two rules:

- ``label kept``, the authors': bands in the order of their absolute weight; share of clips whose one-vs-rest
  probability stays on its side of one half (`methods.mask_tables.share_kept`);
- ``log-odds``: bands that speak most for the class first; mean log-odds that are left
  (`methods.mask_tables.log_odds_left`).

Beside each stands the mean over all sets of as many bands, which is what a random order gives. Delta-AUC is the area
between the two, by trapezoids over the removed share; 0 for an order as good as chance, higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from ...methods.mask_tables import log_odds_left, share_kept
from ...metrics.similarity import PROFILE_BANDS
from ..stats.clustered import clustered_mean
from ..stats.clustered_proportion import clustered_share
from .stored_maps import CLEAN, StoredMap

Curves = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
RULES: dict[str, Curves] = {"label kept": share_kept, "log-odds": log_odds_left}
SETTING = ["corpus", "model"]
CURVES = [
    *SETTING, "method", "rule", "removed", "value", "low", "high", "at_random", "delta_auc", "delta_auc_low",
    "delta_auc_high", "n_clips", "n_speakers",
]  # fmt: skip


def clean_maps(maps: Iterable[StoredMap]) -> list[StoredMap]:
    """Maps of clips as recorded, first repeats."""
    return [one for one in maps if one.condition == CLEAN and one.repeat == 0]


def mask_tables(maps: Iterable[StoredMap]) -> dict[tuple[str, str, str, str], np.ndarray]:
    """Full mask tables of eight bands by corpus, recogniser, clip and target."""
    return {
        (one.corpus, one.recogniser, one.clip, one.target): one.table
        for one in clean_maps(maps)
        if one.table is not None and len(one.table) == 1 << PROFILE_BANDS and np.ndim(one.table) == 1
    }


def removal_curves(maps: Sequence[StoredMap], methods: Sequence[str]) -> pd.DataFrame:
    """Curves of each method over the clips whose mask table is stored.

    Parameters
    ----------
    maps : sequence of StoredMap
    methods : sequence of str

    Returns
    -------
    DataFrame
        Columns `CURVES`: one row for each setting, method, rule and number of removed bands; ``value`` and delta-AUC
        with 95 % intervals, speakers as clusters (missing below 6 speakers). ``model`` has its training corpus.
    """
    tables = mask_tables(maps)
    steps = []
    for one in clean_maps(maps):
        table = tables.get((one.corpus, one.recogniser, one.clip, one.target))
        if one.method not in methods or table is None:
            continue
        weights = one.profile
        for rule, curves in RULES.items():
            first, at_random = (np.asarray(curve, dtype=np.float64) for curve in curves(table, weights))
            area = float(np.trapezoid(at_random - first, dx=1 / PROFILE_BANDS))
            place = (one.corpus, one.recogniser, one.method, rule, one.clip, one.speaker)
            steps += [(*place, k, first[k], at_random[k], area) for k in range(PROFILE_BANDS + 1)]
    names = [*SETTING, "method", "rule", "clip", "speaker", "removed", "value", "at_random", "area"]
    long = pd.DataFrame(steps, columns=names)
    rows = []
    for named, part in long.groupby([*SETTING, "method", "rule"], sort=False):
        of_clips = part[part["removed"] == 0]
        mean_area = clustered_mean(of_clips["area"], of_clips["speaker"].tolist())
        for removed, step in part.groupby("removed"):
            speakers = step["speaker"].tolist()
            share = named[3] == "label kept"
            found = (
                clustered_share(step["value"], np.ones(len(step)), speakers)
                if share
                else clustered_mean(step["value"], speakers)
            )
            # with nothing removed every prediction is kept, by definition
            bounds = (found.mean, found.mean) if share and removed == 0 else found.bounds
            rows.append(
                (*named, removed, found.mean, *bounds, step["at_random"].mean(), mean_area.mean,
                 *mean_area.bounds, step["clip"].nunique(), step["speaker"].nunique())
            )  # fmt: skip
    return pd.DataFrame(rows, columns=CURVES)
