"""Gradient methods on the recogniser's own feature map.

Conventions
-----------
The scalar explained is the one-vs-rest log-odds of the target, as a function of the feature map, shape
``(1, 1, n_freq, n_frames)``. Maps lie on the feature map's own grid. Gradients are taken with respect to the features
alone: weights, statistics, hooks and gradients of the network are not touched.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from captum import attr

from ..audio import FILLS
from ..errors import ClipError, InputError, NotApplicable, UnknownNameError
from ..models.recogniser import FrontEnd, Recogniser, TorchRecogniser
from .attribution import Attribution
from .explainer import Explainer, Request
from .masks import fill_of, plane_of

BASELINES = ("silence", *FILLS)

LogOdds = Callable[[torch.Tensor], torch.Tensor]


class GradientMethod(Explainer):
    """Base of the methods that differentiate through the network; a method fills in `relevance`."""

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the feature map's grid, whose first and last column reach over the ends of the clip.

        Raises
        ------
        NotApplicable
            If the recogniser is not differentiable.
        ClipError
            If the clip is too short, or the gradient is not finite.
        """
        recogniser = self._differentiable(request.recogniser)
        target = request.target_index

        def log_odds(features: torch.Tensor) -> torch.Tensor:
            return recogniser.feature_log_odds(features)[:, target]

        with recogniser.metered():
            features = recogniser.features(request.clip.samples)
            relevance, details = self.relevance(log_odds, features, recogniser, request)
        if not bool(torch.isfinite(relevance).all()):
            raise ClipError(f"{self.name}: the gradient of recogniser {recogniser.name!r} is not finite.")
        grid = recogniser.feature_grid(request.clip.samples.size)
        return Attribution(relevance.detach()[0, 0].cpu().numpy(), grid, request.target, self.name, details)

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one pass forward, and its way back."""
        self._differentiable(recogniser)
        return 1

    def _differentiable(self, recogniser: Recogniser) -> TorchRecogniser:
        if not (recogniser.differentiable and isinstance(recogniser, TorchRecogniser)):
            raise NotApplicable(f"{self.name} needs gradients; recogniser {recogniser.name!r} is not differentiable")
        return recogniser

    @abstractmethod
    def relevance(
        self, log_odds: LogOdds, features: torch.Tensor, recogniser: TorchRecogniser, request: Request
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Relevance of each feature, in the shape of `features`, and what to report beside it.

        Parameters
        ----------
        log_odds : callable
            Feature maps to the target's log-odds, shape (n, 1, n_freq, n_frames) -> (n,).
        features : Tensor, shape (1, 1, n_freq, n_frames)
        recogniser : TorchRecogniser
        request : Request
        """


class Saliency(GradientMethod):
    """Magnitude of the gradient; never negative (Simonyan, Vedaldi & Zisserman 2014, section 3)."""

    name = "saliency"

    def relevance(
        self, log_odds: LogOdds, features: torch.Tensor, recogniser: TorchRecogniser, request: Request
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        return attr.Saliency(log_odds).attribute(features.requires_grad_(), abs=True), {}


class InputXGradient(GradientMethod):
    """Gradient times input, where the input is the feature's distance from silence.

    The zero of a scaled log-mel feature means nothing; measured from ``front_end.floor``, zero means silence, and a
    silent cell has no relevance (Shrikumar et al. 2016; Kindermans et al. 2016).
    """

    name = "input-x-gradient"

    def relevance(
        self, log_odds: LogOdds, features: torch.Tensor, recogniser: TorchRecogniser, request: Request
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        floor = _floor(recogniser)
        method = attr.InputXGradient(lambda above_floor: log_odds(above_floor + floor))
        return method.attribute((features - floor).requires_grad_()), {}


class IntegratedGradients(GradientMethod):
    """Integral of the gradient along the straight path from a baseline to the features, Gauss-Legendre rule.

    Relevance sums to the change of log-odds from the baseline up to the reported ``convergence_delta`` (Sundararajan,
    Taly & Yan 2017, equation 1 and proposition 1).

    Parameters
    ----------
    n_steps : int
        Nodes of the quadrature.
    baseline : str
        ``silence`` (``front_end.floor`` everywhere), or the name of a fill (see `audio.FILLS`): the features of the
        clip wholly replaced by it.
    """

    name = "integrated-gradients"

    def __init__(self, n_steps: int = 32, baseline: str = "silence") -> None:
        self.n_steps = n_steps
        self.baseline = baseline
        self.stochastic = baseline == "noise"

    def relevance(
        self, log_odds: LogOdds, features: torch.Tensor, recogniser: TorchRecogniser, request: Request
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        if self.n_steps < 1:
            raise InputError(
                f"integrated-gradients: n_steps must be at least 1, got {self.n_steps}; the default is 32."
            )
        if self.baseline not in BASELINES:
            raise UnknownNameError("baseline", self.baseline, BASELINES)
        relevance, delta = attr.IntegratedGradients(log_odds).attribute(
            features,
            self._baseline_features(features, recogniser, request),
            n_steps=self.n_steps,
            internal_batch_size=recogniser.batch,
            return_convergence_delta=True,
        )
        return relevance, {"convergence_delta": float(delta)}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the nodes of the path, and both its ends for ``convergence_delta``."""
        return super().calls(n_samples, recogniser) * self.n_steps + 2

    def _baseline_features(self, features: torch.Tensor, recogniser: TorchRecogniser, request: Request) -> torch.Tensor:
        if self.baseline == "silence":
            return torch.full_like(features, _floor(recogniser))
        plane = plane_of(request)
        waveform = plane.istft(fill_of(request, plane, self.baseline))
        return recogniser.features(waveform.cpu().numpy())


def _floor(recogniser: TorchRecogniser) -> float:
    """Feature value of silence."""
    return cast(FrontEnd, recogniser.front_end).floor
