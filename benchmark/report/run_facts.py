"""Command, origin, settings and versions of a run, as its report shows them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run_facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Command, origin, settings and versions of a run, from its run.json."""
    command = [str(part) for part in info.get("command", [])]
    if command:
        command[0] = Path(command[0]).name
    git = info.get("git") or {}
    commit = f"commit {git['commit']}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else ""
    origin = ", ".join(text for text in (str(info.get("started", "")), commit) if text)
    return {
        "command": shlex.join(command) or "serxai run",
        "origin": origin,
        "config": json.dumps(info.get("config", {}), indent=2, sort_keys=True, default=str),
        "versions": sorted(info.get("versions", {}).items()),
    }
