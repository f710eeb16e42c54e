"""Pairwise agreement of explanation methods, from stored explanations without model calls.

Agreement is Spearman's rank correlation over the cells of the scoring grid, or over the eight bands of a profile, which
records of results have in place of maps. It is no quality, since methods can share a
fault: it shows which methods are near-copies, and where the choice of method decides the explanation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...audio import scoring_grid
from ...errors import NotApplicable
from ...methods.attribution import Attribution
from ...methods.records import METHODS
from ...metrics.case import summed_on
from ...metrics.similarity import rank_correlation
from ..stats.clustered import clustered_mean
from ..storage.store import Explanation
from .leaderboard import ordered
from .shown_names import recogniser_title
from .stored_maps import FoundMap

if TYPE_CHECKING:
    from ..run.runner import Progress

COLUMNS = ["corpus", "model", "condition", "method", "other", "mean", "low", "high", "clips", "planned", "speakers"]


def similarities(maps: Mapping[str, Attribution], duration_s: float | None = None) -> dict[tuple[str, str], float]:
    """Rank correlation of each pair of maps of one clip, on the clip's scoring grid.

    Parameters
    ----------
    maps : mapping of str to Attribution
        By method.
    duration_s : float, optional
        Length of the clip. Default: the smallest end time of its maps, since padding front ends only extend maps.

    Returns
    -------
    dict of (str, str) to float
        Each pair once, in the order of `maps`; pairs with a constant map are left out.
    """
    grid = scoring_grid(duration_s or min(float(map_.grid.time_edges_s[-1]) for map_ in maps.values()))
    on_grid = {name: summed_on(map_.values, map_.grid, grid) for name, map_ in maps.items()}
    correlations = {}
    for one, other in combinations_with_replacement(on_grid, 2):
        try:
            correlations[one, other] = rank_correlation(on_grid[one], on_grid[other])
        except NotApplicable:
            continue
    return correlations


def agreement(
    explanations: Iterable[Explanation],
    speakers: Mapping[tuple[str, str], str],
    progress: Progress | None = None,
    durations: Callable[[str, str], float | None] = lambda corpus, clip: None,
    sentences: Mapping[tuple[str, str], str] | None = None,
) -> pd.DataFrame:
    """Mean rank correlation of each pair of methods over the clips and targets that both explained.

    Parameters
    ----------
    explanations : iterable of Explanation
        Repeats other than the first are left out.
    speakers : mapping of (str, str) to str
        Speaker of each (corpus, clip); clips of one speaker are not independent.
    progress : callable, optional
        Called with (what, done, total).
    durations : callable, optional
        Length of a clip (corpus, clip) in seconds, None where it is not known, for explanations of earlier versions,
        which do not say it; see `similarities`.
    sentences : mapping of (str, str) to str, optional
        Sentence of each (corpus, clip); clips of one sentence are not independent either. Where one is missing,
        speakers are the only clusters.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per (corpus, model, condition) and unordered pair of methods, in the order of the
        registry; ``low`` and ``high`` bound the mean with 95 % (missing below 6 speakers). ``clips`` are the maps
        compared, of ``planned`` clips and targets that any method explained.
    """
    by_clip: dict[tuple[str, str, str, str, str], dict[str, Attribution]] = {}
    lengths: dict[tuple[str, str, str, str, str], float] = {}
    for e in explanations:
        if e.repeat == 0:
            identity = (e.corpus, e.model, e.condition, e.clip, e.attribution.target)
            by_clip.setdefault(identity, {})[e.attribution.method] = e.attribution
            lengths[identity] = e.duration_s
    rows = []
    for done, (identity, maps) in enumerate(sorted(by_clip.items(), key=lambda i: i[0]), 1):
        corpus, model, condition, clip, _ = identity
        length = lengths[identity] or durations(corpus, clip)
        named = {name: maps[name] for name in ordered(maps, METHODS.names())}
        rows += [
            (corpus, model, condition, *pair, value, speakers[corpus, clip], (sentences or {}).get((corpus, clip)))
            for pair, value in similarities(named, length).items()
        ]
        if progress is not None:
            progress("comparing maps", done, len(by_clip))
    return _averaged(rows, Counter(identity[:3] for identity in by_clip))


def agreement_of_profiles(found: Iterable[FoundMap], progress: Progress | None = None) -> pd.DataFrame:
    """`agreement` of band profiles, for runs and for records of results; coarser, since profiles say nothing of time.

    Profiles that are equal in all bands, as of maps that say nothing about frequency, are left out.

    Parameters
    ----------
    found : iterable of FoundMap
        Explanations of recorded clips; repeats other than the first are left out.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    DataFrame
        As of `agreement`.
    """
    by_clip: dict[tuple[str, str, str, str, str], dict[str, FoundMap]] = {}
    for one in found:
        if one.repeat == 0:
            model = recogniser_title(one.model, one.trained_on, one.corpus)
            identity = (one.corpus, model, one.condition, one.clip, one.target)
            by_clip.setdefault(identity, {}).setdefault(one.method, one)
    rows: list[tuple] = []
    for done, (identity, maps) in enumerate(sorted(by_clip.items(), key=lambda i: i[0]), 1):
        first = next(iter(maps.values()))
        profiles = {name: maps[name].read().profile for name in ordered(maps, METHODS.names())}
        for pair in combinations_with_replacement(profiles, 2):
            try:
                value = rank_correlation(*(profiles[name] for name in pair))
            except NotApplicable:
                continue
            rows.append((*identity[:3], *pair, value, first.speaker, first.sentence or None))
        if progress is not None:
            progress("comparing band profiles", done, len(by_clip))
    return _averaged(rows, Counter(identity[:3] for identity in by_clip))


def _averaged(rows: Sequence[tuple], planned: Mapping[tuple, int]) -> pd.DataFrame:
    """Means over clips, from rows of setting, pair, value, speaker and sentence."""
    table = pd.DataFrame(rows, columns=[*COLUMNS[:5], "value", "speaker", "sentence"])
    means = []
    for names, part in table.groupby(COLUMNS[:5], sort=False):
        known = part["sentence"].tolist() if part["sentence"].notna().all() else None
        mean = clustered_mean(part["value"], part["speaker"].tolist(), known)
        means.append((*names, mean.mean, *mean.bounds, mean.n, planned[names[:3]], mean.clusters))
    places = {name: i for i, name in enumerate(ordered({*table["method"], *table["other"]}, METHODS.names()))}
    result = pd.DataFrame(means, columns=COLUMNS)
    by = [*COLUMNS[:3], "method", "other"]
    return result.sort_values(
        by, key=lambda c: c.map(places) if c.name in ("method", "other") else c, ignore_index=True
    )


def agreement_matrix(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Symmetric matrix of the mean agreement in one setting; NaN where two methods share no clip."""
    pairs = table.set_index(["method", "other"])["mean"].to_dict()
    values = [[pairs.get((a, b), pairs.get((b, a), np.nan)) for b in methods] for a in methods]
    return pd.DataFrame(values, index=list(methods), columns=list(methods))
