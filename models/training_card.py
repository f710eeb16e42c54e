"""Card of a training: what was trained on what, and the scores on held-out clips."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from ..datasets.authentic import authentic_clips
from ..datasets.folds import Folds
from ..datasets.schemes import FoldScheme, Part
from .card import REFIT, Card, FoldOrigin, Origin, TrainingClips
from .dimension_scores import CCC_INTERVAL, dimension_scores
from .records import MODELS
from .scores import INTERVAL, calibration_error, confusion, score
from .task import VERSION, TrainingTask
from .training_result import TrainingResult

LIBRARIES = ("torch", "numpy", "librosa", "scikit-learn", "praat-parselmouth", "safetensors")


def training_clips(task: TrainingTask, result: TrainingResult) -> TrainingClips:
    """Identity of the clips of a training."""
    speakers = task.corpus.table.loc[list(result.clips), "speaker"].astype(str)
    digests: dict[str, list[str]] = {speaker: [] for speaker in sorted(set(speakers))}
    for speaker, content in zip(speakers, result.digests, strict=True):
        digests[speaker].append(content)
    return TrainingClips(
        verified=authentic_clips(task.corpus, result.clips) == set(result.clips),
        digests={speaker: tuple(sorted(values)) for speaker, values in digests.items()},
    )


def make_card(task: TrainingTask, result: TrainingResult) -> Card:
    """Card of a finished training, with its scores on held-out clips."""
    kept = (*task.kept_parts, REFIT)
    front_end = dict(result.front_end)
    if "layers" in front_end:  # without those of divisions that are only scored
        front_end["layers"] = {fold: front_end["layers"][fold] for fold in kept if fold in front_end["layers"]}
    return Card(
        recogniser=task.name,
        version=MODELS.get(task.name).version,
        classes=task.classes,
        regression=None if task.values is None else True,
        corpus=Origin(name=task.corpus.name, version=task.corpus.record.version, digest=task.corpus.digest),
        front_end=front_end,
        network=result.network,
        folds={fold: tuple(speakers) for fold, speakers in task.folds.speakers.items()},
        folds_digest=task.folds.digest,
        scheme=_origin(task),
        weights={fold: result.weights[fold] for fold in task.kept_parts},
        refit=result.weights[REFIT],
        clips=training_clips(task, result),
        scores=_scores(task, result)
        | ({"layers": {fold: result.layers[fold] for fold in kept if fold in result.layers}} if result.layers else {})
        | ({"schemes": _scheme_scores(task, result)} if task.others else {}),
        training={
            "version": VERSION,
            "seed": task.seed,
            "settings": asdict(task.settings),
            "left_out": result.left_out,
            **({"C": {fold: result.strengths[fold] for fold in kept}} if result.strengths else {}),
        },
        libraries={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )


def _scores(task: TrainingTask, result: TrainingResult) -> dict[str, Any]:
    """Scores of the test clips, pooled and of each fold."""
    labels, predicted, speakers = _tested(task, result, task.kept_parts)
    folds = {}
    for fold, part in task.kept_parts.items():
        scores = _score(task, *_tested(task, result, {fold: part}))
        folds[fold] = {name: scores[name] for name in ("n", "speakers", "uar", "accuracy", "ccc") if name in scores}
    pooled = _score(task, labels, predicted, speakers)
    if task.values is not None:
        return {"pooled": pooled, "interval": CCC_INTERVAL, "folds": folds}
    return {
        "pooled": pooled,
        "interval": INTERVAL,
        "folds": folds,
        "confusion": confusion(labels, predicted.argmax(axis=1), len(task.classes)).tolist(),
        "calibration_error": calibration_error(labels, np.exp(predicted)),
    }


def _score(task: TrainingTask, labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray) -> dict[str, Any]:
    """UAR and accuracy, or the agreement of dimensions."""
    if task.values is not None:
        return dimension_scores(labels, predicted, speakers, task.classes)
    return score(labels, predicted.argmax(axis=1), speakers, len(task.classes))


def _tested(
    task: TrainingTask, result: TrainingResult, parts: Mapping[str, Part]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions (n, n_classes) and speakers of the test clips of some folds, in the order of clips."""
    predicted = np.full((len(result.clips), len(task.classes)), np.nan)
    for fold, part in parts.items():
        predicted[np.isin(result.clips, part.tested)] = result.predictions[fold]
    tested = np.isin(result.clips, [clip for part in parts.values() for clip in part.tested])
    speakers = task.corpus.table.loc[list(result.clips), "speaker"].to_numpy(dtype=str)
    return task.labels(result.clips)[tested], predicted[tested], speakers[tested]


def _origin(task: TrainingTask) -> FoldOrigin | None:
    """What the card says of published folds."""
    scheme = task.scheme
    if scheme is None:
        return None
    sharing = scheme.sharing(task.corpus.table["speaker"].to_dict())
    facts = {name: getattr(scheme, name) for name in ("name", "source", "commit", "licence", "note", "digest")}
    tested = {fold: part.tested for fold, part in scheme.parts().items()} if sharing.shared else {}
    return FoldOrigin(**facts, speakers=sharing.speakers, shared_speakers=sharing.shared, tested=tested)


def _scheme_scores(task: TrainingTask, result: TrainingResult) -> list[dict[str, Any]]:
    """Pooled scores of each division into folds, that of the kept models first."""
    speakers = task.corpus.table["speaker"].to_dict()
    kept = task.scheme or FoldScheme.of_speakers(cast(Folds, task.folds), task.corpus.table.loc[list(task.clips)])
    divided = [(kept, task.kept_parts), *((scheme, task.other_parts(i)) for i, scheme in enumerate(task.others))]
    rows = []
    for place, (scheme, parts) in enumerate(divided):
        sharing = scheme.sharing(speakers)
        rows.append(
            {
                "scheme": scheme.name,
                "kept": place == 0,
                "folds": len(parts),
                "shared_speakers": sharing.shared,
                **_score(task, *_tested(task, result, parts)),
                "source": scheme.source,
                "commit": scheme.commit,
                "licence": scheme.licence,
                "note": scheme.note,
                "digest": scheme.digest,
            }
        )
    return rows
