"""EmoLIME (Hjuler, Clemmensen & Das 2025) with exact enumeration: all 256 masks of 8 bands instead of 64 random ones.

Bands are equal in mel: 16 of 128 mel rows each (see `audio.band_edges_hz` for their true edges). Differences
from the authors' code: bands are removed from the complex STFT with its original phase (theirs inverts a mel
spectrogram for each mask, from a random phase, see `emolime_paper`), every mask is used once, and the surrogate has no
ridge penalty by default.

The same linear surrogate is fitted on other partitions: time segments, patches, energy and NMF components.
"""

from __future__ import annotations

import numpy as np

from .explainer import Request
from .masking_base import EXACT_PARTS, PartMethod, PartWeights
from .masks import MaskTable, independent_masks
from .surrogates import fit_linear, lime_weights, linear_errors, shrinkage

PAPER_BANDS = "mel:8"
PAPER_MASKS = 64


class Lime(PartMethod):
    """LIME: weights of a linear surrogate over the parts of a clip.

    Parameters
    ----------
    partition, masks, exact, fill, match_level, response
        See `PartMethod`.
    alpha : float
        Ridge penalty; 1 is LIME's default; the fewer masks, the more it shrinks the weights.
    """

    def __init__(
        self, partition: str, masks: int, exact: int, fill: str, match_level: bool, response: str, alpha: float
    ) -> None:
        super().__init__(partition, masks, exact, fill, match_level, response)
        self.alpha = alpha

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """Fit the surrogate; ``details``: its weighted ``r2``, ``intercept`` and `surrogates.shrinkage`."""
        return fit_part_weights(table, table.response(request, self.response), self.alpha)


def fit_part_weights(table: MaskTable, response: np.ndarray, alpha: float) -> PartWeights:
    """Fit the linear surrogate of a mask table with LIME's kernel weights."""
    weights = lime_weights(table.masks)
    surrogate = fit_linear(table.masks, response, weights, alpha)
    errors = None if table.groups is None else linear_errors(table.masks, response, weights, alpha, table.groups)
    details = {
        "r2": surrogate.r2,
        "intercept": surrogate.intercept,
        "shrinkage": shrinkage(table.masks, weights, alpha),
    }
    return PartWeights(surrogate.weights, errors, details)


class EmoLime(Lime):
    """LIME over 8 frequency bands of the whole clip, from all masks.

    Parameters
    ----------
    fill : str
        Replacement of removed bands, see `audio.FILLS`.
    response : {'probability', 'log-odds'}
        Response that the surrogate is fitted to. The one-vs-rest probability is comparable with the published weights.
    alpha : float
        Ridge penalty; 1 is LIME's default, which shrinks the weights.
    match_level : bool
        Scale every copy to the clip's level.
    partition : str
        At most 10 parts; see `methods.partitions`.
    """

    name = "emolime"
    draws = False

    def __init__(
        self,
        fill: str = "attenuate",
        response: str = "probability",
        alpha: float = 0.0,
        match_level: bool = False,
        partition: str = PAPER_BANDS,
    ) -> None:
        super().__init__(partition, 2**EXACT_PARTS, 10, fill, match_level, response, alpha)


class EmoLimeSampled(Lime):
    """EmoLIME with random masks and ridge penalty 1 as published, but linear masking as in `emolime`.

    64 masks are drawn as in the `lime` package, from the request's seed instead of 42. The second mask is set to remove
    everything, so that the responses to the full and the empty mask are known; its kernel weight is .0003.
    """

    name = "emolime-sampled"

    def __init__(
        self,
        masks: int = PAPER_MASKS,
        fill: str = "attenuate",
        response: str = "probability",
        alpha: float = 1.0,
        match_level: bool = False,
        partition: str = PAPER_BANDS,
    ) -> None:
        super().__init__(partition, masks, 0, fill, match_level, response, alpha)

    def draw(self, parts: int, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
        """See `PartMethod.draw`: independent masks."""
        if self.is_exact(parts):
            return super().draw(parts, request)
        n = self.number_of_masks(parts)
        masks = independent_masks(parts, n, request.generator("masks"))
        masks[1] = 0
        return masks, np.arange(n)


class SegmentLime(Lime):
    """LIME over equal time segments or words."""

    name = "segment-lime"

    def __init__(
        self,
        partition: str = "windows:0.2",
        masks: int = 256,
        fill: str = "attenuate",
        response: str = "log-odds",
        alpha: float = 0.0,
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, masks, EXACT_PARTS, fill, match_level, response, alpha)


class PatchLime(Lime):
    """LIME over time-frequency patches: bands by time segments."""

    name = "patch-lime"

    def __init__(
        self,
        partition: str = "mel:4 x windows:0.3",
        masks: int = 512,
        fill: str = "attenuate",
        response: str = "log-odds",
        alpha: float = 0.0,
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, masks, EXACT_PARTS, fill, match_level, response, alpha)


class EnergyLime(Lime):
    """LIME over 8 time segments cut at energy minima, from all masks."""

    name = "energy-lime"
    draws = False

    def __init__(
        self,
        partition: str = "energy:8",
        fill: str = "attenuate",
        response: str = "log-odds",
        alpha: float = 0.0,
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, 2**EXACT_PARTS, 10, fill, match_level, response, alpha)


class NmfLime(Lime):
    """LIME over 8 components of a non-negative matrix factorisation, from all masks."""

    name = "nmf-lime"
    draws = False

    def __init__(
        self,
        partition: str = "nmf:8",
        fill: str = "attenuate",
        response: str = "log-odds",
        alpha: float = 0.0,
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, 2**EXACT_PARTS, 10, fill, match_level, response, alpha)
