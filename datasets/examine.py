"""One look at one sound file: checksum, container, true rate, and faults that can be heard or leak a label.

The file is read once; checksum and decoding work on the same bytes. Levels are relative to full scale (1.0).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SILENCE = 1e-3  # -60 dB below full scale
CLIPPED_RUN = 3  # so many samples in a row at full scale are no coincidence
SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".aiff": "AIFF", ".aif": "AIFF", ".ogg": "OGG", ".mp3": "MP3"}


@dataclass(frozen=True)
class Examined:
    """What a file is.

    Attributes
    ----------
    sha256 : str
        Of its bytes; empty if it cannot be read.
    fault : str
        Why it cannot be decoded; empty if it can. Nothing below is known then.
    container : str
        What the bytes are (``WAV``, ``AIFF``, ...), whatever the name says.
    sample_rate : int
        In Hz.
    channels, frames : int
    peak : float
        Largest absolute sample.
    clipped : int
        Samples in runs of at least three at full scale.
    padding_s : tuple of float
        Seconds of exact zeros at the start and at the end.
    missing_bytes : int
        By how much the file is shorter than its header says.
    imprint : int
        Equal for files that decode to the same samples (and, by chance, for few others).
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
    imprint: int = 0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate if self.sample_rate else 0.0

    @property
    def silent(self) -> bool:
        """Whether no sample reaches -60 dB."""
        return self.peak < SILENCE


def examine(path: Path) -> Examined:
    """Examine one file; whatever is wrong with it is in the result."""
    import soundfile

    try:
        content = path.read_bytes()
    except OSError as error:
        return Examined("", fault=f"cannot be read: {error.strerror}")
    sha256 = hashlib.sha256(content).hexdigest()
    if not content:
        return Examined(sha256, fault="is empty (0 bytes)")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            container, rate = file.format, file.samplerate
            samples = file.read(dtype="int16" if file.subtype == "PCM_16" else "float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:
        return Examined(sha256, fault=f"cannot be decoded: {str(error).strip()}")
    if not samples.size:
        return Examined(sha256, fault="holds no samples")
    full = 2**15 if samples.dtype == np.int16 else 1.0
    high, low = samples.max(), samples.min()
    if not (np.isfinite(high) and np.isfinite(low)):
        return Examined(sha256, fault="holds NaN or infinite samples")
    top = full * (1 - 2**-15)
    peak = max(float(high), -float(low))
    return Examined(
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
    """Samples in runs at or beyond `top`, over all channels."""
    total = 0
    for channel in samples.T:
        at_top = np.concatenate([[False], (channel >= top) | (channel <= -top), [False]])
        starts, ends = np.flatnonzero(np.diff(at_top.astype(np.int8))).reshape(-1, 2).T
        lengths = ends - starts
        total += int(lengths[lengths >= CLIPPED_RUN].sum())
    return total


def _padding(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Seconds of exact zeros at both ends; a clip of zeros only counts as start."""
    if samples[0].any() and samples[-1].any():
        return 0.0, 0.0
    sounding = np.asarray(samples.any(axis=1))
    first = int(sounding.argmax()) if sounding.any() else len(sounding)
    last = int(sounding[::-1].argmax()) if first < len(sounding) else 0
    return first / rate, last / rate


def _missing_bytes(content: bytes) -> int:
    """What a RIFF or AIFF file lacks of the length in its header; 0 for other files and unknown lengths."""
    if len(content) < 8 or content[:4] not in (b"RIFF", b"FORM"):
        return 0
    declared = int.from_bytes(content[4:8], "little" if content[:4] == b"RIFF" else "big")
    return max(0, declared + 8 - len(content)) if declared < 0xFFFFFFF0 else 0
