"""``serxai status``: planned, done and failed cells of a run, failures by reason."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from rich.table import Table

from ..storage.store import Store
from .console import Console


def status(arguments: Namespace) -> int:
    """Print what is planned, done and failed; exit status 1 if anything failed."""
    store = Store(arguments.run)
    info = store.info
    store.refuse_damage()
    scores = store.scores(["status", "reason", "clip", "method", "metric"])
    planned = len(info["shards"])
    done = sum(store.has_shard(key) for key in info["shards"])
    failed = scores[scores["status"] == "failed"]
    skipped = scores[scores["status"] == "skipped"]
    summary = {
        "status": info["status"],
        "cells": info.get("cells", {}),
        "shards": {"planned": planned, "done": done},
        "rows": {"planned": info["planned_rows"]}
        | {name: int((scores["status"] == name).sum()) for name in ("ok", "skipped", "failed")},
        "failures": _by_reason(failed),
        "skipped": _by_reason(skipped),
    }
    if arguments.json:
        print(json.dumps(summary, indent=2))
        return 1 if len(failed) else 0
    console = Console()
    console.print(f"{arguments.run}: {summary['status']}; {done} of {planned} shards", highlight=False)
    if summary["cells"]:
        counts = [
            f"{summary['cells'][name]} {name}" for name in ("planned", "done", "failed") if name in summary["cells"]
        ]
        console.print(f"cells: {', '.join(counts)}", highlight=False)
    rows = summary["rows"]
    console.print(
        f"scores: {rows['planned']} planned, {rows['ok']} ok, {rows['skipped']} skipped, {rows['failed']} failed"
    )
    for title, groups in (("failed", summary["failures"]), ("skipped", summary["skipped"])):
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
