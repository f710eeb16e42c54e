"""Graded edits of one acoustic cue in one stretch of a clip, with sham edits as controls.

Conventions
-----------
A clip is cut into equal stretches in time. An edit is made once for the whole clip and then faded into one stretch at
a time (raised-cosine ramps of 5 ms on either side of each edge), so that every copy differs from the clip in one
stretch only. Within it the copy has the power of its sham, except where intensity is the cue. The sham of a pitch or
jitter edit is the same resynthesis (PSOLA, Praat) with every glottal pulse at the pitch it had; the other edits need no
resynthesis and are measured against the clip itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE, Plane
from ..errors import NotApplicable

FADE_S = 0.005
PITCH_HZ = (75.0, 600.0)
SHELF_HZ = 1200.0
UNVOICED = "nothing in the clip is voiced: it has no pitch to edit"


@dataclass(frozen=True)
class CueEdit:
    """Amounts and procedure of one cue's edit.

    Attributes
    ----------
    amounts : tuple of float
        Amounts of the edit, in `unit`.
    unit : str
    psola : bool
        Whether the edit is a PSOLA resynthesis, whose sham is resynthesised as well.
    """

    amounts: tuple[float, ...]
    unit: str
    psola: bool = False


EDITS: Mapping[str, CueEdit] = MappingProxyType(
    {
        "f0_level": CueEdit((-4.0, -2.0, 2.0, 4.0), "semitones", psola=True),
        "f0_range": CueEdit((0.25, 0.5, 1.5, 2.0), "factor on the contour about the stretch's mean", psola=True),
        "intensity": CueEdit((-12.0, -6.0, 6.0, 12.0), "dB"),
        "tilt": CueEdit((-12.0, -6.0, 6.0, 12.0), "dB above against below 1.2 kHz"),
        "jitter": CueEdit((0.02, 0.05), "standard deviation of the glottal periods' relative change", psola=True),
        "noise": CueEdit((-6.0, 0.0), "dB of noise re the speech at each moment and frequency"),
    }
)


def stretch_weights(n_samples: int, n_stretches: int) -> np.ndarray:
    """Crossfade weights of the edit in each copy, float64, shape (n_stretches, n_samples); sum over copies is 1."""
    times = (np.arange(n_samples) + 0.5) / SAMPLE_RATE
    edges = np.linspace(0, n_samples / SAMPLE_RATE, n_stretches + 1)[1:-1]
    steps = 0.5 - 0.5 * np.cos(np.pi * np.clip((times - edges[:, None]) / (2 * FADE_S) + 0.5, 0, 1))
    begun = np.vstack([np.ones(n_samples), steps])
    ended = np.vstack([steps, np.zeros(n_samples)])
    weights: np.ndarray = begun - ended
    return weights


def edited(samples: np.ndarray, cue: str, n_stretches: int, generator: np.random.Generator) -> np.ndarray:
    """Edit one cue in the whole clip, float64, shape (n_amounts, n_samples).

    Parameters
    ----------
    samples : array, shape (n_samples,)
    cue : str
        One of `EDITS`.
    n_stretches : int
        F0 range is edited about the mean of each stretch.
    generator : numpy Generator
        For noise and jitter.

    Raises
    ------
    NotApplicable
        If the edit needs pitch and the clip is unvoiced.
    """
    x = samples.astype(np.float64)
    amounts = EDITS[cue].amounts
    if cue == "intensity":
        return np.stack([x * 10 ** (amount / 20) for amount in amounts])
    if cue == "tilt":
        return np.stack([_tilted(x, amount) for amount in amounts])
    if cue == "noise":
        breath = Plane(x.astype(np.float32)).shaped_noise(generator)
        return np.stack([x + 10 ** (amount / 20) * breath for amount in amounts])
    noise = np.clip(generator.standard_normal(x.size), -2.5, 2.5)  # one value per sample, read at the glottal pulses

    def changed(semitones: np.ndarray, times_s: np.ndarray, amount: float) -> np.ndarray:
        if cue == "f0_level":
            return semitones + amount
        if cue == "jitter":
            return semitones + 12 * np.log2(1 + amount * noise[_sample(times_s, x.size)])
        stretch = (times_s * SAMPLE_RATE * n_stretches / x.size).astype(int).clip(0, n_stretches - 1)
        mean = np.bincount(stretch, semitones, n_stretches) / np.maximum(np.bincount(stretch, minlength=n_stretches), 1)
        return mean[stretch] + amount * (semitones - mean[stretch])

    return np.stack([resynthesised(x, partial(changed, amount=amount)) for amount in amounts])


def faded(base: np.ndarray, edit: np.ndarray, weights: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Crossfade an edit into one stretch of each copy of a clip, float32, shape (n_stretches, n_samples).

    Parameters
    ----------
    base : array, shape (n_samples,)
        The clip.
    edit : array, shape (n_samples,)
        The whole clip edited.
    weights : array, shape (n_stretches, n_samples)
        From `stretch_weights`.
    like : array, shape (n_samples,), optional
        Signal (the sham) whose power in the stretch the copy is scaled to.
    """
    gains = np.ones(len(weights))
    if like is not None:
        target_power, power = weights @ like**2, weights @ edit**2
        gains = np.sqrt(target_power / np.where(power > 0, power, 1.0))
        gains[power <= 0] = 1.0
    return (base + weights * (gains[:, None] * edit - base)).astype(np.float32)


