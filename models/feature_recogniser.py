"""A recogniser of fixed features and a linear head, not differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..errors import ClipError
from .recogniser import Recogniser, one_vs_rest

if TYPE_CHECKING:
    from .extractor import Extractor
    from .head import LinearHead


class FeatureRecogniser(Recogniser):
    """Waveforms to features (`extractor`) to one-vs-rest probabilities (`head`).

    Each copy is analysed by itself, so nothing is filled up: a copy's score cannot depend on those beside it, and
    a call costs as many copies as it was given.

    Parameters
    ----------
    name : str
    classes : tuple of str
    extractor : Extractor
    head : LinearHead
    fingerprint : str
    trained_on : str
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        extractor: Extractor,
        head: LinearHead,
        fingerprint: str,
        trained_on: str = "",
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.extractor = extractor
        self.head = head.eval().requires_grad_(False)
        self.fingerprint = fingerprint
        self.trained_on = trained_on
        self.min_samples = extractor.min_samples

    def calls_for(self, n: int) -> int:
        """Model calls of `n` copies: `n`."""
        return n

    def log_odds(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Log-odds of the normalised probabilities; see `Recogniser.log_odds`."""
        # log p_c - log sum of the others is the same before and after normalising: no probability is ever formed
        return one_vs_rest(nn.functional.logsigmoid(torch.from_numpy(self.raw(waveforms)))).numpy()

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
        with self.metered(), torch.inference_mode():
            features = torch.from_numpy(self.extractor.features(tensor.cpu().numpy()))
            z = torch.cat([self.head(row[None]) for row in features]).numpy()  # a product's last bits follow its shape
        if not np.all(np.isfinite(z)):
            raise ClipError(f"recogniser {self.name!r} returned log-odds that are not finite.")
        return z

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.log_odds(waveforms))
