"""Text from outside (file names, messages, tables) made safe to print on a terminal."""

from __future__ import annotations

import re

# control characters but tab and newline, marks of writing direction, line separators, halves of surrogate pairs (bytes
# of file names that are not UTF-8)
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Replace what a terminal would obey, or cannot show, by its escape, such as ``\x1b``."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape", "surrogatepass").decode("ascii"), text)
