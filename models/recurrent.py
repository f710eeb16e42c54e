"""Recurrent layers of torch networks on a CUDA device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def differentiate_recurrent(network: nn.Module) -> None:
    """Let recurrent layers run without cuDNN wherever a gradient flows through them.

    cuDNN refuses to differentiate a recurrent layer in eval mode, in which recognisers are; torch's own kernels do not.
    Scores without a gradient keep cuDNN.

    Parameters
    ----------
    network : nn.Module
        Hooks are added to its layers, once.
    """
    for layer in network.modules():
        hooked = any(isinstance(hook, _Leave) for hook in layer._forward_pre_hooks.values())
        if isinstance(layer, nn.RNNBase) and not hooked:
            restored: list[bool] = []
            layer.register_forward_pre_hook(_Leave(restored))
            layer.register_forward_hook(_Return(restored), always_call=True)


class _Leave:
    """Hook that switches cuDNN off where the input carries a gradient, and notes what it was."""

    def __init__(self, earlier: list[bool]) -> None:
        self.earlier = earlier

    def __call__(self, layer: nn.Module, args: tuple[Any, ...]) -> None:
        self.earlier.append(torch.backends.cudnn.enabled)
        x = args[0]  # a tensor, or a packed sequence
        data = x if isinstance(x, torch.Tensor) else x.data
        if data.requires_grad and torch.is_grad_enabled():
            torch.backends.cudnn.enabled = False


class _Return:
    """Hook that sets cuDNN back, also where the layer failed."""

    def __init__(self, earlier: list[bool]) -> None:
        self.earlier = earlier

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], output: object) -> None:
        if self.earlier:
            torch.backends.cudnn.enabled = self.earlier.pop()
