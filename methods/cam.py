"""Class activation maps: channels of a layer's map, weighted by their gradients.

Conventions
-----------
The scalar explained is the log-odds of the target. Maps keep their sign and the resolution of the layer: strides and
paddings of the preceding layers determine the feature rows and columns on which each cell is centred. Layers are those
of the canonical copy of the network (see `canonical`): a convolution's map is taken after the batch norm that follows.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from ..errors import ClipError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .canonical import canonical, check_logits
from .explainer import Explainer, Request
from .inspection import on_features, view_of


class ActivationMap(Explainer):
    """Base class of class activation maps; subclasses implement `weigh`.

    Parameters
    ----------
    layer : str, optional
        Name of a module of the network; default the last one with a two-dimensional map (the last convolution).
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            One value per cell of the layer's map.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map, or torch.fx cannot trace it.
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
            gradient = torch.autograd.grad(request.response(request.recogniser.scores_of(logits)).sum(), kept[0])[0]
            values = self.weigh(kept[0].detach(), gradient)[0]
        if not bool(torch.isfinite(values).all()):
            raise ClipError(f"{self.name}: the gradient of recogniser {recogniser.name!r} is not finite.")
        grid = form.maps[layer].grid((values.shape[0], values.shape[1]), view.grid)
        return Attribution(values.cpu().numpy(), grid, request.label, self.name)

    @abstractmethod
    def weigh(self, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Weighted sum over channels, shape (1, rows, columns); both arguments have (1, channels, rows, columns)."""

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the canonical copy and the original network."""
        canonical(on_features(recogniser, self.name), self.name).layer(self.layer)
        return 2


class GradCam(ActivationMap):
    """Channels weighted by their mean gradient (Selvaraju et al. 2017, ICCV, arXiv 1610.02391, equations 1 and 2).

    The final ReLU of equation 2 is left out, so that evidence against the target stays visible.
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
