"""Leaderboard as CSV, Markdown, LaTeX and terminal table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from ...methods.records import baselines
from ...metrics.records import METRICS
from ...metrics.verdict import labelled, legend, marks_note
from ..analysis.axis_board import BAR_METRIC
from ..analysis.fill_spread import SpreadTable, spread_tables
from ..analysis.leaderboard import RANKING_RULE, SETTING, ordered
from ..stats.clustered import MIN_SPEAKERS, NO_COMMON_CLIP
from ..stats.wording import p_text
from ..storage.files import write_atomically
from .escape import csv_safe, markdown_text, one_line
from .short import SHORT_NOTE, in_short, is_large
from .tables import (
    ARROWS,
    BAR_RULE,
    MARKS,
    MISMATCH_RULE,
    RECOGNISER,
    UNSIGNED,
    UNSIGNED_RULE,
    Table,
    additivity_notes,
    below,
    calls_metrics,
    flags,
    mark,
    number,
    setting_title,
    tables,
    tests_note,
)


def write_leaderboard(
    board: pd.DataFrame, out: str | Path, appendix: str = "", laid_out: Sequence[Table] | None = None
) -> dict[str, Path]:
    """Write ``leaderboard.csv``, ``.md`` and ``.tex``, deterministically.

    Of a large board (`short.is_large`) Markdown and LaTeX hold `short.in_short`, and say so; the CSV holds all.

    Parameters
    ----------
    board : DataFrame
    out : path
        Folder.
    appendix : str
        End of the Markdown; left out of a large board's.
    laid_out : sequence of Table, optional
        The board's `tables.tables`; computed where they are not given.

    Returns
    -------
    dict of str to Path
        By suffix.
    """
    out = Path(out)
    csv = csv_safe(board).to_csv(index=False, float_format="%.10g", lineterminator="\n")
    note = ""
    if is_large(board):
        board, laid_out, appendix, note = in_short(board), None, "", SHORT_NOTE
    laid_out = list(tables(board)) if laid_out is None else laid_out
    files = {}
    for suffix, text in (
        ("csv", csv),
        ("md", as_markdown(board, laid_out, note) + appendix),
        ("tex", as_latex(board, laid_out, note)),
    ):
        files[suffix] = out / f"leaderboard.{suffix}"
        write_atomically(files[suffix], text.encode())
    return files


def mean_text(row: pd.Series | Mapping[Any, Any]) -> str:
    """Format ``mean`` with its interval, where there is one."""
    interval = "" if pd.isna(row["low"]) else f" [{number(row['low'])}, {number(row['high'])}]"
    return f"{number(row['mean'])}{interval}"


def _with_interval(row: pd.Series | None) -> str:
    if row is None or pd.isna(row["mean"]):
        return "–"
    return f"{mean_text(row)}{flags(row)}{mark(row)}{' ' + row['group'] if row['group'] else ''}"


def _grid(table: Table) -> list[list[str]]:
    """Header and lines of a table as text."""
    metrics = [f"{labelled(name)} {ARROWS[direction]}" for name, direction in table.metrics.items()]
    lines = [
        [
            "–" if line.rank is None else str(line.rank),
            line.method + UNSIGNED * line.unsigned + (" (baseline)" if line.baseline else ""),
            *(_with_interval(line.cells.get(name)) for name in table.metrics),
            line.clips,
            f"{line.coverage:.0%}",
        ]
        for line in table.lines
    ]
    return [["rank", "method", *metrics, "clips", "coverage"], *lines]


def difference_grid(table: Table, metrics: Collection[str] | None = None) -> list[list[str]]:
    """Header and lines of the differences to both baselines in some metrics, default all; positive is better."""
    lines = []
    for name in table.metrics if metrics is None else [name for name in table.metrics if name in metrics]:
        for line in table.lines:
            row = line.cells.get(name)
            if row is not None and (pd.notna(row["difference"]) or pd.notna(row["diff_energy"])):
                lines.append([line.method, labelled(name), *difference_cells(row)])
    return [["method", "metric", *DIFFERENCES], *lines]


_TO_BASELINES = ("difference", "diff_energy")
_TERMINAL_METRICS = 2  # of which the differences to both baselines fit into 80 columns
DIFFERENCES = (
    "less random", "p (Holm)", "less energy", "p of the bar", "in its setting", "better", "effect", "clips won",
    "clips", "misses", "speakers", "sentences", "scope", "sign changes between models",
)  # fmt: skip


def difference_cells(row: pd.Series) -> list[str]:
    """Texts of the columns `DIFFERENCES` of a board row."""
    random, energy = (signed_text(*(row[name + end] for end in ("", "_low", "_high"))) for name in _TO_BASELINES)
    clips = "–" if pd.isna(row["difference_clips"]) else f"{row['difference_clips']} of {row['difference_planned']}"
    won = "–" if pd.isna(row["superiority"]) else f"{row['superiority']:.0%}"
    return [
        random, p_text(row["p_holm"]), energy, p_text(row["p_bar"]), p_text(row["p_setting"]), row["passes_bar"] or "–",
        number(row["effect"]), won, clips, str(row["n_misses"]), str(row["n_speakers"]),
        str(row["n_sentences"] or "unknown"), row["scope"], row["sign_changes"] or "–",
    ]  # fmt: skip


def signed_text(value: float, low: float, high: float) -> str:
    """Format a difference with its sign and, where there is one, its interval."""
    if pd.isna(value):
        return "–"
    return f"{value:+.3g}" + ("" if pd.isna(low) else f" [{number(low)}, {number(high)}]")


def spread_grid(table: SpreadTable) -> list[list[str]]:
    """Header and lines of a spread table as text: least and largest mean over fills, and the clips that entered."""
    metrics = [f"{labelled(name)} {ARROWS[direction]}" for name, direction in table.metrics.items()]
    lines = []
    for method, cells in table.lines.items():
        rows = [cells.get(name) for name in table.metrics]
        # both counts are clips; the board's n_planned counts each repeat
        clips = [f"{row['fill_clips']} of {row['fill_planned']}" for row in rows if row is not None]
        lines.append([method, *map(_range, rows), min(clips, key=lambda text: int(text.split()[0]))])
    return [["method", *metrics, "clips"], *lines]


def _range(row: pd.Series | None) -> str:
    return "–" if row is None else _between(row["fill_low"], row["fill_high"])


def _between(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{number(low)} … {number(high)}"


def fill_grid(table: pd.DataFrame) -> list[list[str]]:
    """Header and lines of one family's means under each fill, all emotions and each, as text.

    Parameters
    ----------
    table : DataFrame
        Rows of `fill_spread.by_fill` for one setting, condition and family.
    """
    fills = sorted(table["fill"].unique())
    lines = []
    for (metric, method, emotion), rows in table.groupby(["metric", "method", "emotion"], sort=False):
        of_fill = rows.set_index("fill")
        means = [mean_text(of_fill.loc[fill]) for fill in fills]
        clips = rows.iloc[0]
        counted = f"{clips['n_clips']} of {clips['n_planned']}"
        between = _between(rows["mean"].min(), rows["mean"].max())
        lines.append([str(method), labelled(str(metric)), str(emotion), *means, between, counted])
    return [["method", "metric", "emotion", *fills, "least … largest", "clips"], *lines]


_LEGEND = (
    f"{RANKING_RULE} Cells: mean, 95 % interval (speakers and, where known, sentences as clusters; none below "
    f"{MIN_SPEAKERS} speakers), ! misses count as the worst score, {BAR_RULE}. Letters: methods that share one are not "
    "distinguishable. Clips: those that a mean rests on; coverage: scores / planned, the lowest over the family's "
    f"metrics. {MISMATCH_RULE}. {UNSIGNED_RULE}. – no score. "
    f"{legend()}."
)
SPREAD_LEGEND = (
    "Least … largest mean over fills, on the clips that were scored under all of them (the fewest over the metrics, of "
    "those planned): how far a score depends on what replaces the removed cells. Intervals of each mean, and emotions "
    "apart: fills.csv."
)


def as_markdown(board: pd.DataFrame, laid_out: Sequence[Table] | None = None, short: str = "") -> str:
    """All rankings as Markdown tables, then the spread over fills where there are several.

    Parameters
    ----------
    board : DataFrame
    laid_out : sequence of Table, optional
        The board's `tables.tables`; computed where they are not given.
    short : str
        What is left out; then no spread over fills is written, and differences to the baselines in the bar's metric
        alone.
    """
    parts = ["# Leaderboard", *filter(None, [short, _LEGEND, tests_note(board)])]
    setting = None
    for table in tables(board) if laid_out is None else laid_out:
        if table.setting != setting:
            setting = table.setting
            parts.append(f"## {markdown_text(setting_title(setting))}")
            parts += map(markdown_text, additivity_notes(board, setting))
        parts.append(f"### {markdown_text(table.title)}\n\n{markdown_table(_grid(table), texts=2)}")
        parts += [markdown_text(note) for note in (marks_note(table.metrics), below(table)) if note]
        differences = difference_grid(table, (BAR_METRIC,) if short else None)
        if len(differences) > 1:
            title = f"Differences to random and energy, positive is better: {table.title}"
            parts.append(f"{markdown_text(title)}\n\n{markdown_table(differences, texts=1)}")
    spreads = [] if short else list(spread_tables(board, SETTING))
    parts += ["## Spread over fills", SPREAD_LEGEND] if spreads else []
    for over in spreads:
        title = f"{setting_title(over.setting)}; {over.title}; fills {', '.join(over.fills)}"
        parts.append(f"### {markdown_text(title)}\n\n{markdown_table(spread_grid(over), texts=1)}")
    return "\n\n".join(parts) + "\n"


def markdown_table(grid: list[list[str]], texts: int) -> str:
    """Markdown table; the last of the first `texts` columns is left-aligned, all others hold numbers."""
    header, *lines = [list(map(markdown_text, row)) for row in grid]
    rule = [*["--:"] * (texts - 1), ":--", *["--:"] * (len(header) - texts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *lines))


_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "▲": r"$^{\blacktriangle}$", "▼": r"$^{\blacktriangledown}$", "–": "--",
    "≠": r"$\neq$", "⁺": r"$^{+}$", "†": r"$^{\dagger}$", "°": r"$^{\circ}$", "‡": r"$^{\ddagger}$", "…": r"\ldots{}",
}  # fmt: skip


def as_latex(board: pd.DataFrame, laid_out: Sequence[Table] | None = None, short: str = "") -> str:
    """All rankings, and the spread over fills where there are several, as LaTeX tables (needs booktabs and amssymb).

    Parameters
    ----------
    board, laid_out, short
        As of `as_markdown`.
    """
    parts = [
        "% needs \\usepackage{booktabs,amssymb}",
        *(f"% {text}" for text in (short, _LEGEND, tests_note(board)) if text),
    ]
    setting = None
    for table in tables(board) if laid_out is None else laid_out:
        if table.setting != setting:
            setting = table.setting
            parts += [_tex(f"{setting_title(setting)}: {note}.") for note in additivity_notes(board, setting)]
        note = "; ".join(filter(None, (marks_note(table.metrics), below(table))))
        caption = f"{table.title}: {setting_title(table.setting)}" + (f". {note}" if note else "")
        parts.append(_latex_table(caption, _grid(table), texts=2))
        differences = difference_grid(table, (BAR_METRIC,) if short else None)
        if len(differences) > 1:
            caption = f"Differences to random and energy, positive is better: {caption}"
            parts.append(_latex_table(caption, differences, texts=1))
    spreads = [] if short else list(spread_tables(board, SETTING))
    parts += [f"% {SPREAD_LEGEND}"] if spreads else []
    for over in spreads:
        caption = f"{over.title} {', '.join(over.fills)}: {setting_title(over.setting)}"
        parts.append(_latex_table(caption, spread_grid(over), texts=1))
    return "\n\n".join(parts) + "\n"


def _latex_table(caption: str, grid: list[list[str]], texts: int) -> str:
    header, *lines = [" & ".join(map(_tex, row)) + r" \\" for row in grid]
    body = "\n".join([r"\toprule", header, r"\midrule", *lines, r"\bottomrule"])
    columns = "r" * (texts - 1) + "l" + "r" * (len(grid[0]) - texts)
    return (
        f"\\begin{{table}}\n\\caption{{{_tex(caption)}}}\n\\begin{{tabular}}{{{columns}}}\n{body}\n"
        "\\end{tabular}\n\\end{table}"
    )


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in one_line(text))


def terminal_table(
    board: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    fills: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> Group:
    """Headline metrics of a board in 80 columns, one table per setting; the report holds all metrics.

    A metric is shown under ``clean``, or under its first condition where it is defined only for shifted clips. Its
    heading names the condition and gives the largest number of scores of any method, of those planned (a clip has one
    per repeat); methods with fewer are listed below. Of several fills the run's first is shown, and below it the range
    of the means over all of them.

    Parameters
    ----------
    board : DataFrame
    metrics : sequence of str, optional
        Default: those whose record says ``headline``, or all metrics where the board holds none of them.
    fills : dict of str to dict of str to sequence of str, optional
        Fills by corpus and model in the run's order, as in its run.json; default the board's order.

    Returns
    -------
    rich.console.Group
    """
    headline = [record.name for record in METRICS if record.headline]
    counts_calls = set(calls_metrics())
    baseline = set(baselines())
    unsigned = set(board.loc[board["signed"] == "no", "method"])
    wanted = [m for m in metrics or headline if m in set(board["metric"])] or list(dict.fromkeys(board["metric"]))
    shown = board[board["metric"].isin(wanted)]
    # a metric that scored nothing here, or a method that was never scored (told below), would only take room
    scored = shown["n_ok"] > 0
    never = list(_never_scored(shown))
    shown = shown[shown["metric"].isin(shown.loc[scored, "metric"]) & shown["method"].isin(shown.loc[scored, "method"])]
    shown = shown[shown["condition"] == shown.groupby("metric")["condition"].transform(_plainest)]
    shown = _of_first_fill(shown, fills or {})
    parts: list[Any] = []
    for names, part in shown.groupby([s for s in SETTING if s != "target_rule"], dropna=False, sort=False):
        setting = dict(zip((s for s in SETTING if s != "target_rule"), names, strict=True))
        grid = RichTable(
            title=Text(setting_title(setting), style="bold"),
            title_justify="left",
            title_style="bold",
            box=None,
            header_style="bold",
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        grid.add_column("method", vertical="bottom", no_wrap=True)
        columns = list(part.groupby(["metric", "condition", "fill", "target_rule"], dropna=False, sort=False))
        columns.sort(key=lambda column: wanted.index(column[0][0]))
        for (metric, condition, fill, target), rows in columns:
            where = [str(condition)] + [f"fill {fill}"] * bool(fill)
            where += [f"{target} class" if target == "true" else target] * (target != "predicted")
            most = _most_covered(rows)
            where += [f"{most['n_ok']} of {most['n_planned']}"]
            title = "calls" if metric in counts_calls else labelled(metric).replace("-", "-\n")
            better = f"{ARROWS[rows['direction'].iloc[0]]} better"
            better = "described" if rows["family"].iloc[0] == RECOGNISER else better
            head = "\n".join([title, f"[dim]{better}", *map(escape, where)]) + "[/]"
            grid.add_column(Text.from_markup(head), justify="right", vertical="bottom", no_wrap=True)
        first = columns[0][1].sort_values(["rank", "method"], na_position="last")["method"].tolist()
        cells_by = [rows.set_index("method") for _, rows in columns]
        for method in ordered(part["method"], first):
            cells = [rows.loc[method] if method in rows.index else None for rows in cells_by]
            name = f"[italic]{escape(method)}[/]*" if method in baseline else escape(method)
            name += UNSIGNED if method in unsigned else ""
            grid.add_row(*map(Text.from_markup, (name, *(_terminal_cell(row, counts_calls) for row in cells))))
        parts += [grid, *_fewer_clips(columns), *_terminal_differences(columns, first), *_terminal_spread(part, first)]
        parts += [Text(note, style="dim") for note in additivity_notes(board, setting)]
        parts.append(Text())
    named = [metric for metric in wanted if metric in set(shown["metric"])]
    rules = "; ".join(filter(None, (MARKS, legend(named))))
    notes = [Text(note, style="dim") for note in (marks_note(named), tests_note(board)) if note]
    return Group(*parts, *never, Text(rules, style="dim"), *notes)


def _never_scored(shown: pd.DataFrame) -> Iterator[Text]:
    """A line for each method without any score by the metrics shown, with the reason of most of its cells."""
    counts = shown.groupby("method", sort=False)["n_ok"].sum()
    for method in counts.index[counts == 0]:
        rows = shown[shown["method"] == method]
        notes = rows["note"].str.removesuffix(NO_COMMON_CLIP).str.removesuffix("; ")
        notes = notes.replace("", "no score").value_counts()
        yield Text(f"{method}: not scored; {notes.index[0]}", style="yellow")


def _most_covered(rows: pd.DataFrame) -> pd.Series:
    """Row with the largest coverage; with repeats, stochastic methods have more scores than others."""
    return rows.sort_values(["coverage", "n_planned"]).iloc[-1]


def _fewer_clips(columns: Iterable[tuple[tuple, pd.DataFrame]]) -> Iterator[Text]:
    """Note of the methods scored on fewer clips than a column's heading says."""
    notes = []
    for (metric, *_), rows in columns:
        most = _most_covered(rows)
        fewer = rows[rows["coverage"] < most["coverage"]].sort_values(["n_ok", "method"])
        counts = [
            f"{row.method} {row.n_ok}" + (f" of {row.n_planned}" if row.n_planned != most["n_planned"] else "")
            for row in fewer.itertuples()
        ]
        if counts:
            notes.append(f"{metric}: {', '.join(counts)}")
    if notes:
        yield Text(f"scored on fewer clips: {'; '.join(notes)}", style="dim")


