"""Which cues do explanations claim, and were they planted? Precision and recall of cue families on known truth.

Conventions
-----------
One clip is too short for a claim: its 10 windows have too few distinct shifts. So the explanations of several clips (of
one speaker and emotion) are pooled. Each clip gives the effect of each cue and what it would have been under every
circular shift of its salient windows (`metrics.salience_contrast`: as many windows of the same length, lying to each
other as they do). The pool's statistic is the mean effect over its clips; chance is one random shift a clip. A cue is
*claimed*, with the sign of its mean effect, where its two-sided p passes a false discovery rate of 5 % over the pool's
cues (Benjamini & Hochberg 1995, JRSS B 57).

A cue is *planted* in a pool where at least half of its clips' plants hold it, with the sign of the mean change. Cues
come in families, because one plant moves several: a planted family is recalled where a cue of it is claimed in its
planted direction, and a claimed family is right where one of its claims is planted in that direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..cues.records import REGION_CUES
from .salience_contrast import ShiftTest

RATE = 0.05
DRAWS = 2000

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "f0_level": "pitch",
        "f0_variability": "pitch",
        "loudness": "loudness",
        "loudness_variability": "loudness",
        "high_frequency_energy": "spectrum",
        "jitter": "voice quality",
        "shimmer": "voice quality",
        "hnr": "voice quality",
    }
)


def pooled_effects(tests: Sequence[ShiftTest], generator: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Mean effect of each cue over clips, and the same under random shifts.

    Parameters
    ----------
    tests : sequence of ShiftTest
        One a clip.
    generator : numpy Generator
    draws : int
        How many times a shift is drawn for every clip.

    Returns
    -------
    array, shape (1 + draws, n_cues)
        The first row is the explanations' own; NaN where no clip has the cue.
    """
    total = np.zeros((1 + draws, len(REGION_CUES)))
    count = np.zeros(len(REGION_CUES))
    for test in tests:
        values = test.standardised
        for cue in np.flatnonzero(np.isfinite(values[0])):
            known = values[np.isfinite(values[:, cue]), cue]
            total[:, cue] += np.concatenate([values[:1, cue], generator.choice(known, draws)])
            count[cue] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count


def p_values(effects: np.ndarray, row: int | slice = 0) -> np.ndarray:
    """Two-sided p of one row of `pooled_effects`, or several, against all rows, itself counted; NaN where missing.

    At most one over the number of draws too small or too large for a row that is a draw itself.
    """
    size = np.abs(effects)
    own, in_order = size[row], np.sort(size, axis=0)
    p = np.full(own.shape, np.nan)
    for cue in np.flatnonzero(np.isfinite(effects).all(axis=0)):
        smaller = np.searchsorted(in_order[:, cue], own[..., cue] * (1 - 1e-9))
        p[..., cue] = 1 - smaller / len(effects)
    return p


def claims(effects: np.ndarray, row: int | slice = 0) -> np.ndarray:
    """Claimed direction of each cue: 1, -1, or 0 where there is no claim; int, shape ``effects[row].shape``."""
    p = p_values(effects, row)
    found = np.zeros(p.shape, dtype=int)
    known = np.isfinite(p).all(axis=tuple(range(p.ndim - 1)))
    if known.any():
        passed = stats.false_discovery_control(p[..., known], axis=-1) <= RATE
        found[..., known] = np.where(passed, np.sign(effects[row][..., known]), 0)
    return found


def planted_cues(plants: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Planted direction of each cue in a pool, int, shape (n_cues,).

    Parameters
    ----------
    plants : sequence of mapping of str to float
        ``clip.plant.cues`` of each clip.
    """
    changes = np.array([[plant.get(cue, 0.0) for cue in REGION_CUES] for plant in plants])
    common = (changes != 0).mean(axis=0) >= 0.5
    return np.where(common, np.sign(changes.mean(axis=0)), 0).astype(int)


class FamilyCounts(NamedTuple):
    """How many families were planted in a pool, how many are claimed, and how many of these claims are right.

    A claim is right, and its family recalled, where a cue of the family is claimed in its planted direction.
    """

    right: int
    planted: int
    claimed: int


def family_counts(claimed: np.ndarray, planted: np.ndarray) -> FamilyCounts:
    """Count families.

    Parameters
    ----------
    claimed, planted : array of int, shape (n_cues,)
        1, -1 or 0, in the order of `REGION_CUES`.
    """
    chosen = ((claimed == planted) & (planted != 0), planted != 0, claimed != 0)
    return FamilyCounts(*(len({FAMILIES[REGION_CUES[i]] for i in np.flatnonzero(cues)}) for cues in chosen))
