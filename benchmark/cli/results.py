"""``serxai leaderboard``, ``figures`` and ``compare``: reports of finished runs."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

import pandas as pd
from rich.table import Table

from ...errors import UnknownNameError
from ...metrics.verdict import board_grade, labelled, mark_meaning
from ..analysis.leaderboard import SETTING
from ..analysis.merge import merge_runs
from ..analysis.method_gap import method_gap
from ..report.catalogue import draw_figure
from ..report.html import write_board
from ..report.tables import setting_title
from ..stats.clustered import CELL, compare_pairwise
from ..storage.files import refuse_links, writing
from ..storage.store import Store
from .console import Bars, Console

WIDTH = 120  # narrower tables would cut names and numbers short


def leaderboard(arguments: Namespace) -> int:
    """Write the leaderboard of one or several runs."""
    stores = [Store(path) for path in arguments.runs]
    _refuse_damage(stores, arguments.partial)
    scores, infos, notes = merge_runs(stores, arguments.partial)
    refuse_links(arguments.out, ["figures"])
    with writing(arguments.out, resumable=False):
        _, page = write_board(scores, infos, arguments.out, notes=notes)
    _print_notes(notes)
    Console().print(f"leaderboard: {page.resolve()}", highlight=False, soft_wrap=True)
    return 0


def _refuse_damage(stores: Iterable[Store], partial: bool) -> None:
    """Refuse runs with damaged files, unless incomplete ones are asked for: then their scores count as missing."""
    for store in stores:
        if not partial:
            store.refuse_damage()


def _print_notes(notes: Iterable[str]) -> None:
    """Print what the readers of merged runs must know, beside the result."""
    for note in notes:
        print(f"serxai: {note}", file=sys.stderr)


def figures(arguments: Namespace) -> int:
    """Draw one figure by name."""
    Store(arguments.run).refuse_damage()
    with Bars() as bars, writing(arguments.out, resumable=False):
        paths = draw_figure(arguments.name, Store(arguments.run), arguments.out, arguments.data_root, bars)
    for path in paths:
        Console().print(str(path), highlight=False, soft_wrap=True)
    return 0


def compare(arguments: Namespace) -> int:
    """Test methods pairwise on one metric; with ``--method``, also compare their maps, noise and cost."""
    stores = [Store(path) for path in arguments.runs]
    _refuse_damage(stores, arguments.partial)
    scores, _, notes = merge_runs(stores, arguments.partial)
    _print_notes(notes)
    if arguments.corpus is not None:
        known = sorted(scores["corpus"].unique())
        if arguments.corpus not in known:
            raise UnknownNameError("corpus of this run", arguments.corpus, known)
        scores = scores[scores["corpus"] == arguments.corpus]
    pairs = (
        method_gap(stores[0], scores, arguments.metric, arguments.method)
        if arguments.method
        else compare_pairwise(scores, arguments.metric)
    )
    pairs["metric_qualified"] = board_grade(arguments.metric)
    if arguments.json:
        print(json.dumps(json.loads(pairs.to_json(orient="records")), indent=2))
        return 0
    console = Console()
    console.width = max(console.width, WIDTH)
    for cell, group in pairs.groupby(CELL, dropna=False, sort=False):
        facts = dict(zip(CELL, cell, strict=True))
        setting = setting_title({name: facts[name] for name in SETTING})
        under = ", ".join(filter(None, (facts["condition"], facts["fill"] and f"fill {facts['fill']}")))
        title = f"{labelled(arguments.metric)}, {under}: {setting}"
        table = Table(title=title, title_justify="left", box=None, header_style="bold")
        for column in ("better", "worse"):
            table.add_column(column, no_wrap=True)
        for column in ("difference", "95 % interval", "p (Holm)", "effect", "clips", "speakers"):
            table.add_column(column, justify="right")
        for pair in group.sort_values("difference", key=abs, ascending=False).itertuples():
            ahead = pair.difference >= 0
            sign = 1 if ahead else -1
            low, high = sorted((sign * pair.low, sign * pair.high))
            table.add_row(
                pair.method_a if ahead else pair.method_b,
                pair.method_b if ahead else pair.method_a,
                f"{abs(pair.difference):.3f}",
                f"[{low:.3f}, {high:.3f}]" if pd.notna(low) else "",
                f"{pair.p_holm:.4f}" if pd.notna(pair.p_holm) else pair.note,
                f"{sign * pair.effect:.2f}" if pd.notna(pair.effect) else "",
                f"{pair.n_clips} of {pair.n_planned}",
                str(pair.n_speakers),
            )
        console.print(table)
        if arguments.method:
            _print_gap(console, group)
    if meaning := mark_meaning(arguments.metric):
        console.print(f"{labelled(arguments.metric)} {meaning}", style="dim", highlight=False, markup=False)
    return 0


def _print_gap(console: Console, pairs: pd.DataFrame) -> None:
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
