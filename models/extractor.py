"""Extractors: a waveform becomes one vector, and a linear head is trained on it.

Hand-crafted functionals and speech embeddings are of this kind. An extractor is fixed; what is trained, saved and
hashed is its head (`models.head`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .records import MODELS

if TYPE_CHECKING:
    from .head import LinearHead
    from .recogniser import Recogniser


class Extractor(ABC):
    """Base of all extractors.

    Attributes
    ----------
    params : dict
        JSON-able; the record's target called with them rebuilds the extractor.
    fingerprint : str
        Digest of everything its output depends on (weights, configuration, version of a library).
    min_samples : int
        Shortest waveform it takes.
    """

    params: dict[str, Any]
    fingerprint: str
    min_samples: int

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
        """A recogniser of this extractor and a trained head."""
        from .feature_recogniser import FeatureRecogniser

        return FeatureRecogniser(name, classes, self, head, fingerprint, trained_on)


def make_extractor(name: str, **params: Any) -> Extractor:
    """The extractor of a model of kind ``head``.

    Parameters
    ----------
    name : str
    **params
        As in `Extractor.params`; default: the model's own.

    Raises
    ------
    UnknownNameError
    InputError
        If its extra is missing, or a checkpoint cannot be read.
    """
    record = MODELS.get(name)
    if record.kind == "hf":
        from .hf import Backbone

        return Backbone(**{"path": record.argument} | params)
    return record.load()(**params)
