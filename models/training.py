"""Training of recognisers in speaker-grouped folds: planning, training, and the folder that is written.

Networks are trained by `network_training`, linear heads on fixed features by `head_training`. The held-out
speakers of a fold are used for the report only.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..datasets.authentic import authentic_clips
from ..errors import InputError
from ..schema_faults import field_faults
from .cache import cached
from .card import CARD, REFIT, Card, Origin, TrainingClips, save_card
from .checkpoint import check_folds, weights_file
from .claim import claimed
from .factory import model_kind
from .foldmodels import FoldModels, load_fold_models
from .head_training import HeadSettings, fit_heads
from .layer_choice import AUTO
from .network_training import SETTINGS, Settings, fit_networks
from .records import MODELS
from .scores import INTERVAL, calibration_error, confusion, score
from .task import VERSION, TrainingTask
from .training_result import TrainingResult

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus

COMMON_EMOTIONS = ("anger", "happiness", "neutral", "sadness")
BACKBONE: dict[str, Any] = {"layer": AUTO, "pooling": "mean+sd"}  # defaults of `models.hf.Backbone` in training
MAX_SETTING = 100_000  # of steps, batch, width, frames
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
    options: Mapping[str, Any] | None = None,
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
    options : mapping, optional
        Of a Hugging Face backbone: ``layer`` and ``pooling``; default: `BACKBONE`.

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
    options = {name: value for name, value in (options or {}).items() if value is not None}
    backbone = MODELS.get(name).kind == "hf"
    if options and not backbone:
        raise InputError(
            f"{', '.join(options)}: settings of Hugging Face backbones (hf:PATH); model {name!r} has none."
        )
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
    options = (BACKBONE | options) if backbone else {}
    plain = options == {"layer": "last", "pooling": "mean"}  # a head as they were before there was a choice
    settings: Settings | HeadSettings = HeadSettings(None) if backbone and not plain else HeadSettings()
    if kind == "network":
        settings = SETTINGS.get(corpus.name, Settings())
        settings = settings if width is None else replace(settings, width=width)
    return TrainingTask(name, corpus, classes, clips, split, settings, seed, options)


def train_fold_models(
    name: str,
    corpus: Corpus,
    out: str | Path | None,
    *,
    folds: int = 5,
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    width: int | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FoldModels:
    """Train one model per fold and one on all speakers, and write them with the folds' held-out scores.

    Parameters
    ----------
    name : str
        Model in the registry.
    corpus : Corpus
    out : path or None
        Folder to write; must not exist or be empty. None: the cache, where `models.obtain` finds models of the default
        folds, seed and options; what lies there is not trained again.
    folds : int
        Speaker-grouped; more than there are speakers means leave one speaker out.
    seed : int
    emotions : sequence of str, optional
        Default: see `plan_training`.
    width : int, optional
        Channels of the first layer; default: the corpus' entry in `SETTINGS`, else that of `Settings`.
    options : mapping, optional
        Of a Hugging Face backbone; see `plan_training`.
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
        If `out` holds something or another process trains into it, or for what `plan_training` refuses.
    """
    out = None if out is None else Path(out)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; choose another folder for the trained models.")
    task = plan_training(name, corpus, folds=folds, seed=seed, emotions=emotions, width=width, options=options)
    if out is None:
        return train(task, cached(task), workers=workers, progress=progress)
    return train(task, out, workers=workers, progress=progress, wait=False)


def train(
    task: TrainingTask,
    out: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    wait: bool = True,
) -> FoldModels:
    """Train the models of a planned task, one per fold and the refit; the folder is written atomically.

    An interrupted training keeps the folds that it finished.

    Parameters
    ----------
    task : TrainingTask
    out : path
    workers, progress
        As `train_fold_models`.
    wait : bool
        Whether to wait for another process that trains into `out`, and take its models.

    Raises
    ------
    InputError
        If another process trains into `out`, unless `wait`.
    """
    with claimed(out, wait) as work:
        if (out / CARD).is_file():
            if not wait:
                raise InputError(f"{out}: another training has just written it; choose another folder.")
            return load_fold_models(out)  # trained by the process that was waited for: the same task
        attempt, scratch = work / task.key, work / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        for folder in (attempt, scratch):
            folder.mkdir(exist_ok=True)
        folds = {fold: tuple(speakers) for fold, speakers in task.folds.speakers.items()}
        try:
            result = _fit(task, folds | {REFIT: ()}, scratch, attempt, workers, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        model = work / "model"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir()
        for fold in result.weights:
            weights_file(attempt, fold).replace(weights_file(model, fold))
        save_card(_card(task, result), model)
        model.replace(out)
    return load_fold_models(out)


def add_refit(models: FoldModels, corpus: Corpus, progress: Progress | None = None) -> Card:
    """Train the model of all speakers for a folder that was written without one, and store it there.

    Parameters
    ----------
    models : FoldModels
    corpus : Corpus
        That the folds were trained on.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    Card
        As it is now written.

    Raises
    ------
    InputError
        If the corpus, the procedure or the libraries' front end is not that of the folds, or the folder cannot be
        written.
    """
    card, folder = models.card, models.folder
    again = (
        f"Train the folder again with `serxai train {card.recogniser} --corpus {card.corpus.name} --out DIR`, or take "
        "the mean of its folds with --ensemble."
    )
    missing = f"{folder}: has no model refitted on all speakers"
    check_folds(folder, card)  # a folder without them is damaged, and no refit makes it whole
    # the planted corpus is rendered on each machine, equal within a tolerance: its version identifies it
    same = (
        corpus.record.version == card.corpus.version if corpus.record.twinned else corpus.digest == card.corpus.digest
    )
    if corpus.name != card.corpus.name or not same:
        raise InputError(f"{missing}, and corpus {corpus.name!r} here is not what its folds were trained on. {again}")
    training = _TrainingFacts.of(card, folder)
    if training.version != VERSION:
        raise InputError(f"{missing}, and its folds were trained by another version of the procedure. {again}")
    clips = tuple(sorted(corpus.table.index[corpus.table["emotion"].isin(card.classes)]))
    settings = _settings(card, training, folder)
    options = {name: card.front_end[name] for name in BACKBONE if name in card.front_end}
    task = TrainingTask(card.recogniser, corpus, card.classes, clips, models.folds, settings, training.seed, options)
    with tempfile.TemporaryDirectory(prefix="serxai-refit-") as scratch:
        work = Path(scratch)
        result = _fit(task, {REFIT: ()}, work, work, 1, progress)
        if (result.front_end, result.network) != (card.front_end, card.network):
            raise InputError(f"{missing}, and its front end has other parameters than today's. {again}")
        complete = card.model_copy(update={"refit": result.weights[REFIT], "clips": _training_clips(task, result)})
        try:
            temporary = folder / f".{REFIT}-{os.getpid()}"
            shutil.copyfile(weights_file(work, REFIT), temporary)
            temporary.replace(weights_file(folder, REFIT))
            save_card(complete, folder)
        except OSError as error:
            raise InputError(f"{missing}, and it cannot be stored there ({error.strerror}). {again}") from None
    return complete


class _TrainingFacts(BaseModel):
    """What a card says of its training, as far as training a refit needs it."""

    model_config = ConfigDict(strict=True)

    version: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    settings: dict[str, Any]

    @classmethod
    def of(cls, card: Card, folder: Path) -> _TrainingFacts:
        try:
            return cls.model_validate(card.training)
        except ValidationError as error:
            raise InputError(
                f"{folder / CARD}: damaged, in 'training' ({field_faults(error)}). Train it again."
            ) from None


def _settings(card: Card, training: _TrainingFacts, folder: Path) -> Settings | HeadSettings:
    """Hyperparameters of a card; they come from a file, so none may ask for any amount of time or memory."""
    schema = TypeAdapter(Settings if model_kind(card.recogniser) == "network" else HeadSettings)
    try:
        settings: Settings | HeadSettings = schema.validate_json(json.dumps(training.settings), strict=True)
    except ValidationError as error:
        fault = field_faults(error)
    else:
        large = [name for name, value in asdict(settings).items() if isinstance(value, int) and value > MAX_SETTING]
        if not large:
            return settings
        fault = f"field {large[0]!r}: above {MAX_SETTING}"
    raise InputError(f"{folder / CARD}: damaged, in 'training.settings' ({fault}). Train it again.")


def _fit(
    task: TrainingTask,
    parts: Mapping[str, tuple[str, ...]],
    work: Path,
    folder: Path,
    workers: int | None,
    progress: Progress | None,
) -> TrainingResult:
    """Train the models of some folds, given their held-out speakers, and write their weights."""
    if task.extractor is None:
        return fit_networks(task, parts, work, folder, workers or os.cpu_count() or 1, progress)
    return fit_heads(task, task.extractor, parts, folder, progress)


def _training_clips(task: TrainingTask, result: TrainingResult) -> TrainingClips:
    speakers = task.corpus.table.loc[list(result.clips), "speaker"].astype(str)
    digests: dict[str, list[str]] = {speaker: [] for speaker in sorted(set(speakers))}
    for speaker, content in zip(speakers, result.digests, strict=True):
        digests[speaker].append(content)
    return TrainingClips(
        verified=authentic_clips(task.corpus, result.clips) == set(result.clips),
        digests={speaker: tuple(sorted(values)) for speaker, values in digests.items()},
    )


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
        weights={fold: sha256 for fold, sha256 in result.weights.items() if fold != REFIT},
        refit=result.weights[REFIT],
        clips=_training_clips(task, result),
        scores={
            "pooled": score(labels, predicted, speakers, n_classes),
            "interval": INTERVAL,
            "folds": folds,
            "confusion": confusion(labels, predicted, n_classes).tolist(),
            "calibration_error": calibration_error(labels, np.exp(result.log_probabilities)),
            **({"layers": result.layers} if result.layers else {}),
        },
        training={
            "version": VERSION,
            "seed": task.seed,
            "settings": asdict(task.settings),
            "left_out": result.left_out,
            **({"C": result.strengths} if result.strengths else {}),
        },
        libraries={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )
