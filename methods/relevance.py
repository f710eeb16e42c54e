"""Layer-wise relevance propagation with zennit's rules (Bach et al. 2015, PLoS ONE 10(7), e0130140).

Conventions
-----------
* What is distributed is the target's *logit*, or the difference of two logits, not the log-odds that scores measure:
  propagation is defined on the linear output layer. The two rank inputs differently where other classes' logits move.
* Rules act on a canonical copy of the network (see `canonical`), whose logits are compared with the network's on every
  clip.
* Biases are left out of the denominators by default, and what a rule finds no place for is shared out evenly over what
  the neuron sees: relevance of a neuron that is driven by its bias alone, or to which nothing contributes in the way
  that the rule asks for (on the bundled recogniser the z-plus rule loses up to a sixth of the logit there). Relevance
  then adds up to the logit, |sum R - f| < 1e-3 |f|; what it does add up to is reported as ``conserved``. With biases
  kept, the rules are zennit's own, and ``bias_share`` is what did not arrive.
* In the first layer contributions are measured from silence, as by ``input-x-gradient``: the zero of a scaled log-mel
  feature means nothing. The flat rule looks at no input values and is not concerned.
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
    """Rules hooked on a canonical network, and what they make of one clip.

    Attributes
    ----------
    form : Canonical
    view : View
    layers : list of (type, rule)
        The first match counts.
    first : rule, optional
        For layers that the features reach; default as the others.
    unit : bool
        Whether relevance starts at 1 instead of the logit.
    """

    form: Canonical
    view: View
    layers: LayerMap
    first: Hook | None
    unit: bool

    def composite(self) -> Composite:
        """The rules by layer, for zennit."""

        def rule(context: dict[str, Any], name: str, module: nn.Module) -> Hook | None:
            found = next((hook for kinds, hook in self.layers if isinstance(module, kinds)), None)
            if name not in self.form.first or found is None:
                return found
            return from_silence(self.first or found, self.view.silence)

        return Composite(module_map=rule)

    def start(self, logits: torch.Tensor) -> torch.Tensor:
        """Relevance of the outputs, shape (1, n_classes): the explained logits with their signs, 0 elsewhere."""
        outputs = (torch.ones_like(logits) if self.unit else logits).detach().requires_grad_()
        weights = torch.autograd.grad(self.view.request.response(outputs).sum(), outputs)[0]
        return (weights * outputs).detach()

    def run(self, backward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any]) -> Any:
        """Pass the clip forward with the rules hooked on, and call ``backward(features, logits, start)``."""
        composite = self.composite()
        with composite.context(self.form.network), torch.enable_grad():
            features = self.view.values.detach().requires_grad_()
            logits = self.form.network(features)
            check_logits(logits, on_features(self.view.recogniser, ""), features)
            return backward(features, logits, self.start(logits))


def from_silence(rule: Hook, silence: float) -> Hook:
    """The same rule with its layer's input measured from silence."""
    if not isinstance(rule, BasicHook):
        return rule
    shifted = rule.copy()

    def measured(modifier: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return lambda value, name=None: modifier(value - silence)

    shifted.input_modifiers = [measured(modifier) for modifier in rule.input_modifiers]
    return shifted


def conserving(rule: BasicHook) -> BasicHook:
    """The same rule, with what it leaves undistributed shared out evenly over a neuron's inputs.

    For rules whose outputs, times the gradients mapped to them, are the relevance that they place: all without biases
    in the denominators.
    """
    flat = rules.Flat()

    def mapper(relevance: torch.Tensor, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        *own, count = outputs
        found = rule.gradient_mapper(relevance, own)
        gradients = [found] if isinstance(found, torch.Tensor) else list(found)
        placed = sum(output * gradient for output, gradient in zip(own, gradients, strict=True))
        return [*gradients, (relevance - placed) / count.clamp_min(EPSILON)]

    def reducer(inputs: list[torch.Tensor], gradients: list[torch.Tensor]) -> torch.Tensor:
        return rule.reducer(inputs[:-1], gradients[:-1]) + gradients[-1]

    return BasicHook(
        input_modifiers=[*rule.input_modifiers, *flat.input_modifiers],
        param_modifiers=[*rule.param_modifiers, *flat.param_modifiers],
        output_modifiers=[*rule.output_modifiers, *flat.output_modifiers],
        gradient_mapper=mapper,
        reducer=reducer,
    )


class RelevanceMethod(Explainer):
    """Base of the propagation methods; a method names its rules.

    Parameters
    ----------
    biases : {'zeroed', 'kept'}
        Whether biases stand in the denominators and so take a share of the relevance.
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
            share of it that the map adds up to, and ``bias_share`` where biases are kept.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map, has layers without a rule, or cannot be brought into
            canonical form.
        ClipError
            If the clip is too short or the relevance not finite.
        """
        with on_features(request.recogniser, self.name).metered():
            propagation = self.prepare(request)
            relevance, start = propagation.run(_to_the_features)
        return attribution(self.name, relevance.sum(dim=1), propagation.view, self.balance(relevance, start))

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical form, and the network to compare with."""
        self._form(recogniser)
        return 2

    def prepare(self, request: Request) -> Propagation:
        """Rules, canonical network and features for one clip; the caller meters it."""
        if self.biases not in ("zeroed", "kept"):
            raise InputError(f"{self.name}: biases must be 'zeroed' or 'kept', got {self.biases!r}.")
        request.response(torch.zeros(1, len(request.recogniser.classes)))  # refuses an unknown class
        form = self._form(request.recogniser)
        view = view_of(request, self.name)
        layers, first = self.rules()
        return Propagation(form, view, layers, first, self.unit)

    @abstractmethod
    def rules(self) -> tuple[LayerMap, Hook | None]:
        """Rules by type of layer, and the one for the first layer if it is another."""

    def balance(self, relevance: torch.Tensor, start: torch.Tensor) -> dict[str, float]:
        """How much of the relevance at the output arrived."""
        given, arrived = float(start.double().sum()), float(relevance.double().sum())
        share = arrived / given if abs(given) > EPSILON else 1.0 if abs(arrived) <= EPSILON else 0.0
        found = {"start": given, "conserved": share}
        return found | {"bias_share": 1 - share} if self.biases == "kept" else found

    def linear(self, rule: Callable[..., BasicHook], **options: float) -> BasicHook:
        """One of zennit's rules for layers with weights, as `biases` asks."""
        return rule(**options) if self.biases == "kept" else conserving(rule(**options, zero_params=["bias"]))

    def shared(self) -> LayerMap:
        """Rules of layers without weights: a sum or an average shares relevance out by contribution."""
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


def _to_the_features(
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
    """As `LrpEpsilonPlus`, but the first layer shares relevance out evenly over what it sees.

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
        How much more positive contributions weigh; 0 is the epsilon rule.
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
    """zennit's rule, with the sign of a neuron told from the same sum that its denominator is.

    zennit tells it with the bias in. Where the bias outweighs the sum, the denominator may then come near 0 and
    relevance grows without bounds (a thousandfold on random networks).
    """
    rule = rules.Gamma(gamma=gamma, stabilizer=stabilizer, zero_params=zero_params)
    rule.param_modifiers[-1] = rules.NoMod(zero_params=zero_params)
    return rule


class ExcitationBackprop(RelevanceMethod):
    """Probability that a winner-takes-all walk from the target ends in a cell; never negative, adds up to 1.

    Zhang, Bargal, Lin, Brandt, Shen & Sclaroff 2018, IJCV 126, equation 5: the z-plus rule in every layer. A contrast
    starts with 1 and -1.
    """

    name = "excitation-backprop"
    unit = True

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`."""
        return [*self.shared(), (types.Linear, self.linear(rules.ZPlus, stabilizer=EPSILON))], None
