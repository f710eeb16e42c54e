"""Verdicts on metrics from the estimates of their properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...metrics.qualified import NO, NO_CLAIM, NOT_TESTED, ONE_FILL, YES, Verdict
from .estimates import COVERAGE, FILLS
from .notes import join_notes

OWN_FILLS = 0.9  # least lower end of own-fills for the grade "one fill"
# columns of verdicts.csv, and the field of a verdict that each shows
VERDICT_COLUMNS = {
    "metric": "metric", "version": "version", "ladder": "ladder", "qualified": "grade", "recognisers": "recognisers",
    "fills": "fills", "n_clips": "n_clips", "fails": "fails", "no_claim": "no_claim",
}  # fmt: skip


def verdicts(table: pd.DataFrame) -> list[Verdict]:
    """Verdict on each metric: whether every recogniser qualifies it, and what fails on which.

    Parameters
    ----------
    table : DataFrame
        Of `estimates.estimate_properties`. Every recogniser in it is expected to have estimates of every metric.

    Returns
    -------
    list of Verdict
        In the order of the table. ``grade`` is

        - ``yes``: all required properties pass by every recogniser;
        - ``one fill``: all but ``fills`` do, and on the white box the metric follows the truth of each fill;
        - ``no``: something else that is required fails;
        - ``no claim``: nothing fails, and of something required nothing can be claimed;
        - ``not tested``: all trials were skipped.

        ``fails`` names property and recogniser with estimate, interval and clips, worst first, and after ``fills`` the
        same of each emotion; ``no_claim`` names the properties of which nothing can be claimed, and why. ``fills`` and
        ``n_clips`` are what the verdict rests on.
    """
    recognisers = list(table["recogniser"].unique())
    return [_verdict(str(metric), part, recognisers) for metric, part in table.groupby("metric", sort=False)]


def verdict_table(judged: Sequence[Verdict]) -> pd.DataFrame:
    """Verdicts as a table with the columns of ``verdicts.csv``; lists are joined by spaces."""
    rows = [
        {
            column: " ".join(value) if isinstance(value := getattr(verdict, field), tuple) else value
            for column, field in VERDICT_COLUMNS.items()
        }
        for verdict in judged
    ]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def _verdict(metric: str, part: pd.DataFrame, recognisers: Sequence[str]) -> Verdict:
    required = part[part["threshold"].notna()]
    failed = required[required["passed"] == "no"].sort_values("low")
    no_claim = required[required["passed"] == "no claim"]
    tested = set(required[["property", "recogniser"]].itertuples(index=False, name=None))
    untested = [(p, r) for r in recognisers for p in required["property"].unique() if (p, r) not in tested]
    reasons = [f"{row.property} on {row.recogniser}: {join_notes(row.notes, ', ')}" for row in no_claim.itertuples()]
    reasons += [f"{name} on {recogniser}: not tested" for name, recogniser in untested]
    if required.empty:
        grade = NOT_TESTED
        reasons = list(part["note"].unique())
    elif len(failed):
        only_fills = not reasons and set(failed["property"]) == {FILLS.name} and _follows_own_fills(part)
        grade = ONE_FILL if only_fills else NO
    else:
        grade = NO_CLAIM if reasons else YES
    return Verdict(
        metric=metric,
        version=part["metric_version"].iloc[0],
        ladder=part["ladder"].iloc[0],
        grade=grade,
        recognisers=tuple(sorted(required["recogniser"].unique())),
        fills=tuple(max(required["fills"], key=len, default="").split()),
        n_clips=int(required["n_clips"].min()) if len(required) else 0,
        failed=tuple(dict.fromkeys(failed["property"])),
        unclear=tuple(dict.fromkeys([*no_claim["property"], *(name for name, _ in untested)])),
        notes=tuple(sorted({note.code for notes in (part if required.empty else required)["notes"] for note in notes})),
        fails="; ".join(_failure_text(row, part) for row in failed.itertuples()),
        no_claim="; ".join(reasons),
    )


def _follows_own_fills(part: pd.DataFrame) -> bool:
    """Whether the metric follows the truth of each fill on the white box."""
    own = part[part["property"] == "own-fills"]
    return len(own) > 0 and bool(((own["low"] >= OWN_FILLS) & (own["n_clips"] >= COVERAGE * own["n_planned"])).all())


def _failure_text(row: Any, part: pd.DataFrame) -> str:
    text = f"{_interval_text(row)}, {row.n_clips} clips"
    if row.property == FILLS.name:
        of_emotions = part[(part["recogniser"] == row.recogniser) & part["emotion"].ne("")]
        text += f": {', '.join(f'{e.emotion} {_interval_text(e)}' for e in of_emotions.itertuples())}"
    return f"{row.property} on {row.recogniser} ({text})"


def _interval_text(row: Any) -> str:
    return f"{row.estimate:.2f}" + ("" if pd.isna(row.low) else f" [{row.low:.2f}, {row.high:.2f}]")
