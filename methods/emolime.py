"""EmoLIME (Hjuler, Clemmensen & Das 2025), exact: all 256 combinations of 8 bands instead of 64 drawn ones.

Bands are equal in mel: 16 of 128 mel rows each (see `audio.band_edges_hz` for their true edges). Where this differs
from the authors' code: bands are taken out of the complex STFT, whose phase is kept (theirs inverts a mel spectrogram
for each mask, from a random phase, see `emolime_paper`), every mask is used once, and the surrogate is not shrunk by
default.

The same linear surrogate reads other partitions: stretches of time, patches, energy and NMF components.
"""

from __future__ import annotations

import numpy as np

from .explainer import Request
from .masking_base import EXACT_PARTS, PartMethod, Reading
from .masks import MaskTable, independent_masks
from .surrogates import fit_linear, lime_weights, linear_errors, shrinkage

PAPER_BANDS = "mel:8"
PAPER_MASKS = 64


class Lime(PartMethod):
    """Weights of a linear surrogate over the parts of a clip.

    Parameters
    ----------
    partition, masks, exact, fill, match_level, response
        See `PartMethod`.
    alpha : float
        Ridge penalty; 1 is LIME's default, which shrinks the weights, the more the fewer masks there are.
    """

    def __init__(
        self, partition: str, masks: int, exact: int, fill: str, match_level: bool, response: str, alpha: float
    ) -> None:
        super().__init__(partition, masks, exact, fill, match_level, response)
        self.alpha = alpha

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """Weights of the surrogate; ``details``: its weighted ``r2``, ``intercept`` and `surrogates.shrinkage`."""
        return linear_reading(table, table.response(request, self.response), self.alpha)


def linear_reading(table: MaskTable, response: np.ndarray, alpha: float) -> Reading:
    """The linear surrogate of a table with LIME's weights."""
    weights = lime_weights(table.masks)
    surrogate = fit_linear(table.masks, response, weights, alpha)
    errors = None if table.groups is None else linear_errors(table.masks, response, weights, alpha, table.groups)
    details = {
        "r2": surrogate.r2,
        "intercept": surrogate.intercept,
        "shrinkage": shrinkage(table.masks, weights, alpha),
    }
    return Reading(surrogate.weights, errors, details)


class EmoLime(Lime):
    """Weights of a linear surrogate over 8 frequency bands of the whole clip, from every mask.

    Parameters
    ----------
    fill : str
        What stands in for a removed band, see `audio.FILLS`.
    response : {'probability', 'log-odds'}
        What the surrogate imitates. The one-vs-rest probability makes weights comparable with the published ones.
    alpha : float
        Ridge penalty; 1 is LIME's default, which shrinks the weights.
    match_level : bool
        Scale every copy to the clip's level.
    partition : str
        Bands, at most 10; see `methods.partitions`.
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
    """EmoLIME's sampling and shrinkage with linear masks: between `emolime` and `emolime-paper`.

    64 masks are drawn as `lime` draws them, from the request's seed instead of 42. The second one keeps nothing, so
    that both ends are known; it weighs .0003.
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
    """Weights of a linear surrogate over equal stretches of time, or words."""

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
    """Weights of a linear surrogate over patches: bands by stretches of time."""

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
    """Weights of a linear surrogate over 8 stretches of time cut where the clip is quiet, from every mask."""

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
    """Weights of a linear surrogate over 8 components of a non-negative matrix factorisation, from every mask."""

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
