"""White-box recognisers that are not additive: saturation, redundancy, interaction, and a feature of phase alone.

Conventions
-----------
Three boxes read the levels of `planted_rule.BandLevels`. Their log-odds of an emotion combine the sums of *groups* of
cells, s_g = sum over the group's cells of w x, by a soft maximum or minimum (temperature 1 log-odds):

``planted-saturation``   soft maximum over stretches of 400 ms, about a word: one stretch is enough, further ones add
    little. For sadness the negative of the maximum: the loudest stretch is soft.
``planted-redundancy``   soft maximum of two cues, the level below and above 760 Hz: either suffices.
``planted-interaction``  soft minimum of the same two: both are needed.

No closed form adds up cell by cell here, so what is exact has to be defined, by what removal does: groups are removed
whole, replaced by the reference. A group's value is its Shapley value (Shapley 1953), the mean over all orders of
removal of how much its removal changes the log-odds; the orders are enumerated over all sets of groups. Within a group
the combination sees the sum alone, and cells share its value in proportion to what each adds to the sum. Cells add up
to the difference in log-odds. Gradient, integrated gradients and occlusion share the values of cells within a group and
differ in the group's factor: 0 to 1, derivative, mean over the straight path, or effect of the last removal.

``planted-phase`` reads what a magnitude plane cannot show: the mean skewness of the samples in frames of 32 ms, which
depends on the phases of the harmonics and is the same at every level. Removing a whole column of the plane exchanges
the samples of its frames, so a column's value is the weighted change of its frames' skewness; no cell of a column has a
share of its own, and the 16 cells have equal ones. It is a test of the limits of metrics that remove cells.
"""

from __future__ import annotations

from itertools import combinations
from math import comb, factorial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid
from ..audio.plane import HOP, N_FFT
from ..keys import digest
from .planted_rule import BANDS, CLASSES, FLOOR_DB, GROUPS, NEUTRAL_DB, BandLevels
from .white_box import WhiteBox

if TYPE_CHECKING:
    from .record import ModelRecord

STRETCH = 50  # frames: 400 ms, five columns of the scoring grid
LOW_BANDS = sum(GROUPS[:2])  # those below 760 Hz
MAX_GROUPS = 14  # whose sets are enumerated; later stretches join the last one
LEAST_CHANGE = 1e-6  # of a group's sum, where its factor becomes the derivative

# log-odds for a dB of summed mean level of a cue, by emotion: below and above 760 Hz. In round numbers, such that what
# the recipe adds to each is about 6 on the mean clip of 'planted' (changes by 8, 18; 2, 8; -9, -6 dB)
CUES = {"anger": (0.7, 0.35), "happiness": (2.0, 0.75), "sadness": (-0.6, -1.0)}
CUE_NEUTRAL_DB = (sum(NEUTRAL_DB[:2]), sum(NEUTRAL_DB[2:]))
CUE_MARGIN = 3.0
# log-odds for a dB of level in a stretch, all bands, and the level of the loudest neutral stretch, halfway to the plant
STRETCHES = {"anger": 0.06, "happiness": 0.1, "sadness": -0.1}
STRETCH_DB = 90.0
SKEWNESS = 20.0  # log-odds for a mean skewness of 1


