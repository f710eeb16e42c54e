"""Atomic, sealed files."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError

_MARK, _BLANK = b"serxai-blake2b:", b"0" * 32
# what a disk or a path can have against being written to
_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENOENT,
    errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip


@contextmanager
def writing(path: Path, resumable: bool = True) -> Iterator[None]:
    """Say what to do when a folder cannot be written.

    Parameters
    ----------
    path : Path
    resumable : bool
        Whether it is a run, which goes on where it stopped.

    Raises
    ------
    InputError
        For a full or read-only disk, an exceeded quota, missing rights, or a path that cannot be made a folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        advice = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Make it writable"
        kept, again = ("What is finished is kept. ", " with --resume") if resumable else ("", "")
        raise InputError(
            f"{path}: cannot write there ({error.strerror}). {kept}{advice}, then run again{again}; or give another "
            "--out."
        ) from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or none: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # several machines may share the folder
    temporary = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def seal(data: bytes) -> bytes:
    """Enter the digest of a file's bytes at the place the file keeps for it (32 characters behind its last mark)."""
    at = data.rindex(_MARK) + len(_MARK)
    return data[:at] + _digest_around(data, at) + data[at + len(_BLANK) :]


def is_sealed(data: bytes) -> bool:
    """Whether a file's bytes are those that were sealed; False where there is no seal."""
    at = data.rfind(_MARK) + len(_MARK)
    return at >= len(_MARK) and data[at : at + len(_BLANK)] == _digest_around(data, at)


def _digest_around(data: bytes, at: int) -> bytes:
    found = hashlib.blake2b(memoryview(data)[:at], digest_size=len(_BLANK) // 2)
    found.update(memoryview(data)[at + len(_BLANK) :])
    return found.hexdigest().encode()
