"""Running a plan: shards in worker processes, live progress, one writer a folder, and nothing computed twice."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

import pandas as pd
import torch

from .. import __version__
from ..datasets.corpora import load_corpus
from ..datasets.corpus import Corpus
from ..errors import InputError
from ..models.foldmodels import FoldModels, obtain_fold_models
from ..models.recogniser import Recogniser
from .config import RunConfig
from .plan import Plan, Shard, make_plan
from .scoring import ShardScorer
from .store import Store

PACKAGES = ("torch", "numpy", "scipy", "pandas", "librosa", "praat-parselmouth", "captum", "zennit", "quantus",
            "soundfile", "soxr", "pyarrow")  # fmt: skip

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Execution:
    """How a run is computed; none of it moves a score.

    Attributes
    ----------
    workers : int
        Processes; 1 computes in this one.
    device : str
    data_root : Path or None
    retry_failed : bool
        Compute shards with failed rows again.
    """

    workers: int = 1
    device: str = "cpu"
    data_root: Path | None = None
    retry_failed: bool = False


class Workbench:
    """What a process keeps between shards: corpora, fold models and recognisers, each loaded once."""

    def __init__(self, config: RunConfig, execution: Execution, path: Path) -> None:
        torch.set_num_threads(1)  # small networks are slower with more, and scores must not depend on it
        keep_heap()
        self.config = config
        self.execution = execution
        self.store = Store(path)
        self._corpora: dict[str, Corpus] = {}
        self._models: dict[tuple[str, str], FoldModels] = {}
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
            if key[:2] not in self._models:
                self._models[key[:2]] = obtain_fold_models(model, self.corpus(trained_on))
            self._recogniser = key, self._models[key[:2]].recogniser(fold, self.execution.device)
        return self._recogniser[1]

    def compute(self, shard: Shard, done: Callable[[str], None]) -> int:
        """Score one shard and write it; returns the number of failed rows."""
        scorer = ShardScorer(
            self.config,
            shard,
            self.corpus(shard.corpus),
            self.recogniser(shard.model, shard.trained_on, shard.fold),
            seen_in_training="no",  # fold models are chosen by the speakers they have not heard
            store=self.store,
            device=self.execution.device,
        )
        rows = scorer.run(done)
        self.store.write_shard(shard.key, rows, scorer.explanations, scorer.predictions, scorer.timing)
        return sum(row["status"] == "failed" for row in rows)


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
    """
    execution = execution or Execution()
    report = progress or (lambda what, done, total: None)
    store = Store(out)
    with store.locked():
        plan = make_plan(config, execution.data_root, progress)
        info = _describe(plan, execution)
        pending = [shard for shard in plan.shards if _is_pending(store, shard, execution.retry_failed)]
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
        store.write_info(info | {"status": "done" if not info["rows"]["failed"] else "done with failures"})
    return store


def keep_heap() -> None:
    """Keep freed memory in the process.

    glibc hands a network's buffers back to the system after each batch and asks for them again: a fifth of the time of
    a deletion trajectory. Does nothing where the C library is another.
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD, its maximum


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


# -- computing ---------------------------------------------------------------------------------------------------------


def _compute(config: RunConfig, execution: Execution, path: Path, shards: list[Shard]) -> Iterable[int]:
    """Compute shards, yielding the number of clips finished since the last time."""
    if not shards:
        return
    if execution.workers == 1:
        threads = torch.get_num_threads()
        try:
            bench = Workbench(config, execution, path)
            for shard in shards:
                bench.compute(shard, lambda clip: None)
                yield len(shard.clips)
        finally:
            torch.set_num_threads(threads)
        return
    # spawned, not forked: a forked torch can hang on locks its threads held
    context = get_context("spawn")
    with context.Manager() as manager:
        ticks = manager.Queue()
        workers = min(execution.workers, len(shards))
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        with ProcessPoolExecutor(workers, context, _start_worker, (config, execution, path, ticks)) as pool:
            waiting: set[Future] = {pool.submit(_compute_in_worker, shard) for shard in shards}
            try:
                while waiting:
                    finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                    yield _drain(ticks)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            yield _drain(ticks)


def _drain(ticks: Any) -> int:
    count = 0
    while True:
        try:
            ticks.get_nowait()
        except Empty:
            return count
        count += 1


_worker: tuple[Workbench, Any] | None = None  # set once in each spawned process, by the pool's initializer


def _start_worker(config: RunConfig, execution: Execution, path: Path, ticks: Any) -> None:
    global _worker
    _worker = Workbench(config, execution, path), ticks


def _compute_in_worker(shard: Shard) -> int:
    if _worker is None:
        raise RuntimeError("worker process was not initialised")
    bench, ticks = _worker
    return bench.compute(shard, ticks.put)


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
            "workers": execution.workers,
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
