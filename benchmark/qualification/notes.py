"""Notes on estimates: what an interval cannot say, and why nothing is claimed of a property.

A note is data, a code with the count that belongs to it; its text is made from them and is never read back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DETERMINISTIC = "deterministic"  # two draws of the metric's randomness differ on no trial
NO_SPREAD = "no-spread"  # all clips have the same value
SILENT = "silent"  # clips on which all scores are equal
FEW_VOICES, LOST_CLIPS, FEW_FILLS = NO_CLAIM_CODES = ("few-voices", "lost-clips", "few-fills")
SKIPPED = "skipped"  # no trial could be made

_TEXTS = {
    DETERMINISTIC: "deterministic",
    NO_SPREAD: "no spread",
    SILENT: "silent on {count}",
    FEW_VOICES: "fewer than {total} voices",
    LOST_CLIPS: "{count} of {total} clips",
    FEW_FILLS: "fewer than {total} fills",
    SKIPPED: "{reason}",
}


@dataclass(frozen=True)
class Note:
    """One note on an estimate.

    Attributes
    ----------
    code : str
        ``deterministic``; ``no-spread``; ``silent`` (on `count` clips); ``few-voices`` (fewer than `total`);
        ``lost-clips`` (only `count` of `total` clips were scored); ``few-fills`` (fewer than `total`); ``skipped`` (for
        `reason`).
    count, total : int or None
    reason : str
    """

    code: str
    count: int | None = None
    total: int | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        """The note in words, as in column ``note`` of ``qualification.csv``."""
        return _TEXTS[self.code].format(count=self.count, total=self.total, reason=self.reason)


def find_note(notes: Iterable[Note], code: str) -> Note | None:
    """The note with a code; None where there is none."""
    return next((note for note in notes if note.code == code), None)


def join_notes(notes: Iterable[Note], separator: str = "; ") -> str:
    """Texts of several notes."""
    return separator.join(note.text for note in notes)
