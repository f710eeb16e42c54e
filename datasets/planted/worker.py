"""Program that renders clips in parallel processes.

``python -m serxai.datasets.planted.worker CORPUS FOLDER WORKERS [SOURCE]``. A separate program, because its processes
are forked and must not inherit threads. Clip ids are read from standard input, one per line; an id is written to
standard output when the clip's files are in FOLDER. SOURCE is the data root of the recordings that clips of some
corpora are made from.

Synthesised clips are rendered each in a new process, because Praat's synthesiser keeps state between calls. Clips made
from recordings do not depend on what was rendered before, so a process renders several and keeps what it has read.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..._lifetime import die_with_parent
from .files import write_clip
from .render import Rendering, ground_truth, render_clip
from .voices import VARIANTS

TOGETHER = 16  # clips from recordings that one process renders
LOADED_FIRST = ("parselmouth", "soundfile")  # else each forked process would import them again


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
    for module in LOADED_FIRST:
        import_module(module)
    context: Any = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    render = renderer(corpus, source)
    gc.freeze()  # keeps the memory of loaded modules shared with the forked processes
    together = 1 if source is None else TOGETHER
    waiting = [names[start : start + together] for start in range(0, len(names), together)][::-1]
    running = dict[Connection, tuple[Any, list[str]]]()
    while waiting or running:
        while waiting and len(running) < workers:
            block = waiting.pop()
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_render_block, args=(render, folder, block, theirs, os.getpid()))
            process.start()
            theirs.close()  # so that the process' end is the end of the pipe
            running[ours] = process, list(block)
        ready = set(wait(list(running)))
        for connection in [each for each in running if each in ready]:
            process, left = running[connection]
            try:
                name: str = connection.recv()
            except EOFError:
                del running[connection]
                process.join()
                if process.exitcode != 0:
                    raise RuntimeError(
                        f"rendering {corpus} clip {left[0]!r} failed with exit status {process.exitcode}."
                    ) from None
                continue
            left.remove(name)
            yield name


def _render_block(
    render: Callable[[str], Rendering], folder: Path, names: list[str], finished: Connection, parent: int
) -> None:
    """Render clips one after the other in this process, and send the id of each that is finished."""
    die_with_parent(parent)
    for name in names:
        render_to(render, folder, name)
        finished.send(name)


def main() -> None:
    """Entry point of the module."""
    corpus, folder, workers, *source = sys.argv[1:]
    for name in render_all(corpus, Path(folder), sys.stdin.read().split(), int(workers), *source):
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
