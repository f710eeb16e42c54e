"""Errors a user can act on, and the one signal that turns a score into a ``skipped`` row."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SerxaiError(Exception):
    """Base of every error that serxai raises on purpose; the command line prints it without a traceback."""


class InputError(SerxaiError, ValueError):
    """Something the user gave is wrong. The message says what was given, what is allowed and what to do."""


class UnknownNameError(InputError):
    """A name that no registry holds.

    Parameters
    ----------
    kind : str
        What was looked up, e.g. ``"method"``.
    name : str
        The name as given.
    known : iterable of str
        The names that exist; the nearest are put into the message.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}. {hint}Known: {', '.join(known) or 'none'}.")


class ClipError(SerxaiError):
    """One clip cannot be loaded, explained or scored. It becomes a ``failed`` row; the run goes on."""


class NotApplicable(SerxaiError):  # noqa: N818  (a signal, not a fault)
    """A score is undefined here for a stated reason. It becomes a ``skipped`` row."""
