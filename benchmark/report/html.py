"""Self-contained HTML pages: the report of runs and the page of one explained clip.

A page loads no external resource: style, script and figures are embedded. Data is escaped by the template engine. A
report holds no audio.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...cues.records import CUES
from ...datasets.shifts.conditions import CONDITIONS
from ...methods.caveats import UNSIGNED as UNSIGNED_MAP
from ...methods.records import METHODS
from ...metrics.records import METRICS
from ...metrics.verdict import board_grade, labelled, legend, mark_meaning, marks_note
from ...registry import Record, Registry
from ..analysis.abstention import CompletedCell
from ..analysis.axis_board import AXIS_LEGEND, axis_grid
from ..analysis.fill_spread import SpreadTable, by_fill, spread_tables
from ..analysis.group_views import group_views, views_of
from ..analysis.leaderboard import RANKING_RULE, SETTING, completed_cells, leaderboard, ordered
from ..analysis.plausibility import correctness_rows
from ..analysis.rank_agreement import agreement_of, rank_agreement
from ..analysis.references import AGAINST
from ..analysis.shown_names import plain_name
from ..stats.cluster_variance import MIN_SPEAKERS
from ..storage.files import write_atomically
from .conventions import LEGEND as CONVENTIONS_RULE
from .conventions import ConventionTable
from .escape import csv_safe
from .figures.board import consistency, localisation, ranking
from .figures.interactions import LEGEND as INTERACTIONS
from .figures.maps import colour_legend
from .figures.plausibility import page_tables
from .group_text import (
    AGREEMENT_LEGEND,
    VIEWS_LEGEND,
    agreement_grid,
    axes_markdown,
    groups_markdown,
    of_setting,
    view_tables,
)
from .leaks import leak_notes
from .origin import origin_facts, plain, recogniser_row, recognition, warnings
from .page.write import PageParts, Source, write_page
from .robustness import NOTHING, Robustness, ranked
from .run_facts import run_facts
from .tables import (
    ARROWS,
    BAR_RULE,
    CHANGED,
    CHANGED_RULE,
    MISMATCH,
    MISMATCH_RULE,
    UNSIGNED,
    UNSIGNED_RULE,
    Table,
    additivity_notes,
    below,
    mark,
    number,
    setting_title,
    tables,
    tests_note,
)
from .text import (
    DIFFERENCES,
    SPREAD_LEGEND,
    difference_cells,
    fill_grid,
    spread_grid,
    write_leaderboard,
)

PLAUSIBILITY = "plausibility.csv"
VIEWS_FILE = "groups.csv"
AGREEMENT_FILE = "agreement.csv"
TABLES = "tables.html"
DOWNLOADS = {
    TABLES: "every table, figure and definition",
    "leaderboard.csv": "all rows of the board",
    "leaderboard.parquet": "the same, with types",
    "leaderboard.tex": "tables for LaTeX",
    "leaderboard.md": "tables for Markdown",
    VIEWS_FILE: "each emotion and sex",
    AGREEMENT_FILE: "how alike the order of methods is over emotions, sexes and fills",
    "fills.csv": "means under each fill",
    "axes.csv": "robustness across shifts, recognisers, retrainings, seeds and corpora",
    PLAUSIBILITY: "cues of each emotion, method and source",
}


def write_board(
    scores: pd.DataFrame,
    infos: Sequence[Mapping[str, Any]],
    out: str | Path,
    plausibility: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    conventions: Sequence[ConventionTable] = (),
    robust: Robustness = NOTHING,
    source: Source | None = None,
    found: Sequence[CompletedCell] | None = None,
    pool: Executor | None = None,
    trainings: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, Path]:
    """Write the page ``index.html``, and its tables as files.

    The page has ``assets/`` beside it; all tables are in ``tables.html`` and as ``leaderboard.csv``, ``.md``, ``.tex``,
    ``.parquet``, figures under ``figures/``.
    ``groups.csv`` holds every metric per emotion and per sex, ``agreement.csv`` Kendall's W of the order of the methods
    over emotions, sexes and fills (both are in the Markdown, for core metrics, and in the page). Where several fills
    were used, ``fills.csv`` holds the mean under each of them, all emotions and each; with `plausibility`,
    ``plausibility.csv`` holds that.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs.
    infos : sequence of dict
        Content of each run's run.json.
    out : path
        Folder.
    plausibility : DataFrame, optional
        Of `plausibility_table`; default the rows computed from scores alone, `correctness_rows`.
    notes : sequence of str
        Warnings of the page, such as those of `merge_runs`.
    conventions : sequence of ConventionTable
        Of `conventions.read_conventions`: scores of the same maps under other conventions.
    robust : Robustness
        Robustness on the four axes, written to ``axes.csv``; default none.
    source : Source, optional
        Runs that the page takes explanations and sounds of single clips from; default none.
    found : sequence of CompletedCell, optional
        The score rows' `leaderboard.completed_cells`; computed where they are not given.
    pool : Executor, optional
        Processes that draw figures beside; default this one draws.
    trainings : DataFrame, optional
        Of `retrainings.recorded_trainings`, pairs of methods whose order changes are marked.

    Returns
    -------
    board : DataFrame
    page : Path
    """
    out = Path(out)
    fills = by_fill(scores)
    found = completed_cells(scores) if found is None else found
    board = leaderboard(scores, fills=fills, found=found, trainings=trainings)
    drawn = None if pool is None else pool.submit(draw_report_figures, board, out / "figures")
    views, agreement = views_of(found), agreement_of(found)
    robust = ranked(robust, scores, board)
    axes = robust.axes
    laid_out = list(tables(board))
    write_leaderboard(board, out, axes_markdown(axes) + groups_markdown(board, views, agreement), laid_out)
    named = {"fills.csv": fills, VIEWS_FILE: views, AGREEMENT_FILE: agreement, "axes.csv": axes}
    tables_beside = {name: table for name, table in named.items() if len(table)}
    if plausibility is not None:
        tables_beside[PLAUSIBILITY] = plausibility
    for name, table in tables_beside.items():
        text = csv_safe(table).to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_atomically(out / name, text.encode())
    buffer = io.BytesIO()
    board.to_parquet(buffer, index=False)
    write_atomically(out / "leaderboard.parquet", buffer.getvalue())
    cards = {name: card for info in infos for name, card in info.get("models", {}).items()}
    parts = PageParts(
        title=_title(scores, infos),
        summary=_summary(scores),
        notes=[*notes, *leak_notes(cards), *warnings(scores, board)],
        failures=_failures(scores),
        downloads=[(name, what) for name, what in DOWNLOADS.items() if name == TABLES or (out / name).is_file()],
        robust=robust,
    )
    page = write_page(out, page_environment(), scores, board, views, infos, parts, source, found)
    figures = draw_report_figures(board, out / "figures") if drawn is None else drawn.result()
    tables_page = report_page(
        scores, board, infos, figures, fills, plausibility, notes, views, conventions, agreement, axes, laid_out
    )
    write_atomically(out / TABLES, tables_page.encode())
    return board, page


def _title(scores: pd.DataFrame, infos: Sequence[Mapping[str, Any]]) -> str:
    corpora = ", ".join(sorted(scores["corpus"].unique())) or "no scores"
    models = sorted(scores["model"].astype(str).unique())
    board = f"Leaderboard of {len(infos)} runs" if len(infos) > 1 else "Run report"
    recognisers = f" with {models[0]}" if len(models) == 1 else f", {len(models)} recognisers" if models else ""
    return f"{board}: which explanation may I trust? {corpora}{recognisers}"


def _summary(scores: pd.DataFrame) -> str:
    return (
        f"{scores['method'].nunique()} methods, {scores['metric'].nunique()} metrics, "
        f"{scores[['corpus', 'clip']].drop_duplicates().shape[0]} clips by "
        f"{scores[['corpus', 'speaker']].drop_duplicates().shape[0]} speakers."
    )


def draw_report_figures(board: pd.DataFrame, folder: Path) -> list[dict[str, str]]:
    """Draw ranking and, where scored, consistency of each setting; return source, alt and caption of each figure."""
    figures = []
    for place, (names, part) in enumerate(board.groupby(SETTING, dropna=False, sort=False)):
        setting = setting_title(dict(zip(SETTING, names, strict=True)))
        pictures: list[tuple[Callable[..., Path], str, str]] = [
            (ranking, "ranking", "Mean score of each method with its 95 % interval, one panel per metric")
        ]
        if (part["family"] == "localisation").any():
            pictures.append((localisation, "localisation", "Localisation: mean of each method with its 95 % interval"))
        if (part["metric"] == "consistency").any():
            pictures.append((consistency, "consistency", "Consistency of explanations under noise, by method"))
        for draw, name, caption in pictures:
            file = f"{name}-{place + 1}.png" if place else f"{name}.png"
            path = draw(part, folder / file, kinds=("png", "svg")).with_suffix(".svg")
            source = "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
            text = f"{caption}: {setting}"
            figures.append({"source": source, "alt": f"{text}. The same numbers are in the tables.", "caption": text})
    return figures


def report_page(
    scores: pd.DataFrame,
    board: pd.DataFrame,
    infos: Sequence[Mapping[str, Any]],
    figures: Sequence[Mapping[str, str]] = (),
    fills: pd.DataFrame | None = None,
    plausibility: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    views: pd.DataFrame | None = None,
    conventions: Sequence[ConventionTable] = (),
    agreement: pd.DataFrame | None = None,
    axes: pd.DataFrame | None = None,
    laid_out: Sequence[Table] | None = None,
) -> str:
    """Render the report of runs as HTML.

    Parameters
    ----------
    scores : DataFrame
        Score rows.
    board : DataFrame
        Their `leaderboard`.
    infos : sequence of dict
        Content of each run's run.json.
    figures : sequence of dict
        With ``source`` (a data URI), ``alt`` and ``caption``.
    fills : DataFrame, optional
        Their `fill_spread.by_fill`; computed where it is not given.
    plausibility : DataFrame, optional
        See `write_board`.
    notes, conventions : sequence
        See `write_board`.
    views : DataFrame, optional
        Their `group_views.group_views`; computed where it is not given.
    agreement : DataFrame, optional
        Their `rank_agreement.rank_agreement`; computed where it is not given.
    axes : DataFrame, optional
        See `write_board`.
    laid_out : sequence of Table, optional
        The board's `tables.tables`; computed where they are not given.
    """
    views = group_views(scores) if views is None else views
    agreement = rank_agreement(scores) if agreement is None else agreement
    plausible = pd.DataFrame(correctness_rows(scores)) if plausibility is None else plausibility
    fills = by_fill(scores) if fills is None else fills
    corpora = {name: record for info in infos for name, record in info.get("corpora", {}).items()}
    models = {name: card for info in infos for name, card in info.get("models", {}).items()}
    names = ", ".join(sorted(scores["corpus"].unique())) or "no scores"
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            title=f"All tables: explanations of speech emotion recognition on {names}",
            summary=_summary(scores),
            corpora=[
                [n, c.get("version", "–"), c.get("licence", "–"), c.get("citation", "–")] for n, c in corpora.items()
            ],
            models=[recogniser_row(name, card) for name, card in models.items()],
            recognition=recognition(scores),
            facts=origin_facts(scores, infos),
            warnings=[*notes, *leak_notes(models), *warnings(scores, board)],
            rule=RANKING_RULE,
            marks=legend(),
            bar_rule=f"{BAR_RULE}. {tests_note(board)}".rstrip(". "),
            signs={"mismatch": MISMATCH, "unsigned": UNSIGNED, "changed": CHANGED},
            sign_rules=f"{MISMATCH_RULE}. {CHANGED_RULE}. {UNSIGNED_RULE}",
            differences=["method", "metric", *DIFFERENCES, "note"],
            min_speakers=MIN_SPEAKERS,
            arrows=ARROWS,
            settings=_settings(board, fills, views, agreement, laid_out),
            views_rule=VIEWS_LEGEND,
            agreement_rule=AGREEMENT_LEGEND,
            axes=axis_grid(axes) if axes is not None and len(axes) else [],
            axes_rule=AXIS_LEGEND,
            conventions=conventions,
            conventions_rule=CONVENTIONS_RULE,
            spread_rule=SPREAD_LEGEND,
            figures=figures,
            plausibility=[] if plausible.empty else page_tables(plausible),
            plausibility_file=PLAUSIBILITY if plausibility is not None else "",
            failures=_failures(scores),
            metrics=[
                [*row, board_grade(row[0])]
                for row in _records(
                    METRICS, scores["metric"], "family direction summary citation perfect random cost version"
                )
            ],
            methods=_records(METHODS, scores["method"], "family needs summary citation cost resolution version"),
            conditions=_records(CONDITIONS, scores["condition"], "summary version"),
            runs=[run_facts(info) for info in infos],
        )
    )


def explanation_page(
    summary: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    sounds: Mapping[str, tuple[str, str, str]],
    cue_pictures: Mapping[str, bytes] | None = None,
    channel_pictures: Mapping[str, bytes] | None = None,
    interaction_pictures: Mapping[str, bytes] | None = None,
) -> str:
    """Render the page of one explained file as HTML.

    Parameters
    ----------
    summary : dict
        Of `cli.explain.as_json`.
    pictures : dict of str to bytes
        By method, PNG of its explanation.
    sounds : dict of str to (str, str, str)
        By method, file names beside the page: the recording, the kept and the removed part, at one level.
    cue_pictures : dict of str to bytes, optional
        By method, PNG of its cues.
    channel_pictures : dict of str to bytes, optional
        By method, PNG of its conditional maps.
    interaction_pictures : dict of str to bytes, optional
        By method, PNG of its interactions.
    """
    kinds = [[caveat["kind"] for caveat in found.get("caveats", ())] for found in summary["explanations"].values()]
    return (
        page_environment()
        .get_template("explanation.html.j2")
        .render(
            e=summary,
            ranked=sorted(summary["probabilities"].items(), key=lambda item: -item[1])
            or list(summary["outputs"].items()),
            pictures={name: _as_uri(png) for name, png in pictures.items()},
            cue_pictures={name: _as_uri(png) for name, png in (cue_pictures or {}).items()},
            channel_pictures={name: _as_uri(png) for name, png in (channel_pictures or {}).items()},
            interaction_pictures={name: _as_uri(png) for name, png in (interaction_pictures or {}).items()},
            interactions_legend=INTERACTIONS,
            legend=colour_legend(
                (UNSIGNED_MAP in of_map for of_map in kinds), summary["target"], bool(summary.get("outputs"))
            ),
            sounds={name: sounds.get(name) for name in summary["explanations"]},
        )
    )


def _as_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def page_environment() -> Environment:
    """Environment of the page templates: everything escaped, nothing undefined."""
    environment = Environment(
        loader=PackageLoader("serxai.benchmark.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["number"] = number
    environment.filters["plain"] = plain
    environment.filters["labelled"] = labelled
    environment.filters["mark_meaning"] = mark_meaning
    environment.filters["cue_label"] = lambda name: CUES.get(name).label
    return environment


# -- rankings ----------------------------------------------------------------------------------------------------------


def _settings(
    board: pd.DataFrame,
    fills: pd.DataFrame,
    views: pd.DataFrame,
    agreement: pd.DataFrame,
    laid_out: Sequence[Table] | None = None,
) -> list[dict[str, Any]]:
    by_setting = groupby(tables(board) if laid_out is None else laid_out, key=lambda table: table.setting)
    spreads = list(spread_tables(board, SETTING))
    return [
        {
            "title": setting_title(setting),
            "notes": additivity_notes(board, setting),
            "tables": [_table(t) for t in members],
            "spreads": [_spread(t, fills) for t in spreads if t.setting == setting],
            "views": [
                {"title": title, "header": header, "lines": lines}
                for title, (header, *lines) in view_tables(views, setting)
            ],
            "agreement": agreement_grid(of_setting(agreement, setting)) if len(of_setting(agreement, setting)) else [],
        }
        for setting, members in by_setting
    ]


def _spread(table: SpreadTable, fills: pd.DataFrame) -> dict[str, Any]:
    identity = pd.Series(table.setting | {"condition": table.condition, "family": table.family})
    part = fills[(fills[identity.index] == identity).all(axis=1)]
    header, *lines = spread_grid(table)
    by_header, *by_lines = fill_grid(part)
    return {"title": table.title, "header": header, "lines": lines, "by_header": by_header, "by_lines": by_lines}


def _table(table: Table) -> dict[str, Any]:
    lines = [
        {
            "method": line.method,
            "baseline": line.baseline,
            "unsigned": line.unsigned,
            "rank": line.rank,
            "cells": [_cell(line.cells.get(name)) for name in table.metrics],
            "clips": line.clips,
            "coverage": line.coverage,
            "calls": _or_none(line.calls),
        }
        for line in table.lines
    ]
    tests = [
        [line.method, labelled(name), *difference_cells(line.cells[name]), line.cells[name]["note"]]
        for name in table.metrics
        for line in table.lines
        if name in line.cells and pd.notna(line.cells[name][["difference", "diff_energy"]]).any()
    ]
    notes = [note for note in (marks_note(table.metrics), below(table)) if note]
    metrics = list(table.metrics.items())
    return {"title": table.title, "metrics": metrics, "marked": notes, "lines": lines, "tests": tests}


def _cell(row: pd.Series | None) -> dict[str, Any] | None:
    if row is None:
        return None
    numbers = {name: _or_none(row[name]) for name in ("mean", "low", "high")}
    against = str(row[AGAINST]) if row["mismatch"] else ""
    told = {"mark": mark(row), "group": row["group"], "misses": int(row["n_misses"]), "against": against}
    return numbers | told | {"changes": str(row["retraining_changes"])}


def _or_none(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


# -- failures, definitions ---------------------------------------------------------------------------------------


def _failures(scores: pd.DataFrame) -> list[list[str]]:
    unscored = scores[scores["status"] != "ok"]
    rows = []
    for (status, reason), part in unscored.groupby(["status", "reason"], dropna=False, sort=True):
        methods, metrics = (", ".join(sorted(part[name].unique())) for name in ("method", "metric"))
        rows.append((len(part), [status, str(len(part)), reason, methods, metrics]))
    return [row for _, row in sorted(rows, key=lambda item: (item[1][0], -item[0], item[1][2]))]


def _records(registry: Registry, used: Iterable[str], fields: str) -> list[list[str]]:
    rows = []
    for name in ordered(used, registry.names()):
        known = plain_name(name)
        record: Record | None = registry.get(known) if known in registry else None
        rows.append([name, *(plain(getattr(record, field, None)) for field in fields.split())])
    return rows
