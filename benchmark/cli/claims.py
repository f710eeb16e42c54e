"""``serxai robustness`` and ``claims``: what explanations of several runs say together."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from rich.table import Table

from ...errors import InputError
from ...methods.records import METHODS
from ..analysis.axis_board import BAR_METRIC, passed_bar
from ..analysis.axis_rows import axis_tables
from ..analysis.claim_counts import verdict_counts
from ..analysis.claim_tables import decide, derive_and_join
from ..analysis.claims import Finding
from ..analysis.leaderboard import ordered
from ..analysis.merge import merged
from ..analysis.robustness import AXES, PAIR, against_energy, pooled
from ..analysis.salient_cues import Voices
from ..analysis.stored_maps import found_maps
from ..analysis.strength_curves import curve_areas, curve_points
from ..report.claim_text import LEGEND as LEGEND_CLAIMS
from ..report.claim_text import LIMITS, MEANING, finding_text, not_counted, of_claim, results_in_short
from ..report.escape import csv_safe
from ..report.tables import number
from ..stats.wording import p_text
from ..storage.files import write_atomically, writing
from ..storage.store import Store
from .console import Bars, Console
from .results import print_notes

WIDTH = 132  # narrower tables would cut names and numbers short
LEGEND = (
    "Score: (similarity - floor) / (ceiling - floor), means over clips whose predicted class is unchanged, [95 %] by a "
    "jackknife over speakers; floor: other clips of the class, ceiling: a repeat with another seed. p: contrast "
    "(similarity - floor) against `energy` on the same clips, Holm over methods. Ranked: methods that beat `random` "
    f"and `energy` on {BAR_METRIC}, where two or more do; a map that does not look at the recogniser is robust as well."
)


def robustness(arguments: Namespace) -> int:
    """Print similarity of explanations on four axes, and write the tables to ``--out``."""
    stores = [Store(path) for path in arguments.runs]
    scores, _, notes = merged(stores, arguments.partial)
    print_notes(notes)
    passed = passed_bar(scores)
    with Bars() as bars:
        found = found_maps(stores, arguments.method)
        rows = axis_tables(found, arguments.measure, arguments.axis or AXES, corpora=False, progress=bars).rows
    if rows.empty:
        raise InputError(
            "robustness: the runs hold no two explanations of one clip to compare. Score a shifted condition "
            "(`serxai run --condition clean --condition noise-10db`), repeat (`--repeats 2`), or give the runs of "
            "several recognisers, explained against the same fill (`--fill`)."
        )
    table = pooled(rows)
    tests = [against_energy(part, passed.get((corpus, model), ())) for (corpus, model), part in _by(rows)]
    tested = pd.concat([t for t in tests if len(t)] or tests[:1], ignore_index=True)
    told = {"low": "difference_low", "high": "difference_high"}
    table = table.merge(
        tested[[*PAIR, "difference", "low", "high", "p_holm", "ranked"]].rename(columns=told), "left", PAIR
    )
    table["ranked"] = table["ranked"].eq(True)
    areas = curve_areas(rows)
    if arguments.out is not None:
        with writing(arguments.out, resumable=False):
            _write(table, arguments.out / "robustness.csv")
            _write(rows, arguments.out / "robustness_clips.csv")
            _write(curve_points(table), arguments.out / "robustness_curves.csv")
            _write(areas, arguments.out / "robustness_areas.csv")
    if arguments.json:
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
        return 0
    console = Console()
    console.width = max(console.width, WIDTH)
    for (axis, corpus, model, other), part in table.groupby(PAIR[:4], sort=False):
        console.print(_robustness_table(part, f"{axis}: {corpus}, {model}" + (f" / {other}" if other else "")))
        for row in part[part["note"] != ""].to_dict("records"):
            console.print(f"{row['method']}: {row['note']}", style="dim", highlight=False, markup=False)
        if not part["ranked"].any():
            why = "fewer than two methods beat random and energy on it" if (corpus, model) in passed else "not scored"
            console.print(f"No ranking by the bar of {BAR_METRIC}: {why} here.", style="dim", highlight=False)
    for (corpus, model, curve), part in areas.groupby(["corpus", "model", "curve"], sort=False):
        console.print(_area_table(part, f"strengths of {curve}: {corpus}, {model}: {part['conditions'].iloc[0]}"))
    console.print(LEGEND, style="dim", highlight=False, markup=False)
    return 0


def _area_table(part: pd.DataFrame, title: str) -> Table:
    """Area under the score over the strengths of a shift, by method."""
    table = Table(title=title, title_justify="left")
    numbers = ("area [95 %]", "all clips", "similarity", "strengths", "clips", "speakers")
    for name in ("method", *numbers, ""):
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=name in ("method", *numbers))
    for row in part.sort_values("area", ascending=False, kind="stable", na_position="last").to_dict("records"):
        interval = f" [{number(row['low'])}, {number(row['high'])}]" if np.isfinite(row["low"]) else ""
        counts = (str(row[name]) for name in ("strengths", "n_clips", "n_speakers"))
        table.add_row(row["method"], f"{number(row['area'])}{interval}", number(row["all_area"]),
                      number(row["similarity_area"]), *counts, row["note"])  # fmt: skip
    return table


def _by(rows: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    return [((str(c), str(m)), part) for (c, m), part in rows.groupby(["corpus", "model"], sort=False)]


def _robustness_table(part: pd.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    numbers = ("score [95 %]", "similarity", "floor", "ceiling", "changed", "all clips", "clips", "p vs energy")
    for name in ("method", *numbers, "ranked"):
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=True)
    places = {name: i for i, name in enumerate(ordered(part["method"], METHODS.names()))}
    part = part.sort_values("method", key=lambda c: c.map(places))
    for row in part.sort_values("score", ascending=False, kind="stable", na_position="last").to_dict("records"):
        interval = f" [{number(row['low'])}, {number(row['high'])}]" if np.isfinite(row["low"]) else ""
        table.add_row(
            row["method"], f"{number(row['score'])}{interval}",
            *(number(row[c]) for c in ("similarity", "floor", "ceiling", "changed", "all_score")),
            str(row["n_clips"]), p_text(row["p_holm"]),
            "yes" if row["ranked"] else "",
        )  # fmt: skip
    return table


def claims(arguments: Namespace) -> int:
    """Decide the papers' claims, for every method of the runs."""
    stores = [Store(path) for path in arguments.runs]
    for store in stores:
        if not arguments.partial:
            store.refuse_damage()
    with Bars() as bars:
        tables = derive_and_join(stores, arguments.method, Voices(arguments.data_root), bars)
    found = decide(tables)
    table = pd.DataFrame([asdict(one) for one in found])
    if arguments.out is not None:
        with writing(arguments.out, resumable=False):
            _write(table, arguments.out / "claims.csv")
            _write(verdict_counts(found).reset_index(), arguments.out / "claims_summary.csv")
            _write(tables.bands, arguments.out / "bands.csv")
            _write(tables.cues, arguments.out / "salient_cues.csv")
    if arguments.json:
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
        return 0
    console = Console()
    console.width = max(console.width, WIDTH)
    for claim, meaning in MEANING.items():
        console.print(f"{claim}: {meaning}", style="bold", highlight=False, markup=False)
        for line in results_in_short(found, claim):
            _print_wrapped(console, line)
        if arguments.long:
            _print_findings(console, found, claim)
        _print_wrapped(console, LIMITS[claim], "dim")
    for line in not_counted(found):
        _print_wrapped(console, line, "dim")
    _print_wrapped(console, LEGEND_CLAIMS, "dim")
    if not arguments.long:
        where = f"{arguments.out / 'claims.csv'} has" if arguments.out is not None else "--long shows"
        console.print(f"{where} each of the {len(found)} findings.", style="dim", highlight=False, markup=False)
    return 0


def _print_findings(console: Console, found: Sequence[Finding], claim: str) -> None:
    for one in of_claim(found, claim):
        console.print(f"  {finding_text(one, claim)}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"    {one.note}", style="dim", highlight=False, markup=False, soft_wrap=True)


def _print_wrapped(console: Console, text: str, style: str = "") -> None:
    """Print a paragraph, its first line indented by two, the others by six."""
    wrapped = fill(text, console.width, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False)
    console.print(wrapped, style=style, highlight=False, markup=False, soft_wrap=True)


def _write(table: pd.DataFrame, path: Path) -> None:
    buffer = BytesIO()
    csv_safe(table).to_csv(buffer, index=False, lineterminator="\n")
    write_atomically(path, buffer.getvalue())
