"""The measured resolution of maps: synthetic maps of known resolution, slow twins, and the truth in bands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serxai.audio import Grid, Plane, band_edges_hz, scoring_grid
from serxai.audio.grid import mel_row_of
from serxai.datasets.clip import Plant, Word
from serxai.datasets.planted.truth import truth_map
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case
from serxai.metrics.localisation import case_truth_mask
from serxai.metrics.resolution import (
    AGAINST_TRUTH,
    HELD,
    bandwidth,
    cells_of,
    expected_at_random,
    low_passed,
    resolution_of,
    truth_at,
)

DURATION = 2.4
FINE = Grid(band_edges_hz(128), np.linspace(0, DURATION, 161))  # 128 rows x 15 ms
SCORING = scoring_grid(DURATION)  # 16 x 30


def noise(rows: int, columns: int, *seed: object) -> np.ndarray:
    return rng("noise", *seed).standard_normal((rows, columns))


def stored_fine(coarse: np.ndarray, rows: int = 128, columns: int = 160) -> np.ndarray:
    """Each value of a coarse map in all of its fine cells."""
    return np.repeat(np.repeat(coarse, rows // coarse.shape[0], 0), columns // coarse.shape[1], 1)


def interpolated(nodes: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear interpolation between nodes in the middle of equal intervals."""
    n = nodes.shape[axis]
    where = (np.arange(size) + 0.5) * n / size - 0.5
    return np.apply_along_axis(lambda line: np.interp(where, np.arange(n), line), axis, nodes)


@pytest.mark.parametrize("shape", [(8, 1), (1, 1), (16, 10), (4, 20), (128, 160)])
def test_blocks_are_found_whatever_grid_they_are_stored_on(shape):
    values = stored_fine(noise(*shape, "blocks"))
    assert cells_of(values, FINE).shape == shape
    assert cells_of(values.astype(np.float32) / 3, FINE).shape == shape
    found = resolution_of(values, FINE, SCORING)
    if shape[0] <= 16 and shape[1] <= 30:
        assert (found.rows, found.columns, found.limited_rows, found.limited_columns) == (*shape, False, False)


def test_blocks_of_unequal_cells_are_judged_by_density():
    edges = np.concatenate([np.linspace(0, 1, 9), np.linspace(1.2, DURATION, 5)])
    grid = Grid(np.array([0.0, 300, 1000, 2500, 8000]), edges)
    height = np.diff(mel_row_of(grid.freq_edges_hz))[:, None]
    assert cells_of(height * np.diff(edges) * 5, grid).shape == (1, 1)
    assert cells_of(height * np.diff(edges) * np.array([1.0, 1, 2, 2])[:, None], grid).shape == (2, 1)
    assert cells_of(np.ones(grid.shape), grid).shape[0] == 4  # equal sums are not equal densities


def test_a_sparse_map_is_not_a_coarse_one():
    values = np.zeros(FINE.shape)
    values[40:44, 50:60] = noise(4, 10, "sparse")
    assert cells_of(values, FINE).shape == FINE.shape
    assert cells_of(np.zeros(FINE.shape), FINE).shape == FINE.shape
    found = resolution_of(values, FINE, SCORING)
    assert not found.limited_rows and not found.limited_columns


@pytest.mark.parametrize("seed", range(5))
def test_cells_against_a_loop_over_pairs(seed):
    generator = rng("pairs", seed)
    values = generator.integers(0, 2, (6, 9)).astype(float)
    values[3], values[:, 5] = values[2], values[:, 4]
    values[3, 5] = values[2, 4]
    grid = Grid(np.interp(np.arange(7), np.arange(129), band_edges_hz(128)), np.arange(10.0))
    rows, columns = [0], [0]
    for i in range(1, 6):
        if any(values[i, j] != values[i - 1, j] for j in range(9)) or not any(values[i]):
            rows.append(i)
    for j in range(1, 9):
        if any(values[i, j] != values[i, j - 1] for i in range(6)) or not any(values[:, j]):
            columns.append(j)
    found = cells_of(values, grid)
    np.testing.assert_array_equal(found.freq_edges_hz, grid.freq_edges_hz[[*rows, 6]])
    np.testing.assert_array_equal(found.time_edges_s, grid.time_edges_s[[*columns, 9]])


def slow_bandwidth(values: np.ndarray, axis: int) -> int:
    """Cosines written out, one coefficient at a time."""
    lines = values if axis == 1 else values.T
    n = lines.shape[1]
    power = []
    for k in range(n):
        wave = [np.sqrt(2 / n) * np.cos(np.pi * k * (i + 0.5) / n) for i in range(n)]
        power.append(sum(float(np.dot(line, wave)) ** 2 for line in lines))
    if sum(power[1:]) < 1e-12 * sum(power):
        return 1
    k = 1
    while sum(power[1:k]) < HELD * sum(power[1:]) * (1 - 1e-12):
        k += 1
    return k


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["noise", "smooth", "constant", "one wave"])
def test_bandwidth_against_its_slow_twin(kind, axis):
    values = {
        "noise": noise(12, 20, "twin"),
        "smooth": interpolated(interpolated(noise(4, 5, "twin"), 12, 0), 20, 1),
        "constant": np.full((12, 20), 2.0),
        "one wave": np.cos(np.pi * 3 * (np.arange(12) + 0.5) / 12)[:, None]
        * np.cos(np.pi * 7 * (np.arange(20) + 0.5) / 20),
    }[kind]
    expected = slow_bandwidth(values, axis)
    assert bandwidth(values, axis) == expected
    if kind == "constant":
        assert expected == 1
    if kind == "one wave":
        assert expected == (4, 8)[axis]


