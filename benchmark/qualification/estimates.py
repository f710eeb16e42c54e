"""Estimates of the properties of each metric, with intervals, from the scores of its trials.

Conventions
-----------
Every property (`properties.PROPERTIES`) is first a number for each clip, then a mean over clips with a 95 % interval
in which speakers are the clusters (CR2, `clustered.clustered_mean`), cut to the possible range. ``real`` is 0 or 1 for
each clip: its interval is that of a proportion (`clustered_proportion.clustered_share`), which has a width even where
every clip has a 1. The intervals of the others have no width where all clips have the same value, and the note says
``no spread``: docs/qualification.md says what n clips without an exception can show. A clip with a trial that could not
be scored is missing from the property; ``n_planned`` counts all clips of the recogniser and metric.

``averaged`` is the exception: the correlation of the levels with the mean score over all clips, with a jackknife over
speakers. A metric may be of use on a board of means although it cannot judge a single clip.

``fills-EMOTION`` is ``fills`` over the clips of one emotion alone: nothing is required of it, it shows on which emotion
``fills`` fails.

Under each fill but the first ``monotone``, ``oracle-vs-random`` and ``negated`` are estimated as well (``NAME-FILL``),
on white boxes with the truth of that fill.

``probability`` is that of the mean reaching its threshold (`joint.joint_probability`, of this property alone);
verdicts take the joint one. Nothing is claimed with fewer than six speakers, with less than four fifths of the clips,
and of ``fills`` with fewer than three fills.

A map that a metric refuses to score (`NotApplicable`) among the rivals counts as the worst of the clip: a method that
gave such maps would get the worst value on boards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from ...errors import NotApplicable
from ...metrics.records import METRICS
from ..analysis.leaderboard import ordered
from ..stats.clustered import LEVEL, MIN_SPEAKERS, clustered_mean
from ..stats.clustered_proportion import clustered_share
from .joint import QUALIFIED, Requirement, joint_probability
from .notes import (
    DETERMINISTIC,
    FEW_FILLS,
    FEW_VOICES,
    LOST_CLIPS,
    NO_SPREAD,
    SILENT,
    SKIPPED,
    Note,
    join_notes,
)
from .properties import PROPERTIES, Check, Property, fill_properties, rank_follow
from .rivals import CHECKS
from .trials import ladder_kind

RIVAL_CHECKS = (*CHECKS, "fill negated")  # a refused map among these is the worst

CLIP_COLUMNS = ["clip", "speaker", "sentence", "emotion", "value"]
ROUNDING = 1e-9  # of the largest score of a clip: a smaller difference is rounding
COVERAGE = 0.8  # least share of the clips that a claim may rest on
SINGLE_DRAWS = 2000  # for the probability of one requirement
MIN_FILLS = 3  # one rater always agrees with itself, two say little
FILLS = next(p for p in PROPERTIES if p.name == "fills")
AVERAGED = "averaged"  # the one property that is not a mean over clips, but of the mean over clips

COLUMNS = [
    "recogniser", "metric", "metric_version", "family", "ladder", "property", "estimate", "low", "high", "n_clips",
    "n_planned", "n_speakers", "fills", "chance", "threshold", "probability", "passed", "note",
]  # fmt: skip


def estimate_properties(rows: pd.DataFrame) -> pd.DataFrame:
    """Estimates of every property of every metric by every recogniser.

    Parameters
    ----------
    rows : DataFrame
        Of `trials.score_trials`, with ``recogniser``, ``clip``, ``speaker`` and ``emotion``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; ``clips``, a table of `CLIP_COLUMNS` with each clip's value; ``notes``, a tuple of
        `notes.Note`, of which ``note`` is the text; ``emotion``, the one that a property ``fills-EMOTION`` is of, else
        empty. ``passed`` is ``yes`` for a probability of .95 or more, else ``no``; ``no claim``; or empty where nothing
        is required; ``fills`` names the fills of the trials read, empty for metrics that use none. A metric whose
        trials were all skipped has one row without a property, with the reasons as its notes.
    """
    rows = rows.assign(score=np.where(rows["direction"] == "lower", -1.0, 1.0) * rows["value"])
    texts = ["check", "fill", "status"]
    rows[texts] = rows[texts].astype(object)  # far faster to compare than Arrow's strings
    rows["score"] = _without_rounding(rows)
    if "sentence" not in rows:
        rows["sentence"] = rows["clip"]
    refused = rows["check"].isin(RIVAL_CHECKS) & (rows["status"] == "skipped")
    rows.loc[refused, ["score", "status"]] = [-np.inf, "ok"]
    estimates: list[dict[str, object]] = []
    for (recogniser, metric), part in rows.groupby(["recogniser", "metric"], sort=False):
        names = {"recogniser": recogniser, "metric": metric, "metric_version": part["metric_version"].iloc[0],
                 "family": part["family"].iloc[0], "ladder": _ladder_of(str(metric)), "emotion": ""}  # fmt: skip
        if (part.loc[~part["check"].isin(RIVAL_CHECKS), "status"] == "skipped").all():
            estimates.append(names | _untested(part))
            continue
        clips = [_Clip(one) for _, one in part.groupby("clip", sort=True)]
        tested = [
            _estimate(some, p) | {"emotion": emotion}
            for property_ in _properties_of(part)
            if set(property_.checks) <= set(part["check"])
            for p, emotion, some in [(property_, "", clips), *(_by_emotion(clips) if property_ is FILLS else ())]
        ]
        estimates += [names | row for row in [*tested, _averaged(clips)]]
    table = pd.DataFrame(estimates, columns=[*COLUMNS, "notes", "emotion", "clips"])
    table["note"] = table["notes"].map(join_notes)
    place = {name: i for i, name in enumerate(ordered(table["metric"], METRICS.names()))}
    return table.sort_values("metric", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def _properties_of(part: pd.DataFrame) -> list[Property]:
    """Properties that a metric may have, those under each further fill among them."""
    own = "own fill" in set(part["check"])
    further = sorted(set(part.loc[part["check"] == "fill random", "fill"]))
    return [*PROPERTIES, *(p for fill in further for p in fill_properties(fill, own))]


def _ladder_of(metric: str) -> str:
    try:
        return ladder_kind(METRICS.get(metric))
    except NotApplicable:
        return ""


def _without_rounding(rows: pd.DataFrame) -> pd.Series:
    """Scores rounded to a billionth of the clip's largest."""
    step = rows["score"].abs().groupby([rows["recogniser"], rows["metric"], rows["clip"]]).transform("max") * ROUNDING
    return (rows["score"] / step.where(step > 0, 1.0)).round() * step.where(step > 0, 1.0)


