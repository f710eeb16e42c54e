"""Checks of a run's files and numbers."""
