"""Methods that change what a layer's nonlinearity does on the way back: guided backpropagation and DeepLIFT.

Both hook captum's rules on the modules of a canonical copy of the network (see `canonical`). On the network itself a
functional or reused ReLU would be passed over without a word, and the result would be the plain gradient.
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
from ..models.recogniser import Recogniser, one_vs_rest
from .attribution import Attribution
from .canonical import Canonical, canonical, check_logits, pair
from .explainer import Explainer, Request
from .gradient import attribution
from .inspection import View, check_baseline, on_features, view_of

from zennit import types  # isort: skip


class Explained(nn.Module):
    """A network whose only output is the scalar explained; it remembers the logits of its first pass."""

    def __init__(self, network: nn.Module, request: Request, log_odds: bool) -> None:
        super().__init__()
        self.network, self.request, self.log_odds = network, request, log_odds
        for module in network.modules():
            if isinstance(module, (types.Activation, types.MaxPool)):
                module.register_forward_pre_hook(_own_input)
        self.logits: torch.Tensor | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Shape (n, 1, n_freq, n_frames) -> (n,)."""
        logits = self.network(features)
        self.logits = logits.detach() if self.logits is None else self.logits
        return self.request.response(one_vs_rest(logits) if self.log_odds else logits)


class RuledMethod(Explainer):
    """Base of the methods with rules for nonlinearities; a method fills in `relevance`.

    Attributes
    ----------
    kinds : tuple of type
        Layers that it has a rule for; it needs at least one of them.
    log_odds : bool
        Whether the log-odds are explained, or else the logit.
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
            If the recogniser is no network on a feature map, has no layer with a rule, or cannot be brought into
            canonical form.
        ClipError
            If the clip is too short, or the result is not finite.
        """
        recogniser = on_features(request.recogniser, self.name)
        self._check()
        form = self._form(recogniser)
        with recogniser.metered():
            view = view_of(request, self.name)
            explained = Explained(form.network, request, self.log_odds)
            with _quiet():
                relevance, details = self.relevance(explained, view)
            assert explained.logits is not None
            check_logits(explained.logits[:1], recogniser, view.values)
        return attribution(self.name, relevance.sum(dim=1), view, details)

    @abstractmethod
    def relevance(self, network: Explained, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """Relevance of each feature, shape (1, 1, n_freq, n_frames), and what to report beside it."""

    def _check(self) -> None:
        """Raise `InputError` if a parameter is out of range."""

    def _form(self, recogniser: Recogniser) -> Canonical:
        form = canonical(on_features(recogniser, self.name), self.name)
        if not any(isinstance(module, self.kinds) for module in form.network.modules()):
            wanted = ", ".join(kind.__name__ for kind in self.kinds)
            raise NotApplicable(f"{self.name} needs one of {wanted}; recogniser {recogniser.name!r} has none")
        return form


class GuidedBackprop(RuledMethod):
    """Gradient that passes a ReLU only where it speaks for the target.

    Springenberg, Dosovitskiy, Brox & Riedmiller 2015, arXiv 1412.6806, section 3.4.
    """

    name = "guided-backprop"

    def relevance(self, network: Explained, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `RuledMethod.relevance`."""
        return attr.GuidedBackprop(network).attribute(view.values.requires_grad_()), {}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical form, and the network to compare with."""
        self._form(recogniser)
        return 2


class DeepLift(RuledMethod):
    """Difference of the target's logit from a baseline's, shared out by finite differences at each nonlinearity.

    Shrikumar, Greenside & Kundaje 2017, ICML, arXiv 1704.02685, rescale rule. The logit is explained, not the log-odds:
    the rule is for nonlinearities of one input. Relevance sums to the change of the logit up to the reported
    ``convergence_delta``.

    Parameters
    ----------
    baseline : str
        As for `IntegratedGradients`.
    """

    name = "deeplift"
    kinds = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus)
    log_odds = False

    def __init__(self, baseline: str = "silence") -> None:
        self.baseline = baseline
        self.stochastic = baseline == "noise"

    def relevance(self, network: Explained, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `RuledMethod.relevance`."""
        for name, module in list(network.network.named_modules()):
            if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and module.dilation in (1, (1, 1)):
                network.network.set_submodule(name, Windows(module))
        relevance, delta = attr.DeepLift(network).attribute(
            view.values.requires_grad_(), view.baseline(self.baseline), return_convergence_delta=True
        )
        return relevance, {"convergence_delta": float(delta)}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: features and baseline, both again for the delta, and the network to compare with."""
        self._form(recogniser)
        return 5

    def _check(self) -> None:
        check_baseline(self.baseline)


class Windows(nn.Module):
    """A max pool whose windows are laid out side by side first: it computes the same.

    captum's rule for max pools keeps one gradient a cell; where windows overlap, the others would be lost.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.size, self.stride, self.padding = pair(pool.kernel_size), pair(pool.stride), pair(pool.padding)
        self.pool = nn.MaxPool1d(self.size[0] * self.size[1])
        self.pool.register_forward_pre_hook(_own_input)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, rows, columns), fewer rows and columns."""
        rows, columns = self.padding
        padded = nn.functional.pad(x, (columns, columns, rows, rows), value=torch.finfo(x.dtype).min / 4)
        windows = padded.unfold(2, self.size[0], self.stride[0]).unfold(3, self.size[1], self.stride[1])
        return self.pool(windows.flatten(4).flatten(1, 3)).reshape(windows.shape[:4])


def _own_input(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """A layer's input as a tensor of its own.

    captum hooks one layer's rule on its input and reads another's gradient at its output. Where a max pool follows a
    ReLU both are one tensor, and the gradient is read before the rule has changed it.
    """
    return tuple(tensor.clone() for tensor in args)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without captum's notice that it hooks rules on layers, which is what is asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting (backward|forward)")
        yield
