"""Pitch and tempo shifts by PSOLA (Praat), which keeps the formants.

All signals get the same shift of their pitch contour and the same time map, each at its own glottal pulses. The pulses
of clip and twin may differ, so outside planted words the two can differ in phase, but not in energy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import ClipError
from .conditions import Shifted

PITCH_HZ = (75.0, 600.0)
STEP_S = 0.01
MIN_S = 0.1  # a few glottal periods at the pitch floor


def pitch(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Shift the pitch by `strength` semitones.

    Returns
    -------
    Shifted
        ``measured`` is the median F0 difference in semitones over frames that are voiced before and after.

    Raises
    ------
    ClipError
        If the clip is shorter than 0.1 s or has no voiced frame.
    """
    from parselmouth.praat import call

    seed = _seed(generator)

    def raised(manipulation: Any, duration_s: float) -> None:
        tier = call(manipulation, "Extract pitch tier")
        call(tier, "Multiply frequencies", 0.0, duration_s, 2 ** (strength / 12))
        call([manipulation, tier], "Replace pitch tier")

    shifted = np.stack([_resynthesised(x, raised, seed) for x in signals])
    before, after = (_contour(x[0]) for x in (signals, shifted))
    voiced = (before > 0) & (after > 0)
    if not voiced.any():
        raise ClipError("nothing in the clip is voiced: it has no pitch to shift; leave the clip out.")
    return Shifted(shifted, float(np.median(12 * np.log2(after[voiced] / before[voiced]))))


def tempo(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Change the tempo by a factor of `strength` (above 1: faster).

    In voiceless segments PSOLA repeats pieces of random length; all signals use the same seed.

    Returns
    -------
    Shifted
        ``measured`` is the duration before over the duration after.

    Raises
    ------
    ClipError
        If the clip is shorter than 0.1 s.
    """
    from parselmouth.praat import call

    seed = _seed(generator)

    def faster(manipulation: Any, duration_s: float) -> None:
        tier = call(manipulation, "Extract duration tier")
        call(tier, "Add point", 0.0, 1 / strength)
        call([manipulation, tier], "Replace duration tier")

    shifted = np.stack([_resynthesised(x, faster, seed) for x in signals])
    before, after = signals.shape[1] / SAMPLE_RATE, shifted.shape[1] / SAMPLE_RATE
    return Shifted(shifted, before / after, ((0.0, 0.0), (before, after)))


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))


def _resynthesised(samples: np.ndarray, change: Callable[[Any, float], None], seed: int) -> np.ndarray:
    """PSOLA resynthesis after `change` has edited the Praat Manipulation object, float32."""
    import parselmouth
    from parselmouth.praat import call, run

    if samples.size < MIN_S * SAMPLE_RATE:
        raise ClipError(f"the clip lasts {samples.size / SAMPLE_RATE:.3f} s; PSOLA needs at least {MIN_S} s.")
    manipulation = call(
        parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE), "To Manipulation", STEP_S, *PITCH_HZ
    )
    change(manipulation, samples.size / SAMPLE_RATE)
    # Praat draws the length of voiceless pieces from a global random generator
    run(f"random_initializeWithSeedUnsafelyButPredictably ({seed})")
    try:
        sound = call(manipulation, "Get resynthesis (overlap-add)")
    finally:
        run("random_initializeSafelyAndUnpredictably ()")
    return sound.values[0].astype(np.float32)


def _contour(samples: np.ndarray) -> np.ndarray:
    """F0 in Hz every 10 ms, 0 where unvoiced."""
    import parselmouth

    sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE)
    # wider than the analysis range, which the shifted pitch may leave
    low, high = PITCH_HZ[0] / 1.25, PITCH_HZ[1] * 1.25
    return sound.to_pitch_ac(time_step=STEP_S, pitch_floor=low, pitch_ceiling=high).selected_array["frequency"]
