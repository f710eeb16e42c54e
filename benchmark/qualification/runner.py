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
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ... import __version__
from ...cues.windows import WindowCues
from ...datasets.corpora import CORPORA
from ...datasets.corpus import Corpus
from ...errors import InputError, NotApplicable, SerxaiError
from ...keys import digest
from ...metrics.records import METRICS
from ...progress import Progress, no_progress
from ..run.execution import Execution
from ..run.fine_tuned import Copies, fine_tunes, training_clips
from ..run.neutral import neutral_reference, window_cues
from ..run.pool import execute_local
from ..run.processes import use_one_thread
from ..run.provenance import PACKAGES, git_state, machine, now, version
from ..run.workbench import Workbench
from ..storage.files import write_atomically, writing
from .config import QualifyConfig
from .trials import OTHERS, VERSION, ClipTrials, calls_of_trials, ladder_kind, score_trials

NEUTRAL = "neutral"


@dataclass(frozen=True)
class TrialTask:
    """The trials of one clip and one recogniser; picklable.

    Attributes
    ----------
    key : str
        Digest of everything the trials depend on.
    model : str
        Name of the recogniser in the tables.
    metrics : tuple of str
        Those that are tried on this clip with this recogniser.
    fills : tuple of str
    diagnostic : bool
        See `trials.ClipTrials`.
    checkpoint : Path or None
        Folder of a further training of a registered model.
    """

    key: str
    corpus: str
    model: str
    trained_on: str
    fold: str
    clip: str
    metrics: tuple[str, ...]
    fills: tuple[str, ...]
    diagnostic: bool
    checkpoint: Path | None = None

    @property
    def clips(self) -> tuple[str, ...]:
        """The clip, as the pool of processes counts them."""
        return (self.clip,)


@dataclass(frozen=True)
class TriedModel:
    """A recogniser of a qualification.

    Attributes
    ----------
    label : str
        Its name in the tables.
    model : str
        Registered name.
    full : bool
        Whether all metrics are tried, under all fills; else those on ladders of truth under the first.
    checkpoint : Path or None
    """

    label: str
    model: str
    full: bool
    checkpoint: Path | None = None


class Benches:
    """Workbenches by the checkpoint of a further training; `None` is the one of all other recognisers.

    Parameters
    ----------
    execution : Execution
    progress : Progress, optional
    quiet : bool
    """

    def __init__(self, execution: Execution, progress: Progress | None = None, quiet: bool = False) -> None:
        self._execution, self._progress, self._quiet = execution, progress, quiet
        self.main = Workbench(execution, progress, quiet=quiet)
        self._others: dict[Path, Workbench] = {}

    def of(self, model: str, checkpoint: Path | None) -> Workbench:
        """Workbench that loads a model from a checkpoint, with the corpora of the main one."""
        if checkpoint is None:
            return self.main
        if checkpoint not in self._others:
            execution = replace(self._execution, checkpoints={model: checkpoint})
            self._others[checkpoint] = Workbench(execution, self._progress, quiet=True)
            self._others[checkpoint].corpora = self.main.corpora
        return self._others[checkpoint]


def tried_models(config: QualifyConfig, retrained: Sequence[tuple[str, Path]] = ()) -> list[TriedModel]:
    """All recognisers of a qualification.

    Parameters
    ----------
    config : QualifyConfig
    retrained : sequence of (str, Path)
        Registered models and folders of ``serxai train`` with another training of them.
    """
    again = [TriedModel(f"{model}-{path.name}", model, False, path) for model, path in retrained]
    return [
        *(TriedModel(name, name, True) for name in config.models),
        *(TriedModel(name, name, False) for name in config.further if name not in config.models),
        *again,
    ]


