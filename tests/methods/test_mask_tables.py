"""Readings of a full mask table against loops over the masks written out, and cases with a known answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.special import expit

from serxai.errors import InputError
from serxai.methods.mask_tables import (
    as_response,
    banzhaf_interactions,
    delta_auc,
    share_kept,
    variance_shares,
    walsh_coefficients,
)
from serxai.methods.masks import all_masks


def row_of(kept: set[int]) -> int:
    return sum(1 << part for part in kept)


def keeps(table: np.ndarray, removed: Iterable[int]) -> bool:
    left = set(range(5)) - set(removed)
    return bool((table[row_of(left)] > 0) == (table[-1] > 0))


def drawn(parts: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1.5, 2**parts)


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_walsh_coefficients_by_their_definition(parts: int):
    table, masks = drawn(parts, parts), all_masks(parts)
    for number, found in enumerate(walsh_coefficients(table)):
        signs = [np.prod([2.0 * mask[i] - 1 for i in range(parts) if number >> i & 1]) for mask in masks]
        assert found == pytest.approx(np.mean(table * signs), abs=1e-12)
    assert np.square(walsh_coefficients(table))[1:].sum() == pytest.approx(table.var())


def test_variance_shares_are_those_of_least_squares():
    """Equal weights for all masks: R squared of a regression on the parts, and on the parts and their products."""
    for seed in range(5):
        table, masks = drawn(4, seed), all_masks(4).astype(float)
        pairs = np.stack([masks[:, i] * masks[:, j] for i, j in combinations(range(4), 2)], axis=1)
        for found, design in zip(variance_shares(table), (masks, np.hstack([masks, pairs])), strict=True):
            x = np.hstack([np.ones((16, 1)), design])
            residual = table - x @ np.linalg.lstsq(x, table, rcond=None)[0]
            assert found == pytest.approx(1 - residual.var() / table.var())
        assert variance_shares(table, "probability") == pytest.approx(variance_shares(expit(table)))


def test_additive_and_constant_tables():
    masks = all_masks(8).astype(float)
    assert variance_shares(masks @ np.arange(8.0)) == pytest.approx((1, 1))
    assert variance_shares(masks[:, 0] * masks[:, 1] - masks[:, 0] / 2 - masks[:, 1] / 2) == pytest.approx((0, 1))
    assert np.isnan(variance_shares(np.full(256, 3.0))).all()


@pytest.mark.parametrize("response", ["log-odds", "probability"])
def test_interactions_by_second_differences(response: str):
    table = drawn(4, 7)
    f = as_response(table, response)
    found = banzhaf_interactions(table, response)
    assert np.array_equal(found, found.T) and not found.diagonal().any()
    for i, j in combinations(range(4), 2):
        others = [k for k in range(4) if k not in (i, j)]
        gains = []
        for size in range(3):
            for rest in map(set, combinations(others, size)):
                both, one, other = row_of(rest | {i, j}), row_of(rest | {i}), row_of(rest | {j})
                gains.append(f[both] - f[one] - f[other] + f[row_of(rest)])
        assert found[i, j] == pytest.approx(np.mean(gains))


def test_share_kept_by_a_loop():
    for seed in range(8):
        table, weights = drawn(5, seed), np.random.default_rng(seed + 100).normal(size=5)
        first, at_random = share_kept(table, weights)
        ranked = sorted(range(5), key=lambda part: -abs(weights[part]))
        for r in range(6):
            assert first[r] == keeps(table, ranked[:r])
            sets = [keeps(table, removed) for removed in combinations(range(5), r)]
            assert at_random[r] == pytest.approx(np.mean(sets))
        apart = at_random - first
        area = sum((a + b) / 2 / 5 for a, b in pairwise(apart))
        assert delta_auc(table, weights) == pytest.approx(area)


def test_delta_auc_has_the_right_sign():
    """Only part 2 decides: to remove it first loses the label at once, to remove it last only at the end."""
    table = np.where(all_masks(8)[:, 2] == 1, 2.0, -2.0)
    good, bad = np.zeros(8), np.ones(8)
    good[2], bad[2] = -1.0, 0.0
    assert delta_auc(table, good) > 0.4 > 0 > -0.4 > delta_auc(table, bad)


def test_what_is_no_full_table():
    with pytest.raises(InputError, match="2 \\*\\* parts"):
        walsh_coefficients(np.zeros(6))
    with pytest.raises(InputError, match="take log-odds or probability"):
        as_response(np.zeros(4), "logit")
