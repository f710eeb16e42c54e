"""Statements about cues ("the pitch is higher than this speaker's neutral"): whether they are true, and used.

Conventions
-----------
A statement names a clip, a cue of `cues.records.REGION_CUES`, a *direction* (1: more, -1: less than the same speaker's
neutral voice) and optionally a span of time; without one it is about the whole clip. Two questions are kept apart:

*true*: is it so in the recording? The cue is measured in the windows of 150 ms that lie in the span for the most part,
and compared with as many windows of the speaker's neutral clips (`cues.neutral`). It is true where the distance in
that direction is at least one standard deviation (`NOTICEABLE`).

*used*: does the recogniser rely on it there? The cue is edited in the span (`metrics.cue_edits`) against the stated
direction where an edit can, else along it; the *effect* is how far that lowers (or raises) the target's log-odds,
beyond a sham resynthesis. ``used`` is the share of all cues and directions that can be edited in the same span whose
effect is smaller, ties half: 0.5 for a statement drawn at random, 1 for the one that matters most.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from ..audio import SAMPLE_RATE
from ..cues.neutral import MIN_CLIPS
from ..cues.records import REGION_CUES
from ..cues.windows import window_edges
from ..errors import NotApplicable
from ..keys import rng
from .case import Case
from .cue_edits import EDITS, FADE_S, edited, faded, has_pitch, resynthesised
from .planted_cues import FamilyCounts, family_counts

NOTICEABLE = 1.0  # standard deviations of the speaker's neutral windows
MORE, LESS = 1, -1
# edit of each cue, and the direction in which the edit's larger amounts move it; None: the amount's own sign
EDIT_OF: Mapping[str, str] = MappingProxyType(
    {
        "f0_level": "f0_level", "f0_variability": "f0_range", "loudness": "intensity",
        "high_frequency_energy": "tilt", "jitter": "jitter", "hnr": "noise",
    }
)  # fmt: skip
MIN_SPAN_S = 0.05


def moves(cue: str) -> np.ndarray:
    """Direction in which each amount of a cue's edit moves the cue, int, shape (n_amounts,)."""
    edit = EDIT_OF[cue]
    amounts = np.asarray(EDITS[edit].amounts)
    if edit == "f0_range":
        return np.sign(amounts - 1).astype(int)
    if edit == "noise":
        return np.full(amounts.size, LESS)  # more noise is a lower ratio of harmonics to noise
    return np.sign(amounts).astype(int)


def span_of(case: Case, span: tuple[float, float] | None) -> tuple[float, float]:
    """The span inside the clip, in seconds.

    Raises
    ------
    NotApplicable
        If less than 50 ms of it lie in the clip.
    """
    start, end = span or (0.0, case.clip.duration_s)
    start, end = max(start, 0.0), min(end, case.clip.duration_s)
    if end - start < MIN_SPAN_S:
        raise NotApplicable(f"the span has less than {MIN_SPAN_S:g} s in the clip of {case.clip.duration_s:.2f} s")
    return start, end


def distance_from_neutral(case: Case, cue: str, span: tuple[float, float] | None = None) -> float:
    """Distance of a cue in a span from the speaker's neutral voice, in standard deviations.

    Parameters
    ----------
    case : Case
        With the windows of the speaker's neutral clips.
    cue : str
        One of `REGION_CUES`.
    span : (float, float), optional
        In seconds.

    Raises
    ------
    NotApplicable
        If no window lies in the span, nothing is known of the speaker, or the cue cannot be measured or compared.
    """
    if case.neutral is None:
        raise NotApplicable("no neutral clips of the speaker are known")
    start, end = span_of(case, span)
    edges = window_edges(case.clip.duration_s)
    inside = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    windows = inside > np.diff(edges) / 2
    if not windows.any():
        windows[np.argmax(inside)] = True
    neutral = case.neutral()
    # as many as three neutral clips have: a whole clip may be longer than them
    lengths = sorted((cues.n_windows for cues in neutral.clips.values()), reverse=True)
    size = min(int(windows.sum()), lengths[MIN_CLIPS - 1] if len(lengths) >= MIN_CLIPS else int(windows.sum()))
    values = case.window_cues.values(windows[None])[0][0]
    z = neutral.values(size).z(values)[REGION_CUES.index(cue)]
    if not np.isfinite(z):
        raise NotApplicable("the cue cannot be measured there, or levels of this corpus cannot be compared")
    return float(z)


def span_effects(case: Case, span: tuple[float, float] | None = None) -> dict[tuple[str, int], float]:
    """How much the target's log-odds rest on each cue being more, or less, in a span.

    Parameters
    ----------
    case : Case
    span : (float, float), optional

    Returns
    -------
    dict of (str, int) to float
        By cue and direction, in log-odds: the fall when the cue is moved back, or where no edit can, the rise when it
        is moved on. Without pitch edits where nothing is voiced.
    """
    start, end = span_of(case, span)
    return case.shared(("statements", start, end), lambda: _effects(case, start, end))


def _whole(case: Case, edit: str) -> np.ndarray:
    """Copies of the whole clip with one cue edited, one for each strength."""
    return edited(case.clip.samples.astype(np.float64), edit, 1, rng(*case.seed, "statements", edit))


def _effects(case: Case, start: float, end: float) -> dict[tuple[str, int], float]:
    samples = case.clip.samples.astype(np.float64)
    weights = span_weights(samples.size, start, end)
    voiced = case.shared(("causal cues", "voiced"), lambda: has_pitch(case.clip.samples))
    sham = resynthesised(samples) if voiced else samples
    copies, like = [faded(samples, samples, weights), faded(samples, sham, weights)], []
    for cue, edit in EDIT_OF.items():
        if EDITS[edit].psola and not voiced:
            continue
        reference = sham if EDITS[edit].psola else samples
        versions = case.shared(("edited whole", edit), partial(_whole, case, edit))
        power = None if edit == "intensity" else reference
        copies += [faded(samples, version, weights, power) for version in versions]
        like.append((cue, int(EDITS[edit].psola), len(versions)))
    y = case.response(case.recogniser.log_odds(np.concatenate(copies)))
    found, at = {}, 2
    for cue, which, n in like:
        change, direction = y[at : at + n] - y[which], moves(cue)
        at += n
        for stated in (MORE, LESS):
            back = direction == -stated
            found[cue, stated] = float(-change[back].mean() if back.any() else change[~back].mean())
    return found


def span_weights(n_samples: int, start_s: float, end_s: float) -> np.ndarray:
    """Crossfade weight of an edit in one span, raised-cosine ramps of 5 ms, float64, shape (1, n_samples)."""
    times = (np.arange(n_samples) + 0.5) / SAMPLE_RATE

    def begun(edge: float) -> np.ndarray:
        return 0.5 - 0.5 * np.cos(np.pi * np.clip((times - edge) / (2 * FADE_S) + 0.5, 0, 1))

    first = np.ones(n_samples) if start_s <= 0 else begun(start_s)
    last = np.zeros(n_samples) if end_s >= n_samples / SAMPLE_RATE else begun(end_s)
    weights: np.ndarray = (first - last)[None]
    return weights


def rank_among(effects: Mapping[tuple[str, int], float], cue: str, direction: int) -> float:
    """Share of the other cues and directions with a smaller effect, ties half, 0..1.

    Raises
    ------
    NotApplicable
        If the cue has no edit, or nothing to compare it with has one.

    Examples
    --------
    >>> rank_among({("jitter", 1): 0.1, ("hnr", 1): 2.0, ("hnr", -1): -1.0}, "hnr", 1)
    1.0
    """
    if (cue, direction) not in effects:
        raise NotApplicable(f"cue {cue!r} cannot be edited in this clip")
    own = effects[cue, direction]
    others = np.array([value for key, value in effects.items() if key != (cue, direction)])
    if not others.size:
        raise NotApplicable("no other cue can be edited in this clip")
    return float(((others < own) + 0.5 * (others == own)).mean())


def planted_families(stated: Mapping[str, float], planted: Mapping[str, float]) -> FamilyCounts:
    """Families of cues stated, planted, and stated in the planted direction.

    Parameters
    ----------
    stated : mapping of str to float
        Cue to the sum of directions times weights: its sign is what is stated.
    planted : mapping of str to float
        ``clip.plant.cues``.
    """
    claimed, truth = (np.sign([float(of.get(cue, 0.0)) for cue in REGION_CUES]).astype(int) for of in (stated, planted))
    return family_counts(claimed, truth)
