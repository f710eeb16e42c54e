"""Maps of other programs as arrays: captum's and Quantus' layouts.

Both hold a batch of maps of equal shape: (batch, 1, frequency, time), (batch, frequency, time), or, of networks on
waveforms, (batch, samples) or (batch, 1, samples). Several channels are summed. Clips of a padded batch are cut to
their own length with `lengths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _torchvision  # noqa: F401  (quantus, whose maps these are, cannot be imported otherwise beside some torch)
from ..audio import Grid
from ..errors import InputError
from .external_map import ExternalMap


def from_captum(
    attributions: Any,
    clips: Sequence[str],
    targets: Sequence[str] | str,
    grid: str | Grid,
    method: str,
    lengths: Sequence[int] | None = None,
    **facts: Any,
) -> list[ExternalMap]:
    """Maps of what captum's ``attribute`` returned.

    Parameters
    ----------
    attributions : torch.Tensor or tuple of one
        Shape (batch, 1, frequency, time), (batch, frequency, time), (batch, samples) or (batch, 1, samples).
    clips : sequence of str
        Id of each clip of the batch.
    targets : sequence of str, or str
        Class explained of each clip, or of all.
    grid : str or Grid
        Where the bins lie, such as ``mel n_mels=64 hop=160``; ``waveform`` for maps over samples.
    method : str
    lengths : sequence of int, optional
        Frames (or samples) of each clip without the batch's padding.
    **facts
        Further fields of `ExternalMap` that hold for all maps, such as ``calls``.

    Returns
    -------
    list of ExternalMap

    Raises
    ------
    InputError
        If shapes or numbers do not fit each other.

    Examples
    --------
    >>> import torch
    >>> maps = from_captum(torch.ones(2, 1, 257, 100), ["a", "b"], "anger", "stft n_fft=512 hop=128", "ig")
    >>> maps[1].clip, maps[1].values.shape
    ('b', (257, 100))
    """
    if isinstance(attributions, tuple):
        if len(attributions) != 1:
            raise InputError(
                f"from_captum: attributions is a tuple of {len(attributions)} tensors, one per input; give that over "
                "time and frequency."
            )
        attributions = attributions[0]
    detach = getattr(attributions, "detach", None)
    array = attributions if detach is None else detach().cpu().numpy()
    return _maps("from_captum", array, clips, targets, grid, method, lengths, facts)


def from_quantus(
    a_batch: Any,
    clips: Sequence[str],
    targets: Sequence[str] | str,
    grid: str | Grid,
    method: str,
    lengths: Sequence[int] | None = None,
    **facts: Any,
) -> list[ExternalMap]:
    """Maps of a Quantus ``a_batch``, the array that its metrics and ``quantus.explain`` use.

    Normalise nothing before: Quantus divides each map by its largest value on request, which keeps the order of cells
    but makes sums over clips meaningless.

    Parameters
    ----------
    a_batch : array
        Shape (batch, 1, frequency, time), or as in `from_captum`.
    clips, targets, grid, method, lengths, **facts
        As in `from_captum`.

    Returns
    -------
    list of ExternalMap

    Raises
    ------
    InputError
        If shapes or numbers do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> maps = from_quantus(np.ones((1, 1, 16000)), ["a"], ["anger"], "waveform", "saliency", lengths=[12000])
    >>> maps[0].values.shape
    (12000,)
    """
    return _maps("from_quantus", np.asarray(a_batch), clips, targets, grid, method, lengths, facts)


def _maps(
    name: str,
    array: np.ndarray,
    clips: Sequence[str],
    targets: Sequence[str] | str,
    grid: str | Grid,
    method: str,
    lengths: Sequence[int] | None,
    facts: dict[str, Any],
) -> list[ExternalMap]:
    waveform = isinstance(grid, str) and grid.split()[:1] == ["waveform"]
    axes = 1 if waveform else 2
    if array.dtype.kind not in "fiu" or array.ndim not in (axes + 1, axes + 2):
        wanted = "(batch, 1, samples)" if waveform else "(batch, 1, frequency, time)"
        raise InputError(f"{name}: maps must be numbers of shape {wanted}, got {array.dtype} of {array.shape}.")
    if array.ndim == axes + 2:
        array = array.sum(axis=1)
    chosen = [targets] * len(clips) if isinstance(targets, str) else list(targets)
    cut = [array.shape[-1]] * len(clips) if lengths is None else [int(length) for length in lengths]
    if not len(array) == len(clips) == len(chosen) == len(cut):
        raise InputError(
            f"{name}: {len(array)} maps, {len(clips)} clips, {len(chosen)} targets, {len(cut)} lengths; give one each."
        )
    if any(not 0 < length <= array.shape[-1] for length in cut):
        raise InputError(f"{name}: lengths must lie in 1 .. {array.shape[-1]}, the length of the batch.")
    return [
        ExternalMap(clip, target, values[..., :length], grid, method, **facts)
        for clip, target, values, length in zip(clips, chosen, array, cut, strict=True)
    ]
