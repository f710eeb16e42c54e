"""Scores of explanations: one module a family, pure functions over arrays and one thin class for each metric."""
