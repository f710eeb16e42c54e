"""What a metric's trial said of it, as every board shows it.

Qualified, qualified under one fill at a time (°), failed (†), or without a verdict (‡).

Unmarked means qualified. A variant (``name:argument``) that was not on trial itself stands as the metric it narrows.
Cost is counted, not judged: there is nothing to qualify, and it bears no mark. This module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable

from .qualified import ONE_FILL, failing, grade
from .record import MetricRecord
from .records import METRICS

YES, NO, NO_VERDICT, NOT_APPLICABLE = "yes", "no", "no verdict", "not applicable"
MARKS = {ONE_FILL: "°", NO: "†", NO_VERDICT: "‡"}
TRIAL = "serxai run --preset qualify --metric"
MEANINGS = {
    NO: "failed its qualification: it does not reliably put explanations of known worth in order",
    ONE_FILL: "puts explanations in order under each fill, but not in the same order: a ranking holds for its fill",
    NO_VERDICT: f"not put on trial, or no claim possible: nothing says that it is qualified ({TRIAL} NAME tries it)",
}


def judged(metric: str) -> MetricRecord | None:
    """The record whose verdict holds for a metric; None for a metric that is not registered here."""
    if metric not in METRICS:
        return None
    record, parent = METRICS.get(metric), metric.partition(":")[0]
    return METRICS.get(parent) if record.qualified is None and parent != metric and parent in METRICS else record


def standing(metric: str) -> str:
    """Whether a metric is qualified, in one word or two.

    Parameters
    ----------
    metric : str

    Returns
    -------
    {'yes', 'one fill', 'no', 'no verdict', 'not applicable'}
        ``one fill``: it orders explanations rightly under each fill by itself, but not alike; ``no verdict``: it was
        not put on trial with its present version, or nothing could be claimed; ``not applicable``: it counts cost.

    Examples
    --------
    >>> [standing(name) for name in ("mass-accuracy", "weak-stress-auc", "explanation-calls")]
    ['yes', 'no verdict', 'not applicable']
    """
    record = judged(metric)
    if record is None or record.qualified is None:
        return NOT_APPLICABLE if record is not None and record.family == "cost" else NO_VERDICT
    if record.qualified:
        return YES
    return ONE_FILL if grade(record.name, record.version) == ONE_FILL else NO


def labelled(metric: str) -> str:
    """A metric's name with its mark, if any: see `legend`."""
    return metric + MARKS.get(standing(metric), "")


def fails(metric: str) -> str:
    """What a metric failed in its qualification, with numbers; empty where it did not fail, or has no verdict."""
    record = judged(metric)
    return record.fails if record is not None and record.qualified is False else ""


def mark_told(metric: str) -> str:
    """What a metric's mark means, with numbers; empty for an unmarked one."""
    stands = standing(metric)
    if stands == NO:
        return f"failed its qualification: {fails(metric)}"
    if stands == ONE_FILL:
        return f"qualified under each fill, not over fills: {fails(metric)}"
    if stands == NO_VERDICT:
        return f"no verdict: not put on trial, or no claim possible; try {TRIAL} {metric}"
    return ""


def legend(metrics: Iterable[str] | None = None) -> str:
    """What the marks mean; with `metrics`, only those that some of them bear, empty where none does."""
    stand = set(MEANINGS) if metrics is None else {standing(name) for name in metrics}
    return "; ".join(f"{MARKS[stands]} {text}" for stands, text in MEANINGS.items() if stands in stand)


def marks_note(metrics: Iterable[str]) -> str:
    """Which property each failed metric failed, and which bear another mark; empty where none is marked."""
    by: dict[str, list[str]] = {}
    for name in dict.fromkeys(metrics):
        by.setdefault(standing(name), []).append(name)
    failed = "; ".join(f"{name}: {failing(fails(name))}" for name in by.get(NO, ()))
    told = {
        NO: f"failed {failed}",
        ONE_FILL: f"one fill at a time {', '.join(by.get(ONE_FILL, ()))}",
        NO_VERDICT: f"no verdict on {', '.join(by.get(NO_VERDICT, ()))}",
    }
    return "; ".join(f"{MARKS[stands]} {text}" for stands, text in told.items() if stands in by)
