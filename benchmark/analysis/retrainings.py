"""Whether the order of two methods depends on the training of the recogniser.

Two trainings of one kind of recogniser (the shown names ``cnn@3f2a91`` and ``cnn@b81c02``) explain the same corpus. A
pair of methods whose order by the mean is not the same on all trainings is marked on boards: what one training says
about the two does not carry over to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import pandas as pd

from ..stats.clustered import CELL
from .shown_names import plain_name

TOLD = ["n_retrainings", "retraining_changes"]


def with_retrainings(board: pd.DataFrame, tables: Mapping[tuple, pd.DataFrame]) -> pd.DataFrame:
    """Add ``n_retrainings``, and ``retraining_changes``: the methods to which the order changes between trainings.

    Parameters
    ----------
    board : DataFrame
        Columns `CELL` and ``method``.
    tables : mapping of tuple to DataFrame
        Scores of each cell, by its values of `CELL`: one column a method, index level ``clip``.

    Returns
    -------
    DataFrame
        Recognisers of one name that stand apart under digests are trainings of one another. Means are over the clips
        that all trainings explained. 1 training: no changes.
    """
    kind = board["model"].map(plain_name)
    told = board.assign(n_retrainings=1, retraining_changes="")
    for _, part in board.groupby([kind, *(name for name in CELL if name != "model")], dropna=False, sort=False):
        cells = part[CELL].drop_duplicates()
        if len(cells) < 2:
            continue
        scores = [tables[cell].groupby(level="clip").mean() for cell in cells.itertuples(index=False, name=None)]
        clips = reduce(pd.Index.intersection, (one.index for one in scores))
        means = pd.DataFrame([one.loc[clips].mean() for one in scores])
        apart = means.to_numpy()[:, :, None] - means.to_numpy()[:, None, :]
        changed = (apart > 0).any(axis=0) & (apart < 0).any(axis=0)
        names = means.columns.to_numpy()
        by_method = {str(name): "; ".join(names[row]) for name, row in zip(names, changed, strict=True)}
        told.loc[part.index, "n_retrainings"] = len(means)
        told.loc[part.index, "retraining_changes"] = part["method"].map(by_method).fillna("")
    return told
