"""``serxai compare``: tables of pairwise tests, of what stands beside the p-value, and of ranks."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pandas as pd
from rich.table import Table

from ...errors import InputError, UnknownNameError
from ...metrics.verdict import board_grade, labelled, mark_meaning
from ..analysis.leaderboard import SETTING
from ..analysis.merge import merged
from ..analysis.method_gap import method_gap
from ..analysis.pairs import NO_DIFFERENCE, Comparison, compare_methods, oriented
from ..report.tables import setting_title
from ..stats.clustered import CELL
from ..storage.store import Store
from .console import Console
from .results import print_notes

WIDTH = 120  # narrower tables would cut names and numbers short
LEGEND = (
    "Differences are a less b, positive is better; intervals 95 %, clustered as the scope says; p corrected by Holm "
    f"over all pairs. '{NO_DIFFERENCE}' is no proof of equality: 'would show' says how large a difference would have "
    "had to be (80 % power, uncorrected). ! has misses, which count as the worst score. Intervals by emotion and sex "
    "are uncorrected. W: 1 where all groups give the same order of methods (baselines left out); random groups: its "
    "mean over groups of the same sizes without a meaning; p is small where the differences depend on it."
)


def compare(arguments: Namespace) -> int:
    """Test methods pairwise on one metric; with ``--method``, also compare their maps, noise and cost."""
    stores = [Store(path) for path in arguments.runs]
    scores, _, notes = merged(stores, arguments.partial)
    print_notes(notes)
    if arguments.corpus is not None:
        known = sorted(scores["corpus"].unique())
        if arguments.corpus not in known:
            raise UnknownNameError("corpus of this run", arguments.corpus, known)
        scores = scores[scores["corpus"] == arguments.corpus]
    found = compare_methods(scores, arguments.metric, arguments.margin, arguments.difference, arguments.method)
    gaps = pd.DataFrame()
    if arguments.method:
        gaps = method_gap(stores, scores, arguments.metric, arguments.method)
        gaps["metric_qualified"] = board_grade(arguments.metric)
    found.pairs["metric_qualified"] = board_grade(arguments.metric)
    if arguments.json:
        told = gaps if arguments.method else found.pairs
        print(json.dumps(json.loads(told.to_json(orient="records")), indent=2))
        return 0
    _print(found, gaps, arguments)
    return 0


def _print(found: Comparison, gaps: pd.DataFrame, arguments: Namespace) -> None:
    console = Console()
    console.width = max(console.width, WIDTH)
    ranks = dict(list(found.ranks.groupby(CELL, dropna=False)))
    for cell, group in found.pairs.groupby(CELL, dropna=False, sort=False):
        facts = dict(zip(CELL, cell, strict=True))
        setting = setting_title({name: facts[name] for name in SETTING})
        under = ", ".join(filter(None, (facts["condition"], facts["fill"] and f"fill {facts['fill']}")))
        pairs = [oriented(pair, ahead=not pair["difference"] < 0) for pair in group.to_dict("records")]
        pairs.sort(key=lambda pair: -pair["difference"] if pd.notna(pair["difference"]) else 0.0)
        console.print(_tests(pairs, f"{labelled(arguments.metric)}, {under}: {setting}"))
        console.print(_beside(pairs))
        console.print(_ranks(ranks[cell]))
        console.print(*_groups(found, facts, pairs), sep="\n")
        if arguments.method:
            of_cell = gaps[(gaps[CELL].fillna("") == pd.Series(facts).fillna("")).all(axis=1)]
            print_gap(console, of_cell)
    if found.order is not None:
        console.print(_order(found))
    console.print(LEGEND, style="dim", highlight=False, markup=False)
    if meaning := mark_meaning(arguments.metric):
        console.print(f"{labelled(arguments.metric)} {meaning}", style="dim", highlight=False, markup=False)


def _table(title: str, names: int, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number < names, justify="left" if number < names else "right")
    return table


def _names(pair: dict[str, Any]) -> list[str]:
    return [pair[f"method_{side}"] + ("!" if pair[f"misses_{side}"] else "") for side in ("a", "b")]


def _tests(pairs: list[dict[str, Any]], title: str) -> Table:
    columns = (
        "a",
        "b",
        "finding",
        "difference",
        "95 % interval",
        "p (Holm)",
        "clips",
        "speakers",
        "sentences",
        "scope",
    )
    table = _table(title, 3, columns)
    for pair in pairs:
        low, high = pair["low"], pair["high"]
        table.add_row(
            *_names(pair),
            pair["finding"],
            _number(pair["difference"]),
            f"[{low:.3f}, {high:.3f}]" if pd.notna(low) else "",
            f"{pair['p_holm']:.4f}" if pd.notna(pair["p_holm"]) else pair["note"],
            f"{pair['n_clips']} of {pair['n_planned']}",
            str(pair["n_speakers"]),
            str(pair["n_sentences"] or "unknown"),
            pair["scope"],
        )
    return table


def _beside(pairs: list[dict[str, Any]]) -> Table:
    """Effect sizes, permutation, equivalence, power, and the spread between models."""
    columns = [
        "a", "b", "effect", "rank-biserial", "permutation p (least)", "equivalence p (margin)", "would show", "models",
    ]  # fmt: skip
    planned = any(pd.notna(pair["clips_needed"]) for pair in pairs)
    table = _table("beside the p-value", 2, (*columns, *(("clips, speakers needed",) if planned else ())))
    for pair in pairs:
        margin = f" ({pair['margin']:.2g})" if pd.notna(pair["margin"]) else ""
        models = f"{_number(pair['models_low'])} … {_number(pair['models_high'])} of {pair['n_models']}"
        needed = [f"{_count(pair['clips_needed'])}, {_count(pair['speakers_needed'])}"] if planned else []
        table.add_row(
            *_names(pair),
            _bounded(pair, "effect"),
            _bounded(pair, "rank_biserial"),
            f"{_number(pair['p_permutation'])} ({_number(pair['p_permutation_smallest'])})",
            _number(pair["p_equivalent"]) + margin,
            _number(pair["detectable"]),
            models + (", sign changes" if pair["sign_changes"] else ""),
            *needed,
        )
    return table


def _ranks(rows: pd.DataFrame) -> Table:
    table = _table(
        "ranks by the mean", 1, ("method", "rank", "95 % interval", "first in", "clips", "misses", "speakers")
    )
    for row in rows.sort_values(["rank", "method"], na_position="last").itertuples():
        interval = "" if pd.isna(row.rank_low) else f"[{row.rank_low:g}, {row.rank_high:g}]"
        first = "–" if pd.isna(row.first) else f"{row.first:.0%}"
        rank = "–" if pd.isna(row.rank) else f"{row.rank:g}"
        counts = (str(row.n_clips), str(row.n_misses), str(row.n_speakers))
        table.add_row(row.method, rank, interval, first, *counts)
    return table


def _groups(found: Comparison, facts: dict[str, Any], pairs: list[dict[str, Any]]) -> list[Table]:
    """Differences by emotion and by sex, and Kendall's W of the order of the methods."""
    tables = []
    of_cell = found.groups[_same(found.groups, facts)]
    for view, rows in of_cell.groupby("view", sort=False):
        names = sorted(rows["group"].unique())
        by_pair = {key: part.set_index("group") for key, part in rows.groupby(["method_a", "method_b"])}
        table = _table(f"differences by {view}", 2, ("a", "b", *names))
        for pair in pairs:
            a, b = pair["method_a"], pair["method_b"]
            sign = 1.0 if (a, b) in by_pair else -1.0
            part = by_pair.get((a, b), by_pair.get((b, a)))
            if part is not None and pd.notna(pair["difference"]):
                table.add_row(*_names(pair), *(_turned(part.loc[name], sign) for name in names))
        tables.append(table)
    same = found.agreement[_same(found.agreement, facts | {"fill": ""}) | _same(found.agreement, facts)]
    if len(same):
        table = _table("order of the methods (Kendall's W)", 2, ("over", "groups", "W", "random groups", "p", "clips"))
        for row in same.to_dict("records"):
            numbers = [_number(row[name]) for name in ("w", "w_random", "p")]
            table.add_row(f"{row['view']}s" if row["view"] != "sex" else "sexes", row["groups"], *numbers,
                          str(row["n_clips"]))  # fmt: skip
        tables.append(table)
    return tables


