"""Exact ground truth of the white-box recognisers."""

from __future__ import annotations

import numpy as np

from ..audio import scoring_grid
from ..errors import NotApplicable
from ..models.white_box import WhiteBox
from .attribution import Attribution
from .explainer import Explainer, Request
from .masks import fill_of, plane_of


class RuleTruth(Explainer):
    """Exact contribution of each cell to a white box's log-odds, relative to the clip replaced by a fill.

    What is exact is said in `models.planted_rule` and `models.planted_boxes`.

    Parameters
    ----------
    fill : str
        What the contribution is relative to, see `audio.FILLS`; by default the clip's neutral twin.
    """

    name = "rule-truth"
    fill_parameter = "fill"

    def __init__(self, fill: str = "twin") -> None:
        self.fill = fill
        self.stochastic = fill == "noise"

    def attribute(self, request: Request) -> Attribution:
        """Compute the relevance from the recogniser's weights.

        Raises
        ------
        NotApplicable
            For another recogniser; against the twin for a clip in which nothing is planted.
        """
        clip, recogniser = request.clip, request.recogniser
        if not isinstance(recogniser, WhiteBox):
            raise NotApplicable(f"known for white boxes such as 'planted-rule' alone, not for {recogniser.name!r}")
        reference = self._reference(request)
        grid = scoring_grid(clip.duration_s)
        values = recogniser.relevance(clip.samples, reference, request.target, grid)
        if request.contrast is not None:
            values = values - recogniser.relevance(clip.samples, reference, request.contrast, grid)
        return Attribution(values, grid, request.label, self.name)

    def _reference(self, request: Request) -> np.ndarray:
        """Samples of the clip replaced by the fill."""
        plant = request.clip.plant
        if self.fill == "twin":
            if plant is None or not plant.words:
                raise NotApplicable("no planted cue")
            return plant.twin
        plane = plane_of(request)
        return plane.istft(fill_of(request, plane, self.fill)).cpu().numpy()
