"""Audio file loading: float32, mono, 16 kHz, with remarks on what is wrong with the recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ClipError, InputError, UnusableClipError
from .decode import MAX_SECONDS, decode, decoding_errors
from .quality import SAMPLE_RATE, Remark, mix, remark_on_clipping, remarks_on_level

__all__ = ["MAX_SECONDS", "SAMPLE_RATE", "Recording", "load_audio", "load_recording", "recording_of"]

MAX_RATE = 768_000  # Hz, the highest of converters on the market
_FULL_SCALE = {"i2": 2.0**15, "i4": 2.0**31}  # of integer samples, by their type


@dataclass(frozen=True, eq=False)
class Recording:
    """Loaded sound file.

    Attributes
    ----------
    path : Path
    samples : array, float32, shape (n_samples,)
        Mono, 16 kHz.
    remarks : tuple of Remark
        Defects; a file with an unusable scale or a truncated one is not loaded at all.
    """

    path: Path
    samples: np.ndarray
    remarks: tuple[Remark, ...] = ()

    def check(self) -> None:
        """Raise `UnusableClipError` if there is nothing to recognise in the recording."""
        for remark in self.remarks:
            if remark.unusable:
                raise UnusableClipError(f"{self.path}: {remark.kind}: {remark.detail}.")


def load_audio(path: str | Path) -> np.ndarray:
    """Read an audio file, mix it to mono and resample it to 16 kHz (soxr, VHQ).

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile reads.

    Returns
    -------
    array, float32, shape (n_samples,)
        Nominally -1..1 (float files may exceed it).

    Raises
    ------
    ClipError
        If the file is missing, not audio, empty, cut short, longer than 60 s, holds NaN or infinite samples, or floats
        on the scale of integers.
    """
    return load_recording(path).samples


def load_recording(path: str | Path) -> Recording:
    """Read an audio file as `load_audio` does, and examine the mixed, resampled signal.

    Silence, a constant and channels that cancel each other are remarks, not errors: `Recording.check` refuses them.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Recording

    Raises
    ------
    ClipError
        As `load_audio`.
    """
    path = Path(path)
    sound = decode(path)
    if sound.truncated:
        raise ClipError(f"{path}: truncated: {sound.truncated}; fetch it again or leave it out.")
    return _examined(path, sound.samples, sound.sample_rate)


def recording_of(samples: Any, rate: float | None, name: str = "samples") -> Recording:
    """Recording of samples in memory, examined as `load_recording` examines those of a file.

    Parameters
    ----------
    samples : array, shape (n_samples,), (n_samples, n_channels) or (n_channels, n_samples)
        Floats nominally in -1..1, int16 or int32; of two axes the shorter one holds the channels, which are mixed.
        Left as it is.
    rate : float
        Sampling rate in Hz.
    name : str
        For messages.

    Raises
    ------
    InputError
        If the rate is missing or out of range, or `samples` is no array of numbers with one or two axes.
    ClipError
        As `load_audio`, for what the samples hold.
    """
    if rate is None:
        raise InputError(
            f"rate: {name} is an array, which does not tell its sampling rate; give it in Hz, as in rate=16000."
        )
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 1000 <= rate <= MAX_RATE:
        raise InputError(f"rate must be a number of Hz between 1000 and {MAX_RATE}, got {rate!r}.")
    try:
        array = np.asarray(samples)
    except Exception as error:  # a tensor on an accelerator, or one that needs a gradient
        raise InputError(f"{name}: cannot be read as an array ({error}).") from None
    kind = array.dtype.str[1:]
    if array.ndim not in (1, 2) or not (array.dtype.kind == "f" or kind in _FULL_SCALE):
        raise InputError(
            f"{name}: an array of floats in -1..1, int16 or int32 of shape (n_samples,) or (n_samples, n_channels) is "
            f"needed, got {array.dtype} of shape {array.shape}."
        )
    if array.ndim == 1:
        array = array[:, None]
    elif array.shape[1] > array.shape[0]:
        array = array.T
    if array.shape[0] > MAX_SECONDS * rate:
        raise ClipError(f"{name}: longer than {MAX_SECONDS:.0f} s; serxai explains utterances. Cut it first.")
    floats = np.array(array, dtype=np.float32)  # a copy: mixing works in place
    return _examined(Path(name), floats / np.float32(_FULL_SCALE[kind]) if kind in _FULL_SCALE else floats, rate)


def _examined(path: Path, samples: np.ndarray, rate: float) -> Recording:
    """Mixed and resampled recording with its remarks; `samples` (float32, n_samples x n_channels) is used up."""
    if samples.shape[0] == 0:
        raise ClipError(f"{path}: holds 0 samples; fetch it again or leave it out.")
    mono, remarks = mix(samples)
    if not (np.isfinite(mono.max()) and np.isfinite(mono.min())):
        raise ClipError(f"{path}: holds NaN, infinite or near-infinite samples; repair or leave out the file.")
    heard = mono
    if rate != SAMPLE_RATE:
        import soxr

        with decoding_errors(path):
            heard = soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
        if heard.size == 0:
            raise ClipError(f"{path}: {samples.shape[0]} samples at {rate} Hz are nothing at {SAMPLE_RATE} Hz.")
    if not any(remark.unusable for remark in remarks):
        remarks += remarks_on_level(mono, rate, heard)
    if any(remark.kind == "scale" for remark in remarks):
        raise ClipError(f"{path}: {next(remark.detail for remark in remarks if remark.kind == 'scale')}.")
    remarks += remark_on_clipping(samples)
    return Recording(path, np.ascontiguousarray(heard, dtype=np.float32), tuple(remarks))
