"""Complex STFT of a clip, sums over grid cells, and masked resynthesis.

Masks act on the waveform. With ``S`` the clip's STFT, ``F`` that of the fill and ``m`` the mask (1 keeps), the masked
waveform is

    y = x + istft((1 - m) * (F - S)),

so an all-ones mask returns the input itself, an all-zeros mask the fill, and every masked waveform is a weighted sum of
one difference signal per cell (the inverse STFT is linear).
"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import InputError
from .grid import Grid
from .load import SAMPLE_RATE

N_FFT = 512
HOP = 128


class Plane:
    """A waveform and its short-time Fourier transform (Hann, 32 ms, hop 8 ms, centred, zero-padded).

    Parameters
    ----------
    samples : array, float32, shape (n_samples,)
    device : str or torch.device

    Attributes
    ----------
    samples : Tensor, shape (n_samples,)
    spectrum : Tensor, complex64, shape (257, n_frames)

    Raises
    ------
    InputError
        If `samples` is not one-dimensional or is empty.
    """

    def __init__(self, samples: np.ndarray, device: str | torch.device = "cpu") -> None:
        if np.ndim(samples) != 1 or np.size(samples) == 0:
            raise InputError(
                f"Plane: samples must have shape (n_samples,), got {np.shape(samples)}; mix to mono first."
            )
        self.samples = torch.tensor(np.ascontiguousarray(samples), dtype=torch.float32, device=device)
        self._window = torch.hann_window(N_FFT, device=device)
        self.spectrum = self.stft(self.samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.numel() / SAMPLE_RATE

    @property
    def freqs_hz(self) -> np.ndarray:
        """Centre frequencies of the STFT bins in Hz, shape (257,)."""
        return np.arange(self.spectrum.shape[0]) * SAMPLE_RATE / N_FFT

    @property
    def times_s(self) -> np.ndarray:
        """Centres of the STFT frames in seconds, shape (n_frames,)."""
        return np.arange(self.spectrum.shape[1]) * HOP / SAMPLE_RATE

    def stft(self, samples: torch.Tensor) -> torch.Tensor:
        """STFT of waveforms, shape (..., n_samples) -> (..., 257, n_frames)."""
        return torch.stft(
            samples, N_FFT, HOP, window=self._window, center=True, pad_mode="constant", return_complex=True
        )

    def istft(self, spectra: torch.Tensor, n_samples: int | None = None) -> torch.Tensor:
        """Inverse STFT, by default to the clip's length, shape (..., 257, n_frames) -> (..., n_samples)."""
        length = self.samples.numel() if n_samples is None else n_samples
        return torch.istft(spectra, N_FFT, HOP, window=self._window, center=True, length=length)

    def shaped_noise(self, generator: np.random.Generator) -> np.ndarray:
        """Noise with the clip's STFT magnitude and the phase of white noise, float64, shape (n_samples,)."""
        noise = self.stft(torch.from_numpy(generator.standard_normal(self.samples.numel(), dtype=np.float32)))
        return self.istft(torch.polar(self.spectrum.abs(), noise.angle())).double().numpy()

    def cells(self, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
        """Grid row of each STFT bin, shape (257,), and grid column of each frame, shape (n_frames,), int64.

        Every STFT value belongs to exactly one cell.
        """
        device = self.spectrum.device
        rows = torch.as_tensor(grid.rows_of(self.freqs_hz), device=device)
        columns = torch.as_tensor(grid.columns_of(self.times_s), device=device)
        return rows, columns

    def sum_cells(self, values: torch.Tensor, grid: Grid) -> np.ndarray:
        """Sum a real map on the STFT, shape (257, n_frames), over each cell; float64, shape ``grid.shape``."""
        rows, columns = self.cells(grid)
        sums = torch.zeros(grid.shape, dtype=torch.float64, device=values.device)
        flat = (rows[:, None] * grid.shape[1] + columns[None, :]).reshape(-1)
        sums.view(-1).index_add_(0, flat, values.reshape(-1).double())
        return sums.cpu().numpy()

    def energy(self, grid: Grid) -> np.ndarray:
        """Energy of each cell, float64, shape ``grid.shape``; the cells sum to the energy of the STFT."""
        return self.sum_cells(self.spectrum.abs().square(), grid)

    def render(self, keep: np.ndarray, grid: Grid, fill: torch.Tensor) -> torch.Tensor:
        """Masked waveforms: cells that are not kept are replaced by the fill.

        Parameters
        ----------
        keep : array, shape (n, n_freq, n_time)
            Masks in 0..1: 1 keeps a cell, 0 replaces it, values between interpolate.
        grid : Grid
        fill : Tensor, complex, shape (257, n_frames)
            From `fill_spectrum`.

        Returns
        -------
        Tensor, float32, shape (n, n_samples)

        Raises
        ------
        InputError
            If the masks do not have the grid's shape.
        """
        if np.ndim(keep) != 3 or np.shape(keep)[1:] != grid.shape:
            raise InputError(
                f"Plane.render: keep must have shape (n, {grid.shape[0]}, {grid.shape[1]}), got {np.shape(keep)}; pass "
                "one mask of the grid's shape per waveform."
            )
        rows, columns = self.cells(grid)
        removed = 1.0 - torch.as_tensor(np.asarray(keep), dtype=torch.float32, device=self.spectrum.device)
        removed = removed[:, rows][:, :, columns]
        return self.samples + self.istft(removed * (fill - self.spectrum))

    def differences(self, grid: Grid, fill: torch.Tensor) -> torch.Tensor:
        """Change of the waveform when each cell alone is replaced, shape (n_freq * n_time, n_samples).

        ``samples + (1 - keep) @ differences`` equals `render` for any masks: the fast path for grids of few cells.
        """
        rows, columns = self.cells(grid)
        cell = rows[:, None] * grid.shape[1] + columns[None, :]
        indices = torch.arange(grid.shape[0] * grid.shape[1], device=cell.device)
        return self.istft((cell[None] == indices[:, None, None]) * (fill - self.spectrum)[None])