@pytest.mark.parametrize("k", [3, 6, 12])
def test_band_limited_noise_has_its_bandwidth(k):
    values = low_passed(noise(128, 160, "limited", k), 0, k)
    assert bandwidth(values, 0) == k
    assert bandwidth(values, 1) >= 0.9 * 160
    found = resolution_of(values, FINE, SCORING)
    assert (found.rows, found.limited_rows, found.limited_columns) == (k, True, False)


@pytest.mark.parametrize("k", [4, 6, 8])
def test_linear_interpolation_between_nodes_is_found_from_above(k):
    values = interpolated(interpolated(noise(k, 15, "nodes", k), 128, 0), 160, 1)
    found = resolution_of(values, FINE, SCORING)
    assert k - 1 <= found.rows <= 1.7 * k and found.limited_rows
    assert 14 <= found.columns <= 1.7 * 15 and found.limited_columns


@pytest.mark.parametrize("sigma", [6, 8, 12])
def test_gaussian_blur_of_noise_has_the_bandwidth_of_its_spectrum(sigma):
    """White noise blurred with s cells has the power exp(-(2 pi f s)^2): 99 % lie below f = 1.821 / (2 pi s)."""
    from scipy.ndimage import gaussian_filter1d

    values = gaussian_filter1d(noise(128, 4000, "blur", sigma), sigma, axis=0, mode="reflect")
    assert bandwidth(values, 0) == pytest.approx(1 + 2 * 128 * 1.8214 / (2 * np.pi * sigma), rel=0.08)


def test_low_pass_against_a_least_squares_fit():
    values = noise(16, 30, "fit")
    waves = np.cos(np.pi * np.arange(5) * (np.arange(16)[:, None] + 0.5) / 16)
    fitted = waves @ np.linalg.lstsq(waves, values, rcond=None)[0]
    np.testing.assert_allclose(low_passed(values, 0, 5), fitted, atol=1e-12)
    np.testing.assert_allclose(low_passed(values.T, 1, 5), fitted.T, atol=1e-12)
    np.testing.assert_allclose(low_passed(values, 1, 1), np.broadcast_to(values.mean(1, keepdims=True), (16, 30)))


@pytest.fixture(scope="module")
def planted(cnn, speech_like) -> Case:
    """A clip that is 12 dB louder than its twin between 0.8 and 1.2 s."""
    twin = speech_like(3, DURATION).samples
    samples = twin.copy()
    samples[12800:19200] *= 4
    clip = replace(speech_like(3, DURATION), samples=samples, plant=Plant(twin, (Word("a", 0.8, 1.2),)))
    return Case(cnn, clip, "anger")


def attainable(case: Case, values: np.ndarray, grid: Grid) -> dict[str, float]:
    shown = truth_at(case, resolution_of(values, grid, case.grid))
    return {name: score(shown, case_truth_mask(case)) for name, score in AGAINST_TRUTH.items()}


def test_the_truth_in_bands_is_averaged_over_time(planted):
    """By hand: STFT magnitudes summed by band, each shared out evenly over its cells of the scoring grid."""
    truth = truth_map(planted.clip, Plane(planted.clip.samples), Plane(planted.clip.plant.twin), planted.grid)
    by_hand = np.zeros(truth.shape)
    for band in range(8):
        by_hand[2 * band : 2 * band + 2] = truth[2 * band : 2 * band + 2].sum() / (2 * truth.shape[1])
    for values, grid in ((noise(8, 1, "bands"), Grid(band_edges_hz(8), np.array([0, DURATION]))),
                         (stored_fine(noise(8, 1, "bands")), FINE)):  # fmt: skip
        shown = truth_at(planted, resolution_of(values, grid, planted.grid))
        np.testing.assert_allclose(shown, by_hand, rtol=1e-6, atol=1e-8 * truth.max())


def test_finer_maps_can_attain_more(planted):
    found = [
        attainable(planted, values, FINE)
        for values in (
            stored_fine(noise(1, 1)), stored_fine(noise(8, 1)), stored_fine(noise(8, 10)), stored_fine(noise(16, 20)),
            noise(128, 160),
        )
    ]  # fmt: skip
    constant, *others = found
    mask = case_truth_mask(planted)
    for name in AGAINST_TRUTH:
        scores = [attained[name] for attained in found]
        assert scores == sorted(scores), name
        assert constant[name] == pytest.approx(expected_at_random(name, mask), abs=1e-6)
    assert others[-1]["rank-accuracy"] > 0.95 and others[-1]["truth-auc"] > 0.99
    smooth = attainable(planted, interpolated(interpolated(noise(8, 5), 128, 0), 160, 1), FINE)
    assert others[0]["truth-auc"] < smooth["truth-auc"] < others[-1]["truth-auc"]


def test_a_map_on_the_scoring_grid_can_attain_the_truth_itself(planted):
    values = noise(*planted.grid.shape, "own")
    truth = truth_map(planted.clip, planted.plane, planted.twin_plane, planted.grid)
    shown = truth_at(planted, resolution_of(values, planted.grid, planted.grid))
    np.testing.assert_allclose(shown, truth, atol=2e-9 * truth.max())
    assert attainable(planted, values, planted.grid)["rank-accuracy"] == 1


def test_random_maps_score_what_is_expected_of_them(planted):
    mask = case_truth_mask(planted)
    for name, score in AGAINST_TRUTH.items():
        drawn = [score(noise(*mask.shape, name, i), mask) for i in range(400)]
        assert abs(np.mean(drawn) - expected_at_random(name, mask)) < 4 * np.std(drawn) / 20, name


def test_no_truth_no_attainable_score(cnn, speech_like):
    case = Case(cnn, speech_like(), "anger")
    with pytest.raises(NotApplicable, match="no ground truth"):
        truth_at(case, resolution_of(np.ones(case.grid.shape), case.grid, case.grid))
