"""Fill operators: what stands in the place of a removed part.

No fill is neutral, so each score names its fill. All return an STFT on the clip's own frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..errors import InputError, NotApplicable, UnknownNameError
from .plane import Plane

ATTENUATION_DB = 40.0  # about the distance from speech to the noise floor of a studio recording


def _attenuate(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    return plane.spectrum * 10 ** (-ATTENUATION_DB / 20)


def _noise(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """Stationary Gaussian noise with the clip's median power in each frequency bin."""
    shape = tuple(plane.spectrum.shape)
    draw = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)) / np.sqrt(2)
    level = plane.spectrum.abs().square().median(dim=1, keepdim=True).values.sqrt()
    return level * torch.as_tensor(draw.astype(np.complex64), device=plane.spectrum.device)


def _spectral_mean(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """The clip's mean magnitude in each frequency bin with the original phase."""
    magnitude = plane.spectrum.abs()
    mean = magnitude.mean(dim=1, keepdim=True).expand_as(magnitude)
    return torch.polar(mean.contiguous(), plane.spectrum.angle())


_SIGNAL_FILLS: dict[str, Callable[[Plane, np.random.Generator], torch.Tensor]] = {
    "attenuate": _attenuate,
    "noise": _noise,
    "spectral-mean": _spectral_mean,
}
FILLS = (*_SIGNAL_FILLS, "twin")


def fill_spectrum(
    name: str, plane: Plane, generator: np.random.Generator, twin: np.ndarray | None = None
) -> torch.Tensor:
    """STFT of the fill of this name for one clip.

    Parameters
    ----------
    name : {'attenuate', 'noise', 'spectral-mean', 'twin'}
    plane : Plane
    generator : numpy Generator
        Used by ``noise`` alone.
    twin : array, shape (n_samples,), optional
        The neutral twin of a planted clip, under the same condition.

    Returns
    -------
    Tensor, complex64, shape (257, n_frames)

    Raises
    ------
    NotApplicable
        For ``twin`` where the clip has none.
    InputError
        If the twin is not as long as the clip.
    UnknownNameError
    """
    if name == "twin":
        if twin is None:
            raise NotApplicable("fill 'twin' needs a clip with a neutral twin (corpus 'planted')")
        if np.shape(twin) != tuple(plane.samples.shape):
            raise InputError(
                f"fill 'twin': the twin has shape {np.shape(twin)}, the clip {tuple(plane.samples.shape)}."
            )
        return plane.stft(torch.as_tensor(twin, dtype=torch.float32, device=plane.samples.device))
    if name not in _SIGNAL_FILLS:
        raise UnknownNameError("fill", name, FILLS)
    return _SIGNAL_FILLS[name](plane, generator)
