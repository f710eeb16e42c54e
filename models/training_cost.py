"""Forecast of a training: what is trained, how long it takes, and how to do without it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..audio import SAMPLE_RATE
from ..keys import rng
from .bundled import BUNDLED, REAL_SPEECH
from .front_end import LogMel
from .network_training import Settings, train_network
from .records import MODELS

if TYPE_CHECKING:
    from .task import TrainingTask

STEPS = 8  # that are timed
CLIP_S = 3.0  # length of the clip whose features are timed
FRONT_END_S = 0.02  # log-mel features of one clip, on one core


def training_seconds(task: TrainingTask, workers: int) -> float:
    """Seconds that a training is likely to take here, from a few timed steps of it; right within a factor of two.

    Parameters
    ----------
    task : TrainingTask
    workers : int
        Processes; networks of the folds are trained side by side, features are computed once.
    """
    models = len(task.kept_parts) + 1  # the refit
    if isinstance(task.settings, Settings):
        return len(task.clips) * FRONT_END_S + task.settings.steps * _step_s(task) * -(-models // max(1, workers))
    assert task.extractor is not None
    noise = rng("training cost").normal(0, 0.1, (1, round(CLIP_S * SAMPLE_RATE))).astype(np.float32)
    task.extractor.features(noise)  # the first call loads
    start = time.perf_counter()
    task.extractor.features(noise)
    return len(task.clips) * (time.perf_counter() - start)


def _step_s(task: TrainingTask) -> float:
    """Seconds of one training step, measured on noise."""
    settings = replace(task.settings, steps=STEPS)
    front_end = LogMel()
    draw = rng("training cost")
    clips = [draw.normal(size=(front_end.mels, settings.crop_frames)).astype(np.float32) for _ in range(settings.batch)]
    labels = np.arange(settings.batch) % len(task.classes)
    ends: list[float] = []
    build = MODELS.get(task.name).load()
    train_network(
        build, clips, labels, len(task.classes), settings, front_end, ("training cost",),
        lambda step: ends.append(time.perf_counter()),
    )  # fmt: skip
    return float(np.median(np.diff(ends)))


def training_notice(task: TrainingTask, workers: int) -> str:
    """What is trained, for how long, and which flags avoid it.

    Parameters
    ----------
    task : TrainingTask
    workers : int
    """
    speakers = task.corpus.table.loc[list(task.clips), "speaker"].nunique()
    minutes = max(1.0, training_seconds(task, workers) / 60)
    other = (
        f"--trained-on {REAL_SPEECH} takes a model that serxai ships, "
        if task.corpus.name != REAL_SPEECH and (BUNDLED / f"{task.name}-{REAL_SPEECH}").is_dir()
        else ""
    )
    return (
        f"{task.name} is not trained on {task.corpus.name} yet, so it is trained first: {len(task.clips)} clips of "
        f"{speakers} speakers, {', '.join(task.classes)}, {len(task.kept_parts)} folds and a refit, about "
        f"{minutes:.0f} min beside nothing else. Instead: {other}--checkpoint DIR what `serxai train` wrote."
    )
