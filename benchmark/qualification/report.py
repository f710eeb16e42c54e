"""Report of the qualification: tables, picture and page.

``qualification.csv`` holds every estimate with its interval, ``verdicts.csv`` one line a metric, ``qualified.csv`` the
same as data (the file that `metrics.qualified` reads), ``scopes.csv`` one line a metric and scope, ``heatmap.png`` and
``.svg`` the picture, with its numbers in ``heatmap.csv``, and ``qualification.html`` all of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table as RichTable
from rich.text import Text

from ...metrics.qualified import IN_SCOPE, NO, NO_CLAIM, NOT_TESTED, YES, Verdict, write_verdicts
from ...metrics.records import METRICS
from ..report.escape import csv_safe
from ..storage.files import write_atomically
from .estimates import AVERAGED, COLUMNS
from .heat_map import heat_map
from .notes import DETERMINISTIC, NO_SPREAD, SILENT
from .properties import PROPERTIES
from .verdicts import Judged, verdict_table, verdicts

READING = (
    "A metric qualifies in a scope if all requirements hold there jointly with a probability of .95 or more, by a "
    "bootstrap over voices and sentences: in the widest scope of its ladder (yes), or in a narrower one that was "
    "chosen on half of the voices and confirmed on the other half (in scope). Estimates are means over clips; higher "
    "is better. The value at chance differs by property: 0 for the correlations and seeds, .5 for oracle-vs-random, "
    "negated, rivals, real, resilience and reactivity, 1 over their number for fills (column chance). Deterministic: "
    "the two "
    "draws differ on no trial, so that seeds is 1 by construction. No spread: all clips have the same value, and the "
    "interval says nothing beyond their number. Silent: clips on which all scores are alike, counted as 0 where they "
    "would be undefined. Where the ladder is not truth, a pass says that the metric does what its formula says, not "
    "that it finds faithful explanations."
)
SIGNS = {YES: "✓", IN_SCOPE: "°", NO: "✗", NO_CLAIM: "?", NOT_TESTED: "–"}
NOTE_SIGNS = {DETERMINISTIC: "d", NO_SPREAD: "n", SILENT: "s"}  # in the terminal


def write_qualification(table: pd.DataFrame, info: Mapping[str, Any], out: str | Path) -> dict[str, Path]:
    """Write table, verdicts, picture and page.

    Parameters
    ----------
    table : DataFrame
        Of `estimates.estimate_properties`.
    info : dict
        Content of run.json.
    out : path
        Folder.

    Returns
    -------
    dict of str to Path
        ``csv verdicts qualified scopes json png html``.
    """
    out = Path(out)
    found = Judged(table)
    judged = found.verdicts
    files = {
        "csv": out / "qualification.csv", "verdicts": out / "verdicts.csv", "qualified": out / "qualified.csv",
        "scopes": out / "scopes.csv",
        "json": out / "qualification.json", "html": out / "qualification.html",
    }  # fmt: skip
    write_atomically(files["csv"], _csv(table[COLUMNS]))
    write_atomically(files["verdicts"], _csv(verdict_table(judged)))
    write_atomically(files["scopes"], _csv(found.scopes))
    write_atomically(files["qualified"], write_verdicts(judged))
    content = {"verdicts": _records(verdict_table(judged)), "scopes": _records(found.scopes),
               "properties": _records(table[COLUMNS]),
               "config": info.get("config"), "versions": info.get("versions"), "git": info.get("git")}  # fmt: skip
    write_atomically(files["json"], json.dumps(content, indent=1, default=str, allow_nan=False).encode())
    files["png"] = heat_map(table, judged, found.scopes, out / "heatmap.png")
    write_atomically(files["html"], _page(table, judged, info, files["png"].with_suffix(".svg")).encode())
    return files


def _csv(table: pd.DataFrame) -> bytes:
    return csv_safe(table).to_csv(index=False, float_format="%.4g", lineterminator="\n").encode()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def qualification_table(table: pd.DataFrame) -> RichTable:
    """Terminal table of the required properties: the lower end of each interval, and whether it suffices."""
    required = [p for p in PROPERTIES if p.threshold is not None]
    grid = RichTable(
        title="Lower end of the 95 % interval (red: the requirement holds with a probability below .95; in brackets: "
        "the estimate, where nothing is claimed). d deterministic, n no spread, s silent on some clips. Clips: fewest "
        "of a required property. Verdicts, joint: ✓ yes, ° in a narrower scope, ✗ no, ? no claim.",
        title_justify="left", title_style="dim", box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    grid.add_column("metric", vertical="bottom", no_wrap=True)
    grid.add_column("", no_wrap=True)
    grid.add_column("on", vertical="bottom", no_wrap=True)
    grid.add_column("clips", justify="right", vertical="bottom", no_wrap=True)
    for p in required:
        head = f"{p.name.replace('-vs-', chr(10) + 'vs ')}\n[dim]{'>' if p.above else '≥'} {p.threshold:g}[/]"
        grid.add_column(Text.from_markup(head), justify="right", vertical="bottom", no_wrap=True)
    grades = {verdict.metric: verdict.grade for verdict in verdicts(table)}
    cells = table.set_index(["metric", "recogniser", "property"])
    for metric, part in table[table["property"] != ""].groupby("metric", sort=False):
        for place, recogniser in enumerate(part["recogniser"].unique()):
            keys = [(metric, recogniser, p.name) for p in required]
            texts = [_terminal_cell(cells.loc[key]) if key in cells.index else "" for key in keys]
            required_rows = part[(part["recogniser"] == recogniser) & part["threshold"].notna()]
            counted = f"{required_rows['n_clips'].min()}/{required_rows['n_planned'].max()}"
            start = [str(metric), SIGNS[grades[str(metric)]]] if place == 0 else ["", ""]
            grid.add_row(*start, recogniser, counted, *map(Text.from_markup, texts))
    return grid


def _terminal_cell(row: pd.Series) -> str:
    codes = {note.code for note in row["notes"]}
    marks = "".join(sign for code, sign in NOTE_SIGNS.items() if code in codes)
    if row["passed"] == "no claim" or pd.isna(row["low"]):
        return "–" if pd.isna(row["estimate"]) else f"({row['estimate']:.2f}){marks}"
    return f"[red]{row['low']:.2f}[/]{marks}" if row["passed"] == "no" else f"{row['low']:.2f}{marks}"


def _page(table: pd.DataFrame, judged: Sequence[Verdict], info: Mapping[str, Any], svg: Path) -> str:
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode()
    lines = [
        [v.metric, v.grade, v.scope or "–", _number(v.probability, ".3f"), METRICS.get(v.metric).family,
         v.ladder or "–", " ".join(v.fills) or "–", str(v.n_clips), v.fails or "–", v.no_claim or "–"]
        for v in judged
    ]  # fmt: skip
    verdict_header = ["metric", "qualified", "scope", "probability", "family", "ladder", "fills", "clips",
                      "fails in the widest scope", "no claim, or not tested"]  # fmt: skip
    header = ["recogniser", "metric", "ladder", "property", "estimate", "95 %", "clips", "speakers", "chance",
              "threshold", "probability", "passed", "note"]  # fmt: skip
    numbers = [
        [row.recogniser, row.metric, row.ladder, row.property or "–", _number(row.estimate, ".3f"), _interval(row),
         f"{row.n_clips} of {row.n_planned}", str(row.n_speakers), _number(row.chance), _number(row.threshold),
         _number(row.probability, ".3f"), row.passed, row.note]
        for row in table.itertuples()
    ]  # fmt: skip
    meaning = [[p.name, _number(p.threshold), _number(p.chance), p.summary] for p in PROPERTIES]
    meaning.append([AVERAGED, "–", "0", "Spearman correlation of the score's mean over clips with the level"])
    config = json.dumps(info.get("config", {}), indent=1, sort_keys=True)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>serxai: qualification of metrics</title>'
        "<style>body{font:15px/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.15rem .7rem;text-align:left;"
        "border-bottom:1px solid #ddd}img{max-width:100%}</style>"
        f"<h1>Qualification of the metrics</h1><p>{escape(READING)}</p>"
        f'<img alt="Heat map of all estimates; the same numbers are in the tables below." src="{source}">'
        f"<h2>Verdicts</h2>{_html(verdict_header, lines)}"
        f"<h2>Properties</h2>{_html(['property', 'threshold', 'chance', 'what it is'], meaning)}<h2>Estimates</h2>"
        f"{_html(header, numbers)}<h2>Configuration</h2><pre>{escape(config)}</pre></html>\n"
    )


def _number(value: float | None, form: str = "g") -> str:
    return "–" if value is None or pd.isna(value) else f"{value:{form}}"


def _interval(row: Any) -> str:
    return "–" if pd.isna(row.low) else f"{row.low:.3f} … {row.high:.3f}"


def _html(header: list[str], lines: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
