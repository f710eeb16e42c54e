"""Names of speakers as tables give them: missing ones, and names that differ in spelling alone.

A missing speaker is no speaker. Clips without one are not pooled (they would count as one talker, held out as a whole)
and not split into one talker each (the same voice might be trained on and tested): a table with missing speakers is
refused, unless its ``corpus.toml`` says to leave these clips out (``missing_speakers = "leave-out"``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# compared in lower case
MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "none", "null", "unknown", "unk", "?", "-"})


def clean_name(name: str) -> str:
    """Name in Unicode's composed form (NFC), with single spaces; empty for a missing speaker."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    return "" if name.casefold() in MISSING else name


def near_equal(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that differ only in case, leading zeros, accents' form, spaces or punctuation.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of tuple of str
        Each group sorted; such as ``[("1", "01"), ("Anna", "anna")]``.
    """
    groups: dict[str, set[str]] = {}
    for name in names:
        plain = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()
        groups.setdefault(re.sub(r"\b0+(?=\d)|(?<=[^\W\d])0+(?=\d)", "", plain), set()).add(name)
    return sorted(
        tuple(sorted(group, key=lambda name: (len(name), name))) for group in groups.values() if len(group) > 1
    )
