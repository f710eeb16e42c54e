"""Qualification of metrics: explanations of known quality, properties of the scores, verdicts."""
