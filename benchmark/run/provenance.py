"""Provenance of a run: configuration, versions, weights, data, source tree, machine.

A run may be computed in several sessions: an interrupted one and those that resumed it. `describe` is about the session
at hand; `earlier_sessions` keeps what run.json said of the ones before.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...datasets.shifts.conditions import CONDITIONS
from ...errors import InputError
from ...metrics.records import METRICS
from ..storage.store import Store
from .execution import Execution
from .method_spec import described_method
from .plan import Plan

PACKAGES = ("torch", "numpy", "scipy", "pandas", "librosa", "praat-parselmouth", "captum", "zennit", "quantus",
            "soundfile", "soxr", "pyarrow")  # fmt: skip
# what run.json says of one session; the rest is said of the run
SESSION = ("started", "finished", "status", "command", "config", "versions", "git", "machine", "execution", "computed")


def describe(plan: Plan, execution: Execution) -> dict[str, Any]:
    """What run.json says before anything is computed."""
    config = plan.config
    folds = {(shard.model, shard.trained_on, shard.fold) for shard in plan.shards}
    return {
        "config": config.model_dump(),
        "command": sys.argv,
        "started": now(),
        "versions": {"serxai": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "git": git_state(Path(__file__).resolve().parents[2]),
        "machine": machine(),
        "execution": {
            "executor": execution.executor,
            "workers": execution.workers,
            "memory": execution.memory,
            "batch_memory": execution.batch_memory,
            "device": execution.device,
            "checkpoints": {model: str(path.resolve()) for model, path in execution.checkpoints.items()},
            "trust": execution.permission.trust,
            "maps": str(execution.maps.resolve()) if execution.maps else None,
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
        "fingerprints": {
            f"{model} trained on {corpus}, fold {fold}": plan.models[model, corpus].recogniser(fold).fingerprint
            for model, corpus, fold in sorted(folds)
        },
        "methods": {name: described_method(plan.specs[name]) for name in config.methods},
        "metrics": {name: {"version": METRICS.get(name).version} for name in config.metrics},
        "conditions": {
            name: {"version": record.version, "strength": record.strength if isfinite(record.strength) else None}
            for name, record in ((name, CONDITIONS.get(name)) for name in config.conditions)
        },
        "fills": _fills(plan),
        "reach": [reach for fills in plan.fills.values() for reach in fills.described],
        "shards": [shard.key for shard in plan.shards],
        "clips": plan.n_clips,
        "planned_rows": plan.n_rows,
        "cells": {"planned": len(plan.cells)},  # those done and failed are counted at the end
    }


def clip_facts(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    """Corpus, id, sentence and sex of each clip of a plan."""
    for shard in plan.shards:
        table = plan.corpora[shard.corpus].table
        for clip in shard.clips:
            row = table.loc[clip]
            yield shard.corpus, clip, str(row["sentence"]), str(row["sex"])


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def earlier_sessions(store: Store) -> list[dict[str, Any]]:
    """What run.json holds of the sessions up to now, oldest first; none where there is no readable run.json."""
    try:
        info = store.info
    except InputError:  # no run yet, or a damaged description, which is written anew
        return []
    return [*info.get("sessions", []), {name: info[name] for name in SESSION if name in info}]


def measured_reach(store: Store) -> list[dict[str, Any]]:
    """What run.json holds of the reach of fills; nothing where there is no readable run.json."""
    try:
        return list(store.info.get("reach", []))
    except InputError:
        return []


def _fills(plan: Plan) -> dict[str, dict[str, list[str]]]:
    """Fills by corpus and model."""
    fills: dict[str, dict[str, list[str]]] = {}
    for (corpus, model), chosen in plan.fills.items():
        fills.setdefault(corpus, {})[model] = list(chosen.names)
    return fills


def machine() -> dict[str, Any]:
    """Platform, processor, memory (bytes; None where the system does not report it) and how torch computes."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8", "replace").splitlines() if cpuinfo.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory = {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys()
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpu": next(models, platform.processor()),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if memory else None,
        "torch_config": torch.__config__.parallel_info().splitlines()[0],
    }


def git_state(tree: Path) -> dict[str, Any]:
    """Commit of a source tree, empty where it is none; with a digest of uncommitted changes."""
    if not (tree / ".git").exists():
        return {}

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True).stdout

    state: dict[str, Any] = {"commit": git("rev-parse", "HEAD").decode().strip()}
    state["dirty"] = bool(git("status", "--porcelain"))
    if state["dirty"]:
        changes = hashlib.sha256(git("diff", "HEAD", "--binary"))
        for name in sorted(git("ls-files", "--others", "--exclude-standard", "-z").split(b"\0")):
            path = tree / os.fsdecode(name)
            if name and path.is_file():  # new files, which a diff does not show
                changes.update(b"\0%s\0%s" % (name, hashlib.sha256(path.read_bytes()).digest()))
        state["changes"] = changes.hexdigest()
    return state
