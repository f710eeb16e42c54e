"""``serxai status``: planned, done and failed cells of runs, failures by reason."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.table import Table

from ..storage.store import Store
from .console import Console


def status(arguments: Namespace) -> int:
    """Print what is planned, done and failed; exit status 1 if anything failed.

    Of a folder above several runs: a line for each, and one for all.
    """
    found = {folder: _summary(Store(folder)) for folder in arguments.runs}
    failed = any(summary["rows"]["failed"] for summary in found.values())
    several = list(found) != [arguments.run]
    if arguments.json:
        told = [{"run": str(folder)} | summary for folder, summary in found.items()]
        print(json.dumps({"runs": told} if several else found[arguments.run], indent=2))
        return 1 if failed else 0
    console = Console()
    for folder, summary in found.items():
        if several:
            console.print(f"{_head(folder, summary)}; {_counts(summary['rows'])}", highlight=False, soft_wrap=True)
        else:
            _print(console, folder, summary)
    if several:
        done = sum(summary["status"] == "done" for summary in found.values())
        names = found[next(iter(found))]["rows"]
        rows = {name: sum(summary["rows"][name] for summary in found.values()) for name in names}
        console.print(f"{len(found)} runs, {done} done; {_counts(rows)}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _summary(store: Store) -> dict[str, Any]:
    """State of one run, as ``--json`` prints it."""
    info = store.info
    store.refuse_damage()
    scores = store.scores(["status", "reason", "clip", "method", "metric"])
    return {
        "status": info["status"],
        "cells": info.get("cells", {}),
        "shards": {"planned": len(info["shards"]), "done": sum(store.has_shard(key) for key in info["shards"])},
        "rows": {"planned": info["planned_rows"]}
        | {name: int((scores["status"] == name).sum()) for name in ("ok", "skipped", "failed")},
        "failures": _by_reason(scores[scores["status"] == "failed"]),
        "skipped": _by_reason(scores[scores["status"] == "skipped"]),
    }


def _head(folder: Path, summary: dict[str, Any]) -> str:
    return f"{folder}: {summary['status']}; {summary['shards']['done']} of {summary['shards']['planned']} shards"


def _counts(rows: dict[str, int]) -> str:
    return f"scores: {rows['planned']} planned, {rows['ok']} ok, {rows['skipped']} skipped, {rows['failed']} failed"


def _print(console: Console, folder: Path, summary: dict[str, Any]) -> None:
    console.print(_head(folder, summary), highlight=False)
    if summary["cells"]:
        counts = [
            f"{summary['cells'][name]} {name}" for name in ("planned", "done", "failed") if name in summary["cells"]
        ]
        console.print(f"cells: {', '.join(counts)}", highlight=False)
    console.print(_counts(summary["rows"]))
    for title, groups in (("failed", summary["failures"]), ("skipped", summary["skipped"])):
        if groups:
            table = Table(f"{title} because", "scores", "clips", "methods", "metrics", box=None, header_style="bold")
            for group in groups:
                table.add_row(
                    group["reason"], str(group["scores"]), str(group["clips"]), ", ".join(group["methods"]),
                    ", ".join(group["metrics"]),
                )  # fmt: skip
            console.print(table)


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
