"""Non-speech features of a recording (duration, silence, padding, level), the input of the shortcut probes.

Times are of the clip at 16 kHz. Silence is relative (10 ms frames 40 dB below the clip's loudest), so it also depends
on background noise and on the dynamics of the voice; ``zeros_s`` is absolute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import ClipError, InputError

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import Corpus

FRAME = SAMPLE_RATE // 100  # 10 ms
SILENCE_DB = -40.0  # frames below this level relative to the clip's loudest frame are silence
ZERO = 2.0 / 2**15  # largest amplitude that counts as zero padding, which resampling makes ripple
FLOOR_DB = -120.0

FEATURES = {
    "duration_s": "length of the clip",
    "leading_silence_s": "silence before the first sound",
    "trailing_silence_s": "silence after the last sound",
    "zeros_s": "digital zeros at both ends",
    "rms_dbfs": "level of the whole clip",
    "peak_dbfs": "largest sample",
    "silence_ratio": "share of silent frames",
}


def clip_features(samples: np.ndarray) -> dict[str, float]:
    """Non-speech features (`FEATURES`) of one clip.

    Parameters
    ----------
    samples : array, float32, shape (n_samples,)
        Mono, 16 kHz, -1..1.

    Returns
    -------
    dict of str to float
        Seconds (``_s``), dB relative to full scale (``_dbfs``, at least -120), a share in 0..1.

    Examples
    --------
    >>> facts = clip_features(np.concatenate([np.zeros(8000), np.full(8000, 0.5), np.zeros(16000)]))
    >>> facts["duration_s"], facts["leading_silence_s"], facts["trailing_silence_s"], facts["silence_ratio"]
    (2.0, 0.5, 1.0, 0.75)
    """
    samples = np.asarray(samples, dtype=np.float64)
    frames = np.resize(np.append(samples, np.zeros(-len(samples) % FRAME)), (-(-len(samples) // FRAME), FRAME))
    energy = np.square(frames).mean(axis=1)
    sound = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    seconds = len(samples) / SAMPLE_RATE
    first, last = (sound[0], sound[-1] + 1) if sound.size else (len(frames), len(frames))
    nonzero = np.flatnonzero(np.abs(samples) > ZERO)
    zeros = len(samples) - (nonzero[-1] - nonzero[0] + 1) if nonzero.size else len(samples)
    return {
        "duration_s": seconds,
        "leading_silence_s": float(min(first * FRAME / SAMPLE_RATE, seconds)),
        "trailing_silence_s": float(max(seconds - last * FRAME / SAMPLE_RATE, 0.0)),
        "zeros_s": float(zeros) / SAMPLE_RATE,
        "rms_dbfs": _db(np.sqrt(np.square(samples).mean())),
        "peak_dbfs": _db(np.abs(samples).max()),
        "silence_ratio": 1 - len(sound) / len(frames),
    }


def _db(amplitude: float) -> float:
    return float(max(20 * np.log10(max(amplitude, 1e-12)), FLOOR_DB))


def corpus_features(
    corpus: Corpus, progress: Callable[[int, int], None] | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Non-speech features of every clip of a corpus.

    Parameters
    ----------
    corpus : Corpus
    progress : callable, optional
        Called with (done, total) clips.

    Returns
    -------
    table : DataFrame
        Indexed by clip id: `FEATURES`, ``emotion``, ``speaker`` and ``sex``.
    unreadable : tuple of str
        Ids of clips that cannot be decoded.

    Raises
    ------
    InputError
        If no clip can be decoded.
    """
    import pandas as pd

    rows, unreadable = {}, []
    corpus.prepare(corpus.table.index)
    for done, clip_id in enumerate(corpus.table.index):
        try:
            rows[clip_id] = clip_features(corpus.clip(clip_id).samples)
        except ClipError:
            unreadable.append(clip_id)
        if progress is not None:
            progress(done + 1, len(corpus.table))
    if not rows:
        raise InputError(
            f"corpus {corpus.name!r}: none of its {len(corpus.table)} files can be decoded; see what is wrong with "
            f"`serxai corpus verify {corpus.name}`."
        )
    measured = pd.DataFrame.from_dict(rows, orient="index")
    return measured.join(corpus.table[["emotion", "speaker", "sex"]]), tuple(unreadable)
