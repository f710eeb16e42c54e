"""Metric registry. Imports nothing heavy: a metric's own module is imported when the metric is instantiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..registry import Registry
from .attack_records import ATTACK
from .plausibility_records import PLAUSIBILITY
from .record import (
    COMPANIONS,
    CONDITIONS,
    DIRECTIONS,
    FAMILIES,
    MODEL_CALLS,
    QUANTUS,
    SPACES,
    MetricRecord,
    QuantusRecord,
)

if TYPE_CHECKING:
    from .case import Metric

__all__ = [
    "COMPANIONS",
    "CONDITIONS",
    "DIRECTIONS",
    "FAMILIES",
    "METRICS",
    "MODEL_CALLS",
    "QUANTUS",
    "SPACES",
    "MetricRecord",
    "QuantusRecord",
    "is_ranked",
    "make_metric",
]

_TRAJECTORY = "32, shared by all metrics of the deletion trajectory"
_SUBSETS = "257, shared by all methods and by the metrics of random sets"
_SINGLES = "1 + super-cells (50 a second of audio), shared by all methods"
_MASKED = "2, shared by the metrics of the masked clip"
_QUOTIENT = "a mean of quotients of single clips, some with denominators near 0; `serxai robustness` pools means"
_NOISY = "eight more explanations, shared"
_RANDOM = "at most four more explanations"


def _metric(
    name: str, target: str, family: str, direction: str, cost: str, summary: str, citation: str, **more: Any
) -> MetricRecord:
    """Record of a built-in metric, whose target lies in ``.metrics``."""
    more = {"version": "1"} | more
    return MetricRecord(
        name=name,
        target=f".metrics.{target}",
        family=family,
        direction=direction,
        cost=cost,
        summary=summary,
        citation=citation,
        licence="MIT",
        **more,
    )


# the order is that of tables and boards
METRICS: Registry[MetricRecord] = Registry(
    "metric",
    MetricRecord,
    [
        _metric(
            "deletion", "faithfulness:Deletion", "faithfulness", "lower", _TRAJECTORY,
            "mean log-odds of the target while the most relevant cells are removed first",
            "Samek et al. 2017, IEEE TNNLS 28(11), MoRF; Petsiuk et al. 2018, BMVC (RISE), deletion",
            core=True, uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "insertion", "faithfulness:Insertion", "faithfulness", "higher", _TRAJECTORY,
            "mean log-odds of the target while the most relevant cells are put back first",
            "Petsiuk et al. 2018, BMVC (RISE), insertion; LeRF of Samek et al. 2017 read backwards",
            core=True, uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "abpc", "faithfulness:AreaBetween", "faithfulness", "higher", _TRAJECTORY,
            "area between the perturbation curves, least relevant first minus most relevant first",
            "Samek et al. 2017, IEEE TNNLS 28(11); Schulz et al. 2020, ICLR (area between MoRF and LeRF)",
            random=0.0, uses_fill=True, unit="log-odds", headline=True, invariant=True,
        ),
        _metric(
            "abpc-native", "faithfulness:NativeAreaBetween", "faithfulness", "higher", "at most 32",
            "area between the perturbation curves over the cells of the map's own grid",
            "as abpc; serxai, docs/metrics",
            random=0.0, uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "comprehensiveness", "faithfulness:Comprehensiveness", "faithfulness", "higher", _TRAJECTORY,
            "log-odds lost without the top 1/16, 1/8, 1/4, 1/2 of the cells, averaged",
            "DeYoung et al. 2020, ACL (ERASER), comprehensiveness, AOPC",
            core=True, uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "sufficiency", "faithfulness:Sufficiency", "faithfulness", "lower", _TRAJECTORY,
            "log-odds lost with nothing but the top 1/16, 1/8, 1/4, 1/2 of the cells, averaged",
            "DeYoung et al. 2020, ACL (ERASER), sufficiency, AOPC",
            uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "delta-auc", "faithfulness:DeltaAuc", "faithfulness", "higher",
            "32 as deletion, and 64 for random orders, shared by all methods",
            "deletion AUC of four random orders less that of the explanation",
            "Wullenweber, Akman, Schuller 2022, EMBC (CoughLIME)",
            random=0.0, uses_fill=True, unit="log-odds", invariant=True,
        ),
        _metric(
            "monotonicity", "faithfulness:Monotonicity", "faithfulness", "higher", _TRAJECTORY,
            "share of steps that do not lower the log-odds as cells are put back, least relevant first",
            "Arya et al. 2019, arXiv:1909.03012 (AIX360), as a share of steps",
            low=0.0, high=1.0, uses_fill=True, invariant=True,
        ),
        _metric(
            "irof", "faithfulness:Irof", "faithfulness", "higher", "32",
            "area over the relative probability while super-cells are removed, most relevant first",
            "Rieger, Hansen 2020, arXiv:2003.08747 (IROF)",
            high=1.0, uses_fill=True,
        ),
        _metric(
            "faithfulness-correlation", "prediction:FaithfulnessCorrelation", "faithfulness", "higher", _SUBSETS,
            "correlation of relevance and effect over random sets of a quarter of the cells",
            "Bhatt, Weller, Moura 2020, IJCAI",
            perfect=1.0, random=0.0, low=-1.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "sensitivity-n", "prediction:SensitivityN", "faithfulness", "higher", _SUBSETS,
            "correlation of relevance and effect over random sets of cells, averaged over four sizes",
            "Ancona et al. 2018, ICLR",
            perfect=1.0, random=0.0, low=-1.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "infidelity", "prediction:Infidelity", "faithfulness", "lower", _SUBSETS,
            "squared error of relevance as effect over random sets of cells, best scaled, normalised",
            "Yeh et al. 2019, NeurIPS, with the scaling of section 4.2",
            perfect=0.0, low=0.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "faithfulness-estimate", "prediction:FaithfulnessEstimate", "faithfulness", "higher", _SINGLES,
            "correlation of relevance and effect over single super-cells",
            "Alvarez-Melis, Jaakkola 2018, NeurIPS",
            perfect=1.0, random=0.0, low=-1.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "monotonicity-correlation", "prediction:MonotonicityCorrelation", "faithfulness", "higher", _SINGLES,
            "rank correlation of absolute relevance and squared effect over single super-cells",
            "Nguyen, Martinez 2020, arXiv:2007.07584",
            version="2", perfect=1.0, random=0.0, low=-1.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "average-increase", "masking:AverageIncrease", "faithfulness", "higher", _MASKED,
            "whether the target is more probable behind the mask of positive relevance",
            "Chattopadhay et al. 2018, WACV; Paissan et al. 2024, ICML (L-MAC)",
            perfect=1.0, low=0.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "average-drop", "masking:AverageDrop", "faithfulness", "lower", _MASKED,
            "share of the target's probability lost behind the mask of positive relevance",
            "Chattopadhay et al. 2018, WACV; Paissan et al. 2024, ICML (L-MAC)",
            perfect=0.0, low=0.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "average-gain", "masking:AverageGain", "faithfulness", "higher", _MASKED,
            "share of the missing probability gained behind the mask of positive relevance",
            "Paissan et al. 2024, ICML (L-MAC)",
            low=0.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "input-fidelity", "masking:InputFidelity", "faithfulness", "higher", _MASKED,
            "whether the decision behind the mask of positive relevance is that on the clip",
            "Paissan et al. 2024, ICML (L-MAC); Parekh et al. 2022, NeurIPS",
            perfect=1.0, low=0.0, high=1.0, uses_fill=True,
        ),
        _metric(
            "road", "road:Road", "faithfulness", "higher", "24",
            "log-odds without the least less those without the most relevant features, noisily imputed",
            "Rong et al. 2022, ICML (ROAD)",
            random=0.0, space="features", unit="log-odds", invariant=True,
        ),
        _metric(
            "f-fidelity", "f_fidelity:FFidelity", "faithfulness", "higher",
            "64, and once a fold and fill 960 forward and backward to fine-tune a copy (cached)",
            "fall without cells of the explanation less fall without others, on a copy fine-tuned to removals",
            "Zheng et al. 2025, ICLR, arXiv:2410.02970 (F-Fidelity)",
            random=0.0, uses_fill=True, unit="log-odds", invariant=True, fine_tunes=True,
        ),
        QuantusRecord(
            name="quantus:",
            target=".metrics.quantus_adapter:QuantusMetric",
            summary="a metric of Quantus by its class name, clip by clip, on log-mel features",
            citation="Hedström et al. 2023, JMLR 24(34) (Quantus 0.6)",
            family="faithfulness",
            direction="higher",
            space="features",
            cost="as Quantus asks",
            version="1",
            licence="MIT (Quantus: LGPL-3.0-or-later)",
        ),
        _metric(
            "mass-accuracy", "localisation:MassAccuracy", "localisation", "higher", "0",
            "share of the positive relevance that lies where the cue was planted (the truth map itself: .95)",
            "Arras, Osman, Samek 2022, Information Fusion 81, Relevance Mass Accuracy",
            perfect=1.0, low=0.0, high=1.0,
        ),
        _metric(
            "rank-accuracy", "localisation:RankAccuracy", "localisation", "higher", "0",
            "share of the most relevant cells, as many as were planted, that lie where the cue was planted",
            "Arras, Osman, Samek 2022, Information Fusion 81, Relevance Rank Accuracy",
            core=True, perfect=1.0, low=0.0, high=1.0, headline=True, invariant=True,
        ),
        _metric(
            "pointing-game", "localisation:PointingGame", "localisation", "higher", "0",
            "whether the most relevant cell lies where the cue was planted",
            "Zhang et al. 2018, IJCV 126",
            perfect=1.0, low=0.0, high=1.0, invariant=True,
        ),
        _metric(
            "truth-auc", "localisation:TruthAuc", "localisation", "higher", "0",
            "how often a planted cell is more relevant than another cell",
            "Fawcett 2006, Pattern Recognition Letters 27 (area under the ROC curve)",
            core=True, perfect=1.0, random=0.5, low=0.0, high=1.0, invariant=True,
        ),
        _metric(
            "truth-iou", "localisation:TruthIou", "localisation", "higher", "0",
            "intersection over union of the planted and as many of the most relevant cells",
            "Jaccard 1912; serxai, docs/metrics",
            perfect=1.0, low=0.0, high=1.0, invariant=True,
        ),
        _metric(
            "weak-stress-mass", "weak_truth:StressMass", "localisation", "higher", "0",
            "weak truth: share of the positive relevance in stressed syllables, less their share of the speech",
            "after Arras, Osman, Samek 2022, Information Fusion 81; labels: Burkhardt et al. 2005, Interspeech",
            random=0.0, low=-1.0, high=1.0,
        ),
        _metric(
            "weak-stress-auc", "weak_truth:StressAuc", "localisation", "higher", "0",
            "weak truth: how often stressed time is more relevant than other speech",
            "Fawcett 2006, Pattern Recognition Letters 27; labels: Burkhardt et al. 2005, Interspeech",
            random=0.5, low=0.0, high=1.0,
        ),
        _metric(
            "weak-voicing-mass", "weak_truth:VoicingMass", "localisation", "higher", "0",
            "weak truth: share of the positive relevance in voiced sounds, less their share of the speech",
            "after Arras, Osman, Samek 2022, Information Fusion 81; labels: Burkhardt et al. 2005, Interspeech",
            random=0.0, low=-1.0, high=1.0,
        ),
        _metric(
            "weak-voicing-auc", "weak_truth:VoicingAuc", "localisation", "higher", "0",
            "weak truth: how often voiced time is more relevant than voiceless",
            "Fawcett 2006, Pattern Recognition Letters 27; labels: Burkhardt et al. 2005, Interspeech",
            random=0.5, low=0.0, high=1.0,
        ),
        _metric(
            "consistency", "robustness:Consistency", "robustness", "higher", "three more explanations",
            "rank correlation with the clean clip's map, between that of another clip (0) and of a repeat (1)",
            "serxai, docs/metrics; Spearman 1904 for the similarity",
            perfect=1.0, conditions="shifted", companions=("clean", "repeat", "other"), headline=True,
            scale="0: another clip, 1: a repeat", invariant=True, described=_QUOTIENT,
        ),
        _metric(
            "max-sensitivity", "sensitivity:MaxSensitivity", "robustness", "lower", _NOISY,
            "largest relative change of the map in eight slightly noisy copies of the clip",
            "Yeh et al. 2019, NeurIPS",
            version="2", core=True, perfect=0.0, low=0.0, conditions="clean", explains=True,
        ),
        _metric(
            "average-sensitivity", "sensitivity:AverageSensitivity", "robustness", "lower", _NOISY,
            "mean relative change of the map in eight slightly noisy copies of the clip",
            "Bhatt, Weller, Moura 2020, IJCAI",
            version="2", perfect=0.0, low=0.0, conditions="clean", explains=True,
        ),
        _metric(
            "local-lipschitz", "sensitivity:LocalLipschitz", "robustness", "lower", _NOISY,
            "largest relative change of the map over that of the clip in eight slightly noisy copies",
            "Alvarez-Melis, Jaakkola 2018, arXiv:1806.08049",
            version="2", perfect=0.0, low=0.0, conditions="clean", explains=True,
        ),
        _metric(
            "relative-input-stability", "sensitivity:RelativeInputStability", "robustness", "lower", _NOISY,
            "log of the largest cell-wise relative change of the map over that of the clip's magnitudes",
            "Agarwal et al. 2022, arXiv:2203.06877, equation 2",
            version="2", core=True, conditions="clean", explains=True,
        ),
        _metric(
            "relative-representation-stability", "sensitivity:RelativeRepresentationStability", "robustness", "lower",
            "eight more explanations and 9",
            "log of the largest cell-wise relative change of the map over that of what enters the last layer",
            "Agarwal et al. 2022, arXiv:2203.06877, relative representation stability",
            version="2", conditions="clean", explains=True,
        ),
        _metric(
            "relative-output-stability", "sensitivity:RelativeOutputStability", "robustness", "lower",
            "eight more explanations and 9",
            "log of the largest cell-wise relative change of the map over the change of the log-odds",
            "Agarwal et al. 2022, arXiv:2203.06877, equation 5",
            version="2", conditions="clean", explains=True,
        ),
        *ATTACK,
        _metric(
            "parameter-randomisation", "sanity:ParameterRandomisation", "sanity", "lower", _RANDOM,
            "rank correlation with the maps of networks random from the output down to each of four parts",
            "Adebayo et al. 2018, NeurIPS, cascading",
            version="2", core=True, random=1.0, low=-1.0, high=1.0, conditions="clean", bar=0.5, explains=True,
            invariant=True,
        ),
        _metric(
            "independent-randomisation", "sanity:IndependentRandomisation", "sanity", "lower", _RANDOM,
            "rank correlation with the maps of networks of which one of four parts is random",
            "Adebayo et al. 2018, NeurIPS, independent",
            version="2", random=1.0, low=-1.0, high=1.0, conditions="clean", bar=0.5, explains=True,
            invariant=True,
        ),
        _metric(
            "efficient-randomisation", "sanity:EfficientRandomisation", "sanity", "higher", "one more explanation",
            "relative rise of the map's complexity when the network is random",
            "Hedström et al. 2023, arXiv:2401.06465 (eMPRT)",
            version="2", random=0.0, bar=0.0, conditions="clean", explains=True,
        ),
        _metric(
            "random-logit", "sanity:RandomLogit", "sanity", "lower", "one more explanation and 1",
            "rank correlation with the map of the class that the recogniser finds next likely",
            "Sixt, Granz, Landgraf 2020, ICML",
            core=True, random=1.0, low=-1.0, high=1.0, conditions="clean", bar=0.5, explains=True,
            invariant=True,
        ),
        _metric(
            "input-independence", "sanity:InputIndependence", "sanity", "lower", "one more explanation",
            "rank correlation with the method's map of another clip of the same emotion",
            "serxai, docs/metrics; after Adebayo et al. 2018, NeurIPS",
            core=True, random=0.0, low=-1.0, high=1.0, conditions="clean", bar=0.5, companions=("other",),
            invariant=True,
        ),
        _metric(
            "gini", "complexity:Gini", "complexity", "higher", "0",
            "sparseness: Gini index of the absolute relevance",
            "Chalasani et al. 2020, ICML (sparseness as Gini index)",
            core=True, low=0.0, high=1.0,
        ),
        _metric(
            "entropy", "complexity:Entropy", "complexity", "lower", "0",
            "evenness of the absolute relevance: its entropy over that of an even map",
            "Bhatt, Weller, Moura 2020, IJCAI (complexity), normalised",
            low=0.0, high=1.0,
        ),
        _metric(
            "effective-area", "complexity:EffectiveArea", "complexity", "lower", "0",
            "smallest share of the cells that holds 80 % of the absolute relevance",
            "after Nguyen, Martinez 2020, arXiv:2007.07584 (effective complexity)",
            core=True, low=0.0, high=1.0,
        ),
        *PLAUSIBILITY,
        _metric(
            "explanation-calls", "cost:ExplanationCalls", "cost", "lower", "0",
            "copies that went through the recogniser to make the explanation",
            "serxai, docs/metrics",
            core=True, low=0.0, headline=True, unit=MODEL_CALLS, invariant=True,
        ),
        _metric(
            "energy-removed", "cost:EnergyRemoved", "cost", "lower", "0",
            "mean share of the clip's energy that is gone along the deletion: what its drop was paid with",
            "serxai, docs/metrics",
            random=0.5, low=0.0, high=1.0, invariant=True,
        ),
        _metric(
            "additivity", "additivity:Additivity", "recogniser", "higher", "none: reads the method's own mask table",
            "share of the variance of a full mask table (log-odds) that main effects of bands explain",
            "Hoeffding 1948, Annals of Mathematical Statistics 19(3) (functional analysis of variance); Walsh 1923",
            core=True, low=0.0, high=1.0, uses_fill=True, conditions="clean", invariant=True,
            scale="1: weights of bands say all, 0: interactions alone",
        ),
    ],
)  # fmt: skip


def is_ranked(name: str) -> bool:
    """Whether methods are ranked by a metric; an unregistered one has no record that says otherwise.

    Parameters
    ----------
    name : str
    """
    return name not in METRICS or METRICS.get(name).ranked


def make_metric(name: str) -> Metric:
    """Instantiate a metric by its registered name.

    Raises
    ------
    UnknownNameError
        If no metric has this name; near misses are listed.
    """
    record = METRICS.get(name)
    factory: Callable[..., Metric] = record.load()
    return factory(record.argument) if name.endswith(":") or record.argument else factory()
