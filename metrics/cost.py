"""Cost: what an explanation takes.

Conventions
-----------
Model calls, not seconds: copies that went through the recogniser, the same on every machine.
"""

from __future__ import annotations

from .case import Case, Explained, Metric, Outcome


class ExplanationCalls(Metric):
    """Copies that went through the recogniser to make the explanation. Lower is better."""

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        return Outcome(float(explained.attribution.model_calls))
