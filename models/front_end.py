"""Differentiable log-mel front end.

Conventions
-----------
Waveforms are float32 mono at 16 kHz, shape ``(n, n_samples)``. Frames are centred on multiples of the hop, the clip is
continued with zeros on both sides. Levels are absolute: 0 dB is power 1 of the mel band, there is no per-clip
reference and no per-clip range, so a cell depends on nothing but the 30 ms of waveform around it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid, band_edges_hz
from ..errors import InputError

MAX_FFT, MAX_MELS = 16384, 1024  # a model card may ask for anything: bounds of its memory


class LogMel(nn.Module):
    """Log-mel spectrogram (Slaney filters, power, dB), scaled by a fixed affine map.

    Before scaling it equals librosa's ``power_to_db(melspectrogram(..., pad_mode="constant"), amin=amin, top_db=None)``
    to 1e-2 dB (tests/models/test_front_end.py).

    Parameters
    ----------
    n_fft : int
        Length of the Fourier transform; frames are zero-padded to it.
    window : int
        Length of the Hann window in samples (480 = 30 ms).
    hop : int
        Samples between frames (240 = 15 ms).
    mels : int
        Mel bands between 0 and 8 kHz.
    amin : float
        Power below which a cell counts as silent; 1e-8 is -80 dB, 10 dB above 16-bit rounding noise.
    centre_db, scale_db : float
        Feature = (dB - centre_db) / scale_db.

    Attributes
    ----------
    floor : float
        Feature value of silence.
    min_samples : int
        One window.
    """

    taper: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self,
        n_fft: int = 1024,
        window: int = 480,
        hop: int = 240,
        mels: int = 128,
        amin: float = 1e-8,
        centre_db: float = -40.0,
        scale_db: float = 20.0,
    ) -> None:
        super().__init__()
        if not (0 < hop <= window <= n_fft <= MAX_FFT and 0 < mels <= MAX_MELS and amin > 0 and scale_db > 0):
            raise InputError(
                f"LogMel: needs 0 < hop <= window <= n_fft <= {MAX_FFT}, mels in 1..{MAX_MELS}, amin and scale_db "
                f"above 0; got n_fft={n_fft}, "
                f"window={window}, hop={hop}, mels={mels}, amin={amin}, scale_db={scale_db}."
            )
        self.n_fft, self.window, self.hop, self.mels = n_fft, window, hop, mels
        self.amin, self.centre_db, self.scale_db = amin, centre_db, scale_db
        self.min_samples = window
        self.floor = (10 * math.log10(amin) - centre_db) / scale_db
        # not in the state dict: both follow from the parameters
        self.register_buffer("taper", torch.hann_window(window), persistent=False)
        filters = _mel_filters(n_fft, mels)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self._blocks = mel_blocks(filters)

    @property
    def params(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        names = ("n_fft", "window", "hop", "mels", "amin", "centre_db", "scale_db")
        return {name: getattr(self, name) for name in names}

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, mels, 1 + n_samples // hop)."""
        # the window is centred in the n_fft samples of a frame, and a shift does not change the power: half a window
        # of padding and frames of one window give librosa's frames at under half the work
        half = self.window // 2
        padded = nn.functional.pad(waveforms, (half, self.window - half))
        frames = padded.unfold(-1, self.window, self.hop)[:, : 1 + waveforms.shape[-1] // self.hop]
        spectrum = torch.fft.rfft(frames * self.taper, n=self.n_fft)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.cat([power[..., bins] @ self.filters[bins, rows] for bins, rows in self._blocks], -1)
        decibel = 10 * torch.log10(mel.transpose(1, 2).clamp_min(self.amin))
        return ((decibel - self.centre_db) / self.scale_db)[:, None]

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the cells: rows end where neighbouring filters cross, column t is centred on t * hop.

        The first column begins half a hop before the clip, the last one may end after it.
        """
        edges = (np.arange(2 + n_samples // self.hop) - 0.5) * self.hop / SAMPLE_RATE
        return Grid(band_edges_hz(self.mels, rows=self.mels), edges)


def _mel_filters(n_fft: int, mels: int) -> np.ndarray:
    """Slaney mel filters with unit area, float32, shape (n_fft // 2 + 1, mels)."""
    import librosa

    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=mels, fmin=0.0, fmax=SAMPLE_RATE / 2)
    return np.ascontiguousarray(filters.T, dtype=np.float32)


def mel_blocks(filters: np.ndarray, rows: int = 16) -> list[tuple[slice, slice]]:
    """Frequency bins that each group of mel bands reads; skips the zeros of the nearly diagonal filter matrix."""
    blocks = []
    for start in range(0, filters.shape[1], rows):
        columns = slice(start, start + rows)
        used = np.flatnonzero(filters[:, columns].any(axis=1))
        blocks.append((slice(int(used[0]), int(used[-1]) + 1), columns))
    return blocks
