"""Executor for this machine's cores: tasks in this process, or in a pool of worker processes that may die.

An executor is a generator: given tasks, it yields the number of clips finished since the last time, and when it ends
every task has been computed or given up. Nothing it decides (order, worker, attempt) changes a result.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch

from ...errors import InputError, SerxaiError
from .execution import ATTEMPTS, GB, Execution, on_cpu
from .processes import environment, resident_bytes, run_with_parent


class Task(Protocol):
    """A unit of work; picklable.

    Attributes
    ----------
    key : str
        Tells it from other tasks.
    clips : tuple of str
        Clips that it computes, for progress.
    """

    @property
    def key(self) -> str:
        """Identity of the task."""
        ...

    @property
    def clips(self) -> tuple[str, ...]:
        """Clips that the task finishes."""
        ...


class TaskWorker(Protocol):
    """Computes tasks of one kind in one process, and writes their results."""

    def compute(self, task: Any, done: Callable[[str], None] = ..., attempt: int = 1) -> None:
        """Compute one task; `done` is called with each clip's id when it is finished."""

    def give_up(self, task: Any, reason: str, attempt: int) -> None:
        """Record a task that could not be computed."""


# opens the worker of a process; picklable
OpenWorker = Callable[[Execution], TaskWorker]


def execute_local(open_worker: OpenWorker, execution: Execution, tasks: Sequence[Task]) -> Iterator[int]:
    """Compute tasks on this machine: with one worker and no memory bound in this process, else in worker processes.

    Parameters
    ----------
    open_worker : callable
        Called in each process with the execution settings.
    execution : Execution
    tasks : sequence of Task
        Most costly first.

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
        yield from Pool(open_worker, execution, tasks).run()
        return
    threads = torch.get_num_threads()
    try:
        worker = open_worker(execution)
        for task in tasks:
            worker.compute(task)
            yield len(task.clips)
    finally:
        torch.set_num_threads(threads)


# -- worker processes --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    ready: bool = False
    clips: int = 0  # finished of the task at hand
    tasks: int = 0  # finished in all

    @property
    def sources(self) -> tuple[Connection, int]:
        """What to wait on: a message, or the end of the process."""
        return self.pipe, self.process.sentinel


class Pool:
    """Worker processes that may die.

    A queue of tasks, most costly first. A worker that dies is replaced and its task tried again; a task that has cost
    `ATTEMPTS` workers is given up. A worker that has grown beyond its share of the memory is replaced.
    """

    def __init__(self, open_worker: OpenWorker, execution: Execution, tasks: Sequence[Task]) -> None:
        self.open_worker = open_worker
        self.execution = execution
        self.queue = deque(tasks)
        self.attempts = {task.key: 0 for task in tasks}
        self.reported = {task.key: 0 for task in tasks}  # clips reported as finished, by whichever attempt
        self.workers: list[_Worker] = []
        self.failed_starts = 0
        self.memory = execution.memory * GB if execution.memory is not None else None
        self.need = 0  # most that a fresh worker held over its first task
        self.fallback: TaskWorker | None = None  # of this process, to record tasks that are given up

    def run(self) -> Iterator[int]:
        """Compute all tasks, yielding the number of clips finished since the last yield."""
        try:
            while self.queue or any(worker.task for worker in self.workers):
                self._staff()
                self._assign()
                active = wait([source for worker in self.workers for source in worker.sources])
                reporting = [worker for worker in self.workers if any(source in active for source in worker.sources)]
                yield sum(self._receive(worker) for worker in reporting)
        finally:
            self._close()

    @property
    def allowed(self) -> int:
        """Workers that the memory allows; one until the first task, the most costly, has shown what a worker needs."""
        if self.memory is None:
            return self.execution.workers
        return max(1, min(self.execution.workers, int(self.memory // self.need))) if self.need else 1

    def _staff(self) -> None:
        busy = sum(worker.task is not None for worker in self.workers)
        for _ in range(len(self.workers), min(self.allowed, busy + len(self.queue))):
            self.workers.append(_start(self.open_worker, self.execution))

    def _assign(self) -> None:
        for worker in self.workers:
            if worker.ready and worker.task is None and self.queue:
                task = worker.task = self.queue.popleft()
                self.attempts[task.key] += 1
                with suppress(OSError):  # it has died since, which the next message shows
                    worker.pipe.send((task, self.attempts[task.key]))

    def _receive(self, worker: _Worker) -> int:
        """Take one message of a worker, or notice its death; returns the number of clips newly finished."""
        try:
            kind, *facts = worker.pipe.recv() if worker.pipe.poll() else ("died",)
        except (EOFError, OSError):
            kind = "died"
        if kind == "died":
            return self._bury(worker)
        if kind == "stop":
            raise InputError(facts[0])
        task = worker.task
        if kind == "ready" or task is None:
            worker.ready, self.failed_starts = True, 0
            return 0
        if kind == "clip":
            worker.clips += 1
            return self._report(task, worker.clips)
        worker.task, worker.clips = None, 0
        worker.tasks += 1
        self._weigh(worker, *facts)
        return self._report(task, len(task.clips))

    def _report(self, task: Task, clips: int) -> int:
        fresh = max(0, clips - self.reported[task.key])
        self.reported[task.key] += fresh
        return fresh

    def _weigh(self, worker: _Worker, now: int, peak: int) -> None:
        """Hold the workers to the memory they may have together."""
        if self.memory is None:
            return
        if worker.tasks == 1:
            if not self.need and peak > self.memory:
                raise InputError(
                    f"--memory {self.execution.memory:g}: one worker held {peak / GB:.2f} GB over the most costly "
                    f"task. Give at least --memory {peak / GB + 0.1:.1f}. What is finished is kept (--resume)."
                )
            self.need = max(self.need, peak)
        if now > self.memory / self.allowed or len(self.workers) > self.allowed:
            self._dismiss(worker)

    def _bury(self, worker: _Worker) -> int:
        worker.process.join()
        self._dismiss(worker)
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        task = worker.task
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= ATTEMPTS:
                raise SerxaiError(f"{ATTEMPTS} worker processes died as they started ({how}). Try --workers 1.")
        if task is None:
            return 0
        if self.attempts[task.key] < ATTEMPTS:
            self.queue.appendleft(task)
            return 0
        if self.fallback is None:
            self.fallback = self.open_worker(on_cpu(self.execution))
        self.fallback.give_up(task, death_reason(how), ATTEMPTS)
        return self._report(task, len(task.clips))

    def _dismiss(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)
        worker.process.kill()

    def _close(self) -> None:
        for worker in self.workers:
            worker.pipe.close()  # an idle worker ends
            if worker.task is not None or not worker.ready:
                worker.process.kill()  # files are written whole or not at all
        for worker in self.workers:
            worker.process.join(5)
            worker.process.kill()
            worker.process.join()


def death_reason(how: str) -> str:
    """Reason of a task whose workers died."""
    return (
        f"worker died ({how}) {ATTEMPTS} times; out of memory, or a crash in native code: "
        "try again with fewer workers and --resume --retry-failed"
    )


def _start(open_worker: OpenWorker, execution: Execution) -> _Worker:
    # spawned, not forked: a forked torch can hang on locks its threads held
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    work = pickle.dumps((open_worker, execution))
    process = context.Process(target=run_with_parent, args=(os.getpid(), f"{__name__}:{_work.__name__}", theirs, work))
    with environment(OMP_NUM_THREADS="1"):  # read by libraries as the child imports them
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, open_worker: OpenWorker, execution: Execution) -> None:
    """Body of a worker process: compute what the pipe brings until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has closed the pipe, or is gone
        try:
            worker = open_worker(execution)
            pipe.send(("ready",))
            while True:
                task, attempt = pipe.recv()
                worker.compute(task, lambda clip: pipe.send(("clip",)), attempt)
                pipe.send(("done", *resident_bytes()))
        except SerxaiError as error:
            pipe.send(("stop", str(error)))
