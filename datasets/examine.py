"""Audio file inspection: checksum, container, sampling rate, decoding errors, clipping, silence and zero padding.

Each file is read once; checksum and decoding use the same bytes. Levels are relative to full scale (1.0).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SILENCE = 1e-3  # -60 dB below full scale
CLIPPED_RUN = 3  # consecutive samples at full scale that count as clipping
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
        Bytes by which the file is shorter than its header declares.
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
    import soundfile

    try:
        content = path.read_bytes()
    except OSError as error:
        return FileExamination("", fault=f"cannot be read: {error.strerror}")
    sha256 = hashlib.sha256(content).hexdigest()
    if not content:
        return FileExamination(sha256, fault="is empty (0 bytes)")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            container, rate = file.format, file.samplerate
            samples = file.read(dtype="int16" if file.subtype == "PCM_16" else "float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:
        return FileExamination(sha256, fault=f"cannot be decoded: {str(error).strip()}")
    if not samples.size:
        return FileExamination(sha256, fault="holds no samples")
    full = 2**15 if samples.dtype == np.int16 else 1.0
    high, low = samples.max(), samples.min()
    if not (np.isfinite(high) and np.isfinite(low)):
        return FileExamination(sha256, fault="holds NaN or infinite samples")
    top = full * (1 - 2**-15)
    peak = max(float(high), -float(low))
    return FileExamination(
        sha256,
        "",
        container,
        rate,
        samples.shape[1],
        samples.shape[0],
        peak / full,
        _clipped(samples, top) if peak >= top else 0,
        _padding(samples, rate),
        _missing_bytes(content),
        # every 61st sample, on the scale of 1.0 whatever the encoding
        hash((samples.shape, rate, (samples[::61] / np.float32(full)).tobytes())),
    )


def same_sound(a: Path, b: Path) -> bool:
    """Whether two files decode to the same samples at the same rate."""
    import soundfile

    (first, rate_a), (second, rate_b) = (soundfile.read(path, dtype="float32") for path in (a, b))
    return rate_a == rate_b and np.array_equal(first, second)


def _clipped(samples: np.ndarray, top: float) -> int:
    """Number of samples in runs of at least `CLIPPED_RUN` at or beyond `top`, over all channels."""
    total = 0
    for channel in samples.T:
        at_top = np.concatenate([[False], (channel >= top) | (channel <= -top), [False]])
        starts, ends = np.flatnonzero(np.diff(at_top.astype(np.int8))).reshape(-1, 2).T
        lengths = ends - starts
        total += int(lengths[lengths >= CLIPPED_RUN].sum())
    return total


def _padding(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Seconds of exact zeros at start and end; an all-zero clip counts as start only."""
    if samples[0].any() and samples[-1].any():
        return 0.0, 0.0
    sounding = np.asarray(samples.any(axis=1))
    first = int(sounding.argmax()) if sounding.any() else len(sounding)
    last = int(sounding[::-1].argmax()) if first < len(sounding) else 0
    return first / rate, last / rate


def _missing_bytes(content: bytes) -> int:
    """Bytes missing from the length that a RIFF or AIFF header declares; 0 for other files and unknown lengths."""
    if len(content) < 8 or content[:4] not in (b"RIFF", b"FORM"):
        return 0
    declared = int.from_bytes(content[4:8], "little" if content[:4] == b"RIFF" else "big")
    return max(0, declared + 8 - len(content)) if declared < 0xFFFFFFF0 else 0
