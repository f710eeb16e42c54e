"""Neutral agreement: cues of salient windows relative to the same speaker's neutral voice, beyond model-blind rules.

Conventions
-----------
The salient windows of an explanation are those of `direction-agreement` (five of 150 ms at most). Each cue inside them
is expressed in standard deviations of as many windows of the same speaker's neutral clips, without the explained clip
(`cues.neutral`); this is what sources state directions of. Level cues are left out where the corpus declares levels not
comparable. The *agreement* of a set of windows is the mean over sources of the mean over the cues that the source
expects to change of ``d z / (1 + |z|)``, with d the expected direction: -1..1, 0 like neutral. A cue that cannot be
measured there counts 0, so that windows without voice gain nothing by it. Only rows of the table of sources that are
not merely recalled count. Neutral targets have no direction.

Agreement alone scores the clip: every window of an angry clip is louder and higher than neutral. Two scores need more:

``neutral-agreement``  agreement minus the largest agreement of the *rivals* `RIVALS`, which know the target and not the
    recogniser and take as many windows. A listed rival scores at most 0. It remains a function of windows, clip and
    target alone, so that a rule that reads cues can win it (`best_windows` is the attainable largest): it describes
    explanations and does not rank them.
``neutral-agreement-trained``  agreement minus that of the same method's windows when all weights of the network are
    permuted (mean of two permutations). Any rule that does not call the recogniser scores exactly 0, listed or not.

0 is chance in both; higher is better.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from ..cues.neutral import NeutralReference
from ..cues.windows import TOP, WindowCues
from ..errors import NotApplicable
from ..keys import rng
from ..methods.attribution import Attribution
from ..methods.explainer import Request
from ..methods.records import make_method
from .case import Case, Explained, Outcome
from .plausibility import DRAWS, KEEP, MIN_VOICED_FRAMES, expected_directions
from .reexplain import calls_again, explainer_of
from .salience_contrast import timed_windows, window_scores
from .sanity import parts_of, randomised

RIVALS_VERSION = "1"  # of the list; part of every record that refers to it
RANDOM_WINDOWS = "random windows"  # matched to the explanation's own in voiced time and energy
RIVALS = (RANDOM_WINDOWS, "energy", "loud-quiet")  # the others are registered methods that never call the recogniser
PERMUTATIONS = 2  # of the weights


def agreement(z: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Agreement of standardised cues with expected directions, averaged over sources.

    Parameters
    ----------
    z : array, shape (..., n_cues)
        In standard deviations of the speaker's neutral windows; NaN for cues that cannot be measured, which count 0.
    expected : array of int, shape (n_sources, n_cues)
        1, -1, or 0 where the source expects no change. Sources without any expected change are left out.

    Returns
    -------
    array, shape (...)
        In -1..1; 0 if no source expects a change.

    Examples
    --------
    >>> agreement(np.array([3.0, -1.0, np.nan]), np.array([[1, 1, 1], [1, -1, 0]])).item()
    0.3541666666666667
    """
    expected = np.asarray(expected)
    expected = expected[(expected != 0).any(axis=1)]
    if not len(expected):
        return np.zeros(np.shape(z)[:-1])
    known = np.nan_to_num(np.asarray(z, dtype=np.float64), nan=0.0)
    squashed = known / (1 + np.abs(known))
    weights = (expected / (expected != 0).sum(axis=1, keepdims=True)).mean(axis=0)
    found: np.ndarray = squashed @ weights
    return found


class WindowAgreement(NamedTuple):
    """Agreement of sets of windows of one clip.

    Attributes
    ----------
    cues : WindowCues
    reference : NeutralReference
    expected : array of int, shape (n_sources, n_cues)
    """

    cues: WindowCues
    reference: NeutralReference
    expected: np.ndarray

    def of(self, sets: np.ndarray) -> np.ndarray:
        """Agreement of sets of equally many windows, shape (n_sets,).

        Parameters
        ----------
        sets : array of bool, shape (n_sets, n_windows)

        Raises
        ------
        NotApplicable
            If the speaker has too few neutral clips, or no expected cue can be compared.
        """
        neutral = self.reference.values(int(sets[0].sum()))
        compared = np.isfinite(neutral.sd)
        expected = np.where(compared, self.expected, 0)
        if not expected.any():
            raise NotApplicable("no expected cue can be compared with the speaker's neutral windows")
        return agreement(neutral.z(self.cues.values(sets)[0]), expected)

    def best_windows(self, size: int) -> np.ndarray:
        """Windows chosen to agree: the best ones alone, then exchanges until none helps; bool, shape (n_windows,).

        The ceiling of what windows of this clip can score; no rival, since it reads the cues that are scored.
        """
        alone = self.of(np.eye(self.cues.n_windows, dtype=bool))
        chosen = np.zeros(self.cues.n_windows, dtype=bool)
        chosen[np.argsort(-alone, kind="stable")[:size]] = True
        while True:
            swaps = [(i, j) for i in np.flatnonzero(chosen) for j in np.flatnonzero(~chosen)]
            if not swaps:
                return chosen
            sets = np.repeat(chosen[None], len(swaps), axis=0)
            for row, (i, j) in enumerate(swaps):
                sets[row, i], sets[row, j] = False, True
            scores = self.of(sets)
            if scores.max() <= self.of(chosen[None])[0] + 1e-12:
                return chosen
            chosen = sets[int(scores.argmax())]


