"""Agreement between metrics within each class of clips, and pairs of methods that two metrics order by the class.

Metrics that agree about the order of methods over all clips may contradict each other in a class, and in another one
agree: Baer et al. 2025 (arXiv 2506.11790) found so for the two classes of synthetic time series, between a metric of
removal and metrics of known truth. Classes here are emotions and speakers' sexes. Means of a class rest on fewer clips
and turn more often; so what is found stands beside that of random groups of the same sizes
(`stats.concordance.random_groupings`). Baselines and references are left out, as in `rank_agreement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...keys import rng
from ..stats.clustered import CELL
from ..stats.concordance import concordance, group_means, opposed, pair_signs, random_groupings
from .abstention import CompletedCell
from .group_views import VIEWS, labelled_views
from .rank_agreement import LEAST_METHODS, numbered, ranked_means

PLACE = ["corpus", "model", "trained_on", "fill"]
BY_CLASS = [*PLACE, "view", "group", "metrics", "n_metrics", "n_methods", "n_clips", "w", "opposed"]
PAIRS = [
    *PLACE, "view", "groups", "metric_a", "metric_b", "n_groups", "n_methods", "n_clips", "opposed",
    "opposed_in_groups", "turned", "turned_random", "p",
]  # fmt: skip
ALL = "all clips"  # in column ``group``
# metrics of truth are of the map of the true class, whatever the target of the others
_SAME = [name for name in CELL if name not in ("fill", "family", "metric", "direction", "target_rule")]


class ClassMetrics(NamedTuple):
    """How metrics agree by class.

    Attributes
    ----------
    by_class : DataFrame
        Columns `BY_CLASS`: Kendall's W of a family's metrics about the order of methods, and the share of pairs of
        methods that two metrics order differently (mean over pairs of metrics), within each class and over `ALL`.
    pairs : DataFrame
        Columns `PAIRS`, one row for each two metrics, also of two families: ``opposed``, the share of pairs of methods
        that they order differently over all clips; ``opposed_in_groups``, its mean over classes; ``turned``, the share
        that they order differently in one class and alike in another, beside its mean over random groups and the share
        ``p`` of groupings (the observed one included) where as many turn.
    """

    by_class: pd.DataFrame
    pairs: pd.DataFrame


class _Means(NamedTuple):
    """Oriented mean of each clip (rows) and method, the clips' speakers and classes by view."""

    metric: str
    family: str
    frame: pd.DataFrame
    speakers: pd.Series
    classes: dict[str, pd.Series]


def class_metrics(found: Iterable[CompletedCell], family: str = "faithfulness") -> ClassMetrics:
    """Agreement between metrics within emotions and sexes, with condition, fill and recogniser held fixed.

    Parameters
    ----------
    found : iterable of CompletedCell
        Of one condition. Metrics without a fill stand beside those under each fill, and metrics of the true class
        beside those of the predicted one.
    family : str
        Whose metrics are compared all together; pairs are of all metrics here.
    """
    by_class: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for place, unordered in _places(found):
        members = sorted(unordered, key=lambda each: each.family != family)
        own = [each for each in members if each.family == family]
        by_class += [place | row for row in _within_classes(own)]
        for one, other in combinations(members, 2):
            if family in (one.family, other.family):
                pairs += [place | row for row in _turned(one, other, place)]
    return ClassMetrics(pd.DataFrame(by_class, columns=BY_CLASS), pd.DataFrame(pairs, columns=PAIRS))


def _places(found: Iterable[CompletedCell]) -> Iterator[tuple[dict[str, Any], list[_Means]]]:
    """Metrics of each setting and fill; settings without a fill are none."""
    settings: dict[tuple, list[CompletedCell]] = {}
    for each in found:
        settings.setdefault(tuple(str(each.cell.names[name]) for name in _SAME), []).append(each)
    for cells in settings.values():
        means: dict[tuple[str, str], _Means] = {}
        for each in cells:  # of a metric under two targets, the first
            found_means = _means(each)
            if found_means.frame.shape[1] >= LEAST_METHODS:
                means.setdefault((str(each.cell.names["fill"]), found_means.metric), found_means)
        for fill in dict.fromkeys(fill for fill, _ in means if fill):
            names = {name: cells[0].cell.names[name] for name in PLACE} | {"fill": fill}
            yield names, [each for (of_fill, _), each in means.items() if of_fill in ("", fill)]


