"""``serxai compare``: tables of pairwise tests, of what stands beside the p-value, and of ranks.

Of more than `DETAILED` cells (corpus, recogniser, condition, fill) only the tests are printed, a line a method.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pandas as pd
from rich.console import Group
from rich.text import Text

from ...errors import InputError, UnknownNameError
from ...metrics.verdict import board_grade, labelled, mark_meaning
from ..analysis.bar import ENERGY, RANDOM
from ..analysis.leaderboard import SETTING
from ..analysis.merge import merged
from ..analysis.method_gap import method_gap
from ..analysis.pairs import NO_DIFFERENCE, Comparison, compare_methods, oriented
from ..analysis.recogniser_titles import recogniser_titles
from ..analysis.shown_names import is_chosen
from ..report.escape import csv_safe
from ..report.tables import setting_title
from ..stats.clustered import CELL
from ..storage.files import write_atomically, writing
from ..storage.store import Store
from .compare_short import against_baselines, p_cell
from .console import Console
from .fitted_table import fitted, width_of
from .results import print_notes

DETAILED = 2  # cells of which everything is printed
LISTED = 4  # pairs of one reason that are named
NARROW = "--corpus, --model, --condition and --fill"
LEGEND = (
    "Differences are a less b, positive is better; intervals 95 %, clustered as the scope says; p corrected by "
    f"Holm over the pairs of a table. '{NO_DIFFERENCE}' is no proof of equality: 'would show' says how large a "
    "difference would have had to be (80 % power, uncorrected). ! has misses, which count as the worst score. "
    "Intervals by emotion and sex are uncorrected. W: 1 where all groups give the same order of methods "
    "(baselines left out); random groups: its mean over groups of the same sizes without a meaning; p is small "
    "where the differences depend on it."
)


def compare(arguments: Namespace) -> int:
    """Test methods pairwise on one metric; with ``--method``, also compare their maps, noise and cost where stored."""
    stores = [Store(path) for path in arguments.runs]
    scores, _, notes = merged(stores, arguments.partial)
    print_notes(notes)
    scores = _chosen(scores[scores["metric"] == arguments.metric], arguments)
    methods = [name for name in sorted(scores["method"].unique()) if is_chosen(name, arguments.method)]
    methods.sort(key=lambda name: [is_chosen(name, [given]) for given in arguments.method], reverse=True)
    against = () if arguments.method or arguments.all_pairs else _baselines(scores)
    found = compare_methods(
        scores, arguments.metric, arguments.margin, arguments.difference, methods if arguments.method else (), against
    )
    gaps = pd.DataFrame()
    mapped = [store for store in stores if not store.is_record]
    if arguments.method and mapped:
        gaps = method_gap(stores, scores, arguments.metric, methods)
        gaps["metric_qualified"] = board_grade(arguments.metric)
    if arguments.method and len(mapped) < len(stores):
        of = "the runs" if not mapped else f"{len(stores) - len(mapped)} of {len(stores)} runs"
        print_notes([f"maps are not compared: {of} are records of results, which hold scores but no maps."])
    found.pairs["metric_qualified"] = board_grade(arguments.metric)
    told = found.pairs if gaps.empty else gaps
    if arguments.csv is not None:
        with writing(arguments.csv.parent, resumable=False):
            write_atomically(arguments.csv, csv_safe(told).to_csv(index=False, lineterminator="\n").encode())
    if arguments.json:
        print(json.dumps(json.loads(told.to_json(orient="records")), indent=2))
        return 0
    _print(found, gaps, arguments)
    return 0


def _chosen(scores: pd.DataFrame, arguments: Namespace) -> pd.DataFrame:
    """Rows of the corpora, recognisers, conditions and fills that were asked for; all where none is."""
    titles = recogniser_titles(scores.assign(corpus=""))
    for flag, names in {
        "corpus": [scores["corpus"]], "model": [titles, scores["model"]], "condition": [scores["condition"]],
        "fill": [scores["fill"]],
    }.items():  # fmt: skip
        wanted = getattr(arguments, flag)
        for one in wanted:
            if not any((column == one).any() for column in names):
                known = sorted(names[0].astype(str).unique())
                raise InputError(f"--{flag}: {UnknownNameError(f'{flag} of these scores', one, known)}")
        if wanted:
            kept = pd.concat([column.loc[scores.index].isin(wanted) for column in names], axis=1).any(axis=1)
            scores, titles = scores[kept], titles[kept]
    if scores.empty:
        raise InputError(f"compare: no score of {arguments.metric} is left; give fewer of {NARROW}.")
    return scores


def _baselines(scores: pd.DataFrame) -> list[str]:
    """Those of `random` and `energy` that were run; every pair is compared where neither was."""
    there = set(scores["method"].unique())
    return [name for name in (ENERGY, RANDOM) if name in there]


def _print(found: Comparison, gaps: pd.DataFrame, arguments: Namespace) -> None:
    console = Console()
    console.width = width_of(console)
    ranks = dict(list(found.ranks.groupby(CELL, dropna=False)))
    n_cells = found.pairs.groupby(CELL, dropna=False).ngroups
    short = n_cells > DETAILED and not arguments.all_pairs
    for cell, group in found.pairs.groupby(CELL, dropna=False, sort=False):
        facts = dict(zip(CELL, cell, strict=True))
        setting = setting_title({name: facts[name] for name in SETTING})
        under = ", ".join(filter(None, (facts["condition"], facts["fill"] and f"fill {facts['fill']}")))
        pairs = [oriented(pair, ahead=not pair["difference"] < 0) for pair in group.to_dict("records")]
        pairs.sort(key=lambda pair: -pair["difference"] if pd.notna(pair["difference"]) else 0.0)
        width = console.width
        title = f"{labelled(arguments.metric)}, {under}: {setting}"
        if not any(pair["n_clips"] for pair in pairs):
            console.print(f"{title}: no clip has a score by two methods", highlight=False, markup=False)
            continue
        if short and not arguments.method:
            console.print(against_baselines(pairs, ranks[cell], title, width), *_untested(pairs), sep="\n")
            continue
        console.print(_tests(pairs, title, width), *_untested(pairs), sep="\n")
        if short:
            continue
        console.print(_beside(pairs, width))
        console.print(_ranks(ranks[cell], width))
        console.print(*_groups(found, facts, pairs, width), sep="\n")
        if len(gaps):
            of_cell = gaps[(gaps[CELL].fillna("") == pd.Series(facts).fillna("")).all(axis=1)]
            print_gap(console, of_cell)
    if found.order is not None:
        console.print(_order(found, console.width))
    if short:
        told = (
            f"{n_cells} cells, in short. Effect sizes, equivalence, power, ranks with intervals, emotions and sexes: "
        )
        told += f"choose at most {DETAILED} cells by {NARROW}; or --all-pairs, --csv FILE, --json."
        console.print(told, highlight=False, markup=False)
    console.print(LEGEND, style="dim", highlight=False, markup=False)
    if meaning := mark_meaning(arguments.metric):
        console.print(f"{labelled(arguments.metric)} {meaning}", style="dim", highlight=False, markup=False)


def _names(pair: dict[str, Any]) -> list[str]:
    return [pair[f"method_{side}"] + ("!" if pair[f"misses_{side}"] else "") for side in ("a", "b")]


def _tests(pairs: list[dict[str, Any]], title: str, width: int) -> Group:
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
    rows = [
        (
            *_names(pair),
            pair["finding"],
            _number(pair["difference"]),
            _interval(pair["low"], pair["high"]),
            p_cell(pair),
            f"{pair['n_clips']} of {pair['n_planned']}",
            str(pair["n_speakers"]),
            str(pair["n_sentences"] or "unknown"),
            pair["scope"],
        )
        for pair in pairs
    ]
    return fitted(title, columns, rows, width, 3, ("sentences", "scope", "speakers", "clips"))


def _untested(pairs: list[dict[str, Any]]) -> list[Text]:
    """A line for each reason why pairs have no p, with the pairs where not all have it."""
    reasons: dict[str, list[str]] = {}
    for pair in pairs:
        if pd.isna(pair["p_holm"]) and pair["note"]:
            reasons.setdefault(pair["note"], []).append(" / ".join(_names(pair)))
    return [
        Text(f"no p: {note}" + (f" ({_listed(named)})" if len(named) < len(pairs) else ""), style="dim")
        for note, named in reasons.items()
    ]


def _listed(pairs: list[str]) -> str:
    return ", ".join(pairs[:LISTED]) + (f", {len(pairs) - LISTED} more pairs" if len(pairs) > LISTED else "")


def _beside(pairs: list[dict[str, Any]], width: int) -> Group:
    """Effect sizes, permutation, equivalence, power, and the spread between models."""
    planned = any(pd.notna(pair["clips_needed"]) for pair in pairs)
    columns = (
        "a", "b", "effect", "rank-biserial", "permutation p", "least", "equivalence p", "margin", "would show",
        "models", *(("clips, speakers needed",) if planned else ()),
    )  # fmt: skip
    rows = []
    for pair in pairs:
        several = f"{_number(pair['models_low'])} … {_number(pair['models_high'])} of " if pair["n_models"] > 1 else ""
        rows.append(
            (
                *_names(pair),
                _bounded(pair, "effect"),
                _bounded(pair, "rank_biserial"),
                _number(pair["p_permutation"]),
                f"({_number(pair['p_permutation_smallest'])})",
                _number(pair["p_equivalent"]),
                f"({pair['margin']:.2g})" if pd.notna(pair["margin"]) else "",
                _number(pair["detectable"]),
                f"{several}{pair['n_models']}" + (", sign changes" if pair["sign_changes"] else ""),
                *([f"{_count(pair['clips_needed'])}, {_count(pair['speakers_needed'])}"] if planned else []),
            )
        )
    gives_way = ("margin", "least", "models", "rank-biserial", "would show", "permutation p", "equivalence p")
    return fitted("beside the p-value", columns, rows, width, 2, gives_way)


def _ranks(rows: pd.DataFrame, width: int) -> Group:
    columns = ("method", "rank", "95 % interval", "first in", "clips", "misses", "speakers")
    told = [
        (
            row.method,
            "–" if pd.isna(row.rank) else f"{row.rank:g}",
            "" if pd.isna(row.rank_low) else f"[{row.rank_low:g}, {row.rank_high:g}]",
            "–" if pd.isna(row.first) else f"{row.first:.0%}",
            str(row.n_clips),
            str(row.n_misses),
            str(row.n_speakers),
        )
        for row in rows.sort_values(["rank", "method"], na_position="last").itertuples()
    ]
    return fitted("ranks by the mean", columns, told, width, 1, ("speakers", "clips", "misses"))


def _groups(found: Comparison, facts: dict[str, Any], pairs: list[dict[str, Any]], width: int) -> list[Group]:
    """Differences by emotion and by sex, and Kendall's W of the order of the methods."""
    tables = []
    of_cell = found.groups[_same(found.groups, facts)]
    for view, rows in of_cell.groupby("view", sort=False):
        names = sorted(rows["group"].unique())
        by_pair = {key: part.set_index("group") for key, part in rows.groupby(["method_a", "method_b"])}
        told = []
        for pair in pairs:
            a, b = pair["method_a"], pair["method_b"]
            sign = 1.0 if (a, b) in by_pair else -1.0
            part = by_pair.get((a, b), by_pair.get((b, a)))
            if part is not None and pd.notna(pair["difference"]):
                told.append((_names(pair), [_turned(part.loc[name], sign) for name in names]))
        one_line = sum(max((len(turned[i]) for _, turned in told), default=0) + 1 for i in range(len(names)))
        longest = [max((len(both[i]) for both, _ in told), default=0) + 1 for i in (0, 1)]
        if sum(longest) + one_line <= width:
            lines = [(*both, *turned) for both, turned in told]
            tables.append(fitted(f"differences by {view}", ("a", "b", *names), lines, width, 2))
        else:  # one line a pair and group
            lines = [(*both, name, turned[i]) for both, turned in told for i, name in enumerate(names)]
            tables.append(fitted(f"differences by {view}", ("a", "b", str(view), "difference"), lines, width, 3))
    same = found.agreement[_same(found.agreement, facts | {"fill": ""}) | _same(found.agreement, facts)]
    if len(same):
        columns = ("over", "groups", "W", "random groups", "p", "clips")
        agreeing = [
            (
                f"{row['view']}s" if row["view"] != "sex" else "sexes",
                row["groups"],
                *(_number(row[name]) for name in ("w", "w_random", "p")),
                str(row["n_clips"]),
            )
            for row in same.to_dict("records")
        ]
        tables.append(fitted("order of the methods (Kendall's W)", columns, agreeing, width, 2, ("clips",)))
    return tables


