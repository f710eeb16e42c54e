"""Relevance of each explanation of a clip as recorded in EmoLIME's eight bands, as a table.

All that claims and profiles need of a map. The weights of a clip are sums over bands, scaled to a sum of absolute
values of 1; maps of methods without bands of their own are summed over them. Maps without resolution in frequency have
no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ...datasets.corpora import CORPORA
from ...metrics.similarity import PROFILE_BANDS
from .recogniser_titles import recogniser_titles
from .shown_names import plain_name
from .stored_maps import CLEAN, StoredMap

FLAT = 1e-9  # profiles that vary by a smaller share of their sum say nothing about frequency
BANDS = [f"band_{k}" for k in range(PROFILE_BANDS)]  # lowest first
AGAINST = "against"  # what an explanation is relative to; records have it with the scores
FACTS = [
    "corpus", "model", "trained_on", "method", "clip", "target", "speaker", "sentence", "emotion", "predicted",
    AGAINST,
]  # fmt: skip
COLUMNS = [*FACTS, *BANDS]


def band_row(one: StoredMap) -> dict[str, Any] | None:
    """Row of a map, columns `COLUMNS`; None where it says nothing about frequency."""
    profile = one.profile
    scale = np.abs(profile).sum()
    if not np.ptp(profile) > FLAT * scale:
        return None
    told: dict[str, Any] = {name: getattr(one, name) for name in FACTS}
    return told | dict(zip(BANDS, (profile / scale).tolist(), strict=True))


def band_table(maps: Iterable[StoredMap]) -> pd.DataFrame:
    """Rows of the maps of clips as recorded, first repeats; columns `COLUMNS`."""
    rows = (band_row(one) for one in maps if one.condition == CLEAN and one.repeat == 0)
    return pd.DataFrame([row for row in rows if row is not None], columns=COLUMNS)


def made_speech(table: pd.DataFrame) -> pd.Series:
    """Whether each row's corpus is synthesised or edited speech, no recordings of its own."""
    names = {corpus: plain_name(corpus) for corpus in table["corpus"].unique()}
    records = {c: CORPORA.get(n) for c, n in names.items() if n in CORPORA and not n.endswith(":")}
    made = {corpus for corpus, record in records.items() if record.twinned or record.rendered_from}
    return table["corpus"].isin(made)


def kinds(table: pd.DataFrame) -> pd.Series:
    """Kind of each row's recogniser: its name without the digest that tells several apart."""
    return table["model"].map(plain_name)


def kind_titles(table: pd.DataFrame) -> pd.Series:
    """Kind of each row's recogniser, with its training corpus where that is another one than it hears."""
    return recogniser_titles(table.assign(model=kinds(table)))


def crossed(table: pd.DataFrame) -> pd.Series:
    """Whether each row's recogniser was trained on another corpus than the one it hears."""
    return table["trained_on"].ne("") & table["trained_on"].ne(table["corpus"].map(plain_name))
