"""One sentence on what an explanation says, or why it says nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .attribution import Attribution
from .caveats import INTERACTIONS, NO_RESPONSE, UNSIGNED, Caveat, caveats, ignores_recogniser, is_unsigned
from .cue_sentence import sentence as cue_sentence

NO_SIGN = "whether for or against it, this map does not say"
NO_DIRECTION = "whether up or down, this map does not say"  # of a number


def reading(attribution: Attribution, found: Sequence[Caveat] | None = None, number: bool = False) -> str:
    """Summarise an explanation: by its cue table if it has one, else by its most relevant cell.

    Where a caveat forbids to read the map, the caveat stands in place of the summary.

    Parameters
    ----------
    attribution : Attribution
    found : sequence of Caveat, optional
        Its caveats; default those known from the attribution alone.
    number : bool
        Whether what is explained is a number, which something raises, and no class that something speaks for.
    """
    found = caveats(attribution, number=number) if found is None else found
    if ignores_recogniser(attribution):
        return f"A baseline, which does not ask the recogniser: it says nothing about {attribution.target}."
    for caveat in found:
        if caveat.unreadable:
            start = "There is nothing to explain" if caveat.kind == NO_RESPONSE else "The map is not to be read"
            return f"{start}: {caveat.detail}."
    text = cue_sentence(attribution) if attribution.cues else _most_relevant(attribution, number)
    return text + "".join(f" But {caveat.detail}." for caveat in found if caveat.kind == INTERACTIONS)


def left_unsaid(sentence: str, found: Sequence[Caveat]) -> tuple[Caveat, ...]:
    """Caveats that an explanation's sentence (`reading`) does not state."""
    unsigned = NO_SIGN in sentence or NO_DIRECTION in sentence
    return tuple(one for one in found if one.detail not in sentence and not (one.kind == UNSIGNED and unsigned))


def _most_relevant(attribution: Attribution, number: bool) -> str:
    values, target = attribution.values, attribution.target
    if not (values > 0).any():
        nothing = f"Nothing in the clip {'raises' if number else 'speaks for'} {target}"
        if not values.any():
            return f"{nothing}."
        against = "lowers it most" if number else "speaks most against it"
        return f"{nothing}; what {against} lies at {_place(attribution, int(values.argmin()))}."
    place = _place(attribution, int(values.argmax()))
    if is_unsigned(attribution):
        return f"What matters most to {target} lies at {place}; {NO_DIRECTION if number else NO_SIGN}."
    what = f"raises {target} most" if number else f"speaks most for {target}"
    return f"What {what} lies at {place}.{_strongest_pair(attribution)}"


def _place(attribution: Attribution, cell: int) -> str:
    """Frequencies of a cell, and its time where the map has several columns."""
    row, column = divmod(cell, attribution.values.shape[1])
    place = _band(attribution, row)
    if attribution.values.shape[1] > 1:
        start, end = attribution.grid.time_edges_s[column : column + 2]
        place += f", {max(start, 0):.2f}-{end:.2f} s"
    return place


def _strongest_pair(attribution: Attribution) -> str:
    """Sentence on the pair of bands that interacts most; empty for methods without interactions."""
    if attribution.interactions is None or attribution.values.shape[1] > 1:
        return ""
    pairs = np.triu(attribution.interactions, 1)
    if not pairs.any():
        return ""
    i, j = np.unravel_index(int(np.abs(pairs).argmax()), pairs.shape)
    return (
        f" Strongest pair: {_band(attribution, int(i))} and {_band(attribution, int(j))} together do "
        f"{pairs[i, j]:+.2f} beyond what each does."
    )


def _band(attribution: Attribution, row: int) -> str:
    low, high = attribution.grid.freq_edges_hz[row : row + 2]
    return f"{low:.0f}-{high:.0f} Hz"