def _same(table: pd.DataFrame, facts: dict[str, Any]) -> pd.Series:
    """Rows of one cell."""
    wanted = pd.Series(facts)[CELL].fillna("")
    return (table[CELL].astype(object).fillna("") == wanted).all(axis=1)


def _turned(row: pd.Series, sign: float) -> str:
    low, high = sorted((sign * row["low"], sign * row["high"]))
    return f"{sign * row['difference']:+.3f}" + (f" [{low:.3f}, {high:.3f}]" if pd.notna(row["low"]) else "")


def _order(found: Comparison, width: int) -> Group:
    """Average ranks over cells, as a description."""
    order = found.order
    if order is None:
        raise InputError("compare: no order over fewer than two cells.")
    title = (
        f"average ranks over {order.n_cells} cells (Friedman chi2 {_number(order.chi2)}, p {_number(order.p)}; "
        f"critical difference {order.critical_difference:.2f}); cells share clips: a description, no test"
    )
    ranked = sorted(zip(order.ranks.tolist(), found.methods, strict=True))
    return fitted(title, ("method", "average rank"), [(method, f"{rank:.2f}") for rank, method in ranked], width)


def _interval(low: float, high: float) -> str:
    return f"[{low:.3f}, {high:.3f}]" if pd.notna(low) else ""


