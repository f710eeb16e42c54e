"""Atomic file writes and checksum seals inside files."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError

# never follows a link, never opens what is there
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK, _BLANK = b"serxai-blake2b:", b"0" * 32
# errors of a disk or path that the user can mend; any other is raised unchanged
_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENOENT,
    errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip


@contextmanager
def writing(path: Path, resumable: bool = True) -> Iterator[None]:
    """Turn errors of writing a folder into an `InputError` that says what to do.

    Parameters
    ----------
    path : Path
    resumable : bool
        Whether the folder is a run, which --resume can continue.

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
        kept, resume = ("What is finished is kept. ", " with --resume") if resumable else ("", "")
        raise InputError(
            f"{path}: cannot write there ({error.strerror}). {kept}{advice}, then run again{resume}; or give another "
            "--out."
        ) from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary name, fsync, rename. A link in the file's place is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # several machines may share the folder
    temporary = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed process with this number, or a link planted there
    try:
        with os.fdopen(os.open(temporary, _NEW_FILE, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_bytes(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes.

    Raises
    ------
    ValueError
        If there is no such file, it cannot be read, is no regular file (a pipe would never end), or is larger.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would block the opening
        try:
            facts = os.fstat(opened)
            if not stat.S_ISREG(facts.st_mode):
                raise ValueError(f"{path}: damaged (not a regular file)")
            if facts.st_size > limit:
                raise ValueError(f"{path}: damaged ({facts.st_size} bytes, at most {limit} are read)")
            with os.fdopen(opened, "rb", closefd=False) as file:
                return file.read(limit)
        finally:
            os.close(opened)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder whose sub-folders of these names are symbolic links, which would be written through.

    Raises
    ------
    InputError
        Naming the link.
    """
    for name in names:
        path = folder / name
        if path.is_symlink():
            raise InputError(
                f"{path}: a symbolic link, and serxai writes and deletes only inside the folder given; remove the "
                "link, or give another --out."
            )


def seal(data: bytes) -> bytes:
    """Write the digest of a file's bytes into its placeholder, the 32 characters behind its last mark."""
    at = data.rindex(_MARK) + len(_MARK)
    return data[:at] + _digest_around(data, at) + data[at + len(_BLANK) :]


def is_sealed(data: bytes) -> bool:
    """Whether a file's seal matches its bytes; False where there is no seal."""
    at = data.rfind(_MARK) + len(_MARK)
    return at >= len(_MARK) and data[at : at + len(_BLANK)] == _digest_around(data, at)


def _digest_around(data: bytes, at: int) -> bytes:
    hasher = hashlib.blake2b(memoryview(data)[:at], digest_size=len(_BLANK) // 2)
    hasher.update(memoryview(data)[at + len(_BLANK) :])
    return hasher.hexdigest().encode()
