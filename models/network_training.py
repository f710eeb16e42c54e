"""Training networks on log-mel features in speaker-grouped folds.

Held-out speakers are used for the report only: the schedule is fixed, so there is no early stopping and no validation
set. Training sees crops of one length (shorter clips are repeated, not padded, so that padding does not reveal the
duration); testing sees whole clips, one at a time.

Each fold runs on one thread and is seeded by the seed and the fold's name: weights do not depend on the number of
workers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .._lifetime import die_with_parent
from ..datasets.schemes import Part
from ..errors import ClipError
from ..keys import digest, rng
from .augment import Augmentation, augment
from .checkpoint import save_weights, weights_file
from .exposure import samples_digest
from .front_end import LogMel
from .records import MODELS
from .training_result import TrainingResult

if TYPE_CHECKING:
    from .task import TrainingTask

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of a network and its training.

    Attributes
    ----------
    width : int
        Channels of the network's first layer.
    dropout : float
    steps : int
        Optimiser steps, independent of the corpus' size.
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
_PLANTED = Settings(
    width=8,
    dropout=0.2,
    steps=1200,
    crop_frames=130,
    label_smoothing=0.05,
    augmentation=Augmentation(gain_db=2.0, tilt_db=1.0, noise=0.3, snr_db=(20.0, 50.0), stripes=0, cells=0.1),
)
SETTINGS: dict[str, Settings] = dict.fromkeys(
    ("planted", "planted-medium", "planted-hard", "planted-band", "planted-de"), _PLANTED
)
# these last up to 4 s, and a crop may miss a clip's one planted stretch
SETTINGS |= dict.fromkeys(("planted-emodb", "spliced"), replace(_PLANTED, crop_frames=230, steps=3000))


@dataclass(frozen=True, eq=False)
class _TrainingData:
    """Features of all clips in one file, and the arguments of a worker that trains a fold on them."""

    features: Path  # float32, (frames of all clips, mels)
    starts: np.ndarray
    labels: np.ndarray
    trained: dict[str, np.ndarray]  # rows, by fold
    tested: dict[str, np.ndarray]
    network: str
    n_classes: int
    settings: Settings
    seed: int
    front_end: dict[str, Any]
    progress: Path

    def clip(self, features: np.ndarray, index: int) -> np.ndarray:
        """Features of one clip, shape (mels, frames)."""
        return features[self.starts[index] : self.starts[index + 1]].T


def _extract(
    task: TrainingTask, parts: Mapping[str, Part], work: Path
) -> tuple[_TrainingData, dict[str, str], dict[str, str]]:
    """Compute the features of every clip once; return them, digests by clip, and reasons by clip left out."""
    front_end = LogMel()
    table = task.corpus.table
    task.corpus.prepare(task.clips)
    lengths, kept, left_out = [0], dict[str, str](), dict[str, str]()
    with (work / "features.bin").open("wb") as file, torch.inference_mode():
        for clip_id in task.clips:
            try:
                samples = task.corpus.clip(clip_id).samples
                if len(samples) < front_end.min_samples:
                    raise ClipError(f"{len(samples)} samples are shorter than one window.")
            except ClipError as error:
                left_out[clip_id] = str(error)
                continue
            features = front_end(torch.from_numpy(samples)[None])[0, 0].T.numpy()
            file.write(np.ascontiguousarray(features).tobytes())
            lengths.append(len(features))
            kept[clip_id] = samples_digest(samples)
    ids = list(kept)
    rows = table.loc[ids]
    np.save(work / "progress.npy", np.zeros(len(parts), dtype=np.int64))
    labels = rows["emotion"].map({emotion: i for i, emotion in enumerate(task.classes)}).to_numpy(dtype=np.int64)
    data = _TrainingData(
        features=work / "features.bin",
        starts=np.cumsum(lengths),
        labels=labels,
        trained={fold: np.flatnonzero(np.isin(ids, part.trained)) for fold, part in parts.items()},
        tested={fold: np.flatnonzero(np.isin(ids, part.tested)) for fold, part in parts.items()},
        network=task.name,
        n_classes=len(task.classes),
        settings=task.settings,
        seed=task.seed,
        front_end=front_end.params,
        progress=work / "progress.npy",
    )
    return data, kept, left_out


def fit_networks(
    task: TrainingTask,
    parts: Mapping[str, Part],
    work: Path,
    folder: Path,
    workers: int,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train networks and write their weights.

    Parameters
    ----------
    task : TrainingTask
    parts : mapping of str to Part
        Clips that each model is trained and tested on, by fold.
    work : path
        Scratch folder.
    folder : path
        Output folder of the weights.
    workers : int
        Processes; the weights do not depend on it.
    progress : callable, optional
        Called with (steps done, steps in all).
    """
    data, kept, left_out = _extract(task, parts, work)
    results = _train_folds(data, folder, workers, progress)
    return TrainingResult(
        data.front_end,
        {"n_classes": data.n_classes, "width": data.settings.width, "dropout": data.settings.dropout},
        {fold: sha256 for fold, (sha256, _) in results.items()},
        tuple(kept),
        tuple(kept.values()),
        {fold: values for fold, (_, values) in results.items()},
        left_out,
    )


