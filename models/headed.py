"""Feature extractors that are torch modules, and the network of such an extractor and its linear head."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import nn

from ..errors import ClipError
from .extractor import Extractor
from .head import log_probabilities
from .recogniser import BATCH, TorchRecogniser


class HeadedNetwork(nn.Module):
    """Network of a feature extractor and a linear head; outputs log-probabilities, which serve as logits of a softmax.

    With a `models.dimensional.RegressionHead` it outputs what that predicts.

    Parameters
    ----------
    body : nn.Module
        Inputs to vectors, (n, ...) -> (n, dim).
    head : nn.Module
        `LinearHead`, or several averaged.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.regression = bool(getattr(head, "regression", False))

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """One-vs-rest log-odds before normalisation over classes."""
        log_odds: torch.Tensor = self.head(self.body(x))
        return log_odds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, ...) -> (n, n_classes), float64."""
        return self.raw(x) if self.regression else log_probabilities(self.raw(x))


class HeadedRecogniser(TorchRecogniser):
    """Recogniser on a feature map whose network may have outputs before they are normalised over classes."""

    def raw(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """One-vs-rest log-odds, not normalised over classes, where the network has such; else log-odds.

        Shape (n, n_samples) -> (n, n_classes).
        """
        raw = getattr(self.network, "raw", None)
        if raw is None:
            return self.log_odds(waveforms)
        tensor = self.checked(waveforms).to(self.device)
        with self.metered(), torch.no_grad():
            return torch.cat([raw(self.front_end(rows)) for rows in tensor.split(self.batch)]).double().cpu().numpy()


class TorchExtractor(Extractor):
    """Base of extractors that are torch modules; a subclass provides `body`, `part` and `vectors`.

    Attributes
    ----------
    body : nn.Module
        Moves to a recogniser's device.
    part : str
        Name of the module in error messages.
    """

    body: nn.Module
    part: str

    @abstractmethod
    def vectors(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features of one batch, (n, n_samples) -> (n, dim)."""

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        """See `Extractor.features`."""
        device = next(self.body.parameters()).device  # moves with a recogniser
        tensor = torch.as_tensor(waveforms, dtype=torch.float32, device=device)
        if tensor.shape[1] < self.min_samples:
            window = f"the {self.part}'s window of {self.min_samples}"
            raise ClipError(f"{tensor.shape[1]} samples are shorter than {window}.")
        with torch.no_grad():
            return torch.cat([self.vectors(rows) for rows in tensor.split(BATCH)]).double().cpu().numpy()
