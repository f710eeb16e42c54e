"""Shapley and Banzhaf values, leave-one-out and random-forest importance of bands, words and other parts of a clip.

Band methods use the same full mask table as `emolime`; in one run its 256 model calls are made once.
"""

from __future__ import annotations

import numpy as np

from .emolime import PAPER_BANDS, PAPER_MASKS
from .explainer import Request
from .masking_base import EXACT_PARTS, PartMethod, PartWeights
from .masks import MaskTable, paired_masks
from .surrogates import banzhaf_values, forest_importance, kernel_shap, leave_one_out, lime_weights, shapley_values


class _FullTableMethod(PartMethod):
    """Base class of methods on a full mask table, of at most 10 parts."""

    draws = False

    def __init__(
        self,
        partition: str = PAPER_BANDS,
        fill: str = "attenuate",
        response: str = "log-odds",
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, 2**EXACT_PARTS, 10, fill, match_level, response)


class BandShapley(_FullTableMethod):
    """Exact Shapley values of the bands; they sum to the response to the clip minus that to the fill alone."""

    name = "band-shapley"

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """See `surrogates.shapley_values`."""
        return PartWeights(shapley_values(table.response(request, self.response)), None, {})


class BandBanzhaf(_FullTableMethod):
    """Exact Banzhaf values of the bands: mean marginal contribution over all masks of the others."""

    name = "band-banzhaf"

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """See `surrogates.banzhaf_values`."""
        return PartWeights(banzhaf_values(table.response(request, self.response)), None, {})


class BandForest(_FullTableMethod):
    """Feature importance of the bands in a random-forest surrogate with LIME's kernel weights."""

    name = "band-forest"
    stochastic = True

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """See `surrogates.forest_importance`; ``details``: the forest's weighted ``r2``."""
        seed = int(request.generator("forest").integers(2**31))
        response = table.response(request, self.response)
        weights, r2 = forest_importance(table.masks, response, lime_weights(table.masks), seed)
        return PartWeights(weights, None, {"r2": r2})


class BandKernelShap(PartMethod):
    """KernelSHAP: Shapley values of the bands estimated from 64 masks with sizes drawn by the Shapley kernel."""

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

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """See `surrogates.kernel_shap`."""
        weights, errors = kernel_shap(table.masks, table.response(request, self.response), table.groups)
        return PartWeights(weights, errors if table.groups is not None else None, {})


class _LeaveOneOut(PartMethod):
    """Base class of leave-one-out methods: one copy without each part, the clip itself and the fill alone."""

    draws = False

    def __init__(self, partition: str, fill: str, response: str, match_level: bool) -> None:
        super().__init__(partition, 0, 0, fill, match_level, response)

    def number_of_masks(self, parts: int) -> int:
        """See `PartMethod.number_of_masks`."""
        return parts + 2

    def shares(self, request: Request) -> None:
        """See `Explainer.shares`: never shared, since there are few copies."""
        return None

    def draw(self, parts: int, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
        """See `PartMethod.draw`: deterministic."""
        return np.concatenate([np.ones((1, parts)), np.zeros((1, parts)), 1 - np.eye(parts)]).astype(np.uint8), None

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """See `surrogates.leave_one_out`."""
        response = table.response(request, self.response)
        return PartWeights(leave_one_out(response[0], response[2:]), None, {})


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