def plan_trials(config: QualifyConfig, benches: Benches, retrained: Sequence[tuple[str, Path]] = ()) -> list[TrialTask]:
    """All tasks of a configuration, in the corpus' order of clips, which is balanced over voices and emotions.

    Raises
    ------
    InputError
        For a corpus without a truth, or if no clip is left.
    """
    tasks = []
    identified: dict[tuple[str, str, str], list[Any]] = {}
    truth = tuple(name for name in config.metrics if _of_truth(name) and not name.startswith(OTHERS))
    for name in config.corpora:
        if not CORPORA.get(name).twinned:
            raise InputError(
                f"corpus {name!r} has no known truth to qualify metrics on; take --corpus planted or another "
                "corpus that `serxai ls corpora` calls planted."
            )
        corpus = benches.main.corpus(name)
        emotions = [e for e in config.emotions if e != NEUTRAL]
        clips = corpus.select(emotions, config.limit or None) if emotions else []
        if not clips:
            raise InputError(f"corpus {name!r}: no clip with a planted cue; neutral ones have none.")
        corpus.prepare([*clips, *(other for clip in clips if (other := other_emotion(corpus, clip)) is not None)])
        identities = {clip: corpus.clip(clip).sha256 for clip in clips}
        for place, clip in enumerate(clips):  # clip by clip, so that a part of a run holds all recognisers
            for tried in tried_models(config, retrained):
                if not tried.full and config.further_limit and place >= config.further_limit:
                    continue
                fills = tuple(config.fills if tried.full else config.fills[:1])
                diagnostic = tried.full and (not config.diagnostic_limit or place < config.diagnostic_limit)
                limited = {metric for metric, most in config.limits.items() if place >= most}
                metrics = tuple(m for m in (config.metrics if tried.full else truth) if m not in limited)
                if not metrics:
                    continue
                bench = benches.of(tried.model, tried.checkpoint)
                models = bench.models(tried.model, config.trained_on or name)
                fold = models.fold_for(name, str(corpus.table.loc[clip, "speaker"]), clip)
                if (tried.label, name, fold) not in identified:
                    recogniser = bench.recogniser(tried.model, models.trained_on, fold)
                    bounded = [] if recogniser.memory is None else [recogniser.memory]
                    identified[tried.label, name, fold] = [recogniser.fingerprint, recogniser.batch, *bounded]
                key = digest(
                    "qualify", VERSION, name, clip, identities[clip], *identified[tried.label, name, fold], list(fills),
                    config.seed, diagnostic,
                )  # fmt: skip
                tasks.append(
                    TrialTask(
                        key, name, tried.label, models.trained_on, fold, clip, metrics, fills, diagnostic,
                        tried.checkpoint,
                    )
                )  # fmt: skip
    return tasks


def other_emotion(corpus: Corpus, clip: str) -> str | None:
    """Id of the next clip of the same voice and sentence with another planted emotion; None where there is none."""
    table, row = corpus.table, corpus.table.loc[clip]
    same = table[(table["speaker"] == row["speaker"]) & (table["sentence"] == row["sentence"])]
    found = sorted(same.index[~same["emotion"].isin([row["emotion"], NEUTRAL])])
    return str(found[0]) if found else None


def _of_truth(metric: str) -> bool:
    try:
        return ladder_kind(METRICS.get(metric)) == "truth"
    except NotApplicable:
        return False


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
        self.benches = Benches(execution, quiet=True)
        self._cues: dict[str, WindowCues | None] = {}

    def compute(self, task: TrialTask, done: Callable[[str], None] = lambda clip: None, attempt: int = 1) -> None:
        """Compute the trials of a task that have no rows yet, and write them.

        Raises
        ------
        InputError
            If the rows cannot be written.
        """
        missing, file = missing_metrics(task, self.folder), _file(self.folder, task)
        trials = make_trials(self.config, self.benches, task, self._cues)
        before, start = trials.case.recogniser.calls, time.perf_counter()
        rows = pd.DataFrame(score_trials(trials, missing))
        clip = trials.case.clip
        facts = {"corpus": task.corpus, "recogniser": task.model, "clip": clip.id, "speaker": clip.speaker,
                 "sentence": clip.sentence, "emotion": clip.emotion}  # fmt: skip
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


