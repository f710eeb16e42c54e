"""Bound of audibility for small changes of a clip: a relative level, and a psychoacoustic masking threshold.

Conventions
-----------
A change is inaudible here if its norm is at most `LEVEL` of the clip's (-34 dB, the largest noise of the sensitivity
metrics) *and* in every bin of every STFT frame its power is at most the masking threshold of the clip in that frame.
The threshold is that of simultaneous masking by tones, the stricter kind: power in critical bands (Bark), spread over
frequency by Schroeder's function, 14.5 + z dB below the masker in band z, divided over the bins of a band; and never
below the threshold in quiet, with a full-scale sine at 96 dB SPL. Masking before and after a sound is not used.

Sources
-------
Schroeder, Atal, Hall 1979, JASA 66(6), spreading function; Johnston 1988, IEEE J. Sel. Areas Commun. 6(2), offset and
normalised spreading; Terhardt 1979, Hearing Research 1, threshold in quiet; Zwicker, Terhardt 1980, JASA 68(5), Bark.
"""

from __future__ import annotations

import numpy as np
import torch

from ..audio import Plane
from ..audio.plane import N_FFT

LEVEL = 0.02  # norm of a change relative to the clip's
FULL_SCALE_SPL = 96.0  # dB, of a sine of amplitude 1
_FULL_SCALE_POWER = (N_FFT / 4) ** 2  # of its bin under a Hann window
ROUNDS = 4  # of clipping in the STFT, whose inverse moves power between bins


def bark(freqs_hz: np.ndarray) -> np.ndarray:
    """Critical-band rate of frequencies in Hz (Zwicker & Terhardt 1980)."""
    rate: np.ndarray = 13 * np.arctan(7.6e-4 * freqs_hz) + 3.5 * np.arctan((freqs_hz / 7500) ** 2)
    return rate


def quiet_spl(freqs_hz: np.ndarray) -> np.ndarray:
    """Threshold in quiet in dB SPL (Terhardt 1979); constant below 20 Hz."""
    khz = np.maximum(freqs_hz, 20) / 1000
    level: np.ndarray = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return level


def spreading_db(distance: np.ndarray) -> np.ndarray:
    """Level of masking at a distance in Bark above the masker (Schroeder, Atal & Hall 1979), 0 dB at 0."""
    away = distance + 0.474
    level: np.ndarray = 15.81 + 7.5 * away - 17.5 * np.sqrt(1 + away**2)
    return level


def masking_threshold(power: np.ndarray, freqs_hz: np.ndarray) -> np.ndarray:
    """Largest inaudible power of a change in each STFT bin.

    Parameters
    ----------
    power : array, shape (257, n_frames)
        Of the clip's STFT (`audio.Plane`).
    freqs_hz : array, shape (257,)
        Centre frequencies of the bins.

    Returns
    -------
    array, float64, shape (257, n_frames)
        In the unit of `power`; positive.
    """
    band = np.floor(bark(freqs_hz)).astype(int)
    n_bands = int(band.max()) + 1
    member = (band == np.arange(n_bands)[:, None]).astype(np.float64)
    z = np.arange(n_bands) + 0.5
    spread = 10 ** (spreading_db(z[:, None] - z) / 10)
    spread /= spread.sum(axis=1, keepdims=True)
    masked = 10 ** (-(14.5 + z[:, None]) / 10) * (spread @ (member @ power.astype(np.float64)))
    per_bin = (masked / member.sum(axis=1, keepdims=True))[band]
    quiet = _FULL_SCALE_POWER * 10 ** ((quiet_spl(freqs_hz) - FULL_SCALE_SPL) / 10)
    threshold: np.ndarray = np.maximum(per_bin, quiet[:, None])
    return threshold


class Audibility:
    """The bound of one clip.

    Parameters
    ----------
    plane : Plane
        Of the clip.

    Attributes
    ----------
    largest : float
        Norm that a change may have.
    threshold : Tensor, float32, shape (257, n_frames)
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.largest = LEVEL * float(plane.samples.double().norm())
        power = plane.spectrum.abs().square().double().cpu().numpy()
        self.threshold = torch.as_tensor(
            masking_threshold(power, plane.freqs_hz), dtype=torch.float32, device=plane.spectrum.device
        )

    def excess(self, change: torch.Tensor) -> float:
        """Amplitude of a change, shape (n_samples,), over the largest allowed: inaudible where at most 1."""
        level = float(change.double().norm()) / self.largest
        masked = float((self.plane.stft(change).abs().square() / self.threshold).max()) ** 0.5
        return max(level, masked)

    def bounded(self, change: torch.Tensor) -> torch.Tensor:
        """A change within the bound near another one, shape (n_samples,) each."""
        for _ in range(ROUNDS):
            spectrum = self.plane.stft(change)
            room = (self.threshold / spectrum.abs().square().clamp_min(1e-30)).sqrt().clamp_max(1.0)
            change = self.plane.istft(spectrum * room)
        return change / max(1.0, self.excess(change) * (1 + 1e-6))

    def along(self, gradient: torch.Tensor) -> torch.Tensor:
        """Change along a gradient, of the largest level, shape (n_samples,); `bounded` cuts what is not masked."""
        return self.largest * gradient / gradient.norm()

    def shaped(self, noise: torch.Tensor) -> torch.Tensor:
        """Noise that is as large as the masking threshold in every bin, shape (n_samples,)."""
        spectrum = self.plane.stft(noise)
        return self.plane.istft(torch.polar(self.threshold.sqrt(), spectrum.angle()))
