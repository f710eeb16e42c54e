"""Probability that several requirements hold jointly, by a bootstrap over voices and sentences.

Conventions
-----------
Each requirement is that a mean over clips reaches its threshold. Every draw gives each voice and each sentence an
exponential weight of mean 1, and each clip the product of its two (Owen & Eckles 2012, Annals of Applied Statistics
6(3); exponential weights: Rubin 1981, Annals of Statistics 9(1)): clips that share a voice or a sentence rise and fall
together, in all requirements and recognisers at once. The probability is the share of draws in which every weighted
mean reaches its threshold.

Values at the end of their range have no spread, and no bootstrap draws what no clip showed. So each requirement counts
one clip more, with a weight of its own and a value of two thirds of the way from chance to 1.

*Calibration.* The product weights have too large a variance where clips of a voice are independent and about the right
one where voice and sentence matter. `tests/benchmark/qualification/test_joint.py` simulates requirements that fail by
a hair: how often the probability reaches .95 then is the rate of false qualifications, docs/qualification.md has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...keys import rng
from ..stats.clustered import MIN_SPEAKERS, label_codes

DRAWS = 4000
QUALIFIED = 0.95
UNSEEN = 2 / 3  # value of the clip that is counted beside the others, from chance (0) to 1 (1)
BLOCK = 500  # draws made at once


@dataclass(frozen=True)
class Requirement:
    """A mean over clips that must reach a threshold.

    Attributes
    ----------
    name : str
    values : array, float64, shape (n_clips,)
        NaN for clips without a value.
    threshold : float
    chance : float
    strict : bool
        Whether the mean must exceed the threshold.
    """

    name: str
    values: np.ndarray
    threshold: float
    chance: float
    strict: bool = False


@dataclass(frozen=True)
class JointProbability:
    """Probabilities that requirements hold.

    Attributes
    ----------
    joint : float
        All of them; NaN below six voices or without requirements.
    each : array, shape (n_requirements,)
    """

    joint: float
    each: np.ndarray


def joint_probability(
    requirements: Sequence[Requirement], voices: Sequence[str], sentences: Sequence[str], draws: int = DRAWS
) -> JointProbability:
    """Probability that all requirements hold, and that of each.

    Parameters
    ----------
    requirements : sequence of Requirement
    voices, sentences : sequence of str, length n_clips
    draws : int, optional
    """
    n = len(requirements)
    if n == 0 or len(set(voices)) < MIN_SPEAKERS:
        return JointProbability(np.nan, np.full(n, np.nan))
    values = np.stack([r.values for r in requirements])
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    unseen = np.array([r.chance + UNSEEN * (1 - r.chance) for r in requirements])
    thresholds = np.array([r.threshold for r in requirements])
    strict = np.array([r.strict for r in requirements])
    voice, sentence = label_codes(list(voices)), label_codes(list(sentences))
    generator = rng("joint probability", len(voice))
    held = []
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        weights = generator.exponential(size=(size, voice.max() + 1))[:, voice]
        weights = weights * generator.exponential(size=(size, sentence.max() + 1))[:, sentence]
        extra = generator.exponential(size=(size, 1)) * generator.exponential(size=(size, 1))
        means = (weights @ filled.T + extra * unseen) / (weights @ known.T.astype(float) + extra)
        held.append(np.where(strict, means > thresholds, means >= thresholds))
    drawn = np.concatenate(held)
    return JointProbability(float(drawn.all(axis=1).mean()), drawn.mean(axis=0))
