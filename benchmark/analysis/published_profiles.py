"""Mean band weights of runs beside those read off the EmoLIME paper's robustness figure.

A profile is the mean over clips of the weights in EmoLIME's eight bands, each clip's scaled to a sum of absolute values
of 1 (`band_table`). The published weights are means without that scale, so only shapes can be compared: by the
correlation over bands, which no scale moves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ...audio import band_edges_hz
from ...errors import NotApplicable
from ...metrics.similarity import PROFILE_BANDS, profile_correlation
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from ..stats.clustered import clustered_mean
from .authors import digitised_weights
from .band_table import BANDS, kind_titles
from .claims import HAND_CRAFTED
from .shown_names import plain_name

BY_HAND, DEEP = "ComParE", "wav2vec2"  # recognisers of the published figure
HERE, PUBLISHED = "here", "published"
PROFILES = [
    "source", "model", "beside", "emotion", "corpus", "band", "low_hz", "high_hz", "weight", "low", "high", "n_clips",
    "n_speakers", "r", "r_low", "r_high", "r_above_lowest", "r_other_emotions",
]  # fmt: skip


def beside(model: str) -> str:
    """Recogniser of the published figure that stands beside a kind of recogniser."""
    return BY_HAND if model.startswith(HAND_CRAFTED) else DEEP


def published_panels() -> dict[tuple[str, str, str], np.ndarray]:
    """Published weights by corpus (lower case), recogniser and emotion, each of shape (8,)."""
    table = digitised_weights().assign(corpus=lambda t: t["corpus"].str.lower())
    return {
        (str(corpus), str(model), str(emotion)): rows.sort_values("band")["weight"].to_numpy()
        for (corpus, model, emotion), rows in table.groupby(["corpus", "model", "emotion"])
    }


def profile_table(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Profiles of a method for each recogniser, emotion and corpus, with the published ones beside them.

    Parameters
    ----------
    table : DataFrame
        Of `band_table`.
    method : str

    Returns
    -------
    DataFrame
        Columns `PROFILES`, one row for each profile and band. Weights of source ``here`` have 95 % intervals, speakers
        as clusters (missing below 6 speakers). ``r`` is the correlation with the published profile of the same corpus
        and emotion by recogniser ``beside``, with a jackknife interval over speakers; ``r_above_lowest`` the same
        without the lowest band, ``r_other_emotions`` the mean correlation with published profiles of other emotions.
        Missing where none was published.
    """
    panels, edges = published_panels(), band_edges_hz(PROFILE_BANDS)
    rows = []
    own = table[table["method"] == method].astype({"corpus": str, "target": str})
    for (corpus, model, emotion), part in own.groupby([own["corpus"], kind_titles(own), own["target"]]):
        theirs, place = beside(model), (plain_name(corpus), beside(model), emotion)
        told = _correlations(part, place, panels) if place in panels else (np.nan,) * 5
        for band, name in enumerate(BANDS):
            found = clustered_mean(part[name].to_numpy(), part["speaker"].tolist())
            rows.append(
                (HERE, model, theirs, emotion, corpus, band, edges[band], edges[band + 1], found.mean, *found.bounds,
                 found.n_clips, found.n_speakers, *told)
            )  # fmt: skip
    shown = {(row[2], row[3]) for row in rows}
    for (corpus, model, emotion), values in panels.items():
        if (model, emotion) in shown:
            rows += [
                (PUBLISHED, model, model, emotion, corpus, band, edges[band], edges[band + 1], values[band],
                 *(np.nan,) * 2, 0, 0, *(np.nan,) * 5)
                for band in range(PROFILE_BANDS)
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=PROFILES)


def _correlations(
    part: pd.DataFrame, place: tuple[str, str, str], panels: dict[tuple[str, str, str], np.ndarray]
) -> tuple[float, float, float, float, float]:
    """Correlation, its interval, that without the lowest band, and the mean with other emotions."""
    own, theirs = part[BANDS].mean().to_numpy(), panels[place]
    r = correlation(own, theirs)
    left_out = [
        correlation(part.loc[part["speaker"] != speaker, BANDS].mean().to_numpy(), theirs)
        for speaker in part["speaker"].unique()
    ]
    low, high = _jackknifed(r, np.array(left_out))
    others = [
        correlation(own, panel) for named, panel in panels.items() if named[:2] == place[:2] and named[2] != place[2]
    ]
    return r, low, high, correlation(own[1:], theirs[1:]), float(np.nanmean(others))


def _jackknifed(r: float, left_out: np.ndarray) -> tuple[float, float]:
    """Interval of a correlation by the delete-one-speaker jackknife, limited to -1..1; NaN below 6 speakers."""
    n = left_out.size
    if n < MIN_SPEAKERS or not np.isfinite(left_out).all():
        return np.nan, np.nan
    se = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * se
    return float(np.clip(r - half, -1, 1)), float(np.clip(r + half, -1, 1))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two profiles; NaN for a constant one."""
    try:
        return profile_correlation(a, b)
    except NotApplicable:
        return np.nan
