"""Kinds of registered things: where their records are, and what one is called. Imports no registry by itself."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

from ...registry import Record, Registry


class Kind(NamedTuple):
    """One kind of registered things.

    Attributes
    ----------
    singular : str
    source : str
        ``module:attribute`` of the registry, or sequence, of its records.
    short : tuple of str
        Columns of a line of ``serxai ls``.
    columns : tuple of str
        Columns of ``serxai ls --long``.
    """

    singular: str
    source: str
    short: tuple[str, ...]
    columns: tuple[str, ...]

    def records(self) -> Iterable[Record]:
        """All records, those of plug-ins last."""
        module, attribute = self.source.split(":")
        found: Iterable[Record] = getattr(import_module(module, __package__), attribute)
        return found

    def get(self, name: str) -> Record:
        """Record of a name.

        Raises
        ------
        UnknownNameError
            If there is none; the message lists the closest ones.
        """
        from ...errors import UnknownNameError

        records = self.records()
        if isinstance(records, Registry):
            found: Record = records.get(name)
            return found
        known = {record.name: record for record in records}
        if name not in known:
            raise UnknownNameError(self.singular, name, known)
        return known[name]


KINDS = {
    "corpora": Kind(
        "corpus",
        "...datasets.corpora:CORPORA",
        ("name", "clips", "speakers", "language", "licence"),
        ("name", "clips", "speakers", "hours", "language", "licence", "label_counts"),
    ),
    "models": Kind(
        "model",
        "...models.records:MODELS",
        ("name", "summary"),
        ("name", "kind", "differentiable", "needs", "licence", "summary", "shipped"),
    ),
    "methods": Kind(
        "method",
        "...methods.records:METHODS",
        ("name", "family", "summary"),
        ("name", "family", "needs", "cost", "version", "summary"),
    ),
    "metrics": Kind(
        "metric",
        "...metrics.records:METRICS",
        ("name", "family", "direction", "summary"),
        ("name", "family", "direction", "core", "qualified", "fails", "cost", "summary", "citation"),
    ),
    "conditions": Kind(
        "condition",
        "...datasets.shifts.conditions:CONDITIONS",
        ("name", "summary"),
        ("name", "kind", "strength", "unit", "summary"),
    ),
    "fills": Kind("fill", "...audio.fill_records:FILL_RECORDS", ("name", "summary"), ("name", "summary")),
    "cues": Kind("cue", "...cues.records:CUES", ("name", "unit", "summary"), ("name", "unit", "summary")),
}
# what `serxai show` takes, and the kind of it
SHOWN = {kind.singular: plural for plural, kind in KINDS.items()} | {"recogniser": "models"}
