"""Sanity: does the explanation depend on what it is said to explain, the network's weights, the class, the clip?

Conventions
-----------
Similarity is Spearman's rank correlation over the cells of the scoring grid, -1..1; a map that did not change has 1,
and that is the failure: lower is better. The efficient version measures a rise in complexity instead: higher is better,
and the failure is 0. All but the one thing in question stays, the draws of the method included: a method that never
asks the recogniser (`random`, `energy`) scores exactly 1, and exactly 0 in the efficient version. Input independence
alone does not ask about the recogniser: two maps of `random` have nothing in common, and it scores 0 on average.

Weights are re-drawn by permuting the entries of each parameter tensor, so each layer keeps its scale; draws depend on
the clip and the layer. The network's layers with weights are cut into four parts, from the output to the input; a
network of fewer layers has as many parts as layers. Networks on waveforms count as well; black boxes have no weights.

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
from .reexplain import explainer_of, explanation_calls
from .robustness import rank_correlation
from .sensitivity import network_of

R = TypeVar("R", bound=Recogniser)

PARTS = 4  # at most
BINS = 100  # of the histogram whose entropy is a map's complexity


def layers_of(network: nn.Module) -> list[nn.Module]:
    """Modules with weights of their own that a permutation can change, from input to output as they are registered."""
    return [module for module in network.modules() if any(map(_differ, module.parameters(recurse=False)))]


def part_of(n_layers: int) -> np.ndarray:
    """Part of each layer, 0 for those at the output; shape (n_layers,), layers from input to output.

    There are four parts, or as many as layers where these are fewer; none is empty.
    """
    return (np.arange(n_layers)[::-1] * min(PARTS, n_layers)) // max(n_layers, 1)


def parts_of(case: Case) -> int:
    """Number of parts of the network of a case's recogniser.

    Raises
    ------
    NotApplicable
        If the recogniser is a black box, or its network has no weights that a permutation could change.
    """
    layers = case.shared("layers with weights", lambda: len(layers_of(network_of(case.recogniser))))
    if layers == 0:
        raise NotApplicable(f"the network of recogniser {case.recogniser.name!r} has no weights that could be re-drawn")
    return min(PARTS, layers)


def randomised(recogniser: R, parts: tuple[int, ...], seed: tuple) -> R:
    """A copy of a recogniser with the weights of some parts of its network re-drawn; the original is not touched.

    Parameters
    ----------
    recogniser : Recogniser
    parts : tuple of int
        From 0 (at the output) to 3 (at the input).
    seed : tuple
        Identity parts of the draw; a layer is re-drawn alike whatever other parts are.

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
    """Entropy, in nats, of the histogram of a map's values in 100 bins of their range; 0 for a constant map."""
    counts, _ = np.histogram(map_, bins=BINS)
    share = counts[counts > 0] / counts.sum()
    return float(-share @ np.log(share))


def complexity_rise(map_: np.ndarray, random: np.ndarray) -> float:
    """Rise in complexity of the map when the network is random, relative to that of the map.

    Raises
    ------
    NotApplicable
        If the map is constant.
    """
    own = histogram_entropy(map_)
    if own == 0:
        raise NotApplicable("the map is constant: its complexity cannot rise by a share of it")
    return (histogram_entropy(random) - own) / own


def map_of_randomised(case: Case, explained: Explained, parts: tuple[int, ...]) -> np.ndarray:
    """The method's map of the same clip with parts of the network random, explained once for each explanation."""
    explain = explainer_of(explained)

    def make() -> np.ndarray:
        # the copy is not kept: it may be large, and each method asks once
        return case.map(explain(case.clip, recogniser=randomised(case.recogniser, parts, case.seed)))

    return case.shared(("map of randomised", parts, explained.identity), make)


class _OfRandomised(Metric):
    """A metric that compares the map with those of partly random networks: a subclass fills in `variants`."""

    @abstractmethod
    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """The random parts of each network that is explained, no two alike, where it has `n_parts` parts."""

    def read(self, map_: np.ndarray, random: list[np.ndarray]) -> float:
        """Score of a map and those of the variants."""
        return float(np.mean([rank_correlation(map_, other) for other in random]))

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        variants, calls = self.variants(parts_of(case)), explanation_calls(case, explained)
        return {("map of randomised", parts, explained.identity): calls for parts in variants}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        random = [map_of_randomised(case, explained, parts) for parts in self.variants(parts_of(case))]
        return Outcome(self.read(case.map(explained.attribution), random), calls)


class ParameterRandomisation(_OfRandomised):
    """Similarity with the maps of networks that are random from the output down to a part. Lower is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """Part 0; parts 0 and 1; ...; all."""
        return [tuple(range(depth + 1)) for depth in range(n_parts)]


class IndependentRandomisation(_OfRandomised):
    """Similarity with the maps of networks of which one part is random. Lower is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """Each part alone."""
        return [(part,) for part in range(n_parts)]


class EfficientRandomisation(_OfRandomised):
    """Relative rise of the map's complexity when the whole network is random. Higher is better."""

    def variants(self, n_parts: int) -> list[tuple[int, ...]]:
        """All parts."""
        return [tuple(range(n_parts))]

    def read(self, map_: np.ndarray, random: list[np.ndarray]) -> float:
        """Score of a map and those of the variants."""
        return complexity_rise(map_, random[0])


class RandomLogit(Metric):
    """Similarity with the map of the class that the recogniser finds next likely. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        case.one_class("the next likely class")
        clip, again = case.recogniser.calls_for(1), explanation_calls(case, explained)
        return {CLIP_LOG_ODDS: clip, ("map of another class", explained.identity): again}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls, explain = sum(self.work(case, explained).values()), explainer_of(explained)
        order = np.argsort(-case.log_odds, kind="stable")
        other = case.recogniser.classes[next(int(c) for c in order if c != case.target_index)]
        return Outcome(
            rank_correlation(case.map(explained.attribution), case.map(explain(case.clip, target=other))), calls
        )


class InputIndependence(Metric):
    """Similarity with the method's map of another clip of the same emotion, in relative time. Lower is better.

    Its model calls are those of the companion explanation.
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
        own = case.map_recorded(explained.attribution)
        return Outcome(rank_correlation(own, case.map_recorded(other, explained.other_duration_s)), other.model_calls)


def _differ(weights: torch.Tensor) -> bool:
    """Whether not all entries are the same."""
    return weights.numel() > 1 and bool((weights != weights.flatten()[0]).any())
