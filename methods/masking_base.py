"""Base class of perturbation methods that remove parts of a clip and interpret one table of masks and responses.

A method is a small subclass: it names a partition, draws masks (by default every mask once) and interprets the table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from ..audio import Plane
from ..errors import InputError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request
from .masks import MaskTable, all_masks, fill_of, mask_table, paired_masks, plane_of
from .partitions import Partition, count_parts, make_partition

EXACT_PARTS = 8  # every mask once: 256 model calls
EXACT_AT_MOST = 10  # 1,024


@dataclass(frozen=True, eq=False)
class PartWeights:
    """Weights of the parts, estimated from a mask table.

    Attributes
    ----------
    weights : array, float64, shape (parts,)
    errors : array, float64, shape (parts,), optional
        Standard error of each weight, where masks were drawn.
    details : dict of str to float
    """

    weights: np.ndarray
    errors: np.ndarray | None
    details: dict[str, float]


class PartMethod(Explainer):
    """Relevance of a clip's parts from copies in which some of them are replaced.

    Attributes
    ----------
    draws : bool
        Whether masks are sampled if there are too many parts to score every mask; otherwise that is an error.

    Parameters
    ----------
    partition : str
        See `methods.partitions`.
    masks : int
        Number of sampled masks; raised to twice the number of parts if it is less.
    exact : int
        Largest number of parts for which every mask is scored once; at most 10.
    fill : str
        Replacement of removed parts, see `audio.FILLS`.
    match_level : bool
        Scale every copy to the clip's level.
    response : {'probability', 'log-odds'}
        Explained scalar.
    """

    draws: bool = True
    fill_parameter = "fill"

    def __init__(self, partition: str, masks: int, exact: int, fill: str, match_level: bool, response: str) -> None:
        self.partition = partition
        self.masks = masks
        self.exact = exact
        self.fill = fill
        self.match_level = match_level
        self.response = response

    @abstractmethod
    def interpret(self, table: MaskTable, request: Request) -> PartWeights:
        """Estimate the weights of the parts from a mask table."""

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether masks or fill are random."""
        return self.fill == "noise" or self.draws

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip; see `read` for the attribution."""
        return self.read(self.table(request), request)

    def plane(self, request: Request) -> Plane:
        """STFT plane of the clip, cached for all methods."""
        return request.shared.once("plane", lambda: plane_of(request), request.recogniser)

    def parts(self, request: Request) -> Partition:
        """Partition of the clip, cached for all methods."""
        key = ("partition", self.partition)
        plane = self.plane(request)
        return request.shared.once(key, lambda: make_partition(self.partition, request.clip, plane), request.recogniser)

    def draw(self, parts: int, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw masks, shape (n, parts), and the group of masks drawn together; all masks once if there are few parts.

        Raises
        ------
        InputError
            If `exact` is more than 10 or `masks` is less than 4.
        """
        if self.is_exact(parts):
            return all_masks(parts), None
        n = self.number_of_masks(parts)
        return paired_masks(parts, n, request.generator("masks")), np.arange(n) // 2

    def is_exact(self, parts: int) -> bool:
        """Whether every mask of a partition with this many parts is scored once."""
        if not 0 <= self.exact <= EXACT_AT_MOST:
            raise InputError(
                f"{self.name}: exact must be 0 to {EXACT_AT_MOST} parts (2 ** {EXACT_AT_MOST} model calls), got "
                f"{self.exact}; draw masks for finer partitions."
            )
        exact = parts <= max(self.exact, 1)  # one part has two masks only
        if not exact and not self.draws:
            raise InputError(
                f"{self.name}: partition {self.partition!r} has {parts} parts, too many to score every mask (at most "
                f"{self.exact}); take a coarser one, or a method that draws masks."
            )
        return exact

    def number_of_masks(self, parts: int) -> int:
        """Number of masks scored for a partition with this many parts."""
        if self.is_exact(parts):
            return 1 << parts
        if self.masks < 4:
            raise InputError(f"{self.name}: masks must be at least 4, got {self.masks}.")
        return max(self.masks + self.masks % 2, 2 * parts)

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`; an estimate for partitions by alignment, see `calls_of`."""
        return recogniser.calls_for(self.number_of_masks(count_parts(self.partition, n_samples)))

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`."""
        parts = count_parts(self.partition, request.clip.samples.size, request.clip)
        return request.recogniser.calls_for(self.number_of_masks(parts))

    def shares(self, request: Request) -> Hashable | None:
        """See `Explainer.shares`: a full table does not depend on the seed, unless its fill is random."""
        parts = count_parts(self.partition, request.clip.samples.size, request.clip)
        if self.fill == "noise" or not self.is_exact(parts):
            return None
        return ("full table", self.partition, self.fill, self.match_level)

    def table(self, request: Request) -> MaskTable:
        """Score the masks of the clip; one table serves every target class."""

        def make() -> MaskTable:
            plane, partition = self.plane(request), self.parts(request)
            differences = partition.differences(plane, fill_of(request, plane, self.fill))
            masks, groups = self.draw(len(partition), request)
            return mask_table(request.recogniser, plane, differences, masks, self.match_level, groups)

        key = self.shares(request)
        return make() if key is None else request.shared.once(key, make, request.recogniser)

    def read(self, table: MaskTable, request: Request) -> Attribution:
        """Compute the attribution of the request's target from a mask table of its clip.

        Returns
        -------
        Attribution
            On the partition's grid. ``details``: ``full`` and ``none``, the responses with all parts kept and removed;
            ``noise``, the mean standard error of the parts' weights (0 without sampling); and those of `interpret`.
            ``table`` where every mask was scored.
        """
        plane, partition = self.plane(request), self.parts(request)
        response = table.response(request, self.response)
        estimate = self.interpret(table, request)
        noise = 0.0 if estimate.errors is None else float(estimate.errors.mean())
        exact = table.groups is None and len(table.masks) == 1 << len(partition)
        ends = {
            "full": float(response[table.masks.all(axis=1)][0]),
            "none": float(response[~table.masks.any(axis=1)][0]),
        }
        return Attribution(
            values=partition.spread(estimate.weights, plane),
            grid=partition.grid,
            target=request.label,
            method=self.name,
            details=estimate.details | ends | {"noise": noise},
            table=request.response(table.outputs) if exact else None,
            errors=None
            if estimate.errors is None or partition.soft is not None
            else partition.spread(estimate.errors, plane),
        )
