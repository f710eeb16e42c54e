"""Run folders as a stranger may send them: every field of run.json damaged, files cut, swapped, or replaced by links.

Each case starts from a copy of one small finished run (`BASE`, put into the case's folder by the test).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .case import EVIL, NAMES_CODE, Build, Case
from .settings import MODULE

BASE = "run"  # folder of the copy
KEYS = ("config", "shards", "planned_rows", "corpora", "models", "execution", "versions", "status", "rows", "cells",
        "machine", "fingerprints", "methods", "metrics", "conditions", "git", "clips", "computed")  # fmt: skip
VALUES: dict[str, Any] = {
    "null": None,
    "negative": -1,
    "text": "\x1b[2J[/x]",
    "list": [None],
    "object": {"a": {"b": []}},
}
STATUS, VALIDATE = ("status", BASE), ("validate", BASE, "--sample", "0")
COMPARE, BOARD = ("compare", BASE, "--metric", "gini"), ("leaderboard", BASE, "--out", "out")
ANY = (0, 1, 2)


def edited(**changes: Any) -> Build:
    """run.json with other fields."""

    def build(folder: Path) -> None:
        path = folder / BASE / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return build


def lacking(key: str) -> Build:
    """run.json without a field."""

    def build(folder: Path) -> None:
        path = folder / BASE / "run.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))

    return build


def replaced(pattern: str, content: bytes) -> Build:
    """Files with other content."""

    def build(folder: Path) -> None:
        for path in sorted((folder / BASE).glob(pattern)):
            path.write_bytes(content)

    return build


def cut(pattern: str, share: float) -> Build:
    """Files that end early."""

    def build(folder: Path) -> None:
        for path in sorted((folder / BASE).glob(pattern)):
            data = path.read_bytes()
            path.write_bytes(data[: int(share * len(data))])

    return build


def flipped(pattern: str, at: float) -> Build:
    """Files with one byte changed."""

    def build(folder: Path) -> None:
        for path in sorted((folder / BASE).glob(pattern)):
            data = bytearray(path.read_bytes())
            data[int(at * len(data))] ^= 0xFF
            path.write_bytes(bytes(data))

    return build


def removed(pattern: str) -> Build:
    """Files that are missing."""

    def build(folder: Path) -> None:
        for path in sorted((folder / BASE).glob(pattern)):
            path.unlink()

    return build


def folder_instead(pattern: str) -> Build:
    """Folders in the place of files."""

    def build(folder: Path) -> None:
        for path in sorted((folder / BASE).glob(pattern)):
            path.unlink()
            path.mkdir()

    return build


FILES = {
    "run.json": "run.json",
    "scores": "scores/*.parquet",
    "explanations": "explanations/*.npz",
    "timing": "timing/*.json",
}
DAMAGE: dict[str, Build] = {
    f"{what} {how}": build
    for what, pattern in FILES.items()
    for how, build in {
        "empty": replaced(pattern, b""),
        "of text": replaced(pattern, b"nothing"),
        "of null bytes": replaced(pattern, bytes(400)),
        "a list": replaced(pattern, b"[]"),
        "deep": replaced(pattern, b"[" * 50_000),
        "cut": cut(pattern, 0.5),
        "cut at the end": cut(pattern, 0.98),
        "flipped at the start": flipped(pattern, 0.0),
        "flipped in the middle": flipped(pattern, 0.5),
        "flipped at the end": flipped(pattern, 0.999),
        "missing": removed(pattern),
        "folders": folder_instead(pattern),
    }.items()
}
CARDS = {"x": {"recogniser": NAMES_CODE}, "y": {"recogniser": "python:os:system", "classes": ["echo"]}}
CODE: dict[str, dict[str, Any]] = {
    "models": {"models": CARDS},
    "checkpoints": {
        "models": CARDS,
        "execution": {"trust": True, "checkpoints": {"python:os:system": "mkdir ../canary"}},
    },
    "paths": {"models": {"x": {"recogniser": "hf:/etc"}, "y": {"recogniser": "onnx:/etc/passwd"}}},
    "shards elsewhere": {"shards": ["../../../etc/passwd", "/etc/passwd", "", "\0"]},
    "many shards": {"shards": ["0" * 32] * 20_000},
    "numbers": {"planned_rows": 10**30, "clips": -(10**30)},
    "root elsewhere": {"execution": {"data_root": "~nosuchuser", "checkpoints": {}, "device": "\x1b[2J"}},
    "infinite": {"planned_rows": float("inf"), "rows": {"ok": float("nan")}},
}
CASES = [
    Case(f"run/{key} is {kind}, {command[0]}", command, build=edited(**{key: value}), allowed=ANY)
    for key in KEYS
    for kind, value in VALUES.items()
    for command in (STATUS, VALIDATE)
]
CASES += [
    Case(f"run/no {key}, {command[0]}", command, build=lacking(key), allowed=ANY)
    for key in KEYS
    for command in (STATUS, VALIDATE, COMPARE)
]
CASES += [
    Case(f"run/{name}, {command[0]}", command, build=build, allowed=ANY)
    for name, build in DAMAGE.items()
    for command in (STATUS, VALIDATE, COMPARE, BOARD)
]
CASES += [
    Case(f"run/code by {name}, {command[0]}", command, {f"{EVIL}.py": MODULE}, edited(**changes), allowed=ANY)
    for name, changes in CODE.items()
    for command in (STATUS, ("validate", BASE), COMPARE)
]
CASES += [
    Case("run/resumed code", ("run", "--resume", "--out", BASE), {f"{EVIL}.py": MODULE},
         edited(config={"corpora": ["planted"], "models": [NAMES_CODE], "methods": ["random"], "metrics": ["gini"]})),
    Case("run/no folder", ("status", "none")),
    Case("run/a file", ("status", "a.txt"), {"a.txt": "x"}),
    Case("run/a device", ("validate", "/dev/null")),
    Case("run/itself as a link", ("status", "loop"), build=lambda folder: (folder / "loop").symlink_to("loop")),
]  # fmt: skip
