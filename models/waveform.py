"""Differentiable recognisers without a feature map: a torch module from waveforms to logits.

Transformers on waveforms are an example: their first layer has no cells on the time-frequency plane, so explanations of
feature maps do not apply; gradients with respect to the waveform do.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE
from .recogniser import PROBE_S, Recogniser, pass_bytes, raw_scores
from .recurrent import differentiate_recurrent


class WaveformRecogniser(Recogniser):
    """Recogniser of one torch module on waveforms.

    Parameters
    ----------
    name : str
    classes : tuple of str
    module : nn.Module
        (n, n_samples) float32 at 16 kHz -> logits of a softmax, (n, n_classes), or outputs in units of their own where
        it has an attribute ``regression`` that is true. A row must not depend on the others. A method ``raw``, if it
        has one, returns one-vs-rest log-odds before they are normalised over classes.
    fingerprint : str
    trained_on : str
    device : str or torch.device
    min_samples : int
        Shortest waveform the module takes.

    Attributes
    ----------
    gradients : bool
        Whether the module passes gradients back; assumed until a trial shows otherwise.
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        module: nn.Module,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
        min_samples: int = 1,
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.module = module.eval().to(device).requires_grad_(False)
        self.regression = bool(getattr(module, "regression", False))
        self.fingerprint = fingerprint
        self.trained_on = trained_on
        self.device = torch.device(device)
        self.min_samples = min_samples
        self.gradients = True
        self.module.register_forward_pre_hook(self._count)
        differentiate_recurrent(self.module)

    def _count(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls += len(args[0])

    @property
    def differentiable(self) -> bool:
        """Whether the module passes gradients back to the waveform; see `models.trial`."""
        return self.gradients

    @cached_property
    def bytes_per_sample(self) -> float:
        """See `Recogniser.bytes_per_sample`; measured once on one copy of 4 s."""
        if not self.gradients:
            return 4.0
        n_samples, calls = max(round(PROBE_S * SAMPLE_RATE), self.min_samples), self.calls
        waveform = torch.zeros((1, n_samples), device=self.device)
        per_sample = pass_bytes(self.waveform_log_odds, waveform) / n_samples
        self.calls = calls  # the measurement is not an explanation's cost
        return per_sample

    def waveform_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class, differentiable: (n, n_samples) on `device` -> (n, n_classes)."""
        return self.scores_of(self.module(waveforms))

    def raw_scores(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Output of the last linear layer, differentiable: (n, n_samples) -> (n, n_classes); see `raw_scores`."""
        return raw_scores(self.module, waveforms, self._count)

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.waveform_log_odds(waveforms.to(self.device))

    def raw(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """One-vs-rest log-odds before they are normalised over classes, where the module has such; else log-odds.

        Shape (n, n_samples) -> (n, n_classes).
        """
        raw = getattr(self.module, "raw", None)
        if raw is None:
            return self.log_odds(waveforms)
        tensor = self.checked(waveforms).to(self.device)
        with self.metered(), torch.no_grad():
            return torch.cat([raw(rows) for rows in tensor.split(self.batch)]).double().cpu().numpy()
