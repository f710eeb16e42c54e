"""Records of the metrics that attack explanations. Imports nothing heavy."""

from __future__ import annotations

from .record import MetricRecord

_SOURCES = (
    "serxai, docs/metrics; Ghorbani, Abid, Zou 2019, AAAI; Dombrowski et al. 2019, NeurIPS; bound of audibility: "
    "Johnston 1988, IEEE JSAC 6(2)"
)

ATTACK = (
    MetricRecord(
        name="explanation-attack",
        target=".metrics.attack:ExplanationAttack",
        summary="largest change of the map (1 - rank correlation) under an inaudible attack that keeps the prediction",
        citation=_SOURCES,
        family="robustness", direction="lower", version="1", licence="MIT",
        cost="twelve more explanations and 43 to 182, by random search 32 and 33",
        perfect=0.0, low=0.0, high=2.0, conditions="clean", explains=True, invariant=True,
    ),
    MetricRecord(
        name="explanation-attack-floor",
        target=".metrics.attack:AttackFloor",
        summary="largest change of the map (1 - rank correlation) under eight inaudible random noises that keep the "
        "prediction",
        citation=_SOURCES,
        family="robustness", direction="lower", version="1", licence="MIT",
        cost="eight more explanations and 9",
        perfect=0.0, low=0.0, high=2.0, conditions="clean", explains=True, invariant=True,
    ),
)  # fmt: skip
