"""Names and JSON content without the folders of one machine, as records of results hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LOCAL = re.compile(r"[a-z]+:(?:[/.~\\]|[A-Za-z]:[/\\]).*")  # recogniser that is named by a path of one machine
_PATH = re.compile(r"(?:/|~[/\\]|\\\\|[A-Za-z]:[/\\]).*", re.DOTALL)


def portable(name: str) -> str:
    """Name of a recogniser without the folders of one machine: ``hf:/models/whisper`` is ``hf:whisper``."""
    if not _LOCAL.fullmatch(name):
        return name
    kind, _, path = name.partition(":")
    return f"{kind}:{_last(path)}"


def localised(value: Any, names: Mapping[str, str]) -> Any:
    """Copy of JSON content with other names of recognisers, and with paths of files cut to the file's name."""
    if isinstance(value, dict):
        return {localised(key, names): localised(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [localised(one, names) for one in value]
    if isinstance(value, str):
        for name, new in names.items():
            if name != new:
                value = value.replace(name, new)
        return _last(value) if _PATH.fullmatch(value) else value
    return value


def local_paths(value: Any) -> list[str]:
    """Strings of JSON content that are paths of one machine, names of recognisers included."""
    if isinstance(value, dict):
        return [path for item in value.items() for one in item for path in local_paths(one)]
    if isinstance(value, list):
        return [path for one in value for path in local_paths(one)]
    return [value] if isinstance(value, str) and (_PATH.fullmatch(value) or _LOCAL.fullmatch(value)) else []


def _last(path: str) -> str:
    return Path(path.replace("\\", "/")).name
