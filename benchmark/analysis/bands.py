"""Weights of a run's explanations as tables: clip x part, profiles of bands, and their reliability.

A *profile* is the mean weight of each band over the clips for which one emotion is explained. Repeats of a clip are
averaged first. Intervals are cluster-robust over speakers (`stats.clustered`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...keys import rng
from ...methods.mask_tables import RESPONSES, banzhaf_interactions, delta_auc, share_kept, variance_shares
from ..stats.clustered import clustered_mean
from ..stats.clustered_proportion import clustered_share
from ..storage.store import Store
from .authors import digitised_weights

MAX_PARTS = 16  # an explanation by at most so many parts is exported unless methods are named
SPLITS = 200
FACTS = ["corpus", "model", "trained_on", "seen_in_training", "condition", "method", "method_version"]
CLIP = [*FACTS, "clip", "speaker", "emotion", "predicted", "correct", "target"]
_FOUND = ["corpus", "model", "condition", "method", "clip", "target"]  # what names an explanation, but for its repeat
PART = ["part", "low_hz", "high_hz", "start_s", "end_s"]
PROFILE = [*FACTS, "target"]


def part_weights(store: Store, methods: Sequence[str] = ()) -> pd.DataFrame:
    """Weights of each part of each clip.

    Parameters
    ----------
    store : Store
        A run.
    methods : sequence of str
        Of the run; default all that explain by at most 16 parts.

    Returns
    -------
    DataFrame
        One row for each explanation and part: `CLIP`, ``repeat``, `PART`, ``weight``, and of the whole explanation
        ``shrinkage`` (by a ridge penalty), ``r2``, ``full`` and ``none`` (responses with all parts kept and removed),
        missing where the method has none.
    """
    facts = _facts(store)
    rows = []
    for explanation in store.explanations():
        attribution, grid = explanation.attribution, explanation.attribution.grid
        named = (explanation.corpus, explanation.model, explanation.condition, attribution.method,
                 explanation.clip, attribution.target)  # fmt: skip
        chosen = attribution.method in methods if methods else attribution.values.size <= MAX_PARTS
        if not chosen or named not in facts:
            continue
        of_fit = [attribution.details.get(name, np.nan) for name in ("shrinkage", "r2", "full", "none")]
        row, column = np.indices(grid.shape).reshape(2, -1)
        freqs, times = grid.freq_edges_hz, grid.time_edges_s
        for part, (i, j) in enumerate(zip(row, column, strict=True)):
            place = (part, freqs[i], freqs[i + 1], times[j], times[j + 1])
            rows.append((*facts[named], explanation.repeat, *place, float(attribution.values[i, j]), *of_fit))
    columns = [*CLIP, "repeat", *PART, "weight", "shrinkage", "r2", "full", "none"]
    return pd.DataFrame(rows, columns=columns).sort_values([*CLIP, "repeat", "part"], ignore_index=True)


def _facts(store: Store) -> dict[tuple, tuple]:
    """`CLIP` of each explanation, by `_FOUND`."""
    scores = store.scores(CLIP)
    scores = scores[scores["target"] != ""].drop_duplicates(_FOUND)
    keys = scores[_FOUND].itertuples(index=False, name=None)
    return dict(zip(keys, scores[CLIP].itertuples(index=False, name=None), strict=True))


def of_bands(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `part_weights` by methods whose parts are the same frequency bands of every clip, repeats averaged.

    Returns
    -------
    DataFrame
        One row for each clip and band; ``unshrunk`` is the weight divided by the shrinkage of its fit.
    """
    table = table.assign(unshrunk=table["weight"] / table["shrinkage"].fillna(1.0))
    edges = table.groupby(["method", "part"])[["low_hz", "high_hz"]].nunique().max(axis=1).groupby("method").max()
    starts = table.groupby([*CLIP, "repeat"], dropna=False)["start_s"].nunique().groupby("method").max()
    bands = [name for name in edges.index if edges[name] == 1 and starts[name] == 1]
    table = table[table["method"].isin(bands)]
    by_clip = table.groupby([*CLIP, "part", "low_hz", "high_hz"], as_index=False, dropna=False, sort=False)
    return by_clip[["weight", "unshrunk"]].mean()


