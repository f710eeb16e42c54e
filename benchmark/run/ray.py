"""The executor for a Ray cluster: the same shards as tasks, whose files come back as bytes.

Nodes need share no folder: a task returns the bytes of its shard's files and the driver writes them, in the order that
makes a shard whole or absent. Where the run's folder is visible on a node, earlier results are found there by key, as
on one machine; where it is not, they are computed again, to the same bytes. Retries are the driver's, so that attempts
are counted: a shard whose worker or node is lost is submitted again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from tempfile import TemporaryDirectory
from typing import Any

from ...errors import InputError, SerxaiError
from ..storage.files import write_atomically, writing
from ..storage.store import Store
from .config import RunConfig
from .execution import ATTEMPTS, GB, Execution, on_cpu
from .plan import Shard
from .pool import death_reason
from .processes import environment
from .shard_worker import ShardWorker

AHEAD = 4  # tasks submitted per core, so that no node waits for the driver


def execute_ray(config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> Iterator[int]:
    """Compute shards as Ray tasks.

    Yields
    ------
    int
        Clips finished since the last time.

    Raises
    ------
    InputError
        If Ray is not installed, the cluster cannot be reached, has no GPU where one is asked for, or a node lacks the
        corpus; or if results cannot be written.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--executor ray: Ray is not installed. Run: pip install 'serxai[ray]'.") from None
    path = path.resolve()
    if execution.data_root is not None:
        execution = replace(execution, data_root=execution.data_root.resolve())
    with _cluster(ray, execution):
        task: Any = ray.remote(_compute).options(**_resources(ray.cluster_resources(), execution))
        # what is the same for all shards is stored once, not sent with each
        common = [ray.put(config), ray.put(execution), str(path)]
        queue = deque((shard, 1) for shard in shards)
        running: dict[Any, tuple[Shard, int]] = {}
        worker = ShardWorker(config, path, on_cpu(execution))
        try:
            while queue or running:
                while queue and len(running) < AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1))):
                    shard, attempt = queue.popleft()
                    running[task.remote(*common, shard, attempt, worker.identity(shard))] = shard, attempt
                (finished,), _ = ray.wait(list(running), num_returns=1)
                shard, attempt = running.pop(finished)
                try:
                    _write(path, ray.get(finished))
                except ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", None)
                    if isinstance(cause, SerxaiError):
                        raise InputError(str(cause)) from None
                    if attempt < ATTEMPTS:
                        queue.appendleft((shard, attempt + 1))
                        continue
                    reason = death_reason(type(error).__name__) if cause is None else f"{type(cause).__name__}: {cause}"
                    worker.give_up(shard, reason, attempt)
                yield len(shard.clips)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


@contextmanager
def _cluster(ray: Any, execution: Execution) -> Iterator[None]:
    """Join the cluster named, or one this process has joined already, or start one on this machine for the run."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if execution.ray_address is not None:
            ray.init(execution.ray_address, **quiet)
        else:
            with environment(RAY_USAGE_STATS_ENABLED="0"):
                ray.init("local", num_cpus=execution.workers, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"--ray-address {execution.ray_address}: no Ray cluster there ({reason}). Start one with `ray start "
            "--head`, or leave --ray-address out to use this machine."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _resources(cluster: dict[str, float], execution: Execution) -> dict[str, Any]:
    """What one task asks for: a core, its share of the memory, and on CUDA its share of the cluster's GPUs."""
    wanted: dict[str, Any] = {"num_cpus": 1, "max_retries": 0}
    if execution.memory is not None:
        wanted["memory"] = int(execution.memory * GB / execution.workers)
    if execution.device.startswith("cuda"):
        gpus = cluster.get("GPU", 0)
        if not gpus:
            raise InputError(f"--device {execution.device}: the Ray cluster has no GPU. Use --device cpu.")
        # Ray counts in steps of 1/10000; tasks must not span GPUs
        wanted["num_gpus"] = min(1.0, int(gpus / execution.workers * 1e4) / 1e4)
    return wanted


def _write(path: Path, files: dict[str, bytes]) -> None:
    """Write a shard's files; the score file, whose presence says that the shard is done, comes last."""
    with writing(path):
        for name in sorted(files, key=lambda name: (name.startswith("scores"), name)):
            write_atomically(path / name, files[name])


def _compute(
    config: RunConfig, execution: Execution, path: str, shard: Shard, attempt: int, identity: tuple[str, str]
) -> dict[str, bytes]:
    """Body of a task: the files of one shard by their names in the run's folder.

    Raises
    ------
    InputError
        If this node's clips or recogniser are not the driver's, for which the shard's key was made.
    """
    worker = _worker(config.model_dump_json(), execution, path)
    for what, planned, present in zip(("corpus", "recogniser"), identity, worker.identity(shard), strict=True):
        if planned != present:
            name = shard.corpus if what == "corpus" else f"{shard.model} trained on {shard.trained_on}"
            raise InputError(
                f"node {gethostname()}: {what} {name!r} is not the one this run was planned with. Give all nodes the "
                "same --data-root and SERXAI_CACHE, on a shared folder or as copies."
            )
    with TemporaryDirectory() as folder:
        worker.compute(shard, attempt=attempt, into=Store(folder))
        return {
            str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*.*") if file.is_file()
        }


@lru_cache(maxsize=1)
def _worker(config: str, execution: Execution, path: str) -> ShardWorker:
    """The shard worker of a Ray process, kept from task to task."""
    return ShardWorker(RunConfig.model_validate_json(config), Path(path), execution)
