"""Records of the metrics of plausibility. Imports nothing heavy.

Metrics that are functions of salient windows, clip and target alone can be won by a rule that never calls the
recogniser: they are described, not ranked.
"""

from __future__ import annotations

from ..cues.expert import sources
from .record import ChoiceRecord, MetricRecord

_EDITS = "at most 337 (161 without voice) in batches of 8, shared by all methods"
# the keys of `metrics.cue_edits.EDITS`, repeated here because that module imports numpy
CUE_EDITS = ("f0_level", "f0_range", "intensity", "tilt", "jitter", "noise")
_SOURCED = "serxai, docs/metrics; sources row by row in cues/expert.py"
_PSOLA = "serxai, docs/metrics; Moulines, Charpentier 1990, Speech Communication 9 (PSOLA)"
_SPEECH = "a rule that points at loud voiced speech and never asks the recogniser scores as high as any method"
_RULES = "a rule that knows the target and reads the clip, never the recogniser, can win it"

PLAUSIBILITY = (
    MetricRecord(
        name="neutral-agreement",
        target=".metrics.neutral_agreement:NeutralAgreement",
        summary="agreement of salient cues, relative to the speaker's neutral windows, with sources, beyond the best "
        "of the rules that do not know the recogniser",
        citation=_SOURCED,
        family="plausibility", direction="higher", cost="0", version="1", licence="MIT",
        random=0.0, low=-2.0, high=2.0, conditions="clean", neutral=True, described=_RULES,
    ),
    MetricRecord(
        name="neutral-agreement-trained",
        target=".metrics.neutral_agreement:TrainedAgreement",
        summary="the same agreement beyond that of the same method on permuted weights",
        citation=_SOURCED + "; Adebayo et al. 2018, NeurIPS (permuted weights)",
        family="plausibility", direction="higher", cost="two more explanations", version="1", licence="MIT",
        random=0.0, low=-2.0, high=2.0, conditions="clean", neutral=True, explains=True, core=True,
    ),
    MetricRecord(
        name="direction-agreement",
        target=".metrics.plausibility:DirectionAgreement",
        summary="agreement of the salient cue contrast with sourced expert directions, as gain over random windows",
        citation=_SOURCED,
        family="plausibility", direction="higher", cost="0", version="3", licence="MIT",
        random=0.0, low=-1.0, high=1.0, headline=True, described=_RULES,
    ),
    ChoiceRecord(
        name="direction-agreement:",
        target=".metrics.plausibility:DirectionAgreement",
        choices=sources(),
        summary="direction-agreement with one source alone",
        citation=_SOURCED,
        family="plausibility", direction="higher", cost="0", version="3", licence="MIT",
        random=0.0, low=-1.0, high=1.0, described=_RULES,
    ),
    MetricRecord(
        name="salience-contrast",
        target=".metrics.salience_contrast:SalienceContrast",
        summary="how far the cues of the salient windows stand out from all circular shifts of them, 1 - 2 p",
        citation="serxai, docs/metrics; Lancaster 1961, JASA 56 (mid-p)",
        family="plausibility", direction="higher", cost="0", version="3", licence="MIT",
        random=0.0, low=-1.0, high=1.0, described=_RULES,
    ),
    MetricRecord(
        name="cue-profile",
        target=".metrics.cue_profile:CueProfile",
        summary="rank correlation of cue contrasts with the emotion's expected profile less other emotions', as gain",
        citation="serxai, docs/metrics; Spearman 1904; sources row by row in cues/expert.py",
        family="plausibility", direction="higher", cost="0", version="3", licence="MIT",
        random=0.0, described=_RULES,
    ),
    MetricRecord(
        name="causal-cue-fidelity",
        target=".metrics.causal_cues:CausalCueFidelity",
        summary="rank correlation of the relevance of stretches and the effect of editing a cue there, over cues",
        citation=_PSOLA,
        family="plausibility", direction="higher", cost=_EDITS, version="1", licence="MIT",
        random=0.0, low=-1.0, high=1.0, described=_SPEECH,
    ),
    ChoiceRecord(
        name="causal-cue-fidelity:",
        target=".metrics.causal_cues:CausalCueFidelity",
        choices=CUE_EDITS,
        summary="causal-cue-fidelity of one cue alone: " + ", ".join(CUE_EDITS),
        citation=_PSOLA,
        family="plausibility", direction="higher", cost=_EDITS, version="1", licence="MIT",
        random=0.0, low=-1.0, high=1.0, described=_SPEECH,
    ),
)  # fmt: skip
