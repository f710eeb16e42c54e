"""``python -m serxai.datasets.planted_worker FOLDER WORKERS``: render planted clips, each in a fresh process.

A program of its own, because a clip's process is forked and must not inherit threads. Clip ids are read from standard
input, one a line; each clip's files and its manifest row are in FOLDER when its id is written to standard output.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .planted_files import row_path, write_clip
from .planted_render import manifest_row, render_clip


def render_to(folder: Path, name: str) -> None:
    """Render one clip, write its files and, last, its manifest row."""
    rendering = render_clip(name)
    files = write_clip(folder, name, rendering.samples, rendering.twin)
    row_path(folder, name).write_text(json.dumps(manifest_row(name, rendering) | files), "utf-8")


def render_all(folder: Path, names: list[str], workers: int) -> Iterator[str]:
    """Render clips in at most `workers` processes at once; yields each id when its files are written.

    Raises
    ------
    RuntimeError
        If a clip's process fails.
    """
    context: Any = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    gc.freeze()  # what is loaded stays shared with the forked processes
    waiting, running = list(reversed(names)), dict[Any, Any]()
    while waiting or running:
        while waiting and len(running) < workers:
            name = waiting.pop()
            process = context.Process(target=render_to, args=(folder, name))
            process.start()
            running[process.sentinel] = process, name
        for sentinel in wait(list(running)):
            process, name = running.pop(sentinel)
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(f"rendering planted clip {name!r} failed with exit status {process.exitcode}.")
            yield name


def main() -> None:
    """Entry point of the module."""
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    for name in render_all(folder, sys.stdin.read().split(), workers):
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
