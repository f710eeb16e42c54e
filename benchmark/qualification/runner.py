"""Running the qualification: every clip is one piece of work, computed once, kept in a file of its own.

    runs/qualify/trials/KEY.parquet      rows of one clip and recogniser
    runs/qualify/run.json                what was asked for, with versions
    runs/qualify/qualification.*         the table (`report`)

A file's key holds what its trials depend on, its rows name metric and version: resuming computes the clips that are
missing, and of the others the metrics that are new or have changed.
"""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ... import __version__
from ...datasets.corpora import CORPORA, load_corpus
from ...datasets.corpus import Corpus
from ...errors import InputError
from ...keys import digest
from ...metrics.records import METRICS
from ...models.foldmodels import Models
from ...models.obtain import obtain_models
from ...models.recogniser import Recogniser
from ..run.execution import Execution
from ..run.processes import die_with_parent, environment
from ..run.provenance import PACKAGES, git_state, machine, now, version
from ..storage.files import write_atomically
from .config import QualifyConfig
from .trials import VERSION, ClipTrials, calls_of_trials, score_trials

NEUTRAL = "neutral"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Task:
    """One clip and one recogniser; picklable.

    Attributes
    ----------
    key : str
        Digest of everything the trials depend on.
    """

    key: str
    corpus: str
    model: str
    trained_on: str
    fold: str
    clip: str


class Bench:
    """What tasks of a configuration share: corpora and recognisers, each loaded when first asked for.

    Parameters
    ----------
    config : QualifyConfig
    execution : Execution
    progress : callable, optional
    """

    def __init__(self, config: QualifyConfig, execution: Execution, progress: Progress | None = None) -> None:
        self.config, self.execution = config, execution
        self.metrics = config.metrics
        self._report = progress or (lambda what, done, total: None)
        self._corpora: dict[str, Corpus] = {}
        self._models: dict[tuple[str, str], Models] = {}

    def corpus(self, name: str) -> Corpus:
        """The corpus of this name."""
        if name not in self._corpora:
            render = partial(self._report, f"rendering {name}")
            self._corpora[name] = load_corpus(name, self.execution.data_root, render)
        return self._corpora[name]

    def models(self, model: str, corpus: str) -> Models:
        """The recognisers of a model that explain a corpus."""
        trained_on = self.config.trained_on or corpus
        if (model, trained_on) not in self._models:
            found = obtain_models(
                model,
                partial(self.corpus, trained_on),
                checkpoint=self.execution.checkpoints.get(model),
                trust=self.execution.trust,
                progress=partial(self._report, f"training {model} on {trained_on}"),
            )
            assert found is not None  # trained where there was none
            self._models[model, trained_on] = found
        return self._models[model, trained_on]

    def recogniser(self, task: Task) -> Recogniser:
        """The recogniser of a task."""
        return self.models(task.model, task.corpus).recogniser(task.fold, self.execution.device)

    def trials(self, task: Task) -> ClipTrials:
        """The trials of a task."""
        fills = self.config.fills
        return ClipTrials(self.recogniser(task), self.corpus(task.corpus).clip(task.clip), fills, self.config.seed)

    def tasks(self) -> list[Task]:
        """All tasks, clips in the corpus' order of choice.

        Raises
        ------
        InputError
            For a corpus without a truth, or if no clip is left.
        """
        found = []
        for name in self.config.corpora:
            if not CORPORA.get(name).twinned:
                raise InputError(
                    f"corpus {name!r} has no known truth to qualify metrics on; take --corpus planted or another "
                    "corpus that `serxai ls corpora` calls planted."
                )
            corpus = self.corpus(name)
            emotions = [e for e in self.config.emotions if e != NEUTRAL]
            clips = corpus.select(emotions, self.config.limit or None) if emotions else []
            if not clips:
                raise InputError(f"corpus {name!r}: no clip with a planted cue; neutral ones have none.")
            corpus.prepare(clips)
            identities = {clip: corpus.clip(clip).sha256 for clip in clips}
            for clip, model in product(clips, self.config.models):  # so that a part of a run holds all recognisers
                models = self.models(model, name)
                fold = models.fold_for(name, str(corpus.table.loc[clip, "speaker"]))
                recogniser = models.recogniser(fold, self.execution.device)
                key = digest(
                    "qualify", VERSION, name, clip, identities[clip], recogniser.fingerprint, recogniser.batch,
                    self.config.fills, self.config.seed,
                )  # fmt: skip
                found.append(Task(key, name, model, models.trained_on, fold, clip))
        return found

    def missing(self, task: Task, folder: Path) -> list[str]:
        """Metrics of which a task has no rows of their present version."""
        file = _kept(folder, task)
        if not file.exists():
            return list(self.metrics)
        kept = pd.read_parquet(file, columns=["metric", "metric_version"]).drop_duplicates()
        known = set(kept.itertuples(index=False, name=None))
        return [name for name in self.metrics if (name, METRICS.get(name).version) not in known]

    def compute(self, task: Task, folder: Path) -> None:
        """Make what is missing of a task, and keep it."""
        missing, file = self.missing(task, folder), _kept(folder, task)
        trials = self.trials(task)
        before, start = trials.case.recogniser.calls, time.perf_counter()
        rows = pd.DataFrame(score_trials(trials, missing))
        clip = trials.case.clip
        facts = {"corpus": task.corpus, "recogniser": task.model, "clip": clip.id, "speaker": clip.speaker,
                 "emotion": clip.emotion}  # fmt: skip
        rows = rows.assign(**facts)[[*facts, *rows.columns]]
        spent = {"model_calls": trials.case.recogniser.calls - before, "seconds": time.perf_counter() - start}
        if file.exists():
            kept = pd.read_parquet(file)
            spent = {name: value + kept.attrs[name] for name, value in spent.items()}
            rows = pd.concat([kept[~kept["metric"].isin(missing)], rows], ignore_index=True)
        rows.attrs = spent
        body = io.BytesIO()
        rows.to_parquet(body)
        write_atomically(file, body.getvalue())


