"""Maps that were made elsewhere among the explanations of a run: which are taken, and what they cannot be asked."""

from __future__ import annotations

import numpy as np

from ...errors import NotApplicable
from ...methods.attribution import Attribution
from ...methods.external import NOT_AGAIN
from ...methods.record import PREFIX
from ...metrics.record import MetricRecord
from .identity import Keys
from .method_spec import MethodSpec


def refuse_what_needs_another(spec: MethodSpec, record: MetricRecord) -> None:
    """Refuse metrics that explain again or compare with a repeat, where the maps cannot say.

    Raises
    ------
    NotApplicable
        For a method whose maps were made elsewhere.
    """
    if not spec.external:
        return
    if record.explains:
        raise NotApplicable(f"metric {record.name!r} {NOT_AGAIN}")
    if "repeat" in record.companions and spec.parameters["seeds"] == "unknown":
        raise NotApplicable(
            f"metric {record.name!r} compares with the map of another seed: give maps with repeat 1, or say stochastic "
            "no in the manifest"
        )


def refuse_copies(shifted: Attribution, clean: Attribution) -> None:
    """Refuse a map under a shift that is the clean clip's, to the bit: it explains no shifted clip.

    Raises
    ------
    NotApplicable
    """
    if shifted is not clean and np.array_equal(shifted.values, clean.values):
        raise NotApplicable("the map under the shift is that of the clean clip, bit by bit: none was made of the shift")


def taken_from(
    keys: Keys, clip: str, condition: str, method: str, target: str, repeat: int, fill: str, duration_s: float
) -> Attribution:
    """The map that explains a clip, from the folder.

    Raises
    ------
    NotApplicable
        If there is none.
    ClipError
        If it cannot be read, or does not fit the clip.
    """
    row = keys.map_row(clip, condition, method, target, repeat, fill)
    if row is None or keys.maps is None:
        raise NotApplicable(_missing(keys, clip, condition, method, target, repeat))
    return keys.maps.attribution(row, duration_s, target)


def _missing(keys: Keys, clip: str, condition: str, method: str, target: str, repeat: int) -> str:
    rows = [] if keys.maps is None else [row for row in keys.maps.rows if PREFIX + row.method == method]
    there = [row for row in rows if row.clip == clip and row.condition == condition]
    if there and all(row.target != target for row in there):
        return "the folder has no map of the class that is explained, but of others"
    if there and all(row.repeat != repeat for row in there):
        return "the folder has no map of this repeat"
    if not there:
        return f"the folder has no map of this clip under {condition!r}"
    return "the folder has no map against the fill of the score"
