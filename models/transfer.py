"""Cross-corpus evaluation: train on one corpus, test on another.

A clip of the corpus of training is recognised by the model of the fold that holds its speaker out, any other clip by
the refit, which was trained on all speakers. For a cell of two corpora the spread over the folds' models and the
ensemble of the folds stand beside the refit. Only emotions that both corpora have are tested, and only the classes of
the model can be answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..datasets.corpus import Corpus
from ..errors import ClipError, InputError
from .card import ENSEMBLE, REFIT
from .exposure import NO, UNKNOWN, YES
from .extractor import FeatureRecogniser
from .foldmodels import FoldModels, Models
from .recogniser import Recogniser
from .scores import confusion, score

Progress = Callable[[int, int], None]


def recognise(
    models: Models,
    corpus: Corpus,
    assigned: Mapping[str, Sequence[str]],
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Compute log-odds of clips by one or several models each; clips that cannot be read are left out.

    A clip is decoded once, and models that are heads on the same features share their extraction.

    Parameters
    ----------
    models : FoldModels or ForeignModel
    corpus : Corpus
    assigned : mapping of str to sequence of str
        Folds (or ``refit``) whose models recognise it, by clip id.
    device : str
    progress : callable, optional
        Called with (clips done, clips in all).

    Returns
    -------
    dict of str to dict of str to array, shape (n_classes,)
        Log-odds by clip and fold.
    """
    corpus.prepare(list(assigned))
    recognisers: dict[str, Recogniser] = {}
    log_odds: dict[str, dict[str, np.ndarray]] = {}
    for done, (clip, folds) in enumerate(assigned.items(), 1):
        for fold in folds:
            if fold not in recognisers:
                recognisers[fold] = models.recogniser(fold, device)
        try:
            samples = corpus.clip(clip).samples
            log_odds[clip] = _log_odds({fold: recognisers[fold] for fold in folds}, samples)
        except ClipError:
            pass
        if progress:
            progress(done, len(assigned))
    return log_odds


def _log_odds(recognisers: Mapping[str, Recogniser], samples: np.ndarray) -> dict[str, np.ndarray]:
    first = next(iter(recognisers.values()))
    if len(recognisers) == 1 or not isinstance(first, FeatureRecogniser):
        return {fold: recogniser.log_odds(samples[None])[0] for fold, recogniser in recognisers.items()}
    features = first.extractor.features(first.checked(samples[None]).numpy())
    return {
        fold: recogniser.log_odds_of(features)[0]
        for fold, recogniser in recognisers.items()
        if isinstance(recogniser, FeatureRecogniser)
    }


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
        ``trained_on``, ``tested_on``, ``emotions``, ``seen_in_training`` (the worst answer of any clip) and
        ``seen_counts``, and `scores.score`'s numbers of the models that recognise the clips. Where those are the refit
        throughout: ``folds``, UAR of each fold's model on the same clips; ``fold_range``, the least and the greatest;
        ``ensemble``, `scores.score`'s numbers of the folds' mean log-odds.

    Raises
    ------
    InputError
        If fewer than two emotions are shared, or no clip can be read.
    """
    known = models.recogniser(models.default_fold)
    if known.regression:
        raise InputError(f"{models.name} predicts numbers ({', '.join(known.classes)}); transfer compares classes.")
    classes = known.classes
    table: pd.DataFrame = corpus.table
    wanted = set(classes) if emotions is None else set(emotions)
    shared = [emotion for emotion in classes if emotion in wanted & set(table["emotion"])]
    if len(shared) < 2:
        raise InputError(
            f"{models.name} trained on {models.trained_on} and corpus {corpus.name} share "
            f"{', '.join(shared) or 'no emotion'}; at least 2 emotions are needed."
        )
    clips = sorted(table.index[table["emotion"].isin(shared)])
    own = {clip: models.fold_for(corpus.name, str(table.at[clip, "speaker"]), clip) for clip in clips}
    folds: list[str] = []
    if isinstance(models, FoldModels) and set(own.values()) == {REFIT}:
        folds = list(models.folds.speakers)
    log_odds = recognise(models, corpus, {clip: [fold, *folds] for clip, fold in own.items()}, progress=progress)
    if not log_odds:
        raise InputError(f"corpus {corpus.name}: no clip could be read.")
    rows = table.loc[list(log_odds)]
    true = rows["emotion"].map({emotion: i for i, emotion in enumerate(classes)}).to_numpy(dtype=np.int64)
    speakers = rows["speaker"].to_numpy(dtype=str)

    def scores(values: Sequence[np.ndarray]) -> dict[str, Any]:
        return score(true, np.stack(values).argmax(axis=1), speakers, len(classes))

    chosen = [values[own[clip]] for clip, values in log_odds.items()]
    seen = _seen(models, corpus, own)
    row = {
        "model": models.name,
        "trained_on": models.trained_on,
        "tested_on": corpus.name,
        "emotions": shared,
        "seen_in_training": next(answer for answer in (YES, UNKNOWN, NO) if answer in seen),
        "seen_counts": dict(seen),
        **scores(chosen),
        "classes": list(classes),
        "confusion": confusion(true, np.stack(chosen).argmax(axis=1), len(classes)).tolist(),
    }
    if folds:
        uars = {fold: scores([values[fold] for values in log_odds.values()])["uar"] for fold in folds}
        means = [np.mean([values[fold] for fold in folds], axis=0) for values in log_odds.values()]
        row |= {"folds": uars, "fold_range": [min(uars.values()), max(uars.values())], ENSEMBLE: scores(means)}
    return row


def _seen(models: Models, corpus: Corpus, own: Mapping[str, str]) -> Counter[str]:
    """How many clips were seen in training by the model that recognises them, by answer."""
    by_fold: dict[str, list[str]] = {}
    for clip, fold in own.items():
        by_fold.setdefault(fold, []).append(clip)
    answers: Counter[str] = Counter()
    for fold, clips in by_fold.items():
        answers.update(models.seen_in_training(corpus, clips, fold).values())
    return answers
