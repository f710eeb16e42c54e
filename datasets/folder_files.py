"""Files that a table names: found below the corpus' folder, whatever links, letter case and Unicode form stand between.

macOS writes file names in decomposed Unicode (NFD) and ignores case; a table made there names files that another system
does not find under the same spelling. Such a file is taken where exactly one file has the name up to case and form, and
that is told.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .corpus import APPLE_DOUBLE, data_root_or_default


@dataclass(frozen=True)
class TableFiles:
    """Files of a table.

    Attributes
    ----------
    relative : list of str
        For each name its path below `home`, ``/`` between folders.
    home : Path
    remarks : tuple of str
        What had to be corrected to find them.
    """

    relative: list[str]
    home: Path
    remarks: tuple[str, ...] = ()


class SpellingFinder:
    """Search for files whose name differs from the given one in case or Unicode form only; folders are listed once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, path: Path) -> list[Path]:
        """Existing paths of this spelling up to case and form; the path itself alone where it exists."""
        if os.path.lexists(path) or path == path.parent:
            return [path]
        wanted = _folded(path.name)
        return [parent / name for parent in self.find(path.parent) for name in self._listing(parent).get(wanted, ())]

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                names = []
            for name in names:
                listing.setdefault(_folded(name), []).append(name)
            self._listings[folder] = listing
        return self._listings[folder]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def find_files(
    files: Sequence[str],
    lines: Sequence[int],
    bases: Sequence[Path],
    root: Path,
    data_root: str | Path | None,
    where: str,
) -> TableFiles:
    """Locate the files of a table, checked to exist, to be unique and to lie inside a folder.

    That folder is `root`, or the data root where some files lie outside `root` and all of them below the data root.

    Parameters
    ----------
    files : sequence of str
        Names as written, absolute or relative to one of `bases`.
    lines : sequence of int
        Of the table.
    bases : sequence of Path
        Folders that names may be relative to; the one that finds most files is taken.
    root : Path
        The corpus' folder.
    data_root : path, optional
    where : str
        Start of error messages.

    Raises
    ------
    InputError
        If files do not exist, lie elsewhere, are named more than once or have an ambiguous spelling.
    """
    finder = SpellingFinder()
    candidates = []
    for base in bases:
        # `..` is resolved by name only: symbolic links inside the folder may point outside it
        paths = [Path(os.path.normpath(base.resolve() / name.replace("\\", "/"))) for name in files]
        found = [[path] if path.is_file() else [p for p in finder.find(path) if p.is_file()] for path in paths]
        candidates.append((sum(not hits for hits in found), paths, found))
    missing, paths, found = min(candidates, key=lambda candidate: candidate[0])
    home = root
    relative = [_below(hits[0] if hits else path, root) for path, hits in zip(paths, found, strict=True)]
    if None in relative:
        wider = data_root_or_default(data_root)
        further = [_below(hits[0] if hits else path, wider) for path, hits in zip(paths, found, strict=True)]
        if None in further:
            outside = [name for name, path in zip(files, relative, strict=True) if path is None]
            raise InputError(
                f"{where}: {len(outside)} of {len(files)} files lie outside {root.resolve()}: {some(outside)}. Put "
                "them below it, put a corpus.toml that names the table into a folder above both, or name the folder "
                "that holds all files with --data-root."
            )
        home, relative = wider, further
    if missing:
        absent = [name for name, hits in zip(files, found, strict=True) if not hits]
        raise InputError(
            f"{where}: {missing} of {len(files)} files do not exist: {some(absent)}; looked in "
            f"{' and '.join(map(str, bases))}. Correct the names, or remove the rows."
        )
    ambiguous = [name for name, hits in zip(files, found, strict=True) if len(hits) > 1]
    if ambiguous:
        raise InputError(
            f"{where}: {len(ambiguous)} files have several spellings on disk, none of them the table's: "
            f"{some(ambiguous)}. Write the names as they are."
        )
    named = [str(path) for path in relative]
    _refuse_repeated(named, lines, where)
    respelt = [name for name, path, hits in zip(files, paths, found, strict=True) if hits[0] != path]
    remarks = (
        (f"{len(respelt)} files are on disk with other case or Unicode form than in the table: {some(respelt)}",)
        if respelt
        else ()
    )
    apple = [name for name in named if name.rpartition("/")[2].startswith(APPLE_DOUBLE)]
    if apple:
        raise InputError(
            f"{where}: {len(apple)} files are AppleDouble files of macOS, not sound: {some(apple)}. Remove these rows."
        )
    return TableFiles(named, home.resolve(), remarks)


def _below(path: Path, root: Path) -> str | None:
    """Path relative to a folder, by name or, where a link leads to the folder, by place; None outside it."""
    resolved = root.resolve()
    for base in (resolved, Path(os.path.normpath(root.absolute()))):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    real = Path(os.path.realpath(path.parent)) / path.name
    return real.relative_to(resolved).as_posix() if real.is_relative_to(resolved) else None


def _refuse_repeated(relative: list[str], lines: Sequence[int], where: str) -> None:
    repeated = [name for name, count in Counter(relative).items() if count > 1]
    if repeated:
        of_first = [line for line, name in zip(lines, relative, strict=True) if name == repeated[0]]
        raise InputError(
            f"{where}: {len(repeated)} files are named more than once: {some(repeated)} ({repeated[0]} in lines "
            f"{some(of_first)}). A file is one clip; keep one row each."
        )


def some(things: Iterable[Any], n: int = 3) -> str:
    """First `n` items joined by commas, with an ellipsis if there are more."""
    things = [str(thing) for thing in things]
    return ", ".join(things[:n]) + ", ..." * (len(things) > n)
