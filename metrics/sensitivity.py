"""Sensitivity and stability metrics: change of the explanation under small additive noise.

Conventions
-----------
Eight copies of the clip get white Gaussian noise of 1/8, 2/8, ... 8/8 of 2 % of the clip's norm (-52 to -34 dB) and are
explained again, each with its own seed, so that the variance of stochastic methods counts. Maps lie on the scoring grid
and are compared by the Euclidean norm, ``|map' - map| / |map|``, which is invariant to the scale of the maps.

The relative stabilities are logarithms of a quotient. A cause (the change of clip, representation or log-odds) is at
least 1e-6, to avoid division by 0. If the map changes in no copy the logarithm is not finite and the clip has no score,
although this is the best case: means are over the clips on which the map changes. See the sensitivities, which are 0
there, and the coverage.

Sources
-------
Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations", NeurIPS: maximum sensitivity; its mean is Bhatt
et al. 2020's average. Alvarez-Melis, Jaakkola 2018, "On the robustness of interpretability methods", arXiv:1806.08049:
local Lipschitz estimate. Agarwal et al. 2022, "Rethinking stability for attribution-based explanations",
arXiv:2203.06877: relative input, representation and output stability, here as natural logarithm, as their figures are,
since the quotient has no mean. They do not specify the representation; here it is the input of the last layer with
weights, the embedding in front of a linear head.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..audio import Plane
from ..datasets.clip import Clip
from ..errors import NotApplicable
from ..keys import rng
from ..models.recogniser import Recogniser, TorchRecogniser
from ..models.waveform import WaveformRecogniser
from .case import CLIP_LOG_ODDS, Case, Explained, Metric, Outcome
from .reexplain import calls_again, explainer_of

COPIES = 8
RADIUS = 0.02  # of the clip's norm
SMALL = 1e-6  # lower bound of cells (relative to the largest) and of causes in quotients


def changes(map_: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Relative change of the map in each copy, ``|copy - map| / |map|``.

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
    """Local Lipschitz estimate: largest relative change of the map over that of the clip.

    Parameters
    ----------
    change, distance : array, shape (n,)
        Relative changes of the map and of the clip; distances are positive.
    """
    return float(np.max(change / distance))


def relative_change(values: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Norm of the cell-wise relative change of each copy; cells are bounded below by 1e-6 of the largest.

    Parameters
    ----------
    values : array, any shape
    copies : array, shape (n, *values.shape)

    Raises
    ------
    NotApplicable
        If all values are zero.
    """
    least = SMALL * np.abs(values).max()
    if least == 0:
        raise NotApplicable("relative changes are undefined: map, clip or representation is zero everywhere")
    sized = np.maximum(np.abs(values), least)
    return np.linalg.norm(((copies - values) / sized).reshape(len(copies), -1), axis=1)


def relative_stability(change: np.ndarray, cause: np.ndarray) -> float:
    """Natural logarithm of the largest quotient of change and cause.

    Parameters
    ----------
    change, cause : array, shape (n,)
        Non-negative; causes are bounded below by 1e-6.

    Raises
    ------
    NotApplicable
        If the map never changes: the logarithm would be minus infinity.
    """
    quotient = change / np.maximum(cause, SMALL)
    if quotient.max() == 0:
        raise NotApplicable("the map does not change at all")
    return float(np.log(quotient.max()))


# -- the noisy copies --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NoisyCopies:
    """Copies of the clip with small additive noise.

    Attributes
    ----------
    clips : tuple of Clip
    distance : array, shape (n,)
        Norm of the noise relative to that of the clip.
    """

    clips: tuple[Clip, ...]
    distance: np.ndarray


