"""Mask tables and linear surrogates against scikit-learn, closed forms and games built by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import cosine_distances

from serxai.errors import InputError, UnknownNameError
from serxai.methods.masks import MaskTable, all_masks, batched_log_odds
from serxai.methods.surrogates import fit_linear, lime_weights

MASKS = all_masks(8)


def test_masks_are_the_bits_of_their_row():
    assert MASKS.shape == (256, 8) and MASKS.dtype == np.uint8
    for row in (0, 1, 128, 170, 255):
        assert [int(bit) for bit in f"{row:08b}"[::-1]] == MASKS[row].tolist()


def test_weights_are_those_of_lime():
    distance = cosine_distances(MASKS, np.ones((1, 8))).ravel()
    np.testing.assert_allclose(lime_weights(MASKS), np.sqrt(np.exp(-(distance**2) / 0.25**2)), atol=1e-12)
    published = {8: 1, 7: 0.967, 6: 0.866, 5: 0.704, 4: 0.503, 3: 0.301, 2: 0.135, 1: 0.035, 0: 0.0003}
    for kept, weight in published.items():
        assert lime_weights(all_masks(8)[2**kept - 1][None])[0] == pytest.approx(weight, abs=5e-4)


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("seed", range(6))
def test_closed_form_equals_scikit_learn(alpha, seed):
    draw = np.random.default_rng(seed)
    rows = draw.choice(256, 64) if seed % 2 else np.arange(256)
    masks, response = MASKS[rows], draw.standard_normal(len(rows)) * 10 ** draw.uniform(-2, 2)
    weights = lime_weights(masks) if seed < 4 else draw.random(len(rows))
    ours = fit_linear(masks, response, weights, alpha)
    theirs = Ridge(alpha, solver="svd").fit(masks.astype(float), response, sample_weight=weights)
    scale = np.abs(response).max()
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=1e-8 * scale)
    assert ours.intercept == pytest.approx(theirs.intercept_, abs=1e-8 * scale)
    r2 = r2_score(response, theirs.predict(masks.astype(float)), sample_weight=weights)
    assert ours.r2 == pytest.approx(r2, abs=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_additive_games_return_the_planted_weights(seed):
    draw = np.random.default_rng(seed)
    planted, base = draw.standard_normal(8), draw.standard_normal()
    found = fit_linear(MASKS, base + MASKS @ planted, lime_weights(MASKS))
    np.testing.assert_allclose(found.weights, planted, atol=1e-9)
    assert found.intercept == pytest.approx(base, abs=1e-9)
    assert found.r2 == pytest.approx(1, abs=1e-9)


def test_limes_penalty_shrinks_as_known():
    """Ridge(1) over all 256 masks keeps .969 of a unit weight (measured beforehand on the authors' recipe)."""
    found = fit_linear(MASKS, MASKS[:, 2].astype(float), lime_weights(MASKS), alpha=1.0)
    assert found.weights[2] == pytest.approx(0.969, abs=1e-3)


def test_parts_that_cannot_be_told_apart_share():
    twice = np.repeat(all_masks(2), 2, axis=1)
    found = fit_linear(twice, twice @ [1.0, 1.0, 3.0, 3.0], np.ones(4))
    np.testing.assert_allclose(found.weights, [1, 1, 3, 3], atol=1e-9)


def test_constant_response_has_no_weights_and_a_perfect_fit():
    found = fit_linear(MASKS, np.full(256, 0.7), lime_weights(MASKS))
    np.testing.assert_allclose(found.weights, 0, atol=1e-12)
    assert (found.r2, found.intercept) == (1.0, pytest.approx(0.7))


@pytest.mark.parametrize("alpha", [-1.0, np.nan])
def test_negative_penalty_is_refused(alpha):
    with pytest.raises(InputError, match="alpha must be at least 0"):
        fit_linear(MASKS, np.zeros(256), np.ones(256), alpha)


def test_response_of_a_table():
    table = MaskTable(all_masks(1), np.array([[0.0, np.log(3)], [-800.0, 800.0]]))
    assert table.response(1).tolist() == [np.log(3), 800.0]
    np.testing.assert_allclose(table.response(1, "probability"), [0.75, 1.0])
    np.testing.assert_allclose(table.response(0, "probability"), [0.5, 0.0])
    with pytest.raises(UnknownNameError, match="unknown response 'logit'"):
        table.response(0, "logit")


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24])
def test_batches_are_whole_and_give_each_copy_once(white_box, n):
    import torch

    recogniser = white_box(lambda waveform: float(waveform[0]))
    copies = torch.arange(n, dtype=torch.float32)[:, None]
    found = batched_log_odds(recogniser, n, lambda index: copies[index])
    assert found[:, 0].tolist() == list(range(n))
    assert recogniser.calls == -(-n // 8) * 8
    assert {len(batch) for batch in recogniser.seen} == {8}
