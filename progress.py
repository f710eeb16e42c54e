"""The type of progress callbacks, shared by all rooms."""

from __future__ import annotations

from collections.abc import Callable

# called with (what, done, total): what is being done, steps finished, steps in all
Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """Progress callback that shows nothing."""