def _terminal_differences(
    columns: Iterable[tuple[tuple, pd.DataFrame]], methods: Sequence[str]
) -> Iterator[RichTable | Text]:
    """Differences to both baselines of the metrics shown whose bar they are."""
    by_metric = {str(names[0]): rows.set_index("method") for names, rows in columns if rows["passes_bar"].ne("").any()}
    chosen = [(name, rows) for name, rows in by_metric.items() if rows["diff_energy"].notna().any()]
    if chosen:
        yield from (Text(), Text("differences to the baselines, positive is better", style="bold"))
    for start in range(0, len(chosen), _TERMINAL_METRICS):
        part = chosen[start : start + _TERMINAL_METRICS]
        grid = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        grid.add_column("method", no_wrap=True, vertical="bottom")
        for name, _ in part:
            for other in ("random", "energy"):
                grid.add_column(f"{labelled(name)}\nless {other}", justify="right", no_wrap=True)
        for method in ordered({m for _, rows in part for m in rows.index}, methods):
            found = [rows.loc[method] if method in rows.index else None for _, rows in part]
            cells = [_terminal_difference(row, column) for row in found for column in _TO_BASELINES]
            grid.add_row(*map(Text.from_markup, (escape(method), *cells)))
        yield grid


def _terminal_difference(row: pd.Series | None, column: str) -> str:
    if row is None or pd.isna(row[column]):
        return "–"
    half = row[f"{column}_high"] - row[column]
    return f"{row[column]:+.2f}" + (f" [dim]±{number(half)}[/]" if pd.notna(half) else "")