def band_profiles(bands: pd.DataFrame) -> pd.DataFrame:
    """Mean weight of each band for each explained emotion, corpus, recogniser and method.

    Parameters
    ----------
    bands : DataFrame
        Of `of_bands`.

    Returns
    -------
    DataFrame
        `PROFILE`, ``part``, ``low_hz``, ``high_hz``, ``weight`` with ``low`` and ``high`` (95 %, speakers as clusters;
        missing below 6 speakers), ``unshrunk``, ``n_clips``, ``n_speakers``; and the weights read off the EmoLIME
        paper's figure, ``published_ComParE`` and ``published_wav2vec2``, where corpus, emotion and bands are the same
        (shrunk by their ridge penalty to .876).
    """
    rows = []
    for named, part in bands.groupby([*PROFILE, "part", "low_hz", "high_hz"], sort=False):
        found = clustered_mean(part["weight"], part["speaker"])
        rows.append((*named, found.mean, *found.bounds, part["unshrunk"].mean(), found.n_clips, found.n_speakers))
    columns = [*PROFILE, "part", "low_hz", "high_hz", "weight", "low", "high", "unshrunk", "n_clips", "n_speakers"]
    table = pd.DataFrame(rows, columns=columns)
    published = digitised_weights()
    published = published.assign(
        corpus=published["corpus"].str.lower(),
        low_hz=published["low_hz"].round(),
        model="published_" + published["model"],
    )
    wide = published.pivot(index=["corpus", "emotion", "low_hz"], columns="model", values="weight").reset_index()
    wide = wide.rename(columns={"emotion": "target"})
    merged = table.assign(edge=table["low_hz"].round()).merge(
        wide.rename(columns={"low_hz": "edge"}), "left", ["corpus", "target", "edge"]
    )
    same = merged.groupby(PROFILE)["part"].transform("nunique") == published["band"].nunique()
    theirs = [name for name in merged.columns if name.startswith("published_")]
    merged[theirs] = merged[theirs].where(same, np.nan)
    return merged.drop(columns="edge")


def reliability(bands: pd.DataFrame, splits: int = SPLITS, seed: int = 0) -> pd.DataFrame:
    """Split-half reliability of the profiles: how alike those of two random halves of the clips are.

    Each split divides the clips of every explained emotion in two halves; r is the correlation of the halves' profiles
    over bands and emotions. ``reliability`` is that of profiles from all clips, by Spearman (1910) and Brown (1910):
    2 r / (1 + r).

    Parameters
    ----------
    bands : DataFrame
        Of `of_bands`.
    splits : int
        Random splits, of which the mean r is taken.
    seed : int

    Returns
    -------
    DataFrame
        `FACTS`, ``r``, ``reliability``, ``n_clips``, ``n_targets``; emotions with fewer than two clips are left out,
        and r is missing where nothing is left.
    """
    rows = []
    for named, part in bands.groupby(FACTS, sort=False):
        weights = [
            group.pivot(index=["clip", "speaker"], columns="part", values="weight").to_numpy()
            for _, group in part.groupby("target")
        ]
        weights = [one for one in weights if len(one) > 1]
        generator = rng(seed, "split halves", *map(str, named))
        found = [_split_half(weights, generator) for _ in range(splits)] if weights else [np.nan]
        r = float(np.mean(found))
        rows.append((*named, r, 2 * r / (1 + r), sum(map(len, weights)), len(weights)))
    return pd.DataFrame(rows, columns=[*FACTS, "r", "reliability", "n_clips", "n_targets"])


