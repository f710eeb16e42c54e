"""Metric records: the metadata by which metrics are listed, selected and ranked. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from ..errors import InputError, UnknownNameError
from ..registry import Record
from .qualified import Verdict, verdict_of

FAMILIES = ("faithfulness", "localisation", "robustness", "sanity", "complexity", "plausibility", "cost", "recogniser")
DIRECTIONS = ("higher", "lower")
CONDITIONS = ("any", "shifted", "clean")
COMPANIONS = ("clean", "repeat", "other")
SPACES = ("audio", "features")
INVARIANT_FAMILIES = ("faithfulness", "localisation", "sanity")  # whose core metrics read the order of cells alone
UNJUDGED_FAMILIES = ("cost", "recogniser")  # count, or describe what is explained: no map is judged
DESCRIBED_FAMILIES = ("complexity", *UNJUDGED_FAMILIES)  # less is not better: shown, never ranked
MODEL_CALLS = "model calls"  # unit of the metric that boards print beside every score
REEXPLAIN_CALLS = 1024  # default budget of one explanation, for metrics that call the method again
EARLIER_REEXPLAIN_CALLS = 64  # that of runs made before it could be set
OVER_BUDGET = "explains again, which is done for methods of at most"  # how the reason of such a skip begins


@dataclass(frozen=True, kw_only=True)
class MetricRecord(Record):
    """Metadata of a metric.

    Attributes
    ----------
    family : str
        One of `FAMILIES`; rankings are made within a family. Metrics of ``recogniser`` describe the recogniser under
        the fill and read the same from all methods that can tell.
    direction : {'higher', 'lower'}
        Which of two scores is the better one.
    perfect : float or None
        Score of the ideal explanation, where it is the same for every clip.
    random : float or None
        Expected score of an explanation drawn at random, where it is the same for every clip.
    low, high : float or None
        Bounds of the score, None where there is none.
    uses_fill : bool
        Whether the score depends on the fill operator.
    conditions : {'any', 'shifted', 'clean'}
        Under which conditions it is defined.
    companions : tuple of {'clean', 'repeat', 'other'}
        Further explanations it compares with (see `metrics.case.Explained`).
    cost : str
        Model calls of one score, as text.
    core : bool
        Whether it enters its family's ranking. Near-copies of a core metric do not: a ranking would count them twice.
        In `INVARIANT_FAMILIES` it must be `invariant`, or say in `exempt_reason` why it need not be. In
        `DESCRIBED_FAMILIES` it is one of those that are shown first.
    space : {'audio', 'features'}
        Where something is removed: in the waveform, or in the feature map of a differentiable recogniser.
    headline : bool
        Whether short tables, such as the terminal's, show it when no metric is named; about one metric a family.
    unit : str
        Unit of the score, e.g. ``log-odds``; empty for shares, correlations and other plain numbers.
    scale : str
        What particular scores mean, for the axis of a figure, e.g. ``0: another clip, 1: a repeat``.
    explains : bool
        Whether it calls the method again; defined for methods within the run's budget of model calls only
        (`REEXPLAIN_CALLS` by default).
    invariant : bool
        Whether the score stays the same under every strictly increasing odd transform of the maps on the scoring grid
        (for `space` ``features``, on the feature grid): only the order of the cells counts.
    exempt_reason : str
        Why a core metric that reads more than the order of the cells is right to do so; empty for all others.
    described : str
        Why methods are not ranked by it although its family is ranked: it can be won without the recogniser. Empty
        for all others.
    neutral : bool
        Whether it reads the same speaker's other neutral clips (`metrics.case.Case.neutral`).
    fine_tunes : bool
        Whether it asks a copy of the recogniser that was fine-tuned on other clips (`metrics.case.Case.fine_tuned`).
    ranked : bool
        Whether methods are ranked by it. Not an argument: False in `DESCRIBED_FAMILIES` and where `described` says
        why; the `direction` then tells how to read the number, not what is better.
    margin : float or None
        Two methods whose means differ by less are equivalent in practice; None: see `equivalence_margin`.
    bar : float or None
        Score that a method must beat to be marked as better, for families in which the baselines are the worst
        explanations by construction (sanity); None where there is no such bar.

    Raises
    ------
    InputError
        If a field holds something that is not allowed.
    """

    family: str
    direction: str
    cost: str
    perfect: float | None = None
    random: float | None = None
    low: float | None = None
    high: float | None = None
    uses_fill: bool = False
    conditions: str = "any"
    companions: tuple[str, ...] = ()
    core: bool = False
    space: str = "audio"
    headline: bool = False
    unit: str = ""
    scale: str = ""
    explains: bool = False
    invariant: bool = False
    exempt_reason: str = ""
    described: str = ""
    neutral: bool = False
    fine_tunes: bool = False
    ranked: bool = field(init=False, default=True)
    margin: float | None = None
    bar: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ranked", self.family not in DESCRIBED_FAMILIES and not self.described)
        allowed = {"family": FAMILIES, "direction": DIRECTIONS, "conditions": CONDITIONS, "space": SPACES}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise self._fault(name, f"must be one of {', '.join(values)}")
        if not set(self.companions) <= set(COMPANIONS):
            raise self._fault("companions", f"must be taken from {', '.join(COMPANIONS)}")
        if not self.cost.strip():
            raise self._fault("cost", "must say how many model calls one score takes")
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        if not low < high:
            raise self._fault("low", f"must be below high = {self.high}")
        if self.margin is not None and not self.margin > 0:
            raise self._fault("margin", "must be above 0")
        for name in ("perfect", "random", "bar"):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise self._fault(name, f"must lie in {low} .. {high}")
        if self.core and self.described:
            raise self._fault("core", "counts in the ranking of its family; a metric that is only described cannot")
        if self.core and self.family in INVARIANT_FAMILIES and not (self.invariant or self.exempt_reason.strip()):
            raise self._fault(
                "core",
                f"asks of a metric of {self.family} that its score depends on the order of the cells alone; set "
                "invariant=True if it does, exempt_reason if it need not, else core=False",
            )

    @property
    def worst(self) -> float | None:
        """The worst possible score: the bound on the bad side; None where there is none."""
        return self.low if self.direction == "higher" else self.high

    @property
    def equivalence_margin(self) -> float | None:
        """Margin of equivalence tests: `margin`, else a twentieth of the range, or a quarter more odds.

        A difference of log 1.25 in log-odds is the limit of bioequivalence studies, a ratio of .80 to 1.25. None where
        the record says nothing.
        """
        if self.margin is not None:
            return self.margin
        if self.unit == "log-odds":
            return log(1.25)
        return None if self.low is None or self.high is None else (self.high - self.low) / 20

    @property
    def verdict(self) -> Verdict | None:
        """Committed verdict of the qualification on this version of the metric; None where there is none."""
        return verdict_of(self.name, self.version)

    @property
    def qualified(self) -> bool | None:
        """Whether this version passed the qualification; None where it was not tested or nothing can be claimed."""
        return None if self.verdict is None else self.verdict.qualified

    def _fault(self, field: str, rule: str) -> InputError:
        return InputError(f"metric {self.name!r}: field {field!r} {rule}, got {getattr(self, field)!r}.")


@dataclass(frozen=True, kw_only=True)
class ChoiceRecord(MetricRecord):
    """Record of ``NAME:<choice>``: a metric restricted to one of several named components.

    Attributes
    ----------
    choices : tuple of str
        What may follow the colon.

    Raises
    ------
    UnknownNameError
        For anything else.
    """

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.argument and self.argument not in self.choices:
            family = self.name.partition(":")[0]
            raise UnknownNameError("metric", self.name, [f"{family}:{choice}" for choice in self.choices])
        super().__post_init__()


# Quantus metrics that need no further explanations, each with its family and direction here
QUANTUS = {
    "AUC": ("localisation", "higher"),
    "AttributionLocalisation": ("localisation", "higher"),
    "Complexity": ("complexity", "lower"),
    "EffectiveComplexity": ("complexity", "lower"),
    "FaithfulnessCorrelation": ("faithfulness", "higher"),
    "FaithfulnessEstimate": ("faithfulness", "higher"),
    "IROF": ("faithfulness", "higher"),
    "Infidelity": ("faithfulness", "lower"),
    "Monotonicity": ("faithfulness", "higher"),
    "MonotonicityCorrelation": ("faithfulness", "higher"),
    "PixelFlipping": ("faithfulness", "lower"),
    "PointingGame": ("localisation", "higher"),
    "ROAD": ("faithfulness", "lower"),
    "RegionPerturbation": ("faithfulness", "higher"),  # a loss of the prediction; Quantus 0.6 declares lower
    "RelevanceMassAccuracy": ("localisation", "higher"),
    "RelevanceRankAccuracy": ("localisation", "higher"),
    "Selectivity": ("faithfulness", "lower"),
    "Sparseness": ("complexity", "higher"),
    "TopKIntersection": ("localisation", "higher"),
}


@dataclass(frozen=True, kw_only=True)
class QuantusRecord(MetricRecord):
    """Record of ``quantus:<Metric>``: family and direction are those of the named Quantus metric.

    Raises
    ------
    UnknownNameError
        For a metric that Quantus does not have, or that needs explanations of its own.
    """

    def __post_init__(self) -> None:
        if self.argument:
            if self.argument not in QUANTUS:
                raise UnknownNameError("metric", self.name, [f"quantus:{name}" for name in QUANTUS])
            family, direction = QUANTUS[self.argument]
            object.__setattr__(self, "family", family)
            object.__setattr__(self, "direction", direction)
        super().__post_init__()
