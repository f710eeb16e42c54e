"""Score rows of records of results: names, keys and values in which they differ from those of their runs.

A record calls a recogniser without the folders of the machine that ran it, cuts keys to a few digits and holds values
in single precision (`storage.derived`). What is scored again is brought to the same form before it is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...methods.record import PREFIX
from ...methods.records import METHODS
from ...metrics.records import METRICS
from ..run.config import RunConfig
from ..storage.derived import KEY_DIGITS
from ..storage.portable import portable
from .check_result import Check, concluded, dicts, row_name
from .given import GivenModels

ROUNDING = 1e-6  # relative; of single precision


def given_names(info: Mapping[str, Any], given: GivenModels) -> dict[str, str]:
    """Names of this command's recognisers by the record's own, where they are paths."""
    typed = [*given.permission.named, *given.checkpoints]
    return {portable(name): name for name in typed if portable(name) in info["config"]["models"]}


def bounds(scores: pd.DataFrame) -> Check:
    """Check that values lie in the range that the metric's record gives."""
    faults = []
    ok = scores[scores["status"] == "ok"]
    for name, part in ok.groupby("metric", sort=False):
        if name not in METRICS:
            continue
        record = METRICS.get(str(name))
        value = part["value"].astype(float)
        for bound, wrong in (
            (record.low, value < (record.low if record.low is not None else -np.inf) - ROUNDING),
            (record.high, value > (record.high if record.high is not None else np.inf) + ROUNDING),
        ):
            faults += [
                f"{row_name(row)}: value {row['value']!r} is beyond the bound {bound:g}" for row in dicts(part[wrong])
            ]
    return concluded("bounds", f"{len(ok)} values in the ranges of {ok['metric'].nunique()} metrics", faults)


def keys(scores: pd.DataFrame) -> Check:
    """Check that each row has a key of a record."""
    wrong = scores[~scores["key"].str.fullmatch(f"[0-9a-f]{{{KEY_DIGITS}}}")]
    found = (f"{row_name(row)}: {row['key']!r}" for row in dicts(wrong))
    return concluded("keys", f"{len(scores)} rows, each with the {KEY_DIGITS} first digits of its key", found)


def rescorable(config: RunConfig) -> tuple[RunConfig | None, list[str]]:
    """Configuration of the methods that can be run here, None where there is none; and the others.

    Methods whose maps were made elsewhere, and those that are not installed here, cannot be run.
    """
    left_out = [name for name in config.methods if name.startswith(PREFIX) or name not in METHODS]
    methods = [name for name in config.methods if name not in left_out]
    if not methods:
        return None, left_out
    parameters = {name: given for name, given in config.parameters.items() if name in methods}
    return config.model_copy(update={"methods": methods, "parameters": parameters}), left_out


def as_recorded(fresh: pd.DataFrame) -> pd.DataFrame:
    """Rows that were scored again, in the form of a record."""
    value = fresh["value"].astype(float).astype(np.float32).astype(float)
    strength = fresh["strength"].astype(float).astype(np.float32).astype(float)
    return fresh.assign(value=value, strength=strength, key=fresh["key"].str[:KEY_DIGITS])
