"""Groups of cues: known effects in salient windows, and their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.cue_groups import COLUMNS, GROUPS, PUBLISHED, cue_group_table
from serxai.benchmark.analysis.salient_cues import COLUMNS as CUE_COLUMNS
from serxai.benchmark.analysis.salient_cues import WHERE
from serxai.cues.records import REGION_CUES

EFFECTS = {"energy": 1.0, "frequency": 2.0, "spectral": 0.5}


def _cues(noise: float = 0.0, **changes: float) -> pd.DataFrame:
    """Windows that rise by `EFFECTS` for anger and fall for sadness; anywhere in the clip only the frequency moves."""
    rng, rows = np.random.default_rng(0), []
    of_cue = {cue: effect for group, effect in (EFFECTS | changes).items() for cue in GROUPS[group]}
    for method in ("saliency", "occlusion@bands=4"):
        for speaker in range(4):
            for emotion, sign in (("anger", 1.0), ("sadness", -1.0), ("neutral", 7.0)):
                row = dict.fromkeys(CUE_COLUMNS, np.nan) | {
                    "corpus": "emodb", "model": "cnn", "trained_on": "emodb", "method": method, "emotion": emotion,
                    "speaker": f"s{speaker}", "clip": f"{speaker}-{emotion}",
                }  # fmt: skip
                for cue in REGION_CUES:
                    for where in WHERE:
                        moved = where == "salient" or cue.startswith(("f0", "jitter"))
                        row[f"{where} {cue}"] = sign * of_cue[cue] * moved + noise * rng.normal()
                rows.append(row)
    return pd.DataFrame(rows)


def test_groups_hold_every_cue_of_windows_once() -> None:
    assert sorted(cue for names in GROUPS.values() for cue in names) == sorted(REGION_CUES)
    assert PUBLISHED == ("energy", "frequency", "spectral", "temporal")


def test_effects_and_orders_are_those_put_in() -> None:
    found = cue_group_table(_cues())
    assert list(found) == COLUMNS and set(found["method"]) == {"saliency", "occlusion@bands=4"}
    one = found[found["method"] == "saliency"].set_index("cue_group")
    assert one["effect"].to_dict() == pytest.approx(EFFECTS)  # neutral clips do not enter
    assert one["beyond"].to_dict() == pytest.approx({"energy": 1.0, "frequency": 0.0, "spectral": 0.5})
    assert set(one["order"]) == {"frequency > energy > spectral"} and set(one["as_published"]) == {"no"}
    assert set(one["beyond_order"]) == {"energy > spectral > frequency"}
    assert one["rank"].to_dict() == {"energy": 2, "frequency": 1, "spectral": 3}
    assert (one["n_clips"] == 8).all() and (one["n_speakers"] == 4).all() and (one["order_kept"] == 1).all()
    published = cue_group_table(_cues(energy=3.0))
    assert set(published["as_published"]) == {"yes"}


def test_an_order_of_noise_depends_on_single_speakers_and_a_missing_cue_is_left_out() -> None:
    noisy = cue_group_table(_cues(noise=3.0, energy=0.0, frequency=0.0, spectral=0.0))
    assert noisy["order_kept"].min() < 1
    table = _cues()
    table[[f"{where} loudness" for where in WHERE]] = np.nan  # levels are not comparable
    found = cue_group_table(table)
    energy = found[found["cue_group"] == "energy"]
    assert set(energy["cues"]) == {"loudness_variability shimmer hnr"} and energy["effect"].tolist() == [1.0, 1.0]
    assert cue_group_table(table.iloc[:0]).empty
