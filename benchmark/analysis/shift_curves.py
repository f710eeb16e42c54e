"""Similarity of explanations under shift over the measured strength of the shift, for figures.

Conditions of one kind differ in strength alone, such as white noise at several signal-to-noise ratios. Means are over
clips whose predicted class is unchanged, as in `robustness`, of the clips that methods share at all strengths of a
curve (`strength_curves.comparable_points`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...datasets.shifts.conditions import CONDITIONS
from ..stats.clustered import clustered_mean
from .robustness import PAIR
from .strength_curves import FACTS, SETTING, comparable_points, curve_areas

OF_AREA = {
    "area": "area", "low": "area_low", "high": "area_high", "all_area": "area_all", "n_speakers": "area_speakers",
    "note": "area_note",
}  # fmt: skip
CURVES = [
    "corpus", "model", "method", "kind", "unit", "condition", "strength", "similarity", "low", "high", "floor",
    "ceiling", "changed", "n_clips", "n_all", "n_speakers", "shift", "strengths", "apart",
    "curve", *OF_AREA.values(),
]  # fmt: skip


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
        share of clips whose predicted class changed, of ``n_all``. ``shift`` names the curve, or a condition that is on
        none; ``strengths`` and ``apart`` are those of `strength_curves.comparable_points`. Conditions that are
        strengths of one ``curve`` have the area under the score over it (`strength_curves.curve_areas`), the same at
        each of them: ``area`` with its interval, ``area_all`` of all clips, the fewest speakers at a strength, and why
        a number is missing. In the order of the registered conditions.
    """
    found = []
    for named, known in comparable_points(rows).groupby(PAIR, sort=False):
        _, corpus, model, condition, method = named
        same = known[known["unchanged"].ne(False)]
        kind, unit = kind_of(str(condition))
        row: dict[str, Any] = dict.fromkeys(CURVES, np.nan) | {"curve": "", "area_note": ""} | {
            "corpus": corpus, "model": model, "method": method, "kind": kind, "unit": unit, "condition": condition,
            "strength": known["strength"].mean(), "n_clips": len(same), "n_all": len(known),
            "n_speakers": same["speaker"].nunique(), "changed": 1 - len(same) / len(known),
            "shift": known["curve"].iloc[0], **{name: known[name].iloc[0] for name in FACTS[1:]},
        }  # fmt: skip
        if len(same):
            sentences = same["sentence"].tolist() if same["sentence"].ne("").all() else None
            estimate = clustered_mean(same["similarity"], same["speaker"].tolist(), sentences)
            row |= {"similarity": estimate.mean, "low": estimate.bounds[0], "high": estimate.bounds[1]}
            row |= {"floor": same["floor"].mean(), "ceiling": same["ceiling"].mean()}
        found.append(row)
    order = {name: place for place, name in enumerate(CONDITIONS.names())}
    found.sort(key=lambda row: order.get(row["condition"], len(order)))
    return _with_areas(pd.DataFrame(found, columns=CURVES), curve_areas(rows))


def _with_areas(points: pd.DataFrame, areas: pd.DataFrame) -> pd.DataFrame:
    """Points, each with the area under its curve."""
    known: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in areas.to_dict("records"):
        told = {"curve": row["curve"]} | {column: row[name] for name, column in OF_AREA.items()}
        known |= {(*(row[name] for name in SETTING), name): told for name in row["conditions"].split()}
    rows = points.to_dict("records")
    named = [known.get((*(row[name] for name in SETTING), row["condition"]), {}) for row in rows]
    return pd.DataFrame([row | told for row, told in zip(rows, named, strict=True)], columns=CURVES)
