"""Execution settings of a run: workers, devices, memory, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...models.trust import NO_PERMISSION, Permission

if TYPE_CHECKING:
    from ...models.recogniser import Recogniser

ATTEMPTS = 3  # how often a shard is tried before its rows are written as failed
GB = 1e9


@dataclass(frozen=True)
class Execution:
    """How a run is computed; none of it but `batch_memory` moves a score.

    Attributes
    ----------
    workers : int
        Processes; 1 computes in this one unless `memory` is given.
    device : str
    data_root : Path or None
    retry_failed : bool
        Compute shards with failed rows again.
    memory : float or None
        GB that all workers together may hold.
    batch_memory : float or None
        GB that one batch of copies may take in the recogniser; it passes in pieces where it would take more. The one
        setting here that can move a score, by rounding (1e-6); so it is part of the score's key.
    executor : {'local', 'ray'}
    ray_address : str or None
        Ray cluster to join; None starts one on this machine.
    checkpoints : dict of str to Path
        Of each model that is not to be trained here: a folder written by ``serxai train``, or a foreign model's file.
    permission : Permission
        Models whose own code may run, by what this command's line says; workers get it from their parent.
    maps : Path or None
        Folder of maps that were made elsewhere, for methods ``maps:NAME``; one that a run's files name is never read.
    recognisers : dict of str to Recogniser
        Objects by their name ``object:NAME`` (`models.given`).
    """

    workers: int = 1
    device: str = "cpu"
    data_root: Path | None = None
    retry_failed: bool = False
    memory: float | None = None
    batch_memory: float | None = None
    executor: str = "local"
    ray_address: str | None = None
    checkpoints: Mapping[str, Path] = field(default_factory=dict, hash=False)  # a dict has no hash, Ray needs one
    permission: Permission = NO_PERMISSION
    maps: Path | None = None
    recognisers: Mapping[str, Recogniser] = field(default_factory=dict, hash=False)


def on_cpu(execution: Execution) -> Execution:
    """The same execution without an accelerator, for a process that only writes failed rows."""
    return Execution(
        data_root=execution.data_root, checkpoints=execution.checkpoints, permission=execution.permission,
        maps=execution.maps, recognisers=execution.recognisers,
    )  # fmt: skip


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
