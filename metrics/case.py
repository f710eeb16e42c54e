"""Interface of metrics: the case and explanation they score, and the outcome they return.

A `Case` is one clip under one condition with one target. Intermediate results that several metrics use (plane, scoring
grid, fill, truth mask, deletion trajectory) are computed lazily and cached, so that scores do not depend on which other
metrics ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from ..audio import Grid, Plane, fill_spectrum, scoring_grid
from ..cues.neutral import NeutralReference
from ..cues.windows import WindowCues, window_edges
from ..datasets.clip import Clip
from ..errors import NotApplicable
from ..keys import rng
from ..methods.attribution import Attribution
from ..methods.explainer import SharedWork
from ..models.recogniser import Recogniser
from .record import REEXPLAIN_CALLS

CLIP_LOG_ODDS = ("log odds of the clip",)  # cache key of the one model call that most metrics share
MAP_RESOLUTION = 1e-9  # relative to a map's largest cell; smaller differences are rounding errors of resampling

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Case:
    """One clip under one condition with one target, with a cache shared by its metrics.

    Parameters
    ----------
    recogniser : Recogniser
    clip : Clip
        Clip with the condition applied (to a planted clip's twin as well).
    target : str
        Explained class, or a contrast ``A-B`` of two classes (why A rather than B), known to the recogniser.
    fill : str
        Name of the fill operator that replaces removed cells.
    seed : tuple
        Identity from which every random generator of this case is seeded. It must not name a method, so that all
        methods are scored with the same fill.
    condition : str
        Name of the condition.
    device : str or torch.device
        Device on which waveforms are perturbed.
    neutral : callable, optional
        Gives the windows of the same speaker's other neutral clips; None where they are not known.
    fine_tuned : callable, optional
        Gives the copy of the recogniser that was fine-tuned with a fill on clips other than those explained; None where
        there are no such clips.
    """

    recogniser: Recogniser
    clip: Clip
    target: str
    fill: str = "attenuate"
    seed: tuple = ()
    condition: str = "clean"
    device: str | torch.device = "cpu"
    neutral: Callable[[], NeutralReference] | None = None
    fine_tuned: Callable[[str], Recogniser] | None = None
    _memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def shared(self, key: Hashable, factory: Callable[[], T]) -> T:
        """Return the cached value of `factory`, computed once per case.

        Parameters
        ----------
        key : hashable
            Identifies everything the value depends on apart from clip, condition, target and seed. Values that depend
            on the fill must name it, because cases that differ in the fill alone share this cache.
        factory : callable
            Called without arguments; exceptions are not cached.
        """
        if key not in self._memo:
            self._memo[key] = factory()
        value: T = self._memo[key]
        return value

    def with_fill(self, name: str) -> Case:
        """Copy of the case with another fill and the same cache."""
        return replace(self, fill=name)

    @property
    def plane(self) -> Plane:
        """STFT plane of the clip."""
        return self.shared("plane", lambda: Plane(self.clip.samples, self.device))

    @property
    def twin_plane(self) -> Plane:
        """STFT plane of a planted clip's neutral twin.

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
        """Scoring grid of the clip: 16 mel bands x 80 ms."""
        return self.shared("grid", lambda: scoring_grid(self.clip.duration_s))

    @property
    def window_cues(self) -> WindowCues:
        """Cues of sets of the clip's windows of 150 ms.

        Raises
        ------
        NotApplicable
            For clips shorter than two windows.
        """
        return self.shared("window-cues", lambda: WindowCues(self.clip.cue_tracks, window_edges(self.clip.duration_s)))

    def one_class(self, what: str) -> str:
        """Return the target of a metric that is defined for classes, and not for contrasts of two.

        Parameters
        ----------
        what : str
            Subject of the error message.

        Raises
        ------
        NotApplicable
            If the target is a contrast of two classes, or the recogniser predicts numbers.
        """
        if self.recogniser.regression:
            raise NotApplicable(f"{what} is of a class; recogniser {self.recogniser.name!r} predicts {self.target}")
        if self.recogniser.target_named(self.target)[1] is not None:
            raise NotApplicable(f"{what} is of one class, not of the contrast {self.target!r}")
        return self.target

    @property
    def target_index(self) -> int:
        """Column index of the target class.

        Raises
        ------
        NotApplicable
            If the target is a contrast of two classes, which has no column.
        """
        return self.recogniser.class_index(self.one_class("a probability"))

    def response(self, log_odds: np.ndarray) -> np.ndarray:
        """Explained scalar y: log-odds of the target, or their difference for a contrast (`Recogniser.response`).

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
        """Log-odds of every class for the clip itself, shape (n_classes,); one cached model call."""
        return self.shared(CLIP_LOG_ODDS, lambda: self.recogniser.log_odds(self.plane.samples[None])[0])

    def map(self, attribution: Attribution) -> np.ndarray:
        """Resample an attribution of the clip onto the scoring grid, preserving sums.

        Values are rounded to multiples of 1e-9 of the largest one: resampling a coarse map to a finer grid yields cells
        that differ in the last digits, and ties must stay ties (except rare ones halfway between two multiples).

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
        """Scoring grid of the clip as recorded, before the condition."""
        return self.shared("recorded grid", lambda: scoring_grid(self.clip.recorded_s))

    def map_back(self, attribution: Attribution) -> np.ndarray:
        """Resample an attribution onto the recorded grid, inverting the condition's time map.

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
        """Resample an attribution of the recorded clip, or of another clip, onto the recorded grid.

        Parameters
        ----------
        attribution : Attribution
        duration_s : float, optional
            Duration of the other clip, whose time axis is stretched to that of this clip.

        Returns
        -------
        array, float64, shape ``recorded_grid.shape``
        """
        grid = attribution.grid
        if duration_s is not None:
            grid = grid.stretched(duration_s, self.clip.recorded_s)
        return summed_on(attribution.values, grid, self.recorded_grid)


def summed_on(values: np.ndarray, grid: Grid, target: Grid) -> np.ndarray:
    """Resample a map onto another grid, rounded so that ties stay ties; see `Case.map`.

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
    """Callable that explains again with the method behind an attribution; every call is a new explanation."""

    def __call__(
        self, clip: Clip, *seed: Hashable, recogniser: Recogniser | None = None, target: str | None = None
    ) -> Attribution:
        """Explain a clip.

        Parameters
        ----------
        clip : Clip
            The case's clip, or a perturbed copy of it.
        *seed : hashable
            Appended to the seed of the case's own explanation; without any, the same random numbers are drawn.
        recogniser : Recogniser, optional
            Default: the case's.
        target : str, optional
            Default: the case's.
        """


@dataclass(frozen=True, eq=False)
class Explained:
    """Attribution of the case's clip, with the companion attributions that the metric's record requires.

    Attributes
    ----------
    attribution : Attribution
    clean : Attribution, optional
        Attribution of the same clip by the same method in condition ``clean``.
    repeat : Attribution, optional
        As `clean`, with another seed.
    other : Attribution, optional
        Attribution by the same method of another clip of the same emotion, in condition ``clean``.
    other_duration_s : float, optional
        Duration of that other clip.
    explain : Explain, optional
        None if only the map is available.
    draw : int
        Index of the repeat (seed) of a stochastic method.
    budget : int
        Most model calls of one explanation for which metrics explain again.
    table : hashable, optional
        Key in `shared` of the mask table behind the attribution, which serves every target; None if there is none.
    source : hashable, optional
        Identity of the deterministic map from which the attribution is made without further model calls, where other
        methods may start from the same one.
    shared : SharedWork, optional
        Work shared by the explanations of the case's clip.
    """

    attribution: Attribution
    clean: Attribution | None = None
    repeat: Attribution | None = None
    other: Attribution | None = None
    other_duration_s: float | None = None
    explain: Explain | None = None
    draw: int = 0
    budget: int = REEXPLAIN_CALLS
    table: Hashable | None = None
    source: Hashable | None = None
    shared: SharedWork | None = None

    @property
    def calls_key(self) -> Hashable:
        """What the model calls of the explanation were made for; equal for explanations that share them."""
        if self.table is not None:
            return "table", self.table
        return self.identity if self.source is None else ("map", self.source)

    @property
    def identity(self) -> tuple[str, int]:
        """Method and repeat; part of the cache keys of values computed for this explanation alone."""
        return self.attribution.method, self.draw


@dataclass(frozen=True)
class Outcome:
    """Score of one explanation.

    Attributes
    ----------
    value : float
        Finite.
    model_calls : int
        Model calls of this metric when computed alone from stored explanations.
    """

    value: float
    model_calls: int = 0


class Metric(Protocol):
    """Protocol of metrics: classes without parameters, so that name and version identify a score."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation.

        Raises
        ------
        NotApplicable
            If the score is undefined for this case, with the reason.
        ClipError
            If the recogniser fails on a perturbed copy.
        """


class CallingMetric(Metric, Protocol):
    """Protocol of metrics that call the recogniser and declare their model calls beforehand."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """Model calls of each piece of work, by its cache key; pieces with the same key are computed once per case.

        Their sum is `Outcome.model_calls` without companions.

        Raises
        ------
        NotApplicable
            As `score`, if it can be decided without a model call.
        """


def work_of(metric: Metric, case: Case, explained: Explained) -> Mapping[Hashable, int]:
    """Model calls declared by a metric (`CallingMetric.work`); empty for metrics that make none."""
    work = getattr(metric, "work", None)
    return {} if work is None else work(case, explained)
