"""Program that renders clips, each in a new process.

``python -m serxai.datasets.planted.worker CORPUS FOLDER WORKERS [SOURCE]``. A separate program, because the processes
of the clips are forked and must not inherit threads. Clip ids are read from standard input, one per line; an id is
written to standard output when the clip's files are in FOLDER. SOURCE is the data root of the recordings that clips of
some corpora are made from.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .files import write_clip
from .render import Rendering, ground_truth, render_clip
from .voices import VARIANTS


def renderer(corpus: str, source: str | None) -> Callable[[str], Rendering]:
    """Renderer of a corpus' clips by id."""
    if source is None:
        return partial(render_clip, variant=VARIANTS[corpus])
    from .from_emodb import RecordingRenderer

    return RecordingRenderer(corpus, source)


def render_to(render: Callable[[str], Rendering], folder: Path, name: str) -> None:
    """Render one clip and write its files."""
    rendering = render(name)
    write_clip(folder, name, rendering.samples, rendering.twin, ground_truth(rendering))


def render_all(corpus: str, folder: Path, names: list[str], workers: int, source: str | None = None) -> Iterator[str]:
    """Render clips in at most `workers` parallel processes; yields each id when its files are written.

    Raises
    ------
    RuntimeError
        If a clip's process fails.
    """
    context: Any = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    render = renderer(corpus, source)
    gc.freeze()  # keeps the memory of loaded modules shared with the forked processes
    waiting, running = list(reversed(names)), dict[Any, Any]()
    while waiting or running:
        while waiting and len(running) < workers:
            name = waiting.pop()
            process = context.Process(target=render_to, args=(render, folder, name))
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
    corpus, folder, workers, *source = sys.argv[1:]
    for name in render_all(corpus, Path(folder), sys.stdin.read().split(), int(workers), *source):
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
