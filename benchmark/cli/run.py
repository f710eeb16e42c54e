"""``serxai run`` and ``serxai status``."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from ...errors import InputError
from ...keys import digest
from ..analysis.plausibility import plausibility_table
from ..report.html import PLAUSIBILITY, write_board
from ..report.text import terminal_table
from ..run.config import RunConfig, load_config
from ..run.runner import Execution, check_out, free_folder
from ..run.runner import run as compute
from ..storage.files import write_atomically, writing
from ..storage.store import Store
from .console import Bars
from .options import checkpoints_option, device_option, memory_option, workers_option

IN_TERMINAL = 4  # metrics asked for; of more, only the key ones have room
_MADE_OF = b"serxai-made-of"


def run(arguments: Namespace) -> int:
    """Compute a run, write its report, print the ranked table."""
    if arguments.preset == "qualify":
        from .qualify import run_preset

        return run_preset(arguments)
    config = load_config(
        arguments.config,
        arguments.preset,
        _earlier(arguments),
        corpora=arguments.corpus,
        models=arguments.model,
        methods=arguments.method,
        metrics=arguments.metric,
        conditions=arguments.condition,
        emotions=arguments.emotion,
        fills=arguments.fill,
        target=arguments.target,
        trained_on=arguments.trained_on,
        limit=arguments.limit,
        repeats=arguments.repeats,
        seed=arguments.seed,
    )
    execution = Execution(
        workers=workers_option(arguments.workers),
        # a Ray cluster may have what this machine has not
        device=arguments.device if arguments.executor == "ray" else device_option(arguments.device),
        data_root=arguments.data_root,
        retry_failed=arguments.retry_failed,
        memory=memory_option("--memory", arguments.memory),
        batch_memory=memory_option("--batch-memory", arguments.batch_memory),
        executor=arguments.executor,
        ray_address=_ray_address(arguments),
        checkpoints=checkpoints_option(arguments.checkpoint, config.models),
        trust=arguments.trust,
    )
    if arguments.dry_run:
        from .dry_run import dry_run

        return dry_run(config, execution, arguments.out, as_json=arguments.json)
    if arguments.retry_failed and not arguments.resume:
        raise InputError("--retry-failed continues a run; give --resume and --out as well.")
    if arguments.resume and arguments.out is None:
        raise InputError("--resume needs --out: the folder of the run to continue.")
    out = arguments.out or free_folder(Path("runs") / _name(arguments))
    check_out(out, arguments.resume)
    with Bars() as bars:
        store = compute(config, out, execution, bars)
        bars("report", 0, 1)
        info = store.info
        with writing(out):
            board, page = _report(store, info, bars)
        bars("report", 1, 1)
    if arguments.json:
        print(board.to_json(orient="records"))
    else:
        console = Console()
        console.print(terminal_table(board, config.metrics if len(config.metrics) <= IN_TERMINAL else None))
        _print_summary(console, config, info, out, page)
    return 1 if info["rows"]["failed"] else 0


def _earlier(arguments: Namespace) -> dict[str, Any] | None:
    """Settings of the run that is continued, unless the command names settings of its own to start from."""
    if not arguments.resume or arguments.out is None or arguments.config is not None or arguments.preset is not None:
        return None
    check_out(arguments.out, resume=True)
    return Store(arguments.out).info["config"]


def _report(store: Store, info: dict[str, Any], bars: Bars) -> tuple[pd.DataFrame, Path]:
    """Write the report, or take the one that is there if it was made from these very scores by this very code."""
    folder = store.path / "report"
    page, kept = folder / "index.html", folder / "board.parquet"
    made_of = digest(store.digest(), info["config"], info["versions"], info["git"]).encode()
    with suppress(OSError, pa.ArrowException):
        table = pq.read_table(kept)
        if page.is_file() and (table.schema.metadata or {}).get(_MADE_OF) == made_of:
            return table.to_pandas(), page
    scores = store.scores()
    plausible = (
        (scores["family"] == "plausibility") & (scores["status"] == "ok") & (scores["condition"] == "clean")
    ).any()
    told = plausibility_table(store, progress=bars, measured=False) if plausible else None
    board, page = write_board(scores, [info], folder, told)
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
    if rows["failed"]:
        console.print(f"[red]{rows['failed']} scores failed.[/] Reasons: serxai status {out}", highlight=False)
    console.print(f"report: {page.resolve()}", highlight=False, soft_wrap=True)
    cues = page.with_name(PLAUSIBILITY)
    if cues.is_file():
        console.print(f"per emotion, cue and source: {cues.resolve()}", highlight=False, soft_wrap=True)


def _name(arguments: Namespace) -> str:
    if arguments.config is not None:
        return arguments.config.stem
    return "-".join([arguments.preset or "quick", *arguments.corpus])


def _ray_address(arguments: Namespace) -> str | None:
    if arguments.ray_address is not None and arguments.executor != "ray":
        raise InputError(f"--ray-address {arguments.ray_address} needs --executor ray.")
    return arguments.ray_address


def status(arguments: Namespace) -> int:
    """Print what is planned, done and failed; exit status 1 if anything failed."""
    store = Store(arguments.run)
    info = store.info
    scores = store.scores(["status", "reason", "clip", "method", "metric"])
    planned = len(info["shards"])
    done = sum(store.has_shard(key) for key in info["shards"])
    failed = scores[scores["status"] == "failed"]
    skipped = scores[scores["status"] == "skipped"]
    told = {
        "status": info["status"],
        "cells": info.get("cells", {}),
        "shards": {"planned": planned, "done": done},
        "rows": {"planned": info["planned_rows"]}
        | {name: int((scores["status"] == name).sum()) for name in ("ok", "skipped", "failed")},
        "failures": _by_reason(failed),
        "skipped": _by_reason(skipped),
    }
    if arguments.json:
        print(json.dumps(told, indent=2))
        return 1 if len(failed) else 0
    console = Console()
    console.print(f"{arguments.run}: {told['status']}; {done} of {planned} shards", highlight=False)
    if told["cells"]:
        counts = [f"{told['cells'][name]} {name}" for name in ("planned", "done", "failed") if name in told["cells"]]
        console.print(f"cells: {', '.join(counts)}", highlight=False)
    rows = told["rows"]
    console.print(
        f"scores: {rows['planned']} planned, {rows['ok']} ok, {rows['skipped']} skipped, {rows['failed']} failed"
    )
    for title, groups in (("failed", told["failures"]), ("skipped", told["skipped"])):
        if groups:
            table = Table(f"{title} because", "scores", "clips", "methods", "metrics", box=None, header_style="bold")
            for group in groups:
                table.add_row(
                    group["reason"], str(group["scores"]), str(group["clips"]), ", ".join(group["methods"]),
                    ", ".join(group["metrics"]),
                )  # fmt: skip
            console.print(table)
    return 1 if len(failed) else 0


def _by_reason(rows: Any) -> list[dict[str, Any]]:
    groups = [
        {
            "reason": reason,
            "scores": len(group),
            "clips": int(group["clip"].nunique()),
            "methods": sorted(group["method"].unique()),
            "metrics": sorted(group["metric"].unique()),
        }
        for reason, group in rows.groupby("reason")
    ]
    return sorted(groups, key=lambda group: -group["scores"])
