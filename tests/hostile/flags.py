"""Flags and arguments: empty, out of range, too long, with control characters, markup, paths in place of names."""

from __future__ import annotations

from .case import Case
from .sound import GOOD

TEXTS = {
    "empty": "", "blank": " ", "escape": "\x1b[2J\x1b]0;t\x07", "markup": "[/x]", "above": "../../../etc/passwd",
    "device": "/dev/null", "long": "x" * 5000, "emoji": "\U0001f525:fire:", "null byte": "a\0b", "newline": "a\nb",
    "surrogate": "\udcff", "home of nobody": "~nosuchuser/x", "format": "{0.__class__}%s%n", "option": "--help-me",
}  # fmt: skip
NUMBERS = {
    "negative": "-1", "zero point": "0.5", "text": "many", "huge": "9" * 50, "infinite": "inf", "nan": "nan",
    "empty": "", "escape": "\x1b[2J", "hexadecimal": "0x10",
}  # fmt: skip
SOUND = {"a.wav": GOOD}
_EXPLAIN = ("explain", "a.wav", "--method", "random")
# flag and the rest of the command, where no text above is right
NAMED = {
    "--corpus": ("run", "--dry-run"), "--model": ("run", "--dry-run"), "--method": ("run", "--dry-run"),
    "--metric": ("run", "--dry-run"), "--condition": ("run", "--dry-run"), "--emotion": ("run", "--dry-run"),
    "--fill": ("run", "--dry-run"), "--target": ("run", "--dry-run"), "--trained-on": ("run", "--dry-run"),
    "--preset": ("run", "--dry-run"), "--checkpoint": ("run", "--dry-run"), "--device": ("run", "--dry-run"),
    "--executor": ("run", "--dry-run"),
}  # fmt: skip
COUNTED = {"--limit": "run", "--seed": "run", "--repeats": "run", "--workers": "run", "--memory": "run"}
MORE_COUNTED = {"--folds": "train", "--width": "train", "--sample": "validate"}
RIGHT = {("--memory", "zero point"), ("--memory", "huge"), ("--memory", "infinite"), ("--workers", "huge")}


def _valued(flag: str, value: str) -> tuple[str, ...]:
    return (f"{flag}={value}",)


OUTS = {"empty": "", "a file": "file", "below a file": "file/x", "a device": "/dev/null", "long": "x" * 300}
CASES = [
    Case(f"flags/{command[0]} {flag} {kind}", (*command, *_valued(flag, text)))
    for flag, command in NAMED.items()
    for kind, text in TEXTS.items()
    if not (flag == "--checkpoint" and kind == "device")
]
CASES += [
    Case(f"flags/explain {flag} {kind}", (*_EXPLAIN, *_valued(flag, text)), SOUND)
    for flag in ("--model", "--target", "--trained-on", "--checkpoint", "--method", "--fill", "--device", "--param")
    for kind, text in TEXTS.items()
]
CASES += [
    Case(f"flags/{command} {flag} {kind}", (command, "--dry-run", *_valued(flag, text)))
    for flag, command in COUNTED.items()
    for kind, text in NUMBERS.items()
    if (flag, kind) not in RIGHT
]
CASES += [
    Case(f"flags/{command} {flag} {kind}", (command, "cnn", "--corpus", "no-such", "--out", "out", *_valued(flag, text))
         if command == "train" else (command, "none", *_valued(flag, text)))
    for flag, command in MORE_COUNTED.items()
    for kind, text in NUMBERS.items()
]  # fmt: skip
CASES += [
    Case(f"flags/{' '.join(command)} {kind}", (*command, text))
    for command in (("status",), ("validate",), ("leaderboard", "--out", "out"), ("ls",), ("show", "method"),
                    ("corpus", "verify"), ("corpus", "probe"), ("corpus",),
                    ("train", "--corpus", "planted", "--out", "out"), ("explain",), ("compare", "--metric", "x"),
                    ("figures", "--run", "none", "--out", "out"), ())
    for kind, text in TEXTS.items()
]  # fmt: skip
CASES += [
    Case(f"flags/out is {kind}, {command[0]}", (*command, "--out", text), SOUND | {"file": "x"})
    for kind, text in OUTS.items()
    for command in (("train", "cnn", "--corpus", "no-such"), ("leaderboard", "none"), (*_EXPLAIN, "--target", "none"))
]  # fmt: skip
