"""What is planted, and what a recogniser makes of it: the check on which all scores with a ground truth rest.

``python -m serxai.benchmark.analysis.planted [CORPUS]`` prints, as Markdown, in how many clips Praat and librosa find
each planted cue, and how a recogniser answers when the cues are taken away. Conventions:

- Each voice is heard by the fold model that has not been trained on it.
- A *treatment* is what the recogniser is given: the clip as it is (`clip`), its neutral twin (`twin`), the clip whose
  truth mask (95 % of the truth, on the scoring grid) is replaced by a fill (`remove: FILL`), or the clip of which all
  but the truth mask is replaced by its twin (`keep: twin`). A neutral clip has no truth mask and stays as it is.
- *Chance* is an answer that does not depend on the emotion. Each voice says each sentence once in each emotion, so the
  permutation test exchanges the emotions within these groups; its statistic is the unweighted average recall, and a
  small p says that the answers still follow the emotion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ...audio import Plane, scoring_grid
from ...audio.fills import FILLS, fill_spectrum
from ...datasets.clip import Clip
from ...datasets.planted.corpus import PlantedCorpus
from ...datasets.planted.truth import truth_map, truth_mask
from ...keys import rng
from ...models.foldmodels import FoldModels
from ...models.scores import score

TREATMENTS = ("clip", "twin", *(f"remove: {fill}" for fill in FILLS), "keep: twin")
PERMUTATIONS = 2000


def treated(clip: Clip) -> np.ndarray:
    """A planted clip under each of `TREATMENTS`, float32, shape (n_treatments, n_samples)."""
    assert clip.plant is not None
    plane, grid = Plane(clip.samples), scoring_grid(clip.duration_s)
    mask = truth_mask(truth_map(clip, plane, Plane(clip.plant.twin), grid))
    fills = {name: fill_spectrum(name, plane, rng("planted report", clip.id, name), clip.plant.twin) for name in FILLS}
    removed = [plane.render(~mask[None], grid, fills[name]).numpy()[0] for name in FILLS]
    kept = plane.render(mask[None], grid, fills["twin"]).numpy()[0] if mask.any() else clip.samples
    return np.stack([clip.samples, clip.plant.twin, *removed, kept])


def answers(
    corpus: PlantedCorpus,
    models: FoldModels,
    clip_ids: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """What a recogniser makes of clips under each treatment.

    Parameters
    ----------
    corpus : PlantedCorpus
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
        own = model.classes.index(clip.emotion)
        for treatment, values in zip(TREATMENTS, model.log_odds(treated(clip)), strict=True):
            predicted = model.classes[int(values.argmax())]
            rows.append((name, clip.speaker, clip.sentence, clip.emotion, treatment, predicted, float(values[own])))
        if progress is not None:
            progress(done, len(chosen))
    columns = ["clip", "speaker", "sentence", "emotion", "treatment", "predicted", "log_odds"]
    return pd.DataFrame(rows, columns=columns)


def independence(rows: pd.DataFrame, permutations: int = PERMUTATIONS) -> float:
    """One-sided p of the permutation test that answers follow the emotion no better than by chance.

    Parameters
    ----------
    rows : DataFrame
        Of `answers`, one treatment.
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
    found = weight[true] @ (true == predicted)
    reached = 0
    for _ in range(permutations):
        shuffled = np.empty_like(true)
        # sorting random numbers within each group exchanges its emotions
        shuffled[order] = true[np.lexsort((draw.random(true.size), group))]
        reached += weight[shuffled] @ (shuffled == predicted) >= found - 1e-12
    return (1 + reached) / (1 + permutations)


def reliance(rows: pd.DataFrame) -> pd.DataFrame:
    """How well the emotion is told under each treatment.

    Parameters
    ----------
    rows : DataFrame
        Of `answers`.

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
        found = score(true, predicted, part["speaker"].to_numpy(dtype=str), len(emotions))
        low, high = found["uar_interval"] or (np.nan, np.nan)
        recalls = (part["emotion"] == part["predicted"]).groupby(part["emotion"]).mean()
        result[treatment] = {
            "uar": found["uar"], "low": low, "high": high, "p": independence(part), "n": len(part), **recalls
        }  # fmt: skip
    return pd.DataFrame.from_dict(result, orient="index")
