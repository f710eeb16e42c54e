"""Time-frequency input maps of differentiable recognisers, with respect to which gradients are taken.

Conventions
-----------
A *view* is a real tensor of shape ``(1, parts, n_freq, n_time)``. For a recogniser with a front end it is the feature
map (one part). A network on waveforms gets a virtual inspection layer (Vielhaben, Lapuschkin, Montavon & Samek 2024,
Pattern Recognition, arXiv 2303.06365): the clip's short-time Fourier transform, whose inverse is the network's input;
its parts are real and imaginary part. A cell's relevance is the sum over parts, so that input times gradient is
``Re(conj(X) dy/dX)``, and its sensitivity the Euclidean norm over parts, ``|dy/dX|``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch

from ..audio import FILLS, SAMPLE_RATE, Grid, Plane
from ..audio.plane import HOP, N_FFT
from ..errors import NotApplicable, UnknownNameError
from ..models.recogniser import FrontEnd, Recogniser, TorchRecogniser
from ..models.waveform import WaveformRecogniser
from .explainer import Request
from .masks import fill_of

BASELINES = ("silence", *FILLS)
NOISE_DRAWS = 4  # baselines that explanations against noise are averaged over
SAME = 1e-4  # of the map's range; a baseline nearer than that everywhere is the clip itself

Differentiable = TorchRecogniser | WaveformRecogniser


@dataclass(frozen=True, eq=False)
class View:
    """Differentiable input map of a network for one clip.

    Attributes
    ----------
    request : Request
    recogniser : TorchRecogniser or WaveformRecogniser
    values : Tensor, shape (1, parts, n_freq, n_time)
    grid : Grid
        Cells of the map.
    silence : float
        Value of a silent cell.
    log_odds : callable
        Maps like `values` to log-odds of every class, (n, parts, n_freq, n_time) -> (n, n_classes).
    represent : callable
        Waveform of the clip's length to a map like `values`.
    inputs : callable
        Maps like `values` to what the recogniser's network takes, differentiable.
    """

    request: Request
    recogniser: Differentiable
    values: torch.Tensor
    grid: Grid
    silence: float
    log_odds: Callable[[torch.Tensor], torch.Tensor]
    represent: Callable[[torch.Tensor], torch.Tensor]
    inputs: Callable[[torch.Tensor], torch.Tensor]

    @cached_property
    def plane(self) -> Plane:
        """The clip's short-time Fourier transform."""
        return Plane(self.request.clip.samples, self.recogniser.device)

    @property
    def at_once(self) -> int:
        """Largest batch of copies that fits the recogniser's memory."""
        return self.recogniser.at_once(self.request.clip.samples.size)

    def response(self, maps: torch.Tensor) -> torch.Tensor:
        """Explained scalar, (n, parts, n_freq, n_time) -> (n,); see `Request.response`."""
        return self.request.response(self.log_odds(maps))

    def baseline(self, name: str, draw: int = 0) -> torch.Tensor:
        """Baseline map in the shape of `values`: ``silence``, or the clip entirely replaced by a fill.

        Raises
        ------
        UnknownNameError
        NotApplicable
            For ``twin`` where the clip has none.
        """
        if name == "silence":
            return torch.full_like(self.values, self.silence)
        return self.represent(self.plane.istft(fill_of(self.request, self.plane, name, draw)))

    def baselines(self, name: str, draws: int = 1) -> list[torch.Tensor]:
        """Baseline maps as in `baseline`, one for each draw.

        Raises
        ------
        NotApplicable
            As `baseline`; and if the recogniser's features of a baseline are those of the clip, so that nothing can
            be attributed to their difference.
        """
        found = [self.baseline(name, draw) for draw in range(draws)]
        near = SAME * float(self.values.max() - self.values.min())
        if any(float((baseline - self.values).abs().max()) <= near for baseline in found):
            raise NotApplicable(f"no reach: filled with {name}, the clip's features stay as they are")
        return found

    def gradients(self, maps: torch.Tensor) -> torch.Tensor:
        """Gradient of the response with respect to each map, in the shape of `maps`."""
        maps = maps.detach().requires_grad_()
        return torch.autograd.grad(self.response(maps).sum(), maps)[0]

    def responses(self, n: int, render: Callable[[np.ndarray], torch.Tensor]) -> np.ndarray:
        """Responses to `n` maps, rendered one batch at a time.

        Parameters
        ----------
        n : int
        render : callable
            Indices of maps, shape (batch,), to the maps. The last batch is padded with the last map.

        Returns
        -------
        array, float64, shape (n,)
        """
        size = self.at_once
        starts = range(0, self.recogniser.calls_for(n), size)
        # one array for all: small ones allocated between the large batches would fragment the heap
        responses = np.empty(len(starts) * size)
        with torch.no_grad():
            for start in starts:
                index = np.minimum(np.arange(start, start + size), n - 1)
                responses[start : start + size] = self.response(render(index)).double().cpu().numpy()
        return responses[:n]


