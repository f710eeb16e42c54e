"""Copies of a clip with parts replaced, and what a recogniser says about them.

Conventions
-----------
A mask is a row of 0 and 1, one column a part: 1 keeps the part, 0 replaces it by the fill. Copies are rendered and
scored one recogniser batch at a time, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

from ..audio import Grid, Plane, fill_spectrum
from ..errors import UnknownNameError
from ..models.recogniser import Recogniser, TorchRecogniser
from .explainer import Request

RESPONSES = ("probability", "log-odds")


@dataclass(frozen=True, eq=False)
class MaskTable:
    """What a recogniser says about masked copies of one clip: enough to explain every class.

    Attributes
    ----------
    masks : array, uint8, shape (n, parts)
    outputs : array, float64, shape (n, n_classes)
        One-vs-rest log-odds.
    """

    masks: np.ndarray
    outputs: np.ndarray

    def response(self, column: int, kind: str = "log-odds") -> np.ndarray:
        """Response of one class to every mask, shape (n,): its log-odds or its one-vs-rest probability.

        Raises
        ------
        UnknownNameError
            If `kind` is not one of `RESPONSES`.
        """
        if kind not in RESPONSES:
            raise UnknownNameError("response", kind, RESPONSES)
        log_odds = self.outputs[:, column]
        return log_odds if kind == "log-odds" else expit(log_odds)


def all_masks(parts: int) -> np.ndarray:
    """Every mask once, uint8, shape (2 ** parts, parts): row r keeps part i where bit i of r is set.

    Examples
    --------
    >>> all_masks(2).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return (np.arange(2**parts)[:, None] >> np.arange(parts) & 1).astype(np.uint8)


def plane_of(request: Request) -> Plane:
    """The clip on the time-frequency plane, where the recogniser computes.

    Raises
    ------
    ClipError
        If the clip is too short for the recogniser.
    """
    recogniser = request.recogniser
    recogniser.check_length(request.clip.samples.size)
    return Plane(request.clip.samples, recogniser.device if isinstance(recogniser, TorchRecogniser) else "cpu")


def fill_of(request: Request, plane: Plane, name: str) -> torch.Tensor:
    """STFT of the fill of this name, drawn from the request's seed.

    Raises
    ------
    NotApplicable
        For ``twin`` where the clip has none.
    UnknownNameError
    """
    plant = request.clip.plant
    return fill_spectrum(name, plane, request.generator("fill", name), plant.twin if plant else None)


def batched_log_odds(recogniser: Recogniser, n: int, render: Callable[[np.ndarray], torch.Tensor]) -> np.ndarray:
    """Log-odds of `n` copies, rendered one batch at a time.

    Parameters
    ----------
    recogniser : Recogniser
    n : int
    render : callable
        Indices of copies, shape (batch,), to their waveforms, shape (batch, n_samples). The last batch is filled up
        with its last copy, so that every copy is scored in the same batch shape.

    Returns
    -------
    array, float64, shape (n, n_classes)
    """
    batches = [np.minimum(np.arange(recogniser.batch) + start, n - 1) for start in range(0, n, recogniser.batch)]
    return np.concatenate([recogniser.log_odds(render(batch)) for batch in batches])[:n]


def mask_table(recogniser: Recogniser, plane: Plane, grid: Grid, fill: torch.Tensor, masks: np.ndarray) -> MaskTable:
    """Score masked copies of a clip, each a weighted sum of the parts' difference signals.

    Parameters
    ----------
    recogniser : Recogniser
    plane : Plane
    grid : Grid
        Few cells: each is held as a waveform.
    fill : Tensor, complex64, shape (257, n_frames)
    masks : array, uint8, shape (n, n_freq * n_time)

    Returns
    -------
    MaskTable
    """
    differences = plane.differences(grid, fill)
    removed = torch.as_tensor(1.0 - masks, dtype=torch.float32, device=differences.device)

    def render(index: np.ndarray) -> torch.Tensor:
        return plane.samples + removed[torch.as_tensor(index, device=removed.device)] @ differences

    return MaskTable(masks, batched_log_odds(recogniser, len(masks), render))
