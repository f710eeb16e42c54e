"""Augmentation of log-mel crops during training.

Explanation methods show a recogniser clips with parts attenuated, replaced or masked by noise. Training on such crops
keeps them inside the training distribution, which faithfulness scores presuppose.

All values are in dB with the cells of `LogMel`, shape ``(mels, frames)``; row 0 is the lowest band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audio import band_edges_hz

CELL_ROWS, CELL_FRAMES = 8, 5  # about the cells of the scoring grid (16 bands x 80 ms)


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the augmentations.

    Attributes
    ----------
    gain_db : float
        Level, uniform in +- this.
    tilt_db : float
        Level at 8 kHz against 0 Hz along the mel axis (microphone, room), uniform in +- this.
    noise : float
        Share of crops to which stationary noise is added, at `snr_db` (low, high).
    stripes : int
        Time stripes and frequency stripes removed from a crop: up to this many of each (SpecAugment,
        Park et al. 2019).
    stripe_rows, stripe_share : int, float
        Largest height of a frequency stripe in mel rows, largest width of a time stripe as a share of the crop.
    cells : float
        Share of crops of which random cells are removed, each cell kept with a probability uniform in 0.3..1.
    """

    gain_db: float = 6.0
    tilt_db: float = 6.0
    noise: float = 0.5
    snr_db: tuple[float, float] = (5.0, 40.0)
    stripes: int = 2
    stripe_rows: int = 16
    stripe_share: float = 0.15
    cells: float = 0.3


def augment(crop: np.ndarray, settings: Augmentation, floor_db: float, generator: np.random.Generator) -> np.ndarray:
    """Augment one crop.

    Parameters
    ----------
    crop : array, float32, shape (mels, frames)
        In dB.
    settings : Augmentation
    floor_db : float
        Level of silence; nothing falls below it.
    generator : numpy Generator

    Returns
    -------
    array, float32, shape (mels, frames)
    """
    rows, frames = crop.shape
    gain = generator.uniform(-settings.gain_db, settings.gain_db)
    tilt = generator.uniform(-settings.tilt_db, settings.tilt_db)
    crop = crop + (gain + tilt * np.linspace(-0.5, 0.5, rows))[:, None]
    if generator.random() < settings.noise:
        crop = _add_noise(crop, generator.uniform(*settings.snr_db), generator)
    removed = np.zeros((rows, frames), dtype=bool)
    for _ in range(generator.integers(settings.stripes + 1)):
        width = int(generator.integers(1, max(2, int(settings.stripe_share * frames) + 1)))
        start = int(generator.integers(frames - width + 1))
        removed[:, start : start + width] = True
    for _ in range(generator.integers(settings.stripes + 1)):
        height = int(generator.integers(1, min(settings.stripe_rows, rows) + 1))
        start = int(generator.integers(rows - height + 1))
        removed[start : start + height] = True
    if generator.random() < settings.cells:
        grid = generator.random((-(-rows // CELL_ROWS), -(-frames // CELL_FRAMES))) > generator.uniform(0.3, 1)
        removed |= np.kron(grid, np.ones((CELL_ROWS, CELL_FRAMES), dtype=bool))[:rows, :frames]
    crop = np.where(removed, _filling(crop, floor_db, generator), crop)
    return np.maximum(crop, floor_db).astype(np.float32)


def _filling(crop: np.ndarray, floor_db: float, generator: np.random.Generator) -> np.ndarray:
    """Replacement of removed cells: the crop attenuated, its band means, or silence."""
    kind = generator.integers(3)
    if kind == 0:
        return crop - generator.uniform(20, 40)
    if kind == 1:
        return np.broadcast_to(crop.mean(axis=1, keepdims=True), crop.shape)
    return np.full(crop.shape, floor_db)


def _add_noise(crop: np.ndarray, snr_db: float, generator: np.random.Generator) -> np.ndarray:
    """Add the power of stationary noise with a random spectral slope, at a signal-to-noise ratio over the crop."""
    widths = np.diff(band_edges_hz(len(crop), rows=len(crop)))[:, None]
    power = 10 ** (crop / 10)
    slope_db = generator.uniform(-20, 0) * np.linspace(0, 1, len(crop))[:, None]
    noise = 10 ** (slope_db / 10) * generator.gamma(2.0, 0.5, size=crop.shape)  # power of a few bins fluctuates
    level = (power * widths).sum() / (noise * widths).sum() * 10 ** (-snr_db / 10)
    return 10 * np.log10(power + level * noise)
