"""Groups of acoustic cues, in order of what emotions change in the windows that a method calls salient.

Dixit et al. 2024 (arXiv 2409.09511) probed embeddings of WavLM on RAVDESS and SAVEE and found features of energy, then
frequency, then spectrum, then time to inform the recognition of emotion. What stands here is the nearest that
salient windows can say, and another thing: theirs is which features can be predicted from the dimensions that matter to
a classifier, ours how far cues of the windows that an explanation points at lie from the same speaker's neutral speech.
Where `random` windows give the same order, it is the speech, not the explanation; ``beyond`` is what salient windows
have over windows anywhere in the clip. Groups are those of eGeMAPS (Eyben et al. 2016), which they use too. Windows of
150 ms have no cue of time, and corpora whose levels are not comparable none of loudness itself: energy is then its
variability, shimmer and harmonics to noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...cues.expert import NEUTRAL
from .salient_cues import ANYWHERE, SALIENT

GROUPS = {
    "energy": ("loudness", "loudness_variability", "shimmer", "hnr"),
    "frequency": ("f0_level", "f0_variability", "jitter"),
    "spectral": ("high_frequency_energy",),
}
PUBLISHED = (*GROUPS, "temporal")  # in the published order
PLACE = ["corpus", "model", "trained_on", "method"]
COLUMNS = [
    *PLACE, "cue_group", "cues", "n_emotions", "n_clips", "n_speakers", "effect", "rank", "beyond", "beyond_rank",
    "published_rank", "order", "order_kept", "beyond_order", "beyond_order_kept", "as_published",
]  # fmt: skip
BESIDE = " > "


def cue_group_table(cues: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute standardised effect of emotions by group of cues, in the salient windows of each method.

    Parameters
    ----------
    cues : DataFrame
        Of `salient_cues.cue_table`, of one or several runs.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row for each recogniser, method and group. ``effect``: the mean over clips of a cue, in
        standard deviations of as many neutral windows of the same speaker, absolute, then averaged over emotions (but
        neutral) and the group's cues; ``beyond``: the same of the difference to windows anywhere in the clip.
        ``order`` ranks the groups by it, ``order_kept`` is the share of speakers without whom it stays (missing below
        2). ``as_published``: whether the order of the groups is the published one.
    """
    rows: list[dict[str, Any]] = []
    emotional = cues[cues["emotion"].astype(str).ne(NEUTRAL)]
    for place, part in emotional.groupby(PLACE, sort=True, observed=True):
        found = {name: _effects(part, name == "beyond") for name in ("effect", "beyond")}
        known = {name: names for name, names in _known(part).items() if np.isfinite(found["effect"][name])}
        if len(known) < len(GROUPS):
            continue
        orders = {name: _order(effects) for name, effects in found.items()}
        kept = {name: _kept(part, name == "beyond", order) for name, order in orders.items()}
        ranks = {name: order.split(BESIDE) for name, order in orders.items()}
        for group, names in known.items():
            rows.append(
                dict(zip(PLACE, place, strict=True))
                | {
                    "cue_group": group, "cues": " ".join(names), "n_emotions": part["emotion"].nunique(),
                    "n_clips": part["clip"].nunique(), "n_speakers": part["speaker"].nunique(),
                    "effect": found["effect"][group], "rank": ranks["effect"].index(group) + 1,
                    "beyond": found["beyond"][group], "beyond_rank": ranks["beyond"].index(group) + 1,
                    "published_rank": PUBLISHED.index(group) + 1, "order": orders["effect"],
                    "order_kept": kept["effect"], "beyond_order": orders["beyond"],
                    "beyond_order_kept": kept["beyond"],
                    "as_published": "yes" if orders["effect"] == BESIDE.join(GROUPS) else "no",
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _known(part: pd.DataFrame) -> dict[str, list[str]]:
    """Cues of each group that have a value in any clip."""
    return {group: [c for c in names if part[f"{SALIENT} {c}"].notna().any()] for group, names in GROUPS.items()}


def _effects(part: pd.DataFrame, beyond: bool) -> dict[str, float]:
    """Mean absolute effect of each group; NaN where no cue of it is known."""
    found = {}
    for group, names in _known(part).items():
        values = part[[f"{SALIENT} {cue}" for cue in names]].to_numpy(dtype=np.float64)
        if beyond:
            values = values - part[[f"{ANYWHERE} {cue}" for cue in names]].to_numpy(dtype=np.float64)
        means = pd.DataFrame(values).groupby(part["emotion"].astype(str).to_numpy()).mean()
        found[group] = float(means.abs().mean(axis=None)) if names else float("nan")
    return found


def _order(effects: dict[str, float]) -> str:
    return BESIDE.join(sorted(effects, key=lambda group: -effects[group]))


def _kept(part: pd.DataFrame, beyond: bool, order: str) -> float:
    """Share of speakers without whom the order stays as it is."""
    speakers = part["speaker"].astype(str)
    names = sorted(set(speakers))
    if len(names) < 2:
        return float("nan")
    return float(np.mean([_order(_effects(part[speakers != name], beyond)) == order for name in names]))
