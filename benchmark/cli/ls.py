"""``serxai ls KIND``: registered names; reads records only, so it imports neither torch nor pandas."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from ...errors import InputError
from .kinds import KINDS

SHORT, WRAPPED = 20, 20  # widest column that is never wrapped, and least width of a wrapped one

_COUNTS = {"clips", "speakers"}  # 0 where unknown, as for the user's own folders


def ls(arguments: Namespace) -> int:
    """Print one list: a line each, as a table (``--long``) or as JSON."""
    rows, columns = _rows(arguments.kind)
    trained = []
    if arguments.kind == "models":
        from ...models.trained import trained_models

        trained = trained_models(arguments.checkpoint)
        rows = [row | {"trained": [one for one in trained if one["name"] == row["name"]]} for row in rows]
    elif arguments.checkpoint:
        raise InputError(f"--checkpoint describes trained models; leave it out of `serxai ls {arguments.kind}`.")
    if arguments.json:
        # JSON has no NaN
        finite = [{key: None if value != value else value for key, value in row.items()} for row in rows]
        print(json.dumps(finite, indent=2, default=str, allow_nan=False))
        return 0
    if arguments.long:
        _print(rows, columns)
    else:
        _print_lines(rows, KINDS[arguments.kind].short if arguments.kind in KINDS else columns)
    if trained and (arguments.long or arguments.checkpoint):
        _print_trained(trained)
    if arguments.kind == "metrics":
        from ...metrics.verdict import legend
        from .console import Console

        Console().print(legend(), highlight=False, markup=False)
    return 0


def _print_lines(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print one line a row, its columns aligned; on a terminal cut to its width."""
    from .console import Console

    console = Console()
    texts = [[_short_cell(column, row) for column in columns] for row in rows]
    widths = [max(len(text[place]) for text in texts) for place in range(len(columns) - 1)]
    for text in texts:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(text, widths, strict=False)), text[-1]]).rstrip()
        if console.is_terminal and len(line) > console.width:
            line = line[: console.width - 1] + "…"
        console.print(line, highlight=False, soft_wrap=True)


def _short_cell(column: str, row: dict[str, Any]) -> str:
    """Text of a cell of a line; a metric's name with its mark."""
    if column == "name" and "direction" in row:
        from ...metrics.verdict import labelled

        return labelled(row["name"])
    return _cell(column, row)


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print a table where its columns fit side by side, else a paragraph per row."""
    from rich.padding import Padding
    from rich.table import Table

    from .console import Console

    console = Console()
    texts = [{column: _cell(column, row) for column in columns} for row in rows]
    longest = {c: max([len(c), *(len(text[c]) for text in texts)]) for c in columns}
    short = [column for column in columns if column == "name" or longest[column] <= SHORT]
    if sum(longest[c] if c in short else WRAPPED for c in columns) + len(columns) <= console.width:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "), no_wrap=column in short, overflow="fold")
        for text in texts:
            table.add_row(*(text[column] for column in columns))
        console.print(table)
        return
    for text in texts:
        console.print(text["name"], style="bold")
        facts = [f"{column.replace('_', ' ')}: {text[column]}" for column in short if column != "name" and text[column]]
        long = [f"{c.replace('_', ' ')}: {text[c]}" for c in columns if c not in short and text[c]]
        for line in filter(None, (" · ".join(facts), *long)):
            console.print(Padding(line, (0, 0, 0, 4)), highlight=False)


def _print_trained(rows: list[dict[str, Any]]) -> None:
    """Print what each trained model was trained on, and its held-out score, marked where speakers leak into it."""
    from .console import Console

    console = Console()
    console.print("\ntrained models", style="bold")
    for row in rows:
        interval = "" if row["uar_interval"] is None else " [{:.3f}, {:.3f}]".format(*row["uar_interval"])
        shared = row["shared_speakers"]
        told = f"UAR {row['uar']:.3f}{interval}" if row["ccc"] is None else _dimensions(row["ccc"])
        leak = f"; NOT held out: {shared} of {row['speakers']} speakers are in training parts too" if shared else ""
        console.print(
            f"  {row['name']} trained on {row['trained_on']}: {told}, {row['folds']} folds, "
            f"{row['clips']} clips, {row['speakers']} speakers{leak}",
            soft_wrap=True,
        )


def _dimensions(ccc: dict[str, float]) -> str:
    return "CCC " + ", ".join(f"{name} {value:.3f}" for name, value in ccc.items())


def _rows(kind: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    special: dict[str, Callable[[], list[dict[str, Any]]]] = {"presets": _presets, "figures": _figures}
    if kind in special:
        return special[kind](), ("name", "summary")
    columns = KINDS[kind].columns
    rows = [asdict(record) for record in KINDS[kind].records()]
    if kind == "models":
        from ...models.bundled import bundled_summaries

        return [row | {"shipped": bundled_summaries(row["name"])} for row in rows], columns
    return ([_with_verdict(row) for row in rows] if kind == "metrics" else rows), columns


def _with_verdict(row: dict[str, Any]) -> dict[str, Any]:
    """A metric's row with the verdict that holds for it: a variant's is that of the metric it narrows."""
    from ...metrics.verdict import fails, verdict_on

    verdict = verdict_on(row["name"])
    return row | {"qualified": verdict and verdict.qualified, "fails": fails(row["name"])}


def _presets() -> list[dict[str, Any]]:
    from importlib.resources import files

    folder = files("serxai.benchmark.run.presets")
    entries = sorted((e for e in folder.iterdir() if e.name.endswith(".toml")), key=lambda e: e.name)
    # a preset's first line is a comment that says what it is for
    presets = [
        {"name": e.name.removesuffix(".toml"), "summary": e.read_text("utf-8").splitlines()[0].lstrip("# ")}
        for e in entries
    ]
    return sorted(
        [*presets, {"name": "qualify", "summary": "The same as the command `serxai qualify`."}], key=itemgetter("name")
    )


def _figures() -> list[dict[str, Any]]:
    from ..report.catalogue import FIGURES

    return [{"name": name, "summary": figure[0]} for name, figure in FIGURES.items()]


def _cell(column: str, row: dict[str, Any]) -> str:
    value = row[column]
    if column == "qualified":
        from ...metrics.verdict import board_grade, labelled

        return f"{board_grade(row['name'])} {labelled(row['name']).removeprefix(row['name'])}".rstrip()
    if column == "fails":  # the numbers are in --json
        from ...metrics.verdict import failed_properties

        return failed_properties(row["name"])
    if column == "shipped":
        return "; ".join(_shipped(model) for model in value)
    if column == "differentiable" and value is None:
        return "as loaded"  # the user's own model: a torch module is differentiable, a function is not
    return _text(value or None if column in _COUNTS else value)


def _shipped(model: dict[str, Any]) -> str:
    """Corpus, held-out UAR and classes of one shipped model."""
    encoder = f" for the encoder of {model['encoder']}" if model["encoder"] else ""
    low, high = model["uar_interval"]
    return (
        f"trained on {model['corpus']}{encoder}: {len(model['classes'])} classes, held-out UAR "
        f"{model['uar']:.3f} [{low:.3f}, {high:.3f}], {model['clips']} clips of {model['speakers']} speakers"
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return "" if value is None or value != value else str(value)
