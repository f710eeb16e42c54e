"""Pages of an Ogg file, by which a file that was cut short is told: its header states no length (RFC 3533)."""

from __future__ import annotations

import os
from typing import BinaryIO

CAPTURE = b"OggS"  # first bytes of every page
_HEADER = 27  # bytes before the segment table; the last of them is the table's length
_FLAGS, _LAST = 5, 0x04  # place of the flags, and that of the last page of a stream


def unfinished(file: BinaryIO) -> str:
    """How an Ogg file falls short of its end; empty where it does not.

    A stream's last page carries a flag. Page by page from the start, since sound may hold the bytes ``OggS`` by chance;
    what follows the last page (a tag) is no page and does not count.

    Parameters
    ----------
    file : binary file
        Seekable.
    """
    size, at, flags = file.seek(0, os.SEEK_END), 0, 0
    while at < size:
        file.seek(at)
        header = file.read(_HEADER)
        if not header.startswith(CAPTURE):
            if CAPTURE.startswith(header[:4]):  # a capture pattern that is itself cut
                return "ends within the header of a page"
            break
        table = file.read(header[-1]) if len(header) == _HEADER else b""
        if len(header) < _HEADER or len(table) < header[-1]:
            return "ends within the header of a page"
        flags = header[_FLAGS]
        at += _HEADER + len(table) + sum(table)
    if at > size:
        return f"{at - size} bytes shorter than its last page says"
    return "" if flags & _LAST else "ends without the mark of its last page"
