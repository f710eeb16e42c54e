"""Class activation maps: channels of a layer's map, weighted by their gradients.

Conventions
-----------
The scalar explained is the log-odds of the target. Maps keep their sign, and lie on the layer's own cells: strides and
paddings of the layers before it say which rows and columns of the features each cell is centred on. Layers are those of
the canonical copy of the network (see `canonical`): a convolution's map is taken after the batch norm that it feeds.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from ..errors import ClipError
from ..models.recogniser import Recogniser, one_vs_rest
from .attribution import Attribution
from .canonical import canonical, check_logits
from .explainer import Explainer, Request
from .inspection import on_features, view_of


class ActivationMap(Explainer):
    """Base of the class activation maps; a method fills in `weigh`.

    Parameters
    ----------
    layer : str, optional
        Name of a module of the network; default the last whose output is a map, the last convolutional one.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            One cell a cell of the layer.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map, or torch.fx cannot tell where its layers' cells lie.
        InputError
            For an unknown layer.
        ClipError
            If the clip is too short, or the gradient is not finite.
        """
        recogniser = on_features(request.recogniser, self.name)
        form = canonical(recogniser, self.name)
        layer = form.layer(self.layer)
        with recogniser.metered():
            view = view_of(request, self.name)
            kept: list[torch.Tensor] = []

            def keep(module: nn.Module, args: Any, output: torch.Tensor) -> None:
                kept.append(output)

            form.network.get_submodule(layer).register_forward_hook(keep)
            maps = view.values.requires_grad_()
            logits = form.network(maps)
            check_logits(logits, recogniser, maps)
            gradient = torch.autograd.grad(request.response(one_vs_rest(logits)).sum(), kept[0])[0]
            values = self.weigh(kept[0].detach(), gradient)[0]
        if not bool(torch.isfinite(values).all()):
            raise ClipError(f"{self.name}: the gradient of recogniser {recogniser.name!r} is not finite.")
        grid = form.maps[layer].grid((values.shape[0], values.shape[1]), view.grid)
        return Attribution(values.cpu().numpy(), grid, request.label, self.name)

    @abstractmethod
    def weigh(self, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Map of a layer, (1, channels, rows, columns) each, to its weighted sum (1, rows, columns)."""

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical form, and the network to compare with."""
        canonical(on_features(recogniser, self.name), self.name).layer(self.layer)
        return 2


class GradCam(ActivationMap):
    """Channels weighted by their mean gradient (Selvaraju et al. 2017, ICCV, arXiv 1610.02391, equations 1 and 2).

    The final ReLU of equation 2 is left out: what speaks against the target stays visible.
    """

    name = "gradcam"

    def weigh(self, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """See `ActivationMap.weigh`."""
        return (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)


class LayerCam(ActivationMap):
    """Each cell of each channel weighted by its own positive gradient (Jiang et al. 2021, IEEE TIP 30, equation 4)."""

    name = "layercam"

    def weigh(self, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """See `ActivationMap.weigh`."""
        return (gradient.clamp_min(0) * activation).sum(dim=1)
