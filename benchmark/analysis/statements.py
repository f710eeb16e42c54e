"""Scores of statements on a corpus: whether they are true of the recordings, used by the recogniser, and planted.

Beside the statements that are given, two baselines that do not ask the recogniser are scored on the same clips:
``label-aware`` states of every clip what most sources expect of its *true* emotion; ``random`` states cues and
directions drawn at random. A method whose statements are no more *true* than the former reads the label, and
one whose statements are no more *used* than the latter knows nothing of the recogniser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from ...cues.expert import directions
from ...cues.neutral import NeutralReference
from ...cues.records import REGION_CUES
from ...cues.windows import WindowCues
from ...errors import ClipError, InputError, NotApplicable, UnknownNameError
from ...keys import rng
from ...methods.cue_sentence import NOTICEABLE as CONTRAST
from ...methods.cue_sentence import joined
from ...metrics.case import Case
from ...metrics.statements import (
    NOTICEABLE,
    distance_from_neutral,
    planted_families,
    rank_among,
    span_effects,
)
from ...progress import Progress, no_progress
from ..run.execution import Execution
from ..run.neutral import neutral_reference, window_cues
from ..run.workbench import Workbench
from ..stats.clustered import clustered_mean
from ..storage.statement_file import Statement
from ..storage.store import Store

LABEL_AWARE, RANDOM = BASELINES = ("label-aware", "random")
PER_CLIP = 3  # statements of `random`
ROW_COLUMNS = [
    "method", "baseline", "clip", "speaker", "emotion", "predicted", "target", "cue", "direction", "start_s", "end_s",
    "weight", "z", "true", "effect", "used", "reason",
]  # fmt: skip
BOARD_COLUMNS = [
    "method", "baseline", "clips", "statements", "true", "true_low", "true_high", "n_true", "used", "used_low",
    "used_high", "n_used", "effect", "precision", "recall", "n_planted", "speakers",
]  # fmt: skip


@dataclass(frozen=True)
class StatementScores:
    """Scored statements.

    Attributes
    ----------
    rows : DataFrame
        Columns `ROW_COLUMNS`: one row per statement. ``z``: distance from the speaker's neutral in that direction;
        ``true``: 1 where it is at least 1; ``effect`` in log-odds, ``used`` 0..1 (`metrics.statements`); missing with
        the ``reason``.
    families : DataFrame
        On planted clips, by method and clip: families stated in the planted direction, planted, and stated.
    board : DataFrame
        Columns `BOARD_COLUMNS`: means over clips, each the weighted mean of its statements, with 95 % intervals
        clustered by speaker; precision and recall of planted families over all clips.
    """

    rows: pd.DataFrame
    families: pd.DataFrame
    board: pd.DataFrame


def score_statements(
    statements: Sequence[Statement],
    corpus: str,
    model: str,
    trained_on: str | None = None,
    target: str = "predicted",
    seed: int = 0,
    execution: Execution | None = None,
    progress: Progress = no_progress,
) -> StatementScores:
    """Score statements about clips of a corpus and the decisions of a recogniser.

    Parameters
    ----------
    statements : sequence of Statement
    corpus, model : str
    trained_on : str, optional
        Training corpus of the recogniser; default the corpus.
    target : str
        Class whose log-odds are watched: ``predicted``, ``true``, or its name.
    seed : int
    execution : Execution, optional
    progress : callable

    Raises
    ------
    InputError
        If a clip or class is unknown, or a method has the name of a baseline.
    """
    bench = Workbench(execution, progress, train=False)
    data, models = bench.corpus(corpus), bench.models(model, trained_on or corpus)
    clips = list(dict.fromkeys(one.clip for one in statements))
    for clip in clips:
        if clip not in data.table.index:
            known = map(str, data.table.index[:2000])
            raise InputError(f"--statements: {UnknownNameError(f'clip of corpus {corpus!r}', clip, known)}")
    if taken := {one.method for one in statements} & set(BASELINES):
        raise InputError(f"--statements: method {taken.pop()!r} is the name of a baseline; give another.")
    data.prepare(clips)

    @cache
    def neutral_cues(name: str) -> WindowCues | None:
        try:
            return window_cues(data.clip(name))
        except ClipError:
            return None

    rows: list[dict[str, Any]] = []
    families: list[dict[str, Any]] = []
    by_fold = sorted(clips, key=lambda clip: models.fold_for(corpus, str(data.table.loc[clip, "speaker"]), clip))
    for done, clip_id in enumerate(by_fold):
        progress("clips", done, len(clips))
        own = [one for one in statements if one.clip == clip_id]
        emotion, speaker = (str(data.table.loc[clip_id, name]) for name in ("emotion", "speaker"))
        own += label_aware(clip_id, emotion) + random_statements(clip_id, seed)
        facts = {"clip": clip_id, "speaker": speaker, "emotion": emotion}
        try:
            recogniser = bench.recogniser(model, trained_on or corpus, models.fold_for(corpus, speaker, clip_id))
            recording = data.clip(clip_id)
            log_odds = recogniser.log_odds(recording.samples[None])[0]
            predicted = recogniser.classes[int(log_odds.argmax())]
            chosen = {"predicted": predicted, "true": emotion}.get(target, target)
            reference = neutral_reference(data, clip_id, neutral_cues)
            case = Case(
                recogniser,
                recording,
                chosen,
                seed=("statements", seed, corpus, clip_id),
                neutral=partial(_kept, reference),
            )
            case.response(log_odds)  # an unknown class is refused here
            facts |= {"predicted": predicted, "target": chosen}
        except ClipError as error:
            rows += [_row(one, facts) | {"reason": str(error)} for one in own]
            continue
        rows += [_row(one, facts) | _judged(case, one) for one in own]
        plant = recording.plant
        if plant is not None and plant.words:
            families += [{"method": name, **facts} | counts for name, counts in _planted(own, plant.cues)]
    progress("clips", len(clips), len(clips))
    table = pd.DataFrame(rows, columns=ROW_COLUMNS)
    planted = pd.DataFrame(families, columns=["method", "clip", "speaker", "emotion", "right", "planted", "stated"])
    return StatementScores(table, planted, _board(table, planted))


def _kept(reference: NeutralReference) -> NeutralReference:
    """The reference itself, for `Case.neutral`, which asks for it late."""
    return reference


def _row(one: Statement, facts: dict[str, str]) -> dict[str, Any]:
    start, end = one.span or (np.nan, np.nan)
    return facts | {
        "method": one.method, "baseline": one.method in BASELINES, "cue": one.cue,
        "direction": "more" if one.direction > 0 else "less", "start_s": start, "end_s": end, "weight": one.weight,
        "z": np.nan, "true": np.nan, "effect": np.nan, "used": np.nan, "reason": "",
    }  # fmt: skip


def _judged(case: Case, one: Statement) -> dict[str, Any]:
    found: dict[str, Any] = {}
    reasons = []
    try:
        found["z"] = one.direction * distance_from_neutral(case, one.cue, one.span)
        found["true"] = float(found["z"] >= NOTICEABLE)
    except (NotApplicable, ClipError) as signal:
        reasons.append(f"true: {signal}")
    try:
        effects = span_effects(case, one.span)
        found["used"] = rank_among(effects, one.cue, one.direction)
        found["effect"] = effects[one.cue, one.direction]
    except (NotApplicable, ClipError) as signal:
        reasons.append(f"used: {signal}")
    return found | {"reason": "; ".join(reasons)}


def _planted(own: Sequence[Statement], cues: Any) -> list[tuple[str, dict[str, int]]]:
    counted = []
    for name in dict.fromkeys(one.method for one in own):
        stated: dict[str, float] = {}
        for one in own:
            if one.method == name:
                stated[one.cue] = stated.get(one.cue, 0.0) + one.direction * one.weight
        right, planted, claimed = planted_families(stated, cues)
        counted.append((name, {"right": right, "planted": planted, "stated": claimed}))
    return counted


def label_aware(clip: str, emotion: str) -> list[Statement]:
    """What most sources expect of an emotion, of the whole clip; nothing where they are even, or expect no change."""
    votes: dict[str, int] = {}
    for by_cue in directions(emotion, checked=True).values():
        for cue, direction in by_cue.items():
            votes[cue] = votes.get(cue, 0) + direction
    return [
        Statement(clip, cue, int(np.sign(votes[cue])), method=LABEL_AWARE) for cue in REGION_CUES if votes.get(cue, 0)
    ]


def random_statements(clip: str, seed: int) -> list[Statement]:
    """Cues drawn without replacement, each with a random direction."""
    generator = rng("random statements", seed, clip)
    cues = generator.choice(len(REGION_CUES), PER_CLIP, replace=False)
    return [
        Statement(clip, REGION_CUES[int(cue)], int(sign), method=RANDOM)
        for cue, sign in zip(cues, generator.choice([-1, 1], PER_CLIP), strict=True)
    ]


def _board(rows: pd.DataFrame, planted: pd.DataFrame) -> pd.DataFrame:
    found = []
    for name, part in rows.groupby("method", sort=True):
        line: dict[str, Any] = {
            "method": name, "baseline": name in BASELINES, "clips": part["clip"].nunique(), "statements": len(part),
            "speakers": part["speaker"].nunique(),
        }  # fmt: skip
        for column in ("true", "used", "effect"):
            known = part[part[column].notna()]
            line[f"n_{column}"] = len(known)
            weighted = known.assign(value=known[column] * known["weight"]).groupby(["clip", "speaker"])
            means = (weighted["value"].sum() / weighted["weight"].sum()).reset_index(name="mean")
            estimate = clustered_mean(means["mean"], means["speaker"])
            line |= {column: estimate.mean, f"{column}_low": estimate.low, f"{column}_high": estimate.high}
        counts = planted.loc[planted["method"] == name, ["right", "planted", "stated"]].sum()
        line["n_planted"] = int((planted["method"] == name).sum())
        line["precision"] = counts["right"] / counts["stated"] if counts["stated"] else np.nan
        line["recall"] = counts["right"] / counts["planted"] if counts["planted"] else np.nan
        found.append(line)
    board = pd.DataFrame(found, columns=BOARD_COLUMNS)
    return board.sort_values(["baseline", "used"], ascending=[True, False]).reset_index(drop=True)


def statements_of_run(store: Store, methods: Sequence[str] = ()) -> list[Statement]:
    """What the cue tables of a run's explanations say, as statements.

    A cue is stated of the salient windows where they stand out from the rest of the clip by more than random windows
    usually do (as in the sentence of `methods.cue_sentence`), with the size of that contrast as weight. The contrast is
    with the clip, the statement is read against the speaker's neutral: what that costs is what scoring them shows.

    Parameters
    ----------
    store : Store
    methods : sequence of str
        Default: all with a cue table.
    """
    found = []
    for one in store.explanations():
        told = one.attribution
        wanted = told.cues and one.first and one.condition == "clean" and one.repeat == 0
        if not wanted or (methods and told.method not in methods):
            continue
        for row in told.cues:
            size = row.get("contrast_z")
            if row["cue"] not in REGION_CUES or size is None or abs(size) < CONTRAST or row["contrast"] in (None, 0):
                continue
            for start, end in joined(row["windows_s"]):
                direction = 1 if row["contrast"] > 0 else -1
                found.append(
                    Statement(
                        one.clip, row["cue"], direction, (float(start), float(end)), abs(float(size)), told.method
                    )
                )
    return found