def _train_folds(
    data: _TrainingData, folder: Path, workers: int, progress: Progress | None
) -> dict[str, tuple[str, np.ndarray]]:
    """SHA-256 of the weights and log-probabilities of the held-out clips, by fold."""
    folds = list(data.trained)
    total = len(folds) * data.settings.steps
    results = {fold: result for fold in folds if (result := _finished(folder, fold)) is not None}
    left = [fold for fold in folds if fold not in results]
    if workers <= 1 or len(left) <= 1:
        for fold in left:
            done = len(results) * data.settings.steps
            results[fold] = _train_fold(
                data, fold, folder, progress and (lambda n, done=done: progress(done + n, total))
            )
        return {fold: results[fold] for fold in folds}
    # spawned, not forked: a forked torch can hang on locks its threads held
    with ProcessPoolExecutor(
        min(workers, len(left)),
        get_context("spawn"),
        die_with_parent,  # before it imports torch, which takes seconds in which the parent may be killed
        (os.getpid(),),
    ) as pool:
        jobs: dict[Future, str] = {pool.submit(_train_fold, data, fold, folder): fold for fold in left}
        waiting = set(jobs)
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for job in finished:
                    job.result()  # a failure ends the training now, not after the other folds
                if progress:
                    done = int(np.load(data.progress, mmap_mode="r").sum())
                    progress(done + len(results) * data.settings.steps, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        results |= {fold: job.result() for job, fold in jobs.items()}
        return {fold: results[fold] for fold in folds}


def _predictions_file(folder: Path, fold: str) -> Path:
    return folder / f"fold-{fold}.npy"


def _finished(folder: Path, fold: str) -> tuple[str, np.ndarray] | None:
    """What an interrupted training left of a fold: the SHA-256 of its weights, and its predictions; None if nothing."""
    weights, predictions = weights_file(folder, fold), _predictions_file(folder, fold)
    if not (weights.is_file() and predictions.is_file()):
        return None
    return hashlib.sha256(weights.read_bytes()).hexdigest(), np.load(predictions, allow_pickle=False)


def _train_fold(
    data: _TrainingData, fold: str, folder: Path, on_step: Callable[[int], None] | None = None
) -> tuple[str, np.ndarray]:
    """Train one model on one thread, write its weights, predict its held-out clips whole."""
    front_end = LogMel(**data.front_end)
    features = np.memmap(data.features, dtype=np.float32, mode="r").reshape(-1, front_end.mels)
    training = data.trained[fold]
    if on_step is None:
        counter = np.load(data.progress, mmap_mode="r+")
        index = list(data.trained).index(fold)

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
            clips = (torch.from_numpy(np.array(data.clip(features, i)))[None, None] for i in data.tested[fold])
            predicted = np.array([network(clip).double().log_softmax(1).numpy()[0] for clip in clips])
    finally:
        torch.set_num_threads(threads)
    predicted = predicted.reshape(-1, data.n_classes)
    sha256 = save_weights(network, weights_file(folder, fold))
    with (folder / f".{fold}.npy").open("wb") as file:
        np.save(file, predicted)
    (folder / f".{fold}.npy").replace(_predictions_file(folder, fold))  # last: its presence says that the fold is done
    return sha256, predicted


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
    """Cut a random stretch of `frames` frames; a shorter clip is repeated from a random frame on."""
    total = clip.shape[1]
    start = int(generator.integers(total - frames + 1 if total >= frames else total))
    return clip[:, (start + np.arange(frames)) % total]
