"""Robustness of explanations on four axes: shift, recogniser, corpus, and seed or retraining.

Every axis asks how alike two explanations are that ought to be alike, by one measure of `metrics.similarity`:

- ``shift``: a clip under a condition and as recorded, same recogniser and target;
- ``model``: a clip by two recognisers;
- ``retraining``: a clip by two trainings of one recogniser;
- ``seed``: a clip explained twice with different seeds.

The fourth axis of the literature, corpora, compares no clips but profiles of emotions: `corpus_axis`.

Conventions
-----------
A raw similarity says little: maps of a noisy method are unlike each other for any pair of clips, those of a method that
gives every clip the same map alike for any pair. So each clip has a *floor*, the mean similarity of its map to those of
up to `FLOORS` other clips explained for the same class (another speaker's where there are), and a *ceiling*, the
similarity to a repeat with another seed (1 for a method without random numbers). Pooled over clips:

    contrast = mean(similarity) - mean(floor)
    score    = contrast / (mean(ceiling) - mean(floor))

A ratio of means, not a mean of ratios: the quotient of one clip has a denominator near 0 now and then, and single clips
would decide. All three means are over the same clips. The score is missing unless the lower bound of ceiling - floor
exceeds `MIN_RANGE`. Its interval is a jackknife over speakers. Methods are tested on the contrast, clip by clip against
`energy`, never on the quotient. A map ought to change where the prediction did, so the score is of clips whose
predicted class is unchanged; that of all clips stands beside it (``all_score``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...errors import NotApplicable
from ...keys import rng
from ...methods.records import METHODS, make_method
from ...metrics.similarity import CHANCE_SD, measure
from ...progress import Progress
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from ..stats.clustered import clustered_mean
from ..stats.multiplicity import holm
from .bar import ENERGY
from .shown_names import plain_name
from .stored_maps import CLEAN, StoredMap

AXES = ("shift", "model", "retraining", "seed")
FLOORS = 5  # other clips that a clip's floor is the mean of
MIN_RANGE = 0.1  # least lower bound of pooled ceiling - floor; at .05 intervals are often wider than 2
PAIR = ["axis", "corpus", "model", "other", "method"]
ROWS = [
    *PAIR, "strength", "clip", "speaker", "sentence", "emotion", "target", "unchanged", "similarity", "floor",
    "other_emotions", "ceiling", "cells",
]  # fmt: skip
POOLED = [
    *PAIR, "strength", "score", "low", "high", "similarity", "floor", "other_emotions", "ceiling", "range_low",
    "contrast", "contrast_low", "contrast_high", "changed", "all_score", "all_contrast", "n_clips", "n_all",
    "n_speakers", "n_sentences", "scope", "note",
]  # fmt: skip


@cache
def draws(method: str) -> bool:
    """Whether a method, with its default parameters, draws random numbers."""
    name = plain_name(method)
    return name in METHODS and make_method(name).stochastic


class Similarities:
    """Similarities of the maps of one (corpus, recogniser, method), with floors and ceilings by clip.

    Parameters
    ----------
    maps : iterable of StoredMap
        Of one corpus, recogniser and method.
    by : str
        Measure, one of `metrics.similarity.MEASURES`.
    seed : int
        Of the draw of other clips.
    """

    def __init__(self, maps: Iterable[StoredMap], by: str = "spearman", seed: int = 0) -> None:
        self._measure, self._seed = measure(by), seed
        self.shifted: list[StoredMap] = []
        self.clean: dict[tuple[str, str], StoredMap] = {}
        self.repeats: dict[tuple[str, str], StoredMap] = {}
        for one in maps:
            if one.condition != CLEAN:
                if one.repeat == 0:
                    self.shifted.append(one)
            elif one.repeat == 0:
                self.clean[one.clip, one.target] = one
            elif one.repeat == 1:
                self.repeats[one.clip, one.target] = one
        self._floors: dict[tuple[int, str, str], tuple[float, float]] = {}

    @property
    def one_a_clip(self) -> list[StoredMap]:
        """Clean maps, one a clip: that of the predicted class, where a clip is explained for several."""
        chosen: dict[str, StoredMap] = {}
        for one in self.clean.values():
            if one.clip not in chosen or one.target == one.predicted:
                chosen[one.clip] = one
        return list(chosen.values())

    def of(self, one: StoredMap, other: StoredMap) -> float:
        """Similarity of two maps on the grid of the first; NaN where it is undefined."""
        try:
            return self._measure(one.values, other.on(one.values.shape[1]))
        except NotApplicable:
            return np.nan

    def ceiling(self, one: StoredMap) -> float:
        """Similarity of a clip's map to its repeat; NaN for a method with random numbers that was not repeated."""
        repeat = self.repeats.get((one.clip, one.target))
        if repeat is not None:
            return self.of(one, repeat)
        return np.nan if draws(one.method) else 1.0

    def floors(self, one: StoredMap, among: Similarities | None = None) -> tuple[float, float]:
        """Mean similarity to other clips explained for the same class, and for other classes; NaN without any.

        Parameters
        ----------
        one : StoredMap
        among : Similarities, optional
            Whose maps the others are; default these.
        """
        pool = among or self
        place = id(pool), one.clip, one.target
        if place not in self._floors:
            others = [o for o in pool.clean.values() if o.clip != one.clip]
            same = [o for o in others if o.target == one.target]
            elsewhere = [o for o in same if o.speaker != one.speaker] or same
            different = [o for o in others if o.target != one.target and o.speaker != one.speaker]
            self._floors[place] = self._mean(one, elsewhere, "floor"), self._mean(one, different, "other emotions")
        return self._floors[place]

    def _mean(self, one: StoredMap, others: Sequence[StoredMap], what: str) -> float:
        # the draw must not depend on the method: all methods get the same other clips
        draw = rng("robustness", self._seed, what, one.corpus, one.clip, one.target)
        others = sorted(others, key=lambda o: o.clip)
        chosen = draw.permutation(len(others))[:FLOORS]
        found = [self.of(one, others[i]) for i in chosen]
        return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan

    def row(
        self,
        axis: str,
        one: StoredMap,
        other: StoredMap,
        named: str,
        unchanged: bool | None,
        among: Similarities | None = None,
    ) -> dict[str, Any]:
        """One row of `ROWS`: a clip's map `one` as recorded, and the map it is compared with; see `floors`."""
        floor, different = self.floors(one, among)
        return {
            "axis": axis, "corpus": one.corpus, "model": one.recogniser, "other": named, "method": one.method,
            "strength": other.strength, "clip": one.clip, "speaker": one.speaker, "sentence": one.sentence,
            "emotion": one.emotion, "target": one.target, "unchanged": unchanged, "similarity": self.of(one, other),
            "floor": floor, "other_emotions": different, "ceiling": self.ceiling(one), "cells": one.cells,
        }  # fmt: skip


