"""Audio file loading: float32, mono, 16 kHz, with remarks on what is wrong with the recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ClipError, UnusableClipError
from .decode import MAX_SECONDS, decode, decoding_errors
from .quality import SAMPLE_RATE, Remark, mix, remark_on_clipping, remarks_on_level

__all__ = ["MAX_SECONDS", "SAMPLE_RATE", "Recording", "load_audio", "load_recording"]


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
    samples, rate = sound.samples, sound.sample_rate
    if sound.truncated:
        raise ClipError(f"{path}: truncated: {sound.truncated}; fetch it again or leave it out.")
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
