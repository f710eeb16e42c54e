"""Messages of library calls: what the command line calls ``--trained-on`` is the keyword ``trained_on`` there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import InputError

_FLAG = re.compile(r"(?<![\w`-])--([a-z][a-z-]*)")
_OTHER_NAMES = {"param": "parameters"}  # keywords that are not called as the flag is


@contextmanager
def in_keywords() -> Iterator[None]:
    """Raise an `InputError` of this block with keywords in the place of flags; commands in backticks stay as they are.

    Examples
    --------
    >>> with in_keywords():
    ...     raise InputError("--trained-on emod: unknown; see `serxai ls corpora --json`.")
    Traceback (most recent call last):
    serxai.errors.InputError: trained_on emod: unknown; see `serxai ls corpora --json`.
    """
    try:
        yield
    except InputError as error:
        parts = str(error).split("`")
        parts[::2] = [_FLAG.sub(_keyword, part) for part in parts[::2]]
        text = "`".join(parts)
        if text == str(error):
            raise
        raise InputError(text) from None


def _keyword(match: re.Match[str]) -> str:
    name = match.group(1).replace("-", "_")
    return _OTHER_NAMES.get(name, name)
