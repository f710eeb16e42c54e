"""Validation of run folders."""
