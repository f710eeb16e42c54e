"""From trials to a verdict on each metric: properties with intervals, thresholds, a table.

Conventions
-----------
Every property (`properties`) is first a number for each clip, then a mean over clips with a 95 % interval in
which speakers are the clusters (CR2, `clustered.clustered_mean`), cut to what is possible. ``real`` is a yes or no for
each clip: its interval is that of a share (`clustered_proportion.clustered_share`), with a width even where every clip
says yes.
The others have none there, and the note says ``no spread``: what n clips without an exception can show is told in
docs/qualification.md. A clip whose trials could not all be scored is missing from the property; ``n_planned`` counts
all clips that the recogniser and metric were asked about.

``averaged`` is the exception: the correlation of the levels with the mean score over all clips, with a jackknife over
speakers. A metric may be of use on a board of means though it cannot judge a single clip.

``fills-EMOTION`` is ``fills`` over the clips of one emotion alone: nothing is required of it, it says where ``fills``
is lost.

A required property passes if the *lower* end of its interval reaches the threshold. Nothing is claimed with fewer than
six speakers, with less than four fifths of the clips, of ``fills`` with fewer than three fills, and of ``real`` with so
few clips that not even all of them would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...errors import NotApplicable
from ...metrics.records import METRICS
from ..analysis.leaderboard import ordered
from ..stats.clustered import LEVEL, MIN_SPEAKERS, clustered_mean
from ..stats.clustered_proportion import clustered_share
from .properties import PROPERTIES, Property, Trials, rank_follow
from .trials import ladder_kind

STILL = 1e-9  # of the largest score of a clip: a smaller difference is rounding
COVERAGE = 0.8  # least share of the clips that a claim may rest on
MIN_FILLS = 3  # one rater always agrees with itself, two say little
OWN_FILLS = 0.9  # least lower end of own-fills for the grade "one fill"
FILLS = next(p for p in PROPERTIES if p.name == "fills")
AVERAGED = "averaged"  # the one property that is not of a clip: what a board of means over clips can rely on
DETERMINISTIC, NO_SPREAD, SILENT = "deterministic", "no spread", "silent"  # notes

COLUMNS = [
    "recogniser", "metric", "metric_version", "family", "ladder", "property", "estimate", "low", "high", "n_clips",
    "n_planned", "n_speakers", "fills", "chance", "threshold", "passed", "note",
]  # fmt: skip
VERDICT_COLUMNS = [
    "metric", "version", "ladder", "qualified", "recognisers", "fills", "n_clips", "fails", "no_claim",
]  # fmt: skip


def properties(rows: pd.DataFrame) -> pd.DataFrame:
    """Properties of every metric by every recogniser.

    Parameters
    ----------
    rows : DataFrame
        Of `trials.score_trials`, with ``recogniser``, ``clip``, ``speaker`` and ``emotion``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. ``passed`` is ``yes``, ``no``, ``no claim``, or empty where nothing is required; ``fills``
        names the fills of the trials read, empty for metrics that use none. ``note`` holds, joined by "; ", why nothing
        is claimed, ``deterministic`` (two draws of the metric's randomness differ on no trial), ``no spread`` (all
        clips have the same value) and ``silent on N`` (clips on which all scores read are equal). A metric whose trials
        were all skipped has one row without a property, and the reason as its note.
    """
    rows = rows.assign(score=np.where(rows["direction"] == "lower", -1.0, 1.0) * rows["value"])
    rows["score"] = _without_rounding(rows)
    found = []
    for (recogniser, metric), part in rows.groupby(["recogniser", "metric"], sort=False):
        names = {"recogniser": recogniser, "metric": metric, "metric_version": part["metric_version"].iloc[0],
                 "family": part["family"].iloc[0], "ladder": _ladder_of(str(metric))}  # fmt: skip
        if (part["status"] == "skipped").all():
            found.append(names | _untested(part))
            continue
        clips = [_Clip(one) for _, one in part.groupby("clip", sort=True)]
        tested = [
            _estimate(some, p)
            for wanted in PROPERTIES
            if set(wanted.checks) <= set(part["check"])
            for p, some in [(wanted, clips), *(_by_emotion(clips) if wanted is FILLS else ())]
        ]
        found += [names | row for row in [*tested, _averaged(clips)]]
    table = pd.DataFrame(found, columns=COLUMNS)
    place = {name: i for i, name in enumerate(ordered(table["metric"], METRICS.names()))}
    return table.sort_values("metric", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def _ladder_of(metric: str) -> str:
    try:
        return ladder_kind(METRICS.get(metric))
    except NotApplicable:
        return ""


def _without_rounding(rows: pd.DataFrame) -> pd.Series:
    """Scores that differ by less than a billionth of the clip's largest become equal."""
    step = rows["score"].abs().groupby([rows["recogniser"], rows["metric"], rows["clip"]]).transform("max") * STILL
    return (rows["score"] / step.where(step > 0, 1.0)).round() * step.where(step > 0, 1.0)


