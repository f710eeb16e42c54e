"""Short table of ``serxai compare``: a line a method, with its tests against `energy` and `random`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Group

from ..analysis.bar import ENERGY, RANDOM
from ..analysis.pairs import oriented
from .fitted_table import fitted

NO_P = "–"
_FINDINGS = {"a better": "better", "b better": "worse"}


def against_baselines(pairs: Sequence[dict[str, Any]], ranks: pd.DataFrame, title: str, width: int) -> Group:
    """One cell's methods by rank, with difference, interval, corrected p and finding against each baseline.

    Parameters
    ----------
    pairs : sequence of dict
        Rows of `analysis.pairs.Comparison.pairs` of one cell.
    ranks : DataFrame
        Its rows of `Comparison.ranks`.
    title : str
    width : int
        Characters a line.
    """
    tests: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in pairs:
        for side, other in (("a", "b"), ("b", "a")):
            if pair[f"method_{other}"] in (ENERGY, RANDOM):
                tests[pair[f"method_{side}"], pair[f"method_{other}"]] = oriented(pair, ahead=side == "a")
    compared = [name for name in (ENERGY, RANDOM) if any(other == name for _, other in tests)]
    rows = []
    for row in ranks.sort_values(["rank", "method"], na_position="last").itertuples():
        cells = [row.method + "!" * bool(row.n_misses), "–" if pd.isna(row.rank) else f"{row.rank:g}"]
        found = [tests.get((row.method, other)) for other in compared]
        if pd.isna(row.rank) and not any(one is not None and one["n_clips"] for one in found):
            continue  # never scored: told below the table
        for one in found:
            cells += _cells(one)
        clips = [one["n_clips"] for one in found if one is not None]
        rows.append((*cells, str(min(clips, default=0))))
    heads = [name for other in compared for name in (f"less {other}", f"p {other}", f"than {other}")]
    return fitted(title, ("method", "rank", *heads, "clips"), rows, width, 1, ("clips", "rank"))


def _cells(pair: dict[str, Any] | None) -> list[str]:
    if pair is None:
        return ["–", "", ""]
    interval = f" [{pair['low']:+.2f}, {pair['high']:+.2f}]" if pd.notna(pair["low"]) else ""
    difference = f"{pair['difference']:+.2f}{interval}" if pd.notna(pair["difference"]) else "–"
    return [difference, p_cell(pair), _FINDINGS.get(pair["finding"], pair["finding"])]


def p_cell(pair: dict[str, Any]) -> str:
    """Corrected p of a pair, a dash where there is none."""
    return f"{pair['p_holm']:.4f}" if pd.notna(pair["p_holm"]) else NO_P