class _Clip:
    """Trials of one metric on one clip, by check."""

    def __init__(self, rows: pd.DataFrame) -> None:
        first = rows.iloc[0]
        self.name, self.speaker, self.sentence, self.emotion = first[["clip", "speaker", "sentence", "emotion"]]
        columns = [rows[name].to_numpy() for name in ("level", "draw", "fill", "score")]
        checks, scored = rows["check"].to_numpy(), (rows["status"] == "ok").to_numpy()
        chosen = {check: checks == check for check in dict.fromkeys(checks)}
        self.trials = {check: Check(*(column[here] for column in columns)) for check, here in chosen.items()}
        self._scored = {check: scored[here] for check, here in chosen.items()}
        self.scored = {check for check, done in self._scored.items() if done.all()}

    def planned(self, property_: Property) -> bool:
        """Whether the clip was to have a value: it has the trials, or none at all because none could be made."""
        return not set(self.trials) - {""} or set(property_.checks) <= set(self.trials)

    def complete(self, property_: Property) -> bool:
        """Whether every trial that a property reads has a score."""
        if not property_.fill:
            return set(property_.checks) <= self.scored
        if not set(property_.checks) <= set(self.trials):
            return False
        here = [self._scored[check][self.trials[check].fills == property_.fill] for check in property_.checks]
        return all(len(done) and done.all() for done in here)

    def silent(self, property_: Property) -> bool:
        """Whether no score that a property reads differs from another of the same fill."""
        checks = [self.trials[check] for check in property_.checks]
        scores, fills = np.concatenate([c.scores for c in checks]), np.concatenate([c.fills for c in checks])
        asked = {property_.fill} if property_.fill else set(fills.tolist())
        return all(len(set(scores[fills == fill].tolist())) == 1 for fill in asked)

    def deterministic(self) -> bool:
        """Whether both draws of the metric's randomness gave the same scores."""
        seed = self.trials["seed"]
        return all(np.ptp(seed.at(level)) == 0 for level in set(seed.levels.tolist()))


