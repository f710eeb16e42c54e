"""Scores of single clips and facts of clips, as files that the page loads when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .encode import grid, table
from .payload import MEASURE, Setting

_CELL = [name for name in MEASURE if name != "metric"]
_FACTS = ["clip", "speaker", "emotion", "sex", "sentence", "predicted", "correct", "fold"]


def clip_tables(scores: pd.DataFrame, settings: Sequence[Setting]) -> Iterator[dict[str, Any]]:
    """Facts of the clips of each setting, in order of their names, as `encode.table`."""
    for setting in settings:
        yield table(clips_of(setting.of(scores)), _FACTS)


def clips_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each clip, those recorded without a shift first, sorted by name; ``correct`` is yes, no or empty."""
    plain = rows.assign(shifted=rows["condition"].astype(str) != "clean", silent=rows["predicted"].astype(str) == "")
    clips = plain.sort_values(["shifted", "silent"], kind="stable").drop_duplicates("clip")
    clips = clips.assign(clip=clips["clip"].astype(str))
    correct = ["" if pd.isna(value) else "yes" if value else "no" for value in clips["correct"]]
    return clips.assign(correct=pd.Series(correct, clips.index, dtype=object)).sort_values("clip")


def score_chunks(
    scores: pd.DataFrame, settings: Sequence[Setting], metrics: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Scores of single clips, one chunk for each setting and metric.

    Parameters
    ----------
    scores : DataFrame
        Score rows.
    settings : sequence of Setting
    metrics : mapping of str to int
        Number of each metric, of which the chunk's name is made.

    Yields
    ------
    name : str
        ``scores-SETTING-METRIC``.
    chunk : dict
        ``cells``: for each space, target rule, condition and fill its names, ``clips`` (numbers as in `clip_tables`),
        ``methods``, ``values`` (methods x clips, means over repeats), and ``reasons``: pairs of a method, and why how
        many clips have no score. Pairs, since a method may be called like a property of every JavaScript object.
    """
    for number, setting in enumerate(settings):
        rows = setting.of(scores)
        rows = rows.assign(**{name: rows[name].astype(str) for name in (*MEASURE, "clip", "method", "reason")})
        place = {clip: i for i, clip in enumerate(sorted(rows["clip"].unique()))}
        for metric, part in rows.groupby("metric", sort=False):
            cells = [_cell(names, each, place) for names, each in part.groupby(_CELL, sort=False)]
            yield f"scores-{number}-{metrics[str(metric)]}", {"cells": cells}


def _cell(names: Sequence[str], rows: pd.DataFrame, place: Mapping[str, int]) -> dict[str, Any]:
    ok = rows[rows["status"] == "ok"]
    values = ok.groupby(["method", "clip"])["value"].mean().unstack("clip")
    values = values.reindex(index=sorted(rows["method"].unique()), columns=sorted(rows["clip"].unique()))
    lost = rows[rows["status"] != "ok"].groupby(["method", "reason"])["clip"].nunique()
    reasons: dict[str, list[list[Any]]] = {}
    for (method, reason), clips in lost.items():
        reasons.setdefault(str(method), []).append([str(reason), int(clips)])
    return {
        **dict(zip(_CELL, names, strict=True)),
        "clips": [place[clip] for clip in values.columns],
        "methods": [str(name) for name in values.index],
        "values": grid(values.to_numpy()),
        "reasons": [list(entry) for entry in reasons.items()],
    }
