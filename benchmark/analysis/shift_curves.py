"""Similarity of explanations under shift over the measured strength of the shift, for figures.

Conditions of one kind differ in strength alone, such as white noise at several signal-to-noise ratios. Means are over
clips whose predicted class is unchanged, as in `robustness`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...datasets.shifts.conditions import CONDITIONS
from ..stats.clustered import clustered_mean
from .robustness import PAIR

CURVES = [
    "corpus", "model", "method", "kind", "unit", "condition", "strength", "similarity", "low", "high", "floor",
    "ceiling", "changed", "n_clips", "n_all", "n_speakers",
]  # fmt: skip
FALLING = ("dB SNR", "kbit/s", "Hz band")  # units in which the stronger shift is the smaller number


def kind_of(condition: str) -> tuple[str, str]:
    """Kind of shift of a condition, in words, and the unit of its strength.

    Examples
    --------
    >>> kind_of("noise-20db")
    ('white noise', 'dB SNR')
    """
    record = CONDITIONS.get(condition)
    return record.target.rpartition(":")[2].replace("_", " "), record.unit


def shift_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean similarity, floor and ceiling of each method under each condition, and the share of changed predictions.

    Parameters
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`; axis ``shift`` is used.

    Returns
    -------
    DataFrame
        Columns `CURVES`. ``strength`` is the mean measured strength over all clips; ``low`` and ``high`` are the 95 %
        interval of the similarity, speakers (and sentences) as clusters, missing below 6 speakers; ``changed`` is the
        share of clips whose predicted class changed, of ``n_all``.
    """
    found = []
    for named, part in rows[rows["axis"] == "shift"].groupby(PAIR, sort=False):
        _, corpus, model, condition, method = named
        known = part.dropna(subset=["similarity", "floor"])
        same = known[known["unchanged"].ne(False)]
        kind, unit = kind_of(str(condition))
        row = dict.fromkeys(CURVES, np.nan) | {
            "corpus": corpus, "model": model, "method": method, "kind": kind, "unit": unit, "condition": condition,
            "strength": part["strength"].mean(), "n_clips": len(same), "n_all": len(known),
            "n_speakers": same["speaker"].nunique(), "changed": 1 - len(same) / len(known) if len(known) else np.nan,
        }  # fmt: skip
        if len(same):
            sentences = same["sentence"].tolist() if same["sentence"].ne("").all() else None
            estimate = clustered_mean(same["similarity"], same["speaker"].tolist(), sentences)
            row |= {"similarity": estimate.mean, "low": estimate.bounds[0], "high": estimate.bounds[1]}
            row |= {"floor": same["floor"].mean(), "ceiling": same["ceiling"].mean()}
        found.append(row)
    return pd.DataFrame(found, columns=CURVES)