def _means(found: CompletedCell) -> _Means:
    frame, speakers = ranked_means(found)
    names = found.cell.names
    views = {view: of_clip.reindex(frame.index) for view, of_clip, _ in labelled_views(found.cell)}
    sign = -1.0 if names["direction"] == "lower" else 1.0
    return _Means(str(names["metric"]), str(names["family"]), sign * frame, pd.Series(speakers, frame.index), views)


def _shared(members: Sequence[_Means]) -> tuple[pd.Index, list[str]]:
    """Clips and methods that all metrics have."""
    clips = members[0].frame.index
    for each in members[1:]:
        clips = clips.intersection(each.frame.index, sort=False)
    return clips, [name for name in members[0].frame if all(name in each.frame for each in members)]


def _grouped(members: Sequence[_Means], view: str) -> tuple[np.ndarray, pd.Index, list[str], list[str]] | None:
    """Group of each shared clip whose class is known, those clips, the groups' names, and the shared methods."""
    clips, methods = _shared(members)
    if len(methods) < LEAST_METHODS or not all(view in each.classes for each in members):
        return None
    of_clip = members[0].classes[view].reindex(clips)
    clips = clips[of_clip.ne("").to_numpy()]
    names, groups = np.unique(of_clip.reindex(clips).to_numpy().astype(str), return_inverse=True)
    return (groups, clips, list(names), methods) if len(names) > 1 else None


def _within_classes(members: Sequence[_Means]) -> Iterator[dict[str, Any]]:
    for view in VIEWS if len(members) > 1 else ():
        found = _grouped(members, view)
        if found is None:
            continue
        groups, clips, names, methods = found
        facts = {
            "view": view, "metrics": " ".join(each.metric for each in members), "n_metrics": len(members),
            "n_methods": len(methods),
        }  # fmt: skip
        for number, name in [(-1, ALL), *enumerate(names)]:
            inside = clips if number < 0 else clips[groups == number]
            means = np.array([each.frame.loc[inside, methods].mean().to_numpy() for each in members])
            yield facts | {
                "group": name, "n_clips": len(inside), "w": concordance(means), "opposed": opposed(means),
            }  # fmt: skip


def turned_pairs(one: np.ndarray, other: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of methods that two metrics order differently in one group of clips and alike in another.

    Parameters
    ----------
    one, other : array, shape (clips, methods)
        Oriented scores in two metrics, complete.
    drawn : array of int, shape (groupings, clips)
        See `stats.concordance.random_groupings`.

    Returns
    -------
    turned, opposed : array, shape (groupings,)
        Share of such pairs, and share that are ordered differently within a group, mean over groups. Pairs that a
        metric holds equal in a group are ordered neither alike nor differently there.
    """
    signs = [pair_signs(np.round(group_means(values, drawn)[0], 12)) for values in (one, other)]
    product = signs[0] * signs[1]
    turned = (product < 0).any(axis=1) & (product > 0).any(axis=1)
    return turned.mean(axis=1), (product < 0).mean(axis=(1, 2))


def _turned(one: _Means, other: _Means, place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for view in VIEWS:
        found = _grouped((one, other), view)
        if found is None:
            continue
        groups, clips, names, methods = found
        values = [each.frame.loc[clips, methods].to_numpy() for each in (one, other)]
        generator = rng("metrics by class", view, *map(str, place.values()), one.metric, other.metric)
        drawn = random_groupings(groups, numbered(one.speakers[clips].to_numpy()), generator)
        turned, inside = turned_pairs(values[0], values[1], drawn)
        means = np.array([each.mean(axis=0) for each in values])
        yield {
            "view": view, "groups": " ".join(names), "metric_a": one.metric, "metric_b": other.metric,
            "n_groups": len(names), "n_methods": len(methods), "n_clips": len(clips), "opposed": opposed(means),
            "opposed_in_groups": float(inside[0]), "turned": float(turned[0]),
            "turned_random": float(turned[1:].mean()), "p": float((turned >= turned[0] - 1e-12).mean()),
        }  # fmt: skip
