"""Computing a run for ``serxai run``: progress bars, the report, the ranked table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...keys import digest
from ..analysis.leaderboard import BOARD_COLUMNS
from ..analysis.plausibility import plausibility_table
from ..report.conventions import read_conventions
from ..report.html import PLAUSIBILITY, write_board
from ..report.text import terminal_table
from ..run.config import RunConfig
from ..run.execution import Execution
from ..run.runner import run
from ..storage.bounds import MAX_FILE_BYTES, check_parquet
from ..storage.clip_facts import with_clip_facts
from ..storage.files import read_bytes, write_atomically, writing
from ..storage.store import Store
from .console import Bars, Console, reach_lines, styled

IN_TERMINAL = 4  # metrics named on the command line; of more, only the key ones have room
_MADE_OF = b"serxai-made-of"


def compute(config: RunConfig, execution: Execution, out: Path, as_json: bool) -> int:
    """Compute a run, write its report, print the ranked table.

    Returns
    -------
    int
        Exit status: 1 if scores failed.
    """
    with Bars() as bars:
        store = run(config, out, execution, bars)
        bars("report", 0, 1)
        info = store.info
        with writing(out):
            board, page = _report(store, info, bars)
        bars("report", 1, 1)
    if as_json:
        print(board.to_json(orient="records"))
    else:
        console = Console()
        shown = config.metrics if len(config.metrics) <= IN_TERMINAL else None
        console.print(terminal_table(board, shown, info["fills"]))
        _print_summary(console, config, info, out, page)
    return 1 if info["rows"]["failed"] else 0


def _report(store: Store, info: dict[str, Any], bars: Bars) -> tuple[pd.DataFrame, Path]:
    """Write the report, unless the one in the folder was made from the same scores by the same code."""
    folder = store.path / "report"
    page, kept = folder / "index.html", folder / "board.parquet"
    conventions = read_conventions(folder)
    shown = [[table.title, table.lines, table.note] for table in conventions]
    made_of = digest(store.digest(), info["config"], info["versions"], info["git"], shown).encode()
    with suppress(OSError, ValueError, pa.ArrowException):
        file = pq.ParquetFile(pa.BufferReader(read_bytes(kept, MAX_FILE_BYTES)))
        check_parquet(file)
        table = file.read()
        if (
            set(BOARD_COLUMNS) <= set(table.column_names)
            and page.is_file()
            and (table.schema.metadata or {}).get(_MADE_OF) == made_of
        ):
            return table.to_pandas(), page
    scores = with_clip_facts(store.scores(), [store.path])
    plausible = (
        (scores["family"] == "plausibility") & (scores["status"] == "ok") & (scores["condition"] == "clean")
    ).any()
    cues = plausibility_table(store, progress=bars, measured=False) if plausible else None
    board, page = write_board(scores, [info], folder, cues, conventions=conventions)
    table = pa.Table.from_pandas(board)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _MADE_OF: made_of})
    body = pa.BufferOutputStream()
    pq.write_table(table, body)
    write_atomically(kept, body.getvalue().to_pybytes())  # last: its presence says that the report is whole
    return board, page


def _print_summary(console: Console, config: RunConfig, info: dict[str, Any], out: Path, page: Path) -> None:
    rows = info["rows"]
    counts = ", ".join(f"{rows[status]} {status}" for status in ("ok", "skipped", "failed"))
    console.print(
        f"{info['clips']} clips, {len(config.methods)} methods, {rows['planned']} scores ({counts}), "
        f"{info['model_calls']} model calls, {info['computed']['seconds']:.0f} s.",
        highlight=False,
    )
    numbers = {card["recogniser"] for card in info["models"].values() if card.get("regression")}
    for line in reach_lines(info["reach"], numbers):
        console.print(line, highlight=False)
    if made := info.get("fine_tuning"):
        console.print(
            f"{made['copies']} fine-tuned copies of recognisers, {made['made']} made now: {made['calls']} calls "
            f"forward and backward, {made['seconds']:.0f} s; the rest from the cache. They answer "
            "f-fidelity, and are other recognisers than those explained.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if rows["failed"]:
        console.print(
            styled("red", f"{rows['failed']} scores failed.", f" Reasons: serxai status {out}"), soft_wrap=True
        )
    console.print(f"report: {page.resolve()}", highlight=False, soft_wrap=True)
    cues = page.with_name(PLAUSIBILITY)
    if cues.is_file():
        console.print(f"per emotion, cue and source: {cues.resolve()}", highlight=False, soft_wrap=True)
