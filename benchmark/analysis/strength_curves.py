"""Curves of robustness over the strengths of a shift, and the area under them.

A curve is one of `datasets.shifts.conditions.CURVES`: five strengths of one shift, weakest first. Its points are the
`robustness.pooled` rows of the conditions; x is the strength *measured* on the clips.

The area is under the score (0: as alike as other clips, 1: as a repeat) over the strengths of the curve that were run,
which are equally spaced on the axis 0..1, whatever their unit: areas of two methods are comparable where both have the
same strengths. Interval: jackknife over speakers of the whole area, so that strengths, which share clips, count once;
its degrees of freedom are those of the strength with the fewest speakers, and below 6 there the area is described only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...datasets.shifts.conditions import CONDITIONS, CURVES
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from .robustness import MIN_RANGE, score_of_means

SETTING = ["corpus", "model", "method"]
AREAS = [
    *SETTING, "curve", "area", "low", "high", "all_area", "similarity_area", "strengths", "conditions", "n_clips",
    "n_speakers", "note",
]  # fmt: skip


def curve_areas(rows: pd.DataFrame) -> pd.DataFrame:
    """Area under the score over the strengths of each shift.

    Parameters
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`; those of other axes than ``shift`` are left out.

    Returns
    -------
    DataFrame
        Columns `AREAS`, one row for each corpus, recogniser, method and curve with at least two strengths, of clips
        that were compared at each of them. ``area`` is of those whose prediction is unchanged under the strength,
        ``all_area`` of all, ``similarity_area`` of the raw similarity of unchanged ones. ``n_speakers`` are those with
        a score at every strength: the fewest at one.
        NaN, with the reason in ``note``, where a strength has no score.
    """
    known = rows[rows["axis"] == "shift"].dropna(subset=["similarity", "floor"])
    found = []
    for named, part in known.groupby(SETTING, sort=False):
        for curve, conditions in CURVES.items():
            present = [name for name in conditions if (part["other"] == name).any()]
            compared = _at_each(part, present)
            if len(present) > 1 and len(compared):
                found.append(dict(zip(SETTING, named, strict=True)) | {"curve": curve} | _area(compared, present))
    return pd.DataFrame(found, columns=AREAS)


def _at_each(part: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    """Rows of clips that were compared at each of these strengths: runs that are read together may have others."""
    part = part[part["other"].isin(conditions)]
    strengths = part.groupby("clip")["other"].nunique()
    return part[part["clip"].isin(strengths.index[strengths == len(conditions)])]


def _area(part: pd.DataFrame, conditions: list[str]) -> dict[str, Any]:
    same = part[part["unchanged"].ne(False)]
    scored = same.dropna(subset=["ceiling"])
    fewest = int(scored.groupby("other")["speaker"].nunique().reindex(conditions, fill_value=0).min())
    told: dict[str, Any] = {
        "strengths": len(conditions), "conditions": " ".join(conditions), "n_clips": same["clip"].nunique(),
        "n_speakers": fewest, "area": np.nan, "low": np.nan, "high": np.nan,
        "all_area": np.nan, "note": "",
    }  # fmt: skip
    told["similarity_area"] = _areas(same, conditions, raw=True)[0]
    lacking = _without_range(same, conditions)
    if not (lacking if len(same) == len(part) else _without_range(part, conditions)):
        told["all_area"] = _areas(part, conditions)[0]
    if lacking:
        return told | {"note": lacking}
    told["area"], left_out = _areas(same, conditions)[0], _areas(same, conditions, jackknife=True)
    if fewest < MIN_SPEAKERS:
        return told | {"note": f"described only: {fewest} speakers"}
    k = len(left_out)
    se = np.sqrt((k - 1) / k * np.sum((left_out - left_out.mean()) ** 2))
    half = stats.t.ppf((1 + LEVEL) / 2, fewest - 1) * se
    return told | {"low": told["area"] - half, "high": told["area"] + half}


def _without_range(part: pd.DataFrame, conditions: list[str]) -> str:
    """Why there is no area over these strengths: one has no score, or hardly any range."""
    found = [score_of_means(part[part["other"] == name]) for name in conditions]
    lacking = [one["note"] for one in found if not np.isfinite(one["range_low"])]
    if lacking:
        return f"at a strength: {lacking[0]}"
    small = any(one["range_low"] <= MIN_RANGE for one in found)
    return f"ceiling - floor may be below {MIN_RANGE} at a strength" if small else ""


def _areas(part: pd.DataFrame, conditions: list[str], raw: bool = False, jackknife: bool = False) -> np.ndarray:
    """Area over all clips, shape (1,), or without each speaker, shape (speakers,)."""
    if not raw:
        part = part.dropna(subset=["ceiling"])
    codes, speakers = pd.factorize(part["speaker"])
    place = part["other"].map({name: i for i, name in enumerate(conditions)}).to_numpy(dtype=int)

    def summed(values: Any) -> np.ndarray:
        found = np.zeros((len(speakers), len(conditions)))
        np.add.at(found, (codes, place), np.asarray(values, dtype=np.float64))
        return found

    names = ("similarity", "floor", "ceiling")
    count = summed(np.ones(len(part)))
    sums = {name: summed(part[name]) for name in (names if not raw else names[:1])}
    kept = 1 - np.eye(len(speakers)) if jackknife else np.ones((1, len(speakers)))
    with np.errstate(invalid="ignore", divide="ignore"):
        n = kept @ count
        mean = {name: (kept @ values) / n for name, values in sums.items()}
        height = mean["similarity"]
        if not raw:
            height = (mean["similarity"] - mean["floor"]) / (mean["ceiling"] - mean["floor"])
    areas: np.ndarray = np.trapezoid(height, np.linspace(0, 1, len(conditions)), axis=1)
    return areas


def curve_points(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `robustness.pooled` that are points of a curve, with its name and their place on it.

    Parameters
    ----------
    table : DataFrame
        Of `robustness.pooled`.

    Returns
    -------
    DataFrame
        The rows of axis ``shift``, sorted, with ``curve``, ``place`` (0: weakest) and ``unit`` of the strength.
    """
    places = {name: (curve, i) for curve, names in CURVES.items() for i, name in enumerate(names)}
    points = table[(table["axis"] == "shift") & table["other"].isin(list(places))]
    told = points.assign(
        curve=[places[name][0] for name in points["other"]],
        place=[places[name][1] for name in points["other"]],
        unit=[CONDITIONS.get(name).unit for name in points["other"]],
    )
    return told.sort_values([*SETTING, "curve", "place"], ignore_index=True)
