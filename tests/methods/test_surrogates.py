"""Mask tables and linear surrogates against scikit-learn, closed forms and games built by hand."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import cosine_distances

from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.explainer import Request
from serxai.methods.masks import MaskTable, all_masks, batched_log_odds, independent_masks, paired_masks
from serxai.methods.surrogates import (
    banzhaf_values,
    fit_linear,
    forest_importance,
    kernel_shap,
    leave_one_out,
    lime_weights,
    linear_errors,
    shapley_values,
    shrinkage,
    unshrunk,
)

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
    surrogate = fit_linear(MASKS, base + MASKS @ planted, lime_weights(MASKS))
    np.testing.assert_allclose(surrogate.weights, planted, atol=1e-9)
    assert surrogate.intercept == pytest.approx(base, abs=1e-9)
    assert surrogate.r2 == pytest.approx(1, abs=1e-9)


def test_limes_penalty_shrinks_as_known():
    """Ridge(1) over all 256 masks keeps .969 of a unit weight (measured beforehand on the authors' recipe)."""
    surrogate = fit_linear(MASKS, MASKS[:, 2].astype(float), lime_weights(MASKS), alpha=1.0)
    assert surrogate.weights[2] == pytest.approx(0.969, abs=1e-3)


@pytest.mark.parametrize("n, kept", [(64, 0.876), (256, 0.969)])
def test_shrinkage_is_what_a_penalty_leaves_of_a_weight(n, kept):
    """On average over unit weights, each alone, as fitted."""
    masks = MASKS if n == 256 else independent_masks(8, 64, np.random.RandomState(42))
    weights = lime_weights(masks)
    alone = [fit_linear(masks, masks[:, i].astype(float), weights, 1.0).weights[i] for i in range(8)]
    assert shrinkage(masks, weights, 1.0) == pytest.approx(np.mean(alone), abs=1e-12) == pytest.approx(kept, abs=1e-3)
    assert shrinkage(masks, weights, 0.0) == 1.0


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("seed", range(8))
def test_unshrunk_weights_are_those_of_a_fit_without_penalty(alpha, seed):
    """Also where parts cannot be told apart, or are in every mask."""
    draw = np.random.default_rng(seed)
    masks = draw.integers(0, 2, (40, 6))
    masks[:, 1] = masks[:, 0] if seed % 2 else masks[:, 1]
    masks[:, 2] = 1 if seed % 4 > 1 else masks[:, 2]
    response, weights = draw.standard_normal(40), draw.random(40)
    weights_without_penalty = unshrunk(fit_linear(masks, response, weights, alpha).weights, masks, weights, alpha)
    np.testing.assert_allclose(weights_without_penalty, fit_linear(masks, response, weights).weights, atol=1e-9)


def test_parts_that_cannot_be_told_apart_share():
    twice = np.repeat(all_masks(2), 2, axis=1)
    surrogate = fit_linear(twice, twice @ [1.0, 1.0, 3.0, 3.0], np.ones(4))
    np.testing.assert_allclose(surrogate.weights, [1, 1, 3, 3], atol=1e-9)


def test_constant_response_has_no_weights_and_a_perfect_fit():
    surrogate = fit_linear(MASKS, np.full(256, 0.7), lime_weights(MASKS))
    np.testing.assert_allclose(surrogate.weights, 0, atol=1e-12)
    assert (surrogate.r2, surrogate.intercept) == (1.0, pytest.approx(0.7))


@pytest.mark.parametrize("alpha", [-1.0, np.nan])
def test_negative_penalty_is_refused(alpha):
    with pytest.raises(InputError, match="alpha must be at least 0"):
        fit_linear(MASKS, np.zeros(256), np.ones(256), alpha)


def test_response_of_a_table(white_box, voice):
    table = MaskTable(all_masks(1), np.array([[0.0, np.log(3)], [-800.0, 800.0]]))
    recogniser, clip = white_box(lambda waveform: 0.0), voice()
    yes, no = (Request(recogniser, clip, target) for target in ("yes", "no"))
    assert table.response(no).tolist() == [np.log(3), 800.0]
    np.testing.assert_allclose(table.response(no, "probability"), [0.75, 1.0])
    np.testing.assert_allclose(table.response(yes, "probability"), [0.5, 0.0])
    contrast = Request(recogniser, clip, "yes", contrast="no")
    assert table.response(contrast).tolist() == [-np.log(3), -1600.0]
    with pytest.raises(NotApplicable, match="contrast"):
        table.response(contrast, "probability")
    with pytest.raises(UnknownNameError, match="unknown response 'logit'"):
        table.response(yes, "logit")


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24])
def test_batches_are_whole_and_give_each_copy_once(white_box, n):
    import torch

    recogniser = white_box(lambda waveform: float(waveform[0]))
    copies = torch.arange(n, dtype=torch.float32)[:, None]
    log_odds = batched_log_odds(recogniser, n, lambda index: copies[index])
    assert log_odds[:, 0].tolist() == list(range(n))
    assert recogniser.calls == -(-n // 8) * 8
    assert {len(batch) for batch in recogniser.seen} == {8}


# -- values of the game ------------------------------------------------------------------------------------------------


def additive(seed: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    planted = draw.standard_normal(parts) * 10 ** draw.uniform(-1, 1, parts)
    return planted, draw.standard_normal() + all_masks(parts) @ planted


@pytest.mark.parametrize("parts", [1, 2, 5, 8, 10])
@pytest.mark.parametrize("seed", range(3))
def test_every_reading_of_an_additive_game_is_what_was_planted(seed, parts):
    planted, response = additive(seed, parts)
    masks = all_masks(parts)
    singles = response[2**parts - 1 - 2 ** np.arange(parts)]
    for values in (
        shapley_values(response),
        banzhaf_values(response),
        kernel_shap(masks, response)[0],
        leave_one_out(response[-1], singles),
        fit_linear(masks, response, lime_weights(masks)).weights,
    ):
        np.testing.assert_allclose(values, planted, atol=1e-9)


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("seed", range(4))
def test_values_equal_their_definition(seed, parts):
    """Shapley: mean gain over all orders; Banzhaf: mean gain over all sets of the others."""
    response = np.random.default_rng(seed).standard_normal(2**parts)
    shapley, banzhaf = np.zeros(parts), np.zeros(parts)
    orders = list(itertools.permutations(range(parts)))
    for order in orders:
        kept = 0
        for part in order:
            shapley[part] += (response[kept | 1 << part] - response[kept]) / len(orders)
            kept |= 1 << part
    for part in range(parts):
        others = [kept for kept in range(2**parts) if not kept >> part & 1]
        banzhaf[part] = np.mean([response[kept | 1 << part] - response[kept] for kept in others])
    np.testing.assert_allclose(shapley_values(response), shapley, atol=1e-12)
    np.testing.assert_allclose(banzhaf_values(response), banzhaf, atol=1e-12)
    np.testing.assert_allclose(kernel_shap(all_masks(parts), response)[0], shapley, atol=1e-9)
    assert shapley_values(response).sum() == pytest.approx(response[-1] - response[0], abs=1e-12)


def test_games_need_full_tables():
    with pytest.raises(InputError, match="2 \\*\\* parts responses, got 100"):
        shapley_values(np.zeros(100))
    with pytest.raises(InputError, match="all-kept and the all-removed"):
        kernel_shap(all_masks(3)[1:], np.zeros(7))


def test_kernel_shap_agrees_with_captum():
    """A game of products, which sampling cannot get exactly: both estimate the same Shapley values."""
    import torch
    from captum.attr import KernelShap

    parts, draw = 6, np.random.default_rng(0)
    pairs = draw.standard_normal((parts, parts))

    def game(x):
        return ((x @ pairs) * x).sum(axis=1) + 3 * x[:, 0] * x[:, 1] * x[:, 2]

    exact = shapley_values(game(all_masks(parts).astype(float)))
    torch.manual_seed(0)
    theirs = []
    for _ in range(4):
        shapley = KernelShap(lambda x: torch.as_tensor(game(x.double().numpy()))).attribute(
            torch.ones(1, parts), n_samples=200
        )
        theirs.append(shapley.numpy()[0])
    masks = paired_masks(parts, 48, draw, shapley=True)
    ours, errors = kernel_shap(masks, game(masks.astype(float)), np.arange(48) // 2)
    scale = np.std(theirs, axis=0, ddof=1) / np.sqrt(4)
    assert np.all(np.abs(np.mean(theirs, axis=0) - exact) < 5 * scale + 1e-3)
    assert np.all(np.abs(ours - exact) < 4 * errors + 1e-9)
    assert ours.sum() == pytest.approx(exact.sum(), abs=1e-9)


# -- noise of drawn masks ----------------------------------------------------------------------------------------------


def rough_game(seed: int) -> np.ndarray:
    """Far from additive: a linear part, products of pairs and noise that belongs to each mask."""
    draw = np.random.default_rng(seed)
    x = MASKS.astype(float)
    return (
        x @ draw.standard_normal(8) + ((x @ draw.standard_normal((8, 8))) * x).sum(axis=1) + draw.standard_normal(256)
    )


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_errors_are_those_of_fits_without_each_group(alpha):
    draw = np.random.default_rng(0)
    masks = paired_masks(8, 32, draw)
    response, groups, weights = draw.standard_normal(32), np.arange(32) // 2, lime_weights(masks)
    fits = []
    for group in range(16):
        left = groups != group
        fits.append(Ridge(alpha or 1e-12, solver="svd").fit(masks[left], response[left], weights[left]).coef_)
    expected = np.sqrt(15 / 16 * np.square(np.array(fits) - np.mean(fits, axis=0)).sum(axis=0))
    np.testing.assert_allclose(linear_errors(masks, response, weights, alpha, groups), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["independent", "paired", "kernel-shap"])
def test_intervals_cover_the_full_table(kind):
    """Of 1,200 nominal 95 % intervals of 64 drawn masks, nearly all hold what all 256 masks say.

    Drawing few of finitely many masks, and with strata, makes the intervals wide rather than narrow.
    """
    hits, ratios = [], []
    for seed in range(150):
        response, draw = rough_game(seed % 10), np.random.default_rng(seed)
        masks = independent_masks(8, 64, draw) if kind == "independent" else paired_masks(8, 64, draw, kind[0] == "k")
        y = response[masks @ 2 ** np.arange(8)]
        groups = np.arange(64) if kind == "independent" else np.arange(64) // 2
        if kind == "kernel-shap":
            truth = shapley_values(response)
            values, errors = kernel_shap(masks, y, groups)
        else:
            truth = fit_linear(MASKS, response, lime_weights(MASKS)).weights
            values = fit_linear(masks, y, lime_weights(masks)).weights
            errors = linear_errors(masks, y, lime_weights(masks), 0.0, groups)
        hits.append(np.abs(values - truth) < 2 * errors)
        ratios.append(np.abs(values - truth) / errors)
    assert 0.93 < np.mean(hits) <= 1
    assert np.sqrt(np.mean(np.square(ratios))) > 0.5, "an error twice the real spread would say nothing"


# -- drawn masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shapley", [False, True])
@pytest.mark.parametrize("parts, n", [(2, 4), (3, 8), (8, 64), (12, 256), (40, 512), (1200, 2400)])
def test_paired_masks(parts, n, shapley):
    masks = paired_masks(parts, n, np.random.default_rng(0), shapley)
    assert masks.shape == (n, parts) and masks.dtype == np.uint8
    assert masks[0].all() and not masks[1].any()
    assert np.array_equal(masks[::2], 1 - masks[1::2])
    inner = masks[2:].sum(axis=1)
    assert inner.min() >= 1 and inner.max() <= parts - 1
    if parts >= 12 and not shapley:
        assert len({mask.tobytes() for mask in masks}) == n
    if parts == 40:
        size = np.arange(1, 40)
        shares = 1 / (size * (40 - size)) if shapley else np.array([comb(40, s) for s in size], dtype=float)
        expected = np.cumsum(shares / shares.sum())
        measured = np.cumsum(np.bincount(inner[::2], minlength=40)[1:]) / 255
        assert np.abs(measured - expected).max() < 2 / 255, "stratified: no more than a pair away anywhere"


def test_forest_finds_the_parts_that_matter():
    response = 3.0 * MASKS[:, 1] - 2.0 * MASKS[:, 6] * MASKS[:, 1] + 0.01 * MASKS[:, 0]
    importance, r2 = forest_importance(MASKS, response, np.ones(256), 0)
    again, _ = forest_importance(MASKS, response, np.ones(256), 0)
    assert np.array_equal(importance, again)
    assert np.abs(importance).sum() == pytest.approx(1)
    assert np.argsort(-np.abs(importance))[:2].tolist() == [1, 6]
    assert importance[1] > 0 > importance[6] and r2 > 0.99
    flat, perfect = forest_importance(MASKS, np.full(256, 0.3), np.ones(256), 0)
    assert not flat.any() and perfect == 1
