"""Ensemble of the fold models of one training as one recogniser: the mean of their log-odds.

The one-vs-rest log-odds of all members are averaged class by class, ``z_c = mean_k y_kc``, and ``expit(z)`` is
normalised over classes as that of a linear head is (`models.head.log_probabilities`). The most probable class is that
of the largest mean. An ensemble of differentiable members is differentiable: its network is that formula, so
what is explained is the object that predicts. Relevance propagation follows a network layer by layer and does not apply
to it. Of recognisers that predict numbers the outputs themselves are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from ..errors import InputError
from ..keys import digest
from .extractor import FeatureRecogniser
from .head import log_probabilities
from .headed import HeadedNetwork
from .recogniser import Recogniser, TorchRecogniser, one_vs_rest
from .waveform import WaveformRecogniser


class EnsembleNetwork(nn.Module):
    """Networks with the same inputs and classes, averaged in log-odds.

    Parameters
    ----------
    members : sequence of nn.Module
        Inputs to logits of a softmax, (n, ...) -> (n, n_classes).
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.regression = bool(getattr(members[0], "regression", False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-probabilities, which serve as logits of a softmax: (n, ...) -> (n, n_classes)."""
        if self.regression:
            return torch.stack([member(x) for member in self.members]).mean(dim=0)
        return log_probabilities(torch.stack([one_vs_rest(member(x)) for member in self.members]).mean(dim=0))


class EnsembleHead(nn.Module):
    """Linear heads on the same features, averaged in log-odds of their normalised probabilities.

    Parameters
    ----------
    heads : sequence of nn.Module
        `LinearHead` each.
    """

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.regression = bool(getattr(heads[0], "regression", False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Mean one-vs-rest log-odds, before they are normalised over classes: (n, dim) -> (n, n_classes)."""
        if self.regression:
            return torch.stack([head(features) for head in self.heads]).mean(dim=0)
        return torch.stack([one_vs_rest(log_probabilities(head(features))) for head in self.heads]).mean(dim=0)


def ensemble(members: Sequence[Recogniser]) -> Recogniser:
    """Combine the fold models of one training.

    Parameters
    ----------
    members : sequence of Recogniser
        Of one kind, on one device, with the same front end and classes; at least one.

    Raises
    ------
    InputError
        For a kind of recogniser that is not trained in folds.
    """
    first = members[0]
    name, classes, trained_on = first.name, first.classes, first.trained_on
    fingerprint = digest("ensemble", [member.fingerprint for member in members])
    if isinstance(first, FeatureRecogniser):
        heads = [cast(FeatureRecogniser, member).head for member in members]
        return FeatureRecogniser(name, classes, first.extractor, EnsembleHead(heads), fingerprint, trained_on)
    networks = [_network(member) for member in members]
    network: nn.Module = EnsembleNetwork(networks)
    # a body for all heads: one pass through it, unless the folds chose different layers
    if isinstance(networks[0], HeadedNetwork) and len({getattr(n.body, "layers", None) for n in networks}) == 1:
        network = HeadedNetwork(networks[0].body, EnsembleHead([cast(HeadedNetwork, n).head for n in networks]))
    if isinstance(first, WaveformRecogniser):
        return WaveformRecogniser(name, classes, network, fingerprint, trained_on, first.device, first.min_samples)
    torch_first = cast(Any, first)
    return type(torch_first)(name, classes, torch_first.front_end, network, fingerprint, trained_on, torch_first.device)


def _network(member: Recogniser) -> nn.Module:
    if isinstance(member, WaveformRecogniser):
        return member.module
    if isinstance(member, TorchRecogniser):
        return member.network
    raise InputError(f"model {member.name!r} is not trained in folds, so there is nothing to average.")
