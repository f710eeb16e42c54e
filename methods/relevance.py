"""Layer-wise relevance propagation with zennit's rules (Bach et al. 2015, PLoS ONE 10(7), e0130140).

Conventions
-----------
* The propagated quantity is the target's *logit*, or the difference of two logits, not the log-odds that metrics use:
  propagation is defined on the linear output layer. The two differ where the input changes other classes' logits.
* Rules act on a canonical copy of the network (see `canonical`), whose logits are compared with the network's on every
  clip.
* Biases are left out of the denominators by default, and relevance that a rule cannot assign is distributed uniformly
  over the neuron's inputs: that of a neuron driven by its bias alone, or without a contribution of the sign that the
  rule uses (the z-plus rule would lose up to a sixth of the logit on the bundled recogniser). Relevance is then
  conserved, |sum R - f| < 1e-3 |f|; the ratio sum R / f is reported as ``conserved``. With biases kept, the rules are
  zennit's own, and ``bias_share`` is the share of relevance lost to biases.
* In the first layer inputs are measured from silence, as in ``input-x-gradient``: the zero of a scaled log-mel feature
  is arbitrary. The flat rule does not depend on input values.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import InputError, NotApplicable
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .canonical import Canonical, Mean, canonical, check_logits
from .explainer import Explainer, Request
from .gradient import attribution
from .inspection import View, on_features, view_of

from zennit import rules, types  # isort: skip
from zennit.core import BasicHook, Composite, Hook  # isort: skip
from zennit.layer import Sum  # isort: skip

EPSILON = 1e-6
GAMMA = 0.25

LayerMap = list[tuple[Any, Hook]]


@dataclass(frozen=True, eq=False)
class Propagation:
    """Propagation of one clip's relevance through a canonical network with rules attached as hooks.

    Attributes
    ----------
    form : Canonical
    view : View
    layers : list of (type, rule)
        The first match applies.
    first : rule, optional
        Rule of layers whose input is the feature map; default as for other layers.
    unit : bool
        Start with relevance 1 at the output instead of the logit.
    """

    form: Canonical
    view: View
    layers: LayerMap
    first: Hook | None
    unit: bool

    def composite(self) -> Composite:
        """Build the zennit composite with the rule of each layer."""

        def rule(context: dict[str, Any], name: str, module: nn.Module) -> Hook | None:
            hook = next((hook for kinds, hook in self.layers if isinstance(module, kinds)), None)
            if name not in self.form.first or hook is None:
                return hook
            return from_silence(self.first or hook, self.view.silence)

        return Composite(module_map=rule)

    def start(self, logits: torch.Tensor) -> torch.Tensor:
        """Initial relevance at the outputs, shape (1, n_classes): the signed explained logits, 0 elsewhere."""
        outputs = (torch.ones_like(logits) if self.unit else logits).detach().requires_grad_()
        weights = torch.autograd.grad(self.view.request.response(outputs).sum(), outputs)[0]
        return (weights * outputs).detach()

    def run(self, backward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any]) -> Any:
        """Run the forward pass with the rules attached and return ``backward(features, logits, start)``."""
        composite = self.composite()
        with composite.context(self.form.network), torch.enable_grad():
            features = self.view.values.detach().requires_grad_()
            logits = self.form.network(features)
            check_logits(logits, on_features(self.view.recogniser, ""), features)
            return backward(features, logits, self.start(logits))


def from_silence(rule: Hook, silence: float) -> Hook:
    """Copy of a rule that measures its layer's input from silence."""
    if not isinstance(rule, BasicHook):
        return rule
    shifted = rule.copy()

    def measured(modifier: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return lambda value, name=None: modifier(value - silence)

    shifted.input_modifiers = [measured(modifier) for modifier in rule.input_modifiers]
    return shifted


def conserving(rule: BasicHook) -> BasicHook:
    """Extend a rule so that relevance it cannot assign is distributed uniformly over the neuron's inputs.

    Holds for rules whose assigned relevance is the sum of outputs times mapped gradients: all rules without biases in
    the denominators.
    """
    flat = rules.Flat()

    def mapper(relevance: torch.Tensor, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        *own, count = outputs
        mapped = rule.gradient_mapper(relevance, own)
        gradients = [mapped] if isinstance(mapped, torch.Tensor) else list(mapped)
        assigned = sum(output * gradient for output, gradient in zip(own, gradients, strict=True))
        return [*gradients, (relevance - assigned) / count.clamp_min(EPSILON)]

    def reducer(inputs: list[torch.Tensor], gradients: list[torch.Tensor]) -> torch.Tensor:
        relevance: torch.Tensor = rule.reducer(inputs[:-1], gradients[:-1]) + gradients[-1]
        return relevance

    return BasicHook(
        input_modifiers=[*rule.input_modifiers, *flat.input_modifiers],
        param_modifiers=[*rule.param_modifiers, *flat.param_modifiers],
        output_modifiers=[*rule.output_modifiers, *flat.output_modifiers],
        gradient_mapper=mapper,
        reducer=reducer,
    )


class RelevanceMethod(Explainer):
    """Base class of propagation methods; subclasses return their rules from `rules`.

    Parameters
    ----------
    biases : {'zeroed', 'kept'}
        Leave biases out of the denominators, or keep them, in which case they absorb relevance.
    """

    unit = False  # whether relevance starts at 1

    def __init__(self, biases: str = "zeroed") -> None:
        self.biases = biases

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the grid of the feature map. ``details``: ``start``, the relevance at the output, ``conserved``, the
            ratio of the map's sum to it, and ``bias_share`` if biases are kept.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map, has layers without a rule, or has no canonical form.
        ClipError
            If the clip is too short or the relevance not finite.
        """
        with on_features(request.recogniser, self.name).metered():
            propagation = self.prepare(request)
            relevance, start = propagation.run(_relevance_at_features)
        return attribution(self.name, relevance.sum(dim=1), propagation.view, self.balance(relevance, start))

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical copy and the original network."""
        self._form(recogniser)
        return 2

    def prepare(self, request: Request) -> Propagation:
        """Prepare rules, canonical network and features for one clip; the caller counts the model calls."""
        if self.biases not in ("zeroed", "kept"):
            raise InputError(f"{self.name}: biases must be 'zeroed' or 'kept', got {self.biases!r}.")
        request.response(torch.zeros(1, len(request.recogniser.classes)))  # raises for an unknown class
        form = self._form(request.recogniser)
        view = view_of(request, self.name)
        layers, first = self.rules()
        return Propagation(form, view, layers, first, self.unit)

    @abstractmethod
    def rules(self) -> tuple[LayerMap, Hook | None]:
        """Rules by layer type, and a different rule for the first layer if there is one."""

    def balance(self, relevance: torch.Tensor, start: torch.Tensor) -> dict[str, float]:
        """Conservation check: initial relevance and the share of it in the map."""
        initial, total = float(start.double().sum()), float(relevance.double().sum())
        share = total / initial if abs(initial) > EPSILON else 1.0 if abs(total) <= EPSILON else 0.0
        details = {"start": initial, "conserved": share}
        return details | {"bias_share": 1 - share} if self.biases == "kept" else details

    def linear(self, rule: Callable[..., BasicHook], **options: float) -> BasicHook:
        """Instantiate a zennit rule for layers with weights, conserving unless biases are kept."""
        return rule(**options) if self.biases == "kept" else conserving(rule(**options, zero_params=["bias"]))

    def shared(self) -> LayerMap:
        """Rules of layers without weights: sums and averages distribute relevance in proportion to contributions."""
        norm = rules.Norm(stabilizer=EPSILON)
        sums = norm if self.biases == "kept" else conserving(norm)
        return [((types.Activation, types.BatchNorm), rules.Pass()), ((Sum, Mean, types.AvgPool), sums)]

    def _form(self, recogniser: Recogniser) -> Canonical:
        form = canonical(on_features(recogniser, self.name), self.name)
        unknown = form.unsupported(*(kinds for kinds, _ in self.rules()[0]), types.MaxPool, types.Activation)
        if unknown:
            raise NotApplicable(
                f"{self.name} has no rule for layers of kind {', '.join(unknown)} of recogniser {recogniser.name!r}"
            )
        return form


def _relevance_at_features(
    features: torch.Tensor, logits: torch.Tensor, start: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.autograd.grad(logits, features, start)[0], start


class LrpEpsilonPlus(RelevanceMethod):
    """z-plus rule in convolutions, epsilon rule in linear layers (Kohlbrenner et al. 2020, arXiv 1910.09840)."""

    name = "lrp-epsilon-plus"

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`."""
        return [
            *self.shared(),
            (types.Convolution, self.linear(rules.ZPlus, stabilizer=EPSILON)),
            (nn.Linear, self.linear(rules.Epsilon, epsilon=EPSILON)),
        ], None


class LrpEpsilonPlusFlat(LrpEpsilonPlus):
    """As `LrpEpsilonPlus`, with the flat rule in the first layer: uniform over each neuron's inputs.

    The rules of the Beyond Saliency authors' code (Nasr, Ren & Johnson 2025).
    """

    name = "lrp-epsilon-plus-flat"

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`."""
        return super().rules()[0], self.linear(rules.Flat, stabilizer=EPSILON)


class LrpGamma(RelevanceMethod):
    """Generalised gamma rule in convolutions, epsilon rule in linear layers.

    Montavon, Binder, Lapuschkin, Samek & Müller 2019, section 10.2.3; Andéol et al. 2021 for inputs of any sign.

    Parameters
    ----------
    gamma : float
        Additional weight of positive contributions; 0 is the epsilon rule.
    biases : {'zeroed', 'kept'}
    """

    name = "lrp-gamma"

    def __init__(self, gamma: float = GAMMA, biases: str = "zeroed") -> None:
        super().__init__(biases)
        self.gamma = gamma

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`."""
        if not self.gamma >= 0:
            raise InputError(f"lrp-gamma: gamma must be at least 0, got {self.gamma}; the default is {GAMMA}.")
        return [
            *self.shared(),
            (types.Convolution, self.linear(_gamma, gamma=self.gamma, stabilizer=EPSILON)),
            (nn.Linear, self.linear(rules.Epsilon, epsilon=EPSILON)),
        ], None


def _gamma(gamma: float, stabilizer: float, zero_params: list[str] | None = None) -> BasicHook:
    """Gamma rule of zennit, with the sign of a neuron's output computed without bias, as the denominators are.

    zennit computes the sign with the bias. If the bias outweighs the sum, the denominator can approach 0 and relevance
    diverges (a thousandfold on random networks).
    """
    rule = rules.Gamma(gamma=gamma, stabilizer=stabilizer, zero_params=zero_params)
    rule.param_modifiers[-1] = rules.NoMod(zero_params=zero_params)
    return rule


class ExcitationBackprop(RelevanceMethod):
    """Excitation backprop: probability that a winner-take-all walk from the target ends in a cell.

    Zhang, Bargal, Lin, Brandt, Shen & Sclaroff 2018, IJCV 126, equation 5: the z-plus rule in every layer.
    Non-negative, sums to 1; a contrast starts with 1 and -1.
    """

    name = "excitation-backprop"
    unit = True

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`."""
        return [*self.shared(), (types.Linear, self.linear(rules.ZPlus, stabilizer=EPSILON))], None