def _estimate(clips: Sequence[_Clip], property_: Property) -> dict[str, object]:
    clips = [clip for clip in clips if clip.planned(property_)]
    known = [clip for clip in clips if clip.complete(property_)]
    silent = [clip.silent(property_) for clip in known]
    values = np.array([property_.of_clip(clip.trials) for clip in known])
    speakers, sentences = [clip.speaker for clip in known], [clip.sentence for clip in known]
    fills = [property_.fill] if property_.fill else _fills_read(clips, property_)
    over_fills = property_.checks == FILLS.checks and not property_.fill
    chance = 1 / len(fills) if over_fills and fills else property_.chance
    mean = None
    if known:
        each = np.ones(len(values))
        mean = clustered_share(values, each, speakers) if property_.share else clustered_mean(values, speakers)
    row: dict[str, object] = {
        "property": property_.name, "estimate": np.nan if mean is None else mean.mean, "low": np.nan, "high": np.nan,
        "n_clips": len(known), "n_planned": len(clips), "n_speakers": len(set(speakers)), "fills": " ".join(fills),
        "chance": chance, "threshold": property_.threshold, "probability": np.nan, "passed": "",
    }  # fmt: skip
    unclear = []
    if mean is None or mean.clusters < MIN_SPEAKERS:
        unclear.append(Note(FEW_VOICES, total=MIN_SPEAKERS))
    else:
        row |= {"low": max(mean.low, property_.least), "high": min(mean.high, 1.0)}
    if len(known) < COVERAGE * len(clips):
        unclear.append(Note(LOST_CLIPS, len(known), len(clips)))
    if over_fills and len(fills) < MIN_FILLS:
        row |= {"estimate": np.nan, "low": np.nan, "high": np.nan}
        unclear.append(Note(FEW_FILLS, total=MIN_FILLS))
    if property_.threshold is not None:
        asked = Requirement(property_.name, values, property_.threshold, chance, property_.above)
        probability = np.nan if unclear else joint_probability([asked], speakers, sentences, SINGLE_DRAWS).joint
        row["probability"] = probability
        row["passed"] = "no claim" if unclear else "yes" if probability >= QUALIFIED else "no"
    notes = list(unclear)
    if "seed" in property_.checks and known and all(clip.deterministic() for clip in known):
        notes.append(Note(DETERMINISTIC))
    elif not property_.share and len(values) > 1 and np.ptp(values) == 0 and pd.notna(row["low"]):
        notes.append(Note(NO_SPREAD))
    if any(silent):
        notes.append(Note(SILENT, sum(silent)))
    names = [clip.name for clip in known]
    emotions = [clip.emotion for clip in known]
    table = pd.DataFrame(dict(zip(CLIP_COLUMNS, (names, speakers, sentences, emotions, values), strict=True)))
    return row | {"notes": tuple(notes), "clips": table}


def _fills_read(clips: Sequence[_Clip], property_: Property) -> list[str]:
    """Names of the fills in the trials of a property."""
    names: set[str] = set()
    for clip in clips:
        for check in property_.checks:
            if check in clip.trials:
                names |= set(clip.trials[check].fills.tolist())
    return sorted(names - {""})


def _by_emotion(clips: Sequence[_Clip]) -> list[tuple[Property, str, list[_Clip]]]:
    """Property ``fills-EMOTION`` and its clips, for each emotion."""
    return [
        (
            replace(FILLS, name=f"{FILLS.name}-{emotion}", threshold=None),
            emotion,
            [c for c in clips if c.emotion == emotion],
        )
        for emotion in sorted({clip.emotion for clip in clips})
    ]


