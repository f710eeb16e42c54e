"""Training linear heads on fixed features in speaker-grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.schemes import Part
from ..errors import ClipError, InputError
from .backbone_settings import WEIGHTED
from .checkpoint import save_weights, weights_file
from .dimensional import fit_regression_states
from .exposure import samples_digest
from .extractor import Extractor
from .head import log_probabilities
from .layer_choice import FittedHead, fit_states
from .training_result import TrainingResult

if TYPE_CHECKING:
    from .task import TrainingTask

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeadSettings:
    """Hyperparameters of a linear head.

    Attributes
    ----------
    C : float or None
        Inverse strength of the support vector machine's regularisation, on standardised features. None: chosen for each
        fold by validation within its training part; see `models.layer_choice`.
    """

    C: float | None = 1e-3


def fit_heads(
    task: TrainingTask,
    extractor: Extractor,
    parts: Mapping[str, Part],
    folder: Path,
    progress: Progress | None = None,
) -> TrainingResult:
    """Extract each clip once, train the heads and write their weights.

    Parameters
    ----------
    task : TrainingTask
    extractor : Extractor
    parts : mapping of str to Part
        Clips that each model is trained and tested on, by fold.
    folder : path
        Output folder of the weights.
    progress : callable, optional
        Called with (clips and heads done, clips and heads in all).

    Raises
    ------
    InputError
        If no clip can be used.
    """
    total = len(task.clips) + len(parts)
    report = progress or (lambda done, total: None)
    vectors, kept, digests, left_out = [], [], [], {}
    task.corpus.prepare(task.clips)
    for done, clip_id in enumerate(task.clips):
        report(done, total)
        try:
            samples = task.corpus.clip(clip_id).samples
            if len(samples) < extractor.min_samples:
                raise ClipError(f"{len(samples)} samples are shorter than one window.")
            vectors.append(extractor.features(samples[None])[0])
        except ClipError as error:
            left_out[clip_id] = str(error)
            continue
        kept.append(clip_id)
        digests.append(samples_digest(samples))
    if not kept:
        raise InputError(f"corpus {task.corpus.name!r}: no clip could be used: {next(iter(left_out.values()), '')}")
    features = np.stack(vectors)
    rows = task.corpus.table.loc[kept]
    labels = task.labels(kept)
    speakers = rows["speaker"].to_numpy(dtype=str)
    predicted, weights = {}, {}
    fitted: dict[str, FittedHead] = {}
    weighted = extractor.params.get("layer") == WEIGHTED
    for done, (fold, part) in enumerate(parts.items()):
        report(len(task.clips) + done, total)
        trained, tested = np.isin(kept, part.trained), np.isin(kept, part.tested)
        if task.values is None:
            fitted[fold] = fit_states(
                features[trained], labels[trained], speakers[trained], len(task.classes), task.seed,
                C=task.settings.C, states=extractor.states, weighted=weighted,
            )  # fmt: skip
        else:
            head, state = fit_regression_states(features[trained], labels[trained], speakers[trained], extractor.states)
            fitted[fold] = FittedHead(head, 0.0, state)
        weights[fold] = save_weights(fitted[fold].head, weights_file(folder, fold))
        raw = fitted[fold].raw(features[tested])
        predicted[fold] = (raw if task.values is not None else log_probabilities(raw)).numpy()
    report(total, total)
    network = {"n_classes": len(task.classes), "dim": features.shape[1] // max(extractor.states, 1)}
    network |= {"n_states": extractor.states} if weighted else {}
    network |= {} if task.values is None else {"regression": 1}
    chosen = {fold: one.layer for fold, one in fitted.items() if one.layer is not None}
    front_end = extractor.params | ({"layers": chosen} if chosen else {})
    chosen_strength = task.settings.C is None and task.values is None
    strengths = {fold: one.C for fold, one in fitted.items()} if chosen_strength else {}
    layers = {fold: one.layers for fold, one in fitted.items() if one.layers}
    return TrainingResult(
        front_end, network, weights, tuple(kept), tuple(digests), predicted, left_out, layers, strengths
    )