def _bounded(pair: dict[str, Any], name: str) -> str:
    low, high = pair[f"{name}_low"], pair[f"{name}_high"]
    interval = f" [{low:.2f}, {high:.2f}]" if pd.notna(low) else ""
    return (f"{pair[name]:.2f}" if pd.notna(pair[name]) else "–") + interval


def _count(value: float) -> str:
    return "–" if pd.isna(value) else "∞" if value == float("inf") else f"{value:.0f}"


def print_gap(console: Console, pairs: pd.DataFrame) -> None:
    """Print paired scores, map similarity, and each method's noise and cost."""
    bounds = ("rank_correlation", "rank_correlation_of_means", "slope", "slope_at_equal_shrinkage")
    estimates = {
        "noise": "noise",
        "at equal shrinkage": "noise_at_equal_shrinkage",
        "relative noise": "relative_noise",
        "repeats agree": "rank_correlation_of_repeats",
        "shrinkage": "shrinkage",
        "calls": "calls",
        "seconds": "seconds",
    }
    scored: list[tuple[str, ...]] = []
    apart: list[tuple[str, ...]] = []
    by_method: dict[str, list[str]] = {}
    for pair in pairs.to_dict("records"):
        planned, names = pair["n_planned"], [pair["method_a"], pair["method_b"]]
        means = [_estimate(pair, f"mean_{side}") for side in ("a", "b")]
        scored.append((*names, *means, f"{pair['n_clips']} of {planned}", str(pair["n_speakers"]), pair["note"]))
        gaps = [_estimate(pair, name) for name in bounds]
        apart.append((*names, *gaps, f"{pair['n_explained']} of {planned}"))
        for side, name in zip(("a", "b"), names, strict=True):
            counts = [f"{pair[f'n_explained_{side}']} of {planned}", str(pair[f"repeats_{side}"])]
            by_method.setdefault(name, counts + [_half_width(pair, f"{what}_{side}") for what in estimates.values()])
    alone = [(name, *cells) for name, cells in by_method.items()]
    width = console.width
    heads: tuple[str, ...] = ("a", "b", "score of a", "score of b", "clips", "speakers", "note")
    console.print(fitted("scores on the clips that both have", heads, scored, width, 2, ("note", "speakers", "clips")))
    heads = ("a", "b", "rank correlation", "of means", "slope a on b", "at equal shrinkage", "clips")
    gives_way: tuple[str, ...] = ("clips", "of means", "at equal shrinkage")
    console.print(fitted("explanations of the same clips", heads, apart, width, 2, gives_way))
    heads = ("method", "clips", "repeats", *estimates)
    gives_way = ("clips", "repeats", "seconds", "relative noise", "repeats agree", "shrinkage")
    console.print(fitted("each method", heads, alone, width, 1, gives_way))


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
