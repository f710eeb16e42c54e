"""Training recognisers on log-mel features in speaker-grouped folds.

The held-out speakers of a fold are used for the report and for nothing else: the schedule is fixed, so there is no
early stopping and no validation set to choose by. Training sees crops of one length (shorter clips are repeated, never
padded, so that silence does not give the duration away); testing sees whole clips, one at a time.

One thread a fold, every draw from the seed and the fold's name: the same weights for any number of workers.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..datasets.folds import Folds
from ..errors import ClipError, InputError
from ..keys import digest, rng
from .augment import Augmentation, augment
from .checkpoint import Card, Origin, save_card, save_weights, weights_file
from .front_end import LogMel
from .records import MODELS
from .scores import INTERVAL, confusion, score

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus
    from .foldmodels import FoldModels

VERSION = "1"  # of the procedure; part of every cached model's key
COMMON_EMOTIONS = ("anger", "happiness", "neutral", "sadness")
LIBRARIES = ("torch", "numpy", "librosa", "safetensors")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Attributes
    ----------
    width : int
        Channels of the network's first layer.
    dropout : float
    steps : int
        Optimiser steps, whatever the corpus' size: the time of a training does not grow with it.
    batch : int
        Crops a step.
    crop_frames : int
        Length of a crop in front-end frames (114 = 1.7 s).
    learning_rate : float
        Peak of a one-cycle schedule (AdamW).
    weight_decay : float
    label_smoothing : float
    averaging : float
        Decay of the exponential average of the weights that is kept.
    augmentation : Augmentation
    """

    width: int = 16
    dropout: float = 0.5
    steps: int = 700
    batch: int = 24
    crop_frames: int = 114
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    averaging: float = 0.98
    augmentation: Augmentation = field(default_factory=Augmentation)


# Corpora that are not trained with the defaults. Planted cues fill a few words of 2 s and lie in level, tilt and pitch:
# augmentation as strong as for real speech hides them, and a stripe removed looks like planted sadness.
SETTINGS: dict[str, Settings] = {
    "planted": Settings(
        width=8,
        dropout=0.2,
        steps=1200,
        crop_frames=130,
        label_smoothing=0.05,
        augmentation=Augmentation(gain_db=2.0, tilt_db=1.0, noise=0.3, snr_db=(20.0, 50.0), stripes=0, cells=0.1),
    )
}


@dataclass(frozen=True, eq=False)
class Task:
    """Everything a training depends on, settled before it starts.

    Attributes
    ----------
    name : str
        Of the model.
    corpus : Corpus
    classes : tuple of str
    clips : tuple of str
        Ids, in the order of the corpus' table sorted by id.
    folds : Folds
    settings : Settings
    seed : int
    """

    name: str
    corpus: Corpus
    classes: tuple[str, ...]
    clips: tuple[str, ...]
    folds: Folds
    settings: Settings
    seed: int

    @property
    def key(self) -> str:
        """Digest under which the trained models may be kept."""
        return digest(
            "fold models", VERSION, self.name, MODELS.get(self.name).version, self.corpus.name, self.corpus.digest,
            self.classes, self.clips, self.folds.speakers, asdict(self.settings), LogMel().params, self.seed,
        )  # fmt: skip


