"""Tables that records of results hold in place of maps and sound: names, columns and reading.

    bands        `band_table`, explanations of clips as recorded; zeros where a map says nothing about frequency
    cues         `salient_cues.cue_table`
    axes         `robustness.clip_rows` by `MEASURE`, within the run and with other runs added by the same command
    mask_tables  responses to all sets of eight bands, where an explanation scored every one
    retrainings  scores of the same clips and methods by other trainings of the recogniser (`retrainings`)

The modules above read their own table where they would derive it from a run.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ...errors import InputError
from ...metrics.similarity import PROFILE_BANDS
from ..storage.derived import FLAG, NUMBER, TEXT, Kinds, read_derived, responses
from ..storage.store import Store

MEASURE = "spearman"
BAND_TABLE, CUES, AXES_TABLE, MASK_TABLES = "bands", "cues", "axes", "mask_tables"
RETRAININGS = "retrainings"
_TEXTS = {
    "axis", "corpus", "model", "trained_on", "other", "method", "clip", "speaker", "sentence", "emotion", "predicted",
    "target", "training", "space", "target_rule", "condition", "fill", "metric",
}  # fmt: skip


def kinds_of(columns: Iterable[str]) -> Kinds:
    """Kind of each column of a table (`storage.derived`)."""
    return {name: TEXT if name in _TEXTS else FLAG if name == "unchanged" else NUMBER for name in columns}


BAND_KINDS = kinds_of(
    ["corpus", "model", "trained_on", "method", "clip", "target", "speaker", "sentence", "emotion", "predicted",
     *(f"band_{k}" for k in range(PROFILE_BANDS))]
)  # fmt: skip
AXES_KINDS = kinds_of(
    ["axis", "corpus", "model", "other", "method", "strength", "clip", "speaker", "sentence", "emotion", "target",
     "unchanged", "similarity", "floor", "other_emotions", "ceiling", "cells"]
)  # fmt: skip
RETRAINING_KINDS = kinds_of(
    ["training", "space", "target_rule", "condition", "fill", "metric", "method", "clip", "value"]
)
MASK_KINDS: Kinds = {"method": TEXT, "clip": TEXT, "target": TEXT, "responses": responses(1 << PROFILE_BANDS)}


def recorded_table(store: Store, name: str, kinds: Kinds) -> pd.DataFrame | None:
    """Table of a record; None where it was made without it.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        return read_derived(store.path, name, kinds)
    except ValueError as error:
        raise InputError(f"{error}. Make the record again with `serxai results add`.") from None


def needed_table(store: Store, name: str, kinds: Kinds) -> pd.DataFrame:
    """As `recorded_table`, refusing a record that was made without it.

    Raises
    ------
    InputError
    """
    table = recorded_table(store, name, kinds)
    if table is None:
        raise InputError(
            f"{store.path}: a record without table {name!r}; make it again with `serxai results add`, where the corpus "
            "is (--data-root)."
        )
    return table
