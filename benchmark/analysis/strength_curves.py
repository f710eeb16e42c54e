"""Curves of robustness over the strengths of a shift, and the area under them.

A curve is one of `datasets.shifts.conditions.CURVES`: five strengths of one shift, weakest first. Its points are the
`robustness.pooled` rows of the conditions; x is the strength *measured* on the clips.

Within a corpus and recogniser the methods of a curve are compared over the same strengths and clips: the strengths of
the methods that have most of them, and the clips that these methods explained at each (`shared_comparisons`). A method
that lacks strengths has points on those clips where it explained any, and no area.

The area is under the score (0: as alike as other clips, 1: as a repeat) over those strengths, which are equally spaced
on the axis 0..1, whatever their unit. Interval: jackknife over speakers of the whole area, so that strengths, which
share clips, count once; its degrees of freedom are those of the strength with the fewest speakers, and below 6 there
the area is described only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...datasets.shifts.conditions import CONDITIONS, CURVES
from ...methods.records import baselines
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from .robustness import MIN_RANGE, score_of_means
from .shared_comparisons import as_bits, shared_by_most

SETTING = ["corpus", "model", "method"]
AREAS = [
    *SETTING, "curve", "area", "low", "high", "all_area", "similarity_area", "strengths", "conditions", "n_clips",
    "n_speakers", "note",
]  # fmt: skip
CURVE_OF = {name: curve for curve, names in CURVES.items() for name in names}
FACTS = ["curve", "strengths", "apart"]  # what `comparable_points` adds
OTHER_CLIPS = "other clips"


def comparable_points(rows: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of clips with their shifted versions that the points of curves are means of.

    Parameters
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`.

    Returns
    -------
    DataFrame
        Those rows of axis ``shift`` of clips that a method explained at each of its strengths, and of methods with all
        strengths only clips that these share. Added are ``curve``, one of `CURVES` or the name of a condition that is
        on none; ``strengths``, how many the methods that have most of them have; and ``apart``: why a method cannot be
        compared with the others, "2 of 5 strengths" or `OTHER_CLIPS`, else empty.
    """
    known = rows[rows["axis"] == "shift"].dropna(subset=["similarity", "floor"])
    known = known.assign(curve=[CURVE_OF.get(name, name) for name in known["other"]])
    parts = []
    for (_, _, curve), of_curve in known.groupby(["corpus", "model", "curve"], sort=False):
        parts += _alike(of_curve, list(CURVES.get(curve, (curve,))))
    empty = known.assign(**dict.fromkeys(FACTS[1:], ""))
    return pd.concat(parts).sort_index() if parts else empty.iloc[:0]


def _alike(rows: pd.DataFrame, conditions: list[str]) -> list[pd.DataFrame]:
    """Rows of each method of one curve that are compared, with `FACTS`."""
    of_method = {str(method): _at_each(part) for method, part in rows.groupby("method", sort=False)}
    of_method = {method: part for method, part in of_method.items() if len(part)}
    if not of_method:
        return []
    had = {method: tuple(name for name in conditions if part["other"].eq(name).any())
           for method, part in of_method.items()}  # fmt: skip
    # of equally many strengths those that more methods have, then the weaker ones
    most = max(had.values(), key=lambda names: (len(names), list(had.values()).count(names),
               [-conditions.index(name) for name in names]))  # fmt: skip
    clips, places = as_bits({m: set(_clips(of_method[m])) for m, names in had.items() if names == most})
    sharing, shared = shared_by_most(clips, beside=baselines())
    found = []
    for method, part in of_method.items():
        on_shared = [key in places and bool(shared >> places[key] & 1) for key in _clips(part)]
        if method in sharing or (had[method] != most and any(on_shared)):
            part = part[on_shared]
        apart = "" if method in sharing else OTHER_CLIPS
        if len(had[method]) < len(most):
            apart = f"{len(had[method])} of {len(most)} strengths"
        elif had[method] != most:
            apart = "other strengths"
        found.append(part.assign(strengths=len(most), apart=apart))
    return found


def _clips(part: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(part[["clip", "target"]].itertuples(index=False, name=None))


def curve_areas(rows: pd.DataFrame) -> pd.DataFrame:
    """Area under the score over the strengths of each shift.

    Parameters
    ----------
    rows : DataFrame
        Of `robustness.clip_rows`; those of other axes than ``shift`` are left out.

    Returns
    -------
    DataFrame
        Columns `AREAS`, one row for each corpus, recogniser, method and curve with at least two strengths, of the clips
        of `comparable_points`. ``area`` is of those whose prediction is unchanged under the strength,
        ``all_area`` of all, ``similarity_area`` of the raw similarity of unchanged ones. ``n_speakers`` are those with
        a score at every strength: the fewest at one.
        NaN, with the reason in ``note``, where a strength has no score, and where the method lacks strengths that
        others have; the note also says where it is over other clips than theirs.
    """
    known = comparable_points(rows)
    found = []
    for named, part in known.groupby(SETTING, sort=False):
        for curve, conditions in CURVES.items():
            compared = part[part["curve"] == curve]
            present = [name for name in conditions if (compared["other"] == name).any()]
            if len(present) > 1:
                told = _area(compared, present)
                found.append(dict(zip(SETTING, named, strict=True)) | {"curve": curve} | told)
    return pd.DataFrame(found, columns=AREAS)


def _at_each(part: pd.DataFrame) -> pd.DataFrame:
    """Rows of clips that were compared at each strength: runs that are read together may have others."""
    strengths = part.groupby(["clip", "target"])["other"].transform("nunique")
    return part[strengths == part["other"].nunique()]


def _area(part: pd.DataFrame, conditions: list[str]) -> dict[str, Any]:
    apart, clips = part["apart"].iloc[0], part["clip"].nunique()
    if apart in ("", OTHER_CLIPS):
        told = _whole_area(part, conditions)
        aside = f"over {clips} clips of its own" if apart else ""
        return told | {"note": "; ".join(text for text in (told["note"], aside) if text)}
    return {"strengths": len(conditions), "conditions": " ".join(conditions), "n_clips": clips, "n_speakers": 0,
            "note": f"{apart}: no area to compare"}  # fmt: skip


def _whole_area(part: pd.DataFrame, conditions: list[str]) -> dict[str, Any]:
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
