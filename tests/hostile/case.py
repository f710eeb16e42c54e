"""One bad input: the files it needs, the command that reads them, and the exit status that is promised.

To add cases, append to the list `CASES` of a module beside this one, or add a module and name it in
`catalogue.MODULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CANARY = "canary"  # a file or folder of this name above the case's folder: code of the input has run
EVIL = "evil_hostile"  # module in the case's folder that leaves the canary as it is imported
NAMES_CODE = f"python:{EVIL}:make"

Content = bytes | str
Build = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A command on bad input.

    Attributes
    ----------
    name : str
        ``group/what``.
    argv : tuple of str
        Arguments of ``serxai``; the current folder is the case's own.
    files : dict of str to bytes or str
        Written into the case's folder first.
    build : callable, optional
        Called with the case's folder after that, for what is no plain file.
    environment : dict of str to str
    allowed : tuple of int
        Exit status promised.
    process : bool
        Whether it makes sense in a process of its own only.
    """

    name: str
    argv: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    build: Build | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[int, ...] = (2,)
    process: bool = False

    @property
    def group(self) -> str:
        """Kind of input."""
        return self.name.partition("/")[0]
