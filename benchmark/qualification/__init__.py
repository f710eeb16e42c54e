"""Metrics on trial: ladders of known order, properties, verdicts."""
