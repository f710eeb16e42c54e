"""Shapley and Banzhaf values, interactions, leave-one-out and forest importance of bands, words and other parts.

Band methods use the same full mask table as `emolime`; in one run its 256 model calls are made once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .attribution import Attribution
from .emolime import PAPER_BANDS, PAPER_MASKS
from .explainer import Request
from .mask_tables import second_order_effects, variance_shares
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


class BandInteractions(_FullTableMethod):
    """Main effects and pairwise interactions of the bands, exact: second-order effects of the full mask table.

    The map holds for each band its main effect plus half of its interactions: its Shapley value (`index` ``shapley``)
    or Banzhaf value (``banzhaf``), so that it is scored on the plane as `band-shapley` or `band-banzhaf` is.

    Parameters
    ----------
    partition, fill, response, match_level
        See `PartMethod`.
    index : {'shapley', 'banzhaf'}
        Interaction index, see `mask_tables.second_order_effects`. ``banzhaf`` is the functional analysis of variance
        over all masks alike (Walsh), to which the shares of the variance in ``details`` refer; the map of ``shapley``
        adds up to the response to the clip minus that to the fill.
    """

    name = "band-interactions"

    def __init__(
        self,
        partition: str = PAPER_BANDS,
        index: str = "shapley",
        fill: str = "attenuate",
        response: str = "log-odds",
        match_level: bool = False,
    ) -> None:
        super().__init__(partition, fill, response, match_level)
        self.index = index

    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """Sum main effects and half interactions; ``details``: ``additive`` and ``with_pairs``, shares of the variance.

        They are left out for a constant table.
        """
        effects = self._effects(table, request)
        shares = zip(("additive", "with_pairs"), variance_shares(self._values(table, request)), strict=True)
        details = {name: share for name, share in shares if np.isfinite(share)}
        return PartWeights((effects.sum(axis=1) + effects.diagonal()) / 2, None, details)

    def read(self, table: MaskTable, request: Request) -> Attribution:
        """See `PartMethod.read`; with ``interactions``."""
        return replace(super().read(table, request), interactions=self._effects(table, request))

    def _effects(self, table: MaskTable, request: Request) -> np.ndarray:
        return second_order_effects(self._values(table, request), self.index)

    def _values(self, table: MaskTable, request: Request) -> np.ndarray:
        """Response to each mask, in the method's own kind."""
        return table.response(request, self.response)


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
