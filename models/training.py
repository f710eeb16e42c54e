"""Training of recognisers in speaker-grouped folds: planning, training, and the folder that is written.

Networks are trained by `network_training`, linear heads on fixed features by `head_training`. The held-out
speakers of a fold are used for the report only.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..datasets.folds import ClipFolds, Folds
from ..datasets.schemes import FoldScheme, Part
from ..errors import InputError
from ..schema_faults import field_faults
from .backbone_settings import BACKBONE, EARLIER, WEIGHTED
from .cache import cached
from .card import CARD, REFIT, Card, save_card
from .checkpoint import check_folds, weights_file
from .claim import claimed
from .dimensional import labelled_dimensions
from .factory import model_kind
from .foldmodels import FoldModels, load_fold_models
from .head_training import HeadSettings, fit_heads
from .network_training import SETTINGS, Settings, fit_networks
from .records import MODELS
from .task import VERSION, TrainingTask
from .training_card import make_card, training_clips
from .training_result import TrainingResult

if TYPE_CHECKING:
    import pandas as pd

    from ..datasets.corpus import Corpus

COMMON_EMOTIONS = ("anger", "happiness", "neutral", "sadness")
MAX_SETTING = 100_000  # of steps, batch, width, frames

Progress = Callable[[int, int], None]


def plan_training(
    name: str,
    corpus: Corpus,
    *,
    folds: int | FoldScheme = 5,
    others: Sequence[int | FoldScheme] = (),
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    dimensions: Sequence[str] = (),
    width: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainingTask:
    """Plan a training: choose classes, clips, folds and settings.

    Parameters
    ----------
    name : str
        Model in the registry.
    corpus : Corpus
    folds : int or FoldScheme
        Number of speaker-grouped folds, or published ones.
    others : sequence of int or FoldScheme
        Further divisions that are only scored.
    seed : int
    emotions : sequence of str, optional
        Default: anger, happiness, neutral and sadness where every fold can learn them (the classes that corpora share
        and papers compare), else all emotions that every fold has in its training part.
    dimensions : sequence of str
        Columns of the corpus' table with dimensional labels, which are predicted instead of classes.
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
    kind = model_kind(name, trained=True)
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
    if not corpus.labelled:
        raise InputError(
            f"corpus {corpus.name!r}: its clips have no labels to learn from; add a table with the columns file, "
            "emotion and speaker, or explain it by a model trained elsewhere: --trained-on emodb."
        )
    table = corpus.table
    grouped = {n: corpus.folds(n) for n in (folds, *others) if isinstance(n, int)}
    divided = [
        FoldScheme.of_speakers(grouped[scheme], table) if isinstance(scheme, int) else scheme
        for scheme in (folds, *others)
    ]
    classes, clips, values = (
        _dimensions(corpus, dimensions, kind, options) if dimensions else (*_classes(corpus, divided, emotions), None)
    )
    divided = [scheme.within(clips) for scheme in divided]
    kept = None if isinstance(folds, int) else divided[0]
    used = (BACKBONE | options) if backbone else {}
    plain = used == EARLIER  # a head as they were before there was a choice
    settings: Settings | HeadSettings = HeadSettings(None) if backbone and not plain else HeadSettings()
    if kind == "network":
        settings = SETTINGS.get(corpus.name, Settings())
        settings = settings if width is None else replace(settings, width=width)
    others_divided = tuple(divided[1:])
    if kept is None:
        return TrainingTask(
            name,
            corpus,
            classes,
            clips,
            grouped[cast(int, folds)],
            settings,
            seed,
            used,
            others=others_divided,
            values=values,
        )
    speakers = table["speaker"].to_dict()
    split: Folds | ClipFolds = ClipFolds({fold: part.tested for fold, part in kept.parts().items()})
    if not kept.sharing(speakers).shared:
        split = Folds(kept.held_out(speakers))
    return TrainingTask(name, corpus, classes, kept.clips, split, settings, seed, used, kept, others_divided, values)


