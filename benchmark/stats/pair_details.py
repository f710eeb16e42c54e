"""Effect sizes, permutation, equivalence and power of each pair of methods in tables of scores."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from .cluster_variance import DESCRIBED_ONLY
from .clustered import CELL, Cell, clustered_mean, per_clip, places_of_pairs
from .effects import equivalence, rank_biserial, standardised_difference
from .power import clips_needed, detectable_difference, speakers_needed, variance_components
from .resampling import sign_flip_test

DETAILS = [
    "effect_low", "effect_high", "rank_biserial", "rank_biserial_low", "rank_biserial_high", "p_permutation",
    "p_permutation_smallest", "p_equivalent", "equivalent_low", "equivalent_high", "detectable", "share_speaker",
    "share_sentence", "clips_needed", "speakers_needed",
]  # fmt: skip


def details_of_pairs(
    cells: Iterable[Cell],
    margin: float | None = None,
    difference: float | None = None,
    against: Collection[str] = (),
) -> pd.DataFrame:
    """What `clustered.tests_of_pairs` does not say about each pair of methods.

    Parameters
    ----------
    cells : iterable of Cell
        As `clustered.cells` lays out score rows.
    margin : float, optional
        Of the equivalence test, above 0, fixed before the data are seen.
    difference : float, optional
        True difference, other than 0, to plan clips and speakers for.
    against : collection of str
        As of `clustered.places_of_pairs`.

    Returns
    -------
    DataFrame
        One row per cell (columns `clustered.CELL`) and pair, ``method_a`` and ``method_b`` as in `tests_of_pairs`, so
        that the two can be merged; signs are in favour of a. ``effect_low`` and ``effect_high`` bound ``effect`` there;
        ``rank_biserial`` with its bounds; ``p_permutation`` by sign flips of speakers and the smallest value it can
        take; ``p_equivalent`` with the 90 % interval (missing without a margin); ``detectable``: the smallest
        difference this layout shows with 80 % power, uncorrected for several tests; ``share_speaker`` and
        ``share_sentence`` of the variance of differences; ``clips_needed`` with these speakers and sentences, and
        ``speakers_needed`` with these clips each, to show `difference` (missing without one; infinite where no number
        is enough).
    """
    rows = [
        dict(cell.names) | {"method_a": a, "method_b": b} | _details(cell, a, b, margin, difference)
        for cell in cells
        for a, b in cell.table.columns.to_numpy()[places_of_pairs(list(cell.table), against)]
    ]
    return pd.DataFrame(rows, columns=[*CELL, "method_a", "method_b", *DETAILS])


def _details(cell: Cell, a: str, b: str, margin: float | None, difference: float | None) -> dict[str, Any]:
    x = (cell.table[a] - cell.table[b]).to_numpy()[:, None]
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    averaged, *codes = per_clip(-x if cell.names["direction"] == "lower" else x, cell.table.index, *labels)
    known = np.isfinite(averaged[:, 0])
    values, codes = averaged[known, 0], [of_way[known] for of_way in codes]
    speakers, sentences = codes[0], codes[1] if len(codes) > 1 else None
    mean = clustered_mean(values, speakers, sentences)
    effect, rank = standardised_difference(values, speakers, sentences), rank_biserial(values, speakers, sentences)
    flips, components = sign_flip_test(values, speakers), variance_components(values, speakers, sentences)
    claim = mean.scope != DESCRIBED_ONLY
    found = dict.fromkeys(DETAILS, np.nan)
    found |= {
        "effect_low": effect.low, "effect_high": effect.high, "rank_biserial": rank.value,
        "rank_biserial_low": rank.low, "rank_biserial_high": rank.high, "p_permutation": flips.p,
        "p_permutation_smallest": flips.smallest, "share_speaker": components.shares[0],
        "share_sentence": components.shares[1],
    }  # fmt: skip
    if claim and mean.se > 0:
        found["detectable"] = detectable_difference(mean.se, mean.df)
    if margin is not None:
        same = equivalence(values, margin, speakers, sentences)
        found |= {"p_equivalent": same.p, "equivalent_low": same.low, "equivalent_high": same.high}
    if difference is not None and claim and np.isfinite(components.clip):
        found["clips_needed"] = clips_needed(difference, components, mean.n_speakers, mean.n_sentences)
        found["speakers_needed"] = speakers_needed(
            difference, components, mean.n_clips / mean.n_speakers, mean.n_sentences
        )
    return found
