"""Progress bars on stderr; stdout is for tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bars:
    """Progress bars by description, usable as the ``progress`` callback (what, done, total) of the library."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show progress of one task, named `what`."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def reach_lines(reach: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to print of the reach of fills: a line for each corpus and recogniser (see `run.reach`)."""
    by_recogniser: dict[tuple[str, str], list[str]] = {}
    for one in reach:
        mean = "not measured" if one["mean"] is None else f"{one['mean']:.2f}"
        bounds = "" if one["low"] is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
        told = f"{one['fill']} {mean}{bounds}{'' if one['used'] else ' (not used)'}"
        by_recogniser.setdefault((one["model"], one["corpus"]), []).append(told)
    return [
        f"fall of log-odds with the whole clip replaced, {model} on {corpus}: {', '.join(told)}"
        for (model, corpus), told in by_recogniser.items()
    ]
