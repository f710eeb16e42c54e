"""Files of statements: one row per clip, cue and direction, written by people, programs or language models.

A file is data that somebody else may have written: unknown columns, cues and directions are refused with their row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from ...cues.records import REGION_CUES
from ...errors import InputError
from .files import read_bytes

NEEDED, OPTIONAL = ("clip", "cue", "direction"), ("start_s", "end_s", "weight", "method", "text")
COLUMNS = (*NEEDED, *OPTIONAL)
DIRECTIONS = {"more": 1, "less": -1}
MAX_BYTES, MAX_ROWS, MAX_TEXT = 64 * 2**20, 500_000, 2000
MAX_SECONDS, MIN_WEIGHT, MAX_WEIGHT = 3600.0, 1e-6, 1e6  # products of scores and weights must not vanish


class Statement(NamedTuple):
    """One statement.

    Attributes
    ----------
    direction : int
        1: more, -1: less than the same speaker's neutral voice.
    span : (float, float) or None
        In seconds; None: the whole clip.
    weight : float
        1e-6 to 1e6, relative to the other statements of the method about the clip.
    method : str
        Who states it.
    """

    clip: str
    cue: str
    direction: int
    span: tuple[float, float] | None = None
    weight: float = 1.0
    method: str = "statements"
    text: str = ""


def read_statements(path: Path) -> list[Statement]:
    """Read a CSV of statements.

    Raises
    ------
    InputError
        If it cannot be read, or a row is not as documented; the message names file and row.
    """
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("holds NUL bytes")
        reader = enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1)
        _, header = next(reader, (1, []))
        filled = ((number, line) for number, line in reader if line)  # empty lines take no memory
        rows = list(islice(filled, MAX_ROWS + 1))
    except (ValueError, csv.Error) as error:
        raise InputError(f"--statements {path}: {' '.join(str(error).split()).removeprefix(f'{path}: ')}.") from None
    _check_header(path, header)
    if not 0 < len(rows) <= MAX_ROWS:
        held = f"more than {MAX_ROWS}" if rows else "0"
        raise InputError(f"--statements {path}: holds {held} statements; 1 to {MAX_ROWS} are read.")
    found = []
    for number, line in rows:
        if len(line) != len(header):
            raise InputError(f"--statements {path}, row {number}: {len(line)} fields, the header has {len(header)}.")
        try:
            found.append(_statement(dict(zip(header, map(str.strip, line), strict=True)), path.stem))
        except ValueError as error:
            raise InputError(f"--statements {path}, row {number}: {error}") from None
    return found


def _check_header(path: Path, header: list[str]) -> None:
    for name in header:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"--statements {path}: unknown column {name[:40]!r}; {hint}Allowed: {', '.join(COLUMNS)}.")
    lacking = [name for name in NEEDED if name not in header]
    if lacking or len(set(header)) < len(header):
        raise InputError(f"--statements {path}: needs each of the columns {', '.join(NEEDED)} once.")


def _statement(entry: Mapping[str, str], source: str) -> Statement:
    clip, cue, direction = (entry[name] for name in NEEDED)
    if any(len(text) > MAX_TEXT for text in entry.values()) or not all(
        entry.get(name, "").isprintable() for name in ("clip", "cue", "direction", "method")
    ):
        raise InputError(f"fields must be printable, at most {MAX_TEXT} characters.")
    if not clip:
        raise InputError("clip: is empty.")
    if cue not in REGION_CUES:
        near = get_close_matches(cue, REGION_CUES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InputError(f"cue {cue[:40]!r}: unknown. {hint}Allowed: {', '.join(REGION_CUES)}.")
    if direction not in DIRECTIONS:
        raise InputError(f"direction {direction[:40]!r}: must be more or less (than this speaker's neutral).")
    ends = [_number(entry, name, 0.0, MAX_SECONDS) for name in ("start_s", "end_s")]
    span = None
    if ends[0] is not None or ends[1] is not None:
        if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
            raise InputError("start_s and end_s: give both, the first below the second, or neither.")
        span = (ends[0], ends[1])
    weight = _number(entry, "weight", MIN_WEIGHT, MAX_WEIGHT)
    method = entry.get("method") or source
    return Statement(clip, cue, DIRECTIONS[direction], span, weight or 1.0, method[:64], entry.get("text", ""))


def _number(entry: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    text = entry.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and low <= value <= high):
        raise InputError(f"{name} {text[:40]!r}: must be a number from {low:g} to {high:g}.")
    return value


def packed(statements: list[Statement]) -> bytes:
    """Encode statements as `read_statements` reads them."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    words = {sign: word for word, sign in DIRECTIONS.items()}
    for one in statements:
        span = ["", ""] if one.span is None else [f"{second:.3f}" for second in one.span]
        writer.writerow([one.clip, one.cue, words[one.direction], *span, f"{one.weight:.6g}", one.method, one.text])
    return table.getvalue().encode()
