"""Masks over the parts of a clip, and the recogniser's outputs for the masked copies.

Conventions
-----------
A mask is a row of 0 and 1, one column per part: 1 keeps the part, 0 replaces it by the fill. Copies are rendered and
scored one recogniser batch at a time, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, gammaln

from ..audio import FILLS, Plane, fill_spectrum
from ..errors import UnknownNameError
from ..models.recogniser import Recogniser
from .explainer import Request

RESPONSES = ("probability", "log-odds")
REDRAWS = 100  # attempts to draw a mask that is not in the sample yet
SILENCE = 1e-7  # root mean square below which a level cannot be matched
EXTREME = 30.0  # log-odds beyond which a probability is within 1e-13 of 0 or 1


@dataclass(frozen=True, eq=False)
class MaskTable:
    """Masks of one clip and the recogniser's outputs for them; serves every target class.

    Attributes
    ----------
    masks : array, uint8, shape (n, parts)
    outputs : array, float64, shape (n, n_classes)
        One-vs-rest log-odds.
    groups : array of int, shape (n,), optional
        Group number of each mask; masks drawn together share one. None for a full table, which is not sampled.
    """

    masks: np.ndarray
    outputs: np.ndarray
    groups: np.ndarray | None = None

    def response(self, request: Request, kind: str = "log-odds") -> np.ndarray:
        """Response of the request's target to each mask, shape (n,): log-odds or one-vs-rest probability.

        Of a recogniser that predicts numbers it is the output, whatever `kind` says.

        Raises
        ------
        UnknownNameError
            If `kind` is not one of `RESPONSES`.
        NotApplicable
            For the probability of a contrast of two classes, which has none.
        """
        return response_of(self.outputs, request, kind)


def response_of(log_odds: np.ndarray, request: Request, kind: str) -> np.ndarray:
    """See `MaskTable.response`; `log_odds` has shape (n, n_classes)."""
    if kind not in RESPONSES:
        raise UnknownNameError("response", kind, RESPONSES)
    if kind == "log-odds" or request.recogniser.regression:  # an output is neither a log-odds nor a probability
        return request.response(log_odds)
    probability: np.ndarray = expit(log_odds[:, request.target_index])
    return probability


def all_masks(parts: int) -> np.ndarray:
    """All masks, uint8, shape (2 ** parts, parts): row r keeps part i if bit i of r is set.

    Examples
    --------
    >>> all_masks(2).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    masks: np.ndarray = np.arange(2**parts)[:, None] >> np.arange(parts) & 1
    return masks.astype(np.uint8)


def independent_masks(parts: int, n: int, generator: np.random.Generator | np.random.RandomState) -> np.ndarray:
    """Random masks as in the `lime` package, uint8, shape (n, parts): parts kept with probability 1/2, first all 1."""
    integers = generator.randint if isinstance(generator, np.random.RandomState) else generator.integers
    masks = integers(0, 2, n * parts).reshape(n, parts).astype(np.uint8)
    masks[0] = 1
    return masks


