"""Sounds brought to one level, so that a comparison by ear is one of content, not of loudness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL_DB = -20.0  # RMS re full scale
PEAK = 0.99


def rms_db(samples: np.ndarray) -> float:
    """Root mean square level over the whole sound in dB re full scale; -inf of silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return 10 * float(np.log10(power)) if power > 0 else -np.inf


def matched_levels(sounds: Sequence[np.ndarray], level_db: float = LEVEL_DB) -> list[np.ndarray]:
    """Sounds with one root mean square level, the highest up to `level_db` at which none of them clips.

    Parameters
    ----------
    sounds : sequence of arrays, shape (n_samples,)
        Mono, full scale at 1.
    level_db : float
        In dB re full scale.

    Returns
    -------
    list of arrays, float32
        Silent ones stay silent.

    Examples
    --------
    >>> soft, loud = matched_levels([np.array([0.01, -0.01]), np.array([0.5, -0.5])])
    >>> round(rms_db(soft)), round(rms_db(loud))
    (-20, -20)
    """
    levels = [rms_db(sound) for sound in sounds]
    peaks = [float(np.abs(sound).max(initial=0.0)) for sound in sounds]
    heard = [(level, peak) for level, peak in zip(levels, peaks, strict=True) if np.isfinite(level)]
    # a sound reaches full scale at its level plus the room above its peak
    common = min([level_db, *(level + 20 * np.log10(PEAK / peak) for level, peak in heard)])
    return [
        (sound * (10 ** ((common - level) / 20) if np.isfinite(level) else 1.0)).astype(np.float32)
        for sound, level in zip(sounds, levels, strict=True)
    ]
