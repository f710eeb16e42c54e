"""Verdicts of the committed qualification of the metrics, by metric and version.

``qualified.csv`` beside this module is ``qualified.csv`` as `serxai qualify` writes it (docs/qualification.md): one row
a metric, one column a field of `Verdict`, lists separated by spaces. A verdict holds for the version of the metric that
was qualified. This module imports nothing heavy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from io import StringIO
from math import isnan, nan
from typing import Any

YES, IN_SCOPE, NO, NO_CLAIM, NOT_TESTED = GRADES = ("yes", "in scope", "no", "no claim", "not tested")
_NUMBERS = ("probability", "chosen", "confirmed")
_LISTS = ("recognisers", "fills", "failed", "unclear", "notes")


@dataclass(frozen=True)
class Verdict:
    """Result of the qualification of one metric.

    Attributes
    ----------
    metric, version : str
    ladder : str
        Kind of the explanations of known quality that it was tested on; empty where it was not tested.
    grade : {'yes', 'in scope', 'no', 'no claim', 'not tested'}
        ``yes``: qualified in the widest scope of its ladder; ``in scope``: in `scope` alone.
    scope : str
        Scope of the verdict (`benchmark/qualification/scopes.toml`): that in which it qualifies, else the one in which
        its requirements are likeliest to hold; empty where nothing is claimed.
    probability : float
        That all requirements of `scope` hold jointly, on all voices; NaN where nothing is claimed.
    chosen, confirmed : float
        The same on the half of the voices on which the scope was chosen, and on the other half.
    recognisers, fills : tuple of str
        Recognisers and fills that it was tested with; no fill for a metric that uses none.
    n_clips : int
        Fewest clips of a required property.
    failed : tuple of str
        Names of the required properties that fail in the widest scope, worst first, each once; where only their
        conjunction fails, the weakest.
    unclear : tuple of str
        Names of the required properties of which nothing can be claimed, each once.
    notes : tuple of str
        Codes of the notes on its required properties (`benchmark.qualification.notes`).
    fails, no_claim : str
        Text for people: failures with estimates, intervals and clips; why nothing can be claimed.
    """

    metric: str
    version: str
    ladder: str = ""
    grade: str = NOT_TESTED
    scope: str = ""
    probability: float = nan
    chosen: float = nan
    confirmed: float = nan
    recognisers: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    n_clips: int = 0
    failed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fails: str = ""
    no_claim: str = ""

    @property
    def qualified(self) -> bool | None:
        """Whether it qualifies in its widest scope; None where it was not tested or nothing can be claimed."""
        return {YES: True, NO: False, IN_SCOPE: False}.get(self.grade)


COLUMNS = tuple(field.name for field in fields(Verdict))


def write_verdicts(verdicts: Iterable[Verdict]) -> bytes:
    """Content of ``qualified.csv``.

    Parameters
    ----------
    verdicts : iterable of Verdict

    Returns
    -------
    bytes
        UTF-8; `read_verdicts` gives the same verdicts.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for verdict in verdicts:
        values = ((name, getattr(verdict, name)) for name in COLUMNS)
        writer.writerow([_written(name, value) for name, value in values])
    return text.getvalue().encode()


def _written(name: str, value: Any) -> Any:
    if name in _LISTS:
        return " ".join(value)
    if name in _NUMBERS:
        return "" if isnan(value) else f"{value:.4g}"
    return value


def read_verdicts(content: bytes) -> list[Verdict]:
    """Verdicts from the content of ``qualified.csv``."""
    rows = csv.DictReader(StringIO(content.decode()))
    verdicts = []
    for row in rows:
        typed: dict[str, Any] = {name: tuple(row[name].split()) for name in _LISTS} | {"n_clips": int(row["n_clips"])}
        typed |= {name: float(row[name] or "nan") for name in _NUMBERS}
        verdicts.append(Verdict(**{**row, **typed}))
    return verdicts


@cache
def committed_verdicts() -> dict[tuple[str, str], Verdict]:
    """Verdicts shipped with the package, by metric and version."""
    content = (files(__package__) / "qualified.csv").read_bytes()
    return {(verdict.metric, verdict.version): verdict for verdict in read_verdicts(content)}


def verdict_of(metric: str, version: str) -> Verdict | None:
    """Committed verdict on one version of a metric; None where there is none.

    Parameters
    ----------
    metric, version : str
    """
    return committed_verdicts().get((metric, version))
