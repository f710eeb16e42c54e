"""Sanity checks: dependence of explanations on the network's weights, the target class and the clip.

Conventions
-----------
Similarity is Spearman's rank correlation over the cells of the scoring grid, -1..1; an unchanged map
scores 1, the failure: lower is better. The efficient version measures a rise in complexity instead: higher is better,
and 0 is the failure. Everything else is held fixed, the method's random numbers included: a method that never calls the
recogniser (`random`, `energy`) scores exactly 1, and exactly 0 in the efficient version. Input independence does not
concern the recogniser: two maps of `random` are independent, and it scores 0 on average.

Weights are randomised by permuting the entries of each parameter tensor, so each layer keeps its scale; permutations
depend on the clip and the layer. The network's layers with weights are divided into four parts, from the output to the
input; a network of fewer layers has as many parts as layers. Networks on waveforms are supported, black boxes are not.

Sources
-------
Adebayo et al. 2018, "Sanity checks for saliency maps", NeurIPS: parameter randomisation, cascading from the top or one
layer at a time. Hedström, Weber, Lapuschkin, Höhne 2023, "Sanity checks revisited", arXiv:2401.06465: efficient version
by the rise in complexity. Sixt, Granz, Landgraf 2020, "When explanations lie", ICML: another class.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from copy import deepcopy
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ..errors import InputError, NotApplicable
from ..keys import digest, rng
from ..models.recogniser import Recogniser
from .case import CLIP_LOG_ODDS, Case, Explained, Metric, Outcome
from .reexplain import ANOTHER_TARGET, calls_again, explainer_of
from .sensitivity import network_of
from .similarity import rank_correlation

R = TypeVar("R", bound=Recogniser)

PARTS = 4  # at most
BINS = 100  # of the histogram whose entropy is a map's complexity


def layers_of(network: nn.Module) -> list[nn.Module]:
    """Modules with own weights that are not constant, in registration order (input to output)."""
    return [module for module in network.modules() if any(map(_not_constant, module.parameters(recurse=False)))]


def part_of(n_layers: int) -> np.ndarray:
    """Assign layers to parts, 0 at the output; shape (n_layers,), layers from input to output.

    There are four non-empty parts, or as many as layers if there are fewer.
    """
    return (np.arange(n_layers)[::-1] * min(PARTS, n_layers)) // max(n_layers, 1)


def parts_of(case: Case) -> int:
    """Number of parts of the recogniser's network.

    Raises
    ------
    NotApplicable
        If the recogniser is a black box, or its network has no weights that are not constant.
    """
    layers = case.shared("layers with weights", lambda: len(layers_of(network_of(case.recogniser))))
    if layers == 0:
        raise NotApplicable(f"the network of recogniser {case.recogniser.name!r} has no weights that could be re-drawn")
    return min(PARTS, layers)


def randomised(recogniser: R, parts: tuple[int, ...], seed: tuple) -> R:
    """Copy of a recogniser with randomised weights in some parts of its network.

    Parameters
    ----------
    recogniser : Recogniser
    parts : tuple of int
        From 0 (at the output) to 3 (at the input).
    seed : tuple
        Identity from which permutations are seeded; that of a layer does not depend on the other parts.

    Raises
    ------
    NotApplicable
        If the recogniser is a black box.
    """
    copy = deepcopy(recogniser)
    layers = layers_of(network_of(copy))
    for i, (layer, part) in enumerate(zip(layers, part_of(len(layers)), strict=True)):
        if part in parts:
            for name, parameter in layer.named_parameters(recurse=False):
                order = rng(*seed, "weights", i, name).permutation(parameter.numel())
                with torch.no_grad():
                    shuffled = parameter.flatten()[torch.as_tensor(order, device=parameter.device)]
                    parameter.copy_(shuffled.view_as(parameter))
    copy.fingerprint = digest(recogniser.fingerprint, "randomised", parts, [str(s) for s in seed])
    return copy


def histogram_entropy(map_: np.ndarray) -> float:
    """Entropy in nats of the 100-bin histogram of a map's values; 0 for a constant map."""
    counts, _ = np.histogram(map_, bins=BINS)
    share = counts[counts > 0] / counts.sum()
    return float(-share @ np.log(share))


