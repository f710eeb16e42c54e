"""Computing a run for ``serxai run``: progress bars, the report, the ranked table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..report.html import PLAUSIBILITY
from ..report.run_report import write_run_report
from ..report.text import terminal_table
from ..run.config import RunConfig
from ..run.execution import Execution
from ..run.runner import run
from ..storage.files import writing
from .console import Bars, Console, reach_lines, styled

IN_TERMINAL = 4  # metrics named on the command line; of more, only the key ones have room


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
            board, page = write_run_report(store, info, bars, execution.data_root)
        bars("report", 1, 1)
    if as_json:
        print(board.to_json(orient="records"))
    else:
        console = Console()
        shown = config.metrics if len(config.metrics) <= IN_TERMINAL else None
        console.print(terminal_table(board, shown, info["fills"]))
        _print_summary(console, config, info, out, page)
    return 1 if info["rows"]["failed"] else 0


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
