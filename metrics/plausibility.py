"""Direction agreement: agreement of the salient windows' cue contrasts with directions reported in the literature.

Conventions
-----------
Salient windows are an explanation's top windows of 150 ms (positive relevance only, summed onto cells of the scoring
grid's 16 bands x one window; at most five, at most half of the clip's). A contrast is a cue inside those windows minus
the same cue in the rest of the clip. Directions are 1, -1 or 0 (no change expected, not scored), one set per source;
scores are averaged over sources. Neutral has no direction.

A source named by itself (``direction-agreement:JL``) counts with all its rows, the mean over sources without those that
are merely recalled (`cues.expert`).

Agreement alone scores the clip, not the explanation: any loud, voiced window of an angry clip agrees with the
literature. The score is therefore the gain over random windows of the same clip matched in voiced time and energy:
0 is chance for every clip. Range -1..1, higher is better.
"""

from __future__ import annotations

import numpy as np

from ..cues.expert import NEUTRAL, directions
from ..cues.records import REGION_CUES
from ..errors import NotApplicable
from ..keys import rng
from .case import Case, Explained, Outcome
from .salience_contrast import clip_salient_windows

MIN_VOICED_FRAMES = 20  # 200 ms, so that salient windows and rest can both be voiced
DRAWS = 2000  # random sets of windows; with 200, matches are poorer and the energy map gains more
KEEP = 50  # sets nearest in voiced time and energy, which estimate chance


def direction_agreement(contrasts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Share of a source's expected directions that the contrasts have, averaged over sources.

    Parameters
    ----------
    contrasts : array, shape (..., n_cues)
        NaN for missing cues, which are left out.
    expected : array of int, shape (n_sources, n_cues)
        1, -1, or 0 if the source expects no change.

    Returns
    -------
    array, shape (...)
        In 0..1; a contrast of exactly 0 agrees with nothing. NaN if no expected direction has a contrast.

    Examples
    --------
    >>> direction_agreement(np.array([1.5, -2.0, np.nan]), np.array([[1, 1, 1], [0, -1, 0]])).item()
    0.75
    """
    contrasts = np.asarray(contrasts, dtype=np.float64)[..., None, :]
    expected = np.asarray(expected)
    counts = (expected != 0) & np.isfinite(contrasts)
    agrees = counts & (np.sign(contrasts) == expected)
    rows = counts.sum(axis=-1)
    share = agrees.sum(axis=-1) / np.where(rows > 0, rows, 1)
    speaking = rows > 0
    n_sources = speaking.sum(axis=-1)
    return np.where(n_sources > 0, (share * speaking).sum(axis=-1) / np.where(n_sources > 0, n_sources, 1), np.nan)


def expected_directions(emotion: str, source: str = "") -> np.ndarray:
    """Expected directions of the region cues, int, shape (n_sources, n_cues), in the order of `REGION_CUES`.

    Parameters
    ----------
    emotion : str
    source : str
        Source to use, recalled rows included; default all sources, without rows that are merely recalled.

    Raises
    ------
    NotApplicable
        If no source expects a direction (always for neutral).
    """
    if emotion == NEUTRAL:
        raise NotApplicable("neutral has no expected direction: it is what the others are compared with")
    by_source = directions(emotion, source or None, checked=not source)
    table = [[cues.get(cue, 0) for cue in REGION_CUES] for cues in by_source.values()]
    if not np.any(table):
        subject = f"source {source} gives no" if source else "no source gives"
        raise NotApplicable(f"{subject} expected cue directions for {emotion!r}")
    return np.array(table)


class DirectionAgreement:
    """Agreement of salient-minus-rest contrasts with the literature, as gain over matched random windows.

    Parameters
    ----------
    source : str
        One of `cues.expert.sources`, recalled rows included; default the mean over all, without recalled rows.
    """

    name = "direction-agreement"

    def __init__(self, source: str = "") -> None:
        self.source = source

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            For neutral, emotions without a source, clips shorter than two windows or with less than 200 ms of voice,
            maps without positive relevance, and if the salient windows or all random ones hold too little voice for
            any expected cue.
        """
        expected = expected_directions(case.one_class("what a source expects"), self.source)
        _, salient = clip_salient_windows(case, explained, self.name, "ties")
        tracks = case.clip.cue_tracks
        voiced = int(tracks.voiced.sum())
        if voiced < MIN_VOICED_FRAMES:
            raise NotApplicable(f"{voiced * 10} ms of voice in the clip, at least {MIN_VOICED_FRAMES * 10} ms needed")
        cues = case.window_cues
        controls = cues.matched_sets(salient, rng(*case.seed, self.name, "random windows"), DRAWS, KEEP)
        observed, *random = direction_agreement(cues.contrasts(np.concatenate([salient[None], controls])), expected)
        known = np.array(random)[np.isfinite(random)]
        if not np.isfinite(observed) or known.size == 0:
            raise NotApplicable("the salient windows, their rest or all random ones hold too little voice to compare")
        return Outcome(float(observed - known.mean()), 0)
