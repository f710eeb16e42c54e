"""``serxai run`` and ``serxai status``."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ..errors import InputError
from .config import RunConfig, load_config
from .console import Bars
from .executors import writing
from .leaderboard import terminal_table
from .report import write_board
from .runner import Execution, check_out, default_workers, free_folder
from .runner import run as compute
from .store import Store


def run(arguments: Namespace) -> int:
    """Compute a run, write its report, print the ranked table."""
    config = load_config(
        arguments.config,
        arguments.preset,
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
        seed=arguments.seed,
    )
    execution = Execution(
        workers=_workers(arguments.workers),
        # a Ray cluster may have what this machine has not
        device=arguments.device if arguments.executor == "ray" else _device(arguments.device),
        data_root=arguments.data_root,
        retry_failed=arguments.retry_failed,
        memory=_memory(arguments.memory),
        executor=arguments.executor,
        ray_address=_ray_address(arguments),
    )
    if arguments.dry_run:
        from .estimate import dry_run

        return dry_run(config, execution, as_json=arguments.json)
    if arguments.retry_failed and not arguments.resume:
        raise InputError("--retry-failed continues a run; give --resume and --out as well.")
    if arguments.resume and arguments.out is None:
        raise InputError("--resume needs --out: the folder of the run to continue.")
    out = arguments.out or free_folder(Path("runs") / _name(arguments))
    check_out(out, arguments.resume)
    with Bars() as bars:
        store = compute(config, out, execution, bars)
        bars("report", 0, 1)
        scores, info = store.scores(), store.info
        with writing(out):
            board, page = write_board(scores, [info], out / "report")
        bars("report", 1, 1)
    if arguments.json:
        print(board.to_json(orient="records"))
    else:
        console = Console()
        console.print(terminal_table(board))
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
    if rows["failed"]:
        console.print(f"[red]{rows['failed']} scores failed.[/] Reasons: serxai status {out}", highlight=False)
    console.print(f"report: {page.resolve()}", highlight=False, soft_wrap=True)


def _name(arguments: Namespace) -> str:
    if arguments.config is not None:
        return arguments.config.stem
    return "-".join([arguments.preset or "quick", *arguments.corpus])


def _workers(given: int | None) -> int:
    if given is not None and given < 1:
        raise InputError(f"--workers must be at least 1, got {given}.")
    return given or default_workers()


def _memory(given: float | None) -> float | None:
    if given is not None and not given > 0:
        raise InputError(f"--memory must be a number of GB above 0, got {given:g}.")
    return given


def _ray_address(arguments: Namespace) -> str | None:
    if arguments.ray_address is not None and arguments.executor != "ray":
        raise InputError(f"--ray-address {arguments.ray_address} needs --executor ray.")
    return arguments.ray_address


def _device(name: str) -> str:
    """A device that torch can use.

    Raises
    ------
    InputError
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: torch cannot use it here ({reason}). Use --device cpu.") from None
    return name


def status(arguments: Namespace) -> int:
    """Print what is planned, done and failed; exit status 1 if anything failed."""
    store = Store(arguments.run)
    info, scores = store.info, store.scores()
    planned = len(info["shards"])
    done = sum(store.has_shard(key) for key in info["shards"])
    failed = scores[scores["status"] == "failed"]
    skipped = scores[scores["status"] == "skipped"]
    told = {
        "status": info["status"],
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
