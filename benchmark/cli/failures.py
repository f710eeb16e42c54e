"""What the command line says of an error: one message and an exit status, a traceback with ``--debug`` alone."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from ... import __version__
from ...errors import SerxaiError
from .terminal_text import printable

_ADVICE = {
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.ENOSPC: "Free some space, or give another folder.",
    errno.EDQUOT: "Free some space, or give another folder.",
    errno.ELOOP: "The links lead in a circle; give the file itself.",
    errno.ENOTDIR: "A part of the path is a file; give a folder.",
    errno.EISDIR: "It is a folder; give a file.",
    errno.ENOENT: "It is not there; give a path that exists.",
    errno.EMFILE: "Too many files are open; raise the limit (ulimit -n), or give fewer --workers.",
}
_WRITABLE = "Give a folder that you may write to: --out, --data-root, or SERXAI_CACHE and TMPDIR in the environment."
_REPORT = "This is a fault of serxai, not of yours: please report it."


def explain_failure(error: BaseException, argv: Sequence[str]) -> str:
    """Message for an exception that a command raised; the traceback of an unforeseen one goes to a log.

    Parameters
    ----------
    error : BaseException
    argv : sequence of str
        The command's arguments, for the log.

    Returns
    -------
    str
        Safe to print.
    """
    if isinstance(error, SerxaiError):
        return printable(str(error))
    foreseen = _foreseen(error)
    return printable(foreseen or f"{_summary(error)}. {_REPORT} {_log(error, argv)}")


def _foreseen(error: BaseException) -> str:
    """Message for errors of the system and of encodings, empty for others."""
    if isinstance(error, UnicodeError):
        return (
            f"text that cannot be read or written as {getattr(error, 'encoding', 'text')} ({error}). Set "
            "PYTHONIOENCODING=utf-8 and a UTF-8 locale (LANG=C.UTF-8), and give files in UTF-8."
        )
    if isinstance(error, OSError) and error.errno is not None:
        path = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{path}{error.strerror or error}. {_ADVICE.get(error.errno, _WRITABLE)}"
    if isinstance(error, MemoryError):
        return "not enough memory. Give fewer --workers, a lower --limit, shorter files, or --batch-memory."
    if isinstance(error, ValueError) and "null byte" in str(error):
        return "a path holds a null byte; correct it in the file or flag that names it."
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "a path begins with ~ and the name of no user of this machine; write the path in full."
    if isinstance(error, RecursionError) and "JSON" in str(error):  # json says so of what nobody nests on purpose
        return "a JSON file is damaged: it is nested too deeply. Fetch or write the file again."
    return ""


def _summary(error: BaseException) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__


def _log(error: BaseException, argv: Sequence[str]) -> str:
    text = f"serxai {__version__}, Python {sys.version}\narguments: {list(argv)!r}\n\n"
    text += "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="serxai-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return "No log could be written; --debug shows the traceback."
    return f"The traceback is in {path}; --debug shows it."