def paired_masks(parts: int, n: int, generator: np.random.Generator, shapley: bool = False) -> np.ndarray:
    """Antithetic random masks: complementary pairs, stratified by size; the first pair keeps everything and nothing.

    Sizes are drawn at equally spaced quantiles of their distribution, so that their frequencies hardly vary between
    samples. Duplicate masks are redrawn, up to `REDRAWS` times.

    Parameters
    ----------
    parts : int
        At least 2.
    n : int
        Even.
    generator : numpy Generator
    shapley : bool
        Draw sizes s in proportion to the Shapley kernel's mass, ``1 / (s (parts - s))``, instead of the number of masks
        of that size.

    Returns
    -------
    array, uint8, shape (n, parts)
        Rows 2 i and 2 i + 1 are complements.
    """
    size = np.arange(1, parts)
    # as logarithms: binomial coefficients of a few hundred parts overflow
    mass = -np.log(size * (parts - size)) if shapley else -gammaln(size + 1) - gammaln(parts - size + 1)
    shares = np.cumsum(np.exp(mass - mass.max()))
    quantiles = (np.arange(n // 2 - 1) + generator.random(n // 2 - 1)) / max(n // 2 - 1, 1)
    kept = size[np.searchsorted(shares / shares[-1], quantiles, side="right").clip(max=size.size - 1)]
    masks = np.zeros((n, parts), dtype=np.uint8)
    masks[0] = 1
    seen: set[bytes] = set()
    for pair, s in enumerate(kept, start=1):
        for _ in range(REDRAWS):
            mask = np.zeros(parts, dtype=np.uint8)
            mask[generator.choice(parts, s, replace=False)] = 1
            if mask.tobytes() not in seen:
                break
        masks[2 * pair], masks[2 * pair + 1] = mask, 1 - mask
        seen |= {mask.tobytes(), (1 - mask).tobytes()}
    return masks


def plane_of(request: Request) -> Plane:
    """STFT plane of the request's clip, on the recogniser's device.

    Raises
    ------
    ClipError
        If the clip is too short for the recogniser, or not finite.
    """
    recogniser = request.recogniser
    recogniser.checked(request.clip.samples[None])
    return Plane(request.clip.samples, getattr(recogniser, "device", "cpu"))


def fill_of(request: Request, plane: Plane, name: str, draw: int = 0) -> torch.Tensor:
    """STFT of the named fill, seeded from the request and, from the second draw on, the number of the draw.

    Raises
    ------
    NotApplicable
        For ``twin`` if the clip has none.
    UnknownNameError
        If no fill has this name.
    """
    plant = request.clip.plant
    generator = request.generator("fill", name, *([draw] if draw else []))
    return fill_spectrum(name, plane, generator, plant.twin if plant else None)


def batched_log_odds(recogniser: Recogniser, n: int, render: Callable[[np.ndarray], torch.Tensor]) -> np.ndarray:
    """Log-odds of `n` copies, rendered one batch at a time.

    Parameters
    ----------
    recogniser : Recogniser
    n : int
    render : callable
        Indices of copies, shape (batch,), to their waveforms, shape (batch, n_samples). The last batch is padded with
        its last copy, so that every copy is scored in the same batch shape.

    Returns
    -------
    array, float64, shape (n, n_classes)
    """
    batches = [np.minimum(np.arange(recogniser.batch) + start, n - 1) for start in range(0, n, recogniser.batch)]
    log_odds: np.ndarray = np.concatenate([recogniser.log_odds(render(batch)) for batch in batches])
    return log_odds[:n]


def mask_table(
    recogniser: Recogniser,
    plane: Plane,
    differences: torch.Tensor,
    masks: np.ndarray,
    match_level: bool = False,
    groups: np.ndarray | None = None,
) -> MaskTable:
    """Score masked copies of a clip: the clip plus a weighted sum of the parts' difference signals.

    Parameters
    ----------
    recogniser : Recogniser
    plane : Plane
    differences : Tensor, float32, shape (parts, n_samples)
        See `Partition.differences`.
    masks : array, uint8, shape (n, parts)
    match_level : bool
        Scale every copy to the clip's root mean square; silent copies are left unchanged.
    groups : array of int, shape (n,), optional
        See `MaskTable`.

    Returns
    -------
    MaskTable
    """
    removed = torch.as_tensor(1.0 - masks, dtype=torch.float32, device=differences.device)

    def render(index: np.ndarray) -> torch.Tensor:
        copies = plane.samples + removed[torch.as_tensor(index, device=removed.device)] @ differences
        return with_level_of(plane.samples, copies) if match_level else copies

    return MaskTable(masks, batched_log_odds(recogniser, len(masks), render), groups)


def with_level_of(samples: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
    """Scale copies, shape (n, n_samples), to the root mean square of `samples`; silent ones are left unchanged."""
    levels = copies.square().mean(dim=1).sqrt()
    level = samples[None].square().mean(dim=1).sqrt()
    audible = (levels > SILENCE) & (level > SILENCE)
    return copies * torch.where(audible, level / levels.clamp_min(SILENCE), 1.0)[:, None]


@dataclass(frozen=True)
class FillEffect:
    """Prediction for a clip entirely replaced by one fill.

    Attributes
    ----------
    fill : str
        A fill operator; ``none`` for the clip itself, ``resynthesis`` for its STFT inverted with nothing removed.
    match_level : bool
        Whether the copy was scaled to the clip's level.
    log_odds : float
        Of the target, where the whole clip is replaced.
    probability : float
        One-vs-rest; None where the recogniser predicts numbers.
    fall : float
        Of the log-odds, from the clip to the copy: the fill's reach on this clip.
    """

    fill: str
    match_level: bool
    log_odds: float
    probability: float | None
    fall: float

    @property
    def note(self) -> str:
        """Warning if the fill alone moves the log-odds beyond `EXTREME`; otherwise empty."""
        if self.probability is None or abs(self.log_odds) < EXTREME or self.fill in ("none", "resynthesis"):
            return ""
        return (
            f"Filled with {self.fill}, the clip has log-odds of {self.log_odds:+.0f}, far from any that speech has: "
            "what the fill itself does rules weights of the log-odds; weights of the probability (as emolime's) are "
            "bounded, and another fill may be milder."
        )


def fill_effects(request: Request) -> tuple[FillEffect, ...]:
    """Predictions for the clip, for its resynthesis, and for each applicable fill in place of the whole clip."""
    plane = plane_of(request)
    names, copies = [("none", False), ("resynthesis", False)], [plane.samples, plane.istft(plane.spectrum)]
    for fill in FILLS:
        if fill == "twin" and (request.clip.plant is None or not request.clip.plant.words):
            continue
        copy = plane.istft(fill_of(request, plane, fill))
        names += [(fill, False), (fill, True)]
        copies += [copy, with_level_of(plane.samples, copy[None])[0]]
    y, numbers = request.response(request.recogniser.log_odds(torch.stack(copies))), request.recogniser.regression
    return tuple(
        FillEffect(*name, float(value), None if numbers else float(expit(value)), float(y[0] - value))
        for name, value in zip(names, y, strict=True)
    )