def _averaged(clips: Sequence[_Clip]) -> dict[str, object]:
    """Spearman correlation of the levels with the mean score over clips; jackknife over speakers."""
    known = [clip for clip in clips if "ladder" in clip.scored]
    row: dict[str, object] = {
        "property": AVERAGED, "estimate": np.nan, "low": np.nan, "high": np.nan, "n_clips": len(known),
        "n_planned": len(clips), "n_speakers": len({clip.speaker for clip in known}), "chance": 0.0, "passed": "",
        "fills": " ".join(_fills_read(clips, PROPERTIES[0])), "notes": (),
    }  # fmt: skip
    if not known:
        return row
    ladders = [clip.trials["ladder"] for clip in known]
    levels = np.sort(ladders[0].levels)
    values = np.stack([ladder.scores[np.argsort(ladder.levels)] for ladder in ladders])
    codes = pd.factorize(np.array([clip.speaker for clip in known]))[0]
    if not np.ptp(values.mean(axis=0)):
        row["notes"] = (Note(SILENT, len(known)),)
    estimate, low, high = jackknifed_follow(levels, values, codes)
    row["estimate"] = estimate
    if codes.max() + 1 >= MIN_SPEAKERS:
        row |= {"low": low, "high": high}
        if low == high and not row["notes"]:
            row["notes"] = (Note(NO_SPREAD),)
    return row


def jackknifed_follow(levels: np.ndarray, scores: np.ndarray, codes: np.ndarray) -> tuple[float, float, float]:
    """Spearman's correlation of levels with mean scores, and its interval from leaving out one speaker at a time.

    Student's t interval of the pseudo-values (Tukey 1958, Annals of Mathematical Statistics 29), cut to -1..1.

    Parameters
    ----------
    levels : array, shape (n_levels,)
    scores : array, shape (n_clips, n_levels)
    codes : array of int, shape (n_clips,)
        Number of each clip's speaker, from 0, each there.

    Returns
    -------
    estimate, low, high : float
        Without an interval (NaN) for a single speaker.

    Notes
    -----
    By simulation (16 speakers x 3 clips, 600 experiments each; smaller ones in the tests) it covers the correlation of
    the true means in 99 % where they rise clearly, 94 % where they rise and fall again, 87 % where they reach a
    plateau, 83 % where all are equal, and 90 to 68 % where they rise less than the noise, so that the true correlation
    is 1, the end of its range. The percentile bootstrap over speakers covers in 100, 90, 70, 94 and 0 %: its draws only
    ever add disorder.
    """
    estimate = rank_follow(levels, scores.mean(axis=0))
    n = int(codes.max()) + 1
    if n < 2:
        return estimate, np.nan, np.nan
    left = np.array([rank_follow(levels, scores[codes != code].mean(axis=0)) for code in range(n)])
    pseudo = n * estimate - (n - 1) * left
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * pseudo.std(ddof=1) / np.sqrt(n)
    return estimate, max(estimate - half, -1.0), min(estimate + half, 1.0)


def _untested(part: pd.DataFrame) -> dict[str, object]:
    reasons = tuple(Note(SKIPPED, reason=reason) for reason in part["reason"].unique()[:2])
    return {"property": "", "n_clips": 0, "n_planned": part["clip"].nunique(), "n_speakers": 0, "fills": "",
            "passed": "", "notes": reasons}  # fmt: skip


def property_names(table: pd.DataFrame) -> list[str]:
    """Names of the properties in a table, in the order of `properties.PROPERTIES`; after each those of parts of it."""
    known = [p.name for p in PROPERTIES] + [AVERAGED]

    def place(name: str) -> tuple[int, str]:
        whole = next(whole for whole in sorted(known, key=len, reverse=True) if f"{name}-".startswith(f"{whole}-"))
        return known.index(whole), name

    return sorted(set(table["property"]) - {""}, key=place)
