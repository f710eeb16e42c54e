"""``serxai run --dry-run``: the forecast of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Column, Table

from ...models.fine_tuning import FineTuning
from ...models.training_cost import training_notice
from ...models.untrained import UntrainedModels
from ..run.config import RunConfig
from ..run.execution import Execution, default_workers
from ..run.forecast import CALLS_OF_A_CLIP, EXACT_ROWS, Forecast, calibrate, forecast, typical_methods
from ..run.plan import Plan, Shard, make_plan
from ..run.provenance import measured_reach
from ..run.tuning import candidate_config, candidates, folder_of, tuned
from ..storage.store import Store
from .console import Console, reach_lines


def dry_run(config: RunConfig, execution: Execution, out: Path | None = None, as_json: bool = False) -> int:
    """Print what a run would compute and what it costs; no score is kept.

    Parameters
    ----------
    config : RunConfig
    execution : Execution
    out : Path, optional
        The run's folder; what it holds already costs nothing.
    as_json : bool

    Returns
    -------
    int
        Exit status.
    """
    tuning, config = _forecast_tuning(config, execution, out)
    store = _store(out)
    plan = _plan(config, execution, store)
    large = plan.n_rows > EXACT_ROWS
    scoring = forecast(plan, store, execution.retry_failed, sample=large)
    untrained = {
        f"{name} on {corpus}": training_notice(used.task, default_workers())
        for (name, corpus), used in sorted(plan.models.items())
        if isinstance(used, UntrainedModels)
    }
    left = [shard for shard in plan.shards if store is None or store.is_pending(shard.key, execution.retry_failed)]
    some = left or plan.shards[: bool(tuning.total)]
    dear = large or scoring.total > CALLS_OF_A_CLIP * plan.n_clips
    light = typical_methods(scoring, config.methods) if dear else []
    per_second, size = _calibrated(replace(plan, shards=some), execution.device, light) if some else (0.0, 0)
    seconds = per_second * (scoring.audio_s + tuning.audio_s) / max(1, execution.workers)
    by_method = {
        name: {
            "explanations": scoring.calls["explanations", name],
            "scores": scoring.calls["scores", name] + scoring.calls["again", name],
            "again": scoring.calls["again", name],
        }
        for name in config.methods
    }
    built_on = {
        name: calls
        for (part, name), calls in sorted(scoring.calls.items())
        if part == "explanations" and calls and name not in by_method
    }
    summary: dict[str, Any] = {
        "cells": len(plan.cells),
        "clips": plan.n_clips,
        "rows": plan.n_rows,
        "shards": len(plan.shards),
        "shards_done": len(plan.shards) - len(left),
        "model_calls": scoring.total + tuning.total,
        "estimated_from_clips": scoring.sampled,
        "untrained": list(untrained),
        "training": list(untrained.values()),
        "tuning_calls": tuning.total,
        "predictions": scoring.calls["predictions", ""],
        "reach_calls": scoring.calls["reach", ""],
        "again_calls": sum(parts["again"] for parts in by_method.values()),
        "reexplain_calls": config.reexplain_calls,
        "fine_tuning": _fine_tuning(left),
        "reach": [
            {key: value for key, value in reach.items() if key != "falls"}
            for fills in plan.fills.values()
            for reach in fills.described
        ],
        "methods": by_method,
        "built_on": built_on,
        "seconds": round(seconds, 1),
        "workers": execution.workers,
        "bytes": size * sum(len(shard.clips) for shard in left),
    }
    console = Console()
    if as_json:
        console.print_json(json.dumps(summary))
        return 0
    console.print(
        f"{summary['cells']} cells, {summary['clips']} clips, {summary['rows']} scores, {summary['shards']} shards"
        + (f"; {summary['shards_done']} shards are finished in {out}, {len(left)} are left" if store else ""),
        highlight=False,
    )
    about, estimated = ("", "") if scoring.sampled is None else ("about ", f"; estimated from {scoring.sampled} clips")
    console.print(
        f"{about}{summary['model_calls']} model calls ({summary['predictions']} predictions, "
        f"{summary['reach_calls']} to measure fills"
        + (f", {tuning.total} to tune" if config.tuning else "")
        + f"{estimated}), about {seconds / 60:.1f} min with "
        f"{execution.workers} workers, about {summary['bytes'] / 1e6:.1f} MB",
        highlight=False,
    )
    table = Table(
        Column("method", overflow="fold"), "calls to explain", "calls to score", "of them to explain again",
        box=None, header_style="bold",
    )  # fmt: skip
    for name, parts in by_method.items():
        table.add_row(name, *(str(parts[part]) for part in ("explanations", "scores", "again")))
    for name, calls in built_on.items():
        table.add_row(f"{name} (built on)", str(calls), "", "")
    console.print(table)
    if summary["again_calls"]:
        console.print(
            f"{summary['again_calls']} calls explain again, for methods of at most {config.reexplain_calls} calls an "
            "explanation (--reexplain-calls)",
            highlight=False,
        )
    if summary["fine_tuning"]:
        console.print(
            f"{summary['fine_tuning']['copies']} copies of recognisers are fine-tuned where the cache has "
            f"none, for f-fidelity: {summary['fine_tuning']['calls']} calls forward and backward besides",
            highlight=False,
        )
    numbers = {models.name for models in plan.models.values() if models.info.get("regression")}
    for line in reach_lines(summary["reach"], numbers):
        console.print(line, highlight=False)
    for notice in untrained.values():
        console.print(
            f"{notice} The calls above are those of an untrained one, and which fills have reach is not known.",
            highlight=False,
        )
    return 0


def _plan(config: RunConfig, execution: Execution, store: Store | None) -> Plan:
    return make_plan(config, execution, train=False, measured=[] if store is None else measured_reach(store))


def _fine_tuning(shards: Sequence[Shard]) -> dict[str, int]:
    """Copies of recognisers that shards need fine-tuned, and the calls of all of them; empty where there are none."""
    copies = {
        (shard.model, shard.trained_on, shard.corpus, shard.fold, fill)
        for shard in shards
        if shard.training
        for fill in shard.fills
    }
    return {"copies": len(copies), "calls": len(copies) * FineTuning().calls} if copies else {}


def _store(out: Path | None) -> Store | None:
    return Store(out) if out is not None and (out / "run.json").is_file() else None


def _forecast_tuning(config: RunConfig, execution: Execution, out: Path | None) -> tuple[Forecast, RunConfig]:
    """Cost of the tuning that is left, and the run with the parameters chosen, or else the most costly ones."""
    total = Forecast()
    most_costly: dict[str, tuple[float, dict[str, Any]]] = {}
    for method, parameters in candidates(config):
        store = None if out is None else _store(folder_of(out, method, parameters))
        plan = _plan(candidate_config(config, method, parameters), execution, store)
        left = forecast(plan, store, execution.retry_failed, sample=plan.n_rows > EXACT_ROWS)
        total.calls += left.calls
        total.audio_s += left.audio_s
        cost = left.total if store is None else forecast(plan, sample=plan.n_rows > EXACT_ROWS).total
        if method not in most_costly or cost > most_costly[method][0]:
            most_costly[method] = cost, parameters
    store = _store(out)
    tuned_methods = store.info.get("tuning", {}).get("methods", {}) if store is not None and not total.total else {}
    chosen = {method: entry["chosen"] for method, entry in tuned_methods.items()}
    return total, tuned(
        config, {method: chosen.get(method, parameters) for method, (_, parameters) in most_costly.items()}
    )


def _calibrated(plan: Plan, device: str, light: list[str]) -> tuple[float, int]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        return calibrate(plan, device, light)
    finally:
        torch.set_num_threads(threads)
