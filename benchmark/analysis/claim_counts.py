"""How often each claim got each verdict, over the settings that are counted."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .claim_scope import COUNTED, POOLED
from .claims import CLAIM_1, VERDICTS, Finding

PLACE = ["claim", "method"]


def verdict_counts(found: Iterable[Finding]) -> pd.DataFrame:
    """How often each claim got each verdict, by method, and what all counted settings together say.

    Parameters
    ----------
    found : iterable of Finding

    Returns
    -------
    DataFrame
        Index ``claim`` and ``method``. ``settings``: how many are counted (`claim_scope`; for methods that ask no
        recogniser one for each corpus); one column for each of `claims.VERDICTS`, which sum up to it; ``not_counted``:
        settings that were decided beside; ``smallest`` and ``largest``: the range of the counted estimates;
        ``together``, ``together_estimate``, ``together_low`` and ``together_high``: verdict and effect over all counted
        settings, missing where there is one. EmoLIME 1 is decided over all corpora and recognisers at once: it counts
        one reading, which is that of ``together`` as well.
    """
    facts = ["claim", "method", "scope", "verdict", "estimate", "low", "high"]
    table = pd.DataFrame([[getattr(one, name) for name in facts] for one in found], columns=facts)
    counted, pooled = table["scope"].eq(COUNTED), table["scope"].eq(POOLED)
    of_all = pd.MultiIndex.from_frame(table[PLACE].drop_duplicates())
    verdicts = pd.crosstab([table.loc[counted, "claim"], table.loc[counted, "method"]], table.loc[counted, "verdict"])
    counts = verdicts.reindex(index=of_all, columns=list(VERDICTS), fill_value=0)
    aside = table[~counted & ~pooled].groupby(PLACE).size().reindex(of_all, fill_value=0)
    estimates = table[counted].groupby(PLACE)["estimate"]
    together = table[pooled | (counted & table["claim"].eq(CLAIM_1) & table["estimate"].notna())].set_index(PLACE)
    named = {name: f"together_{name}" for name in ("estimate", "low", "high")} | {"verdict": "together"}
    counts.insert(0, "settings", counts.sum(axis=1))
    counts = counts.assign(
        not_counted=aside, smallest=estimates.min().reindex(of_all), largest=estimates.max().reindex(of_all)
    )
    return counts.join(together[["verdict", "estimate", "low", "high"]].rename(columns=named))
