"""Helpers of the metrics that call the explanation method again, on changed clips or networks.

Such a metric costs several explanations, so it is defined only for methods of at most `MAX_REEXPLAIN_CALLS` model
calls.
"""

from __future__ import annotations

from ..errors import NotApplicable
from .case import Case, Explain, Explained
from .record import MAX_REEXPLAIN_CALLS, OVER_BUDGET


def explainer_of(explained: Explained) -> Explain:
    """Return the callable that explains again with the method behind an attribution.

    Raises
    ------
    NotApplicable
        If no such callable is given, or one explanation takes more than `MAX_REEXPLAIN_CALLS` model calls.
    """
    if explained.explain is None:
        raise NotApplicable("needs the method to explain again, only its map is given")
    calls = explained.attribution.model_calls
    if calls > MAX_REEXPLAIN_CALLS:
        raise NotApplicable(f"{OVER_BUDGET} {MAX_REEXPLAIN_CALLS} model calls; this one took {calls}")
    return explained.explain


def explanation_calls(case: Case, explained: Explained) -> int:
    """Count the model calls of one more explanation of the case's clip, or of a perturbed copy of it.

    Raises
    ------
    NotApplicable
        As `explainer_of`.
    """
    explainer_of(explained)
    return explained.attribution.model_calls
