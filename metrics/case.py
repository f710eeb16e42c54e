"""What a metric is given and what it returns.

A `Case` is one clip under one condition with one target. What several metrics need of it (its plane, its scoring grid,
the fill, the truth mask, a deletion trajectory) is computed when first asked for and then kept, so that no metric pays
for another's work and none depends on which ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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

CLIP_LOG_ODDS = ("log odds of the clip",)  # key of the one model call that most metrics share
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
        The class explained, or the two of a contrast, ``A-B``: why A rather than B. The recogniser knows them.
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

    def one_class(self, what: str) -> str:
        """The target, for what is defined for one class alone.

        Parameters
        ----------
        what : str
            For the reason.

        Raises
        ------
        NotApplicable
            If the target is a contrast of two classes.
        """
        if self.recogniser.target_named(self.target)[1] is not None:
            raise NotApplicable(f"{what} is of one class, not of the contrast {self.target!r}")
        return self.target

    @property
    def target_index(self) -> int:
        """Column of the target class.

        Raises
        ------
        NotApplicable
            If the target is a contrast of two classes, which has no column.
        """
        return self.recogniser.class_index(self.one_class("a probability"))

    def response(self, log_odds: np.ndarray) -> np.ndarray:
        """y: the target's log-odds, of a contrast the difference of both classes' (`Recogniser.response`).

        Parameters
        ----------
        log_odds : array, shape (..., n_classes)

        Returns
        -------
        array, shape (...)
        """
        return self.recogniser.response(log_odds, *self.recogniser.target_named(self.target))

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

    @property
    def log_odds(self) -> np.ndarray:
        """Log-odds of every class for the clip itself, shape (n_classes,); one model call, made once per case."""
        return self.shared(CLIP_LOG_ODDS, lambda: self.recogniser.log_odds(self.plane.samples[None])[0])

    def map(self, attribution: Attribution) -> np.ndarray:
        """An attribution of the clip, summed onto the scoring grid.

        Values are rounded to multiples of 1e-9 of the largest, zero among them: moving a coarse map to a finer grid
        shares its cells out in unequal last digits, and a tie must stay a tie (but for the rare one that lies halfway
        between two multiples).

        Parameters
        ----------
        attribution : Attribution

        Returns
        -------
        array, float64, shape ``grid.shape``
        """
        return self.map_on(attribution, self.grid)

    def map_on(self, attribution: Attribution, grid: Grid) -> np.ndarray:
        """As `map`, on another grid of the clip."""
        return summed_on(attribution.values, attribution.grid, grid)

    @property
    def recorded_grid(self) -> Grid:
        """The scoring grid of the clip as recorded, before the condition."""
        return self.shared("recorded grid", lambda: scoring_grid(self.clip.recorded_s))

    def map_back(self, attribution: Attribution) -> np.ndarray:
        """An attribution of the clip, its times moved back along the clip's time map, on the recorded grid.

        Parameters
        ----------
        attribution : Attribution

        Returns
        -------
        array, float64, shape ``recorded_grid.shape``
        """
        grid = attribution.grid
        recorded = Grid(grid.freq_edges_hz, self.clip.to_recorded_time(grid.time_edges_s))
        return summed_on(attribution.values, recorded, self.recorded_grid)

    def map_recorded(self, attribution: Attribution, duration_s: float | None = None) -> np.ndarray:
        """An attribution of the clip as recorded, or of another clip, on the recorded grid.

        Parameters
        ----------
        attribution : Attribution
        duration_s : float, optional
            Length of the clip it explains, where that is another clip: the two are then compared in relative time.

        Returns
        -------
        array, float64, shape ``recorded_grid.shape``
        """
        grid = attribution.grid
        if duration_s is not None:
            grid = grid.stretched(duration_s, self.clip.recorded_s)
        return summed_on(attribution.values, grid, self.recorded_grid)


def summed_on(values: np.ndarray, grid: Grid, target: Grid) -> np.ndarray:
    """A map summed onto another grid, rounded so that its ties stay ties; see `Case.map`.

    Parameters
    ----------
    values : array, shape ``grid.shape``
    grid, target : Grid

    Returns
    -------
    array, float64, shape ``target.shape``
    """
    moved = grid.transfer(values, target)
    step = np.abs(moved).max() * MAP_RESOLUTION
    return np.round(moved / step) * step if step > 0 else np.zeros_like(moved)


class Explain(Protocol):
    """The method behind an attribution, ready to explain once more; every call costs a new explanation."""

    def __call__(
        self, clip: Clip, *seed: Hashable, recogniser: Recogniser | None = None, target: str | None = None
    ) -> Attribution:
        """Explain a clip.

        Parameters
        ----------
        clip : Clip
            The case's clip, or a copy of it with other samples.
        *seed : hashable
            Added to the seed of the case's own explanation: without any, the same draws are made.
        recogniser : Recogniser, optional
            Default: the case's.
        target : str, optional
            Default: the case's.
        """


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
    explain : Explain, optional
        Missing where only the map is at hand.
    draw : int
        Which of the method's explanations of this case it is: the run's repeat.
    """

    attribution: Attribution
    clean: Attribution | None = None
    repeat: Attribution | None = None
    other: Attribution | None = None
    other_duration_s: float | None = None
    explain: Explain | None = None
    draw: int = 0

    @property
    def identity(self) -> tuple[str, int]:
        """Method and draw: part of the key of whatever a case keeps that was made for this explanation alone."""
        return self.attribution.method, self.draw


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


class CallingMetric(Metric, Protocol):
    """A metric that asks the recogniser: it says beforehand what it will ask for."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """Model calls of each piece of work, by a key that says who shares the piece within a case.

        Their sum is `Outcome.model_calls`, companions apart; what several metrics name is computed once.

        Raises
        ------
        NotApplicable
            As `score`, where no model call is needed to tell.
        """


def work_of(metric: Metric, case: Case, explained: Explained) -> Mapping[Hashable, int]:
    """What a metric will ask the recogniser for; nothing where it does not say."""
    work = getattr(metric, "work", None)
    return {} if work is None else work(case, explained)
