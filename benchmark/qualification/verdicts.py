"""Verdicts on metrics from the estimates of their properties.

A metric qualifies in a scope (`scopes`) if all requirements of the scope hold jointly with a probability of .95 or
more. The widest scope of its ladder is judged on all voices: there is nothing to choose. Else scopes are chosen that
hold with .95 on one half of the voices, and the verdict is the widest of them that holds with .95 on the other half.
Among scopes of which each asks for part of what the one before asks, a false one is so confirmed in at most 5 %: it
cannot hold in a draw in which the narrowest false one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

import pandas as pd

from ...metrics.qualified import IN_SCOPE, NO, NO_CLAIM, NOT_TESTED, YES, Verdict
from .joint import QUALIFIED
from .notes import join_notes
from .scopes import ScopeEstimate, scope_estimate, scopes_of

# columns of verdicts.csv, and the field of a verdict that each shows
VERDICT_COLUMNS = {
    "metric": "metric", "version": "version", "ladder": "ladder", "qualified": "grade", "scope": "scope",
    "probability": "probability", "chosen": "chosen", "confirmed": "confirmed", "recognisers": "recognisers",
    "fills": "fills", "n_clips": "n_clips", "fails": "fails", "no_claim": "no_claim",
}  # fmt: skip
SCOPE_COLUMNS = ["metric", "version", "ladder", "scope", "probability", "chosen", "confirmed", "n_requirements",
                 "n_clips", "weakest", "weakest_probability"]  # fmt: skip


class Judged:
    """Verdicts on all metrics of a qualification, and the scopes that they rest on.

    Parameters
    ----------
    table : DataFrame
        Of `estimates.estimate_properties`.

    Attributes
    ----------
    verdicts : list of Verdict
        In the order of the table. ``grade`` is

        - ``yes``: all requirements of the widest scope hold jointly with a probability of .95 or more;
        - ``in scope``: those of a narrower scope do, chosen on half of the voices and confirmed on the other half;
        - ``no``: neither;
        - ``no claim``: in no scope can anything be claimed;
        - ``not tested``: all trials were skipped.

        ``fails`` names the requirements that fail in the widest scope, with probability, estimate, interval and clips,
        least likely first, and after ``fills`` the estimates of each emotion; ``no_claim`` the required properties of
        which nothing can be claimed, and why.
    scopes : DataFrame
        One row a metric and scope, columns `SCOPE_COLUMNS`.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.verdicts: list[Verdict] = []
        rows: list[dict[str, Any]] = []
        for metric, part in table.groupby("metric", sort=False):
            tried = [scope_estimate(scope, part) for scope in scopes_of(part["ladder"].iloc[0])]
            self.verdicts.append(_verdict(str(metric), part, tried))
            rows += [
                {
                    "metric": metric, "version": part["metric_version"].iloc[0], "ladder": part["ladder"].iloc[0],
                    "scope": one.scope.name, "probability": one.probability, "chosen": one.chosen,
                    "confirmed": one.confirmed, "n_requirements": one.n_requirements, "n_clips": one.n_clips,
                    "weakest": one.weakest[0] if one.weakest else "",
                    "weakest_probability": one.each[0] if one.each else float("nan"),
                }
                for one in tried
            ]  # fmt: skip
        self.scopes = pd.DataFrame(rows, columns=SCOPE_COLUMNS)


def verdicts(table: pd.DataFrame) -> list[Verdict]:
    """Verdict on each metric; see `Judged`."""
    return Judged(table).verdicts


def verdict_table(judged: Sequence[Verdict]) -> pd.DataFrame:
    """Verdicts as a table with the columns of ``verdicts.csv``; lists are joined by spaces."""
    rows = [{column: shown(getattr(verdict, field)) for column, field in VERDICT_COLUMNS.items()} for verdict in judged]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def shown(value: Any) -> Any:
    """Value of a field as in ``verdicts.csv``: lists joined by spaces, numbers to four digits."""
    if isinstance(value, tuple):
        return " ".join(value)
    return (None if isnan(value) else float(f"{value:.4g}")) if isinstance(value, float) else value


def _verdict(metric: str, part: pd.DataFrame, tried: Sequence[ScopeEstimate]) -> Verdict:
    required = part[part["threshold"].notna()]
    no_claim = required[required["passed"] == "no claim"]
    reasons = [f"{row.property} on {row.recogniser}: {join_notes(row.notes, ', ')}" for row in no_claim.itertuples()]
    claimed = [one for one in tried if not isnan(one.probability)]
    grade, best = _grade(claimed, tried)
    if required.empty:
        grade, reasons = NOT_TESTED, list(part["note"].unique())
    elif grade == NO_CLAIM and not reasons:
        reasons = ["not tried under the fills and by the recognisers of any scope"]
    failing = [] if grade in (YES, NO_CLAIM, NOT_TESTED) else _failing(claimed[0], required)
    return Verdict(
        metric=metric,
        version=part["metric_version"].iloc[0],
        ladder=part["ladder"].iloc[0],
        grade=grade,
        scope="" if best is None else best.scope.name,
        probability=float("nan") if best is None else best.probability,
        chosen=float("nan") if best is None else best.chosen,
        confirmed=float("nan") if best is None else best.confirmed,
        recognisers=tuple(sorted(required["recogniser"].unique())),
        fills=tuple(max(required["fills"], key=len, default="").split()),
        n_clips=int(required["n_clips"].min()) if len(required) else 0,
        failed=tuple(dict.fromkeys(row.property for row in failing)),
        unclear=tuple(dict.fromkeys(no_claim["property"])),
        notes=tuple(sorted({note.code for notes in (part if required.empty else required)["notes"] for note in notes})),
        fails="; ".join(_failure_text(row, part) for row in failing),
        no_claim="; ".join(reasons),
    )


def _grade(claimed: Sequence[ScopeEstimate], tried: Sequence[ScopeEstimate]) -> tuple[str, ScopeEstimate | None]:
    """Grade, and the scope that it is about."""
    if not claimed:
        return NO_CLAIM, None
    if claimed[0] is tried[0] and claimed[0].probability >= QUALIFIED:
        return YES, claimed[0]
    chosen = [one for one in claimed if one.chosen >= QUALIFIED]
    confirmed = next((one for one in chosen if one.confirmed >= QUALIFIED), None)
    if confirmed is not None:
        return IN_SCOPE, confirmed
    return NO, chosen[0] if chosen else max(claimed, key=lambda one: one.probability)


def _failing(widest: ScopeEstimate, required: pd.DataFrame) -> list[Any]:
    """Rows of the requirements that fail in a scope, the least likely first; where none does alone, the weakest."""
    rows = {f"{row.property} on {row.recogniser}": row for row in required.itertuples()}
    failing = [name for name, p in zip(widest.weakest, widest.each, strict=True) if p < QUALIFIED]
    return [rows[name] for name in failing or widest.weakest[:1]]


def _failure_text(row: Any, part: pd.DataFrame) -> str:
    text = f"{_interval_text(row)}, {row.n_clips} clips"
    if row.property == "fills":
        of_emotions = part[(part["recogniser"] == row.recogniser) & part["emotion"].ne("")]
        text += f": {', '.join(f'{e.emotion} {_interval_text(e)}' for e in of_emotions.itertuples())}"
    return f"{row.property} on {row.recogniser} ({text})"


def _interval_text(row: Any) -> str:
    return f"{row.estimate:.2f}" + ("" if pd.isna(row.low) else f" [{row.low:.2f}, {row.high:.2f}]")
