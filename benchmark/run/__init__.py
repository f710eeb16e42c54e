"""A run: configuration, plan, scoring, execution."""