class _Clip:
    """One clip's trials of one metric, taken apart once for all properties."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.speaker, self.emotion = rows["speaker"].iloc[0], rows["emotion"].iloc[0]
        self.trials: Trials = dict(list(rows.groupby("check", sort=False)))
        self.whole = {check for check, found in self.trials.items() if (found["status"] == "ok").all()}

    def complete(self, wanted: Property) -> bool:
        """Whether every trial that a property reads has a score."""
        return set(wanted.checks) <= self.whole

    def silent(self, wanted: Property) -> bool:
        """Whether no score that a property reads differs from another of the same fill."""
        scores, fills = (
            np.concatenate([self.trials[check][name].to_numpy() for check in wanted.checks])
            for name in ("score", "fill")
        )
        return all(np.ptp(scores[fills == fill]) == 0 for fill in set(fills))

    def deterministic(self) -> bool:
        """Whether both draws of the metric's randomness gave the same scores."""
        levels, scores = (self.trials["seed"][name].to_numpy() for name in ("level", "score"))
        return all(np.ptp(scores[levels == level]) == 0 for level in set(levels))


def _estimate(clips: Sequence[_Clip], wanted: Property) -> dict[str, object]:
    known = [clip for clip in clips if clip.complete(wanted)]
    silent = [clip.silent(wanted) for clip in known]
    values = np.array([wanted.of_clip(clip.trials) for clip in known])
    speakers = [clip.speaker for clip in known]
    fills = _fills_read(clips, wanted)
    over_fills = wanted.checks == FILLS.checks
    found = None
    if known:
        each = np.ones(len(values))
        found = clustered_share(values, each, speakers) if wanted.share else clustered_mean(values, speakers)
    row: dict[str, object] = {
        "property": wanted.name, "estimate": np.nan if found is None else found.mean, "low": np.nan, "high": np.nan,
        "n_clips": len(known), "n_planned": len(clips), "n_speakers": len(set(speakers)), "fills": " ".join(fills),
        "chance": 1 / len(fills) if over_fills and fills else wanted.chance,
        "threshold": wanted.threshold, "passed": "",
    }  # fmt: skip
    unclear = []
    if found is None or found.clusters < MIN_SPEAKERS:
        unclear.append(f"fewer than {MIN_SPEAKERS} voices")
    else:
        row |= {"low": max(found.low, wanted.least), "high": min(found.high, 1.0)}
    if len(known) < COVERAGE * len(clips):
        unclear.append(f"{len(known)} of {len(clips)} clips")
    if over_fills and len(fills) < MIN_FILLS:
        row |= {"estimate": np.nan, "low": np.nan, "high": np.nan}
        unclear.append(f"fewer than {MIN_FILLS} fills")
    if wanted.threshold is not None:
        if wanted.share and not unclear and found is not None and not wanted.passed(found.low):
            best = clustered_share(np.ones(len(values)), np.ones(len(values)), speakers)
            if not wanted.passed(best.low) and found.high >= wanted.threshold:
                unclear.append(f"{len(values)} clips are too few")
        row["passed"] = "no claim" if unclear else "yes" if wanted.passed(float(row["low"])) else "no"  # type: ignore[arg-type]
    notes = list(unclear)
    if "seed" in wanted.checks and known and all(clip.deterministic() for clip in known):
        notes.append(DETERMINISTIC)
    elif not wanted.share and len(values) > 1 and np.ptp(values) == 0 and pd.notna(row["low"]):
        notes.append(NO_SPREAD)
    if any(silent):
        notes.append(f"{SILENT} on {sum(silent)}")
    return row | {"note": "; ".join(notes)}


def _fills_read(clips: Sequence[_Clip], wanted: Property) -> list[str]:
    """Names of the fills in the trials of a property."""
    names = [
        name for clip in clips for c in wanted.checks if c in clip.trials for name in clip.trials[c]["fill"].unique()
    ]
    return sorted(set(names) - {""})


def _by_emotion(clips: Sequence[_Clip]) -> list[tuple[Property, list[_Clip]]]:
    return [
        (replace(FILLS, name=f"{FILLS.name}-{emotion}", threshold=None), [c for c in clips if c.emotion == emotion])
        for emotion in sorted({clip.emotion for clip in clips})
    ]


