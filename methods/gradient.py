"""Gradient methods on the network's input map, see `inspection`.

Conventions
-----------
The scalar explained is the one-vs-rest log-odds of the target, or their difference between two classes. Maps lie on the
view's own grid. Gradients are taken with respect to the input map alone: weights, statistics, hooks and gradients of
the network are left unchanged. Copies are evaluated in batches that fit the recogniser's memory.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from captum import attr

from ..errors import ClipError, InputError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request
from .inspection import View, check_baseline, check_reach, differentiable, draws_of, view_of


class GradientMethod(Explainer):
    """Base class of methods that differentiate through the network; subclasses implement `relevance`."""

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the grid of the feature map, or of the short-time Fourier transform, whose first and last column reach
            over the ends of the clip.

        Raises
        ------
        NotApplicable
            If the recogniser is not differentiable.
        ClipError
            If the clip is too short, or the gradient is not finite.
        """
        self._check()
        with differentiable(request.recogniser, self.name).metered():
            view = view_of(request, self.name)
            relevance, details = self.relevance(view)
        return attribution(self.name, relevance, view, details)

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one forward pass (backward passes are not counted)."""
        differentiable(recogniser, self.name)
        return 1

    def _check(self) -> None:
        """Raise `InputError` if a parameter is out of range."""

    @abstractmethod
    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """Relevance of each cell, shape (1, n_freq, n_time), and diagnostics for ``details``."""


def attribution(method: str, relevance: torch.Tensor, view: View, details: dict[str, float]) -> Attribution:
    """Wrap relevance, shape (1, n_freq, n_time), as an attribution on the view's grid.

    Raises
    ------
    ClipError
        If it is not finite.
    """
    if not bool(torch.isfinite(relevance).all()):
        raise ClipError(f"{method}: the gradient of recogniser {view.recogniser.name!r} is not finite.")
    return Attribution(relevance.detach()[0].cpu().numpy(), view.grid, view.request.label, method, details)


class Saliency(GradientMethod):
    """Magnitude of the gradient, non-negative (Simonyan, Vedaldi & Zisserman 2014, section 3)."""

    name = "saliency"

    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        gradient = attr.Saliency(view.response).attribute(view.values.requires_grad_(), abs=False)
        return gradient.norm(dim=1), {}


class InputXGradient(GradientMethod):
    """Gradient times input, with the input measured from silence.

    The zero of a scaled log-mel feature is arbitrary. Relative to ``front_end.floor`` zero is silence, and a silent
    cell has no relevance (Shrikumar et al. 2016; Kindermans et al. 2016).
    """

    name = "input-x-gradient"

    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        method = attr.InputXGradient(lambda above_silence: view.response(above_silence + view.silence))
        return method.attribute((view.values - view.silence).requires_grad_()).sum(dim=1), {}


class IntegratedGradients(GradientMethod):
    """Integrated gradients from a baseline to the features, by Gauss-Legendre quadrature.

    Relevance sums to the change of log-odds from the baseline up to the reported ``convergence_delta`` (Sundararajan,
    Taly & Yan 2017, equation 1 and proposition 1).

    Parameters
    ----------
    n_steps : int
        Number of quadrature nodes.
    baseline : str
        ``silence``, or the name of a fill (see `audio.FILLS`) that replaces the whole clip; for ``noise`` the mean over
        `inspection.NOISE_DRAWS` draws.
    """

    name = "integrated-gradients"
    fill_parameter = "baseline"

    def __init__(self, n_steps: int = 32, baseline: str = "silence") -> None:
        self.n_steps = n_steps
        self.baseline = baseline
        self.stochastic = baseline == "noise"

    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        method = attr.IntegratedGradients(view.response)
        found = [
            method.attribute(
                view.values,
                baseline,
                n_steps=self.n_steps,
                internal_batch_size=view.at_once,
                return_convergence_delta=True,
            )
            for baseline in view.baselines(self.baseline, draws_of(self.baseline))
        ]
        relevance = torch.stack([one.sum(dim=1) for one, _ in found]).mean(dim=0)
        return relevance, {"convergence_delta": float(np.mean([float(delta) for _, delta in found]))}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the quadrature nodes, and both end points for ``convergence_delta``, of each draw."""
        return (super().calls(n_samples, recogniser) * self.n_steps + 2) * draws_of(self.baseline)

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`."""
        self._check()
        check_reach(request, self.name, self.baseline)
        return super().calls_of(request)

    def _check(self) -> None:
        at_least_one(self.name, "n_steps", self.n_steps, 32)
        check_baseline(self.baseline)


class SmoothGrad(GradientMethod):
    """SmoothGrad: magnitude of the gradient averaged over noisy copies of the map, non-negative.

    Smilkov, Thorat, Kim, Viégas & Wattenberg 2017, arXiv 1706.03825, section 3: the signed gradients are averaged.

    Parameters
    ----------
    n_copies : int
        Noisy copies that the gradient is averaged over.
    noise : float
        Standard deviation of the Gaussian noise, as a share of the map's range.
    """

    name = "smoothgrad"
    stochastic = True

    def __init__(self, n_copies: int = 32, noise: float = 0.15) -> None:
        self.n_copies = n_copies
        self.noise = noise

    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        scale = self.noise * float(view.values.max() - view.values.min())
        generator = view.request.generator("noise")
        total = torch.zeros_like(view.values)
        for size in batches(self.n_copies, view.at_once):
            noise = generator.standard_normal((size, *view.values.shape[1:]), dtype=np.float32)
            total += view.gradients(view.values + scale * torch.as_tensor(noise).to(total)).sum(dim=0)
        return (total / self.n_copies).norm(dim=1), {}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one per copy."""
        return super().calls(n_samples, recogniser) * self.n_copies

    def _check(self) -> None:
        at_least_one(self.name, "n_copies", self.n_copies, 32)
        if not self.noise > 0:
            raise InputError(f"smoothgrad: noise must be above 0, got {self.noise}; the default is 0.15.")


class GradientShap(GradientMethod):
    """Expected gradients: mean of gradient times difference at random points between random baselines and the map.

    In expectation it sums to the response minus the baselines' mean response; the sampling error of that sum is
    reported as ``convergence_delta``. Lundberg & Lee 2017, arXiv 1705.07874; Erion, Janizek, Sturmfels, Lundberg & Lee
    2021, Nature Machine Intelligence 3, equation 3.

    Parameters
    ----------
    n_draws : int
        Random points that the expectation is estimated from.
    baselines : tuple of str
        Sampled uniformly; names as for `IntegratedGradients`.
    """

    name = "gradient-shap"
    stochastic = True

    def __init__(self, n_draws: int = 32, baselines: tuple[str, ...] = ("silence", "spectral-mean", "noise")) -> None:
        self.n_draws = n_draws
        self.baselines = baselines

    def relevance(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """See `GradientMethod.relevance`."""
        ends = torch.cat([view.baseline(name) for name in self.baselines])
        generator = view.request.generator("draws")
        chosen = generator.integers(len(ends), size=self.n_draws)
        position = torch.as_tensor(generator.random((self.n_draws, 1, 1, 1))).to(ends)
        total, start = torch.zeros_like(view.values), 0
        for size in batches(self.n_draws, view.at_once):
            difference = view.values - ends[chosen[start : start + size]]
            point = view.values - (1 - position[start : start + size]) * difference
            total += (difference * view.gradients(point)).sum(dim=0)
            start += size
        relevance = (total / self.n_draws).sum(dim=1)
        with torch.no_grad():
            y = torch.cat([view.response(part[None]) for part in (view.values[0], *ends)]).double()
        share = np.bincount(chosen, minlength=len(ends)) / self.n_draws
        change = float(y[0]) - float(share @ y[1:].cpu().numpy())
        return relevance, {"convergence_delta": float(relevance.sum(dtype=torch.float64)) - change}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one per draw, the clip and each baseline."""
        return super().calls(n_samples, recogniser) * self.n_draws + 1 + len(self.baselines)

    def _check(self) -> None:
        at_least_one(self.name, "n_draws", self.n_draws, 32)
        at_least_one(self.name, "number of baselines", len(self.baselines), 3)
        for name in self.baselines:
            check_baseline(name)


def batches(n: int, size: int) -> list[int]:
    """Batch sizes for `n` copies, at most `size` each.

    Examples
    --------
    >>> batches(20, 8)
    [8, 8, 4]
    """
    return [min(size, n - start) for start in range(0, n, size)]


def at_least_one(method: str, parameter: str, value: int, default: int) -> None:
    """Raise `InputError` unless a parameter is at least 1."""
    if value < 1:
        raise InputError(f"{method}: {parameter} must be at least 1, got {value}; the default is {default}.")
