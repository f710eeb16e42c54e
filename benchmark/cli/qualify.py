"""``serxai run --preset qualify``: the metrics themselves on trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ..qualification.report import qualification_table, write_qualification
from ..qualification.runner import forecast, qualify
from ..qualification.verdicts import properties, verdicts
from ..run.config import RunConfig
from ..run.execution import Execution
from ..storage.files import writing
from .console import Bars

LEAST_UAR = 0.85  # of a network, for verdicts to say something


def run(config: RunConfig, execution: Execution, out: Path, dry_run: bool, as_json: bool) -> int:
    """Put the metrics to their trials, write the table, print it; exit status 1 if trials failed."""
    if dry_run:
        return _forecast(config, execution, out, as_json)
    with Bars() as bars:
        rows, info = qualify(config, out, execution, bars)
        bars("report", 0, 1)
        table = properties(rows)
        with writing(out):
            files = write_qualification(table, info, out)
        bars("report", 1, 1)
    failed = int((rows["status"] == "failed").sum())
    if as_json:
        print(files["json"].read_text("utf-8"))
        return 1 if failed else 0
    console = Console()
    console.print(qualification_table(table))
    for warning in weak_recognisers(info):
        console.print(f"[yellow]warning:[/] {warning}", highlight=False)
    counts = verdicts(table)["qualified"].value_counts()
    console.print(
        f"{counts.get('yes', 0)} metrics qualified, {counts.get('one fill', 0)} under one fill, {counts.get('no', 0)} "
        f"not, {counts.get('no claim', 0)} without a "
        f"claim, {counts.get('not tested', 0)} not tested; {rows['clip'].nunique()} clips, {len(rows)} trials "
        f"({failed} failed), {info['model_calls']:.0f} model calls.",
        highlight=False,
    )
    for reason in rows.loc[rows["status"] == "failed", "reason"].unique()[:5]:
        console.print(f"[red]failed:[/] {reason}", highlight=False)
    console.print(f"report: {files['html'].resolve()}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def weak_recognisers(info: Mapping[str, Any]) -> list[str]:
    """A sentence for each network whose accuracy is known and too low for its verdicts to say much.

    Parameters
    ----------
    info : dict
        What run.json says.
    """
    found = []
    for name, about in info.get("models", {}).items():
        uar = ((about.get("scores") or {}).get("pooled") or {}).get("uar")
        if uar is not None and uar < LEAST_UAR:
            found.append(
                f"{name} has a UAR of {uar:.2f}, less than {LEAST_UAR}: where a metric fails on it, the network may be "
                "to blame, which does not listen to what was planted."
            )
    return found


def _forecast(config: RunConfig, execution: Execution, out: Path, as_json: bool) -> int:
    with Bars() as bars:
        found = forecast(config, out, execution, bars)
    if as_json:
        print(json.dumps([vars(f) for f in found], indent=2))
        return 0
    console = Console()
    for f in found:
        console.print(
            f"{f.recogniser}: {f.clips} clips to do, {f.model_calls} model calls, about {f.recogniser_s:.0f} s inside "
            f"the recogniser, {f.recogniser_s / execution.workers:.0f} s with {execution.workers} workers; rendering "
            "and scoring come on top.",
            highlight=False,
        )
    return 0