def soft_maximum(sums: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """Soft maximum over the last axis where `sign` is 1, soft minimum where it is -1."""
    return sign * torch.logsumexp(sign[..., None] * sums, dim=-1)


def group_factors(base: np.ndarray, change: np.ndarray, sign: float) -> np.ndarray:
    """Shapley value of each group's change, divided by the change.

    Parameters
    ----------
    base : array, float64, shape (n_groups,)
        Sums under the reference.
    change : array, float64, shape (n_groups,)
    sign : float
        1 for a soft maximum of the sums, -1 for a soft minimum.

    Returns
    -------
    array, float64, shape (n_groups,)
        In 0..1: 1 for a single group.

    Examples
    --------
    >>> group_factors(np.zeros(2), np.array([9.0, 9.0]), 1.0).round(2)
    array([0.5, 0.5])
    """
    n = len(base)
    change = np.where(np.abs(change) < LEAST_CHANGE, LEAST_CHANGE, change)
    others = np.arange(n)
    factors = np.zeros(n)
    for group in range(n):
        rest = np.delete(others, group)
        for size in range(n):
            weight = factorial(size) * factorial(n - 1 - size) / factorial(n)
            sets = np.array(list(combinations(rest, size)), dtype=int).reshape(comb(n - 1, size), size)
            sums = np.repeat(base[None], len(sets), axis=0)
            sums[np.arange(len(sets))[:, None], sets] += change[sets]
            more = sums.copy()
            more[:, group] += change[group]
            gained = sign * (_log_sum_exp(sign * more) - _log_sum_exp(sign * sums))
            factors[group] += weight * gained.sum() / change[group]
    return factors


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(axis=1)
    total: np.ndarray = top + np.log(np.exp(values - top[:, None]).sum(axis=1))
    return total


class GroupedLevels(nn.Module):
    """Log-odds from sums of groups of cells, (n, 1, 16, n_frames) -> (n, n_classes).

    Attributes
    ----------
    weights : Tensor, shape (n_classes, 16)
        Log-odds for a dB.
    signs : Tensor, shape (n_classes,)
        1: soft maximum of the sums, -1: soft minimum.
    bias : Tensor, shape (n_classes,)
    """

    weights: torch.Tensor
    signs: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weights: torch.Tensor, signs: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("signs", signs)
        self.register_buffer("bias", bias)

    def sums(self, features: torch.Tensor) -> torch.Tensor:
        """Sums of the groups, (n, 1, 16, n_frames) -> (n, n_classes, n_groups)."""
        raise NotImplementedError

    def groups(self, n_frames: int) -> np.ndarray:
        """Group of each cell, int, shape (16, n_frames)."""
        raise NotImplementedError

    def share(self, n_frames: int) -> float:
        """Share of a cell's level in the sum of its group."""
        raise NotImplementedError

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of each class; neutral's are 0."""
        known = self.bias + soft_maximum(self.sums(features), self.signs.expand(len(features), -1))
        return torch.cat([known, known.new_zeros(len(known), 1)], dim=1)


class CueLevels(GroupedLevels):
    """Two groups: the mean level below and above 760 Hz."""

    def __init__(self, sign: float) -> None:
        cues = torch.tensor([*CUES.values()])
        counts = torch.tensor([LOW_BANDS, BANDS - LOW_BANDS])
        super().__init__(
            cues.repeat_interleave(counts, dim=1), torch.full((len(CUES),), sign), torch.full((len(CUES),), -CUE_MARGIN)
        )
        self.register_buffer("centre", cues * torch.tensor(CUE_NEUTRAL_DB), persistent=False)

    def sums(self, features: torch.Tensor) -> torch.Tensor:
        """See `GroupedLevels.sums`."""
        weighted = features.mean(dim=(1, 3))[:, None] * self.weights
        both = [weighted[..., :LOW_BANDS].sum(dim=2), weighted[..., LOW_BANDS:].sum(dim=2)]
        return torch.stack(both, dim=2) - cast(torch.Tensor, self.centre)

    def groups(self, n_frames: int) -> np.ndarray:
        """See `GroupedLevels.groups`."""
        return np.repeat((np.arange(BANDS) >= LOW_BANDS).astype(int)[:, None], n_frames, axis=1)

    def share(self, n_frames: int) -> float:
        """See `GroupedLevels.share`."""
        return 1 / n_frames


class StretchLevels(GroupedLevels):
    """Stretches of 400 ms as groups, the last ones joined from the 14th on."""

    def __init__(self) -> None:
        weights = torch.tensor([*STRETCHES.values()])
        super().__init__(weights[:, None].expand(-1, BANDS).clone(), weights.sign(), -STRETCH_DB * weights)

    def sums(self, features: torch.Tensor) -> torch.Tensor:
        """See `GroupedLevels.sums`."""
        of_frame = torch.einsum("ncbt,kb->nkt", features, self.weights.to(features))
        member = torch.as_tensor(self.groups(features.shape[-1])[0], device=features.device)
        sums = of_frame.new_zeros(*of_frame.shape[:2], int(member.max()) + 1)
        return sums.index_add(2, member, of_frame / STRETCH)

    def groups(self, n_frames: int) -> np.ndarray:
        """See `GroupedLevels.groups`."""
        of_frame = np.minimum(np.arange(n_frames) // STRETCH, MAX_GROUPS - 1)
        return np.repeat(of_frame[None], BANDS, axis=0)

    def share(self, n_frames: int) -> float:
        """See `GroupedLevels.share`."""
        return 1 / STRETCH


class PlantedGroups(WhiteBox):
    """White box that combines sums of groups of cells; see the module.

    Parameters
    ----------
    name : str
    network : GroupedLevels
    device : str or torch.device
    """

    def __init__(self, name: str, network: GroupedLevels, device: str | torch.device = "cpu") -> None:
        numbers = [b.numpy() for b in (network.weights, network.signs, network.bias)]
        fingerprint = digest(name, *numbers, FLOOR_DB, STRETCH, LOW_BANDS, CUE_NEUTRAL_DB)
        super().__init__(name, CLASSES, BandLevels(), network, fingerprint, trained_on="none", device=device)

    def feature_log_odds(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class from feature maps, differentiable: (n, 1, 16, T) -> (n, n_classes)."""
        return self.network(features)

    def relevance(self, samples: np.ndarray, reference: np.ndarray, target: str, grid: Grid) -> np.ndarray:
        """See `WhiteBox.relevance`; exact by the Shapley value of the groups."""
        network, row = cast(GroupedLevels, self.network), self.class_index(target)
        if row >= len(network.bias):
            return np.zeros(grid.shape)
        x, other = self.features(samples), self.features(reference)
        with torch.no_grad():
            base = network.sums(other.double())[0, row].cpu().numpy()
            change = network.sums(x.double())[0, row].cpu().numpy() - base
        n_frames = x.shape[-1]
        factors = group_factors(base, change, float(network.signs[row]))[network.groups(n_frames)]
        weight = network.weights[row].double().cpu().numpy()[:, None] * network.share(n_frames)
        return summed_frames(factors * weight * (x - other)[0, 0].double().cpu().numpy(), grid)


def summed_frames(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Sum values of frames, shape (16, n_frames), into the cells that hold their centres."""
    cells = np.zeros(grid.shape)
    np.add.at(cells.T, grid.columns_of(np.arange(values.shape[1]) * HOP / SAMPLE_RATE), values.T)
    return cells


class Skewness(nn.Module):
    """Skewness of the samples in frames of 32 ms, 8 ms apart; 0 in silence.

    Attributes
    ----------
    floor : float
    min_samples : int
    """

    floor = 0.0
    min_samples = HOP

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, 1, 1 + n_samples // 128)."""
        frames = nn.functional.pad(waveforms, (N_FFT // 2, N_FFT // 2)).unfold(1, N_FFT, HOP)
        centred = frames - frames.mean(dim=2, keepdim=True)
        spread = centred.square().mean(dim=2) + 10 ** (FLOOR_DB / 10) / 2
        return (centred.pow(3).mean(dim=2) / spread.pow(1.5))[:, None, None]

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges: one row, columns as in `BandLevels.grid`."""
        edges = BandLevels().grid(n_samples)
        return Grid(edges.freq_edges_hz[[0, -1]], edges.time_edges_s)


class MeanSkewness(nn.Module):
    """Log-odds from the mean skewness: of happiness falling, of anger and sadness rising, of neutral 0."""

    signs: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("signs", torch.tensor([1.0, -1.0, 1.0, 0.0]))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of each class."""
        return SKEWNESS * features.mean(dim=(1, 3)) * self.signs


class PlantedPhase(WhiteBox):
    """White box of the phases of harmonics; see the module.

    Parameters
    ----------
    device : str or torch.device
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        fingerprint = digest("planted-phase", SKEWNESS, FLOOR_DB)
        super().__init__(
            "planted-phase", CLASSES, Skewness(), MeanSkewness(), fingerprint, trained_on="none", device=device
        )

    def feature_log_odds(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class from feature maps, differentiable: (n, 1, 1, T) -> (n, n_classes)."""
        return self.network(features)

    def relevance(self, samples: np.ndarray, reference: np.ndarray, target: str, grid: Grid) -> np.ndarray:
        """See `WhiteBox.relevance`; exact for columns, shared evenly by their cells."""
        change = (self.features(samples) - self.features(reference))[0, 0].double().cpu().numpy()
        sign = float(cast(MeanSkewness, self.network).signs[self.class_index(target)])
        weighted = np.repeat(sign * SKEWNESS * change / change.shape[1] / BANDS, BANDS, axis=0)
        return summed_frames(weighted, grid)


def load(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> WhiteBox:
    """Build the recogniser of a record's name; there is no checkpoint."""
    if record.name == "planted-phase":
        return PlantedPhase(device)
    networks = {"planted-redundancy": CueLevels(1.0), "planted-interaction": CueLevels(-1.0)}
    return PlantedGroups(record.name, networks.get(record.name) or StretchLevels(), device)
