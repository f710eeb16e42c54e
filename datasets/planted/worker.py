"""Command ``python -m serxai.datasets.planted.worker CORPUS FOLDER WORKERS``: render clips, each in a new process.

A separate program, because the processes of the clips are forked and must not inherit threads. Clip ids are read from
standard input, one per line; an id is written to standard output when the clip's files are in FOLDER.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .files import write_clip
from .render import ground_truth, render_clip
from .voices import VARIANTS


def render_to(corpus: str, folder: Path, name: str) -> None:
    """Render one clip and write its files."""
    rendering = render_clip(name, VARIANTS[corpus])
    write_clip(folder, name, rendering.samples, rendering.twin, ground_truth(rendering))


def render_all(corpus: str, folder: Path, names: list[str], workers: int) -> Iterator[str]:
    """Render clips in at most `workers` parallel processes; yields each id when its files are written.

    Raises
    ------
    RuntimeError
        If a clip's process fails.
    """
    context: Any = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    gc.freeze()  # keeps the memory of loaded modules shared with the forked processes
    waiting, running = list(reversed(names)), dict[Any, Any]()
    while waiting or running:
        while waiting and len(running) < workers:
            name = waiting.pop()
            process = context.Process(target=render_to, args=(corpus, folder, name))
            process.start()
            running[process.sentinel] = process, name
        for sentinel in wait(list(running)):
            process, name = running.pop(sentinel)
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(f"rendering {corpus} clip {name!r} failed with exit status {process.exitcode}.")
            yield name


def main() -> None:
    """Entry point of the module."""
    corpus, folder, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    for name in render_all(corpus, folder, sys.stdin.read().split(), workers):
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