def _split_half(weights: Sequence[np.ndarray], generator: np.random.Generator) -> float:
    """Correlation of the mean profiles of two random halves; one array of shape (clips, bands) for each emotion."""
    halves: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for one in weights:
        order = generator.permutation(len(one))
        for half, rows in zip(halves, (order[: len(one) // 2], order[len(one) // 2 :]), strict=True):
            half.append(one[rows].mean(axis=0))
    return float(np.corrcoef(np.concatenate(halves[0]), np.concatenate(halves[1]))[0, 1])


def table_facts(store: Store, methods: Sequence[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What the stored mask tables say of each clip (see `methods.mask_tables`), without a model call.

    Parameters
    ----------
    store : Store
    methods : sequence of str
        Default all whose tables are stored.

    Returns
    -------
    clips : DataFrame
        `CLIP`, ``repeat``, ``additive`` and ``with_pairs`` for the log-odds and, with the suffix ``_probability``, for
        the probability; ``delta_auc``.
    curves : DataFrame
        `FACTS`, ``removed``, the shares of clips that keep their label, ``removed_first`` (with ``low`` and ``high``,
        speakers as clusters) and ``at_random``; ``n_clips``.
    pairs : DataFrame
        `PROFILE`, ``part``, ``other``, mean ``interaction`` of the log-odds, ``n_clips``.
    """
    facts = _facts(store)
    clips, steps, pairs = [], [], []
    for explanation in store.explanations():
        attribution = explanation.attribution
        named = (explanation.corpus, explanation.model, explanation.condition, attribution.method,
                 explanation.clip, attribution.target)  # fmt: skip
        if attribution.table is None or named not in facts or (methods and attribution.method not in methods):
            continue
        of_clip, table = dict(zip(CLIP, facts[named], strict=True)), attribution.table
        shares = {}
        for response, suffix in zip(RESPONSES, ("", "_probability"), strict=True):
            shares["additive" + suffix], shares["with_pairs" + suffix] = variance_shares(table, response)
        weights = attribution.values.ravel()
        if weights.size == len(table).bit_length() - 1:
            shares["delta_auc"] = delta_auc(table, weights)
            for removed, (first, at_random) in enumerate(zip(*share_kept(table, weights), strict=True)):
                curve = {"removed": removed, "removed_first": float(first), "at_random": float(at_random)}
                steps.append(of_clip | curve)
        clips.append(of_clip | {"repeat": explanation.repeat} | shares)
        found = banzhaf_interactions(table)
        pairs += [
            of_clip | {"part": i, "other": j, "interaction": found[i, j]} for i in range(len(found)) for j in range(i)
        ]
    return _sorted(clips, CLIP), _curves(steps), _mean_pairs(pairs)


def _sorted(rows: list[dict], columns: list[str]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=columns)
    return pd.DataFrame(rows).sort_values([*columns, "repeat"], ignore_index=True)


def _curves(rows: list[dict]) -> pd.DataFrame:
    columns = [*FACTS, "removed", "removed_first", "low", "high", "at_random", "n_clips"]
    if not rows:
        return pd.DataFrame(columns=columns)
    table = pd.DataFrame(rows)
    found = []
    for named, part in table.groupby([*FACTS, "removed"], sort=True):
        first = clustered_share(part["removed_first"], np.ones(len(part)), part["speaker"])
        found.append((*named, first.mean, *first.bounds, part["at_random"].mean(), part["clip"].nunique()))
    return pd.DataFrame(found, columns=columns)


def _mean_pairs(rows: list[dict]) -> pd.DataFrame:
    columns = [*PROFILE, "part", "other", "interaction", "n_clips"]
    if not rows:
        return pd.DataFrame(columns=columns)
    grouped = pd.DataFrame(rows).groupby([*PROFILE, "part", "other"], sort=True)
    found = grouped["interaction"].mean().reset_index()
    return found.assign(n_clips=grouped["clip"].nunique().to_numpy())[columns]
