"""Faithfulness by soft masking (L-MAC, Grad-CAM++): prediction on the clip multiplied by the normalised map.

Conventions
-----------
The positive relevance on the scoring grid, divided by its maximum, is a soft mask in 0..1: each cell of the waveform
keeps that share, the rest is the case's fill. Probabilities are the target's, one-vs-rest. All scores lie in 0..1 (the
papers give percentages). A constant map keeps the whole clip and has no drop: combine these metrics with one that
penalises large masks.

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


def average_increase(clip: float, masked: float) -> float:
    """1 if the masked clip has higher log-odds than the clip itself, else 0."""
    return float(masked > clip)


def average_drop(clip: float, masked: float) -> float:
    """Relative drop of the target's probability on the masked clip, from log-odds; 0 if it does not fall."""
    # 1 - p(masked) / p(clip) without a quotient of probabilities, which may both underflow to 0
    return float(expit(-masked) * -np.expm1(-max(0.0, clip - masked)))


def average_gain(clip: float, masked: float) -> float:
    """Rise of the probability on the masked clip relative to 1 - p(clip), from log-odds; 0 if it does not rise."""
    return average_drop(-clip, -masked)


def masked_log_odds(case: Case, explained: Explained) -> np.ndarray:
    """Log-odds of every class for the masked clip, cached per case, fill and mask."""
    keep = soft_mask(case.map(explained.attribution))

    def make() -> np.ndarray:
        return case.recogniser.log_odds(case.plane.render(keep[None], case.grid, case.fill_spectrum))[0]

    return case.shared(("masked", case.fill, keep.tobytes()), make)


class _OfMaskedClip(Metric):
    """Base class of metrics that compare the clip with the masked clip; subclasses implement `read`."""

    @abstractmethod
    def read(self, clip: np.ndarray, masked: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the index of the target."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case.one_class("a probability")
        calls = case.recogniser.calls_for(1)
        return {CLIP_LOG_ODDS: calls, ("masked", case.fill, explained.identity): calls}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        target = case.target_index
        masked = masked_log_odds(case, explained)
        return Outcome(self.read(case.log_odds, masked, target), sum(self.work(case, explained).values()))


class AverageIncrease(_OfMaskedClip):
    """Whether the target is more probable on the masked clip. Higher is better."""

    def read(self, clip: np.ndarray, masked: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the index of the target."""
        return average_increase(clip[target], masked[target])


class AverageDrop(_OfMaskedClip):
    """Relative drop of the target's probability on the masked clip. Lower is better."""

    def read(self, clip: np.ndarray, masked: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the index of the target."""
        return average_drop(clip[target], masked[target])


class AverageGain(_OfMaskedClip):
    """Rise of the target's probability on the masked clip, relative to 1 - p(clip). Higher is better."""

    def read(self, clip: np.ndarray, masked: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the index of the target."""
        return average_gain(clip[target], masked[target])


class InputFidelity(_OfMaskedClip):
    """Whether the predicted class of the masked clip is that of the clip. Higher is better."""

    def read(self, clip: np.ndarray, masked: np.ndarray, target: int) -> float:
        """Score from the log-odds of all classes and the index of the target."""
        return float(np.argmax(clip) == np.argmax(masked))
