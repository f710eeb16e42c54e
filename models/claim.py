"""Exclusive use of a folder that is about to be written, among processes of one machine."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError

KEPT = "fold-"  # files of finished folds begin with it, in a work folder


@contextmanager
def claimed(out: Path, wait: bool) -> Iterator[Path]:
    """Work folder beside `out`, held by one process at a time.

    It is removed at the end. If the work fails, finished folds (``*/fold-*``) are kept for the next attempt; where
    there are none, neither the work folder nor a parent folder made for it stays.

    Parameters
    ----------
    out : Path
        Folder that will be written.
    wait : bool
        Whether to wait for another process that holds it, instead of failing.

    Raises
    ------
    InputError
        If another process writes `out` and `wait` is False.
    """
    made = [folder for folder in (out.parent, *out.parent.parents) if not folder.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.parent / f".{out.name}.training"
    lock = _lock(work, out, wait)
    finished = False
    try:
        yield work
        finished = True
    finally:
        if finished or not any(work.glob(f"*/{KEPT}*")):
            shutil.rmtree(work, ignore_errors=True)
            with suppress(OSError):  # not empty, which is as it should be
                for folder in made:
                    folder.rmdir()
        os.close(lock)


def _lock(work: Path, out: Path, wait: bool) -> int:
    while True:
        work.mkdir(exist_ok=True)
        path = work / ".lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:  # the other process has just removed it
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            os.close(handle)
            raise InputError(f"{out}: another training writes there; wait for it, or give another folder.") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # that of a process that has finished and removed its folder