def _same(table: pd.DataFrame, facts: dict[str, Any]) -> pd.Series:
    """Rows of one cell."""
    wanted = pd.Series(facts)[CELL].fillna("")
    return (table[CELL].astype(object).fillna("") == wanted).all(axis=1)


def _turned(row: pd.Series, sign: float) -> str:
    low, high = sorted((sign * row["low"], sign * row["high"]))
    return f"{sign * row['difference']:+.3f}" + (f" [{low:.3f}, {high:.3f}]" if pd.notna(row["low"]) else "")


def _order(found: Comparison) -> Table:
    """Average ranks over cells, as a description."""
    order = found.order
    if order is None:
        raise InputError("compare: no order over fewer than two cells.")
    title = (
        f"average ranks over {order.n_cells} cells (Friedman chi2 {_number(order.chi2)}, p {_number(order.p)}; "
        f"critical difference {order.critical_difference:.2f}); cells share clips: a description, no test"
    )
    table = _table(title, 1, ("method", "average rank"))
    for rank, method in sorted(zip(order.ranks.tolist(), found.methods, strict=True)):
        table.add_row(method, f"{rank:.2f}")
    return table


def _bounded(pair: dict[str, Any], name: str) -> str:
    low, high = pair[f"{name}_low"], pair[f"{name}_high"]
    interval = f" [{low:.2f}, {high:.2f}]" if pd.notna(low) else ""
    return (f"{pair[name]:.2f}" if pd.notna(pair[name]) else "–") + interval


