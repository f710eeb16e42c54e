"""Distribution shifts by name, each with a strength and a seed.

Conventions
-----------
A condition's target is a function ``(signals, strength, generator) -> signals``. ``signals`` has shape
(n_signals, n_samples): row 0 is the clip, any further row a signal that must be shifted exactly alike (the neutral twin
of a planted clip gets the very noise, room or channel of the clip). The number of samples may change, float32 stays.
Samples are not clipped to -1..1: clipping would be a shift of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ClipError
from ..keys import rng
from ..registry import Record, Registry

if TYPE_CHECKING:
    from .clip import Clip


@dataclass(frozen=True, kw_only=True)
class ConditionRecord(Record):
    """What a condition says about itself.

    Attributes
    ----------
    kind : str
        What is changed.
    strength : float
        In `unit`; NaN for ``clean``, which has none.
    unit : str
    """

    kind: str
    strength: float
    unit: str


def unchanged(signals: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Leave the clip as it is."""
    return signals


def white_noise(signals: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise `strength` dB below the clip's mean power (over the whole clip, pauses included).

    The draw is scaled so that the clip has this ratio exactly, not in expectation; further signals get the same noise.

    Raises
    ------
    ClipError
        For a silent clip, whose signal-to-noise ratio is undefined.
    """
    power = np.mean(np.square(signals[0], dtype=np.float64))
    if power == 0:
        raise ClipError("the clip is silent: its signal-to-noise ratio is undefined; leave the clip out.")
    noise = generator.standard_normal(signals.shape[1])
    noise *= np.sqrt(power / 10 ** (strength / 10) / np.mean(np.square(noise)))
    return (signals + noise).astype(np.float32)


def _noise(db: int) -> ConditionRecord:
    return ConditionRecord(
        name=f"noise-{db}db",
        target=".datasets.conditions:white_noise",
        summary=f"white Gaussian noise at {db} dB signal-to-noise ratio",
        version="1",
        licence="MIT",
        citation="serxai; ratio of mean powers over the whole clip",
        kind="additive noise",
        strength=float(db),
        unit="dB SNR",
    )


CONDITIONS: Registry[ConditionRecord] = Registry(
    "condition",
    ConditionRecord,
    [
        ConditionRecord(
            name="clean",
            target=".datasets.conditions:unchanged",
            summary="the clip as recorded",
            version="1",
            licence="MIT",
            citation="serxai",
            kind="none",
            strength=float("nan"),
            unit="",
        ),
        _noise(20),
        _noise(10),
    ],
)


def apply_condition(name: str, clip: Clip, seed: int = 0) -> Clip:
    """A shifted copy of a clip, under the same id; a planted clip's twin is shifted alike.

    Parameters
    ----------
    name : str
        Registered name.
    clip : Clip
    seed : int
        With the condition's name and the clip's id, the seed of every draw.

    Raises
    ------
    UnknownNameError
        With the near misses.
    ClipError
        If the shift is undefined for this clip.
    """
    record = CONDITIONS.get(name)
    signals = np.stack([clip.samples] if clip.plant is None else [clip.samples, clip.plant.twin])
    shifted = record.load()(signals, record.strength, rng("condition", name, seed, clip.id))
    return clip.with_samples(*shifted)
