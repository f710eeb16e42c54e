"""Feature extractors (one vector a waveform) and recognisers that put a linear head on them.

Hand-crafted functionals and speech embeddings are extractors. An extractor is fixed; only its head (`models.head`) is
trained, saved and hashed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import ClipError
from .head import LinearHead
from .recogniser import Recogniser, one_vs_rest


class Extractor(ABC):
    """Base of all extractors.

    Attributes
    ----------
    params : dict
        JSON-able; the record's target called with them rebuilds the extractor.
    fingerprint : str
        Digest of everything the output depends on (weights, configuration, version of a library).
    min_samples : int
        Shortest waveform it takes.
    states : int
        Number of hidden states whose vectors stand side by side in `features`, for training to choose one or to weigh
        them; 0 where there is one vector.
    """

    params: dict[str, Any]
    fingerprint: str
    min_samples: int
    states: int = 0

    @abstractmethod
    def features(self, waveforms: np.ndarray) -> np.ndarray:
        """One vector a waveform: float32 (n, n_samples) at 16 kHz -> float64 (n, dim).

        Raises
        ------
        ClipError
            For a waveform that has no defined vector.
        """

    def recogniser(
        self,
        name: str,
        classes: tuple[str, ...],
        head: LinearHead,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
    ) -> Recogniser:
        """Build the recogniser of this extractor and a trained head."""
        return FeatureRecogniser(name, classes, self, head, fingerprint, trained_on)


class FeatureRecogniser(Recogniser):
    """Black-box recogniser: a feature extractor followed by a calibrated linear head.

    Each copy is analysed by itself, so nothing is filled up: a copy's score cannot depend on those beside it, and
    a call costs as many copies as it was given.

    Parameters
    ----------
    name : str
    classes : tuple of str
    extractor : Extractor
    head : nn.Module
        `LinearHead`, or several averaged.
    fingerprint : str
    trained_on : str
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        extractor: Extractor,
        head: nn.Module,
        fingerprint: str,
        trained_on: str = "",
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.extractor = extractor
        self.head = head.eval().requires_grad_(False)
        self.regression = bool(getattr(head, "regression", False))
        self.fingerprint = fingerprint
        self.trained_on = trained_on
        self.min_samples = extractor.min_samples

    def calls_for(self, n: int) -> int:
        """Model calls of `n` copies: `n`."""
        return n

    def log_odds(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Log-odds of the normalised probabilities; see `Recogniser.log_odds`."""
        # log p_c - log sum of the others is the same before and after normalising: no probability is ever formed
        return self._normalised(self.raw(waveforms))

    def raw(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Calibrated one-vs-rest log-odds before normalising, shape (n, n_classes), float64.

        Raises
        ------
        InputError, ClipError
            As `Recogniser.log_odds`.
        """
        tensor = self.checked(waveforms)
        if not len(tensor):
            return np.empty((0, len(self.classes)))
        self.calls += len(tensor)
        with self.metered():
            z = self._raw_of(self.extractor.features(tensor.cpu().numpy()))
        if not np.all(np.isfinite(z)):
            raise ClipError(f"recogniser {self.name!r} returned log-odds that are not finite.")
        return z

    def log_odds_of(self, features: np.ndarray) -> np.ndarray:
        """Log-odds of vectors that `extractor` gave, (n, dim) -> (n, n_classes); they count as no call."""
        return self._normalised(self._raw_of(features))

    def _normalised(self, raw: np.ndarray) -> np.ndarray:
        return raw if self.regression else one_vs_rest(nn.functional.logsigmoid(torch.from_numpy(raw))).numpy()

    def _raw_of(self, features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():  # row by row: a product's last bits depend on its shape
            return torch.cat([self.head(row[None]) for row in torch.from_numpy(features)]).numpy()

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.log_odds(waveforms))