def noisy_copies(case: Case) -> NoisyCopies:
    """Noisy copies of the clip, the same for all methods; the twin of a planted clip gets the same noise.

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
    """Maps of the noisy copies, shape (n, n_freq, n_time), cached per explanation."""
    explain = explainer_of(explained)

    def make() -> np.ndarray:
        return np.stack([case.map(explain(c, "small noise", i)) for i, c in enumerate(noisy_copies(case).clips)])

    return case.shared(("maps of noisy copies", explained.identity), make)


# -- representations ---------------------------------------------------------------------------------------------------


def network_of(recogniser: Recogniser) -> nn.Module:
    """Torch module of a recogniser.

    Raises
    ------
    NotApplicable
        If the recogniser is a black box.
    """
    if isinstance(recogniser, TorchRecogniser):
        return recogniser.network
    if isinstance(recogniser, WaveformRecogniser):
        return recogniser.module
    raise NotApplicable(f"recogniser {recogniser.name!r} is a black box: it has no network to look into")


def representations(recogniser: Recogniser, clip: np.ndarray, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of the last layer with own weights, for a clip and its copies.

    Parameters
    ----------
    recogniser : Recogniser
        Evaluated on the clip, then on the copies.
    clip : array, shape (n_samples,)
    copies : array, shape (n, n_samples)

    Returns
    -------
    clean : array, float64, shape (n_units,)
    changed : array, float64, shape (n, n_units)

    Raises
    ------
    NotApplicable
        If the recogniser is a black box, or the layer's input does not have one row per waveform.
    """
    layers = [m for m in network_of(recogniser).modules() if [*m.parameters(recurse=False), *m.buffers(recurse=False)]]
    with _inputs_of(layers, keep=1) as entered:
        recogniser.log_odds(clip[None])
    last, clean = entered[-1] if entered else (None, torch.empty(0))
    if last is None or len(clean) != 1:
        raise NotApplicable(f"the last layer of recogniser {recogniser.name!r} is not given one row for each waveform")
    with _inputs_of([last]) as entered:
        recogniser.log_odds(copies)
    changed = torch.cat([rows for _, rows in entered])[: len(copies)]  # the last batch is padded
    return clean[0].flatten().double().cpu().numpy(), changed.flatten(1).double().cpu().numpy()


@contextmanager
def _inputs_of(layers: Sequence[nn.Module], keep: int | None = None) -> Iterator[deque[tuple[nn.Module, torch.Tensor]]]:
    """Record the inputs of layers inside the block, in call order; only the latest `keep` of them."""
    entered: deque[tuple[nn.Module, torch.Tensor]] = deque(maxlen=keep)

    def note(layer: nn.Module, arguments: tuple) -> None:
        if arguments and isinstance(arguments[0], torch.Tensor):
            entered.append((layer, arguments[0].detach()))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield entered
    finally:
        for hook in hooks:
            hook.remove()


# -- the metrics -------------------------------------------------------------------------------------------------------


class _OfNoisyCopies(Metric):
    """Base class of metrics that compare the map with those of noisy copies; subclasses implement `read`."""

    @abstractmethod
    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return calls_again(case, explained, "noisy copies", COPIES)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        copies = maps_of_copies(case, explained)
        return Outcome(self.read(case, case.map(explained.attribution), copies), calls)


class MaxSensitivity(_OfNoisyCopies):
    """Largest relative change of the map. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""
        return float(changes(map_, copies).max())


class AverageSensitivity(_OfNoisyCopies):
    """Mean relative change of the map. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""
        return float(changes(map_, copies).mean())


class LocalLipschitz(_OfNoisyCopies):
    """Largest relative change of the map over that of the clip. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""
        return local_lipschitz(changes(map_, copies), noisy_copies(case).distance)


class RelativeInputStability(_OfNoisyCopies):
    """Log of the largest cell-wise relative change of the map over that of the clip's magnitudes. Lower is better."""

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""
        clips = noisy_copies(case).clips
        magnitudes = np.sqrt([Plane(clip.samples).energy(case.grid) for clip in clips])
        clean = np.sqrt(Plane(case.clip.samples).energy(case.grid))
        return relative_stability(relative_change(map_, copies), relative_change(clean, magnitudes))


class RelativeRepresentationStability(_OfNoisyCopies):
    """Log of the largest relative change of the map over that of the network's representation. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        network_of(case.recogniser)
        calls = 1 + case.recogniser.calls_for(COPIES)
        return {**super().work(case, explained), "representations of noisy copies": calls}

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""

        def cause() -> np.ndarray:
            noisy = np.stack([clip.samples for clip in noisy_copies(case).clips])
            return relative_change(*representations(case.recogniser, case.clip.samples, noisy))

        return relative_stability(relative_change(map_, copies), case.shared("representations of noisy copies", cause))


class RelativeOutputStability(_OfNoisyCopies):
    """Log of the largest cell-wise relative change of the map over the change of the log-odds. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        work = dict(super().work(case, explained))
        work[CLIP_LOG_ODDS] = case.recogniser.calls_for(1)
        work["log odds of noisy copies"] = case.recogniser.calls_for(COPIES)
        return work

    def read(self, case: Case, map_: np.ndarray, copies: np.ndarray) -> float:
        """Score a map against those of the copies."""
        clips = noisy_copies(case).clips
        outputs = case.shared(
            "log odds of noisy copies",
            lambda: case.recogniser.log_odds(np.stack([clip.samples for clip in clips])),
        )
        cause = np.linalg.norm(outputs - case.log_odds, axis=1)
        return relative_stability(relative_change(map_, copies), cause)
