"""Records of baselines, of references that know the truth, and of maps made elsewhere."""

from __future__ import annotations

from .record import EXTERNAL, MethodRecord

_OWN = "MIT"
_SCORING = "one cell of the scoring grid: 16 mel bands x 80 ms"
_NONE = "none: a baseline of this benchmark"

MAPS = MethodRecord(
    name=f"{EXTERNAL}:",
    target=".methods.external:ExternalMaps",
    summary="maps made elsewhere, read from a folder: serxai score FOLDER",
    version="1",
    licence=_OWN,
    citation="that of the method that made them",
    family=EXTERNAL,
    needs="none",
    cost="as the folder says",
    resolution="that of each map",
    reference="none",
    signed=True,
)

RECORDS = (
    MethodRecord(
        name="random",
        target=".methods.baselines:Random",
        summary="baseline: standard normal relevance, drawn anew for every clip and condition",
        version="1",
        licence=_OWN,
        citation=_NONE,
        family="baseline",
        needs="none",
        cost="0",
        resolution=_SCORING,
        reference="none",
        signed=True,
    ),
    MethodRecord(
        name="energy",
        target=".methods.baselines:Energy",
        summary="baseline: the clip's own energy, whatever the recogniser and the target",
        version="1",
        licence=_OWN,
        citation=_NONE,
        family="baseline",
        needs="none",
        cost="0",
        resolution=_SCORING,
        reference="none",
        signed=False,
    ),
    MethodRecord(
        name="loud-quiet",
        target=".methods.baselines:LoudQuiet",
        summary="baseline: loud cells for anger and happiness, quiet ones for sadness, whatever the recogniser",
        version="1",
        licence=_OWN,
        citation=_NONE,
        family="baseline",
        needs="none",
        cost="0",
        resolution=_SCORING,
        reference="none",
        signed=False,
    ),
    MethodRecord(
        name="oracle",
        target=".methods.baselines:Oracle",
        summary="reference: where the emotion's cues were planted",
        version="1",
        licence=_OWN,
        citation=_NONE,
        family="baseline",
        needs="truth",
        cost="0",
        resolution=_SCORING,
        reference="fill",
        signed=False,
    ),
    MethodRecord(
        name="rule-truth",
        target=".methods.rule_truth:RuleTruth",
        summary="reference: the exact explanation of a white box, such as planted-rule, against a fill",
        version="2",
        licence=_OWN,
        citation="none: serxai, docs/qualification",
        family="baseline",
        needs="truth",
        cost="0",
        resolution=_SCORING,
        reference="fill",
        signed=True,
    ),
)
