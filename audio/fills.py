"""Fill operators: the signal that replaces masked time-frequency cells.

No fill is neutral, so each score names its fill. Every fill is an STFT of the same shape as the clip's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..errors import InputError, NotApplicable, UnknownNameError
from .plane import Plane

ATTENUATION_DB = 40.0  # about the signal-to-noise ratio of a studio recording of speech


def _attenuate(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """Clip attenuated by `ATTENUATION_DB`."""
    return plane.spectrum * 10 ** (-ATTENUATION_DB / 20)


def _noise(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """Stationary Gaussian noise with the clip's median power in each frequency bin."""
    shape = tuple(plane.spectrum.shape)
    draw = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)) / np.sqrt(2)
    level = plane.spectrum.abs().square().median(dim=1, keepdim=True).values.sqrt()
    return level * torch.as_tensor(draw.astype(np.complex64), device=plane.spectrum.device)


def _spectral_mean(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """Mean magnitude of the clip in each frequency bin, with the original phase."""
    magnitude = plane.spectrum.abs()
    mean = magnitude.mean(dim=1, keepdim=True).expand_as(magnitude)
    return torch.polar(mean.contiguous(), plane.spectrum.angle())


def _zero(plane: Plane, generator: np.random.Generator) -> torch.Tensor:
    """Digital silence, as in the EmoLIME authors' code, which sets bands of a mel spectrogram to zero."""
    return torch.zeros_like(plane.spectrum)


_SIGNAL_FILLS: dict[str, Callable[[Plane, np.random.Generator], torch.Tensor]] = {
    "attenuate": _attenuate,
    "noise": _noise,
    "spectral-mean": _spectral_mean,
    "zero": _zero,
}
FILLS = (*_SIGNAL_FILLS, "twin")


def fill_spectrum(
    name: str, plane: Plane, generator: np.random.Generator, twin: np.ndarray | None = None
) -> torch.Tensor:
    """STFT of a fill for one clip.

    Parameters
    ----------
    name : {'attenuate', 'noise', 'spectral-mean', 'zero', 'twin'}
    plane : Plane
    generator : numpy Generator
        Used by ``noise`` only.
    twin : array, shape (n_samples,), optional
        Neutral twin of a planted clip, under the same condition; required by ``twin``.

    Returns
    -------
    Tensor, complex64, shape (257, n_frames)

    Raises
    ------
    NotApplicable
        For ``twin`` if the clip has no neutral twin.
    InputError
        If twin and clip differ in length.
    UnknownNameError
        For any other name.
    """
    if name == "twin":
        if twin is None:
            raise NotApplicable("fill 'twin' needs a clip with a neutral twin (corpus 'planted')")
        if np.shape(twin) != tuple(plane.samples.shape):
            raise InputError(
                f"fill 'twin': parameter twin must have the clip's shape {tuple(plane.samples.shape)}, got "
                f"{np.shape(twin)}; pass the twin under the same condition as the clip."
            )
        return plane.stft(torch.as_tensor(twin, dtype=torch.float32, device=plane.samples.device))
    if name not in _SIGNAL_FILLS:
        raise UnknownNameError("fill", name, FILLS)
    return _SIGNAL_FILLS[name](plane, generator)