def has_pitch(samples: np.ndarray) -> bool:
    """Whether Praat finds a pitch anywhere in a clip, as PSOLA edits require."""
    return _pitch(samples)[2] > 0


def resynthesised(samples: np.ndarray, contour: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> Any:
    """PSOLA resynthesis with a modified pitch at each glottal pulse, float64, shape (n_samples,).

    Parameters
    ----------
    samples : array, shape (n_samples,)
    contour : callable, optional
        Maps semitones re 1 Hz and times in seconds of the pulses to new semitones. Default: unchanged (the sham).

    Raises
    ------
    NotApplicable
        If nothing in the clip is voiced.
    """
    from parselmouth.praat import call, run

    manipulation, tier, n_points = _pitch(samples)
    if n_points == 0:
        raise NotApplicable(UNVOICED)
    points = call(call(tier, "Down to TableOfReal", "Hertz"), "To Matrix").values
    pulses = call(manipulation, "Extract pulses")
    times = call(call(call(pulses, "Up to IntensityTier", 70.0), "Down to TableOfReal"), "To Matrix").values[:, 0]
    semitones = 12 * np.log2(np.interp(times, points[:, 0], points[:, 1]))
    if contour is not None:
        semitones = contour(semitones, times)
    lines = [f"Add point: {t:.9f}, {hz:.9f}" for t, hz in zip(times, 2 ** (semitones / 12), strict=True)]
    run(tier, "\n".join([f"Remove points between: 0, {samples.size / SAMPLE_RATE}", *lines]))
    call([manipulation, tier], "Replace pitch tier")
    return call(manipulation, "Get resynthesis (overlap-add)").values[0][: samples.size]


def _pitch(samples: np.ndarray) -> tuple[Any, Any, int]:
    """Praat Manipulation object of a clip, its pitch tier, and the tier's number of points."""
    import parselmouth
    from parselmouth.praat import call

    sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE)
    manipulation = call(sound, "To Manipulation", 0.01, *PITCH_HZ)
    tier = call(manipulation, "Extract pitch tier")
    return manipulation, tier, call(tier, "Get number of points")


def _sample(times_s: np.ndarray, n: int) -> np.ndarray:
    return np.clip(np.round(times_s * SAMPLE_RATE).astype(int), 0, n - 1)


def _tilted(samples: np.ndarray, amount_db: float) -> np.ndarray:
    """Zero-phase shelving filter: a smooth step of `amount_db`, most of it within two octaves about 1.2 kHz."""
    freqs = np.maximum(np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE), 1.0)
    gain_db = amount_db * 0.5 * np.tanh(1.2 * np.log2(freqs / SHELF_HZ))
    return np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain_db / 20), samples.size)
