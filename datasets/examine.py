"""Audio file inspection: checksum, container, sampling rate, decoding errors, clipping, silence and zero padding.

Each file is read once; checksum and decoding use the same bytes. The mixed, resampled signal is judged as for a run
(`audio.quality`), so what is refused there is told here. Levels are relative to full scale (1.0).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio.decode import decode
from ..audio.quality import OFFSET, SAMPLE_RATE, SILENCE, Remark, clipped_samples, mix, remarks_on_level
from ..errors import ClipError

SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".aiff": "AIFF", ".aif": "AIFF", ".ogg": "OGG", ".mp3": "MP3"}


@dataclass(frozen=True)
class FileExamination:
    """Result of inspecting one audio file.

    Attributes
    ----------
    sha256 : str
        Of its bytes; empty if it cannot be read.
    fault : str
        Why it cannot be decoded; empty if it can. With a fault the attributes below have their defaults.
    container : str
        Format of the content (``WAV``, ``AIFF``, ...), regardless of the extension.
    sample_rate : int
        In Hz.
    channels, frames : int
    peak : float
        Largest absolute sample.
    clipped : int
        Samples in runs of at least `CLIPPED_RUN` at full scale.
    padding_s : tuple of float
        Seconds of exact zeros at the start and at the end.
    missing_bytes : int
        Bytes by which the file is shorter than its header declares, where the header counts bytes.
    remarks : tuple of Remark
        On the mixed, resampled signal; one of kind ``truncated`` on a file that is shorter than its header declares.
    content_hash : int
        Hash of a subset of the decoded samples: equal for files with the same samples, rarely for others; valid within
        one process.
    """

    sha256: str
    fault: str = ""
    container: str = ""
    sample_rate: int = 0
    channels: int = 0
    frames: int = 0
    peak: float = 0.0
    clipped: int = 0
    padding_s: tuple[float, float] = (0.0, 0.0)
    missing_bytes: int = 0
    content_hash: int = 0
    remarks: tuple[Remark, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate if self.sample_rate else 0.0

    @property
    def silent(self) -> bool:
        """Whether no sample reaches -60 dB."""
        return self.peak < SILENCE


def examine(path: Path) -> FileExamination:
    """Inspect one audio file; errors are reported in `FileExamination.fault`, not raised."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return FileExamination("", fault=f"cannot be read: {error.strerror}")
    sha256 = hashlib.sha256(content).hexdigest()
    if not content:
        return FileExamination(sha256, fault="is empty (0 bytes)")
    try:
        sound = decode(path, content, integers=True)
    except ClipError as error:
        return FileExamination(sha256, fault=str(error).removeprefix(f"{path}: ").rstrip("."))
    samples, rate = sound.samples, sound.sample_rate
    if not samples.size:
        return FileExamination(sha256, fault="holds no samples")
    full = 2**15 if samples.dtype == np.int16 else 1.0
    high, low = samples.max(), samples.min()
    if not (np.isfinite(high) and np.isfinite(low)):
        return FileExamination(sha256, fault="holds NaN or infinite samples")
    peak = max(float(high), -float(low)) / full
    # every 61st sample, on the scale of 1.0 whatever the encoding; before mixing, which may overwrite the samples
    content_hash = hash((samples.shape, rate, (samples[::61] / np.float32(full)).tobytes()))
    truncated = (Remark("truncated", sound.truncated, unusable=True),) if sound.truncated else ()
    return FileExamination(
        sha256,
        "",
        sound.container,
        rate,
        samples.shape[1],
        samples.shape[0],
        peak,
        clipped_samples(samples, full),
        _padding(samples, rate),
        sound.missing_bytes,
        content_hash,
        truncated + _remarks(samples, rate, full, float(high) / full, float(low) / full),
    )


def _remarks(samples: np.ndarray, rate: int, full: float, high: float, low: float) -> tuple[Remark, ...]:
    """Remarks of `load_recording` on the mix; one channel at 16 kHz or below, clearly audible and level, needs none."""
    plain = samples.shape[1] == 1 and rate <= SAMPLE_RATE
    if plain and high - low > 4 * OFFSET and abs(high + low) < 2 * OFFSET and max(high, -low) <= 1:
        return ()
    floats = samples if full == 1.0 else samples / np.float32(full)
    mono, remarks = mix(floats)
    if not any(remark.unusable for remark in remarks):
        remarks += remarks_on_level(mono, rate)
    return tuple(remarks)


def same_sound(a: Path, b: Path) -> bool:
    """Whether two files decode to the same samples at the same rate."""
    first, second = decode(a), decode(b)
    return first.sample_rate == second.sample_rate and np.array_equal(first.samples, second.samples)


def _padding(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Seconds of exact zeros at start and end; an all-zero clip counts as start only."""
    if samples[0].any() and samples[-1].any():
        return 0.0, 0.0
    sounding = np.asarray(samples.any(axis=1))
    first = int(sounding.argmax()) if sounding.any() else len(sounding)
    last = int(sounding[::-1].argmax()) if first < len(sounding) else 0
    return first / rate, last / rate
