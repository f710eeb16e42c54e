"""Baseline attributions on the scoring grid, computed without any model call."""

from __future__ import annotations

from ..audio import Plane, scoring_grid
from ..datasets.clip import Clip
from ..errors import NotApplicable
from .attribution import Attribution
from .explainer import Explainer, Request

QUIET_TARGETS = ("sadness",)  # emotions that sources expect to be softer than neutral; all others are pointed at loud


def rule_map(name: str, clip: Clip, target: str, label: str = "") -> Attribution:
    """Map of a rule that needs no recogniser.

    Parameters
    ----------
    name : {'energy', 'loud-quiet'}
    clip : Clip
    target : str
        Class that the rule points at.
    label : str, optional
        What the map says it explains; default `target`.
    """
    grid = scoring_grid(clip.duration_s)
    values = Plane(clip.samples).energy(grid)
    if name == LoudQuiet.name and target in QUIET_TARGETS:
        values = values.max() - values
    return Attribution(values, grid, label or target, name)


class Random(Explainer):
    """Independent standard normal relevance in every cell."""

    name = "random"
    stochastic = True

    def attribute(self, request: Request) -> Attribution:
        """Draw a map from the request's seed."""
        grid = scoring_grid(request.clip.duration_s)
        values = request.generator("random").standard_normal(grid.shape)
        return Attribution(values, grid, request.label, self.name)


class Energy(Explainer):
    """Energy of the clip in each cell: the map of a method that follows loudness alone."""

    name = "energy"

    def attribute(self, request: Request) -> Attribution:
        """Sum the clip's STFT energy in each cell."""
        return rule_map(self.name, request.clip, request.target, request.label)


class LoudQuiet(Explainer):
    """Rule that knows the target and not the recogniser: loud cells for anger and happiness, quiet ones for sadness.

    What most sources expect of these emotions in one cue, loudness. Any other target gets the map of `Energy`. An
    explanation that is no more plausible than this rule has not shown that it needs the recogniser.
    """

    name = "loud-quiet"

    def attribute(self, request: Request) -> Attribution:
        """Return the clip's energy in each cell, or for sadness how far it lies below the loudest cell's."""
        return rule_map(self.name, request.clip, request.target, request.label)


class Oracle(Explainer):
    """Ground truth of a planted clip: its spectral change against the neutral twin, inside the truth mask.

    Defined for the planted emotion only; not applicable to any other target.
    """

    name = "oracle"
    against = "twin"

    def attribute(self, request: Request) -> Attribution:
        """Return the truth map of a planted clip.

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
