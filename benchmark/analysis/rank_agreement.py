"""Agreement about the order of methods: Kendall's W over emotions, over sexes and over fills.

Metrics can order methods differently in different classes of clips. W is 1 where every class gives the same order and
1 / (number of classes) on average where the orders have nothing in common. Baselines and references are left out: they
are easily told apart, and would raise W.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...keys import rng
from ...methods.records import baselines
from ..stats.clustered import CELL, cells, per_clip
from ..stats.concordance import concordance, group_concordance, opposed
from .abstention import CompletedCell, completed
from .group_views import clip_order, labelled_views

LEAST_METHODS = 3  # of two methods there is one order to agree about, a sign
FILLS = "fill"
COLUMNS = [*CELL, "view", "groups", "n_groups", "n_methods", "n_clips", "w", "w_random", "p", "opposed"]
_WITHOUT_FILL = [name for name in CELL if name != "fill"]


def rank_agreement(scores: pd.DataFrame) -> pd.DataFrame:
    """Kendall's W of the order of methods over emotions, sexes and fills, metric by metric.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs, with a column ``sex`` where known (`storage.clip_facts`).

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per cell (`stats.clustered.CELL`) and view (``emotion``, ``sex``; ``fill``, for all
        fills of a metric, has an empty column ``fill``) where two or more groups and three or more methods have a
        score on every clip (of which ``n_clips``; misses count as the worst score). ``w`` is Kendall's W, ``w_random``
        its mean over random groups of the same sizes, ``p`` of differences between methods that do not depend on the
        group (both missing for fills, whose clips are the same; see `stats.concordance`).
    """
    return agreement_of(list(completed(cells(scores))))


def agreement_of(found: Sequence[CompletedCell]) -> pd.DataFrame:
    """`rank_agreement` for cells that are laid out already."""
    rows = [row for each in found for row in _over_groups(each)] + list(_over_fills(found))
    return pd.DataFrame(rows, columns=COLUMNS)


def ranked_means(found: CompletedCell) -> tuple[pd.DataFrame, np.ndarray]:
    """Mean of each clip (rows) for each method with a score on all, and the number of each clip's speaker.

    Baselines and references are left out, and where runs have different clips, what is not shared
    (`analysis.shared_clips`); misses count as the worst score.
    """
    found = found.shared()
    table = found.cell.table
    values, speakers = per_clip(table.to_numpy(), table.index, found.cell.speakers)
    frame = pd.DataFrame(values, index=clip_order(table), columns=table.columns)
    whole = [name for name in frame if name not in baselines() and frame[name].notna().all()]
    return frame[whole], speakers


def _over_groups(found: CompletedCell) -> Iterator[dict[str, Any]]:
    frame, speakers = ranked_means(found)
    if frame.shape[1] < LEAST_METHODS:
        return
    for view, group_of, _ in labelled_views(found.cell):
        labels = group_of.reindex(frame.index).to_numpy()
        known = labels != ""
        names, groups = np.unique(labels[known], return_inverse=True)
        if len(names) < 2:
            continue
        generator = rng("rank agreement", view, *(str(value) for value in found.cell.names.values()))
        agreed = group_concordance(frame.to_numpy()[known], groups, numbered(speakers[known]), generator)
        yield found.cell.names | {
            "view": view, "groups": ", ".join(names), "n_groups": len(names), "n_methods": frame.shape[1],
            "n_clips": int(known.sum()), "w": agreed.w, "w_random": agreed.w_random, "p": agreed.p,
            "opposed": agreed.opposed,
        }  # fmt: skip


def _over_fills(found: Sequence[CompletedCell]) -> Iterator[dict[str, Any]]:
    same: dict[tuple, list[CompletedCell]] = {}
    for each in found:
        if each.cell.names["fill"]:
            same.setdefault(tuple(str(each.cell.names[name]) for name in _WITHOUT_FILL), []).append(each)
    for members in same.values():
        frames = [ranked_means(each)[0] for each in members]
        methods = [name for name in frames[0] if all(name in frame for frame in frames)]
        clips = frames[0].index
        for frame in frames[1:]:
            clips = clips.intersection(frame.index)
        if len(frames) < 2 or len(methods) < LEAST_METHODS or clips.empty:
            continue
        means = np.array([frame.loc[clips, methods].mean().to_numpy() for frame in frames])
        fills = [str(each.cell.names["fill"]) for each in members]
        yield members[0].cell.names | {
            "fill": "", "view": FILLS, "groups": ", ".join(fills), "n_groups": len(fills), "n_methods": len(methods),
            "n_clips": len(clips), "w": concordance(means), "w_random": np.nan, "p": np.nan, "opposed": opposed(means),
        }  # fmt: skip


def numbered(codes: np.ndarray) -> np.ndarray:
    """Codes renumbered from 0 without gaps."""
    return np.unique(codes, return_inverse=True)[1]
