"""Causal cue fidelity: rank correlation of relevance over time with the effect of editing acoustic cues there.

Conventions
-----------
The clip is cut into 16 equal stretches. The *effect* of a cue in a stretch is how far the target's log-odds move when
that cue alone is edited there: the absolute difference between the edited copy and its sham (`metrics.cue_edits`),
averaged over the amounts of the edit. The *claim* of an explanation is the share of its absolute relevance that lies in
the stretch (on the scoring grid). The score of a cue is Spearman's rank correlation of claim and effect over the
stretches; effects that differ by less than 1e-6 count as equal, and a cue whose effects are all equal has no score.

The effects depend on clip, condition and target only and are computed once for all explanations. An unvoiced stretch
has no pitch to edit and an effect close to 0, so that any explanation of voiced stretches scores above 0: voiced
log energy, which asks no recogniser, scores as high as the best methods tried (docs/cues.md). So it describes
explanations and does not rank them. Compare with `energy`, not only with 0. Higher is better.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from ..cues.windows import window_relevance
from ..errors import NotApplicable, UnknownNameError
from ..keys import rng
from .case import CLIP_LOG_ODDS, Case, Explained, Outcome
from .cue_edits import EDITS, UNVOICED, edited, faded, has_pitch, resynthesised, stretch_weights
from .similarity import rank_correlation

N_STRETCHES = 16  # the copies of one amount fill two batches of 8
LOG_ODDS_RESOLUTION = 1e-6  # log-odds
MIN_S = 0.8  # stretches of 50 ms hold a few glottal periods of any voice
_SHAM = ("causal cues", "sham")


def causal_fidelity(claims: np.ndarray, effects: np.ndarray) -> float:
    """Spearman correlation of claims and effects over stretches.

    Parameters
    ----------
    claims, effects : array, shape (n_stretches,)
        Non-negative.

    Raises
    ------
    NotApplicable
        If one of the two is the same for all stretches.

    Examples
    --------
    >>> causal_fidelity(np.array([0.1, 0.2, 0.7]), np.array([0.0, 1.0, 5.0]))
    1.0
    """
    return rank_correlation(claims, np.round(effects / LOG_ODDS_RESOLUTION))


def claimed_shares(case: Case, explained: Explained) -> np.ndarray:
    """Share of the absolute relevance in each stretch, shape (16,).

    Raises
    ------
    NotApplicable
        For a map of zeros.
    """
    values = np.abs(case.map(explained.attribution))
    edges = np.linspace(0, case.clip.duration_s, N_STRETCHES + 1)
    mass = window_relevance(values, case.grid.time_edges_s, edges)
    if not mass.sum() > 0:
        raise NotApplicable("the explanation is zero everywhere")
    return np.round(mass / mass.sum(), 9)  # ties must survive rounding errors of the resampling


def cue_effects(case: Case, cue: str) -> np.ndarray:
    """Sham-corrected absolute change of the target's log-odds by editing a cue in each stretch, shape (16,).

    Raises
    ------
    NotApplicable
        If the edit needs a voice and the clip has none.
    """
    return case.shared(("causal cues", cue), lambda: _measured(case, cue))


def _measured(case: Case, cue: str) -> np.ndarray:
    samples = case.clip.samples.astype(np.float64)
    weights = stretch_weights(samples.size, N_STRETCHES)
    if EDITS[cue].psola:
        like, before = case.shared(_SHAM, lambda: _sham(case, weights))
    else:
        like, before = samples, np.full(N_STRETCHES, case.response(case.log_odds))
    versions = edited(samples, cue, N_STRETCHES, rng(*case.seed, "causal cues", cue))
    keep_power = None if cue == "intensity" else like
    moved = [np.abs(_target_log_odds(case, faded(samples, v, weights, keep_power)) - before) for v in versions]
    return np.mean(moved, axis=0)


def _sham(case: Case, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    samples = case.clip.samples.astype(np.float64)
    sham = resynthesised(samples)
    return sham, _target_log_odds(case, faded(samples, sham, weights))


def _target_log_odds(case: Case, waveforms: np.ndarray) -> np.ndarray:
    return case.response(case.recogniser.log_odds(waveforms))


class CausalCueFidelity:
    """Rank correlation of relevance and measured effect of stretches, averaged over the edited cues.

    Parameters
    ----------
    cue : str
        One of `EDITS`; default all.
    """

    name = "causal-cue-fidelity"

    def __init__(self, cue: str = "") -> None:
        if cue and cue not in EDITS:
            raise UnknownNameError("cue edit", cue, EDITS)
        self.cues = (cue,) if cue else tuple(EDITS)

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        plan: dict[Hashable, int] = {}
        for cue in self._editable(case):
            calls_for = case.recogniser.calls_for
            plan |= {_SHAM: calls_for(N_STRETCHES)} if EDITS[cue].psola else {CLIP_LOG_ODDS: calls_for(1)}
            plan["causal cues", cue] = calls_for(N_STRETCHES) * len(EDITS[cue].amounts)
        return plan

    def _editable(self, case: Case) -> list[str]:
        """List the cues that can be edited in this clip."""
        if case.clip.duration_s < MIN_S:
            raise NotApplicable(
                f"the clip lasts {case.clip.duration_s:.2f} s; cues are edited in clips of {MIN_S} s or more"
            )
        voiced = case.shared(("causal cues", "voiced"), lambda: has_pitch(case.clip.samples))
        cues = [cue for cue in self.cues if voiced or not EDITS[cue].psola]
        if not cues:
            raise NotApplicable(UNVOICED)
        return cues

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation.

        Raises
        ------
        NotApplicable
            For clips under 0.8 s, maps that are constant over the stretches, if no cue has any effect, and for pitch
            cues alone if the clip is unvoiced.
        """
        work = self.work(case, explained)
        claims = claimed_shares(case, explained)
        if np.ptp(claims) == 0:
            raise NotApplicable("the explanation claims the same of every stretch: it says nothing about time")
        scores = []
        for cue in self._editable(case):
            try:
                scores.append(causal_fidelity(claims, cue_effects(case, cue)))
            except NotApplicable:  # this cue has no effect anywhere; others may have one
                continue
        if not scores:
            raise NotApplicable("no edit moves the recogniser")
        return Outcome(float(np.mean(scores)), sum(work.values()))
