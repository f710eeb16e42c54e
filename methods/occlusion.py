"""Occlusion in the audio domain (Zeiler & Fergus 2014, section 4.2).

Patches of the time-frequency plane are replaced in the waveform one at a time, so that any black-box recogniser can be
explained. A patch is by default as large as 8 mel rows x 10 frames of a 128-row, 15 ms log-mel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from ..audio import SAMPLE_RATE, Grid, Plane, scoring_grid
from ..audio.plane import HOP, N_FFT
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request
from .masks import batched_log_odds, fill_of, plane_of

REACH = N_FFT // HOP  # frames on either side that overlap with one frame


class Occlusion(Explainer):
    """Occlusion: drop of the target's log-odds when one of the patches that tile the clip is replaced.

    Parameters
    ----------
    bands : int
        Mel bands of equal width; must divide 128.
    cell_s : float
        Length of a patch in seconds; a remainder shorter than half of it joins the last patch.
    fill : str
        Replacement of a patch, see `audio.FILLS`.
    """

    name = "occlusion"
    fill_parameter = "fill"

    def __init__(self, bands: int = 16, cell_s: float = 0.15, fill: str = "spectral-mean") -> None:
        self.bands = bands
        self.cell_s = cell_s
        self.fill = fill
        self.stochastic = fill == "noise"

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            Shape (bands, patches in time). ``details``: ``full``, the log-odds of the clip itself.
        """
        plane = plane_of(request)
        grid = scoring_grid(request.clip.duration_s, self.bands, self.cell_s)
        change = fill_of(request, plane, self.fill) - plane.spectrum

        @lru_cache(maxsize=1)  # copies are rendered column by column
        def patches(column: int) -> tuple[slice, torch.Tensor]:
            return column_patches(plane, grid, change, column)

        def render(index: np.ndarray) -> torch.Tensor:
            copies = plane.samples.repeat(len(index), 1)
            for copy, patch in zip(copies, index - 1, strict=True):  # copy 0 is the clip itself
                if patch >= 0:
                    column, row = divmod(int(patch), grid.shape[0])
                    stretch, signals = patches(column)
                    copy[stretch] += signals[row]
            return copies

        n_patches = grid.shape[0] * grid.shape[1]
        y = request.response(batched_log_odds(request.recogniser, 1 + n_patches, render))
        return Attribution(
            values=(y[0] - y[1:]).reshape(grid.shape[::-1]).T,
            grid=grid,
            target=request.label,
            method=self.name,
            details={"full": float(y[0])},
        )

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the clip itself and one copy per patch."""
        rows, columns = scoring_grid(n_samples / SAMPLE_RATE, self.bands, self.cell_s).shape
        return recogniser.calls_for(1 + rows * columns)


def column_patches(plane: Plane, grid: Grid, change: torch.Tensor, column: int) -> tuple[slice, torch.Tensor]:
    """Difference signals in the waveform for replacing each patch of one column of the grid.

    Only the samples that the column's frames overlap are inverted; `REACH` further frames on either side keep the
    overlap-add normalisation of the whole clip.

    Parameters
    ----------
    plane : Plane
    grid : Grid
    change : Tensor, complex64, shape (257, n_frames)
        Fill minus clip.
    column : int

    Returns
    -------
    stretch : slice
        Samples that the column affects; empty for a column without a frame.
    signals : Tensor, float32, shape (n_freq, samples of the stretch)
    """
    frames = np.flatnonzero(grid.columns_of(plane.times_s) == column)
    if frames.size == 0:
        return slice(0, 0), plane.samples.new_zeros((grid.shape[0], 0))
    last_frame = change.shape[1] - 1
    first, last = max(0, int(frames[0]) - REACH), min(last_frame, int(frames[-1]) + REACH)
    start, stop = first * HOP, plane.samples.numel() if last == last_frame else last * HOP
    rows, columns = plane.cells(grid)
    row = torch.arange(grid.shape[0], device=rows.device)
    inside = (rows == row[:, None])[:, :, None] & (columns[first : last + 1] == column)
    return slice(start, stop), plane.istft(torch.where(inside, change[:, first : last + 1], 0), stop - start)
