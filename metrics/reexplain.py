"""Explaining again: what the metrics share that need the method itself, not only its map.

Such a metric costs several explanations, so it is defined only for methods of at most `MAX_CALLS` model calls.
"""

from __future__ import annotations

from ..errors import NotApplicable
from .case import Case, Explain, Explained

MAX_CALLS = 64  # of one explanation


def explainer_of(explained: Explained) -> Explain:
    """The method behind an attribution.

    Raises
    ------
    NotApplicable
        If only the map is at hand, or an explanation costs too much to be made again.
    """
    if explained.explain is None:
        raise NotApplicable("needs the method to explain again, only its map is given")
    calls = explained.attribution.model_calls
    if calls > MAX_CALLS:
        raise NotApplicable(
            f"explains again, which is done for methods of at most {MAX_CALLS} model calls; this one took {calls}"
        )
    return explained.explain


def explanation_calls(case: Case, explained: Explained) -> int:
    """Model calls of one more explanation of the case's clip, or of a copy of it.

    Raises
    ------
    NotApplicable
        As `explainer_of`.
    """
    explainer_of(explained)
    return explained.attribution.model_calls
