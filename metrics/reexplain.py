"""Helpers of the metrics that call the explanation method again, on changed clips or networks.

Such a metric costs several explanations, so it is defined only for methods whose explanation stays within the budget of
model calls that `Explained` carries. Methods that read one mask table, or the map of one base method, share the calls
of the explanations made again as they share those of the first.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..errors import NotApplicable
from .case import Case, Explain, Explained
from .record import OVER_BUDGET

ANOTHER_TARGET = "another target"  # of the same clip and recogniser: a mask table serves all targets


class Again(NamedTuple):
    """Cache key of the model calls of explanations made again.

    Attributes
    ----------
    what : hashable
        The changed clips or networks, or `ANOTHER_TARGET`.
    calls_key : hashable
        `Explained.calls_key`: equal for explanations that share their model calls.
    """

    what: Hashable
    calls_key: Hashable


def explainer_of(explained: Explained) -> Explain:
    """Return the callable that explains again with the method behind an attribution.

    Raises
    ------
    NotApplicable
        If no such callable is given, or one explanation takes more model calls than `Explained.budget`.
    """
    if explained.explain is None:
        raise NotApplicable("needs the method to explain again, only its map is given")
    calls = explained.attribution.model_calls
    if calls > explained.budget:
        raise NotApplicable(
            f"{OVER_BUDGET} {explained.budget} model calls; this one took {calls} (raise --reexplain-calls)"
        )
    return explained.explain


def calls_again(case: Case, explained: Explained, what: Hashable, explanations: int = 1) -> dict[Hashable, int]:
    """Model calls of further explanations of the case's clip, or of changed copies of it, by their cache key.

    Parameters
    ----------
    case : Case
    explained : Explained
    what : hashable
        See `Again`.
    explanations : int

    Raises
    ------
    NotApplicable
        As `explainer_of`.
    """
    explainer_of(explained)
    return {Again(what, explained.calls_key): explanations * explained.attribution.model_calls}