def make_trials(
    config: QualifyConfig, benches: Benches, task: TrialTask, cues: dict[str, WindowCues | None] | None = None
) -> ClipTrials:
    """The trials of a task.

    Parameters
    ----------
    config : QualifyConfig
    benches : Benches
    task : TrialTask
    cues : dict, optional
        Cues of neutral clips' windows by clip, kept between tasks.
    """
    model = task.model if task.checkpoint is None else task.model.removesuffix(f"-{task.checkpoint.name}")
    bench = benches.of(model, task.checkpoint)
    recogniser = bench.recogniser(model, task.trained_on, task.fold)
    corpus, kept = benches.main.corpus(task.corpus), {} if cues is None else cues

    def cues_of(name: str) -> WindowCues | None:
        if name not in kept:
            kept[name] = window_cues(corpus.clip(name))
        return kept[name]

    other = other_emotion(corpus, task.clip)
    models = bench.models(model, task.trained_on)
    training = training_clips(corpus, models, task.fold) if fine_tunes(task.metrics) else ()
    copies = Copies(recogniser, lambda: {clip: corpus.clip(clip).sha256 for clip in training}, corpus.clip)
    return ClipTrials(
        recogniser, corpus.clip(task.clip), task.fills, config.seed,
        neutral=lambda: neutral_reference(corpus, task.clip, cues_of),
        other=None if other is None else corpus.clip(other), diagnostic=task.diagnostic,
        fine_tuned=copies if training else None,
    )  # fmt: skip


def missing_metrics(task: TrialTask, folder: Path) -> list[str]:
    """Metrics of which a task has no rows of their present version."""
    file = _file(folder, task)
    if not file.exists():
        return list(task.metrics)
    kept = pd.read_parquet(file, columns=["metric", "metric_version"]).drop_duplicates()
    known = set(kept.itertuples(index=False, name=None))
    return [name for name in task.metrics if (name, METRICS.get(name).version) not in known]


def qualify(
    config: QualifyConfig,
    out: str | Path,
    execution: Execution | None = None,
    progress: Progress | None = None,
    retrained: Sequence[tuple[str, Path]] = (),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Compute the trials of every metric, or those that are missing.

    Parameters
    ----------
    config : QualifyConfig
    out : str or Path
    execution : Execution, optional
    progress : Progress, optional
    retrained : sequence of (str, Path)
        See `tried_models`.

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
    benches = Benches(execution, progress)
    tasks, folder = plan_trials(config, benches, retrained), Path(out) / "trials"
    pending = [task for task in tasks if missing_metrics(task, folder)]
    info = {
        "config": config.model_dump(), "qualification": VERSION, "started": now(), "machine": machine(),
        "versions": {"serxai": __version__, "python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "git": git_state(Path(__file__).resolve().parents[2]),
        "metrics": {name: METRICS.get(name).version for name in config.metrics},
        "models": {
            f"{m.label}/{c}": benches.of(m.model, m.checkpoint).models(m.model, config.trained_on or c).info
            for c in config.corpora for m in tried_models(config, retrained)
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
    config: QualifyConfig,
    out: str | Path,
    execution: Execution | None = None,
    progress: Progress | None = None,
    retrained: Sequence[tuple[str, Path]] = (),
) -> list[TrialForecast]:
    """Cost of what `qualify` would compute, by recogniser; nothing is scored.

    Raises
    ------
    InputError
        As `qualify`.
    """
    benches = Benches(execution or Execution(), progress)
    forecasts = []
    tasks, folder = plan_trials(config, benches, retrained), Path(out) / "trials"
    for model in dict.fromkeys(task.model for task in tasks):
        missing = {t: names for t in tasks if t.model == model and (names := missing_metrics(t, folder))}
        if not missing:
            forecasts.append(TrialForecast(model, 0, 0, 0.0))
            continue
        calls = 0
        by_names = Counter(tuple(names) for names in missing.values())
        for metrics, count in by_names.items():  # of one clip of each kind
            task = next(t for t, own in missing.items() if tuple(own) == metrics)
            trials = make_trials(config, benches, task)
            calls += calls_of_trials(trials, metrics) * count
        recogniser = trials.case.recogniser
        copies = np.repeat(trials.case.clip.samples[None], recogniser.batch, axis=0)
        recogniser.log_odds(copies)  # the first call is slower
        before = recogniser.seconds
        recogniser.log_odds(copies)
        forecasts.append(
            TrialForecast(model, len(missing), calls, (recogniser.seconds - before) / recogniser.batch * calls)
        )
    return forecasts
