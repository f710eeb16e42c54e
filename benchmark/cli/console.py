"""Terminal output: a console that prints text from outside as text, and progress bars on stderr.

stdout is for tables and JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from .terminal_text import printable

LINE_S = 15.0  # between two lines about one task where there is no terminal


class Console(RichConsole):
    """Console without markup in strings, emoji codes, highlighting and control characters of the text.

    Names of files, methods and reasons come from outside and go into strings; only `Text` objects carry styles.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string; what a terminal would obey is shown as an escape."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments to print, those of `Text` objects made safe as well."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def styled(style: str, text: str, rest: str = "") -> Text:
    """Text in a style, and the rest of the line without."""
    return Text.assemble((printable(text), style), printable(rest))


class Bars:
    """Progress bars by description, usable as the ``progress`` callback (what, done, total) of the library.

    Where stderr is no terminal, a task that takes long writes a line now and then.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._lines = not console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show progress of one task, named `what`."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
            self._said[what] = time.monotonic()
        self._progress.update(self._tasks[what], completed=done, total=total)
        if self._lines and time.monotonic() - self._said[what] >= LINE_S:
            self._said[what] = time.monotonic()
            print(f"serxai: {printable(what)}: {done} of {total}", file=sys.stderr, flush=True)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def reach_lines(reach: Sequence[Mapping[str, Any]], numbers: Collection[str] = ()) -> list[str]:
    """What to print of the reach of fills: a line for each corpus and recogniser (see `run.reach`).

    Parameters
    ----------
    reach : sequence of mapping
        As in run.json.
    numbers : collection of str
        Recognisers that predict numbers, whose falls are in units of the output.
    """
    by_recogniser: dict[tuple[str, str], list[str]] = {}
    for one in reach:
        mean = "not measured" if one["mean"] is None else f"{one['mean']:.2f}"
        bounds = "" if one["low"] is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
        told = f"{one['fill']} {mean}{bounds}{'' if one['used'] else ' (not used)'}"
        by_recogniser.setdefault((one["model"], one["corpus"]), []).append(told)
    return [
        f"fall of {'the output, in its own units,' if model in numbers else 'log-odds'} with the whole clip replaced, "
        f"{model} on {corpus}: {', '.join(told)}"
        for (model, corpus), told in by_recogniser.items()
    ]
