"""Where shards are computed: what a process keeps between them, and the executor for this machine's cores.

An executor is a generator: given what to compute, it yields the number of clips finished since the last time, and when
it ends every shard is on disk, either scored or with failed rows that say why. Nothing it decides (order, worker,
attempt) moves a score.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from ...errors import InputError, SerxaiError
from .config import RunConfig
from .execution import ATTEMPTS, GB, Execution
from .plan import Shard
from .processes import die_with_parent, environment, resident_bytes
from .workbench import Workbench, on_cpu


def execute_local(config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> Iterator[int]:
    """Compute shards on this machine: one worker without a memory bound in this process, else in processes of its own.

    Yields
    ------
    int
        Clips finished since the last time.

    Raises
    ------
    InputError
        If results cannot be written, or `Execution.memory` is less than one worker needs.
    """
    if execution.workers > 1 or execution.memory is not None:
        yield from _Pool(config, execution, path, shards).run()
        return
    threads = torch.get_num_threads()
    try:
        bench = Workbench(config, execution, path)
        for shard in shards:
            bench.compute(shard)
            yield len(shard.clips)
    finally:
        torch.set_num_threads(threads)


# -- worker processes --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    shard: Shard | None = None
    ready: bool = False
    clips: int = 0  # finished of the shard at hand
    shards: int = 0  # finished in all

    @property
    def sources(self) -> tuple[Connection, int]:
        """What to wait on: a message, or the end of the process."""
        return self.pipe, self.process.sentinel


class _Pool:
    """Worker processes that may die.

    A queue of shards, most costly first. A worker that dies is replaced and its shard tried again; a shard that has
    cost `ATTEMPTS` workers is written as failed. A worker that has grown beyond its share of the memory is replaced.
    """

    def __init__(self, config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> None:
        self.config = config
        self.execution = execution
        self.path = path
        self.queue = deque(shards)
        self.attempts = {shard.key: 0 for shard in shards}
        self.told = {shard.key: 0 for shard in shards}  # clips reported as finished, whichever attempt did
        self.workers: list[_Worker] = []
        self.failed_starts = 0
        self.memory = execution.memory * GB if execution.memory is not None else None
        self.need = 0  # most that a fresh worker held over its first shard
        self.bench: Workbench | None = None  # of this process, should it have to write failed rows

    def run(self) -> Iterator[int]:
        try:
            while self.queue or any(worker.shard for worker in self.workers):
                self._staff()
                self._assign()
                active = wait([source for worker in self.workers for source in worker.sources])
                heard = [worker for worker in self.workers if any(source in active for source in worker.sources)]
                yield sum(self._hear(worker) for worker in heard)
        finally:
            self._close()

    @property
    def allowed(self) -> int:
        """Workers that the memory allows; one until the first shard, the most costly, has shown what a worker needs."""
        if self.memory is None:
            return self.execution.workers
        return max(1, min(self.execution.workers, int(self.memory // self.need))) if self.need else 1

    def _staff(self) -> None:
        busy = sum(worker.shard is not None for worker in self.workers)
        for _ in range(len(self.workers), min(self.allowed, busy + len(self.queue))):
            self.workers.append(_start(self.config, self.execution, self.path))

    def _assign(self) -> None:
        for worker in self.workers:
            if worker.ready and worker.shard is None and self.queue:
                shard = worker.shard = self.queue.popleft()
                self.attempts[shard.key] += 1
                with suppress(OSError):  # it has died since; that is heard next
                    worker.pipe.send((shard, self.attempts[shard.key]))

    def _hear(self, worker: _Worker) -> int:
        """Take one message of a worker, or notice its death; returns the number of clips newly finished."""
        try:
            kind, *facts = worker.pipe.recv() if worker.pipe.poll() else ("died",)
        except (EOFError, OSError):
            kind = "died"
        if kind == "died":
            return self._bury(worker)
        if kind == "stop":
            raise InputError(facts[0])
        shard = worker.shard
        if kind == "ready" or shard is None:
            worker.ready, self.failed_starts = True, 0
            return 0
        if kind == "clip":
            worker.clips += 1
            return self._tell(shard, worker.clips)
        worker.shard, worker.clips = None, 0
        worker.shards += 1
        self._weigh(worker, *facts)
        return self._tell(shard, len(shard.clips))

    def _tell(self, shard: Shard, clips: int) -> int:
        fresh = max(0, clips - self.told[shard.key])
        self.told[shard.key] += fresh
        return fresh

    def _weigh(self, worker: _Worker, now: int, peak: int) -> None:
        """Hold the workers to the memory they may have together."""
        if self.memory is None:
            return
        if worker.shards == 1:
            if not self.need and peak > self.memory:
                raise InputError(
                    f"--memory {self.execution.memory:g}: one worker held {peak / GB:.2f} GB over the most costly "
                    f"shard. Give at least --memory {peak / GB + 0.1:.1f}. What is finished is kept (--resume)."
                )
            self.need = max(self.need, peak)
        if now > self.memory / self.allowed or len(self.workers) > self.allowed:
            self._dismiss(worker)

    def _bury(self, worker: _Worker) -> int:
        worker.process.join()
        self._dismiss(worker)
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        shard = worker.shard
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= ATTEMPTS:
                raise SerxaiError(f"{ATTEMPTS} worker processes died as they started ({how}). Try --workers 1.")
        if shard is None:
            return 0
        if self.attempts[shard.key] < ATTEMPTS:
            self.queue.appendleft(shard)
            return 0
        if self.bench is None:
            self.bench = Workbench(self.config, on_cpu(self.execution), self.path)
        self.bench.give_up(shard, died(how), ATTEMPTS)
        return self._tell(shard, len(shard.clips))

    def _dismiss(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)
        worker.process.kill()

    def _close(self) -> None:
        for worker in self.workers:
            worker.pipe.close()  # an idle worker ends
            if worker.shard is not None or not worker.ready:
                worker.process.kill()  # files are written whole or not at all
        for worker in self.workers:
            worker.process.join(5)
            worker.process.kill()
            worker.process.join()


def died(how: str) -> str:
    """The reason of rows whose workers died."""
    return (
        f"worker died ({how}) {ATTEMPTS} times; out of memory, or a crash in native code: "
        "try again with fewer workers and --resume --retry-failed"
    )


def _start(config: RunConfig, execution: Execution, path: Path) -> _Worker:
    # spawned, not forked: a forked torch can hang on locks its threads held
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, config, execution, path, os.getpid()))
    with environment(OMP_NUM_THREADS="1"):  # read by libraries as the child imports them
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, config: RunConfig, execution: Execution, path: Path, parent: int) -> None:
    """Body of a worker process: compute what the pipe brings until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    die_with_parent(parent)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has closed the pipe, or is gone
        try:
            bench = Workbench(config, execution, path)
            pipe.send(("ready",))
            while True:
                shard, attempt = pipe.recv()
                bench.compute(shard, lambda clip: pipe.send(("clip",)), attempt)
                pipe.send(("done", *resident_bytes()))
        except SerxaiError as error:
            pipe.send(("stop", str(error)))
