"""Ranks of maps that were made elsewhere in metrics that can be won by knowing the clip.

Whoever makes maps elsewhere knows which clip a map is of: noise that is drawn by the clip's name alone does not change
under any shift, and what was planted in a clip, or what its words and label let expect, can be painted without asking
the recogniser. Such maps are ranked by stability, localisation and plausibility only where they explain
something, that is, where they pass the bar of faithfulness (`bar`) on the clips as recorded.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...methods.record import PREFIX
from ...metrics.records import METRICS

FAITHFUL = "abpc"
KNOWN_BY_CLIP = ("localisation", "plausibility")  # families whose truth the maker of a map can look up
NOTE = (
    "maps made elsewhere are ranked by stability, localisation and plausibility only where they pass the bar of "
    f"{FAITHFUL} on clean clips"
)
_SETTING = ["corpus", "model", "trained_on", "seen_in_training", "space"]


def won_by_knowing(metric: str) -> bool:
    """Whether a metric can be won by knowing the clip: it compares maps with each other, or with a truth."""
    return metric in METRICS and (bool(METRICS.get(metric).companions) or METRICS.get(metric).family in KNOWN_BY_CLIP)


def without_unfaithful(board: pd.DataFrame) -> pd.DataFrame:
    """Take rank, letter and mark from maps made elsewhere that are not faithful, in metrics won by knowing the clip.

    Parameters
    ----------
    board : DataFrame
        With ``method``, ``family``, ``metric``, ``condition``, ``fill``, ``rank``, ``group``, ``beats_random``,
        ``passes_bar``, ``note`` and the columns of a setting.

    Returns
    -------
    DataFrame
        The same board where no method's maps were made elsewhere.
    """
    outside = board["method"].astype(str).str.startswith(PREFIX)
    compares = board["metric"].map(lambda name: won_by_knowing(str(name)))
    if not (outside & compares).any():
        return board
    passed = board[(board["metric"] == FAITHFUL) & (board["condition"] == "clean") & (board["passes_bar"] == "yes")]
    faithful = set(passed[[*_SETTING, "method"]].astype(str).itertuples(index=False, name=None))
    named = board[[*_SETTING, "method"]].astype(str).itertuples(index=False, name=None)
    out = outside & compares & np.array([place not in faithful for place in named])
    board = board.copy()
    keys = [*_SETTING, "condition", "fill", "metric", "target_rule"]
    for _, rows in board[compares].groupby(keys, dropna=False):
        gone = rows.loc[out[rows.index], "rank"].dropna().astype(int).to_numpy()
        ahead = [int((gone < rank).sum()) if pd.notna(rank) else 0 for rank in rows["rank"]]
        board.loc[rows.index, "rank"] = rows["rank"] - np.array(ahead, dtype=int)
    board.loc[out, "rank"] = pd.NA
    board.loc[out, "group"] = ""
    board.loc[out, "beats_random"] = "no claim"
    board.loc[out, "note"] = [f"{text}; {NOTE}" if text else NOTE for text in board.loc[out, "note"]]
    return board
