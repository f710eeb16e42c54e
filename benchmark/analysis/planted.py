"""Reliance of a recogniser on the planted cues, the premise of every score with a ground truth.

``serxai corpus planted CORPUS`` prints, as Markdown, in how many clips Praat and librosa
measure each planted cue, and a recogniser's recall with the cues removed. Conventions:

- Each voice is classified by the fold model that was not trained on it.
- A *treatment* is the input of the recogniser: the clip as it is (`clip`), its neutral twin (`twin`), the clip whose
  truth mask (95 % of the truth, on the scoring grid) is replaced by a fill (`remove: FILL`), or the clip of which all
  but the truth mask is replaced by its twin (`keep: twin`). A neutral clip has no truth mask and stays as it is.
- *Chance* means predictions that do not depend on the emotion. Each voice says each sentence once in each emotion, so
  the permutation test exchanges the emotions within these groups. Its statistic is the unweighted average recall; a
  small p means that predictions still depend on the emotion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ...audio import Plane, scoring_grid
from ...audio.fills import FILLS, fill_spectrum
from ...datasets.clip import Clip
from ...datasets.planted.corpus import RenderedCorpus
from ...datasets.planted.truth import truth_map, truth_mask
from ...errors import InputError
from ...keys import rng
from ...models.foldmodels import FoldModels
from ...models.scores import score

REMOVING = tuple(fill for fill in FILLS if fill != "zero")  # heard as attenuate is
TREATMENTS = ("clip", "twin", *(f"remove: {fill}" for fill in REMOVING), "keep: twin")
PERMUTATIONS = 2000


def treated_waveforms(clip: Clip) -> np.ndarray:
    """Waveforms of a planted clip under each of `TREATMENTS`, float32, shape (n_treatments, n_samples)."""
    if clip.plant is None:
        raise InputError(f"clip {clip.id!r} is not planted; give a clip of a planted corpus.")
    plane, grid = Plane(clip.samples), scoring_grid(clip.duration_s)
    mask = truth_mask(truth_map(clip, plane, Plane(clip.plant.twin), grid))
    fills = {
        name: fill_spectrum(name, plane, rng("planted report", clip.id, name), clip.plant.twin) for name in REMOVING
    }
    removed = [plane.render(~mask[None], grid, fills[name]).numpy()[0] for name in REMOVING]
    kept = plane.render(mask[None], grid, fills["twin"]).numpy()[0] if mask.any() else clip.samples
    return np.stack([clip.samples, clip.plant.twin, *removed, kept])


def treated_predictions(
    corpus: RenderedCorpus,
    models: FoldModels,
    clip_ids: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Predictions of a recogniser on clips under each treatment.

    Parameters
    ----------
    corpus : RenderedCorpus
    models : FoldModels
        Trained on a corpus with the same voices.
    clip_ids : sequence of str, optional
        Default: all.
    progress : callable, optional
        Called with clips done and clips to do.

    Returns
    -------
    DataFrame
        Columns ``clip``, ``speaker``, ``sentence``, ``emotion``, ``treatment``, ``predicted``, and ``log_odds`` of the
        clip's emotion.
    """
    chosen = list(corpus.table.index if clip_ids is None else clip_ids)
    corpus.prepare(chosen)
    recognisers = {fold: models.recogniser(fold) for fold in models.folds.speakers}
    rows = []
    for done, name in enumerate(chosen, 1):
        clip = corpus.clip(name)
        model = recognisers[models.fold_for(corpus.name, clip.speaker)]
        true_class = model.classes.index(clip.emotion)
        for treatment, values in zip(TREATMENTS, model.log_odds(treated_waveforms(clip)), strict=True):
            predicted = model.classes[int(values.argmax())]
            rows.append(
                (name, clip.speaker, clip.sentence, clip.emotion, treatment, predicted, float(values[true_class]))
            )
        if progress is not None:
            progress(done, len(chosen))
    columns = ["clip", "speaker", "sentence", "emotion", "treatment", "predicted", "log_odds"]
    return pd.DataFrame(rows, columns=columns)


def independence(rows: pd.DataFrame, permutations: int = PERMUTATIONS) -> float:
    """One-sided p of a permutation test of independence between predictions and emotions.

    Parameters
    ----------
    rows : DataFrame
        Of `treated_predictions`, one treatment.
    permutations : int
        The smallest p is 1 / (permutations + 1).
    """
    emotions = sorted(set(rows["emotion"]))
    rows = rows[rows["predicted"].isin(emotions)].sort_values("clip")
    true = rows["emotion"].map(emotions.index).to_numpy()
    predicted = rows["predicted"].map(emotions.index).to_numpy()
    weight = 1 / np.bincount(true, minlength=len(emotions))
    group = rows.groupby(["speaker", "sentence"], sort=True).ngroup().to_numpy()
    draw = rng("planted report", "independence")
    order = np.argsort(group, kind="stable")
    observed = weight[true] @ (true == predicted)
    as_large = 0
    for _ in range(permutations):
        shuffled = np.empty_like(true)
        # sorting random numbers within each group exchanges its emotions
        shuffled[order] = true[np.lexsort((draw.random(true.size), group))]
        as_large += weight[shuffled] @ (shuffled == predicted) >= observed - 1e-12
    return (1 + as_large) / (1 + permutations)


def reliance(rows: pd.DataFrame) -> pd.DataFrame:
    """Unweighted average recall under each treatment, with interval and permutation test.

    Parameters
    ----------
    rows : DataFrame
        Of `treated_predictions`.

    Returns
    -------
    DataFrame
        Indexed by treatment: ``uar`` with its 95 % interval clustered by speaker (``low``, ``high``), ``p`` of
        `independence`, ``n``, and the recall of each emotion.
    """
    emotions = sorted(set(rows["emotion"]) | set(rows["predicted"]))
    result = {}
    for treatment, part in rows.groupby("treatment", sort=False):
        true, predicted = (part[column].map(emotions.index).to_numpy() for column in ("emotion", "predicted"))
        scores = score(true, predicted, part["speaker"].to_numpy(dtype=str), len(emotions))
        low, high = scores["uar_interval"] or (np.nan, np.nan)
        recalls = (part["emotion"] == part["predicted"]).groupby(part["emotion"]).mean()
        result[treatment] = {
            "uar": scores["uar"],
            "low": low,
            "high": high,
            "p": independence(part),
            "n": len(part),
            **recalls,
        }
    return pd.DataFrame.from_dict(result, orient="index")
