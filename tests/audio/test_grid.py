"""Grids: edges, cells, and moving sums from one grid to another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serxai.audio.grid import Grid, band_edges_hz, mel_points_hz, scoring_grid
from serxai.errors import InputError

BANDS_HZ = [0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000]  # computed independently from mel rows, see the issue


def edges(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    """Strictly increasing edges at least 1e-3 apart."""
    steps = st.lists(st.floats(1e-3, (high - low) / 8), min_size=1, max_size=8)
    return st.tuples(st.floats(low, high), steps).map(
        lambda drawn: drawn[0] + np.concatenate([[0], np.cumsum(drawn[1])])
    )


grids = st.builds(Grid, edges(0, 8000), edges(-1, 3))


def mel_row(freq_hz: float) -> float:
    """How many of 128 mel rows lie below a frequency, the row it lies in counted by its share in Hz."""
    edges = band_edges_hz(128)
    rows = 0.0
    for low, high in pairwise(edges):
        if freq_hz >= high:
            rows += 1
        elif freq_hz > low:
            rows += (freq_hz - low) / (high - low)
    return rows + max(0.0, freq_hz - edges[-1]) / (edges[-1] - edges[-2])


def transfer_cell_by_cell(source: Grid, values: np.ndarray, target: Grid) -> np.ndarray:
    """What each source cell gives to each target cell, by overlapping areas; outer target cells reach to infinity."""
    result = np.zeros(target.shape)
    for i, j in np.ndindex(*source.shape):
        bottom, top = map(mel_row, source.freq_edges_hz[i : i + 2])
        start, stop = source.time_edges_s[j : j + 2]
        for k, m in np.ndindex(*target.shape):
            low = -np.inf if k == 0 else mel_row(target.freq_edges_hz[k])
            high = np.inf if k == target.shape[0] - 1 else mel_row(target.freq_edges_hz[k + 1])
            early = -np.inf if m == 0 else target.time_edges_s[m]
            late = np.inf if m == target.shape[1] - 1 else target.time_edges_s[m + 1]
            height = max(0.0, min(top, high) - max(bottom, low))
            width = max(0.0, min(stop, late) - max(start, early))
            result[k, m] += values[i, j] * height * width / ((top - bottom) * (stop - start))
    return result


@settings(deadline=None)
@given(grids, grids, st.integers(0, 2**32 - 1))
@example(Grid([5, 6], [-3, -2, -1]), Grid([0, 1, 2], [0, 1]), 0)  # source wholly outside the target
@example(Grid([0, 1], [0, 1]), Grid([10, 20, 30], [10, 20]), 0)
@example(Grid([0, 8000], [-0.1, 0, 1, 1.2]), scoring_grid(1.0), 0)  # front-end padding at both ends
def test_transfer_preserves_the_sum_and_equals_the_loop(source: Grid, target: Grid, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(source.shape)
    moved = source.transfer(values, target)
    scale = np.abs(values).sum()

    assert moved.shape == target.shape and moved.dtype == np.float64
    assert abs(moved.sum() - values.sum()) < 1e-9 * scale
    # widths of 1e-3 at 8000 Hz, 1e-5 of a row, leave about 8 digits
    assert np.max(np.abs(moved - transfer_cell_by_cell(source, values, target))) < 1e-6 * scale


@pytest.mark.parametrize("duration_s", [0.4, 1.0, 1.73])
@pytest.mark.parametrize("bands", [1, 2, 4, 8, 16])
def test_a_map_that_is_flat_stays_flat_on_the_scoring_grid(duration_s: float, bands: int) -> None:
    """Otherwise deletion would take a coarse map's cells from the top band downwards, and call that a ranking."""
    target = scoring_grid(duration_s)
    flat = Grid(band_edges_hz(bands), [0.0, duration_s]).transfer(np.ones((bands, 1)), target)
    assert np.allclose(flat, bands / flat.size, rtol=1e-12)


@settings(deadline=None)
@given(grids, st.integers(0, 2**32 - 1))
def test_transfer_to_the_same_grid_is_exact_and_a_copy(grid: Grid, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(grid.shape)
    moved = grid.transfer(values, Grid(grid.freq_edges_hz.copy(), grid.time_edges_s.copy()))
    assert np.array_equal(moved, values)
    moved[:] = 0
    assert values.all()


def test_transfer_to_a_nested_grid_and_back_is_exact() -> None:
    coarse, fine = (
        Grid(band_edges_hz(8), np.arange(4) / 2),
        Grid(band_edges_hz(64), np.arange(13) / 8),
    )
    values = np.random.default_rng(1).standard_normal(coarse.shape)
    assert np.allclose(fine.transfer(coarse.transfer(values, fine), coarse), values, atol=1e-12)


def test_transfer_refuses_values_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"shape \(1, 2\), got \(2, 2\)"):
        Grid([0, 1], [0, 1, 2]).transfer(np.zeros((2, 2)), Grid([0, 1], [0, 1]))


