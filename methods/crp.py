"""Concept relevance propagation: the part of the relevance that flows through one channel of a layer.

Achtibat et al. 2023, Nature Machine Intelligence 5, arXiv 2206.03208. Relevance is propagated from the output to a
layer; there all but one channel are set to 0, and what is left is propagated to the features. Only relevance that
passes through the layer is told apart by channels: beside a layer in one branch of a residual block more flows past it,
and ``layer_share`` says how much of all goes through. Over all channels the conditional maps add up to the layer's
whole map, which is the unconditional one where ``layer_share`` is 1.

The Beyond Saliency authors condition on channel 35 of ``layer1.conv1`` (``Crp("layer1.conv1", (35,))``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request
from .gradient import at_least_one, attribution
from .inspection import on_features
from .relevance import Propagation, RelevanceMethod

CHANNELS = ("top", "all")


class Crp(Explainer):
    """Sum of the relevance maps conditional on some channels of a layer, which are kept beside it.

    Parameters
    ----------
    layer : str, optional
        Name of a layer in the network; default the last one with a map over time and frequency.
    channels : {'top', 'all'} or tuple of int
        ``top``: those through which most relevance for the target flows.
    n_top : int
        How many those are; all, where the layer has fewer.
    rules : str
        The propagation method whose rules hold.
    """

    name = "crp"

    def __init__(
        self,
        layer: str | None = None,
        channels: str | tuple[int, ...] = "top",
        n_top: int = 8,
        rules: str = "lrp-epsilon-plus-flat",
    ) -> None:
        self.layer = layer
        self.channels = channels
        self.n_top = n_top
        self.rules = rules

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            ``channels``: the conditional map of each channel, highest relevance first; ``values`` is their sum.
            ``details``: ``start``, the relevance at the output; ``layer_share``, the part of it that flows through the
            layer; ``chosen_share``, the part that flows through the chosen channels; and under each one's name, as in
            ``channels``, the part that flows through it.

        Raises
        ------
        NotApplicable, ClipError
            As `RelevanceMethod.attribute`.
        InputError
            For an unknown layer, or a channel that it does not have.
        """
        at_least_one(self.name, "n_top", self.n_top, 8)
        with on_features(request.recogniser, self.name).metered():
            propagation = self._method().prepare(request)
            layer = propagation.form.layer(self.layer)
            maps, through, start = self._conditional(propagation, layer)
        view = propagation.view
        total = torch.stack(list(maps.values())).sum(dim=0)
        given = float(start.double().sum())
        names = {channel: f"{layer}:{channel}" for channel in maps}
        parts = {"layer_share": through, "chosen_share": through[list(maps)]}
        parts |= {name: through[channel] for channel, name in names.items()}
        shares = {name: float(part.double().sum()) / given if given else 0.0 for name, part in parts.items()}
        found = attribution(self.name, total, view, {"start": given, **shares})
        return replace(found, channels={names[channel]: part[0].cpu().numpy() for channel, part in maps.items()})

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: those of the propagation; each channel only adds a way back."""
        return self._method().calls(n_samples, recogniser)

    def choose(self, relevance: torch.Tensor) -> list[int]:
        """Channels to condition on, highest relevance first.

        Parameters
        ----------
        relevance : Tensor, shape (n_channels,)
            That flows through each.
        """
        ranked = relevance.argsort(descending=True, stable=True).tolist()
        if self.channels == "all":
            return ranked
        if self.channels == "top":
            return ranked[: self.n_top]
        if isinstance(self.channels, str) or not self.channels:
            raise InputError(f"crp: channels must be {' or '.join(CHANNELS)} or some numbers, got {self.channels!r}.")
        wrong = [channel for channel in self.channels if channel not in ranked]
        if wrong:
            raise InputError(f"crp: no channel {', '.join(map(str, wrong))}; the layer has 0 to {len(ranked) - 1}.")
        return [channel for channel in ranked if channel in self.channels]

    def _conditional(
        self, propagation: Propagation, layer: str
    ) -> tuple[dict[int, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Conditional maps (1, n_freq, n_time) by channel; relevance through each channel; relevance at the output."""
        kept: list[torch.Tensor] = []

        def keep(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            kept.append(output)

        def backward(features: torch.Tensor, logits: torch.Tensor, start: torch.Tensor) -> Any:
            (output,) = kept
            relevance = torch.autograd.grad(logits, output, start, retain_graph=True)[0]
            through = relevance.sum(dim=(0, 2, 3))
            maps = {}
            for channel in self.choose(through):
                only = torch.zeros_like(relevance)
                only[:, channel] = relevance[:, channel]
                maps[channel] = torch.autograd.grad(output, features, only, retain_graph=True)[0].sum(dim=1)
            return maps, through, start

        propagation.form.network.get_submodule(layer).register_forward_hook(keep)
        return propagation.run(backward)

    def _method(self) -> RelevanceMethod:
        from .records import METHODS, make_method

        method = make_method(self.rules)
        if not isinstance(method, RelevanceMethod):
            known = [record.name for record in METHODS if record.family == "relevance" and record.name != self.name]
            raise InputError(f"crp: rules must be one of {', '.join(known)}, got {self.rules!r}.")
        return method
