"""Decoding of sound files by libsndfile: the one place that decides what a decoding error is.

Whatever goes wrong while a file is opened or decoded, of whatever type, becomes a `ClipError` with the cause
(`decoding_errors`). A file is read from its start to its end without seeking, so formats that cannot seek (GSM 6.10)
and streams that do not state their length (FLAC from a pipe) are read as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO, RawIOBase
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import ClipError
from .ogg import CAPTURE, unfinished

if TYPE_CHECKING:
    import soundfile

MAX_SECONDS = 60.0  # longest utterance; longer recordings must be segmented first
MAX_VALUES = 2**27  # samples of all channels together that are decoded at once: 512 MB
UNKNOWN = 0x7FFFF000  # lengths from here on in a 32-bit header are what programs write that cannot know the length
_HEAD = 64  # bytes that tell a foreign file apart, and that hold a plain WAV header
# first bytes of files that are not sound but stand in the place of one
_FOREIGN = {
    b"version https://git-lfs.github.com": "a git-lfs pointer, not the sound itself: run `git lfs pull`",
    b"\x00\x05\x16\x07": "an AppleDouble file of macOS (name begins with ._), not sound: remove it",
    b"/annex/objects/": "a git-annex pointer, not the sound itself: run `git annex get`",
    b"<!doctype html": "a web page, probably of a failed download: fetch the file again",
    b"<html": "a web page, probably of a failed download: fetch the file again",
    b"\x00\x00\x00\x1cftyp": "MP4 or M4A, which libsndfile cannot read: convert it to WAV or FLAC",
    b"\x00\x00\x00\x20ftyp": "MP4 or M4A, which libsndfile cannot read: convert it to WAV or FLAC",
    b"\x1aE\xdf\xa3": "WebM or Matroska, which libsndfile cannot read: convert it to WAV or FLAC",
}


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded content of a sound file.

    Attributes
    ----------
    samples : array, float32 or int16, shape (n_samples, n_channels)
    sample_rate : int
        In Hz.
    container : str
        libsndfile's name of the format of the content, such as ``WAV``, whatever the file is called.
    truncated : str
        How the file falls short of the length in its header; empty where it does not.
    missing_bytes : int
        By which it does, for containers whose header counts bytes.
    """

    samples: np.ndarray
    sample_rate: int
    container: str
    truncated: str = ""
    missing_bytes: int = 0


@contextmanager
def decoding_errors(path: Path, head: bytes = b"") -> Iterator[None]:
    """Turn any error of a decoder into a `ClipError` that names the file and the cause.

    Deliberately broad: decoders run on bytes from strangers, and besides their own errors raise whatever their Python
    wrappers trip over (``ValueError``, ``TypeError``, ``OverflowError``, ``MemoryError``, ...).

    Parameters
    ----------
    path : Path
    head : bytes
        First bytes of the file, by which files that are not sound are named.
    """
    try:
        yield
    except ClipError:
        raise
    except Exception as error:
        foreign = next((what for start, what in _FOREIGN.items() if head.lower().startswith(start.lower())), None)
        if foreign is not None:
            raise ClipError(f"{path}: {foreign}.") from None
        if isinstance(error, TypeError) and path.suffix.casefold() == ".raw":  # soundfile wants a rate for that name
            raise ClipError(f"{path}: headerless audio has no sampling rate; convert it to WAV or FLAC.") from None
        if isinstance(error, OSError):
            raise ClipError(f"{path}: cannot be read ({error.strerror or error}).") from None
        reason = getattr(error, "error_string", None) or f"{type(error).__name__}: {error}"
        if "lost sync" in reason:
            raise ClipError(
                f"{path}: cut short or damaged ({reason.strip()}); fetch it again or leave it out."
            ) from None
        raise ClipError(
            f"{path}: not an audio file that libsndfile can read ({reason.strip()}); convert it to WAV or FLAC."
        ) from None


