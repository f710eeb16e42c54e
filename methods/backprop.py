"""Modified backpropagation through nonlinearities: guided backpropagation and DeepLIFT.

Both attach captum's backward hooks to the modules of a canonical copy of the network (see `canonical`). On the network
itself captum silently ignores a functional or reused ReLU, and the result would be the plain gradient.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from captum import attr
from torch import nn

from ..errors import NotApplicable
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .canonical import Canonical, canonical, check_logits, pair
from .explainer import Explainer, Request
from .gradient import attribution
from .inspection import View, check_baseline, check_reach, draws_of, on_features, view_of

from zennit import types  # isort: skip


class TargetOutput(nn.Module):
    """Network with the explained scalar as its only output; keeps the logits of its first forward pass."""

    def __init__(self, network: nn.Module, request: Request, log_odds: bool) -> None:
        super().__init__()
        self.network, self.request, self.log_odds = network, request, log_odds
        for module in network.modules():
            if isinstance(module, (types.Activation, types.MaxPool)):
                module.register_forward_pre_hook(_clone_inputs)
        self.logits: torch.Tensor | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Shape (n, 1, n_freq, n_frames) -> (n,)."""
        logits = self.network(features)
        self.logits = logits.detach() if self.logits is None else self.logits
        return self.request.response(self.request.recogniser.scores_of(logits) if self.log_odds else logits)


class RuledMethod(Explainer):
    """Base class of methods with backward rules for nonlinearities; subclasses implement `relevance`.

    Attributes
    ----------
    kinds : tuple of type
        Layer types with a rule; the network must have at least one of them.
    log_odds : bool
        Explain the log-odds (True) or the logit (False).
    """

    kinds: tuple[type[nn.Module], ...] = (nn.ReLU,)
    log_odds = True

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the grid of the feature map.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map, has no layer with a rule, or has no canonical form.
        ClipError
            If the clip is too short, or the result is not finite.
        """
        recogniser = on_features(request.recogniser, self.name)
        self._check()
        form = self._form(recogniser)
        with recogniser.metered():
            view = view_of(request, self.name)
            output = TargetOutput(form.network, request, self.log_odds)
            with _hook_warnings_ignored():
                relevance, details = self.relevance(output, view)
            assert output.logits is not None
            check_logits(output.logits[:1], recogniser, view.values)
        return attribution(self.name, relevance.sum(dim=1), view, details)

    @abstractmethod
    def relevance(self, network: TargetOutput, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """Relevance of each feature, shape (1, 1, n_freq, n_frames), and diagnostics for ``details``."""

    def _check(self) -> None:
        """Raise `InputError` if a parameter is out of range."""

    def _form(self, recogniser: Recogniser) -> Canonical:
        form = canonical(on_features(recogniser, self.name), self.name)
        if not any(isinstance(module, self.kinds) for module in form.network.modules()):
            missing = ", ".join(kind.__name__ for kind in self.kinds)
            raise NotApplicable(f"{self.name} needs one of {missing}; recogniser {recogniser.name!r} has none")
        return form


class GuidedBackprop(RuledMethod):
    """Guided backpropagation: gradients pass a ReLU only where input and gradient are positive.

    Springenberg, Dosovitskiy, Brox & Riedmiller 2015, arXiv 1412.6806, section 3.4.
    """

    name = "guided-backprop"

    def relevance(self, network: TargetOutput, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `RuledMethod.relevance`."""
        return attr.GuidedBackprop(network).attribute(view.values.requires_grad_()), {}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical copy and the original network."""
        self._form(recogniser)
        return 2


class DeepLift(RuledMethod):
    """DeepLIFT with the rescale rule: the logit's difference from a baseline, propagated as finite differences.

    Shrikumar, Greenside & Kundaje 2017, ICML, arXiv 1704.02685, rescale rule. The logit is explained, not the log-odds:
    the rule is defined for nonlinearities of one input. Relevance sums to the change of the logit up to the reported
    ``convergence_delta``.

    Parameters
    ----------
    baseline : str
        As for `IntegratedGradients`.
    """

    name = "deeplift"
    fill_parameter = "baseline"
    kinds = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus)
    log_odds = False

    def __init__(self, baseline: str = "silence") -> None:
        self.baseline = baseline
        self.stochastic = baseline == "noise"

    def relevance(self, network: TargetOutput, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `RuledMethod.relevance`."""
        for name, module in list(network.network.named_modules()):
            if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and module.dilation in (1, (1, 1)):
                network.network.set_submodule(name, UnfoldedMaxPool(module))
        total, deltas = torch.zeros_like(view.values), []
        for baseline in view.baselines(self.baseline, draws_of(self.baseline)):
            relevance, delta = attr.DeepLift(network).attribute(
                view.values.detach().requires_grad_(), baseline, return_convergence_delta=True
            )
            total += relevance.detach()
            deltas.append(float(delta))
        return total / len(deltas), {"convergence_delta": sum(deltas) / len(deltas)}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: features and baseline of each draw, twice for the delta, and the original network."""
        self._form(recogniser)
        return 4 * draws_of(self.baseline) + 1

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`."""
        self._check()
        calls = super().calls_of(request)
        check_reach(request, self.name, self.baseline)
        return calls

    def _check(self) -> None:
        check_baseline(self.baseline)


class UnfoldedMaxPool(nn.Module):
    """Max pooling over explicitly unfolded windows; same output as the layer it replaces.

    captum's rule for max pooling keeps one gradient per input cell, which is wrong where windows overlap.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.size, self.stride, self.padding = pair(pool.kernel_size), pair(pool.stride), pair(pool.padding)
        self.pool = nn.MaxPool1d(self.size[0] * self.size[1])
        self.pool.register_forward_pre_hook(_clone_inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool maps of shape (n, channels, rows, columns)."""
        rows, columns = self.padding
        padded = nn.functional.pad(x, (columns, columns, rows, rows), value=torch.finfo(x.dtype).min / 4)
        windows = padded.unfold(2, self.size[0], self.stride[0]).unfold(3, self.size[1], self.stride[1])
        return self.pool(windows.flatten(4).flatten(1, 3)).reshape(windows.shape[:4])


def _clone_inputs(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Forward pre-hook that clones a layer's inputs.

    captum attaches one layer's rule to its input and reads another layer's gradient at its output. Where a max pool
    follows a ReLU both are the same tensor, and the gradient would be read before the rule has changed it.
    """
    return tuple(tensor.clone() for tensor in args)


@contextmanager
def _hook_warnings_ignored() -> Iterator[None]:
    """Suppress captum's warning that it sets backward hooks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting (backward|forward)")
        yield
