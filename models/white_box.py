"""Base of white-box recognisers, whose exact attribution against a reference is known."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..audio import Grid
from .recogniser import TorchRecogniser


class WhiteBox(TorchRecogniser):
    """Recogniser whose exact attribution is known; what "exact" means is said by each of them."""

    @abstractmethod
    def relevance(self, samples: np.ndarray, reference: np.ndarray, target: str, grid: Grid) -> np.ndarray:
        """Exact attribution of the difference in log-odds between a clip and a reference.

        Parameters
        ----------
        samples, reference : array, float32, shape (n_samples,)
        target : str
            One of `classes`.
        grid : Grid
            With the 16 bands of the scoring grid; frames belong to the cell that holds their centre.

        Returns
        -------
        array, float64, shape ``grid.shape``
            Adds up to ``y(samples) - y(reference)``.
        """
