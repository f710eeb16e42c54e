"""The qualification as table, picture and page.

``qualification.csv`` holds every estimate with its interval, ``verdicts.csv`` one line a metric (the very file that
`metrics.qualified` reads), ``heatmap.png`` and ``.svg`` the picture, with its numbers in ``heatmap.csv``, and
``qualification.html`` all of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.patches import Rectangle
from rich.table import Table as RichTable

from ..metrics.records import METRICS
from .figures_board import INK, STYLE, footnote, new_figure, save, title
from .qualify_table import AVERAGED, PROPERTIES, verdicts, wide
from .store import write_atomically

READING = (
    "Each number is a mean over clips. Higher is better; 0 is no better than chance but for oracle-vs-random and real "
    "(.5). Boxed: a required property whose 95 % interval does not reach its threshold (monotone, seeds, real .9; "
    "oracle-vs-random above .9; fills .7). Empty: does not apply."
)
SIGNS = {"yes": "✓", "no": "✗", "no claim": "?", "not tested": "–"}


def write_qualification(table: pd.DataFrame, info: Mapping[str, Any], out: str | Path) -> dict[str, Path]:
    """Write table, verdicts, picture and page.

    Parameters
    ----------
    table : DataFrame
        Of `qualify_table.properties`.
    info : dict
        What run.json says.
    out : path
        Folder.

    Returns
    -------
    dict of str to Path
        ``csv verdicts json png html``.
    """
    out = Path(out)
    judged = verdicts(table)
    files = {
        "csv": out / "qualification.csv", "verdicts": out / "verdicts.csv", "json": out / "qualification.json",
        "html": out / "qualification.html",
    }  # fmt: skip
    write_atomically(files["csv"], _csv(table))
    write_atomically(files["verdicts"], _csv(judged))
    told = {"verdicts": _records(judged), "properties": _records(table), "config": info.get("config"),
            "versions": info.get("versions"), "git": info.get("git")}  # fmt: skip
    write_atomically(files["json"], json.dumps(told, indent=1, default=str, allow_nan=False).encode())
    files["png"] = heat_map(table, out / "heatmap.png")
    write_atomically(files["html"], _page(table, judged, info, files["png"].with_suffix(".svg")).encode())
    return files


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, float_format="%.4g", lineterminator="\n").encode()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def heat_map(table: pd.DataFrame, picture: str | Path) -> Path:
    """Metrics as rows, properties as columns, one block a recogniser; what fails is boxed.

    Parameters
    ----------
    table : DataFrame
        Of `qualify_table.properties`.
    picture : path

    Returns
    -------
    Path
        The PNG; the SVG and the numbers as CSV lie beside it.
    """
    shown = wide(table)
    recognisers = list(dict.fromkeys(shown.columns.get_level_values(0)))
    judged = verdicts(table).set_index("metric")["qualified"]
    failed = set(
        table.loc[table["passed"] == "no", ["recogniser", "metric", "property"]].itertuples(index=False, name=None)
    )
    with rc_context(STYLE):
        figure = new_figure(3.4 + 0.56 * shown.shape[1], 2.2 + 0.26 * len(shown))
        axes = figure.subplots(1, len(recognisers), sharey=True, squeeze=False).ravel()
        for ax, recogniser in zip(axes, recognisers, strict=True):
            block = shown[recogniser].dropna(axis=1, how="all")
            sns.heatmap(
                block, ax=ax, vmin=-1, vmax=1, cmap="vlag_r", annot=True, fmt=".2f", annot_kws={"size": 7.5},
                linewidths=0.5, linecolor="white", cbar=False,
            )  # fmt: skip
            for i, metric in enumerate(block.index):
                for j, name in enumerate(block.columns):
                    if (recogniser, metric, name) in failed:
                        ax.add_patch(Rectangle((j + 0.04, i + 0.06), 0.92, 0.88, fill=False, edgecolor=INK, lw=1.3))
            ax.set_title(f"on {recogniser}", loc="left", fontweight="bold")
            ax.set(xlabel="", ylabel="")
            ax.tick_params(axis="x", rotation=45)
            for label in ax.get_xticklabels():
                label.set_ha("right")
        labels = [f"{metric}  {SIGNS[judged[metric]]}" for metric in shown.index]
        axes[0].set_yticks(np.arange(len(labels)) + 0.5, labels, rotation=0)
        title(figure, "Which metrics put explanations of known worth in order?  ✓ qualified  ✗ not")
        footnote(figure, READING)
        numbers = shown.set_axis([f"{r}: {p}" for r, p in shown.columns], axis=1).reset_index()
        return save(figure, numbers, picture)


def qualification_table(table: pd.DataFrame) -> RichTable:
    """The required properties in 80 columns: the lower end of each interval, which decides."""
    required = [p for p in PROPERTIES if p.threshold is not None]
    grid = RichTable(
        title="Lower end of the 95 % interval (red: below its threshold; in brackets: the estimate, where nothing is "
        "claimed)", title_justify="left", title_style="dim", box=None, header_style="bold", pad_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    grid.add_column("metric", vertical="bottom", no_wrap=True)
    grid.add_column("", no_wrap=True)
    grid.add_column("on", vertical="bottom", no_wrap=True)
    for p in required:
        head = f"{p.name.replace('-vs-', chr(10) + 'vs ')}\n[dim]{'>' if p.above else '≥'} {p.threshold:g}[/]"
        grid.add_column(head, justify="right", vertical="bottom", no_wrap=True)
    judged = verdicts(table).set_index("metric")["qualified"]
    cells = table.set_index(["metric", "recogniser", "property"])
    for metric, part in table[table["property"] != ""].groupby("metric", sort=False):
        for place, recogniser in enumerate(part["recogniser"].unique()):
            keys = [(metric, recogniser, p.name) for p in required]
            texts = [_terminal_cell(cells.loc[key]) if key in cells.index else "" for key in keys]
            grid.add_row(*([str(metric), SIGNS[judged[metric]]] if place == 0 else ["", ""]), recogniser, *texts)
    return grid


def _terminal_cell(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return "–" if pd.isna(row["estimate"]) else f"({row['estimate']:.2f})"
    return f"[red]{row['low']:.2f}[/]" if row["passed"] == "no" else f"{row['low']:.2f}"


def _page(table: pd.DataFrame, judged: pd.DataFrame, info: Mapping[str, Any], svg: Path) -> str:
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode()
    lines = [
        [name, SIGNS[q], METRICS.get(name).family, fails or "–"]
        for name, q, fails in judged[["metric", "qualified", "fails"]].itertuples(index=False)
    ]
    header = ["recogniser", "metric", "property", "estimate", "95 %", "clips", "speakers", "threshold", "passed"]
    numbers = [
        [row.recogniser, row.metric, row.property, f"{row.estimate:.3f}", _interval(row),
         f"{row.n_clips} of {row.n_planned}", str(row.n_speakers),
         "" if pd.isna(row.threshold) else f"{row.threshold:g}", row.passed]
        for row in table[(table["property"] != "") & table["estimate"].notna()].itertuples()
    ]  # fmt: skip
    meaning = [[p.name, "" if p.threshold is None else f"{p.threshold:g}", p.summary] for p in PROPERTIES]
    meaning.append([AVERAGED, "", "Spearman correlation of the score's mean over clips with the share of truth"])
    config = json.dumps(info.get("config", {}), indent=1, sort_keys=True)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>serxai: qualification of metrics</title>'
        "<style>body{font:15px/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.15rem .7rem;text-align:left;"
        "border-bottom:1px solid #ddd}img{max-width:100%}</style>"
        f"<h1>Metrics on trial</h1><p>{escape(READING)}</p>"
        f'<img alt="Heat map of all estimates; the same numbers are in the tables below." src="{source}">'
        f"<h2>Verdicts</h2>{_html(['metric', '', 'family', 'fails (lower end)'], lines)}"
        f"<h2>Properties</h2>{_html(['property', 'threshold', 'what it is'], meaning)}<h2>Estimates</h2>"
        f"{_html(header, numbers)}<h2>Configuration</h2><pre>{escape(config)}</pre></html>\n"
    )


def _interval(row: Any) -> str:
    return "–" if pd.isna(row.low) else f"{row.low:.3f} … {row.high:.3f}"


def _html(header: list[str], lines: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
