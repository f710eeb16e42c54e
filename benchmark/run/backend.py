"""The steps of a shard that cost model calls: predict, attribute, score.

`ComputeBackend` does the work; a forecast replaces it by one that counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from ...datasets.clip import Clip
from ...methods.attribution import Attribution
from ...methods.explainer import Explainer, Request
from ...metrics.case import Case, Explained, Outcome
from ...metrics.records import make_metric
from ...models.recogniser import Recogniser


class Backend(Protocol):
    """Steps that a `ShardScorer` leaves to others."""

    def applied_condition(self, condition: str) -> str:
        """Condition under which a clip is rendered when `condition` is asked for."""

    def predict(self, recogniser: Recogniser, clip: Clip, condition: str) -> np.ndarray:
        """Log-odds of every class, shape (n_classes,)."""

    def attribute(self, explainer: Explainer, request: Request) -> Attribution:
        """Explanation of one clip, with the model calls that it costs on its own."""

    def score(self, metric: str, case: Case, explained: Explained) -> Outcome:
        """Score of one explanation."""


class ComputeBackend:
    """Computes every step."""

    def applied_condition(self, condition: str) -> str:
        """The condition itself."""
        return condition

    def predict(self, recogniser: Recogniser, clip: Clip, condition: str) -> np.ndarray:
        """Log-odds of every class, shape (n_classes,)."""
        return recogniser.log_odds(clip.samples[None])[0]

    def attribute(self, explainer: Explainer, request: Request) -> Attribution:
        """Explanation of one clip; `model_calls` includes calls shared with another explanation of the clip."""
        recogniser, shared = request.recogniser, request.shared
        before = recogniser.calls + shared.spared
        attribution = explainer.attribute(request)
        return replace(attribution, model_calls=recogniser.calls + shared.spared - before)

    def score(self, metric: str, case: Case, explained: Explained) -> Outcome:
        """Score of one explanation."""
        return make_metric(metric).score(case, explained)
