"""Exceptions (`NotApplicable` makes a score row ``skipped``), and the warning about a user's table."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SerxaiError(Exception):
    """Base class of serxai's exceptions; the command line prints them without a traceback."""


class InputError(SerxaiError, ValueError):
    """Invalid user input; the message names the parameter, the value given, what is allowed and what to do."""


class UnknownNameError(InputError):
    """Unknown name of a registered object; the message lists the closest known names.

    Parameters
    ----------
    kind : str
        Kind of object, e.g. ``"method"``.
    name : str
        The name given.
    known : iterable of str
        All valid names.
    advice : str
        A sentence in place of the closest names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], advice: str = "") -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"{advice} " if advice else f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}. {hint}Known: {', '.join(known) or 'none'}.")


class TrainingWarning(UserWarning):
    """A recogniser that is trained before it is used, which takes long."""


class TableWarning(UserWarning):
    """Remark on a user's table: rows left out, names that are nearly equal."""


class ClipError(SerxaiError):
    """Failure to load, explain or score one clip; it becomes a ``failed`` row and the run continues."""


class NotApplicable(SerxaiError):  # noqa: N818  (a signal, not a fault)
    """Signal that a score is undefined for this input; it becomes a ``skipped`` row with the message as reason."""


class UnusableClipError(ClipError, NotApplicable):
    """Clip in which there is nothing to recognise (silence, DC alone); its rows are ``skipped`` with the reason."""
