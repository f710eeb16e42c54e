"""Second-order effects of mask tables: against shapiq, by their definitions, and as a method on a recogniser."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy.special import expit

from serxai.errors import InputError
from serxai.methods.mask_tables import (
    banzhaf_interactions,
    second_order_effects,
    shapley_interactions,
    variance_shares,
)
from serxai.methods.masks import all_masks
from serxai.methods.records import METHODS, make_method
from serxai.methods.shapley import BandInteractions


def drawn(parts: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1.5, 2**parts)


def of_shapiq(table: np.ndarray, index: str) -> np.ndarray:
    """Second-order values of shapiq as a matrix; its coalitions are given in our order of masks."""
    import shapiq

    parts = len(table).bit_length() - 1
    game = lambda coalitions: table[np.asarray(coalitions, int) @ (1 << np.arange(parts))]  # noqa: E731
    computer = shapiq.ExactComputer(n_players=parts, game=game)
    found = computer(index=index, order=2)
    return np.array(
        [[found[(i,)] if i == j else found[tuple(sorted((i, j)))] for j in range(parts)] for i in range(parts)]
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("index", "theirs"), [("shapley", "k-SII"), ("banzhaf", "FBII")])
def test_second_order_effects_are_those_of_shapiq(index: str, theirs: str, seed: int):
    """k-SII: Shapley interaction values of order 2; FBII: coefficients of the best least-squares fit of order 2."""
    table = drawn(6, seed)
    table -= table[0]  # shapiq takes the empty coalition as zero
    np.testing.assert_allclose(second_order_effects(table, index), of_shapiq(table, theirs), atol=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), [(shapley_interactions, "SII"), (banzhaf_interactions, "BII")])
def test_interaction_indices_are_those_of_shapiq(ours, theirs: str):
    table = drawn(5, 9)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(ours(table)[off], of_shapiq(table, theirs)[off], atol=1e-9)


def test_shapley_interactions_by_orders_of_the_parts():
    """By definition: the pair joins as one player; what it adds beyond its members, averaged over all orders."""
    table, parts = drawn(4, 3), 4
    found = shapley_interactions(table)
    for i, j in combinations(range(parts), 2):
        others = [k for k in range(parts) if k not in (i, j)]
        gains = []
        for order in permutations([*others, "pair"]):
            before = sum(1 << k for k in order[: order.index("pair")])
            a, b = 1 << i, 1 << j
            gains.append(table[before | a | b] - table[before | a] - table[before | b] + table[before])
        assert found[i, j] == pytest.approx(np.mean(gains))
    assert np.array_equal(found, found.T) and not found.diagonal().any()


def test_banzhaf_effects_are_the_least_squares_fit_of_second_order():
    table, masks = drawn(5, 4), all_masks(5).astype(float)
    pairs = list(combinations(range(5), 2))
    design = np.hstack([np.ones((32, 1)), masks, np.stack([masks[:, i] * masks[:, j] for i, j in pairs], axis=1)])
    fit = np.linalg.lstsq(design, table, rcond=None)[0]
    found = second_order_effects(table, "banzhaf")
    np.testing.assert_allclose(found.diagonal(), fit[1:6], atol=1e-12)
    np.testing.assert_allclose([found[pair] for pair in pairs], fit[6:], atol=1e-12)


@pytest.mark.parametrize("index", ["shapley", "banzhaf"])
def test_a_game_of_main_effects_and_pairs_is_recovered(index: str):
    """Known answer: with no effect above pairs both indices give the game's own coefficients."""
    masks = all_masks(6).astype(float)
    effects = np.random.default_rng(5).normal(size=(6, 6))
    effects = (effects + effects.T) / 2
    upper = np.triu(effects, 1)
    table = masks @ effects.diagonal() + np.einsum("ni,ij,nj->n", masks, upper, masks) + 0.7
    np.testing.assert_allclose(second_order_effects(table, index), effects, atol=1e-9)


def test_two_parts_and_the_response():
    table = np.array([0.0, 1.0, 2.0, 5.0])
    np.testing.assert_allclose(second_order_effects(table), [[1, 2], [2, 2]])
    p = second_order_effects(table, "shapley", "probability")
    assert p[0, 1] == pytest.approx(expit(5) - expit(1) - expit(2) + 0.5)
    with pytest.raises(InputError, match="'walsh' is not known; take shapley or banzhaf"):
        second_order_effects(table, "walsh")


def test_the_map_is_main_effects_plus_half_of_the_interactions(tiny_cnn, voice, ask):
    """Which makes it the map of `band-shapley` or `band-banzhaf`, of the same 256 copies."""
    recogniser, clip = tiny_cnn(), voice()
    asked = ask(recogniser, clip)
    before = recogniser.calls
    for index, same in (("shapley", "band-shapley"), ("banzhaf", "band-banzhaf")):
        for response in ("log-odds", "probability"):
            found = BandInteractions(index=index, response=response).attribute(asked)
            matrix = found.interactions
            assert matrix.shape == (8, 8) and np.array_equal(matrix, matrix.T)
            halved = matrix.diagonal() + (matrix.sum(axis=1) - matrix.diagonal()) / 2
            np.testing.assert_allclose(found.values[:, 0], halved, rtol=1e-5, atol=1e-7)
            reference = make_method(same, response=response).attribute(asked)
            np.testing.assert_allclose(found.values, reference.values, rtol=1e-5, atol=1e-7)
            additive, with_pairs = variance_shares(found.table, response)
            assert found.details["additive"] == pytest.approx(additive, abs=1e-5)
            assert found.details["with_pairs"] == pytest.approx(with_pairs, abs=1e-5)
    assert recogniser.calls - before == 256
    whole = BandInteractions().attribute(asked)
    assert whole.values.sum() == pytest.approx(whole.details["full"] - whole.details["none"], rel=1e-4)


def test_a_recogniser_that_multiplies_two_bands(white_box, ask, voice):
    """Log-odds are the product of the levels of two bands: they interact, no other pair does."""

    def product(waveform: torch.Tensor) -> float:
        power = torch.fft.rfft(waveform.double()).abs().square()
        freqs = torch.fft.rfftfreq(waveform.numel(), 1 / 16_000)
        low, high = (float(power[(freqs > a) & (freqs < b)].sum()) for a, b in ((120, 200), (2700, 3300)))
        return 1e-6 * (low * high) ** 0.5

    found = BandInteractions().attribute(ask(white_box(product), voice()))
    pairs = np.abs(np.triu(found.interactions, 1))
    low, high = np.unravel_index(pairs.argmax(), pairs.shape)
    edges = found.grid.freq_edges_hz
    assert edges[low] <= 120 and edges[high] <= 3000 <= edges[high + 1]
    assert np.sort(pairs, axis=None)[-2] < 0.05 * pairs.max()
    assert found.details["additive"] < 0.8 and found.details["with_pairs"] > 0.999


def test_a_constant_recogniser_has_no_effects(white_box, ask, voice):
    found = BandInteractions().attribute(ask(white_box(lambda waveform: 0.4), voice()))
    assert not found.interactions.any() and not found.values.any() and "additive" not in found.details


def test_its_record_says_what_kind_of_map_it_is():
    record, shapley = METHODS.get("band-interactions"), METHODS.get("band-shapley")
    assert (record.reference, record.signed, record.resolution) == ("fill", True, shapley.resolution)
    with pytest.raises(InputError, match="no parameter 'order'; allowed: partition, index"):
        make_method("band-interactions", order=3)
