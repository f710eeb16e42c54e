"""Execution settings of a run: workers, devices, memory, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    trust : bool
        Whether code in a foreign checkpoint may run.
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
    trust: bool = False
