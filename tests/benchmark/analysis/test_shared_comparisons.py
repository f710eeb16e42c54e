"""Which comparisons methods share, against a search through all sets of methods."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.shared_comparisons import as_bits, pooled_alike, shared_by_most


def best_of_all(comparisons: dict[str, int], beside: tuple[str, ...] = ()) -> int:
    """Largest number of pairs of methods times shared comparisons, by trying every set of methods."""
    best = 0
    for k in range(2, len(comparisons) + 1):
        for chosen in combinations(comparisons, k):
            shared = ~0
            for name in chosen:
                shared &= comparisons[name]
            pairs = sum(not (a in beside and b in beside) for a, b in combinations(chosen, 2))
            best = max(best, pairs * shared.bit_count())
    return best


def value_of(methods: list[str], shared: int, beside: tuple[str, ...] = ()) -> int:
    pairs = sum(not (a in beside and b in beside) for a, b in combinations(methods, 2))
    return pairs * shared.bit_count()


@pytest.mark.parametrize("beside", [(), ("m0", "m1")])
def test_nested_comparisons_are_shared_as_a_search_of_all_sets_finds(beside: tuple[str, ...]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        sizes = generator.integers(0, 30, size=7)
        known = {f"m{i}": (1 << int(n)) - 1 for i, n in enumerate(sizes)}
        methods, shared = shared_by_most(known, beside=beside)
        assert value_of(methods, shared, beside) == best_of_all(known, beside)
        assert all(known[name] & shared == shared for name in methods)
        turned = shared_by_most(dict(reversed(known.items())), beside=beside)
        assert (set(methods), shared) == (set(turned[0]), turned[1])


def test_comparisons_that_are_not_nested_come_close_to_the_best() -> None:
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(60):
        known = {f"m{i}": sum(1 << k for k in range(24) if generator.random() < 0.7) for i in range(7)}
        shares.append(value_of(*shared_by_most(known)) / best_of_all(known))
    assert max(shares) == 1 and np.mean(shares) > 0.97 and min(shares) > 0.8


def test_nothing_to_share() -> None:
    assert shared_by_most({}) == ([], 0) and shared_by_most({"a": 0}) == ([], 0)
    assert shared_by_most({"a": 0b1, "b": 0b110}) == (["b"], 0b110)
    bits, places = as_bits({"a": [("x",), ("y",)], "b": [("y",)]})
    assert bits == {"a": 0b11, "b": 0b10} and places == {("x",): 0, ("y",): 1}


def test_a_comparison_counts_where_everything_is_known_and_as_all_methods_see_it() -> None:
    """Without ceiling it does not count; one whose prediction changed is shared, and does not decide."""
    row = {"axis": "shift", "corpus": "c", "model": "m", "other": "noise-10db", "target": "anger", "floor": 0.1}
    rows = pd.DataFrame(
        [
            row | {"method": method, "clip": clip, "similarity": 0.5, "ceiling": ceiling, "unchanged": unchanged}
            for method in ("saliency", "gradcam")
            for clip, ceiling, unchanged in (
                ("1", 1.0, True),
                ("2", 1.0 if method == "saliency" else np.nan, True),
                ("3", 1.0, False),
                ("4", 1.0, None if method == "saliency" else True),
            )
        ]
    )
    found = pooled_alike(rows)
    assert found["shared"].all()
    assert found.groupby("method")["clip"].agg("".join).to_dict() == {"saliency": "134", "gradcam": "134"}
    unrepeated = rows.assign(ceiling=rows["ceiling"].where(rows["method"] == "saliency"))
    outside = pooled_alike(unrepeated).groupby("method")["shared"].agg(["size", "all"])
    assert outside.loc["gradcam"].tolist() == [4, False] and outside.loc["saliency"].tolist() == [4, True]
    assert pooled_alike(rows.iloc[:0]).empty