def _count(value: float) -> str:
    return "–" if pd.isna(value) else "∞" if value == float("inf") else f"{value:.0f}"


def print_gap(console: Console, pairs: pd.DataFrame) -> None:
    """Print paired scores, map similarity, and each method's noise and cost."""
    scored = Table(title="scores on the clips that both have", title_justify="left", box=None, header_style="bold")
    apart = Table(title="explanations of the same clips", title_justify="left", box=None, header_style="bold")
    bounds = ("rank_correlation", "rank_correlation_of_means", "slope", "slope_at_equal_shrinkage")
    heads = ("rank correlation", "of means", "slope a on b", "at equal shrinkage", "clips")
    for table, columns in ((scored, ("score of a", "score of b", "clips", "speakers")), (apart, heads)):
        for column in ("a", "b"):
            table.add_column(column, no_wrap=True)
        for column in columns:
            table.add_column(column, justify="right")
    scored.add_column("")
    alone = Table(title="each method", title_justify="left", box=None, header_style="bold")
    alone.add_column("method", no_wrap=True)
    estimates = {
        "noise": "noise",
        "at equal shrinkage": "noise_at_equal_shrinkage",
        "relative noise": "relative_noise",
        "repeats agree": "rank_correlation_of_repeats",
        "shrinkage": "shrinkage",
        "calls": "calls",
        "seconds": "seconds",
    }
    for column in ("clips", "repeats", *estimates):
        alone.add_column(column, justify="right")
    by_method: dict[str, list[str]] = {}
    for pair in pairs.to_dict("records"):
        planned, names = pair["n_planned"], [pair["method_a"], pair["method_b"]]
        means = [_estimate(pair, f"mean_{side}") for side in ("a", "b")]
        scored.add_row(*names, *means, f"{pair['n_clips']} of {planned}", str(pair["n_speakers"]), pair["note"])
        gaps = [_estimate(pair, name) for name in bounds]
        apart.add_row(*names, *gaps, f"{pair['n_explained']} of {planned}")
        for side, name in zip(("a", "b"), names, strict=True):
            counts = [f"{pair[f'n_explained_{side}']} of {planned}", str(pair[f"repeats_{side}"])]
            by_method.setdefault(name, counts + [_half_width(pair, f"{what}_{side}") for what in estimates.values()])
    for name, cells in by_method.items():
        alone.add_row(name, *cells)
    for table in (scored, apart, alone):
        console.print(table)


def _estimate(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _number(row[name]) + (f" [{_number(low)}, {_number(high)}]" if pd.notna(low) else "")


def _half_width(row: dict[str, Any], name: str) -> str:
    """Format an estimate with half its interval, short enough for seven columns."""
    half = row[f"{name}_high"] - row[name]
    return _number(row[name]) + (f" ±{half:.3f}" if half > 0 else " ±0" if half == 0 else "")


def _number(value: float) -> str:
    """Format with three decimals, counts with none."""
    if pd.isna(value):
        return "–"
    return f"{value:.0f}" if value >= 1 and float(value).is_integer() else f"{value:.3f}"