def decode(path: Path, content: bytes | None = None, integers: bool = False) -> Decoded:
    """Decode a sound file from its start to its end.

    Parameters
    ----------
    path : Path
    content : bytes, optional
        Of the file, where it has been read already.
    integers : bool
        Whether 16-bit PCM is returned as int16.

    Returns
    -------
    Decoded

    Raises
    ------
    ClipError
        If it is missing, not a sound file, empty, damaged, or longer than `MAX_SECONDS`.
    """
    head, missing = _inspect(path) if content is None else (content[:_HEAD], _missing_bytes(BytesIO(content), content))
    with decoding_errors(path, head), _opener()(str(path) if content is None else _Content(content)) as file:
        rate, promised = file.samplerate, file.frames
        limit = int(MAX_SECONDS * rate)
        stated = promised < 2**62  # libsndfile's largest number stands for an unknown length
        if stated and promised > limit:
            raise _too_long(path, f"{promised / rate:.0f} s long")
        frames = promised if stated else limit + 1
        if frames * file.channels > MAX_VALUES:
            raise ClipError(
                f"{path}: {file.channels} channels at {rate} Hz are more than serxai decodes at once; give it mono."
            )
        samples = file.read(
            frames, dtype="int16" if integers and file.subtype == "PCM_16" else "float32", always_2d=True
        )
        if not stated and len(samples) > limit:
            raise _too_long(path, f"more than {MAX_SECONDS:.0f} s long (a stream that does not state its length)")
        truncated = f"{missing} bytes shorter than its header says" if missing else ""
        if head.startswith(CAPTURE):
            with path.open("rb") if content is None else BytesIO(content) as pages:
                truncated = unfinished(pages)
        if stated and len(samples) < promised and not missing and _counts_frames(path, content, file.format):
            truncated = f"holds {len(samples) / rate:.2f} s of the {promised / rate:.2f} s in its header"
        return Decoded(samples, rate, file.format, truncated, missing)


class _Content(BytesIO):
    """Bytes that damaged headers may seek in as they like: an error in libsndfile's callbacks would be printed."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


@cache
def _opener() -> type[soundfile.SoundFile]:
    """Class of sound files that are read in order: soundfile's own seek after each read fails for some formats."""
    import soundfile

    class Sequential(soundfile.SoundFile):
        def seekable(self) -> bool:
            return False

    return Sequential


def header_seconds(path: Path) -> float:
    """Length of a sound file in seconds from its header, without decoding; NaN where the header does not state it.

    Raises
    ------
    ClipError
        If the header cannot be read.
    """
    import soundfile

    with decoding_errors(path):
        about = soundfile.info(str(path))
        return float(about.duration) if about.frames < 2**62 else float("nan")


def _too_long(path: Path, length: str) -> ClipError:
    return ClipError(
        f"{path}: {length}; serxai explains utterances of at most {MAX_SECONDS:.0f} s. Cut the recording into "
        "utterances first."
    )


def _inspect(path: Path) -> tuple[bytes, int]:
    """First bytes of a file, and by how many bytes its sound is shorter than its header says.

    Raises
    ------
    ClipError
        If it is not a regular file, is empty or cannot be read.
    """
    try:
        status = path.stat()
        if S_ISDIR(status.st_mode):
            raise ClipError(f"{path}: is a folder; give an audio file.")
        if not S_ISREG(status.st_mode):
            raise ClipError(f"{path}: is no regular file (a pipe, socket or device); give a sound file.")
        if status.st_size == 0:
            raise ClipError(f"{path}: the file is empty (0 bytes); fetch it again or leave it out.")
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD)
            return head, _missing_bytes(file, head)
    except (FileNotFoundError, NotADirectoryError):
        raise ClipError(f"{path}: no such file; give the path of a sound file.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ClipError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def _missing_bytes(file: BytesIO | RawIOBase, head: bytes) -> int:
    """Bytes missing from the sound chunk of a WAV, AIFF or AU file; 0 for other formats and for unknown lengths."""
    form = head[:4]
    if form not in (b"RIFF", b"RF64", b"FORM", b".snd") or len(head) < 16:
        return 0
    order: Literal["little", "big"] = "little" if form in (b"RIFF", b"RF64") else "big"
    size = file.seek(0, os.SEEK_END)
    if form == b".snd":
        at, length = (int.from_bytes(head[i : i + 4], "big") for i in (4, 8))
        return 0 if length >= UNKNOWN else max(0, at + length - size)
    at, sound = 12, b"SSND" if form == b"FORM" else b"data"
    while at + 8 <= size:
        if at + 8 <= len(head):
            name, counted = head[at : at + 4], head[at + 4 : at + 8]
        else:
            file.seek(at)
            entry = file.read(8) or b""
            name, counted = entry[:4], entry[4:]
        length = int.from_bytes(counted, order)
        if name == sound:
            return 0 if length >= UNKNOWN else max(0, at + 8 + length - size)
        at += 8 + length + length % 2
    return 0


def _counts_frames(path: Path, content: bytes | None, container: str) -> bool:
    """Whether the header states the number of frames; that of an MP3 is an estimate unless a Xing or Info tag does."""
    if container not in ("MP3", "MPEG"):
        return True
    if content is None:
        with path.open("rb") as file:
            content = file.read(2**16)
    start = content[: 2**16]
    return b"Xing" in start or b"Info" in start
