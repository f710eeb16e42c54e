"""Baselines: rows that every method must be compared with. None of them asks the recogniser anything.

All lie on the scoring grid.
"""

from __future__ import annotations

from ..audio import Plane, scoring_grid
from ..errors import NotApplicable
from .attribution import Attribution
from .explainer import Explainer, Request


class Random(Explainer):
    """Standard normal relevance, independent in every cell."""

    name = "random"
    stochastic = True

    def attribute(self, request: Request) -> Attribution:
        """Draw a map from the request's seed."""
        grid = scoring_grid(request.clip.duration_s)
        values = request.generator("random").standard_normal(grid.shape)
        return Attribution(values, grid, request.label, self.name)


class Energy(Explainer):
    """The clip's energy in each cell: what a method that only follows loudness would say."""

    name = "energy"

    def attribute(self, request: Request) -> Attribution:
        """Measure the clip's energy, on the shared short-time Fourier transform."""
        grid = scoring_grid(request.clip.duration_s)
        return Attribution(Plane(request.clip.samples).energy(grid), grid, request.label, self.name)


class Oracle(Explainer):
    """Where the cues of the clip's emotion were planted, by measurement against its neutral twin.

    It knows nothing of other classes: with a target that was not planted it does not apply.
    """

    name = "oracle"

    def attribute(self, request: Request) -> Attribution:
        """Read the truth of a planted clip.

        Returns
        -------
        Attribution
            The change between clip and twin, inside the truth mask.

        Raises
        ------
        NotApplicable
            If the clip is neutral or not planted, or the target is not what was planted.
        """
        from ..datasets.planted.truth import truth_map, truth_mask

        clip = request.clip
        if clip.plant is None or not clip.plant.words:
            raise NotApplicable("no planted cue")
        if request.label != clip.emotion:
            raise NotApplicable(f"the target {request.label!r} is not the planted emotion")
        grid = scoring_grid(clip.duration_s)
        truth = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), grid)
        return Attribution(truth * truth_mask(truth), grid, request.target, self.name)
