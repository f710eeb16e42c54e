"""Runner of the qualification: the trials of one clip by one recogniser are one task, with a file of its own.

    runs/qualify/trials/KEY.parquet      rows of one clip and recogniser
    runs/qualify/run.json                what was asked for, with versions
    runs/qualify/qualification.*         the table (`qualify_report`)

A file's key holds what its trials depend on, its rows name metric and version: resuming computes the clips that are
missing, and of the others the metrics that are new or have changed.
"""

from __future__ import annotations

import io
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ... import __version__
from ...datasets.corpora import CORPORA
from ...errors import InputError, SerxaiError
from ...keys import digest
from ...metrics.records import METRICS
from ...progress import Progress, no_progress
from ..run.execution import Execution
from ..run.pool import execute_local
from ..run.processes import use_one_thread
from ..run.provenance import PACKAGES, git_state, machine, now, version
from ..run.workbench import Workbench
from ..storage.files import write_atomically, writing
from .config import QualifyConfig
from .trials import VERSION, ClipTrials, calls_of_trials, score_trials

NEUTRAL = "neutral"


@dataclass(frozen=True)
class TrialTask:
    """The trials of one clip and one recogniser; picklable.

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

    @property
    def clips(self) -> tuple[str, ...]:
        """The clip, as the pool of processes counts them."""
        return (self.clip,)


def plan_trials(config: QualifyConfig, bench: Workbench) -> list[TrialTask]:
    """All tasks of a configuration, in the corpus' order of clips.

    Raises
    ------
    InputError
        For a corpus without a truth, or if no clip is left.
    """
    tasks = []
    for name in config.corpora:
        if not CORPORA.get(name).twinned:
            raise InputError(
                f"corpus {name!r} has no known truth to qualify metrics on; take --corpus planted or another "
                "corpus that `serxai ls corpora` calls planted."
            )
        corpus = bench.corpus(name)
        emotions = [e for e in config.emotions if e != NEUTRAL]
        clips = corpus.select(emotions, config.limit or None) if emotions else []
        if not clips:
            raise InputError(f"corpus {name!r}: no clip with a planted cue; neutral ones have none.")
        corpus.prepare(clips)
        identities = {clip: corpus.clip(clip).sha256 for clip in clips}
        for clip, model in product(clips, config.models):  # so that a part of a run holds all recognisers
            models = bench.models(model, config.trained_on or name)
            fold = models.fold_for(name, str(corpus.table.loc[clip, "speaker"]), clip)
            recogniser = bench.recogniser(model, models.trained_on, fold)
            bounded = [] if recogniser.memory is None else [recogniser.memory]
            key = digest(
                "qualify", VERSION, name, clip, identities[clip], recogniser.fingerprint, recogniser.batch, *bounded,
                config.fills, config.seed,
            )  # fmt: skip
            tasks.append(TrialTask(key, name, model, models.trained_on, fold, clip))
    return tasks


class TrialWorker:
    """Computes trials in one process, keeping corpora and recognisers between them.

    Parameters
    ----------
    config : QualifyConfig
    folder : Path
        Holds one file for each task.
    execution : Execution
    """

    def __init__(self, config: QualifyConfig, folder: Path, execution: Execution) -> None:
        use_one_thread()
        self.config = config
        self.folder = folder
        self.bench = Workbench(execution, quiet=True)

    def compute(self, task: TrialTask, done: Callable[[str], None] = lambda clip: None, attempt: int = 1) -> None:
        """Compute the trials of a task that have no rows yet, and write them.

        Raises
        ------
        InputError
            If the rows cannot be written.
        """
        missing, file = missing_metrics(self.config, task, self.folder), _file(self.folder, task)
        trials = make_trials(self.config, self.bench, task)
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
        with writing(self.folder.parent):
            write_atomically(file, body.getvalue())
        done(task.clip)

    def give_up(self, task: TrialTask, reason: str, attempt: int) -> None:
        """End the qualification: verdicts need the trials of every clip.

        Raises
        ------
        SerxaiError
        """
        raise SerxaiError(f"clip {task.clip}, recogniser {task.model}: {reason}")


def make_trials(config: QualifyConfig, bench: Workbench, task: TrialTask) -> ClipTrials:
    """The trials of a task."""
    recogniser = bench.recogniser(task.model, task.trained_on, task.fold)
    return ClipTrials(recogniser, bench.corpus(task.corpus).clip(task.clip), config.fills, config.seed)


def missing_metrics(config: QualifyConfig, task: TrialTask, folder: Path) -> list[str]:
    """Metrics of which a task has no rows of their present version."""
    file = _file(folder, task)
    if not file.exists():
        return config.metrics
    kept = pd.read_parquet(file, columns=["metric", "metric_version"]).drop_duplicates()
    known = set(kept.itertuples(index=False, name=None))
    return [name for name in config.metrics if (name, METRICS.get(name).version) not in known]


def qualify(
    config: QualifyConfig, out: str | Path, execution: Execution | None = None, progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Compute the trials of every metric, or those that are missing.

    Parameters
    ----------
    config : QualifyConfig
    out : str or Path
    execution : Execution, optional
    progress : Progress, optional

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
    execution, progress = execution or Execution(), progress or no_progress
    bench = Workbench(execution, progress)
    tasks, folder = plan_trials(config, bench), Path(out) / "trials"
    pending = [task for task in tasks if missing_metrics(config, task, folder)]
    info = {
        "config": config.model_dump(), "qualification": VERSION, "started": now(), "machine": machine(),
        "versions": {"serxai": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "git": git_state(Path(__file__).resolve().parents[2]),
        "metrics": {name: METRICS.get(name).version for name in config.metrics},
        "models": {
            f"{m}/{c}": bench.models(m, config.trained_on or c).info for c in config.corpora for m in config.models
        },
        "tasks": len(tasks),
    }  # fmt: skip
    write_atomically(Path(out) / "run.json", _json(info | {"status": "running"}))
    done = len(tasks) - len(pending)
    progress("clips", done, len(tasks))
    if pending:
        execution = replace(execution, workers=min(execution.workers, len(pending)))
        for finished in execute_local(partial(TrialWorker, config, folder), execution, pending):
            done += finished
            progress("clips", done, len(tasks))
    parts = [pd.read_parquet(_file(folder, task)) for task in tasks]
    info |= {"status": "done", "finished": now()}
    info |= {name: float(sum(part.attrs[name] for part in parts)) for name in ("model_calls", "seconds")}
    write_atomically(Path(out) / "run.json", _json(info))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["metric"].isin(config.metrics)].reset_index(drop=True), info


def _file(folder: Path, task: TrialTask) -> Path:
    return folder / f"{task.key}.parquet"


def _json(info: dict[str, Any]) -> bytes:
    return json.dumps(info, indent=2, default=str).encode()


# -- forecast ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrialForecast:
    """Cost of the trials that are not computed yet, by one recogniser.

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
) -> list[TrialForecast]:
    """Cost of what `qualify` would compute, by recogniser; nothing is scored.

    Raises
    ------
    InputError
        As `qualify`.
    """
    bench = Workbench(execution, progress)
    forecasts = []
    tasks, folder = plan_trials(config, bench), Path(out) / "trials"
    for model in config.models:
        missing = {t: names for t in tasks if t.model == model and (names := missing_metrics(config, t, folder))}
        if not missing:
            forecasts.append(TrialForecast(model, 0, 0, 0.0))
            continue
        task, names = next(iter(missing.items()))
        trials = make_trials(config, bench, task)
        calls = calls_of_trials(trials, names) * len(missing)
        recogniser = trials.case.recogniser
        copies = np.repeat(trials.case.clip.samples[None], recogniser.batch, axis=0)
        recogniser.log_odds(copies)  # the first call is slower
        before = recogniser.seconds
        recogniser.log_odds(copies)
        forecasts.append(
            TrialForecast(model, len(missing), calls, (recogniser.seconds - before) / recogniser.batch * calls)
        )
    return forecasts