def view_of(request: Request, method: str) -> View:
    """Build the view of a request's clip for its recogniser.

    Raises
    ------
    NotApplicable
        If the recogniser is not differentiable.
    ClipError
        If the clip is too short or not finite.
    """
    recogniser = differentiable(request.recogniser, method)
    samples = recogniser.checked(request.clip.samples[None])[0]
    if isinstance(recogniser, TorchRecogniser):
        return View(
            request=request,
            recogniser=recogniser,
            values=recogniser.features(samples),
            grid=grid_of(samples.numel(), recogniser),
            silence=cast(FrontEnd, recogniser.front_end).floor,
            log_odds=recogniser.feature_log_odds,
            represent=recogniser.features,
            inputs=lambda maps: maps,
        )
    network, plane = recogniser, Plane(request.clip.samples, recogniser.device)

    def inputs(maps: torch.Tensor) -> torch.Tensor:
        return plane.istft(torch.complex(maps[:, 0], maps[:, 1]))

    def log_odds(maps: torch.Tensor) -> torch.Tensor:
        return network.waveform_log_odds(inputs(maps))

    def represent(waveform: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(plane.stft(waveform)).permute(2, 0, 1)[None]

    grid = grid_of(samples.numel(), recogniser)
    return View(request, recogniser, represent(plane.samples), grid, 0.0, log_odds, represent, inputs)


def differentiable(recogniser: Recogniser, method: str) -> Differentiable:
    """Return the recogniser if it is differentiable.

    Raises
    ------
    NotApplicable
    """
    if not (recogniser.differentiable and isinstance(recogniser, TorchRecogniser | WaveformRecogniser)):
        raise NotApplicable(f"{method} needs gradients; recogniser {recogniser.name!r} is not differentiable")
    return recogniser


def on_features(recogniser: Recogniser, method: str) -> TorchRecogniser:
    """Return the recogniser if it is a network on a feature map.

    Raises
    ------
    NotApplicable
    """
    if not isinstance(recogniser, TorchRecogniser):
        raise NotApplicable(f"{method} needs a network on a feature map; recogniser {recogniser.name!r} has none")
    return recogniser


def grid_of(n_samples: int, recogniser: Differentiable) -> Grid:
    """Grid of the view of a clip of this length: that of the front end, or of the short-time Fourier transform."""
    if isinstance(recogniser, TorchRecogniser):
        return recogniser.feature_grid(n_samples)
    bins, frames = 1 + N_FFT // 2, 1 + n_samples // HOP
    freqs = np.clip(np.arange(bins + 1) - 0.5, 0, bins - 1) * SAMPLE_RATE / N_FFT
    return Grid(freqs, (np.arange(frames + 1) - 0.5) * HOP / SAMPLE_RATE)


def draws_of(baseline: str) -> int:
    """Number of baselines that an explanation is averaged over: several of ``noise``, else one."""
    return NOISE_DRAWS if baseline == "noise" else 1


def check_reach(request: Request, method: str, baseline: str) -> None:
    """Raise `NotApplicable` if a baseline has the features of the clip itself; see `View.baselines`."""
    view_of(request, method).baselines(baseline, draws_of(baseline))


def check_baseline(name: str) -> None:
    """Raise `UnknownNameError` if no baseline has this name."""
    if name not in BASELINES:
        raise UnknownNameError("baseline", name, BASELINES)
