"""What can be explained: a sound file, samples with their rate, or a clip, made into one form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from ...audio.load import SAMPLE_RATE, load_recording, recording_of
from ...audio.quality import Remark
from ...datasets.clip import Clip
from ...errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Audio = str | PathLike[str] | np.ndarray | Clip

ARRAY = "array"  # name of samples that come without one


@dataclass(frozen=True)
class Sound:
    """A sound to be explained.

    Attributes
    ----------
    name : str
        For titles and messages.
    clip : Clip
    remarks : tuple of Remark
        What is wrong with the recording.
    path : Path, optional
        The file that it was read from.
    """

    name: str
    clip: Clip
    remarks: tuple[Remark, ...] = ()
    path: Path | None = None

    def __str__(self) -> str:
        return self.name if self.path is None else str(self.path)


def sound_of(audio: Audio, rate: float | None = None) -> Sound:
    """Sound of a path, an array with its rate, or a clip.

    Parameters
    ----------
    audio : str, path, array or Clip
    rate : float, optional
        Sampling rate of an array in Hz; files and clips have their own.

    Raises
    ------
    InputError
        For anything else, an array without a rate, or a rate beside a file or clip.
    ClipError
        If the file cannot be read, or the samples cannot be used.
    """
    if isinstance(audio, str | PathLike | Clip) and rate is not None:
        kind = "clip" if isinstance(audio, Clip) else "file"
        raise InputError(f"rate: a {kind} has its own sampling rate; leave rate out, got rate={rate!r}.")
    if isinstance(audio, Clip):
        checked = recording_of(audio.samples, SAMPLE_RATE, f"clip {audio.id!r}")
        samples = audio.samples
        unlike = getattr(samples, "ndim", 0) != 1 or samples.dtype != checked.samples.dtype
        return Sound(audio.id, replace(audio, samples=checked.samples) if unlike else audio, checked.remarks)
    if isinstance(audio, str | PathLike):
        path = Path(fspath(audio))
        read = load_recording(path)
        return Sound(path.name, Clip(id=path.stem, samples=read.samples), read.remarks, path)
    if isinstance(audio, bytes) or not (hasattr(audio, "__array__") or isinstance(audio, list | tuple)):
        raise InputError(f"audio: give a path, an array of samples with rate=, or a Clip; got {type(audio).__name__}.")
    made = recording_of(audio, rate, ARRAY)
    return Sound(ARRAY, Clip(id=ARRAY, samples=made.samples), made.remarks)
