"""Residual CNN on log-mel spectrograms of "Beyond Saliency" (Nasr, Ren, Johnson 2025, arXiv 2511.11691).

Implemented from the paper's description: convolution 7 x 7 / 2 - batch norm - ReLU - max pool 3 / 2 - residual
block - residual block / 2 - global average pool - dropout - linear. Attribution methods need three things: modules are
declared in the order in which data flow through them (zennit merges a batch norm into the convolution declared before
it), each use of a ReLU is a module of its own, and the residual sum is a module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import InputError


class Sum(nn.Module):
    """Sum of the two branches of a residual block."""

    def forward(self, branch: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Elementwise sum."""
        return branch + shortcut


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a 1 x 1 convolution with batch norm, summed, then a ReLU.

    Parameters
    ----------
    channels_in, channels_out : int
    stride : int
        Of the first convolution and of the shortcut.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
        )
        self.sum = Sum()
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels_in, F, T) -> (n, channels_out, F / stride, T / stride)."""
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.sum(branch, self.shortcut(x)))


class ResidualCNN(nn.Module):
    """Residual CNN: feature maps to class logits.

    Parameters
    ----------
    n_classes : int
    width : int
        Channels of the first convolution; the blocks have 2 and 4 times as many.
    dropout : float
        Before the linear layer, in 0..1.
    """

    def __init__(self, n_classes: int, width: int = 32, dropout: float = 0.5) -> None:
        super().__init__()
        if n_classes < 2 or width < 1 or not 0 <= dropout < 1:
            raise InputError(
                "ResidualCNN: needs n_classes >= 2, width >= 1 and dropout in [0, 1), "
                f"got n_classes={n_classes}, width={width}, dropout={dropout}."
            )
        self.params: dict[str, Any] = {"n_classes": n_classes, "width": width, "dropout": dropout}
        self.conv = nn.Conv2d(1, width, 7, 2, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = ResidualBlock(width, 2 * width)
        self.layer2 = ResidualBlock(2 * width, 4 * width, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(4 * width, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Shape (n, 1, F, T) -> (n, n_classes), for any F and T."""
        x = self.maxpool(self.relu(self.bn(self.conv(features))))
        x = self.flatten(self.pool(self.layer2(self.layer1(x))))
        return self.linear(self.dropout(x))
