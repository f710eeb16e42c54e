"""Precision and recall of cue families: cues that explanations claim against the planted ones.

Conventions
-----------
The windows of one clip have too few distinct shifts for a test, so the explanations of several clips (of one speaker
and emotion) are pooled. Each clip gives the effect of each cue and its null distribution under all circular shifts of
the salient windows (`metrics.salience_contrast`), which keep their number, length and arrangement. The pool's statistic
is the mean effect over its clips; the null draws one random shift per clip. A cue is
*claimed*, with the sign of its mean effect, where its two-sided p passes a false discovery rate of 5 % over the pool's
cues (Benjamini & Hochberg 1995, JRSS B 57).

A cue is *planted* in a pool if at least half of its clips have it planted, with the sign of the mean change. Cues are
grouped into families, because one plant changes several: a planted family is recalled if one of its cues is claimed in
the planted direction, and a claimed family is right if one of its claims is planted in that direction.
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
    """Mean effect of each cue over clips, and its null distribution under random shifts.

    Parameters
    ----------
    tests : sequence of ShiftTest
        One per clip.
    generator : numpy Generator
    draws : int
        Number of random shifts drawn for every clip.

    Returns
    -------
    array, shape (1 + draws, n_cues)
        Row 0 is the observed effect; NaN if no clip has the cue.
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
    """Two-sided permutation p value of one or several rows of `pooled_effects` against all rows; NaN for missing cues.

    The row itself counts among the rows; for a row that is a draw itself, p is exact to one over the number of draws.
    """
    size = np.abs(effects)
    observed, in_order = size[row], np.sort(size, axis=0)
    p = np.full(observed.shape, np.nan)
    for cue in np.flatnonzero(np.isfinite(effects).all(axis=0)):
        smaller = np.searchsorted(in_order[:, cue], observed[..., cue] * (1 - 1e-9))
        p[..., cue] = 1 - smaller / len(effects)
    return p


def claims(effects: np.ndarray, row: int | slice = 0) -> np.ndarray:
    """Claimed direction of each cue: 1, -1, or 0 without a claim; int, shape ``effects[row].shape``."""
    p = p_values(effects, row)
    direction = np.zeros(p.shape, dtype=int)
    known = np.isfinite(p).all(axis=tuple(range(p.ndim - 1)))
    if known.any():
        passed = stats.false_discovery_control(p[..., known], axis=-1) <= RATE
        direction[..., known] = np.where(passed, np.sign(effects[row][..., known]), 0)
    return direction


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
    """Numbers of cue families in a pool: correctly claimed, planted, and claimed.

    A family is correctly claimed if one of its cues is claimed in the planted direction.
    """

    right: int
    planted: int
    claimed: int


def family_counts(claimed: np.ndarray, planted: np.ndarray) -> FamilyCounts:
    """Count correctly claimed, planted and claimed families.

    Parameters
    ----------
    claimed, planted : array of int, shape (n_cues,)
        1, -1 or 0, in the order of `REGION_CUES`.
    """
    chosen = ((claimed == planted) & (planted != 0), planted != 0, claimed != 0)
    return FamilyCounts(*(len({FAMILIES[REGION_CUES[i]] for i in np.flatnonzero(cues)}) for cues in chosen))