def complexity_rise(map_: np.ndarray, random: np.ndarray) -> float:
    """Relative rise of the map's histogram entropy when the network is randomised.

    Raises
    ------
    NotApplicable
        If the map is constant.
    """
    entropy = histogram_entropy(map_)
    if entropy == 0:
        raise NotApplicable("the map is constant: its complexity cannot rise by a share of it")
    return (histogram_entropy(random) - entropy) / entropy


def map_of_randomised(case: Case, explained: Explained, parts: tuple[int, ...]) -> np.ndarray:
    """Map of the same clip with parts of the network randomised, cached per explanation."""
    explain = explainer_of(explained)

    def make() -> np.ndarray:
        # the copy is not cached: it may be large and is used once per method
        return case.map(explain(case.clip, recogniser=randomised(case.recogniser, parts, case.seed)))

    return case.shared(("map of randomised", parts, explained.identity), make)


class _OfRandomised(Metric):
    """Base class of metrics that compare the map with those of randomised networks; subclasses implement `variants`."""

    @abstractmethod
    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """List the sets of randomised parts, one per variant, of a network with `n_parts` parts."""

    def read(self, map_: np.ndarray, random: list[np.ndarray]) -> float:
        """Score a map against those of the variants."""
        return float(np.mean([rank_correlation(map_, other) for other in random]))

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        work: dict[Hashable, int] = {}
        for parts in self.variants(parts_of(case)):
            work |= calls_again(case, explained, ("randomised", parts))
        return work

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        random = [map_of_randomised(case, explained, parts) for parts in self.variants(parts_of(case))]
        return Outcome(self.read(case.map(explained.attribution), random), calls)


class ParameterRandomisation(_OfRandomised):
    """Cascading randomisation: similarity with maps of networks random from the output down. Lower is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """Part 0; parts 0 and 1; ...; all."""
        return [tuple(range(depth + 1)) for depth in range(n_parts)]


class IndependentRandomisation(_OfRandomised):
    """Independent randomisation: similarity with maps of networks with one random part. Lower is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """Each part alone."""
        return [(part,) for part in range(n_parts)]


class EfficientRandomisation(_OfRandomised):
    """Efficient MPRT: relative rise of the map's complexity when the whole network is random. Higher is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """All parts."""
        return [tuple(range(n_parts))]

    def read(self, map_: np.ndarray, random: list[np.ndarray]) -> float:
        """Score a map against those of the variants."""
        return complexity_rise(map_, random[0])


class RandomLogit(Metric):
    """Random logit test: similarity with the map of the next likely class. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case.one_class("the next likely class")
        return {CLIP_LOG_ODDS: case.recogniser.calls_for(1)} | calls_again(case, explained, ANOTHER_TARGET)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls, explain = sum(self.work(case, explained).values()), explainer_of(explained)
        order = np.argsort(-case.log_odds, kind="stable")
        other = case.recogniser.classes[next(int(c) for c in order if c != case.target_index)]
        return Outcome(
            rank_correlation(case.map(explained.attribution), case.map(explain(case.clip, target=other))), calls
        )


class InputIndependence(Metric):
    """Similarity with the map of another clip of the same emotion, in relative time. Lower is better.

    Model calls are those of the companion explanation.
    """

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`.

        Raises
        ------
        InputError
            If the companion is missing.
        """
        other = explained.other
        if other is None:
            raise InputError("input-independence needs the companion other; give it in Explained.")
        map_ = case.map_recorded(explained.attribution)
        return Outcome(rank_correlation(map_, case.map_recorded(other, explained.other_duration_s)), other.model_calls)


def _not_constant(weights: torch.Tensor) -> bool:
    """Whether the entries are not all equal."""
    return weights.numel() > 1 and bool((weights != weights.flatten()[0]).any())
