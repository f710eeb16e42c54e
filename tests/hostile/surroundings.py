"""Environment variables and folders of the user: unset, unwritable, of nobody, no numbers."""

from __future__ import annotations

from .case import Case
from .sound import GOOD

FILES = {"a.wav": GOOD, "file": "x", "link": "x"}
ENVIRONMENTS = {
    "cache of nobody": {"SERXAI_CACHE": "~nosuchuser/x"},
    "cache a file": {"SERXAI_CACHE": "file"},
    "cache below a file": {"SERXAI_CACHE": "file/x"},
    "cache of the kernel": {"SERXAI_CACHE": "/proc/serxai"},
    "cache too long": {"SERXAI_CACHE": "x" * 5000},
    "data of nobody": {"SERXAI_DATA": "~nosuchuser"},
    "data a file": {"SERXAI_DATA": "file"},
    "data too long": {"SERXAI_DATA": "x" * 5000},
    "data empty": {"SERXAI_DATA": ""},
    "columns 0": {"COLUMNS": "0"},
    "columns negative": {"COLUMNS": "-5"},
    "columns text": {"COLUMNS": "wide"},
    "columns huge": {"COLUMNS": "99999999"},
    "terminal unknown": {"TERM": "\x1b[2J"},
    "home nowhere": {"HOME": "/no/such/home", "XDG_CACHE_HOME": ""},
}
COMMANDS = {
    "ls": (("ls", "models"), (0,)),
    "verify": (("corpus", "verify", "emodb"), (0, 1, 2)),
    "explain": (("explain", "a.wav", "--target", "none"), (2,)),
}
CASES = [
    Case(f"surroundings/{name}, {command}", argv, FILES, environment=environment, allowed=allowed)
    for name, environment in ENVIRONMENTS.items()
    for command, (argv, allowed) in COMMANDS.items()
]
# read as the interpreter starts
STARTED = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "ascii locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "utf-16": {"PYTHONIOENCODING": "utf-16"},
    "threads of text": {"OMP_NUM_THREADS": "many"},
    "temporary folder nowhere": {"TMPDIR": "/no/such/folder"},
    "no home": {"HOME": ""},
}
CASES += [
    Case(f"surroundings/{name}, started {command}", argv, FILES, environment=environment, allowed=allowed, process=True)
    for name, environment in STARTED.items()
    for command, (argv, allowed) in (COMMANDS | {"a name": (("status", "caf\u00e9 \u6012"), (2,))}).items()
]
