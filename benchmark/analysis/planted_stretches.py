"""Checks of corpora rendered from recordings: reliance on the planted stretch alone, and shortcut probes.

Conventions
-----------
*Reliance*: in each emotional clip the longest target is replaced by the neutral twin, and of each other kind (``sham``,
``distractor``) the stretch of nearest duration by the recording without any edit. The *fall* is the decrease of the
log-odds of the clip's emotion, from the fold model that has not heard the speaker. A recogniser relies on what was
planted if the fall of the target exceeds that of a sham, clip by clip.

*Probes* (`datasets.probes`) are run on the clips and on their twins. On clips, level may tell an emotion, because level
is planted. On twins nothing may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...datasets.clip import Word
from ...datasets.planted.check import plant_of
from ...datasets.planted.edits import crossfade_weight
from ...datasets.planted.from_emodb import RecordedPlants
from ...datasets.probe_features import clip_features
from ...datasets.probes import probe_table
from ...models.foldmodels import FoldModels
from ..stats.clustered import clustered_mean

if TYPE_CHECKING:
    from ...datasets.planted.corpus import RenderedCorpus

KINDS = ("target", "sham", "distractor")
PROBE_PERMUTATIONS = 499


def replaced(samples: np.ndarray, other: np.ndarray, stretch: Word) -> np.ndarray:
    """Samples with one stretch crossfaded to another signal, float32, shape (n_samples,)."""
    weight = crossfade_weight(samples.size, (stretch,))
    changed: np.ndarray = (samples + weight * (other - samples.astype(np.float64))).astype(np.float32)
    return changed


def chosen_stretches(stretches: dict[str, tuple[Word, ...]]) -> dict[str, Word]:
    """Longest target of a clip, and of each other kind the stretch of nearest duration; by kind."""

    def duration(word: Word) -> float:
        return word.end_s - word.start_s

    target = max(stretches["target"], key=duration)
    others = {
        kind: min(stretches[kind], key=lambda word: abs(duration(word) - duration(target)))
        for kind in KINDS[1:]
        if stretches.get(kind)
    }
    return {"target": target} | others


def falls(
    corpus: RecordedPlants,
    models: FoldModels,
    clip_ids: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Fall of the log-odds of each emotional clip's class when one stretch alone is replaced; see the module.

    Parameters
    ----------
    corpus : RecordedPlants
    models : FoldModels
        Trained on a corpus with the same speakers.
    clip_ids : sequence of str
        Neutral clips among them are skipped.
    progress : callable, optional
        Called with (done, total) clips.

    Returns
    -------
    DataFrame
        Columns ``clip``, ``speaker``, ``sentence``, ``emotion``, ``kind``, ``duration_s``, ``fall``.
    """
    names = [name for name in clip_ids if corpus.table.at[name, "emotion"] != "neutral"]
    corpus.prepare(names)
    recognisers = {fold: models.recogniser(fold) for fold in models.folds.speakers}
    rows = []
    for done, name in enumerate(names, 1):
        clip = corpus.clip(name)
        twin = plant_of(clip).twin
        chosen = chosen_stretches(corpus.stretches(name))
        recording = corpus.recording(name)
        copies = [
            replaced(clip.samples, twin if kind == "target" else recording, stretch) for kind, stretch in chosen.items()
        ]
        model = recognisers[models.fold_for(corpus.name, clip.speaker)]
        values = model.log_odds(np.stack([clip.samples, *copies]))[:, model.classes.index(clip.emotion)]
        for (kind, stretch), value in zip(chosen.items(), values[1:], strict=True):
            seconds = stretch.end_s - stretch.start_s
            rows.append((name, clip.speaker, clip.sentence, clip.emotion, kind, seconds, float(values[0] - value)))
        if progress is not None:
            progress(done, len(names))
    return pd.DataFrame(rows, columns=["clip", "speaker", "sentence", "emotion", "kind", "duration_s", "fall"])


def fall_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean fall of each kind of stretch, and of the target beyond the sham of the same clip.

    Parameters
    ----------
    rows : DataFrame
        Of `falls`.

    Returns
    -------
    DataFrame
        Indexed by ``target``, ``sham``, ``distractor``, ``target - sham``: ``mean`` with its 95 % interval clustered by
        speaker and sentence (``low``, ``high``), ``share`` of clips in which it is positive, ``duration_s``, ``n``.
    """
    facts = rows.groupby("clip")[["speaker", "sentence"]].first()
    by_kind = rows.pivot_table(index="clip", columns="kind", values="fall").loc[facts.index]
    seconds = rows.groupby("kind")["duration_s"].mean().to_dict()
    values = {kind: by_kind[kind] for kind in KINDS if kind in by_kind}
    if "sham" in values:
        values["target - sham"] = values["target"] - values["sham"]
    made = {}
    for kind, column in values.items():
        estimate = clustered_mean(column.to_numpy(), facts["speaker"].to_numpy(), facts["sentence"].to_numpy())
        low, high = estimate.bounds
        known = column.dropna()
        made[kind] = {
            "mean": estimate.mean,
            "low": low,
            "high": high,
            "share": float((known > 0).mean()),
            "duration_s": seconds.get(kind, np.nan),
            "n": len(known),
        }
    return pd.DataFrame.from_dict(made, orient="index")


def shortcuts(corpus: RenderedCorpus, clip_ids: Sequence[str], permutations: int = PROBE_PERMUTATIONS) -> pd.DataFrame:
    """Shortcut probes of clips and twins on new speakers.

    Parameters
    ----------
    corpus : RenderedCorpus
    clip_ids : sequence of str
        At least 10 of each emotion, of 2 speakers.
    permutations : int
        See `datasets.probes.probe_table`.

    Returns
    -------
    DataFrame
        Columns ``signal`` (``clip`` or ``twin``), ``probe``, ``uar``, ``low``, ``high``, ``chance``, ``p_holm``.
    """
    corpus.prepare(clip_ids)
    features: dict[str, list[dict[str, float]]] = {"clip": [], "twin": []}
    for name in clip_ids:
        clip = corpus.clip(name)
        features["clip"].append(clip_features(clip.samples))
        features["twin"].append(clip_features(plant_of(clip).twin))
    parts = []
    for signal, rows in features.items():
        measured = pd.DataFrame(rows, index=list(clip_ids))
        measured = measured.join(corpus.table[["emotion", "speaker", "sex"]])
        found = probe_table(corpus.name, measured, permutations=permutations).table()
        parts.append(found[found["tested_on"] == "new speakers"].assign(signal=signal))
    columns = ["signal", "probe", "uar", "low", "high", "chance", "p_holm"]
    return pd.concat(parts, ignore_index=True)[columns]
