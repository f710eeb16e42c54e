"""``serxai score --statements FILE.csv``: explanations in words, by truth and by use."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pandas as pd
from rich.table import Table

from ...models.trust import Permission
from ..analysis.statements import score_statements
from ..report.escape import csv_safe
from ..run.execution import Execution, check_out, free_folder
from ..run.options import check_permission, checkpoints_option, device_option
from ..storage.files import write_atomically, writing
from ..storage.statement_file import read_statements
from .console import Bars, Console

NOTE = (
    "true: the cue differs from this speaker's neutral by a standard deviation or more in the stated direction; used: "
    "share of all cues and directions whose edit in the same span moves the recogniser less (0.5: chance); effect: "
    "log-odds that the stated cue gives the class; brackets: 95 %, clustered by speaker; * baseline without recogniser."
)


def score_file(arguments: Namespace) -> int:
    """Score a file of statements, write the rows, print a table."""
    statements = read_statements(arguments.statements)
    model = arguments.model or "cnn"
    permission = Permission.of([model], arguments.trust)
    check_permission(permission, [model])
    out = arguments.out or free_folder(Path("runs/statements"))
    check_out(out, False)
    execution = Execution(
        data_root=arguments.data_root,
        checkpoints=checkpoints_option(arguments.checkpoint, [model]),
        permission=permission,
        device=device_option(arguments.device),
    )
    with Bars() as bars:
        found = score_statements(
            statements, arguments.corpus, model, arguments.trained_on, arguments.target or "predicted",
            arguments.seed or 0, execution, bars,
        )  # fmt: skip
    with writing(out, resumable=False):
        for name, table in (("statements", found.rows), ("families", found.families), ("board", found.board)):
            text = csv_safe(table).to_csv(index=False, lineterminator="\n")
            write_atomically(out / f"{name}.csv", text.encode())
    if arguments.json:
        print(json.dumps(json.loads(found.board.to_json(orient="records")), indent=2))
        return 0
    console = Console()
    console.print(_table(found.board))
    console.print(NOTE, highlight=False)
    console.print(f"rows: {out / 'statements.csv'}", highlight=False, soft_wrap=True)
    return 0


def _table(board: pd.DataFrame) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    planted = bool(board["n_planted"].any())
    names = ["statements of", "clips", "n", "true", "used", "effect", *(["precision", "recall"] if planted else [])]
    for name in names:
        table.add_column(name, justify="left" if name == names[0] else "right", no_wrap=True)
    for row in board.to_dict("records"):
        cells = [f"{row['method']}{'*' if row['baseline'] else ''}", str(row["clips"]), str(row["statements"])]
        cells += [_interval(row, "true"), _interval(row, "used"), _number(row["effect"])]
        table.add_row(*cells, *([_number(row["precision"]), _number(row["recall"])] if planted else []))
    return table


def _interval(row: dict, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    bounds = "" if pd.isna(low) else f" [{_number(low)}, {_number(high)}]"
    return _number(row[name]) + bounds


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"
