"""Explanations stored with a run, selected by clip, method or condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ...errors import InputError, UnknownNameError
from ...methods.attribution import Attribution
from ..storage.store import Explanation, Store

FIELDS = ("corpus", "model", "clip", "method", "condition", "repeat", "against", "target")


@dataclass(frozen=True, eq=False)
class RunExplanation:
    """One explanation of a run.

    Attributes
    ----------
    attribution : Attribution
    corpus, model, clip, condition : str
    repeat : int
    against : str
        Fill that it is relative to, or ``own``, or ``none``.
    duration_s : float
        Length of the clip under its condition; 0 in runs of early versions.
    """

    attribution: Attribution
    corpus: str
    model: str
    clip: str
    condition: str
    repeat: int
    against: str
    duration_s: float

    def __repr__(self) -> str:
        rows, columns = self.attribution.grid.shape
        return (
            f"RunExplanation({self.clip!r}, {self.attribution.method!r}, {self.condition}, "
            f"target={self.attribution.target!r}, {rows} x {columns} cells)"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from the others of its run: corpus, model, clip, method, condition, repeat, against, target."""
        values = {"method": self.attribution.method, "target": self.attribution.target}
        return {name: values[name] if name in values else getattr(self, name) for name in FIELDS}

    def to_frame(self) -> pd.DataFrame:
        """Cells as a table, see `Attribution.to_frame`, with the facts of the explanation."""
        return self.attribution.to_frame().assign(**self.facts)

    def to_xarray(self) -> Any:
        """Map as a labelled array, see `Attribution.to_xarray`, with the facts of the explanation as attributes."""
        return self.attribution.to_xarray().assign_attrs(self.facts)

    def plot(self, ax: Any = None) -> Any:
        """Draw the map; runs hold no sound, so there is no spectrogram behind it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default that of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        from matplotlib import rc_context

        from ..report.figures.maps import map_panel

        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(5.6, 3.1), layout="constrained")
        with rc_context({"text.parse_math": False}):
            map_panel(ax, None, self.attribution, f"{self.clip}, {self.attribution.method}")
            ax.set_xlabel("time / s")
            ax.set_ylabel("frequency / Hz")
        return ax


@dataclass(frozen=True, eq=False)
class RunExplanations:
    """Explanations of a run, in the order of its shards; iteration reads them one by one.

    Attributes
    ----------
    store : Store
    where : mapping of str to object
        Facts that are selected.
    """

    store: Store = field(repr=False)
    where: Mapping[str, Any] = field(default_factory=dict)

    def select(self, **where: Any) -> RunExplanations:
        """Those with given facts.

        Parameters
        ----------
        **where
            ``corpus``, ``model``, ``clip``, ``method``, ``condition``, ``repeat``, ``against`` or ``target``.

        Raises
        ------
        UnknownNameError
            For another name.
        """
        for name in where:
            if name not in FIELDS:
                raise UnknownNameError("fact of an explanation", name, FIELDS)
        return RunExplanations(self.store, {**self.where, **where})

    def __iter__(self) -> Iterator[RunExplanation]:
        stored = {name: value for name, value in self.where.items() if name != "target"}
        for one in self.store.explanations(**stored):
            if "target" not in self.where or one.attribution.target == self.where["target"]:
                yield _of(one)

    def one(self, **where: Any) -> RunExplanation:
        """The one explanation with these facts; of several made against different fills, that of the run's first.

        Raises
        ------
        InputError
            If there is none, or there are several.
        """
        chosen = self.select(**where)
        stored = {name: value for name, value in chosen.where.items() if name != "target"}
        found = [
            one
            for one in self.store.explanations(**stored)
            if "target" not in chosen.where or one.attribution.target == chosen.where["target"]
        ]
        first = [one for one in found if one.first] or found
        if len(first) != 1:
            told = ", ".join(f"{name}={value!r}" for name, value in chosen.where.items()) or "no fact"
            raise InputError(
                f"explanations.one: {len(first)} explanations with {told}; give facts that single out one "
                f"({', '.join(FIELDS)})."
            )
        return _of(first[0])

    def index(self) -> pd.DataFrame:
        """Facts of the explanations, one row each, without their maps."""
        return pd.DataFrame([one.facts for one in self], columns=list(FIELDS))

    def to_frame(self) -> pd.DataFrame:
        """Cells of all of them as one table; select first, a fine map has 10,000 cells."""
        tables = [one.to_frame() for one in self]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _of(one: Explanation) -> RunExplanation:
    return RunExplanation(
        one.attribution, one.corpus, one.model, one.clip, one.condition, one.repeat, one.against, one.duration_s
    )