def test_band_edges_are_the_true_ones() -> None:
    assert np.array_equal(np.round(band_edges_hz(8)), BANDS_HZ)


@pytest.mark.parametrize("bands", [1, 2, 4, 8, 16, 32, 64, 128])
def test_band_edges_nest_and_lie_where_neighbouring_filters_cross(bands: int) -> None:
    import librosa

    found = band_edges_hz(bands)
    assert found.size == bands + 1 and found[0] == 0 and found[-1] == 8000
    assert np.isin(found, band_edges_hz(128)).all()
    # oracle: around each edge the filter below wins on one side, the one above on the other, on a fine frequency axis
    n_fft = 2**17
    bank = librosa.filters.mel(sr=16000, n_fft=n_fft, n_mels=128, norm=None)
    winner = bank[:, :-1].argmax(axis=0) // (128 // bands)  # at 8000 Hz no filter wins
    crossings = (np.flatnonzero(np.diff(winner)) + 0.5) * 16000 / n_fft
    assert np.allclose(found[1:-1], crossings, atol=16000 / n_fft)


def test_mel_points_are_the_corners_of_the_filters() -> None:
    points = mel_points_hz(128)
    assert points.size == 130 and points[0] == 0 and points[-1] == pytest.approx(8000)


@pytest.mark.parametrize("bands", [0, -8, 3, 256])
def test_band_edges_refuse_numbers_that_do_not_divide_128(bands: int) -> None:
    with pytest.raises(InputError, match="must divide 128"):
        band_edges_hz(bands)


@settings(deadline=None)
@given(st.floats(0.001, 60))
def test_scoring_grid_covers_the_clip_with_cells_near_80_ms(duration_s: float) -> None:
    grid = scoring_grid(duration_s)
    widths = np.diff(grid.time_edges_s)
    assert grid.shape[0] == 16
    assert grid.time_edges_s[0] == 0 and grid.time_edges_s[-1] == duration_s
    assert np.allclose(widths, widths[0])
    assert widths[0] < 0.12 + 1e-9 and (widths[0] > 0.08 / 1.5 - 1e-9 or duration_s < 0.08)


@pytest.mark.parametrize("duration_s", [0, -1, float("nan"), float("inf")])
def test_scoring_grid_refuses_no_duration(duration_s: float) -> None:
    with pytest.raises(InputError, match="duration_s must be positive"):
        scoring_grid(duration_s)


@pytest.mark.parametrize("bad", [[0], [], [0, 0], [1, 0], [0, np.nan], [0, np.inf], [[0, 1]]])
@pytest.mark.parametrize("axis", [0, 1])
def test_grid_refuses_edges_that_do_not_increase(bad: list[float], axis: int) -> None:
    given_edges: list[list[float]] = [[0, 1], [0, 1]]
    given_edges[axis] = bad
    with pytest.raises(InputError, match=("freq_edges_hz", "time_edges_s")[axis]):
        Grid(*given_edges)


def test_grid_keeps_its_own_frozen_edges() -> None:
    mine = np.arange(3.0)
    grid = Grid(mine, mine)
    mine[0] = -5  # the caller's array stays the caller's
    assert grid.freq_edges_hz[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.freq_edges_hz[0] = 1


def test_grids_are_equal_by_their_edges() -> None:
    grid = Grid([0, 1, 2], [0, 1])
    assert grid == Grid(np.array([0.0, 1, 2]), (0, 1))
    assert grid != Grid([0, 1, 3], [0, 1]) and grid != Grid([0, 1, 2], [0, 2]) and grid != "grid"


@settings(deadline=None)
@given(grids, st.lists(st.floats(-100, 9000), min_size=1, max_size=50))
def test_rows_and_columns_equal_the_loop(grid: Grid, points: list[float]) -> None:
    def index(edge: np.ndarray, point: float) -> int:
        return next((i for i in range(edge.size - 2) if point < edge[i + 1]), edge.size - 2)

    assert grid.rows_of(np.array(points)).tolist() == [index(grid.freq_edges_hz, p) for p in points]
    assert grid.columns_of(np.array(points)).tolist() == [index(grid.time_edges_s, p) for p in points]


def test_stretching_scales_time_alone() -> None:
    grid = Grid([0, 100], [-0.5, 0, 1]).stretched(2.0, onto_s=3.0)
    assert grid == Grid([0, 100], [-0.75, 0, 1.5])
