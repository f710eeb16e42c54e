"""Cross-corpus evaluation: train on one corpus, test on another.

Each clip is recognised by the model that explains it in a benchmark run: on the corpus of training the one that has
not heard its speaker, on any other corpus the first fold's. Only emotions that both corpora have are tested, and only
the classes of the model can be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..datasets.corpus import Corpus
from ..errors import ClipError, InputError
from .foldmodels import Models
from .scores import confusion, score

Progress = Callable[[int, int], None]


def recognise(
    models: Models, corpus: Corpus, clips: Sequence[str], device: str = "cpu", progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Compute the log-odds of each clip, shape (n_classes,), by the model that explains it; skip unreadable clips.

    Parameters
    ----------
    models : FoldModels or ForeignModel
    corpus : Corpus
    clips : sequence of str
    device : str
    progress : callable, optional
        Called with (done, total).
    """
    corpus.prepare(clips)
    by_fold: dict[str, list[str]] = {}
    for clip in clips:
        by_fold.setdefault(models.fold_for(corpus.name, str(corpus.table.at[clip, "speaker"])), []).append(clip)
    log_odds: dict[str, np.ndarray] = {}
    done = 0
    for fold, members in by_fold.items():
        recogniser = models.recogniser(fold, device)
        for clip in members:
            try:
                log_odds[clip] = recogniser.log_odds(corpus.clip(clip).samples[None])[0]
            except ClipError:
                continue
            finally:
                done += 1
                if progress:
                    progress(done, len(clips))
    return log_odds


def transfer_row(
    models: Models, corpus: Corpus, emotions: Sequence[str] | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Evaluate models trained on one corpus on another corpus.

    Parameters
    ----------
    models : FoldModels or ForeignModel
    corpus : Corpus
        Tested on.
    emotions : sequence of str, optional
        Default: all that corpus and models share.
    progress : callable, optional

    Returns
    -------
    dict
        ``trained_on``, ``tested_on``, ``emotions``, ``seen_in_training``, and `scores.score`'s numbers.

    Raises
    ------
    InputError
        If fewer than two emotions are shared, or no clip can be read.
    """
    classes = models.recogniser(models.default_fold).classes
    table: pd.DataFrame = corpus.table
    wanted = set(classes) if emotions is None else set(emotions)
    shared = [emotion for emotion in classes if emotion in wanted & set(table["emotion"])]
    if len(shared) < 2:
        raise InputError(
            f"{models.name} trained on {models.trained_on} and corpus {corpus.name} share "
            f"{', '.join(shared) or 'no emotion'}; at least 2 emotions are needed."
        )
    clips = sorted(table.index[table["emotion"].isin(shared)])
    log_odds = recognise(models, corpus, clips, progress=progress)
    if not log_odds:
        raise InputError(f"corpus {corpus.name}: no clip could be read.")
    rows = table.loc[list(log_odds)]
    true = rows["emotion"].map({emotion: i for i, emotion in enumerate(classes)}).to_numpy(dtype=np.int64)
    predicted = np.array([int(values.argmax()) for values in log_odds.values()], dtype=np.int64)
    scores = score(true, predicted, rows["speaker"].to_numpy(dtype=str), len(classes))
    return {
        "model": models.name,
        "trained_on": models.trained_on,
        "tested_on": corpus.name,
        "emotions": shared,
        "seen_in_training": models.seen_in_training(corpus.name),
        **scores,
        "classes": list(classes),
        "confusion": confusion(true, predicted, len(classes)).tolist(),
    }
