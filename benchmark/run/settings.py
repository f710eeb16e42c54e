"""Reading and validation of settings: TOML files, command-line flags and the messages about what is wrong in them."""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ...errors import InputError

Schema = TypeVar("Schema", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file.

    Raises
    ------
    InputError
        If the file is missing, cannot be read or is not valid TOML.
    """
    if not path.is_file():
        raise InputError(f"config {path}: no such file; give a TOML file.")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"config {path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits or 1,000 brackets is no TOMLDecodeError
        raise InputError(f"config {path}: not valid TOML in UTF-8 ({error}).") from None


def validate_settings(
    schema: type[Schema], settings: Mapping[str, Any], path: Path | None, flags: Mapping[str, str]
) -> Schema:
    """Validate settings; errors name the key, or the flag of a key whose value came from the command line.

    Parameters
    ----------
    schema : type of pydantic model
    settings : mapping
    path : Path or None
        File that settings came from, for messages.
    flags : mapping of str to str
        Flag of each key whose value came from the command line.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), an unknown name, or a value out of range.
    """
    try:
        return schema.model_validate(dict(settings))
    except ValidationError as error:
        lines = [_message(fault, schema, flags) for fault in error.errors()]
    only_flags = all(line.startswith("--") for line in lines)
    raise InputError(("" if only_flags else f"config{f' {path}' if path else ''}: ") + " ".join(lines))


def _message(fault: Any, schema: type[BaseModel], flags: Mapping[str, str]) -> str:
    *above, last = map(str, fault["loc"]) if fault["loc"] else [""]
    top, *others = [*above, last]
    field = schema.model_fields.get(top)
    key = ".".join([(field.title if field else None) or top, *others])  # a title is the key's name in files
    if fault["type"] == "extra_forbidden":
        allowed = _keys_of(schema, above)
        near = get_close_matches(last, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown key {key!r}; {hint}Allowed: {', '.join(allowed)}."
    text = fault["msg"].removeprefix("Value error, ")
    text = text if text.endswith(".") else f"{text}, got {reprlib.repr(fault['input'])}."
    first, _, rest = text.partition(": ")
    if not key and first in flags:  # of several keys together: the message begins with the one at fault
        key, text = first, rest
    of_flag = all(part.isdigit() for part in key.split(".")[1:])  # a list's entry, not a key of a nested table
    name = flags[key.partition(".")[0]] if of_flag and key.partition(".")[0] in flags else f"key {key!r}"
    return f"{name}: {text}" if key else text


def _keys_of(schema: type[BaseModel], tables: Iterable[str]) -> list[str]:
    """Keys that a schema, or one of its nested tables, allows."""
    for table in tables:
        field = schema.model_fields.get(table)
        inner = [t for t in (get_args(field.annotation) or (field.annotation,)) if isclass(t)] if field else []
        schema = next((t for t in inner if issubclass(t, BaseModel)), schema)
    return list(schema.model_fields)


def expand_words(names: Any, groups: Mapping[str, Iterable[str]]) -> Any:
    """Replace words such as ``all`` in a list of names by the names they stand for, leaving out those named beside.

    Parameters
    ----------
    names : list of str, or one such word
        Anything else is returned as it is, for the schema to refuse.
    groups : mapping of str to iterable of str
        Names that each word stands for.
    """
    if isinstance(names, str) and names in groups:
        names = [names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return names
    explicit = {name for name in names if name not in groups}
    expanded: list[str] = []
    for name in names:
        expanded += [n for n in groups[name] if n not in {*explicit, *expanded}] if name in groups else [name]
    return expanded
