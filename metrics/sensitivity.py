"""Robustness to small noise: does the explanation stay what it was when nothing audible has changed?

Conventions
-----------
Eight copies of the clip get white Gaussian noise of 1/8, 2/8, ... 8/8 of 2 % of the clip's norm (-52 to -34 dB) and are
explained again, each with a seed of its own: a method that cannot repeat itself is not robust. Maps lie on the scoring
grid and are compared by the Euclidean norm, ``|map' - map| / |map|``; how the method scales its maps does not count.

Sources
-------
Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations", NeurIPS: maximum sensitivity; its mean is
Bhatt et al. 2020's average. Alvarez-Melis, Jaakkola 2018, "On the robustness of interpretability methods",
arXiv:1806.08049: local Lipschitz estimate. Agarwal et al. 2022, "Rethinking stability for attribution-based
explanations", arXiv:2203.06877: relative input and output stability, here as natural logarithm, as their figures are,
since the quotient has no mean.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from ..audio import Plane
from ..datasets.clip import Clip
from ..errors import NotApplicable
from ..keys import rng
from .again import explainer_of, explanation_calls
from .case import CLIP_LOG_ODDS, Case, Explained, Metric, Outcome

COPIES = 8
RADIUS = 0.02  # of the clip's norm
SMALL = 1e-6  # of the largest cell: smaller ones count as that large in a relative change


def changes(map_: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Relative change of a map in each copy, ``|copy - map| / |map|``.

    Parameters
    ----------
    map_ : array, shape (n_freq, n_time)
    copies : array, shape (n, n_freq, n_time)

    Raises
    ------
    NotApplicable
        If the map is zero everywhere.
    """
    norm = np.linalg.norm(map_)
    if norm == 0:
        raise NotApplicable("the map is zero everywhere")
    return np.linalg.norm((copies - map_).reshape(len(copies), -1), axis=1) / norm


def local_lipschitz(change: np.ndarray, distance: np.ndarray) -> float:
    """Largest relative change of the map over that of the clip.

    Parameters
    ----------
    change, distance : array, shape (n,)
        Of the map and of the clip; distances are positive.
    """
    return float(np.max(change / distance))


def relative_change(values: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Norm of the change of each copy, cell by cell relative to the cell; tiny cells count as 1e-6 of the largest.

    Parameters
    ----------
    values : array, shape (n_freq, n_time)
    copies : array, shape (n, n_freq, n_time)

    Raises
    ------
    NotApplicable
        If all values are zero.
    """
    least = SMALL * np.abs(values).max()
    if least == 0:
        raise NotApplicable("relative changes are undefined: map or clip is zero everywhere")
    sized = np.maximum(np.abs(values), least)
    return np.linalg.norm(((copies - values) / sized).reshape(len(copies), -1), axis=1)


def relative_stability(change: np.ndarray, cause: np.ndarray) -> float:
    """Natural logarithm of the largest quotient of a change and its cause.

    Raises
    ------
    NotApplicable
        If the map never changes: the logarithm has no lower bound.
    """
    quotient = change / np.maximum(cause, SMALL)
    if quotient.max() == 0:
        raise NotApplicable("the map does not change at all")
    return float(np.log(quotient.max()))


# -- the noisy copies --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NoisyCopies:
    """Copies of the clip with a little noise.

    Attributes
    ----------
    clips : tuple of Clip
    distance : array, shape (n,)
        Norm of the noise over that of the clip.
    """

    clips: tuple[Clip, ...]
    distance: np.ndarray


def noisy_copies(case: Case) -> NoisyCopies:
    """The copies, the same for all methods; the twin of a planted clip gets the same noise.

    Raises
    ------
    NotApplicable
        For a silent clip.
    """

    def make() -> NoisyCopies:
        samples = case.clip.samples
        norm = float(np.linalg.norm(samples.astype(np.float64)))
        if norm == 0:
            raise NotApplicable("the clip is silent")
        plant = case.clip.plant
        clips, distances = [], RADIUS * np.arange(1, COPIES + 1) / COPIES
        for i, distance in enumerate(distances):
            noise = rng(*case.seed, "small noise", i).standard_normal(samples.size)
            noise = (noise * (distance * norm / np.linalg.norm(noise))).astype(np.float32)
            clips.append(case.clip.with_samples(samples + noise, None if plant is None else plant.twin + noise))
        return NoisyCopies(tuple(clips), distances)

    return case.shared("noisy copies", make)


def maps_of_copies(case: Case, explained: Explained) -> np.ndarray:
    """The method's maps of the noisy copies, shape (n, n_freq, n_time), explained once per case and method."""
    explain = explainer_of(explained)

    def make() -> np.ndarray:
        return np.stack([case.map(explain(c, "small noise", i)) for i, c in enumerate(noisy_copies(case).clips)])

    return case.shared(("maps of noisy copies", explained.attribution.method), make)


# -- the metrics -------------------------------------------------------------------------------------------------------


class _OfNoisyCopies(Metric):
    """A metric that compares the map with those of noisy copies: a subclass fills in `read`."""

    @abstractmethod
    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        calls = COPIES * explanation_calls(case, explained)
        return {("maps of noisy copies", explained.attribution.method): calls}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        copies = maps_of_copies(case, explained)
        value = self.read(case, case.map(explained.attribution), copies)
        return Outcome(value, sum(self.work(case, explained).values()))


class MaxSensitivity(_OfNoisyCopies):
    """Largest relative change of the map. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""
        return float(changes(map_, copies).max())


class AverageSensitivity(_OfNoisyCopies):
    """Mean relative change of the map. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""
        return float(changes(map_, copies).mean())


class LocalLipschitz(_OfNoisyCopies):
    """Largest relative change of the map over that of the clip. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""
        return local_lipschitz(changes(map_, copies), noisy_copies(case).distance)


class RelativeInputStability(_OfNoisyCopies):
    """Log of the largest cell-wise relative change of the map over that of the clip's magnitudes. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""
        clips = noisy_copies(case).clips
        magnitudes = np.sqrt([Plane(clip.samples).energy(case.grid) for clip in clips])
        own = np.sqrt(Plane(case.clip.samples).energy(case.grid))
        return relative_stability(relative_change(map_, copies), relative_change(own, magnitudes))


class RelativeOutputStability(_OfNoisyCopies):
    """Log of the largest cell-wise relative change of the map over the change of the log-odds. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        work = dict(super().work(case, explained))
        work[CLIP_LOG_ODDS] = 1
        work["log odds of noisy copies"] = case.recogniser.calls_for(COPIES)
        return work

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score of a map and those of the copies."""
        clips = noisy_copies(case).clips
        outputs = case.shared(
            "log odds of noisy copies",
            lambda: case.recogniser.log_odds(np.stack([clip.samples for clip in clips])),
        )
        cause = np.linalg.norm(outputs - case.log_odds, axis=1)
        return relative_stability(relative_change(map_, copies), cause)
