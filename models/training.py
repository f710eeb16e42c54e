"""Training of recognisers in speaker-grouped folds: planning, training, and the folder that is written.

Networks are trained by `network_training`, linear heads on fixed features by `head_training`. The held-out
speakers of a fold are used for the report only.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .checkpoint import Card, Origin, save_card
from .factory import model_kind
from .foldmodels import FoldModels, load_fold_models
from .head_training import HeadSettings, fit_heads
from .network_training import SETTINGS, Settings, fit_networks
from .records import MODELS
from .scores import INTERVAL, calibration_error, confusion, score
from .task import VERSION, TrainingTask
from .training_result import TrainingResult

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus

COMMON_EMOTIONS = ("anger", "happiness", "neutral", "sadness")
LIBRARIES = ("torch", "numpy", "librosa", "scikit-learn", "praat-parselmouth", "safetensors")

Progress = Callable[[int, int], None]


def plan_training(
    name: str,
    corpus: Corpus,
    *,
    folds: int = 5,
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    width: int | None = None,
) -> TrainingTask:
    """Plan a training: choose classes, clips, folds and settings.

    Parameters
    ----------
    name : str
        Model in the registry.
    corpus : Corpus
    folds : int
    seed : int
    emotions : sequence of str, optional
        Default: anger, happiness, neutral and sadness where every fold can learn them (the classes that corpora share
        and papers compare), else all emotions that every fold has in its training part.
    width : int, optional
        Of a network's first layer; default: the setting of the corpus.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If fewer than two emotions, or one that was asked for, can be learned in every fold.
    """
    kind = model_kind(name)
    if kind == "foreign":
        raise InputError(f"model {name!r} is used as it comes and cannot be trained; see `serxai ls models`.")
    if width is not None and kind != "network":
        raise InputError(f"width is a setting of networks; model {name!r} has no layers to widen. Leave it out.")
    split = corpus.folds(folds)
    table = corpus.table
    speakers = table.groupby("emotion")["speaker"].agg(set)
    learnable = [e for e in speakers.index if all(speakers[e] - set(held_out) for held_out in split.speakers.values())]
    common = COMMON_EMOTIONS if set(COMMON_EMOTIONS) <= set(learnable) else learnable
    classes = tuple(sorted(common if emotions is None else set(emotions)))
    for emotion in set(classes) - set(learnable):
        raise InputError(
            f"emotion {emotion!r} cannot be learned from corpus {corpus.name!r}: some fold holds out all speakers that "
            f"have it. Emotions that can: {', '.join(learnable) or 'none'}."
        )
    if len(classes) < 2:
        raise InputError(
            f"corpus {corpus.name!r}: training needs at least 2 emotions, got {', '.join(classes) or 'none'}."
        )
    clips = tuple(sorted(table.index[table["emotion"].isin(classes)]))
    settings: Settings | HeadSettings = HeadSettings()
    if kind == "network":
        settings = SETTINGS.get(corpus.name, Settings())
        settings = settings if width is None else replace(settings, width=width)
    return TrainingTask(name, corpus, classes, clips, split, settings, seed)


def train_fold_models(
    name: str,
    corpus: Corpus,
    out: str | Path,
    *,
    folds: int = 5,
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    width: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FoldModels:
    """Train one model per fold and write them with their held-out scores.

    Parameters
    ----------
    name : str
        Model in the registry.
    corpus : Corpus
    out : path
        Folder to write; must not exist or be empty.
    folds : int
        Speaker-grouped; more than there are speakers means leave one speaker out.
    seed : int
    emotions : sequence of str, optional
        Default: see `plan_training`.
    width : int, optional
        Channels of the first layer; default: the corpus' entry in `SETTINGS`, else that of `Settings`.
    workers : int, optional
        Processes; default: the cores at hand, at most one a fold. The weights do not depend on it.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    FoldModels

    Raises
    ------
    InputError
        If `out` holds something, or for what `plan_training` refuses.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; choose another folder for the trained models.")
    task = plan_training(name, corpus, folds=folds, seed=seed, emotions=emotions, width=width)
    return train(task, out, workers=workers, progress=progress)


def train(task: TrainingTask, out: Path, *, workers: int | None = None, progress: Progress | None = None) -> FoldModels:
    """Train a planned task; the folder is written atomically."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # beside `out`, so that the last step is a rename within one file system
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        model = work / "model"
        model.mkdir()
        if task.extractor is None:
            result = fit_networks(task, work, model, workers or os.cpu_count() or 1, progress)
        else:
            result = fit_heads(task, task.extractor, model, progress)
        save_card(_card(task, result), model)
        try:
            model.replace(out)
        except OSError:
            # another process finished the same training first; its weights are the same
            if not out.is_dir() or not any(out.iterdir()):
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return load_fold_models(out)


def _card(task: TrainingTask, result: TrainingResult) -> Card:
    rows = task.corpus.table.loc[list(result.clips)]
    labels = rows["emotion"].map({emotion: i for i, emotion in enumerate(task.classes)}).to_numpy(dtype=np.int64)
    speakers = rows["speaker"].to_numpy(dtype=str)
    predicted = result.log_probabilities.argmax(axis=1)
    n_classes = len(task.classes)
    folds = {}
    for fold, held_out in task.folds.speakers.items():
        mine = np.isin(speakers, held_out)
        scores = score(labels[mine], predicted[mine], speakers[mine], n_classes)
        folds[fold] = {name: scores[name] for name in ("n", "speakers", "uar", "accuracy")}
    return Card(
        recogniser=task.name,
        version=MODELS.get(task.name).version,
        classes=task.classes,
        corpus=Origin(name=task.corpus.name, version=task.corpus.record.version, digest=task.corpus.digest),
        front_end=result.front_end,
        network=result.network,
        folds={fold: tuple(speakers) for fold, speakers in task.folds.speakers.items()},
        folds_digest=task.folds.digest,
        weights=result.weights,
        scores={
            "pooled": score(labels, predicted, speakers, n_classes),
            "interval": INTERVAL,
            "folds": folds,
            "confusion": confusion(labels, predicted, n_classes).tolist(),
            "calibration_error": calibration_error(labels, np.exp(result.log_probabilities)),
        },
        training={
            "version": VERSION,
            "seed": task.seed,
            "settings": asdict(task.settings),
            "left_out": result.left_out,
        },
        libraries={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )
