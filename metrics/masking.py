"""Faithfulness as the audio literature measures it: what the recogniser makes of the clip seen through the explanation.

Conventions
-----------
The positive relevance on the scoring grid, divided by its maximum, is a soft mask in 0..1: each cell of the waveform
keeps that share, the rest is the case's fill. Probabilities are the target's, one-vs-rest. All scores lie in 0..1 (the
papers give percentages). A map that is the same everywhere keeps the clip as it is, and so has no drop: read these
metrics beside one that punishes large masks.

Sources
-------
Paissan, Ravanelli, Subakan 2024, "Listenable maps for audio classifiers" (L-MAC), ICML, section 4.1: average
increase, decrease (drop) and gain, input fidelity. Chattopadhay et al. 2018, "Grad-CAM++", WACV: increase and drop.
Parekh et al. 2022, "Listen to interpret", NeurIPS: fidelity to the input.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping

import numpy as np
from scipy.special import expit

from ..errors import NotApplicable
from .case import CLIP_LOG_ODDS, Case, Explained, Metric, Outcome


def soft_mask(relevance: np.ndarray) -> np.ndarray:
    """Positive relevance over its maximum, in 0..1.

    Raises
    ------
    NotApplicable
        If no cell is positive.
    """
    positive = np.clip(relevance, 0, None)
    if not positive.any():
        raise NotApplicable("the map has no positive relevance")
    return positive / positive.max()


def average_increase(clip: float, seen: float) -> float:
    """1 if the masked clip has higher log-odds than the clip itself, else 0."""
    return float(seen > clip)


def average_drop(clip: float, seen: float) -> float:
    """Share of the target's probability that is lost behind the mask, from log-odds; 0 where none is."""
    # 1 - p(seen) / p(clip) without a quotient of probabilities, which may both be 0
    return float(expit(-seen) * -np.expm1(-max(0.0, clip - seen)))


def average_gain(clip: float, seen: float) -> float:
    """Share of what is missing to probability 1 that is gained behind the mask, from log-odds; 0 where none is."""
    return average_drop(-clip, -seen)


def masked_log_odds(case: Case, explained: Explained) -> np.ndarray:
    """Log-odds of every class for the clip behind the soft mask, computed once per case, fill and mask."""
    keep = soft_mask(case.map(explained.attribution))

    def make() -> np.ndarray:
        return case.recogniser.log_odds(case.plane.render(keep[None], case.grid, case.fill_spectrum))[0]

    return case.shared(("masked", case.fill, keep.tobytes()), make)


class _OfMaskedClip(Metric):
    """A metric that compares the clip with what is seen of it through the mask: a subclass fills in `read`."""

    @abstractmethod
    def read(self, clip: np.ndarray, seen: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the place of the target's."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case.one_class("a probability")
        calls = case.recogniser.calls_for(1)
        return {CLIP_LOG_ODDS: calls, ("masked", case.fill, explained.identity): calls}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        target = case.target_index
        seen = masked_log_odds(case, explained)
        return Outcome(self.read(case.log_odds, seen, target), sum(self.work(case, explained).values()))


class AverageIncrease(_OfMaskedClip):
    """Whether the recogniser is more certain of the target behind the mask. Higher is better."""

    def read(self, clip: np.ndarray, seen: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the place of the target's."""
        return average_increase(clip[target], seen[target])


class AverageDrop(_OfMaskedClip):
    """Share of the target's probability lost behind the mask. Lower is better."""

    def read(self, clip: np.ndarray, seen: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the place of the target's."""
        return average_drop(clip[target], seen[target])


class AverageGain(_OfMaskedClip):
    """Share of the missing certainty that is gained behind the mask. Higher is better."""

    def read(self, clip: np.ndarray, seen: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the place of the target's."""
        return average_gain(clip[target], seen[target])


class InputFidelity(_OfMaskedClip):
    """Whether the recogniser decides behind the mask as it does on the clip. Higher is better."""

    def read(self, clip: np.ndarray, seen: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the place of the target's."""
        return float(np.argmax(clip) == np.argmax(seen))
