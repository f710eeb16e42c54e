"""Execution of a plan: missing shards go to an executor, most costly first; a run has one folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ...progress import Progress, no_progress
from ..storage.clip_facts import write_clip_facts
from ..storage.files import writing
from ..storage.scratch import Scratch
from ..storage.store import FOLDERS, Store
from .config import RunConfig
from .execution import Execution
from .fine_tuned import spent as fine_tuning_spent
from .forecast import shard_cost
from .plan import Cell, Plan, Shard, make_plan
from .pool import execute_local
from .provenance import clip_facts, describe, earlier_sessions, measured_reach, now
from .shard_worker import ShardWorker
from .tuning import tune

CELL = list(Cell._fields)


def run(
    config: RunConfig,
    out: str | Path,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> Store:
    """Plan and compute a run, or finish one that was interrupted; what is to be tuned is tuned first.

    Parameters
    ----------
    config : RunConfig
    out : str or Path
        The run's folder; what it holds already is used.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    Store
        The finished run.

    Raises
    ------
    InputError
        If there is nothing to compute, or the folder is in use or cannot be written.
    """
    execution, progress = execution or Execution(), progress or no_progress
    if config.tuning is None or config.part == "tuning":
        return _run(config, Path(out), execution, progress, {})

    def tuning_progress(what: str, done: int, total: int) -> None:
        progress(f"tuning: {what}", done, total)

    def compute(candidate: RunConfig, folder: Path) -> Store:
        return _run(candidate, folder, execution, tuning_progress, {})

    config, description = tune(config, Path(out), compute, execution.data_root)
    return _run(config, Path(out), execution, progress, {"tuning": description})


def _run(config: RunConfig, out: Path, execution: Execution, progress: Progress, more_info: dict[str, Any]) -> Store:
    """One run; `more_info` goes into run.json."""
    store = Store(out)
    with store.locked():
        plan = make_plan(config, execution, progress, measured=measured_reach(store))
        info = describe(plan, execution) | more_info | {"sessions": earlier_sessions(store)}
        pending = [shard for shard in plan.shards if store.is_pending(shard.key, execution.retry_failed)]
        pending.sort(key=lambda shard: -shard_cost(config, plan.corpora[shard.corpus], shard))
        with writing(store.path):
            _remove_remains(store.path)
            write_clip_facts(store.path, clip_facts(plan))
            store.write_info(info | {"status": "running"})
        total = sum(len(shard.clips) for shard in plan.shards)
        done = total - sum(len(shard.clips) for shard in pending)
        progress("clips", done, total)
        start = time.perf_counter()
        for finished in _compute(config, execution, store.path, pending):
            done += finished
            progress("clips", done, total)
        Scratch(store.path).remove()
        scores = store.scores([*CELL, "status"])
        counts = scores["status"].value_counts().to_dict()
        info["cells"] = _cell_counts(plan, scores)
        info["rows"] = {"planned": plan.n_rows} | {s: int(counts.get(s, 0)) for s in ("ok", "failed", "skipped")}
        info["finished"] = now()
        spent = store.timings(shard.key for shard in pending)
        info["computed"] = {
            "shards": len(pending),
            "model_calls": plan.reach_calls + sum(timing.get("model_calls", 0) for timing in spent),
            "seconds": time.perf_counter() - start,
        }
        if made := fine_tuning_spent(spent):
            info["fine_tuning"] = made
        info["model_calls"] = sum(timing.get("model_calls", 0) for timing in store.timings(info["shards"]))
        info["model_calls"] += sum(reach["model_calls"] for reach in info["reach"])
        with writing(store.path):
            store.write_info(info | {"status": "done" if not info["rows"]["failed"] else "done with failures"})
    return store


def _remove_remains(path: Path) -> None:
    """Remove what a killed writer left; the caller holds the folder. Nothing behind a link is touched."""
    for folder in (path, *(path / name for name in FOLDERS)):
        if folder.is_dir() and (folder == path or not folder.is_symlink()):
            for left in folder.glob(".*.tmp"):
                if left.is_symlink() or left.is_file():
                    left.unlink()


def _cell_counts(plan: Plan, scores: pd.DataFrame) -> dict[str, int]:
    """Cells planned, those with a score or reason for every clip, and those with a failed row."""
    failed = scores["status"].eq("failed").groupby([scores[c] for c in CELL]).any()
    return {"planned": len(plan.cells), "done": int((~failed).sum()), "failed": int(failed.sum())}


def _compute(config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> Iterator[int]:
    """Compute shards where the execution says, yielding the number of clips finished since the last time."""
    if not shards:
        return iter(())
    if execution.executor == "ray":
        from .ray import execute_ray

        return execute_ray(config, execution, path, shards)
    return execute_local(partial(ShardWorker, config, path), execution, shards)
