"""What a metric is given and what it returns.

A `Case` is one clip under one condition with one target. What several metrics need of it (its plane, its scoring grid,
the fill, the truth mask, a deletion trajectory) is computed when first asked for and then kept, so that no metric pays
for another's work and none depends on which ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from ..audio import Grid, Plane, fill_spectrum, scoring_grid
from ..datasets.clip import Clip
from ..errors import NotApplicable
from ..keys import rng
from ..methods.attribution import Attribution
from ..models.recogniser import Recogniser

MAP_RESOLUTION = 1e-9  # of a map's largest cell; below it, differences are rounding of the move to the scoring grid

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Case:
    """One clip under one condition with one target, and what its metrics share.

    Parameters
    ----------
    recogniser : Recogniser
    clip : Clip
        As the recogniser hears it: the condition is already applied (to a planted clip's twin as well).
    target : str
        The class explained; the recogniser knows it.
    fill : str
        Name of the fill operator that stands in for what is removed.
    seed : tuple
        Identity parts of every draw made for this case. It must not name a method: all methods of a case are scored
        with the same fill.
    condition : str
        Name of the condition the clip is under.
    device : str or torch.device
        Where waveforms are perturbed.
    """

    recogniser: Recogniser
    clip: Clip
    target: str
    fill: str = "attenuate"
    seed: tuple = ()
    condition: str = "clean"
    device: str | torch.device = "cpu"
    _memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def shared(self, key: Hashable, factory: Callable[[], T]) -> T:
        """Value of `factory`, computed once per case.

        Parameters
        ----------
        key : hashable
            Says everything the value depends on beyond clip, condition, target and seed: whatever depends on the fill
            must name it, because cases that differ in the fill alone share this memo.
        factory : callable
            Without arguments. What it raises is not kept.
        """
        if key not in self._memo:
            self._memo[key] = factory()
        return self._memo[key]

    def with_fill(self, name: str) -> Case:
        """The same case with another fill; everything that does not depend on the fill is shared."""
        return replace(self, fill=name)

    @property
    def plane(self) -> Plane:
        """The clip on the time-frequency plane."""
        return self.shared("plane", lambda: Plane(self.clip.samples, self.device))

    @property
    def twin_plane(self) -> Plane:
        """The neutral twin of a planted clip on the time-frequency plane.

        Raises
        ------
        NotApplicable
            If the clip has no twin, or nothing was planted in it.
        """
        plant = self.clip.plant
        if plant is None:
            raise NotApplicable("no ground truth: the clip has no neutral twin (corpus 'planted' has)")
        if not plant.words:
            raise NotApplicable("no planted cue")
        return self.shared("twin plane", lambda: Plane(plant.twin, self.device))

    @property
    def grid(self) -> Grid:
        """The scoring grid of the clip: 16 mel bands x 80 ms."""
        return self.shared("grid", lambda: scoring_grid(self.clip.duration_s))

    @property
    def target_index(self) -> int:
        """Column of the target class."""
        return self.recogniser.class_index(self.target)

    @property
    def fill_spectrum(self) -> torch.Tensor:
        """STFT of the fill, complex64, shape (257, n_frames).

        Raises
        ------
        NotApplicable
            For fill ``twin`` on a clip without a twin or without a planted cue.
        UnknownNameError
        """
        if self.fill == "twin":
            return self.twin_plane.spectrum
        generator = rng(*self.seed, "fill", self.fill)
        return self.shared(("fill", self.fill), lambda: fill_spectrum(self.fill, self.plane, generator))

    def map(self, attribution: Attribution, duration_s: float | None = None) -> np.ndarray:
        """An attribution summed onto the scoring grid.

        Cells that differ by less than 1e-9 of the largest become equal: moving a coarse map to a finer grid shares its
        cells out in unequal last digits, and a tie must stay a tie.

        Parameters
        ----------
        attribution : Attribution
        duration_s : float, optional
            Length of the clip it explains, where that is another clip: the two are then compared in relative time.

        Returns
        -------
        array, float64, shape ``grid.shape``
        """
        grid = attribution.grid
        if duration_s is not None and duration_s != self.clip.duration_s:
            grid = grid.stretched(duration_s, self.clip.duration_s)
        values = grid.transfer(attribution.values, self.grid)
        step = np.abs(values).max() * MAP_RESOLUTION
        return np.round(values / step) * step if step > 0 else np.zeros_like(values)


@dataclass(frozen=True, eq=False)
class Explained:
    """An attribution of the case's clip, and the companions that the metric's record asks for.

    Attributes
    ----------
    attribution : Attribution
    clean : Attribution, optional
        Of the same clip by the same method in condition ``clean``.
    repeat : Attribution, optional
        As `clean`, with another seed.
    other : Attribution, optional
        By the same method of another clip of the same emotion, in condition ``clean``.
    other_duration_s : float, optional
        Length of that other clip.
    clean_duration_s : float, optional
        Length of the clean clip, where the condition changes it.
    """

    attribution: Attribution
    clean: Attribution | None = None
    repeat: Attribution | None = None
    other: Attribution | None = None
    other_duration_s: float | None = None
    clean_duration_s: float | None = None


@dataclass(frozen=True)
class Outcome:
    """One score.

    Attributes
    ----------
    value : float
        Finite.
    model_calls : int
        Copies that go through the recogniser when this metric is computed alone, from stored explanations.
    """

    value: float
    model_calls: int = 0


class Metric(Protocol):
    """What every metric is: a class without parameters, so that its name and version say all about a score."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation.

        Raises
        ------
        NotApplicable
            If the score is undefined here, with the reason.
        ClipError
            If the recogniser fails on a perturbed copy.
        """