# -- rows per clip -----------------------------------------------------------------------------------------------------


def clip_rows(
    maps: Sequence[StoredMap],
    by: str = "spearman",
    axes: Sequence[str] = AXES,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Similarity, floor and ceiling of each clip on the axes that the maps allow.

    Parameters
    ----------
    maps : sequence of StoredMap
    by : str
        Measure of similarity.
    axes : sequence of str
        Some of `AXES`.
    seed : int
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    DataFrame
        Columns `ROWS`, one row for each clip and comparison; ``other`` is the condition, the other recogniser, or
        empty. Of a clip that is explained for several classes the explanation of the predicted one counts.
    """
    groups: dict[tuple[str, str, str], list[StoredMap]] = {}
    for one in maps:
        groups.setdefault((one.corpus, one.recogniser, one.method), []).append(one)
    known = {named: Similarities(part, by, seed) for named, part in groups.items()}
    rows: list[dict[str, Any]] = []
    for done, of_method in enumerate(known.values(), 1):
        if "shift" in axes:
            rows += _shift_rows(of_method)
        if "seed" in axes:
            rows += _seed_rows(of_method)
        if progress is not None:
            progress("comparing maps", done, len(known))
    if "model" in axes or "retraining" in axes:
        for first, second in combinations(known, 2):
            if first[0] == second[0] and first[2] == second[2]:
                rows += [row for row in _model_rows(known[first], known[second]) if row["axis"] in axes]
    return pd.DataFrame(rows, columns=ROWS)


def _shift_rows(known: Similarities) -> Iterator[dict[str, Any]]:
    chosen = {(one.clip, one.target): one for one in known.one_a_clip}
    for other in known.shifted:
        one = chosen.get((other.clip, other.target))
        if one is not None:
            unchanged = other.predicted == one.predicted if other.predicted and one.predicted else None
            yield known.row("shift", one, other, other.condition, unchanged)


def _seed_rows(known: Similarities) -> Iterator[dict[str, Any]]:
    for one in known.one_a_clip:
        repeat = known.repeats.get((one.clip, one.target))
        if repeat is not None and draws(one.method):
            yield known.row("seed", one, repeat, "", True) | {"ceiling": 1.0}


def _model_rows(first: Similarities, second: Similarities) -> Iterator[dict[str, Any]]:
    """Rows of both recognisers' clips, each explained for its own prediction; ceiling of both, floor across them."""
    of_clip = {one.clip: one for one in second.one_a_clip}
    for one in first.one_a_clip:
        other = of_clip.get(one.clip)
        if other is None:
            continue
        same = (one.kind, one.trained_on) == (other.kind, other.trained_on)
        axis = "retraining" if same else "model"
        row = first.row(axis, one, other, other.recogniser, other.target == one.target, second)
        yield row | {"strength": np.nan, "ceiling": np.mean([row["ceiling"], second.ceiling(other)])}


# -- pooled over clips -------------------------------------------------------------------------------------------------


def pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Score, contrast and interval of each method, on each axis and pair of settings.

    Parameters
    ----------
    rows : DataFrame
        Of `clip_rows`.

    Returns
    -------
    DataFrame
        Columns `POOLED`. ``score`` with its jackknife interval, the means and the contrast are of clips whose predicted
        class is unchanged; ``changed`` is the share of the others; ``all_score`` and ``all_contrast`` are of all clips.
        ``note`` says why a score or interval is missing.
    """
    found = [dict(zip(PAIR, named, strict=True)) | _pooled(part) for named, part in rows.groupby(PAIR, sort=False)]
    return pd.DataFrame(found, columns=POOLED)


def _pooled(part: pd.DataFrame) -> dict[str, Any]:
    known = part.dropna(subset=["similarity", "floor"])
    same = known[known["unchanged"].ne(False)]
    told = score_of_means(same)
    everything = score_of_means(known)
    contrast = clustered_mean(same["similarity"] - same["floor"], same["speaker"].tolist(), _sentences(same))
    return told | {
        "strength": part["strength"].mean(), "contrast": contrast.mean, "contrast_low": contrast.bounds[0],
        "contrast_high": contrast.bounds[1], "changed": 1 - len(same) / len(known) if len(known) else np.nan,
        "all_score": everything["score"], "all_contrast": everything["similarity"] - everything["floor"],
        "n_clips": len(same), "n_all": len(known), "n_speakers": same["speaker"].nunique(),
        "n_sentences": contrast.n_sentences, "scope": contrast.scope,
    }  # fmt: skip


def score_of_means(part: pd.DataFrame) -> dict[str, Any]:
    """Ratio of means and its jackknife interval over speakers; all means over the clips that have all three.

    Parameters
    ----------
    part : DataFrame
        Comparisons of one axis, pair of settings and method (`clip_rows`), none of which lacks similarity or floor.

    Returns
    -------
    dict of str to float or str
        Those columns of `POOLED`; ``range_low`` is NaN where there is nothing to compare with, ``note`` says what.
    """
    nothing = {"score": np.nan, "low": np.nan, "high": np.nan, "range_low": np.nan}
    means = part[["similarity", "floor", "other_emotions", "ceiling"]].mean()
    if part.empty:
        return nothing | means.to_dict() | {"note": "no clip whose prediction is unchanged"}
    whole = part.dropna(subset=["ceiling"])
    if whole.empty:
        return nothing | means.to_dict() | {"note": "no repeat with another seed: run with --repeats 2"}
    means = whole[["similarity", "floor", "other_emotions", "ceiling"]].mean()
    span = clustered_mean(whole["ceiling"] - whole["floor"], whole["speaker"].tolist(), _sentences(whole))
    chance = CHANCE_SD / np.sqrt(max(whole["cells"].mean() - 1, 1e-9) * len(whole))
    told = nothing | means.to_dict() | {"range_low": span.low}
    if means["ceiling"] < chance:
        return told | {"note": "two seeds agree no better than unrelated maps"}
    few = whole["speaker"].nunique() < MIN_SPEAKERS  # no interval, so the mean itself must exceed the least range
    if few or span.se == 0:
        told["range_low"] = span.mean
    if not told["range_low"] > MIN_RANGE:
        return told | {
            "note": f"ceiling - floor may be below {MIN_RANGE}: a repeat is hardly more alike than another clip"
        }
    told["score"] = (means["similarity"] - means["floor"]) / (means["ceiling"] - means["floor"])
    if few:
        return told | {"note": f"described only: {whole['speaker'].nunique()} speakers"}
    told["low"], told["high"] = jackknife_ratio(
        whole["similarity"] - whole["floor"], whole["ceiling"] - whole["floor"], whole["speaker"]
    )
    return told | {"note": ""}


def jackknife_ratio(numerator: Any, denominator: Any, speakers: Any, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a ratio of means by the delete-one-speaker jackknife.

    Parameters
    ----------
    numerator, denominator : array_like, shape (n,)
        Of each clip.
    speakers : array_like, shape (n,)
    level : float

    Returns
    -------
    low, high : float
        Student's t with speakers - 1 degrees of freedom around the ratio of all clips (Quenouille 1956; Tukey 1958).
    """
    codes = pd.factorize(np.asarray(speakers))[0]
    sums = [np.bincount(codes, weights=np.asarray(x, dtype=np.float64)) for x in (numerator, denominator)]
    total = sums[0].sum() / sums[1].sum()
    left_out = (sums[0].sum() - sums[0]) / (sums[1].sum() - sums[1])
    k = left_out.size
    se = np.sqrt((k - 1) / k * np.sum((left_out - left_out.mean()) ** 2))
    half = stats.t.ppf((1 + level) / 2, k - 1) * se
    return float(total - half), float(total + half)


def _sentences(part: pd.DataFrame) -> list[Any] | None:
    return part["sentence"].tolist() if len(part) and part["sentence"].ne("").all() else None


# -- tests -------------------------------------------------------------------------------------------------------------


def against_energy(rows: pd.DataFrame, passed: Iterable[str] = ()) -> pd.DataFrame:
    """Test the contrast of each method against that of `energy` on the same clips, with unchanged prediction.

    Parameters
    ----------
    rows : DataFrame
        Of `clip_rows`.
    passed : iterable of str
        Methods that beat `random` and `energy` in faithfulness (`bar`). Only they are ranked: a map that does not look
        at the recogniser is robust for the wrong reason.

    Returns
    -------
    DataFrame
        `PAIR`, ``difference`` with ``low`` and ``high``, ``p``, ``p_holm`` (over the methods of one pair of settings),
        ``n_clips``, ``n_speakers``, ``scope``, and ``ranked``: whether the method passed and at least two did.
    """
    passed = set(passed)
    setting = [name for name in PAIR if name != "method"]
    frames = []
    for named, part in rows[rows["unchanged"].ne(False)].groupby(setting, sort=False):
        part = part.assign(contrast=part["similarity"] - part["floor"])
        table = part.pivot_table(index=["clip", "target"], columns="method", values="contrast")
        if ENERGY not in table:
            continue
        clips = part.drop_duplicates(["clip", "target"]).set_index(["clip", "target"]).loc[table.index]
        found = []
        for method in table.columns.drop(ENERGY):
            difference = table[method] - table[ENERGY]
            e = clustered_mean(difference, clips["speaker"].tolist(), _sentences(clips))
            found.append(
                {
                    "method": method, "difference": e.mean, "low": e.bounds[0], "high": e.bounds[1], "p": e.p,
                    "n_clips": e.n_clips, "n_speakers": e.n_speakers, "scope": e.scope,
                    "ranked": method in passed and len(passed & set(table.columns)) > 1,
                }
            )  # fmt: skip
        frame = pd.DataFrame(found).assign(**dict(zip(setting, named, strict=True)))
        frames.append(frame.assign(p_holm=holm(frame["p"])))
    columns = [*PAIR, "difference", "low", "high", "p", "p_holm", "n_clips", "n_speakers", "scope", "ranked"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
