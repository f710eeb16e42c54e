"""Listening studies: the answers of listeners as a metric of plausibility.

Conventions
-----------
A trial plays three sounds of one clip at one level: the part that an explanation keeps, the part that it removes, and
an equally large part kept by a random map. The listener says in which of them the explained emotion is heard best. A
trial scores 1 for the kept part, -1 for the random one, 0 for the removed one: the mean is the share of choices that
the explanation gains over chance, 0 for a map that says nothing, in -1..1. Listeners who fail an attention check,
or answer not all of them, do not count. Intervals: listeners and clips as clusters (`stats.clustered.clustered_mean`);
with fewer than 6 listeners the scores are described only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ..stats.clustered import clustered_mean

KINDS = ("kept", "removed", "random")
CHECK = "check"  # method of a trial that asks for a stated sound
KEY_COLUMNS = ("study", "trial", "method", "clip", "target", "sound", "kind")
ANSWER_COLUMNS = ("study", "listener", "trial", "sound", "seconds")
SCORE_OF = {"kept": 1.0, "removed": 0.0, "random": -1.0}
COLUMNS = [
    "method", "score", "low", "high", "p", "kept", "removed", "random", "n_trials", "n_clips", "n_listeners", "scope",
]  # fmt: skip


class StudyResult(NamedTuple):
    """Scores of a study.

    Attributes
    ----------
    table : DataFrame
        Columns `COLUMNS`, one row per method, best first; ``kept``, ``removed`` and ``random`` are shares of choices.
    excluded : list of str
        Listeners who failed a check, or left one out.
    listeners : int
        All that answered.
    """

    table: pd.DataFrame
    excluded: list[str]
    listeners: int


def joined_answers(key: pd.DataFrame, answers: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Answers with what was chosen, checked against the key.

    Parameters
    ----------
    key : DataFrame
        Columns `KEY_COLUMNS`: one row for each sound of each trial; ``kind`` is one of `KINDS`, of a check ``right`` or
        ``wrong``.
    answers : sequence of (str, DataFrame)
        Name and content of each file, columns `ANSWER_COLUMNS`.

    Raises
    ------
    InputError
        For a file of another study, an unknown trial or sound, or a trial that a listener answered twice.
    """
    study = str(key["study"].iloc[0])
    frames = []
    for name, table in answers:
        missing = [column for column in ANSWER_COLUMNS if column not in table]
        if missing:
            raise InputError(f"{name}: lacks columns {missing}; give the files that the page of the study saved.")
        table = table[list(ANSWER_COLUMNS)].astype(str)
        other = sorted(set(table["study"]) - {study})
        if other:
            raise InputError(f"{name}: answers of study {other[0]!r}, not of {study!r}; give the folder of that study.")
        frames.append(table)
    if not frames or not sum(map(len, frames)):
        raise InputError("study score: no answers; give one or more CSV files that the page of the study saved.")
    every = pd.concat(frames, ignore_index=True)
    twice = every[every.duplicated(["listener", "trial"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(f"listener {row['listener']!r} answered trial {row['trial']!r} twice; give each file once.")
    strange = sorted(set(key.loc[key["method"] != CHECK, "kind"].astype(str)) - set(KINDS))
    if strange or key["study"].nunique() > 1 or key.duplicated(["trial", "sound"]).any():
        raise InputError(
            f"key of study {study!r}: damaged, it must hold one study, each sound of a trial once, and the kinds "
            f"{', '.join(KINDS)}; write the study again."
        )
    known = key[list(KEY_COLUMNS)].astype(str).drop(columns="study")
    found = every.merge(known, on=["trial", "sound"], how="left")
    unknown = found[found["kind"].isna()]
    if len(unknown):
        row = unknown.iloc[0]
        raise InputError(f"trial {row['trial']!r} has no sound {row['sound']!r}: the answers do not fit the key.")
    return found


def study_scores(key: pd.DataFrame, answers: Sequence[tuple[str, pd.DataFrame]]) -> StudyResult:
    """Score each method by its listeners' choices.

    Parameters
    ----------
    key, answers
        See `joined_answers`.
    """
    found = joined_answers(key, answers)
    checks = key.loc[key["method"] == CHECK, "trial"].nunique()
    passed = found[(found["method"] == CHECK) & (found["kind"] == "right")].groupby("listener")["trial"].nunique()
    failed = {name for name in found["listener"] if passed.get(name, 0) < checks}  # one left out is not passed
    heard = found[(found["method"] != CHECK) & ~found["listener"].isin(failed)]
    rows = []
    for method, part in heard.groupby("method", sort=True):
        values = part["kind"].map(SCORE_OF).to_numpy(dtype=float)
        estimate = clustered_mean(values, part["listener"].tolist(), part["clip"].tolist())
        shares = {kind: float(np.mean(part["kind"] == kind)) for kind in KINDS}
        rows.append(
            {
                "method": method, "score": estimate.mean, "low": estimate.low, "high": estimate.high, "p": estimate.p,
                **shares, "n_trials": len(part), "n_clips": part["clip"].nunique(),
                "n_listeners": part["listener"].nunique(), "scope": estimate.scope,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(["score", "method"], ascending=[False, True])
    return StudyResult(table.reset_index(drop=True), sorted(failed), found["listener"].nunique())
