"""Tables of results that are committed beside the records: what README and docs take their numbers from.

records    pieces: corpus, recogniser, clips, speakers, rows, what was scored
headline   board of recorded clips, core metrics: means, differences to random and energy, the bar
claims     how often each claim of the papers got each verdict, by method
axes       robustness on the four axes
agreement  how far the order of the methods agrees between corpora, recognisers, fills and metrics
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...metrics.records import METRICS, is_ranked
from ..analysis.axis_board import BAR_METRIC
from ..analysis.bar import RANDOM
from ..analysis.recogniser_titles import recogniser_titles
from ..analysis.stored_maps import CLEAN
from ..report.escape import csv_safe
from ..stats.concordance import concordance
from ..storage.store import Store

HEADLINE = [
    "corpus", "model", "trained_on", "family", "metric", "fill", "method", "baseline", "rank", "mean", "low", "high",
    "n_clips", "n_speakers", "coverage", "difference", "difference_low", "difference_high", "p_holm", "diff_energy",
    "diff_energy_low", "diff_energy_high", "p_bar", "passes_bar", "metric_qualified",
]  # fmt: skip
AGREEMENT = ["varied", "over", "corpus", "model", "metric", "fill", "n_raters", "n_methods", "w", "opposed"]
_VARIED = {"corpora": "corpus", "recognisers": "model", "fills": "fill", "metrics": "metric"}


def record_table(stores: Sequence[Store], root: Path) -> pd.DataFrame:
    """One row for each piece."""
    rows = []
    for store in stores:
        info, scores = store.info, store.scores(["clip", "speaker", "status", "model", "trained_on"])
        config = info["config"]
        rows.append(
            {
                "piece": store.path.relative_to(root).as_posix(), "corpus": config["corpora"][0],
                "model": config["models"][0], "trained_on": str(scores["trained_on"].iloc[0]),
                "clips": scores["clip"].nunique(), "speakers": scores["speaker"].nunique(),
                "methods": len(config["methods"]), "metrics": len(config["metrics"]),
                "conditions": " ".join(config["conditions"]), "rows": len(scores),
                **{status: int((scores["status"] == status).sum()) for status in ("ok", "failed", "skipped")},
                "bytes": sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def headline(board: pd.DataFrame) -> pd.DataFrame:
    """Rows of a board on recorded clips, of the core metrics of ranked families and of the bar's metric."""
    known = [name for name in board["metric"].unique() if name in METRICS and is_ranked(name)]
    core = {name for name in known if METRICS.get(name).core or name == BAR_METRIC}
    return board[(board["condition"] == CLEAN) & board["metric"].isin(core)][HEADLINE].reset_index(drop=True)


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """How far the order of methods agrees, with one thing varied and all others held fixed.

    Parameters
    ----------
    table : DataFrame
        Of `headline`.

    Returns
    -------
    DataFrame
        Columns `AGREEMENT`: Kendall's W over ``n_raters``, and ``opposed``: the share of pairs of methods that two
        raters order differently, mean over pairs of raters. Methods without a mean for every rater, baseline `random`
        among them, are left out. No interval: raters are fixed.
    """
    table = table[(table["method"] != RANDOM) & table["mean"].notna()].assign(
        oriented=lambda t: t["mean"] * [1 if METRICS.get(name).direction == "higher" else -1 for name in t["metric"]],
        model=recogniser_titles,
    )
    rows: list[dict[str, Any]] = []
    for varied, column in _VARIED.items():
        fixed = [name for name in _VARIED.values() if name != column]
        pool = table[table["family"] == "faithfulness"] if column in ("metric", "fill") else table
        for place, part in pool.groupby(fixed, sort=False):
            wide = part.pivot_table(index=column, columns="method", values="oriented", sort=False).dropna(axis=1)
            if len(wide) > 1 and wide.shape[1] > 2:
                values = wide.to_numpy()
                rows.append(
                    dict(zip(fixed, place, strict=True))
                    | {"varied": varied, "over": " ".join(map(str, wide.index)), "n_raters": len(wide),
                       "n_methods": wide.shape[1], "w": concordance(values), "opposed": opposed(values)}
                )  # fmt: skip
    return pd.DataFrame(rows, columns=AGREEMENT).fillna({name: "" for name in _VARIED.values()})


def opposed(scores: np.ndarray) -> float:
    """Share of pairs of objects that two raters order differently, mean over pairs of raters.

    Parameters
    ----------
    scores : array, shape (n_raters, n_objects)
        Equal scores of a rater oppose nobody.
    """
    i, j = np.triu_indices(scores.shape[1], 1)
    signs = np.sign(scores[:, i] - scores[:, j])
    return float(np.mean([np.mean(signs[a] * signs[b] < 0) for a, b in combinations(range(len(scores)), 2)]))


def as_csv(table: pd.DataFrame) -> bytes:
    """A table as it is committed: six digits, so that other processors give the same bytes."""
    text: str = csv_safe(table).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()


def as_texts(tables: Mapping[str, bytes]) -> dict[str, pd.DataFrame]:
    """Committed tables as texts, for `marks`."""
    return {name: pd.read_csv(BytesIO(data), dtype=str, keep_default_na=False) for name, data in tables.items()}