def qualify(
    config: QualifyConfig, out: str | Path, execution: Execution | None = None, progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Put every metric to its trials, or finish doing so.

    Parameters
    ----------
    config : QualifyConfig
    out : str or Path
    execution : Execution, optional
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    rows : DataFrame
        Of all tasks.
    info : dict
        What run.json says.

    Raises
    ------
    InputError
        If there is no clip, or no truth.
    """
    execution, report = execution or Execution(), progress or (lambda what, done, total: None)
    bench = Bench(config, execution, progress)
    tasks, folder = bench.tasks(), Path(out) / "trials"
    pending = [task for task in tasks if bench.missing(task, folder)]
    info = {
        "config": config.model_dump(), "qualification": VERSION, "started": now(), "machine": machine(),
        "versions": {"serxai": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "git": git_state(Path(__file__).resolve().parents[2]),
        "metrics": {name: METRICS.get(name).version for name in bench.metrics},
        "models": {f"{m}/{c}": bench.models(m, c).info for c in config.corpora for m in config.models},
        "tasks": len(tasks),
    }  # fmt: skip
    write_atomically(Path(out) / "run.json", _json(info | {"status": "running"}))
    report("clips", len(tasks) - len(pending), len(tasks))
    for done, _ in enumerate(_computed(bench, pending, folder), len(tasks) - len(pending) + 1):
        report("clips", done, len(tasks))
    parts = [pd.read_parquet(_kept(folder, task)) for task in tasks]
    info |= {"status": "done", "finished": now()}
    info |= {name: float(sum(part.attrs[name] for part in parts)) for name in ("model_calls", "seconds")}
    write_atomically(Path(out) / "run.json", _json(info))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["metric"].isin(bench.metrics)].reset_index(drop=True), info


def _kept(folder: Path, task: Task) -> Path:
    return folder / f"{task.key}.parquet"


def _json(info: dict[str, Any]) -> bytes:
    return json.dumps(info, indent=2, default=str).encode()


def _computed(bench: Bench, tasks: Sequence[Task], folder: Path) -> Iterator[Task]:
    """Compute tasks and keep their rows, yielding each as it is finished."""
    workers = min(bench.execution.workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            bench.compute(task, folder)
            yield task
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(os.getpid(),))
    with environment(OMP_NUM_THREADS="1"), pool:  # read by libraries as the children import them
        running = {pool.submit(_work, bench.config, bench.execution, task, folder): task for task in tasks}
        try:
            for finished in as_completed(running):
                finished.result()
                yield running[finished]
        finally:
            pool.shutdown(cancel_futures=True)


def _start(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    die_with_parent(parent)
    torch.set_num_threads(1)


def _work(config: QualifyConfig, execution: Execution, task: Task, folder: Path) -> None:
    Bench(config, execution).compute(task, folder)  # loading takes a hundredth of what a clip takes


# -- what it will cost -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """What a qualification will take.

    Attributes
    ----------
    recogniser : str
    clips : int
        Still to do.
    model_calls : int
        Of all these clips, from the calls of one.
    recogniser_s : float
        Seconds inside the recogniser, from a trial of one batch; rendering and scoring come on top.
    """

    recogniser: str
    clips: int
    model_calls: int
    recogniser_s: float


def forecast(
    config: QualifyConfig, out: str | Path, execution: Execution | None = None, progress: Progress | None = None
) -> list[Forecast]:
    """What `qualify` would compute, by recogniser; nothing is scored.

    Raises
    ------
    InputError
        As `qualify`.
    """
    bench = Bench(config, execution or Execution(), progress)
    found = []
    tasks, folder = bench.tasks(), Path(out) / "trials"
    for model in config.models:
        missing = {t: names for t in tasks if t.model == model and (names := bench.missing(t, folder))}
        if not missing:
            found.append(Forecast(model, 0, 0, 0.0))
            continue
        task, names = next(iter(missing.items()))
        trials = bench.trials(task)
        calls = calls_of_trials(trials, names) * len(missing)
        recogniser = trials.case.recogniser
        copies = np.repeat(trials.case.clip.samples[None], recogniser.batch, axis=0)
        recogniser.log_odds(copies)  # the first call is slower
        before = recogniser.seconds
        recogniser.log_odds(copies)
        found.append(Forecast(model, len(missing), calls, (recogniser.seconds - before) / recogniser.batch * calls))
    return found
