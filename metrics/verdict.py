"""Grades and marks of metrics as boards and tables show them.

Marks: ° qualified in a narrower scope, † failed, ‡ no verdict; no mark: qualified. A variant (``name:argument``)
that was not qualified itself has the verdict of the metric that it narrows. Metrics of cost and of the
recogniser judge no map: the grade does not apply, and they have no mark. This module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable

from .qualified import IN_SCOPE, NO, Verdict
from .record import UNJUDGED_FAMILIES, MetricRecord
from .records import METRICS

NO_VERDICT, NOT_APPLICABLE = "no verdict", "not applicable"
MARKS = {IN_SCOPE: "°", NO: "†", NO_VERDICT: "‡"}
COMMAND = "serxai qualify --metric"
MEANINGS = {
    NO: "failed its qualification: it does not reliably put explanations of known quality in order",
    IN_SCOPE: "qualified in a narrower scope alone (fill, emotions, kind of recogniser): a ranking holds there",
    NO_VERDICT: f"not tested, or no claim possible: nothing says that it is qualified ({COMMAND} NAME tests it)",
}


def record_of_verdict(metric: str) -> MetricRecord | None:
    """Record whose verdict holds for a metric; None for a metric that is not registered."""
    if metric not in METRICS:
        return None
    record, parent = METRICS.get(metric), metric.partition(":")[0]
    return METRICS.get(parent) if record.qualified is None and parent != metric and parent in METRICS else record


def verdict_on(metric: str) -> Verdict | None:
    """Verdict that holds for a metric, by name; None where there is none.

    Parameters
    ----------
    metric : str
    """
    record = record_of_verdict(metric)
    return None if record is None else record.verdict


def board_grade(metric: str) -> str:
    """Grade of a metric, as in column ``metric_qualified``.

    Parameters
    ----------
    metric : str

    Returns
    -------
    {'yes', 'in scope', 'no', 'no verdict', 'not applicable'}
        ``in scope``: qualified in a narrower scope alone; ``no verdict``: its present version was not tested, or
        nothing could be claimed; ``not applicable``: it judges no map (`UNJUDGED_FAMILIES`).

    Examples
    --------
    >>> [board_grade(name) for name in ("mass-accuracy", "weak-stress-auc", "explanation-calls")]
    ['yes', 'no verdict', 'not applicable']
    """
    record = record_of_verdict(metric)
    if record is None or record.verdict is None or record.verdict.qualified is None:
        return NOT_APPLICABLE if record is not None and record.family in UNJUDGED_FAMILIES else NO_VERDICT
    return record.verdict.grade


def labelled(metric: str) -> str:
    """Name of a metric with its mark, if any (see `legend`)."""
    return metric + MARKS.get(board_grade(metric), "")


def fails(metric: str) -> str:
    """Text on the properties that a metric failed, with numbers; empty where it failed none or has no verdict."""
    verdict = verdict_on(metric)
    return "" if verdict is None else verdict.fails


def failed_properties(metric: str) -> str:
    """Names of the properties that a metric failed, worst first, separated by commas; empty where there is none."""
    verdict = verdict_on(metric)
    return "" if verdict is None else ", ".join(verdict.failed)


def scope_text(metric: str) -> str:
    """Scope of a metric's verdict with its probability, as text; empty where it has none."""
    verdict = verdict_on(metric)
    if verdict is None or not verdict.scope:
        return ""
    return f"in scope '{verdict.scope}' with probability {verdict.probability:.2f}".replace("0.", ".")


def mark_meaning(metric: str) -> str:
    """Meaning of a metric's mark, with numbers; empty for an unmarked one."""
    grade = board_grade(metric)
    if grade == NO:
        best = scope_text(metric)
        return f"failed its qualification{f' (at best {best})' if best else ''}: {fails(metric)}"
    if grade == IN_SCOPE:
        return f"qualified {scope_text(metric)}; in its widest scope it fails: {fails(metric)}"
    if grade == NO_VERDICT:
        return f"no verdict: not tested, or no claim possible; try {COMMAND} {metric}"
    return ""


def legend(metrics: Iterable[str] | None = None) -> str:
    """Meaning of all marks; with `metrics`, only of those that some of them have, empty where none has one."""
    grades = set(MEANINGS) if metrics is None else {board_grade(name) for name in metrics}
    return "; ".join(f"{MARKS[grade]} {text}" for grade, text in MEANINGS.items() if grade in grades)


def marks_note(metrics: Iterable[str]) -> str:
    """Note below a table: failed properties of each failed metric, and metrics with other marks; empty if unmarked."""
    by_grade: dict[str, list[str]] = {}
    for name in dict.fromkeys(metrics):
        by_grade.setdefault(board_grade(name), []).append(name)
    failed = "; ".join(f"{name}: {failed_properties(name)}" for name in by_grade.get(NO, ()))
    texts = {
        NO: f"failed {failed}",
        IN_SCOPE: "; ".join(f"{name}: qualified {scope_text(name)}" for name in by_grade.get(IN_SCOPE, ())),
        NO_VERDICT: f"no verdict on {', '.join(by_grade.get(NO_VERDICT, ()))}",
    }
    return "; ".join(f"{MARKS[grade]} {text}" for grade, text in texts.items() if grade in by_grade)