def _classes(
    corpus: Corpus, divided: Sequence[FoldScheme], emotions: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes that can be learned in every fold, and their clips."""
    table = corpus.table
    learnable = _learnable(divided, table["emotion"])
    common = COMMON_EMOTIONS if set(COMMON_EMOTIONS) <= set(learnable) else learnable
    classes = tuple(sorted(common if emotions is None else set(emotions)))
    for emotion in sorted(set(classes) - set(learnable)):
        raise InputError(
            f"emotion {emotion!r} cannot be learned from corpus {corpus.name!r}: some fold has no clip of it to train "
            f"on. Emotions that can: {', '.join(learnable) or 'none'}."
        )
    if len(classes) < 2:
        raise InputError(
            f"corpus {corpus.name!r}: training needs at least 2 emotions, got {', '.join(classes) or 'none'}."
        )
    clips = tuple(sorted(table.index[table["emotion"].isin(classes)]))
    return classes, clips


def _dimensions(
    corpus: Corpus, dimensions: Sequence[str], kind: str, options: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[float, ...]]]:
    """Dimensions of a regression, the clips that have a label of each, and the labels."""
    if kind != "head" or options.get("layer") == WEIGHTED:
        raise InputError(
            "--dimension: a regression is a linear head on fixed features, or on one hidden state of a backbone; "
            + (f"leave out layer = {WEIGHTED!r}." if kind == "head" else "take praat-svc, opensmile-svc or hf:PATH.")
        )
    names, values = labelled_dimensions(corpus.table, dimensions, corpus.name)
    labelled = {
        str(clip): tuple(map(float, row))
        for clip, row in zip(corpus.table.index, values, strict=True)
        if np.isfinite(row).all()
    }
    if not labelled:
        raise InputError(f"corpus {corpus.name!r}: no clip has a label of {', '.join(names)}.")
    return names, tuple(sorted(labelled)), labelled


def _learnable(schemes: Sequence[FoldScheme], emotions: pd.Series) -> list[str]:
    """Emotions that the training part of every fold has, sorted."""
    found = set(emotions)
    for scheme in schemes:
        for part in scheme.parts().values():
            found &= {emotions[clip] for clip in part.trained}
    return sorted(found)


def train_fold_models(
    name: str,
    corpus: Corpus,
    out: str | Path | None,
    *,
    folds: int | FoldScheme = 5,
    others: Sequence[int | FoldScheme] = (),
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    dimensions: Sequence[str] = (),
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
    folds : int or FoldScheme
        Number of speaker-grouped folds, more than there are speakers means leave one speaker out; or published ones.
    others : sequence of int or FoldScheme
        Further divisions that are only scored; their scores stand in the card, their models are not kept.
    seed : int
    emotions : sequence of str, optional
        Default: see `plan_training`.
    dimensions : sequence of str
        See `plan_training`.
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
    task = plan_training(
        name,
        corpus,
        folds=folds,
        others=others,
        seed=seed,
        emotions=emotions,
        dimensions=dimensions,
        width=width,
        options=options,
    )
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
        parts = task.kept_parts | {REFIT: Part(task.clips, ())}
        scored = {fold: part for i in range(len(task.others)) for fold, part in task.other_parts(i).items()}
        try:
            result = _fit(task, parts | scored, scratch, attempt, workers, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        model = work / "model"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir()
        for fold in parts:
            weights_file(attempt, fold).replace(weights_file(model, fold))
        save_card(make_card(task, result), model)
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
        result = _fit(task, {REFIT: Part(clips, ())}, work, work, 1, progress)
        if (result.front_end, result.network) != (card.front_end, card.network):
            raise InputError(f"{missing}, and its front end has other parameters than today's. {again}")
        complete = card.model_copy(update={"refit": result.weights[REFIT], "clips": training_clips(task, result)})
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
    parts: Mapping[str, Part],
    work: Path,
    folder: Path,
    workers: int | None,
    progress: Progress | None,
) -> TrainingResult:
    """Train the models of some folds, given their clips, and write their weights."""
    if task.extractor is None:
        return fit_networks(task, parts, work, folder, workers or os.cpu_count() or 1, progress)
    return fit_heads(task, task.extractor, parts, folder, progress)
