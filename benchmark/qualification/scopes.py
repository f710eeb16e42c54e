"""Scopes of the verdicts, and the requirements of a metric in each."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from ...errors import InputError
from .estimates import COVERAGE, FILLS, MIN_FILLS
from .joint import JointProbability, Requirement, joint_probability
from .properties import PROPERTIES

FILE = "scopes.toml"
_BY_NAME = {p.name: p for p in PROPERTIES}
_EVERYWHERE = ("seeds", "rivals", "real")  # whatever the fill
_UNDER_FILL = ("monotone", "oracle-vs-random", "negated")


@dataclass(frozen=True)
class Scope:
    """Fills, emotions and recognisers that a verdict is about.

    Attributes
    ----------
    name : str
    ladders, fills, emotions, recognisers : tuple of str
        `recognisers` are patterns of names.
    agree : bool
        Whether the order of explanations must agree over fills.
    signed : bool
        Whether the negated truth must score below random maps.
    """

    name: str
    ladders: tuple[str, ...]
    fills: tuple[str, ...]
    emotions: tuple[str, ...]
    recognisers: tuple[str, ...]
    agree: bool
    signed: bool

    def covers(self, recogniser: str) -> bool:
        """Whether a recogniser is of the scope."""
        return any(fnmatchcase(recogniser, pattern) for pattern in self.recognisers)

    def requires(self, property_: str, first_fill: str) -> bool:
        """Whether a property is required.

        Parameters
        ----------
        property_ : str
            A name of `properties.PROPERTIES`, or one of a further fill.
        first_fill : str
            Fill of the properties without a fill in their name; empty for metrics that use none.
        """
        if property_ == FILLS.name:
            return self.agree
        if property_ in _EVERYWHERE:
            return True
        for name in _UNDER_FILL:
            if name == "negated" and not self.signed:
                continue
            under = {name} if first_fill in ("", *self.fills) else set()
            if property_ in under | {f"{name}-{fill}" for fill in self.fills}:
                return True
        return False


@cache
def scopes() -> tuple[Scope, ...]:
    """Scopes of ``scopes.toml``, the widest of each ladder first."""
    content = tomllib.loads((files(__package__) / FILE).read_text("utf-8"))
    kinds = content["kinds"]
    found = []
    for entry in content["scope"]:
        unknown = sorted(set(entry["recognisers"]) - set(kinds))
        if unknown:
            raise InputError(f"{FILE}, scope {entry['name']!r}: no kind of recogniser {', '.join(unknown)}.")
        lists = {name: tuple(entry[name]) for name in ("ladders", "fills", "emotions")}
        patterns = tuple(pattern for kind in entry["recognisers"] for pattern in kinds[kind])
        found.append(Scope(entry["name"], **lists, recognisers=patterns, agree=entry["agree"], signed=entry["signed"]))
    return tuple(found)


def scopes_of(ladder: str) -> list[Scope]:
    """Scopes for a kind of ladder, the widest first."""
    return [scope for scope in scopes() if ladder in scope.ladders]


@dataclass(frozen=True)
class ScopeEstimate:
    """Whether a metric's requirements hold in a scope.

    Attributes
    ----------
    scope : Scope
    probability : float
        Of all requirements jointly, on all voices; NaN where nothing can be claimed.
    chosen, confirmed : float
        The same on each half of the voices.
    weakest : tuple of str
        Recogniser and property of each requirement as ``PROPERTY on RECOGNISER``, the least likely first.
    each : tuple of float
        Their probabilities.
    n_clips, n_requirements : int
        Fewest clips of a requirement, and how many there are.
    """

    scope: Scope
    probability: float
    chosen: float
    confirmed: float
    weakest: tuple[str, ...] = ()
    each: tuple[float, ...] = ()
    n_clips: int = 0
    n_requirements: int = 0


def scope_estimate(scope: Scope, part: pd.DataFrame) -> ScopeEstimate:
    """Probability that a metric's requirements hold in a scope.

    Parameters
    ----------
    scope : Scope
    part : DataFrame
        Rows of one metric, of `estimates.estimate_properties`.
    """
    nothing = ScopeEstimate(scope, np.nan, np.nan, np.nan)
    first = _first_fill(part)
    known = part[part["recogniser"].map(scope.covers) & part["threshold"].notna()]
    rows = known[known["property"].map(lambda name: scope.requires(name, first)).astype(bool)]
    lacking = [p for p in scope.recognisers if not any(fnmatchcase(name, p) for name in rows["recogniser"])]
    if lacking or (first and not _fills_there(scope, rows)):
        return nothing
    clips = pd.concat([table for table in rows["clips"]]).drop_duplicates("clip").set_index("clip")
    clips = clips[clips["emotion"].isin(scope.emotions)].sort_index()
    requirements, fewest = [], len(clips)
    for row in rows.itertuples():
        values = row.clips.set_index("clip")["value"].reindex(clips.index)
        planned = row.n_planned * len(clips) / max(clips_of_run(part), 1)
        if values.notna().sum() < COVERAGE * min(planned, row.n_planned):
            return nothing
        if row.property == FILLS.name and len(row.fills.split()) < MIN_FILLS:
            return nothing
        fewest = min(fewest, int(values.notna().sum()))
        property_ = _BY_NAME.get(row.property) or _BY_NAME[row.property.removesuffix(f"-{row.fills}")]
        requirements.append(
            Requirement(f"{row.property} on {row.recogniser}", values.to_numpy(), float(row.threshold),
                        float(row.chance), property_.above)
        )  # fmt: skip
    whole = _probability(requirements, clips, np.ones(len(clips), dtype=bool))
    half = first_half(clips["speaker"])
    order = np.argsort(whole.each, kind="stable")
    chosen, confirmed = (_probability(requirements, clips, voices).joint for voices in (half, ~half))
    return ScopeEstimate(
        scope, whole.joint, chosen, confirmed,
        weakest=tuple(requirements[i].name for i in order), each=tuple(float(whole.each[i]) for i in order),
        n_clips=fewest, n_requirements=len(requirements),
    )  # fmt: skip


def first_half(speakers: Sequence[str] | pd.Series) -> np.ndarray:
    """Whether each clip's voice is of the half on which scopes are chosen: every other voice, in order of names."""
    return np.isin(np.asarray(speakers), sorted(set(speakers))[::2])


def clips_of_run(part: pd.DataFrame) -> int:
    """Most clips that any recogniser was asked for."""
    return int(part["n_planned"].max())


def _probability(requirements: Sequence[Requirement], clips: pd.DataFrame, chosen: np.ndarray) -> JointProbability:
    some = [Requirement(r.name, r.values[chosen], r.threshold, r.chance, r.strict) for r in requirements]
    return joint_probability(some, list(clips["speaker"][chosen]), list(clips["sentence"][chosen]))


def _first_fill(part: pd.DataFrame) -> str:
    fills = part.loc[part["property"] == "monotone", "fills"]
    return "" if fills.empty else str(fills.iloc[0])


def _fills_there(scope: Scope, rows: pd.DataFrame) -> bool:
    """Whether every recogniser of the rows was tried under every fill of the scope."""
    for _, of_one in rows.groupby("recogniser"):
        under = of_one[of_one["property"].str.startswith(_UNDER_FILL)]
        if not set(scope.fills) <= set(under["fills"]):
            return False
    return True
