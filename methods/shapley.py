"""Bands, words and other parts of a clip as players of a game: Shapley and Banzhaf values, leave-one-out, forests.

Band methods read the same full table as `emolime`: asked for together, they cost its 256 model calls once.
"""

from __future__ import annotations

import numpy as np

from .emolime import PAPER_BANDS, PAPER_MASKS
from .explainer import Request
from .masking_base import EXACT_PARTS, PartMethod, Reading
from .masks import MaskTable, paired_masks
from .surrogates import banzhaf_values, forest_importance, kernel_shap, leave_one_out, lime_weights, shapley_values


class _FullGame(PartMethod):
    """Read from every mask once; at most 10 parts."""

    draws = False

    def __init__(
        self,
        partition: str = PAPER_BANDS,
        fill: str = "attenuate",
        response: str = "log-odds",
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, 2**EXACT_PARTS, 10, fill, match_level, response)


class BandShapley(_FullGame):
    """Exact Shapley values of the bands; they add up to what the whole clip adds to the fill alone."""

    name = "band-shapley"

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """See `surrogates.shapley_values`."""
        return Reading(shapley_values(table.response(request, self.response)), None, {})


class BandBanzhaf(_FullGame):
    """Exact Banzhaf values of the bands: what a band adds on average over all masks of the others."""

    name = "band-banzhaf"

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """See `surrogates.banzhaf_values`."""
        return Reading(banzhaf_values(table.response(request, self.response)), None, {})


class BandForest(_FullGame):
    """Importance of the bands for a random forest that imitates the recogniser, with LIME's weights."""

    name = "band-forest"
    stochastic = True

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """See `surrogates.forest_importance`; ``details``: the forest's weighted ``r2``."""
        seed = int(request.generator("forest").integers(2**31))
        response = table.response(request, self.response)
        weights, r2 = forest_importance(table.masks, response, lime_weights(table.masks), seed)
        return Reading(weights, None, {"r2": r2})


class BandKernelShap(PartMethod):
    """Shapley values of the bands estimated from 64 masks, drawn as the Shapley kernel weighs their sizes."""

    name = "band-kernelshap"

    def __init__(
        self,
        partition: str = PAPER_BANDS,
        masks: int = PAPER_MASKS,
        fill: str = "attenuate",
        response: str = "log-odds",
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, masks, 0, fill, match_level, response)

    def draw(self, parts: int, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
        """See `PartMethod.draw`."""
        if self.is_exact(parts):
            return super().draw(parts, request)
        n = self.number_of_masks(parts)
        return paired_masks(parts, n, request.generator("masks"), shapley=True), np.arange(n) // 2

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """See `surrogates.kernel_shap`."""
        weights, errors = kernel_shap(table.masks, table.response(request, self.response), table.groups)
        return Reading(weights, errors if table.groups is not None else None, {})


class _LeaveOneOut(PartMethod):
    """One copy without each part, the clip itself and a copy of nothing but fill."""

    draws = False

    def __init__(self, partition: str, fill: str, response: str, match_level: bool) -> None:
        super().__init__(partition, 0, 0, fill, match_level, response)

    def number_of_masks(self, parts: int) -> int:
        """See `PartMethod.number_of_masks`."""
        return parts + 2

    def shares(self, request: Request) -> None:
        """See `Explainer.shares`: so few copies are not worth looking for in a full table."""
        return None

    def draw(self, parts: int, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
        """See `PartMethod.draw`: nothing is drawn."""
        return np.concatenate([np.ones((1, parts)), np.zeros((1, parts)), 1 - np.eye(parts)]).astype(np.uint8), None

    def interpret(self, table: MaskTable, request: Request) -> Reading:
        """See `surrogates.leave_one_out`."""
        response = table.response(request, self.response)
        return Reading(leave_one_out(response[0], response[2:]), None, {})


class BandLeaveOneOut(_LeaveOneOut):
    """Drop of the response when one band is replaced."""

    name = "band-loo"

    def __init__(
        self,
        partition: str = PAPER_BANDS,
        fill: str = "attenuate",
        response: str = "log-odds",
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, fill, response, match_level)


class WordLeaveOneOut(_LeaveOneOut):
    """Drop of the response when one word of the clip's alignment, or one pause, is replaced."""

    name = "word-loo"

    def __init__(
        self, partition: str = "words", fill: str = "attenuate", response: str = "log-odds", match_level: bool = False
    ) -> None:
        super().__init__(partition, fill, response, match_level)
