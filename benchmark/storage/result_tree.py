"""Folders of results: ``results/CORPUS/RECOGNISER/PIECE/run.json``, found without following links.

Commands that read runs take such a folder, or one above it, in a run's place. Imports neither pandas nor torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import InputError
from .run_info import FILE

DEPTH = 3  # corpus, recogniser, piece
MAX_FOLDERS = 10_000


def pieces(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Run folders below a folder, in the order of their names; links are not followed."""
    seen = 0
    open_folders = [(folder, 0)]
    while open_folders:
        here, level = open_folders.pop()
        if (here / FILE).is_file():
            yield here
            continue
        if level == depth:
            continue
        below = sorted(entry.path for entry in os.scandir(here) if entry.is_dir(follow_symlinks=False))
        seen += len(below)
        if seen > MAX_FOLDERS:
            raise InputError(f"{folder}: holds more than {MAX_FOLDERS} folders; give the folder of a run or record.")
        open_folders += [(Path(path), level + 1) for path in reversed(below)]


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """Runs and records that paths name: themselves, or those below them.

    Of several paths, as a shell gives them for ``results/*``, those without any run are left out.

    Parameters
    ----------
    paths : sequence of Path

    Raises
    ------
    InputError
        If a path does not exist, or no path holds a run.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such folder. Give one that holds {FILE}, made by `serxai run`, or results.")
        if (path / FILE).exists():  # what is no file is told by who reads it
            found.append(path)
        elif path.is_dir():
            found += pieces(path)
    if not found:
        named = ", ".join(map(str, paths))
        raise InputError(
            f"{named}: not a run folder (it has no run.json), and no run lies in it. Give a folder made by "
            "`serxai run`, or one of results."
        )
    return list(dict.fromkeys(found))
