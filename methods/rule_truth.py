"""Closed-form ground truth of the white-box recogniser `planted-rule`."""

from __future__ import annotations

from ..audio import scoring_grid
from ..errors import NotApplicable
from ..models.planted_rule import PlantedRule
from .attribution import Attribution
from .explainer import Explainer, Request


class RuleTruth(Explainer):
    """Contribution of each cell to the log-odds of `planted-rule`, relative to the clip's neutral twin."""

    name = "rule-truth"

    def attribute(self, request: Request) -> Attribution:
        """Compute the relevance from the rule.

        Raises
        ------
        NotApplicable
            For another recogniser, or a clip in which nothing is planted.
        """
        clip, recogniser = request.clip, request.recogniser
        if not isinstance(recogniser, PlantedRule):
            raise NotApplicable(f"known for recogniser 'planted-rule' alone, not for {recogniser.name!r}")
        if clip.plant is None or not clip.plant.words:
            raise NotApplicable("no planted cue")
        grid = scoring_grid(clip.duration_s)
        values = recogniser.relevance(clip.samples, clip.plant.twin, request.target, grid)
        if request.contrast is not None:
            values = values - recogniser.relevance(clip.samples, clip.plant.twin, request.contrast, grid)
        return Attribution(values, grid, request.label, self.name)
