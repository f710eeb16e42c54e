"""White-box recogniser: log-odds are a weighted sum of band levels, so that attributions are known in closed form.

Conventions
-----------
The clip's short-time spectrum (the plane's own: 32 ms Hann windows, 8 ms apart) is summed into the 16 mel bands of the
scoring grid. A feature is a band's level in a frame in dB above `FLOOR_DB`, 0 below it. The log-odds of an emotion are

    y = bias + sum over bands b of  w[b] * mean over frames t of x[b, t],

one logistic regression an emotion, without a softmax. The contribution of a cell to the difference in log-odds from a
reference of the same length is therefore known in closed form, ``w[b] (x - x') / T``, and contributions add up exactly
(`relevance`). The log-odds of neutral are 0.

The weights are not trained. They are rounded from the recipes of the planted corpus
(`datasets.planted.voices.RECIPES`): anger raises the level, mostly of the upper bands; happiness raises it less, and
moves the fundamental out of the lowest band; sadness removes energy, least from the upper bands. The bias
puts the corpus' mean neutral clip `MARGIN` below an even decision.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid, band_edges_hz
from ..audio.plane import HOP, N_FFT
from ..keys import digest
from .white_box import WhiteBox

if TYPE_CHECKING:
    from .record import ModelRecord

CLASSES = ("anger", "happiness", "sadness", "neutral")
BANDS = 16
FLOOR_DB = -47.0  # re a sine of amplitude 1; neutral speech: half of the frames at 600 Hz, 1 % above 5 kHz
REFERENCE = (N_FFT / 4) ** 2  # power of such a sine in its bin

# log-odds for a dB of mean level in each band below 199, 760, 1689 and 8000 Hz
GROUPS = (1, 3, 4, 8)  # bands
WEIGHTS = {"anger": (0.2, 0.2, 0.4, 0.4), "happiness": (-0.3, 0.3, 0.2, 0.2), "sadness": (-0.2, -0.3, -0.3, -0.1)}
NEUTRAL_DB = (7.3, 24.1, 9.5, 7.6)  # mean of the neutral clips of 'planted', summed over the group's bands
MARGIN = {"anger": 4.5, "happiness": 1.5, "sadness": 2.0}  # about half of what the recipe adds on average


class BandLevels(nn.Module):
    """Levels of the scoring grid's 16 mel bands in frames of the plane, in dB above `FLOOR_DB`.

    Attributes
    ----------
    floor : float
        Feature value of silence.
    min_samples : int
    """

    taper: torch.Tensor
    bands: torch.Tensor
    floor = 0.0
    min_samples = HOP

    def __init__(self) -> None:
        super().__init__()
        rows = self.grid(HOP).rows_of(np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT)
        self.register_buffer("taper", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("bands", torch.eye(BANDS)[rows], persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, 16, 1 + n_samples // 128)."""
        spectrum = torch.stft(
            waveforms, N_FFT, HOP, window=self.taper, center=True, pad_mode="constant", return_complex=True
        )
        power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2) @ self.bands / REFERENCE
        decibel = 10 * torch.log10(power.clamp_min(10 ** (FLOOR_DB / 10)))
        return (decibel - FLOOR_DB).transpose(1, 2)[:, None]

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the cells: column t is centred on frame t of the plane."""
        edges = (np.arange(2 + n_samples // HOP) - 0.5) * HOP / SAMPLE_RATE
        return Grid(band_edges_hz(BANDS), edges)


class MeanLevels(nn.Module):
    """Weighted sum of the bands' mean levels for each class, (n, 1, 16, n_frames) -> (n, n_classes)."""

    def __init__(self) -> None:
        super().__init__()
        groups = torch.tensor([*WEIGHTS.values(), (0.0,) * len(GROUPS)])
        bias = -groups @ torch.tensor(NEUTRAL_DB) - torch.tensor([*MARGIN.values(), 0.0])
        self.sum = nn.Linear(BANDS, len(CLASSES))
        self.sum.weight = nn.Parameter(groups.repeat_interleave(torch.tensor(GROUPS), dim=1))
        self.sum.bias = nn.Parameter(bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of each class."""
        return self.sum(features.mean(dim=(1, 3)))


class PlantedRule(WhiteBox):
    """White-box recogniser of four logistic regressions, without a softmax.

    Parameters
    ----------
    device : str or torch.device
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        network = MeanLevels()
        weights = [p.detach().numpy() for p in network.parameters()]
        fingerprint = digest("planted-rule", *weights, FLOOR_DB)
        super().__init__("planted-rule", CLASSES, BandLevels(), network, fingerprint, trained_on="none", device=device)

    def feature_log_odds(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class from feature maps, differentiable: (n, 1, 16, T) -> (n, n_classes)."""
        return self.network(features)

    def relevance(self, samples: np.ndarray, reference: np.ndarray, target: str, grid: Grid) -> np.ndarray:
        """Closed-form contribution of each cell to the difference in log-odds between a clip and a reference.

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
        change = (self.features(samples) - self.features(reference))[0, 0].double().cpu().numpy()
        weight = cast(MeanLevels, self.network).sum.weight[self.class_index(target)].double().cpu().numpy()
        frames = grid.columns_of(np.arange(change.shape[1]) * HOP / SAMPLE_RATE)
        cells = np.zeros(grid.shape)
        np.add.at(cells.T, frames, (weight[:, None] * change / change.shape[1]).T)
        return cells


def load(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> PlantedRule:
    """Build the recogniser; there is no checkpoint."""
    return PlantedRule(device)
