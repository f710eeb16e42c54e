"""All bad inputs, and the fixed choices of them that the quick tests take."""

from __future__ import annotations

import random
from collections import defaultdict

from . import card, flags, maps, run_folder, settings, sound, surroundings, table
from .case import Case

MODULES = (sound, table, settings, card, run_folder, flags, surroundings, maps)
CASES: list[Case] = [case for module in MODULES for case in module.CASES]
QUICK, IN_PROCESSES = 90, 10
LIGHT = {"status", "ls", "--target"}


def _spread(cases: list[Case], n: int) -> list[Case]:
    """As many of each group as of any other; the same ones every time."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    for name, members in groups.items():
        random.Random(name).shuffle(members)
    turns = [member for rank in range(len(cases)) for group in groups.values() for member in group[rank : rank + 1]]
    return turns[:n]


def quick_cases() -> list[Case]:
    """Those that run in the process of the tests."""
    return _spread([case for case in CASES if not case.process], QUICK)


def process_cases() -> list[Case]:
    """Those that run in a process each; none whose command imports torch or pandas, which alone takes seconds."""
    chosen = {case.name for case in quick_cases()}
    light = [case for case in CASES if LIGHT & set(case.argv) and case.group != "run" and case.name not in chosen]
    return _spread([case for case in light if "\0" not in "".join(case.argv)], IN_PROCESSES)