def _terminal_spread(part: pd.DataFrame, methods: Sequence[str]) -> Iterator[Any]:
    """Least and largest mean over fills of the metrics shown."""
    several = part[part["n_fills"].notna()]
    if several.empty:
        return
    fills = several["n_fills"].max()
    grid = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    by_metric = {str(name): rows.set_index("method") for name, rows in several.groupby("metric", sort=False)}
    for name in ("method", *map(labelled, by_metric)):
        grid.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    for method in ordered(several["method"], methods):
        cells = [rows.loc[method] if method in rows.index else None for rows in by_metric.values()]
        clips = [f" [dim]({row['fill_clips']})[/]" if row is not None else "" for row in cells]
        grid.add_row(Text(method), *(Text.from_markup(_range(row) + n) for row, n in zip(cells, clips, strict=True)))
    planned = several["fill_planned"].max()
    title = f"least … largest mean over {fills} fills, on the clips (n of {planned}) scored under all of them"
    yield from (Text(), Text(title, style="bold"), grid)


def _of_first_fill(rows: pd.DataFrame, fills: Mapping[str, Mapping[str, Sequence[str]]]) -> pd.DataFrame:
    """Rows of each setting and metric under the first fill of the run that scored them, or the first that is there."""
    first = pd.Series("", rows.index, dtype=object)
    for _, part in rows.groupby([*SETTING, "metric"], dropna=False, sort=False):
        row = part.iloc[0]
        in_order = fills.get(row["corpus"], {}).get(row["model"], ())
        first[part.index] = ordered(part["fill"].unique(), in_order)[0]
    return rows[rows["fill"] == first]


def _plainest(conditions: pd.Series) -> str:
    """``clean`` if it is among the conditions, else the first one."""
    return "clean" if (conditions == "clean").any() else str(conditions.iloc[0])


def _terminal_cell(row: pd.Series | None, counts_calls: Collection[str]) -> str:
    if row is None or pd.isna(row["mean"]):
        return "–"
    half = row["high"] - row["mean"]  # 0 where all clips score alike, which is not the same as no claim
    if row["metric"] in counts_calls:
        return f"{row['mean']:.0f}" + (f" [dim]±{half:.0f}[/]" if pd.notna(half) else "")
    style = {"▲": "green", "▼": "red", "": "default"}[mark(row)]
    interval = f" [dim]±{number(half)}[/]" if pd.notna(half) else ""
    return f"{number(row['mean'])}[{style}]{mark(row) or flags(row) or ' '}[/]{interval}"
