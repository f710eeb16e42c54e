"""Robustness on the four axes as columns of the start view: a pseudo-metric of family ``robustness`` for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...analysis.axis_board import AXIS_LEGEND, CORPORA
from ...analysis.robustness import AXES
from ...analysis.shared_comparisons import pooled_alike
from ...analysis.shown_names import plain_name, recogniser_title
from .encode import grid
from .payload import BOARD, Setting

FAMILY = "robustness"
# label and summary of each axis, in the order in which one is shown
AXIS_TEXTS = {
    "shift": ("similarity under shift", "how alike explanations of a clip stay when it is disturbed"),
    "model": ("similarity across recognisers", "how alike recognisers explain a clip"),
    CORPORA: ("similarity across corpora", "how alike the bands of an emotion are across corpora"),
    "retraining": ("similarity across trainings", "how alike trainings of one recogniser explain a clip"),
    "seed": ("similarity across seeds", "how alike a method explains a clip with another seed"),
}
_PLACE = {"space": "audio", "target_rule": "predicted", "condition": "", "fill": ""}


def metric_of(axis: str) -> str:
    """Name of the pseudo-metric of an axis."""
    return f"axis: {axis}"


def axis_metrics(axes: pd.DataFrame) -> list[dict[str, Any]]:
    """Records of the pseudo-metrics of a board of axes, as those of metrics in `payload.records`."""
    scored = axes[axes["score"].notna()]["axis"] if len(axes) else []
    return [
        {
            "name": metric_of(axis), "label": label, "family": FAMILY, "direction": "higher",
            "grade": "not applicable", "verdict": "", "ranked": True, "core": True, "headline": True, "axis": axis,
            "summary": summary, "perfect": 1, "random": 0, "described": "", "unit": "", "scale": AXIS_LEGEND,
            "citation": "", "version": "", "cost": "",
        }
        for axis, (label, summary) in AXIS_TEXTS.items()
        if axis in set(scored)
    ]  # fmt: skip


def axis_rows(axes: pd.DataFrame, clips: pd.DataFrame, settings: Sequence[Setting]) -> pd.DataFrame:
    """Rows of a board of axes as rows of the start view's board.

    Parameters
    ----------
    axes : DataFrame
        Of `analysis.axis_board.axis_board`.
    clips : DataFrame
        Of `analysis.axis_board.axis_clips`: the comparisons behind them.
    settings : sequence of Setting

    Returns
    -------
    DataFrame
        Columns of `payload.BOARD` and those of a `Setting`. ``n_clips`` counts clips, ``n_ok`` comparisons that
        entered, ``n_planned`` all that the methods of the setting share (`shared_comparisons`), ``n_skipped`` those
        whose predicted class changed; there is no coverage, since nothing is missing.
    """
    found, clips = [], pooled_alike(clips)
    for setting in settings:
        own = clips[_of(clips, setting)]
        counts = own.groupby(["axis", "method"])["clip"].agg(["size", "nunique"])
        for row in axes[_of(axes, setting)].to_dict("records"):
            place = (row["axis"], row["method"])
            pairs, n = counts.loc[place] if place in counts.index else (row["n_clips"], row["n_clips"])
            changed = row["changed"]
            notes = [
                f"compared with {row['compared']}" if row["compared"] else "",
                f"predicted class changed in {changed:.0%} of comparisons, which are left out" if changed > 0 else "",
                row["note"] if isinstance(row["note"], str) else "",
            ]
            found.append(
                {
                    **dict(zip(("corpus", "model", "trained_on", "seen_in_training"), setting, strict=True)), **_PLACE,
                    "metric": metric_of(row["axis"]), "family": FAMILY, "method": row["method"], "mean": row["score"],
                    "low": row["low"], "high": row["high"], "family_rank": row["rank"], "n_clips": n,
                    "n_ok": row["n_clips"], "n_planned": pairs, "n_skipped": pairs - row["n_clips"], "n_failed": 0,
                    "n_misses": 0, "n_speakers": row["n_speakers"], "scope": "speakers", "mark": "", "group": "",
                    "passes_bar": "", "beats_random": "", "explained_against": "",
                    "note": "; ".join(note for note in notes if note),
                }
            )  # fmt: skip
    return pd.DataFrame(found, columns=[*Setting._fields, *(name for name in BOARD if name not in Setting._fields)])


def axis_chunks(
    clips: pd.DataFrame, facts: pd.DataFrame, settings: Sequence[Setting], metrics: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Similarities of single clips, named and built as by `clip_data.score_chunks`.

    Parameters
    ----------
    clips : DataFrame
        Of `analysis.axis_board.axis_clips`.
    facts : DataFrame
        Score rows, whose clips are those that the page numbers.
    settings : sequence of Setting
    metrics : mapping of str to int
        Number of each metric.
    """
    clips = pooled_alike(clips)
    for number, setting in enumerate(settings):
        place = {clip: i for i, clip in enumerate(sorted(setting.of(facts)["clip"].astype(str).unique()))}
        own = clips[_of(clips, setting) & clips["clip"].isin(list(place)) & clips["unchanged"].ne(False)]
        for axis, part in own.groupby("axis", sort=False):
            name = metric_of(str(axis))
            if name not in metrics:
                continue
            means = part.groupby(["method", "clip"])["similarity"].mean().unstack("clip").sort_index(axis=1)
            cell = {
                **_PLACE, "clips": [place[clip] for clip in means.columns], "methods": means.index.tolist(),
                "values": grid(means.to_numpy()), "reasons": [],
            }  # fmt: skip
            yield f"scores-{number}-{metrics[name]}", {"cells": [cell]}


def strength_rows(table: pd.DataFrame | None, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Points of strength curves: score of each setting, method and shifted condition.

    Parameters
    ----------
    table : DataFrame, optional
        Of `analysis.robustness.pooled`, or read from a file that anybody may have written.
    settings : sequence of Setting
    """
    needed = {"axis", "corpus", "model", "other", "method", "score"}
    if table is None or not needed <= set(table.columns):
        return []
    shifts = table[(table["axis"] == AXES[0]) & np.isfinite(pd.to_numeric(table["score"], errors="coerce"))]
    return [
        {
            "setting": number, "method": str(row["method"]), "condition": str(row["other"]),
            "score": round(float(row["score"]), 4),
        }
        for number, setting in enumerate(settings)
        for row in shifts[_of(shifts, setting)].to_dict("records")
    ]  # fmt: skip


def _of(rows: pd.DataFrame, setting: Setting) -> pd.Series:
    """Which rows are of a setting; those of all corpora together are of recognisers of their kind and own corpus."""
    title = recogniser_title(setting.model, setting.trained_on)
    corpus, model = rows["corpus"].astype(str), rows["model"].astype(str)
    own = setting.trained_on in ("", plain_name(setting.corpus))
    return ((corpus == setting.corpus) & (model == title)) | (
        (corpus == "") & (model == plain_name(setting.model)) & own
    )