def case_agreement(case: Case) -> WindowAgreement:
    """Agreement of windows of a case's clip, cached.

    Raises
    ------
    NotApplicable
        For contrasts and neutral targets, emotions without a checked source, clips shorter than two windows or with
        less than 200 ms of voice, and where no neutral clips of the speaker are known.
    """
    target = case.one_class("what a source expects")
    expected = expected_directions(target)
    if case.neutral is None:
        raise NotApplicable("no neutral clips of the speaker are known here")
    tracks = case.clip.cue_tracks
    voiced = int(tracks.voiced.sum())
    if voiced < MIN_VOICED_FRAMES:
        raise NotApplicable(f"{voiced * 10} ms of voice in the clip, at least {MIN_VOICED_FRAMES * 10} ms needed")
    reference = case.shared("speaker's neutral windows", case.neutral)
    return WindowAgreement(case.window_cues, reference, expected)


def chosen_windows(case: Case, attribution: Attribution, size: int = TOP) -> np.ndarray:
    """Salient windows of an attribution, bool, shape (n_windows,); ties are broken alike in all explanations.

    Parameters
    ----------
    case : Case
    attribution : Attribution
    size : int, optional
        At most so many.

    Raises
    ------
    NotApplicable
        As `salience_contrast.timed_windows`.
    """
    _, scores = window_scores(attribution, case.clip.duration_s)
    return timed_windows(scores, rng(*case.seed, "neutral agreement", "ties"), size)


def rival_agreements(case: Case, salient: np.ndarray, windows: WindowAgreement) -> dict[str, float]:
    """Agreement of each of `RIVALS` with as many windows as `salient`; without those that have none."""
    size = int(salient.sum())
    generator = rng(*case.seed, "neutral agreement", RANDOM_WINDOWS)
    controls = windows.cues.matched_sets(salient, generator, DRAWS, KEEP)
    found = {RANDOM_WINDOWS: float(windows.of(controls).mean())} if len(controls) else {}
    for name in RIVALS[1:]:
        try:
            found[name] = case.shared(("agreement of", name, size), partial(_of_rival, case, name, size, windows))
        except NotApplicable:
            continue
    return found


def _of_rival(case: Case, name: str, size: int, windows: WindowAgreement) -> float:
    request = Request(case.recogniser, case.clip, case.target)
    attribution = case.shared(("map of", name), lambda: make_method(name).attribute(request))
    return float(windows.of(chosen_windows(case, attribution, size)[None])[0])


class NeutralAgreement:
    """Agreement with the sources beyond the best rival without a model. Higher is better, 0 as good as that rival."""

    name = "neutral-agreement"

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            As `case_agreement`; for maps without positive relevance or without resolution in time; and if the speaker
            has too few neutral clips.
        """
        windows = case_agreement(case)
        salient = chosen_windows(case, explained.attribution)
        own = float(windows.of(salient[None])[0])
        rivals = rival_agreements(case, salient, windows)
        if not rivals:
            raise NotApplicable("no rival has as many windows")
        return Outcome(own - max(rivals.values()), 0)


class TrainedAgreement:
    """Agreement with the sources beyond that of the same method on permuted weights. Higher is better."""

    name = "neutral-agreement-trained"

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case_agreement(case)
        parts_of(case)
        work: dict[Hashable, int] = {}
        for draw in range(PERMUTATIONS):
            work |= calls_again(case, explained, ("permuted", draw))
        return work

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one attribution.

        Raises
        ------
        NotApplicable
            As `NeutralAgreement.score`; for black boxes, and methods above the limit of model calls.
        """
        calls = sum(self.work(case, explained).values())
        windows, explain = case_agreement(case), explainer_of(explained)
        own = float(windows.of(chosen_windows(case, explained.attribution)[None])[0])
        others = []
        for draw in range(PERMUTATIONS):
            copy = randomised(case.recogniser, tuple(range(parts_of(case))), (*case.seed, "permuted", draw))
            try:
                salient = chosen_windows(case, explain(case.clip, recogniser=copy))
                others.append(float(windows.of(salient[None])[0]))
            except NotApplicable:  # nothing positive is left on this permutation
                continue
        if not others:
            raise NotApplicable("no map on permuted weights has positive relevance")
        return Outcome(own - float(np.mean(others)), calls)
