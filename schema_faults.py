"""Wording of schema violations: which fields of a file do not fit, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

SHOWN = 3  # faults of one file that are named


def field_faults(error: ValidationError) -> str:
    """Name the first fields that do not fit a schema, with what was found there, in one line."""
    found = error.errors(include_url=False)
    named = [_field(fault["loc"]) + _reason(fault) for fault in found[:SHOWN]]
    return "; ".join(named) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _field(place: tuple[int | str, ...]) -> str:
    parts = [short(part) for part in place if part != "[key]"]
    return f"field {'.'.join(parts)!r}: " if parts else ""


def _reason(fault: Any) -> str:
    text = short(fault["msg"].removeprefix("Value error, "), 300)
    text = text[:1].lower() + text[1:]
    return text if fault["type"] in ("missing", "value_error") else f"{text}, got {short(repr(fault['input']))}"


def short(text: object, most: int = 60) -> str:
    """A text in one line, cut to a bounded length."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 3] + "..."
