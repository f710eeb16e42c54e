"""Caveats of an explanation: reasons not to read it, or not to read it as evidence for or against a class.

Every map has a most relevant cell, also where the recogniser hardly reacts, where the surrogate that the weights belong
to does not fit, or where the map has no sign. Sentences, legends and pages ask here before they say what "speaks for" a
class. All thresholds of that kind stand in this module.

Thresholds
----------
`LEAST_RESPONSE` = 1 log-odds, the same as a fill's least reach: odds change by less than a factor of e. Of 40 clips (24
of `planted`, 16 of EMODB; bundled `cnn`) the log-odds moved by 3.3 at least over the 256 masks of eight bands, and by
1.5 at least when whole clips were replaced; those of three untrained networks, on 8 clips of `planted`, by .11 at most.
`LEAST_R2` = .5: below it, the weights leave more of the response unexplained than they explain. On the same clips 9 of
40 fits to the probability and 4 of 40 to the log-odds lie below it (median .72 and .89).
`LEAST_SOURCES` = 2: one source is no majority.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .attribution import Attribution
from .mask_tables import variance_shares
from .masks import FillEffect
from .records import METHODS

LEAST_RESPONSE = 1.0  # log-odds
LEAST_R2 = 0.5
LEAST_SOURCES = 2
NO_RESPONSE, POOR_FIT, INTERACTIONS, UNSIGNED = KINDS = ("no response", "poor fit", "interactions", "unsigned")
UNREADABLE = (NO_RESPONSE, POOR_FIT)  # the map must not be read at all
_UNFILLED = ("none", "resynthesis")


@dataclass(frozen=True)
class Caveat:
    """Reason not to read an explanation as it stands.

    Attributes
    ----------
    kind : str
        ``no response``: removal hardly moves the recogniser; ``poor fit``: the surrogate explains less than `LEAST_R2`
        of what it was fitted to; ``interactions``: single bands explain less than that of their own full table;
        ``unsigned``: the map does not tell evidence for from evidence against.
    detail : str
        A clause with the numbers.
    """

    kind: str
    detail: str

    @property
    def unreadable(self) -> bool:
        """Whether the map must not be read at all."""
        return self.kind in UNREADABLE


def largest_response(fills: Sequence[FillEffect], tables: Iterable[np.ndarray | None] = ()) -> float | None:
    """Largest change of the log-odds seen when the clip, or any set of its parts, is replaced.

    Parameters
    ----------
    fills : sequence of FillEffect
        Of `masks.fill_effects`: the whole clip replaced, its controls left out.
    tables : iterable of array, optional
        Full mask tables of the clip (`Attribution.table`). What single parts do can cancel in the whole.

    Returns
    -------
    float or None
        None where nothing was removed.
    """
    moves = [abs(effect.fall) for effect in fills if effect.fill not in _UNFILLED]
    moves += [float(np.ptp(table)) for table in tables if table is not None]
    return max(moves, default=None)


def caveats(attribution: Attribution, response: float | None = None, number: bool = False) -> tuple[Caveat, ...]:
    """Caveats of one explanation, the gravest first.

    Parameters
    ----------
    attribution : Attribution
    response : float, optional
        Of `largest_response`, for methods without a table of their own: a method that scored every mask is judged by
        what these masks did. Without either, nothing is said of the response.
    number : bool
        Whether a number is explained, in units of its own: nothing is said of the response then.
    """
    source = attribution.base or attribution
    found = [
        None if number else _on_response(source, response),
        _on_fit(source),
        _on_sign(source),
    ]
    return tuple(caveat for caveat in found if caveat is not None)


def is_unsigned(attribution: Attribution) -> bool:
    """Whether a map holds magnitudes alone: its method's record says so, and no value is negative.

    Salient parts of another map (`Attribution.base`) are its most positive ones: they are as signed as that map.
    """
    source = attribution.base or attribution
    known = source.method in METHODS and not METHODS.get(source.method).signed
    return known and not bool((source.values < 0).any())


def ignores_recogniser(attribution: Attribution) -> bool:
    """Whether a map, or the one it was derived from, was made without asking the recogniser (`random`, `energy`)."""
    method = (attribution.base or attribution).method
    if method not in METHODS:
        return False
    record = METHODS.get(method)
    return (record.family, record.needs) == ("baseline", "none")


def _on_response(source: Attribution, response: float | None) -> Caveat | None:
    own = source.table
    moved = response if own is None else float(np.ptp(own))
    if moved is None or moved >= LEAST_RESPONSE:
        return None
    what = "replacing the whole clip" if own is None else "replacing any set of its parts"
    return Caveat(
        NO_RESPONSE,
        f"{what} moves the log-odds of {source.target} by {moved:.2f} at most, less than {LEAST_RESPONSE:g}",
    )


def _on_fit(source: Attribution) -> Caveat | None:
    """Caveat on the surrogate's R squared or, where there is none, on the additivity of the full table."""
    table = source.table
    additive = float("nan") if table is None else variance_shares(table)[0]
    r2 = source.details.get("r2")
    if r2 is not None and r2 < LEAST_R2:
        text = f"its surrogate explains {r2:.0%} of what the masked copies do (R² {r2:.3f}), less than {LEAST_R2:.0%}"
        if additive >= LEAST_R2:
            text += f"; weights of the log-odds would explain {additive:.0%} (response = log-odds)"
        return Caveat(POOR_FIT, text)
    if r2 is None and additive < LEAST_R2:
        return Caveat(
            INTERACTIONS,
            f"single parts explain {additive:.0%} of what removal does, less than {LEAST_R2:.0%}; the rest is "
            "interaction between parts" + " (method band-interactions shows it)" * (source.interactions is None),
        )
    return None


def _on_sign(source: Attribution) -> Caveat | None:
    if not is_unsigned(source):
        return None
    return Caveat(UNSIGNED, f"the map of {source.method} holds magnitudes: it does not say what is for or against")
