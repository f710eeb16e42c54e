"""Audio file loading: float32, mono, 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ClipError

SAMPLE_RATE = 16_000
MAX_SECONDS = 60.0  # longest utterance; longer recordings must be segmented first


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
        If the file is missing, not audio, empty, longer than 60 s, or holds NaN or infinite samples.
    """
    import soxr

    path = Path(path)
    if path.is_dir():
        raise ClipError(f"{path}: is a folder; give an audio file.")
    if not path.is_file():
        raise ClipError(f"{path}: no such file; give the path of a sound file.")
    if path.stat().st_size == 0:
        raise ClipError(f"{path}: the file is empty (0 bytes); fetch it again or leave it out.")
    samples, rate = _decode(path)
    if samples.shape[0] == 0:
        raise ClipError(f"{path}: holds 0 samples; fetch it again or leave it out.")
    mono = samples.mean(axis=1)
    if not np.all(np.isfinite(mono)):
        raise ClipError(f"{path}: holds NaN, infinite or near-infinite samples; repair or leave out the file.")
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
        if mono.size == 0:
            raise ClipError(f"{path}: {samples.shape[0]} samples at {rate} Hz are nothing at {SAMPLE_RATE} Hz.")
    return np.ascontiguousarray(mono, dtype=np.float32)


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Samples, float32, shape (n_samples, n_channels), and sampling rate in Hz of an audio file.

    Raises
    ------
    ClipError
        If libsndfile cannot read the file, or it is longer than `MAX_SECONDS`.
    """
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, frames = file.samplerate, file.frames
            if frames / rate > MAX_SECONDS:
                raise ClipError(
                    f"{path}: {frames / rate:.0f} s long; serxai explains utterances of at most {MAX_SECONDS:.0f} s. "
                    "Cut the recording into utterances first."
                )
            return file.read(dtype="float32", always_2d=True), rate
    except soundfile.LibsndfileError as error:
        raise ClipError(
            f"{path}: not an audio file that libsndfile can read ({error.error_string.strip()}); "
            "convert it to WAV or FLAC."
        ) from None
    except TypeError:  # raised by soundfile for names that end in .raw
        raise ClipError(f"{path}: headerless audio has no sampling rate; convert it to WAV or FLAC.") from None
