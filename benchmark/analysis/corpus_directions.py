"""Directions of acoustic cues measured on a corpus, beside those that sources expect.

Conventions
-----------
An effect is the mean over speakers of Cohen's d within the speaker (emotion against the same speaker's neutral clips,
`cue_effects.cohens_d`), with a 95 % t interval over speakers; a direction is its sign where the interval excludes 0,
else 0. Below 6 speakers there is no interval and no direction: nothing is claimed of a population. ``held_out`` tells
whether directions carry over: of the speakers for whom the *others* have a direction, the share whose own effect has
that sign. Sources are compared one by one and never merged; rows that are merely recalled are listed, not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...cues.expert import RECALLED, Expectation, expectations
from ..stats.clustered import MIN_SPEAKERS
from .cue_effects import effects

COLUMNS = ["emotion", "cue", "effect", "low", "high", "direction", "held_out", "tested", "speakers", "clips"]
SOURCE_COLUMNS = ["emotion", "cue", "source", "status", "where", "expected", "direction", "agrees"]
LEVEL = 0.95
AS_EXPECTED, AGAINST, UNCLEAR = "yes", "no", "not clear here"


def mean_effect(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of the speakers' effects and its 95 % t interval; NaN bounds below 6 speakers.

    Parameters
    ----------
    values : array, shape (n_speakers,)
        NaN is left out.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return (np.nan,) * 3
    mean = float(known.mean())
    if known.size < MIN_SPEAKERS:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, known.size - 1) * known.std(ddof=1) / np.sqrt(known.size))
    return mean, mean - half, mean + half


def direction_of(low: float, high: float) -> int:
    """1 or -1 where an interval excludes 0, else 0."""
    return int(low > 0) - int(high < 0)


def measured_table(table: pd.DataFrame, cues: Sequence[str]) -> pd.DataFrame:
    """Measured effect and direction of each cue under each emotion.

    Parameters
    ----------
    table : DataFrame
        Of `cue_effects.clip_table`.
    cues : sequence of str

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: ``held_out`` of ``tested`` speakers (NaN of 0 where no others have a direction).
    """
    rows = []
    of_speakers = effects(table, cues).dropna(subset="d")
    for (cue, emotion), part in of_speakers.groupby(["cue", "emotion"], sort=False):
        values = part["d"].to_numpy(dtype=np.float64)
        mean, low, high = mean_effect(values)
        right = [
            np.sign(values[i]) == others
            for i in range(values.size)
            if (others := direction_of(*mean_effect(np.delete(values, i))[1:])) != 0
        ]
        rows.append(
            (emotion, cue, mean, low, high, direction_of(low, high), np.mean(right) if right else np.nan, len(right),
             values.size, int(part["n"].sum()))
        )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def by_source(measured: pd.DataFrame) -> pd.DataFrame:
    """What each source expects beside what the corpus does.

    Parameters
    ----------
    measured : DataFrame
        Of `measured_table`.

    Returns
    -------
    DataFrame
        Columns `SOURCE_COLUMNS`, one row per measured effect and source that has a row for it. ``agrees``: ``yes`` or
        ``no`` where the corpus has a direction; ``not clear here`` where it has none and the source expects one.
    """
    rows = []
    for row in measured.itertuples():
        for found in _rows_on(str(row.emotion), str(row.cue)):
            agrees = AS_EXPECTED if found.direction == row.direction else AGAINST if row.direction else UNCLEAR
            if not np.isfinite(row.low):
                agrees = UNCLEAR
            rows.append(
                (row.emotion, row.cue, found.source, found.status, found.where, found.direction, row.direction, agrees)
            )
    return pd.DataFrame(rows, columns=SOURCE_COLUMNS)


def _rows_on(emotion: str, cue: str) -> Iterator[Expectation]:
    return (row for row in expectations() if row.emotion == emotion and row.cue == cue)


def verdict(emotion: str, cue: str, low: float, high: float) -> str:
    """How the checked sources stand to a measured interval, in words.

    Parameters
    ----------
    emotion, cue : str
    low, high : float
        NaN where nothing is claimed.

    Examples
    --------
    >>> verdict("anger", "f0_level", 1.0, 2.0)
    'as 3 sources expect'
    >>> verdict("anger", "shimmer", -2.0, -1.0)
    'against the one source'
    >>> verdict("surprise", "jitter", 0.5, 1.0)
    'higher; no source'
    """
    direction = direction_of(low, high)
    does = {1: "higher", -1: "lower", 0: "not clear"}[direction]
    if not np.isfinite(low):
        return "described only"
    expected = [row.direction for row in _rows_on(emotion, cue) if row.status != RECALLED]
    if not expected:
        return f"{does}; no source" if direction else "not clear; no source"
    right = sum(d == direction for d in expected)
    if direction == 0:
        return _alone("not clear; no change expected by", right, expected) if right == len(expected) else (
            f"not clear; {_counted(len(expected) - right, expected)} a change"
        )  # fmt: skip
    if right == len(expected):
        return "as the one source expects" if right == 1 else f"as {right} sources expect"
    if right == 0:
        return "against the one source" if len(expected) == 1 else f"against all {len(expected)} sources"
    return f"as {right} of {len(expected)} sources expect"


def _alone(text: str, right: int, expected: Sequence[int]) -> str:
    return f"{text} {'the one source' if len(expected) == 1 else f'{right} sources'}"


def _counted(n: int, expected: Sequence[int]) -> str:
    if len(expected) == 1:
        return "the one source expects"
    return f"{n} of {len(expected)} sources {'expects' if n == 1 else 'expect'}"


def markdown_rows(measured: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the printed table: effect with interval, held-out speakers, sources and verdict."""
    rows = []
    for row in measured.itertuples():
        found = list(_rows_on(str(row.emotion), str(row.cue)))
        signs = {1: "+", -1: "-", 0: "0"}
        names = " ".join(f"{r.source}{signs[r.direction]}" for r in found if r.status != RECALLED)
        recalled = " ".join(f"{r.source}{signs[r.direction]}" for r in found if r.status == RECALLED)
        interval = f" [{row.low:+.2f}, {row.high:+.2f}]" if np.isfinite(row.low) else ""
        rows.append(
            {
                "emotion": row.emotion,
                "cue": row.cue,
                "effect": f"{row.effect:+.2f}{interval}",
                "held out": f"{round(row.held_out * row.tested)} of {row.tested}" if row.tested else "–",
                "speakers": row.speakers,
                "sources": names + (f" ({recalled})" if recalled else ""),
                "this corpus": verdict(str(row.emotion), str(row.cue), row.low, row.high),
            }
        )
    return rows
