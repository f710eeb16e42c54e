"""A network that makes vectors and the linear head trained on them, as one differentiable module."""

from __future__ import annotations

import torch
from torch import nn

from .head import LinearHead, log_probabilities


class HeadedNetwork(nn.Module):
    """Inputs to the log-probabilities of the classes, which serve as logits of a softmax.

    Parameters
    ----------
    body : nn.Module
        Inputs to vectors, (n, ...) -> (n, dim).
    head : LinearHead
    """

    def __init__(self, body: nn.Module, head: LinearHead) -> None:
        super().__init__()
        self.body, self.head = body, head

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """One-vs-rest log-odds as the head gives them, before they are normalised over classes."""
        return self.head(self.body(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, ...) -> (n, n_classes), float64."""
        return log_probabilities(self.raw(x))