def plan_training(
    name: str,
    corpus: Corpus,
    *,
    folds: int = 5,
    seed: int = 0,
    emotions: Sequence[str] | None = None,
    width: int | None = None,
) -> Task:
    """Settle classes, clips, folds and settings.

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
        Default: the setting of the corpus.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If fewer than two emotions, or one that was asked for, can be learned in every fold.
    """
    MODELS.get(name)
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
    settings = SETTINGS.get(corpus.name, Settings())
    return Task(
        name, corpus, classes, clips, split, settings if width is None else replace(settings, width=width), seed
    )


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
    """Train one model a fold, each without its held-out speakers, and write them with their held-out scores.

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


def train(task: Task, out: Path, *, workers: int | None = None, progress: Progress | None = None) -> FoldModels:
    """Train what is planned; the folder appears whole or not at all."""
    from .foldmodels import load_fold_models

    out.parent.mkdir(parents=True, exist_ok=True)
    # beside `out`, so that the last step is a rename within one file system
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        data, left_out = _extract(task, work)
        model = work / "model"
        model.mkdir()
        found = _train_folds(data, model, workers or os.cpu_count() or 1, progress)
        save_card(_card(task, data, found, left_out), model)
        try:
            model.replace(out)
        except OSError:
            # another process trained the same at the same time and was faster; its weights are the same
            if not out.is_dir() or not any(out.iterdir()):
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return load_fold_models(out)


@dataclass(frozen=True, eq=False)
class _Data:
    """Features of all clips in one file, and what a worker must know to train a fold on them."""

    features: Path  # float32, (frames of all clips, mels)
    starts: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    held_out: dict[str, tuple[str, ...]]
    network: str
    n_classes: int
    settings: Settings
    seed: int
    front_end: dict[str, Any]
    progress: Path

    def clip(self, features: np.ndarray, index: int) -> np.ndarray:
        """Features of one clip, shape (mels, frames)."""
        return features[self.starts[index] : self.starts[index + 1]].T


def _extract(task: Task, work: Path) -> tuple[_Data, dict[str, str]]:
    """Compute the features of every clip once; clips that cannot be read are left out and named."""
    front_end = LogMel()
    table = task.corpus.table
    lengths, kept, left_out = [0], [], {}
    with (work / "features.bin").open("wb") as file, torch.inference_mode():
        for clip_id in task.clips:
            try:
                samples = task.corpus.clip(clip_id).samples
                if len(samples) < front_end.min_samples:
                    raise ClipError(f"{len(samples)} samples are shorter than one window.")
            except ClipError as error:
                left_out[clip_id] = str(error)
                continue
            found = front_end(torch.from_numpy(samples)[None])[0, 0].T.numpy()
            file.write(np.ascontiguousarray(found).tobytes())
            lengths.append(len(found))
            kept.append(clip_id)
    rows = table.loc[kept]
    held_out = {fold: tuple(speakers) for fold, speakers in task.folds.speakers.items()}
    np.save(work / "progress.npy", np.zeros(len(held_out), dtype=np.int64))
    labels = rows["emotion"].map({emotion: i for i, emotion in enumerate(task.classes)}).to_numpy(dtype=np.int64)
    data = _Data(
        work / "features.bin", np.cumsum(lengths), labels, rows["speaker"].to_numpy(dtype=str), held_out, task.name,
        len(task.classes), task.settings, task.seed, front_end.params, work / "progress.npy",
    )  # fmt: skip
    return data, left_out


def _train_folds(
    data: _Data, folder: Path, workers: int, progress: Progress | None
) -> dict[str, tuple[str, np.ndarray]]:
    """Hash of the weights and predictions for the held-out clips, by fold."""
    folds = list(data.held_out)
    total = len(folds) * data.settings.steps
    if workers <= 1 or len(folds) == 1:
        found = {}
        for i, fold in enumerate(folds):
            done = i * data.settings.steps
            found[fold] = _train_fold(data, fold, folder, progress and (lambda n, done=done: progress(done + n, total)))
        return found
    # spawned, not forked: a forked torch can hang on locks its threads held
    with ProcessPoolExecutor(min(workers, len(folds)), get_context("spawn")) as pool:
        jobs: dict[Future, str] = {pool.submit(_train_fold, data, fold, folder): fold for fold in folds}
        waiting = set(jobs)
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for job in finished:
                    job.result()  # a failure ends the training now, not after the other folds
                if progress:
                    progress(int(np.load(data.progress, mmap_mode="r").sum()), total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return {fold: job.result() for job, fold in jobs.items()}


def _train_fold(
    data: _Data, fold: str, folder: Path, on_step: Callable[[int], None] | None = None
) -> tuple[str, np.ndarray]:
    """Train one fold on one thread, write its weights, predict its held-out clips whole."""
    front_end = LogMel(**data.front_end)
    features = np.memmap(data.features, dtype=np.float32, mode="r").reshape(-1, front_end.mels)
    held_out = np.isin(data.speakers, data.held_out[fold])
    training = np.flatnonzero(~held_out)
    if on_step is None:
        counter = np.load(data.progress, mmap_mode="r+")
        index = list(data.held_out).index(fold)

        def on_step(step: int) -> None:
            counter[index] = step

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a small network is slower with more, and its weights must not depend on the machine's
    try:
        network = train_network(
            MODELS.get(data.network).load(),
            [data.clip(features, i) for i in training],
            data.labels[training],
            data.n_classes,
            data.settings,
            front_end,
            (data.seed, fold),
            on_step,
        )
        with torch.inference_mode():
            clips = (torch.from_numpy(np.array(data.clip(features, i)))[None, None] for i in np.flatnonzero(held_out))
            predicted = np.array([int(network(clip).argmax()) for clip in clips], dtype=np.int64)
    finally:
        torch.set_num_threads(threads)
    return save_weights(network, weights_file(folder, fold)), predicted


def train_network(
    build: Callable[..., Any],
    clips: Sequence[np.ndarray],
    labels: np.ndarray,
    n_classes: int,
    settings: Settings,
    front_end: LogMel,
    seed: tuple,
    on_step: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train one network.

    Parameters
    ----------
    build : callable
        ``build(n_classes, width, dropout)`` makes the network.
    clips : sequence of array, shape (mels, frames)
        Features as the front end gives them.
    labels : array of int, shape (n_clips,)
    n_classes : int
    settings : Settings
    front_end : LogMel
        Its scaling; augmentation works in dB.
    seed : tuple
        Parts of the seed of every draw. Torch's global generator is left as it was.
    on_step : callable, optional
        Called with the number of steps done.

    Returns
    -------
    nn.Module
        In evaluation mode, its weights averaged over the last steps.
    """
    floor_db = front_end.floor * front_end.scale_db + front_end.centre_db
    counts = np.bincount(labels, minlength=n_classes)
    weights = torch.as_tensor(len(labels) / (n_classes * np.maximum(counts, 1)), dtype=torch.float32)
    generator = rng("training", *seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest("initialisation", *seed, size=7), 16))
        network = build(n_classes, settings.width, settings.dropout).to(memory_format=torch.channels_last).train()
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging), use_buffers=True)
        optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, settings.steps, pct_start=0.2)
        loss_of = nn.CrossEntropyLoss(weights, label_smoothing=settings.label_smoothing)
        order = np.empty(0, dtype=np.int64)
        for step in range(settings.steps):
            while len(order) < settings.batch:
                order = np.concatenate([order, generator.permutation(len(clips))])
            chosen, order = order[: settings.batch], order[settings.batch :]
            crops = []
            for i in chosen:
                crop = random_crop(clips[i], settings.crop_frames, generator)
                crop = crop * front_end.scale_db + front_end.centre_db
                crops.append(augment(crop, settings.augmentation, floor_db, generator))
            features = (torch.from_numpy(np.stack(crops))[:, None] - front_end.centre_db) / front_end.scale_db
            loss = loss_of(network(features), torch.from_numpy(labels[chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            if on_step:
                on_step(step + 1)
    return average.module.eval()


def random_crop(clip: np.ndarray, frames: int, generator: np.random.Generator) -> np.ndarray:
    """A random stretch of so many frames; a shorter clip is repeated, from a random frame on."""
    total = clip.shape[1]
    start = int(generator.integers(total - frames + 1 if total >= frames else total))
    return clip[:, (start + np.arange(frames)) % total]


def _card(task: Task, data: _Data, found: dict[str, tuple[str, np.ndarray]], left_out: dict[str, str]) -> Card:
    predicted = np.zeros_like(data.labels)
    folds = {}
    for fold, (_, values) in found.items():
        mine = np.isin(data.speakers, data.held_out[fold])
        predicted[mine] = values
        scores = score(data.labels[mine], values, data.speakers[mine], data.n_classes)
        folds[fold] = {name: scores[name] for name in ("n", "speakers", "uar", "accuracy")}
    return Card(
        recogniser=task.name,
        version=MODELS.get(task.name).version,
        classes=task.classes,
        corpus=Origin(name=task.corpus.name, version=task.corpus.record.version, digest=task.corpus.digest),
        front_end=data.front_end,
        network={"n_classes": data.n_classes, "width": task.settings.width, "dropout": task.settings.dropout},
        folds=data.held_out,
        folds_digest=task.folds.digest,
        weights={fold: sha256 for fold, (sha256, _) in found.items()},
        scores={
            "pooled": score(data.labels, predicted, data.speakers, data.n_classes),
            "interval": INTERVAL,
            "folds": folds,
            "confusion": confusion(data.labels, predicted, data.n_classes).tolist(),
        },
        training={"version": VERSION, "seed": task.seed, "settings": asdict(task.settings), "left_out": left_out},
        libraries={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )
