"""Tables of results that are committed beside the records: what README and docs take their numbers from.

records    pieces: corpus, recogniser, clips, speakers, rows, what was scored
headline   board of recorded clips, core metrics: means, differences to random and energy, the bar
claims     how often each claim of the papers got each verdict over the counted settings, by method
emolime_1  the first of EmoLIME's claims over all corpora and recognisers, with its effects
axes       robustness on the four axes
ranks      mean rank of each method over the metrics of a family, and how far the metrics disagree about it
curves     area under the score of robustness over the strengths of a shift
agreement  how far the order of the methods agrees between corpora, recognisers, fills, metrics, emotions and sexes
metrics_by_class, metric_pairs
           how far metrics agree within each emotion and sex, and which pairs of methods they order by the class
recognisers
           UAR on held-out folds and on explained clips, beside published numbers
cue_groups acoustic cues of salient windows by group, beside a published order
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ...methods.records import baselines
from ...metrics.records import METRICS, is_ranked
from ..analysis.axis_board import BAR_METRIC
from ..analysis.claims import CLAIM_1, Finding
from ..analysis.shown_names import plain_name
from ..analysis.stored_maps import CLEAN
from ..report.escape import csv_safe
from ..storage.store import Store

HEADLINE = [
    "corpus", "model", "trained_on", "family", "metric", "fill", "method", "baseline", "rank", "mean", "low", "high",
    "n_clips", "n_speakers", "coverage", "difference", "difference_low", "difference_high", "p_holm", "diff_energy",
    "diff_energy_low", "diff_energy_high", "p_bar", "n_tests", "p_setting", "passes_bar", "metric_qualified",
]  # fmt: skip
RANKS = [
    "corpus", "model", "trained_on", "family", "fill", "method", "n_metrics", "n_methods", "mean_rank", "disagreement",
    "disagreement_chance",
]  # fmt: skip
EMOLIME_1 = [
    "method", "setting", "bands", "clips", "estimate", "low", "high", "p", "n_clips", "n_explanations", "n_speakers",
    "verdict", "scope",
]  # fmt: skip
LEAST_RANKED = 3  # methods


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
    core = core_metrics(board["metric"].unique())
    return board[(board["condition"] == CLEAN) & board["metric"].isin(core)][HEADLINE].reset_index(drop=True)


def first_claim_table(found: Iterable[Finding]) -> pd.DataFrame:
    """EmoLIME's first claim over all corpora and recognisers: one row for each method and reading, columns `EMOLIME_1`.

    Its effect says in brackets on which ``bands``, and whether two recognisers explained the same clips (``clips``).
    """
    rows = []
    for one in found:
        if one.claim == CLAIM_1:
            bands, _, clips = one.effect.partition("(")[2].rstrip(")").partition(", ")
            facts = {name: getattr(one, name) for name in EMOLIME_1 if hasattr(one, name)}
            rows.append(facts | {"bands": bands, "clips": clips})
    return pd.DataFrame(rows, columns=EMOLIME_1)


def core_metrics(names: Iterable[str]) -> set[str]:
    """Those of some metrics that a headline has: core metrics of ranked families, and the bar's metric."""
    known = [name for name in names if name in METRICS and is_ranked(name)]
    return {name for name in known if METRICS.get(name).core or name == BAR_METRIC}


def rank_table(board: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of each method over the metrics of a family, and their disagreement as LATEC reports it.

    Klein et al. 2024 (LATEC, arXiv 2409.16756, table 2) set beside the mean rank of a method the standard deviation of
    its ranks over the metrics of a criterion. Here a family is a criterion, all its ranked metrics count, near-copies
    among them, and methods are ranked by means, as on the board, where LATEC takes medians.

    Parameters
    ----------
    board : DataFrame
        Of `analysis.leaderboard.leaderboard`; recorded clips are taken.

    Returns
    -------
    DataFrame
        Columns `RANKS`, one row per recogniser, family, fill and method, baselines left out; 1 is the best of
        ``n_methods``, equal means share their mean rank. ``disagreement``: standard deviation over ``n_metrics``;
        ``disagreement_chance``: what it is, in root mean square, where each metric orders the methods at random.
    """
    known = [name for name in board["metric"].unique() if name in METRICS and is_ranked(name)]
    chosen = board["condition"].eq(CLEAN) & board["metric"].isin(known) & board["mean"].notna()
    table = board[chosen & ~board["method"].map(plain_name).isin(baselines())]
    table = table.assign(oriented=oriented(table))
    frames = []
    for place, part in table.groupby(RANKS[:5], sort=False, dropna=False):
        wide = part.pivot_table(index="metric", columns="method", values="oriented", sort=False)
        wide = wide[wide.notna().sum(axis=1) >= LEAST_RANKED].dropna(axis=1)
        n_metrics, n = wide.shape
        if n_metrics < 2 or n < LEAST_RANKED:
            continue
        of_metric = rankdata(-wide.to_numpy(), axis=1)
        chance = np.sqrt((n**2 - 1) / 12 * (n_metrics - 1) / n_metrics)
        frame = pd.DataFrame(
            {
                "method": wide.columns, "n_metrics": n_metrics, "n_methods": n, "mean_rank": of_metric.mean(axis=0),
                "disagreement": of_metric.std(axis=0), "disagreement_chance": chance,
            }
        )  # fmt: skip
        frames.append(frame.assign(**dict(zip(RANKS[:5], place, strict=True))).sort_values("mean_rank", kind="stable"))
    return pd.concat(frames, ignore_index=True)[RANKS] if frames else pd.DataFrame(columns=RANKS)


def oriented(table: pd.DataFrame) -> pd.Series:
    """Means of a board, larger for better."""
    return table["mean"] * [1 if METRICS.get(name).direction == "higher" else -1 for name in table["metric"]]


def as_csv(table: pd.DataFrame) -> bytes:
    """A table as it is committed: six digits, so that other processors give the same bytes."""
    text: str = csv_safe(table).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()


def as_texts(tables: Mapping[str, bytes]) -> dict[str, pd.DataFrame]:
    """Committed tables as texts, for `marks`."""
    return {name: pd.read_csv(BytesIO(data), dtype=str, keep_default_na=False) for name, data in tables.items()}
