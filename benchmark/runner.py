"""Running a plan: what is missing goes to an executor, most costly first; one run a folder, nothing computed twice."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .. import __version__
from ..errors import InputError
from .config import RunConfig
from .estimate import shard_cost
from .executors import Execution, execute_local, writing
from .plan import Plan, Shard, make_plan
from .store import Store

PACKAGES = ("torch", "numpy", "scipy", "pandas", "librosa", "praat-parselmouth", "captum", "zennit", "quantus",
            "soundfile", "soxr", "pyarrow")  # fmt: skip

Progress = Callable[[str, int, int], None]


def run(
    config: RunConfig,
    out: str | Path,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> Store:
    """Plan and compute a run, or finish one that was interrupted.

    Parameters
    ----------
    config : RunConfig
    out : str or Path
        The run's folder; what it holds already is used.
    execution : Execution, optional
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    Store
        The finished run.

    Raises
    ------
    InputError
        If there is nothing to compute, or the folder is in use or cannot be written.
    """
    execution = execution or Execution()
    report = progress or (lambda what, done, total: None)
    store = Store(out)
    with store.locked():
        plan = make_plan(config, execution.data_root, progress)
        info = _describe(plan, execution)
        pending = [shard for shard in plan.shards if _is_pending(store, shard, execution.retry_failed)]
        pending.sort(key=lambda shard: -shard_cost(config, plan.corpora[shard.corpus], shard))
        with writing(store.path):
            _remove_remains(store.path)
            store.write_info(info | {"status": "running"})
        total = sum(len(shard.clips) for shard in plan.shards)
        done = total - sum(len(shard.clips) for shard in pending)
        report("clips", done, total)
        start = time.perf_counter()
        for finished in _compute(config, execution, store.path, pending):
            done += finished
            report("clips", done, total)
        scores = store.scores()
        counts = scores["status"].value_counts().to_dict()
        info["cells"] = _cell_counts(plan, scores)
        info["rows"] = {"planned": plan.n_rows} | {s: int(counts.get(s, 0)) for s in ("ok", "failed", "skipped")}
        info["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        spent = store.timings(shard.key for shard in pending)
        info["computed"] = {
            "shards": len(pending),
            "model_calls": sum(timing["model_calls"] for timing in spent),
            "seconds": time.perf_counter() - start,
        }
        info["model_calls"] = sum(timing["model_calls"] for timing in store.timings(info["shards"]))
        with writing(store.path):
            store.write_info(info | {"status": "done" if not info["rows"]["failed"] else "done with failures"})
    return store


def _remove_remains(path: Path) -> None:
    """Remove what a killed writer left; the caller holds the folder."""
    for left in path.glob("*/.*.tmp"):
        left.unlink()


def _is_pending(store: Store, shard: Shard, retry_failed: bool) -> bool:
    if not store.has_shard(shard.key):
        return True
    if not retry_failed:
        return False
    rows = store.read_shard(shard.key)
    return rows is not None and bool((rows["status"] == "failed").any())


def _cell_counts(plan: Plan, scores: pd.DataFrame) -> dict[str, int]:
    """Cells planned, those with a score or reason for every clip, and those with a failed row."""
    columns = ["corpus", "fold", "model", "method", "condition", "metric", "fill", "seed"]
    failed = scores["status"].eq("failed").groupby([scores[c] for c in columns]).any()
    return {"planned": len(plan.cells), "done": int((~failed).sum()), "failed": int(failed.sum())}


def _compute(config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> Iterator[int]:
    """Compute shards where the execution says, yielding the number of clips finished since the last time."""
    if not shards:
        return iter(())
    if execution.executor == "ray":
        from .ray_executor import execute_ray

        return execute_ray(config, execution, path, shards)
    return execute_local(config, execution, path, shards)


# -- provenance --------------------------------------------------------------------------------------------------------


def _describe(plan: Plan, execution: Execution) -> dict[str, Any]:
    config = plan.config
    return {
        "config": config.model_dump(),
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"serxai": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "git": _git_state(),
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "torch_config": torch.__config__.parallel_info().splitlines()[0],
        },
        "execution": {
            "executor": execution.executor,
            "workers": execution.workers,
            "memory": execution.memory,
            "device": execution.device,
            "data_root": str(execution.data_root.resolve()) if execution.data_root else None,
        },
        "corpora": {
            name: {
                "licence": corpus.record.licence,
                "citation": corpus.record.citation,
                "version": corpus.record.version,
                "digest": corpus.digest,
                "derivatives_allowed": corpus.record.derivatives_allowed,
                "level_comparable": corpus.record.level_comparable,
            }
            for name, corpus in plan.corpora.items()
        },
        "models": {f"{name} trained on {corpus}": models.info for (name, corpus), models in plan.models.items()},
        "shards": [shard.key for shard in plan.shards],
        "clips": plan.n_clips,
        "planned_rows": plan.n_rows,
    }


def _git_state() -> dict[str, Any]:
    """Commit of the source tree, where serxai runs from one."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return {}

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True).stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}


def default_workers() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_folder(base: Path) -> Path:
    """`base`, or the first of ``base-2``, ``base-3``, ... that does not exist."""
    candidate, number = base, 2
    while candidate.exists():
        candidate, number = base.with_name(f"{base.name}-{number}"), number + 1
    return candidate


def check_out(out: Path, resume: bool) -> None:
    """Refuse to write into an existing run unless asked to resume it.

    Raises
    ------
    InputError
    """
    if (out / "run.json").exists() and not resume:
        raise InputError(f"--out {out} holds a run already. Use --resume to continue it, or give another --out.")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder.")
    if resume and not (out / "run.json").exists():
        raise InputError(f"--resume: {out} holds no run (no run.json); leave out --resume to start one.")
