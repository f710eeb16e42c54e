"""Means of the cues of salient windows over clips, for figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ...cues.records import REGION_CUES
from ..stats.clustered import clustered_mean

MEANS = ["cue", "group", "z", "low", "high", "n_clips", "n_speakers"]


def mean_z(table: pd.DataFrame, groups: Mapping[str, tuple[str, pd.Series]]) -> pd.DataFrame:
    """Mean of each cue in groups of clips, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        Of `salient_cues.cue_table`.
    groups : mapping of str to (str, Series of bool)
        By the group's name: which windows' cues are averaged (`salient_cues.WHERE`), and the rows of the table that
        belong to it.

    Returns
    -------
    DataFrame
        Columns `MEANS`; speakers and, where known, sentences are clusters. No interval below 6 speakers.
    """
    rows = []
    for cue in REGION_CUES:
        for group, (where, members) in groups.items():
            known = table[members].dropna(subset=[f"{where} {cue}"])
            if known.empty:
                rows.append((cue, group, *(np.nan,) * 3, 0, 0))
                continue
            sentences = known["sentence"].tolist() if known["sentence"].ne("").all() else None
            values = known[f"{where} {cue}"].to_numpy(dtype=np.float64)
            found = clustered_mean(values, known["speaker"].tolist(), sentences)
            rows.append((cue, group, found.mean, *found.bounds, found.n_clips, found.n_speakers))
    return pd.DataFrame(rows, columns=MEANS)