def _averaged(clips: Sequence[_Clip]) -> dict[str, object]:
    """Spearman correlation of the levels with the mean score over clips; jackknife over speakers."""
    known = [clip for clip in clips if "ladder" in clip.whole]
    row: dict[str, object] = {
        "property": AVERAGED, "estimate": np.nan, "low": np.nan, "high": np.nan, "n_clips": len(known),
        "n_planned": len(clips), "n_speakers": len({clip.speaker for clip in known}), "chance": 0.0, "passed": "",
        "fills": " ".join(_fills_read(clips, PROPERTIES[0])), "note": "",
    }  # fmt: skip
    if not known:
        return row
    scores = pd.DataFrame([c.trials["ladder"].set_index("level")["score"] for c in known])
    levels, values = scores.columns.to_numpy(), scores.to_numpy()
    codes = pd.factorize(np.array([clip.speaker for clip in known]))[0]
    if not np.ptp(values.mean(axis=0)):
        row["note"] = f"{SILENT} on {len(known)}"
    estimate, low, high = jackknifed_follow(levels, values, codes)
    row["estimate"] = estimate
    if codes.max() + 1 >= MIN_SPEAKERS:
        row |= {"low": low, "high": high}
        if low == high and not row["note"]:
            row["note"] = NO_SPREAD
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
    By simulation (16 speakers x 3 clips, 600 experiments each; tests/benchmark/test_qualify_table.py has smaller ones)
    it covers the correlation of the true means in 99 % where they rise clearly, 94 % where they rise and fall again, 87
    % where they reach a plateau, 83 % where there is nothing. Where they rise less than the noise, so that the truth is
    1, at the very end of what is possible, in 90 to 68 %. The percentile bootstrap over speakers that stood here before
    covers in 100, 90, 70, 94 and 0 %: its draws only ever add disorder.
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
    reasons = "; ".join(part["reason"].unique()[:2])
    return {"property": "", "n_clips": 0, "n_planned": part["clip"].nunique(), "n_speakers": 0, "fills": "",
            "passed": "", "note": reasons}  # fmt: skip


# -- verdicts ----------------------------------------------------------------------------------------------------------


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """One line a metric: whether every recogniser qualifies it, and what fails where.

    Parameters
    ----------
    table : DataFrame
        Of `properties`. Every recogniser in it is expected to have a say on every metric.

    Returns
    -------
    DataFrame
        Columns `VERDICT_COLUMNS`. ``qualified`` is

        - ``yes``: all required properties pass by every recogniser;
        - ``one fill``: all but ``fills`` do, and on the white box the metric follows the truth of each fill;
        - ``no``: something else that is required fails;
        - ``no claim``: nothing fails, and of something required nothing can be said;
        - ``not tested``: all trials were skipped.

        ``fails`` names property and recogniser with estimate, interval and clips, worst first, and behind ``fills`` the
        same of each emotion; ``no_claim`` names what nothing can be said of, and why. ``fills`` and ``n_clips`` are
        what the verdict rests on: the fills tried (none for metrics that use none) and the fewest clips of a required
        property.
    """
    expected = list(table["recogniser"].unique())
    return pd.DataFrame(
        [_verdict(str(metric), part, expected) for metric, part in table.groupby("metric", sort=False)],
        columns=VERDICT_COLUMNS,
    )


def _verdict(metric: str, part: pd.DataFrame, expected: Sequence[str]) -> dict[str, object]:
    required = part[part["threshold"].notna()]
    failed = required[required["passed"] == "no"].sort_values("low")
    unclear = [_why(row) for row in required[required["passed"] == "no claim"].itertuples()]
    there = set(required[["property", "recogniser"]].itertuples(index=False, name=None))
    wanted = required["property"].unique()
    unclear += [f"{p} on {r}: not tested" for r in expected for p in wanted if (p, r) not in there]
    if required.empty:
        qualified = "not tested"
        unclear = list(part["note"].unique())
    elif len(failed):
        qualified = "one fill" if not unclear and set(failed["property"]) == {FILLS.name} and _own(part) else "no"
    else:
        qualified = "no claim" if unclear else "yes"
    return {
        "metric": metric, "version": part["metric_version"].iloc[0], "ladder": part["ladder"].iloc[0],
        "qualified": qualified, "recognisers": " ".join(sorted(required["recogniser"].unique())),
        "fills": max(required["fills"], key=len, default=""),
        "n_clips": int(required["n_clips"].min()) if len(required) else 0,
        "fails": "; ".join(_told(row, part) for row in failed.itertuples()), "no_claim": "; ".join(unclear),
    }  # fmt: skip


def _own(part: pd.DataFrame) -> bool:
    """Whether the white box finds the metric right about the truth of each fill."""
    own = part[part["property"] == "own-fills"]
    return len(own) > 0 and bool(((own["low"] >= OWN_FILLS) & (own["n_clips"] >= COVERAGE * own["n_planned"])).all())


def _why(row: Any) -> str:
    return f"{row.property} on {row.recogniser}: {row.note.replace('; ', ', ')}"


def _told(row: Any, part: pd.DataFrame) -> str:
    text = f"{_numbers(row)}, {row.n_clips} clips"
    if row.property == FILLS.name:
        mine = part[(part["recogniser"] == row.recogniser) & part["property"].str.startswith(f"{FILLS.name}-")]
        emotions = [f"{e.property.removeprefix(f'{FILLS.name}-')} {_numbers(e)}" for e in mine.itertuples()]
        text += f": {', '.join(emotions)}"
    return f"{row.property} on {row.recogniser} ({text})"


def _numbers(row: Any) -> str:
    return f"{row.estimate:.2f}" + ("" if pd.isna(row.low) else f" [{row.low:.2f}, {row.high:.2f}]")


def property_names(table: pd.DataFrame) -> list[str]:
    """Names of the properties in a table, in the order in which they are told; each emotion's behind ``fills``."""
    known = [p.name for p in PROPERTIES] + [AVERAGED]

    def place(name: str) -> tuple[int, str]:
        return known.index(name if name in known else FILLS.name), name

    return sorted(set(table["property"]) - {""}, key=place)
