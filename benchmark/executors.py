"""Where shards are computed: what a process keeps between them, and the executor for this machine's cores.

An executor is a generator: given what to compute, it yields the number of clips finished since the last time, and when
it ends every shard is on disk, either scored or with failed rows that say why. Nothing it decides (order, worker,
attempt) moves a score.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..datasets.corpora import load_corpus
from ..datasets.corpus import Corpus
from ..errors import ClipError, InputError, SerxaiError
from ..keys import digest
from ..metrics.case import Case, Explained, Outcome
from ..models.foldmodels import Models, obtain_models
from ..models.recogniser import Recogniser
from .config import RunConfig
from .plan import Shard, clip_identity
from .scoring import ShardScorer
from .store import Store, writing

ATTEMPTS = 3  # how often a shard is tried before its rows are written as failed
GB = 1e9
S = TypeVar("S", bound=ShardScorer)


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


class Workbench:
    """What a process keeps between shards: corpora, fold models and recognisers, each loaded once."""

    def __init__(self, config: RunConfig, execution: Execution, path: Path) -> None:
        torch.set_num_threads(1)  # small networks are slower with more, and scores must not depend on it
        keep_heap()
        self.config = config
        self.execution = execution
        self.store = Store(path)
        self._corpora: dict[str, Corpus] = {}
        self._models: dict[tuple[str, str], Models] = {}
        self._recogniser: tuple[tuple[str, str, str], Recogniser] | None = None

    def corpus(self, name: str) -> Corpus:
        """Load a corpus once."""
        if name not in self._corpora:
            self._corpora[name] = load_corpus(name, self.execution.data_root)
        return self._corpora[name]

    def recogniser(self, model: str, trained_on: str, fold: str) -> Recogniser:
        """The fold model; only the last one is kept, since shards of one fold come together."""
        key = (model, trained_on, fold)
        if self._recogniser is None or self._recogniser[0] != key:
            self._recogniser = key, self.models(model, trained_on).recogniser(fold, self.execution.device)
            if self.execution.batch_memory is not None:
                self._recogniser[1].memory = self.execution.batch_memory * GB
        return self._recogniser[1]

    def models(self, model: str, trained_on: str) -> Models:
        """The recognisers of a model, obtained once."""
        key = (model, trained_on)
        if key not in self._models:
            found = obtain_models(
                model,
                lambda: self.corpus(trained_on),
                checkpoint=self.execution.checkpoints.get(model),
                trust=self.execution.trust,
            )
            assert found is not None  # trained where there was none
            self._models[key] = found
        return self._models[key]

    def identity(self, shard: Shard) -> tuple[str, str]:
        """Digests of the clips and of the recogniser that this process has for a shard."""
        corpus = self.corpus(shard.corpus)
        clips = digest(
            [clip_identity(corpus, clip) for clip in (*shard.clips, *filter(None, shard.partners), *shard.mixed)]
        )
        return clips, self.recogniser(shard.model, shard.trained_on, shard.fold).fingerprint

    def compute(
        self,
        shard: Shard,
        done: Callable[[str], None] = lambda clip: None,
        attempt: int = 1,
        into: Store | None = None,
    ) -> None:
        """Score one shard and write it, by default where earlier results are looked up.

        Raises
        ------
        InputError
            If the results cannot be written, or corpus or model cannot be had here. Any other error becomes failed
            rows.
        """
        scorer = self._scorer(KeepingScorer, shard)
        try:
            rows = scorer.run(done)
        except SerxaiError:
            raise
        except Exception as error:
            self.give_up(shard, f"{type(error).__name__}: {error}", attempt, into)
            return
        facts = {"attempts": attempt, "process": os.getpid(), "peak_bytes": resident_bytes()[1]}
        into = into or self.store
        with writing(into.path):
            into.write_shard(shard.key, rows, scorer.explanations, scorer.predictions, scorer.timing | facts)

    def give_up(self, shard: Shard, reason: str, attempt: int, into: Store | None = None) -> None:
        """Write a shard whose rows all failed for one reason, unless an earlier run left rows of it."""
        into = into or self.store
        if self.store.has_shard(shard.key):
            return
        scorer = self._scorer(LostShard, shard)
        scorer.reason = reason
        rows = scorer.run()
        with writing(into.path):
            into.write_shard(shard.key, rows, {}, {}, scorer.timing | {"attempts": attempt})

    def _scorer(self, kind: type[S], shard: Shard) -> S:
        return kind(
            self.config,
            shard,
            self.corpus(shard.corpus),
            self.recogniser(shard.model, shard.trained_on, shard.fold),
            seen_in_training=self.models(shard.model, shard.trained_on).seen_in_training(shard.corpus),
            store=self.store,
            device=self.execution.device,
        )


class KeepingScorer(ShardScorer):
    """Also gathers the explanations of rows found in the store, so that a shard's file holds all that its rows read.

    What an earlier plan or a damaged file left is read again; only what cannot be read is explained again.
    """

    gathering = False

    def _score_clip(self, clip_id: str, partner: str) -> list[dict[str, Any]]:
        rows = super()._score_clip(clip_id, partner)
        self.gathering = True
        for row in rows:
            if row["status"] != "failed" and row["key"] not in self.timing["scores"]:
                cell = (row[name] for name in ("target", "condition", "method", "metric", "fill", "repeat"))
                with suppress(Exception):  # not applicable again, or lost for good: the score stays
                    self._score(clip_id, partner, *cell)
        self.gathering = False
        return rows

    def _outcome(self, metric: str, case: Case, explained: Explained) -> Outcome:
        return Outcome(0.0) if self.gathering else super()._outcome(metric, case, explained)


class LostShard(ShardScorer):
    """A shard that could not be computed: every row fails, for `reason`."""

    reason: str

    def _predicted(self, clip_id: str, condition: str) -> str:
        raise ClipError(self.reason)


def keep_heap() -> None:
    """Keep freed memory in the process.

    glibc hands a network's buffers back to the system after each batch and asks for them again: a fifth of the time of
    a deletion trajectory. Does nothing where the C library is another.
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD, its maximum


def resident_bytes() -> tuple[int, int]:
    """Memory this process holds now, and the most it has held (where the system does not tell, the most twice)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    statm = Path("/proc/self/statm")
    now = int(statm.read_text().split()[1]) * resource.getpagesize() if statm.is_file() else peak
    return now, max(now, peak)


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


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def on_cpu(execution: Execution) -> Execution:
    """As `execution`, without an accelerator."""
    return Execution(data_root=execution.data_root)


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


def die_with_parent(parent: int) -> None:
    """Have Linux kill this process when `parent` ends; elsewhere it ends at its next message to the parent."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
