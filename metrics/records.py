"""All metrics by name. This module imports nothing heavy: a metric's own module is imported when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..registry import Record, Registry

if TYPE_CHECKING:
    from .case import Metric

FAMILIES = ("faithfulness", "localisation", "robustness", "complexity", "plausibility", "cost")
DIRECTIONS = ("higher", "lower")
CONDITIONS = ("any", "shifted", "clean")
COMPANIONS = ("clean", "repeat", "other")


@dataclass(frozen=True, kw_only=True)
class MetricRecord(Record):
    """What a metric says about itself.

    Attributes
    ----------
    family : str
        One of `FAMILIES`; rankings are made within a family.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = {"family": FAMILIES, "direction": DIRECTIONS, "conditions": CONDITIONS}
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
        for name in ("perfect", "random"):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise self._fault(name, f"must lie in {low} .. {high}")

    def _fault(self, field: str, rule: str) -> InputError:
        return InputError(f"metric {self.name!r}: field {field!r} {rule}, got {getattr(self, field)!r}.")


_TRAJECTORY = "32, shared by all metrics of the deletion trajectory"

# the order is that of tables and boards
METRICS: Registry[MetricRecord] = Registry(
    "metric",
    MetricRecord,
    [
        MetricRecord(
            name="deletion",
            target=".metrics.faithfulness:Deletion",
            summary="mean log-odds of the target while the most relevant cells are removed first",
            citation="Samek et al. 2017, IEEE TNNLS 28(11), MoRF; Petsiuk et al. 2018, BMVC (RISE), deletion",
            family="faithfulness",
            direction="lower",
            uses_fill=True,
            cost=_TRAJECTORY,
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="insertion",
            target=".metrics.faithfulness:Insertion",
            summary="mean log-odds of the target while the most relevant cells are put back first",
            citation="Petsiuk et al. 2018, BMVC (RISE), insertion; LeRF of Samek et al. 2017 read backwards",
            family="faithfulness",
            direction="higher",
            uses_fill=True,
            cost=_TRAJECTORY,
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="abpc",
            target=".metrics.faithfulness:AreaBetween",
            summary="area between the perturbation curves, least relevant first minus most relevant first",
            citation="Samek et al. 2017, IEEE TNNLS 28(11); Schulz et al. 2020, ICLR (area between MoRF and LeRF)",
            family="faithfulness",
            direction="higher",
            random=0.0,
            uses_fill=True,
            cost=_TRAJECTORY,
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="mass-accuracy",
            target=".metrics.localisation:MassAccuracy",
            summary="share of the positive relevance that lies where the cue was planted",
            citation="Arras, Osman, Samek 2022, Information Fusion 81, Relevance Mass Accuracy",
            family="localisation",
            direction="higher",
            perfect=1.0,
            low=0.0,
            high=1.0,
            cost="0",
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="rank-accuracy",
            target=".metrics.localisation:RankAccuracy",
            summary="share of the most relevant cells, as many as were planted, that lie where the cue was planted",
            citation="Arras, Osman, Samek 2022, Information Fusion 81, Relevance Rank Accuracy",
            family="localisation",
            direction="higher",
            perfect=1.0,
            low=0.0,
            high=1.0,
            cost="0",
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="consistency",
            target=".metrics.robustness:Consistency",
            summary="rank correlation with the clean clip's map, between that of another clip (0) and of a repeat (1)",
            citation="serxai, docs/metrics; Spearman 1904 for the similarity",
            family="robustness",
            direction="higher",
            perfect=1.0,
            conditions="shifted",
            companions=("clean", "repeat", "other"),
            cost="three more explanations",
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="gini",
            target=".metrics.complexity:Gini",
            summary="sparseness: Gini index of the absolute relevance",
            citation="Chalasani et al. 2020, ICML (sparseness as Gini index)",
            family="complexity",
            direction="higher",
            low=0.0,
            high=1.0,
            cost="0",
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="direction-agreement",
            target=".metrics.plausibility:DirectionAgreement",
            summary="agreement of the salient cue contrast with sourced expert directions, as gain over random windows",
            citation="serxai, docs/metrics; sources row by row in cues/expert.py",
            family="plausibility",
            direction="higher",
            random=0.0,
            low=-1.0,
            high=1.0,
            cost="0",
            version="1",
            licence="MIT",
        ),
        MetricRecord(
            name="explanation-calls",
            target=".metrics.cost:ExplanationCalls",
            summary="copies that went through the recogniser to make the explanation",
            citation="serxai, docs/metrics",
            family="cost",
            direction="lower",
            low=0.0,
            cost="0",
            version="1",
            licence="MIT",
        ),
    ],
)


def make_metric(name: str) -> Metric:
    """Metric of this name, ready to score.

    Raises
    ------
    UnknownNameError
        With the near misses.
    """
    return METRICS.get(name).load()()
