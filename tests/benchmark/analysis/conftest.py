"""Fixtures of the tests of analyses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serxai.benchmark.analysis import corpus_axis


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four splits and twenty permutations of profiles, for what does not depend on how many are drawn."""
    monkeypatch.setattr(corpus_axis, "SPLITS", 4)
    monkeypatch.setattr(corpus_axis.label_permutation, "__defaults__", (0, 20))
    corpus_axis._halves.cache_clear()
    yield
    corpus_axis._halves.cache_clear()
