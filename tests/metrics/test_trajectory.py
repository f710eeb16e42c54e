"""The deletion trajectory against a plain loop, closed forms and brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from serxai.audio import FILLS, SAMPLE_RATE, Grid, scoring_grid
from serxai.datasets.clip import Clip, Plant, Word
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Case
from serxai.metrics.faithfulness import area_between, deletion_auc, insertion_auc
from serxai.metrics.trajectory import deletion_trajectory, ranking, step_of, trajectory_of


def slow_trajectory(case, order, grid):
    """Both curves with each mask rendered and each copy scored by itself."""

    def y(removed):
        keep = np.ones(grid.shape[0] * grid.shape[1])
        keep[list(removed)] = 0
        waveform = case.plane.render(keep.reshape(1, *grid.shape), grid, case.fill_spectrum)
        return case.recogniser.log_odds(waveform)[0, case.target_index]

    n = len(order)
    counts = sorted({round(i * n / min(16, n)) for i in range(min(16, n) + 1)})
    return (
        np.array(counts) / n,
        np.array([y(order[:c]) for c in counts]),
        np.array([y(order[n - c :]) for c in counts]),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fill", FILLS)
def test_equals_the_plain_loop(cnn, speech_like, fill, seed):
    clip = speech_like(seed, 0.96 + 0.11 * seed)
    clip = Clip(
        clip.id, clip.samples, "anger", plant=Plant(speech_like(9, clip.duration_s).samples, (Word("a", 0, 1),))
    )
    case = Case(cnn, clip, "anger", fill, seed=(seed,))
    order = np.random.default_rng(seed).permutation(np.prod(case.grid.shape))
    fast = deletion_trajectory(case, order)
    area, morf, lerf = slow_trajectory(case, order, case.grid)
    np.testing.assert_array_equal(fast.area, area)
    np.testing.assert_allclose(fast.morf, morf, rtol=0, atol=1e-6)
    np.testing.assert_allclose(fast.lerf, lerf, rtol=0, atol=1e-6)
    assert np.ptp(morf) > 1e-3  # the curves are not flat, so that agreement says something


@pytest.mark.parametrize(("rows", "columns", "copies"), [(1, 1, 2), (1, 5, 10), (3, 5, 30), (16, 1, 32), (16, 40, 32)])
def test_few_cells_take_one_step_each_and_calls_are_exact(cnn, speech_like, rows, columns, copies):
    clip = speech_like()
    grid = Grid(np.linspace(0, 8000, rows + 1), np.linspace(0, clip.duration_s, columns + 1))
    case = Case(cnn, clip, "anger")
    before = cnn.calls
    trajectory = deletion_trajectory(case, np.arange(rows * columns), grid)
    assert cnn.calls - before == trajectory.model_calls == -(-copies // 8) * 8
    np.testing.assert_allclose(trajectory.area, np.arange(copies // 2 + 1) * 2 / copies, atol=1e-15)
    _, morf, lerf = slow_trajectory(case, np.arange(rows * columns), grid)
    np.testing.assert_allclose(trajectory.morf, morf, rtol=0, atol=1e-6)
    np.testing.assert_allclose(trajectory.lerf, lerf, rtol=0, atol=1e-6)
    if rows * columns == 1:
        np.testing.assert_array_equal(trajectory.morf, trajectory.lerf)


def test_uneven_steps_keep_the_top_of_the_ranking(linear_recogniser, speech_like):
    # 35 cells: no 16 equal steps; lerf[i] must still be "all but the top area[-1 - i]"
    clip = speech_like()
    weights = np.random.default_rng(0).standard_normal(clip.samples.size)
    case = Case(linear_recogniser(weights), clip, "yes")
    grid = Grid(np.linspace(0, 8000, 6), np.linspace(0, clip.duration_s, 8))
    trajectory = deletion_trajectory(case, np.arange(35), grid)
    change = case.plane.differences(grid, case.fill_spectrum).double().numpy() @ weights
    for i, area in enumerate(trajectory.area):
        top = round(area * 35)
        assert trajectory.morf[i] == pytest.approx(weights @ clip.samples + change[:top].sum(), abs=1e-3)
        assert trajectory.lerf[-1 - i] == pytest.approx(weights @ clip.samples + change[top:].sum(), abs=1e-3)


def test_steps_have_equal_area():
    for n in (1, 2, 15, 16, 17, 100, 16 * 37):
        sizes = np.bincount(step_of(np.random.default_rng(n).permutation(n)))
        assert len(sizes) == min(n, 16)
        assert sizes.max() - sizes.min() <= (n % 16 != 0 and n > 16)


def test_no_ranking_of_a_tiny_grid_beats_the_ideal_one(linear_recogniser, speech_like):
    clip = speech_like(duration_s=0.3)
    weights = np.random.default_rng(3).standard_normal(clip.samples.size)
    case = Case(linear_recogniser(weights), clip, "yes")
    grid = Grid(np.array([0, 400, 8000.0]), np.linspace(0, 0.3, 3))
    effect = case.plane.differences(grid, case.fill_spectrum).double().numpy() @ weights
    curves = {p: deletion_trajectory(case, np.array(p), grid) for p in permutations(range(4))}
    best = curves[tuple(int(c) for c in np.argsort(effect))]
    start = weights @ clip.samples
    np.testing.assert_allclose(best.morf, start + np.r_[0, np.cumsum(np.sort(effect))], atol=1e-3)
    np.testing.assert_allclose(best.lerf, start + np.r_[0, np.cumsum(np.sort(effect)[::-1])], atol=1e-3)
    assert np.ptp(effect) > 0.1
    for other in curves.values():
        assert np.all(best.morf <= other.morf + 1e-4)  # each point, not just the area
        assert np.all(best.lerf >= other.lerf - 1e-4)


def bursts(grid, cells):
    """Tone bursts in the middle of cells, narrow enough in time and frequency to stay inside them."""
    t = np.arange(int(grid.time_edges_s[-1] * SAMPLE_RATE)) / SAMPLE_RATE
    samples = np.zeros(t.size)
    for row, column in cells:
        f = grid.freq_edges_hz[row : row + 2].mean()
        centre = grid.time_edges_s[column : column + 2].mean()
        samples += 0.02 * np.exp(-(((t - centre) / 0.008) ** 2) / 2) * np.cos(2 * np.pi * f * (t - centre))
    return samples.astype(np.float32)


@pytest.fixture
def burst_case(energy_recogniser):
    """20 bursts in 160 cells, 14 of them for and 6 against the target; log-odds linear in their energies."""
    grid = scoring_grid(0.8)
    cells = [(row, column) for row in (8, 10, 12, 14) for column in (0, 2, 4, 6, 8)]
    weights = np.zeros(grid.shape)
    for cell, weight in zip(cells, np.random.default_rng(1).permutation(np.r_[1:15, -6:0]), strict=True):
        weights[cell] = weight
    clip = Clip("bursts", bursts(grid, cells))
    return Case(energy_recogniser(weights, clip.samples, grid), clip, "yes", seed=("bursts",)), weights


def test_ideal_ranking_gives_the_known_curve(burst_case, explain):
    case, weights = burst_case
    trajectory = trajectory_of(case, explain(weights, case.grid))
    # ten cells a step, taken out at -40 dB: the ten heaviest, the four others for the target, ..., the six against it
    left = np.r_[84, 84 - np.sum(np.r_[5:15]), np.full(14, -21.0), 0]
    kept = np.r_[0, np.sum(np.r_[5:15]), np.full(14, 105.0), 84]
    np.testing.assert_allclose(trajectory.morf, left, atol=0.3)
    np.testing.assert_allclose(trajectory.lerf[::-1], kept, atol=0.3)
    assert deletion_auc(trajectory.area, trajectory.morf) == pytest.approx(np.trapezoid(left, dx=1 / 16), abs=0.3)
    assert insertion_auc(trajectory.area, trajectory.lerf) == pytest.approx(np.trapezoid(kept, dx=1 / 16), abs=0.3)


def test_ideal_ranking_beats_random_ones_whose_mean_is_zero(burst_case, explain):
    case, weights = burst_case

    def score(values, method="test"):
        t = trajectory_of(case, explain(values, case.grid, method))
        return area_between(t.area, t.morf, t.lerf)

    random = [score(np.random.default_rng(i).standard_normal(weights.shape)) for i in range(20)]
    assert score(weights) > max(random)
    assert score(-weights) < min(random)
    assert abs(np.mean(random)) < 3 * np.std(random) / np.sqrt(20)
    # a constant map is a random ranking too: ties are drawn
    constant = [score(np.ones(weights.shape), f"m{i}") for i in range(20)]
    assert abs(np.mean(constant)) < 3 * np.std(constant) / np.sqrt(20) < score(weights) / 4


def test_ties_are_broken_by_the_seeded_draw_alone():
    relevance = np.array([1.0, 0, 0, 2, 0, -1])
    orders = [ranking(relevance, rng("seed", i)) for i in range(200)]
    for order in orders:
        assert list(order[:2]) == [3, 0] and order[-1] == 5 and set(order[2:5]) == {1, 2, 4}
    first = np.bincount([order[2] for order in orders])
    assert first[[1, 2, 4]].min() > 40  # 67 expected, standard deviation 6.7
    np.testing.assert_array_equal(ranking(relevance, rng("seed", 7)), orders[7])


def test_one_trajectory_for_all_who_ask_and_one_for_each_fill(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=(1,))
    attribution = explain(np.random.default_rng(0).standard_normal(case.grid.shape), case.grid)
    before = cnn.calls
    first = trajectory_of(case, attribution)
    assert trajectory_of(case.with_fill("attenuate"), attribution) is first
    scaled = explain(3 * attribution.values, case.grid)
    assert trajectory_of(case, scaled) is first  # the same ranking
    assert cnn.calls - before == 32
    noise = trajectory_of(case.with_fill("noise"), attribution)
    assert cnn.calls - before == 64
    assert not np.array_equal(noise.morf, first.morf)
    assert noise.morf[0] == first.morf[0]


def test_twin_fill_ends_at_the_twin(cnn, speech_like):
    clip, twin = speech_like(1), speech_like(2).samples
    case = Case(cnn, Clip("p", clip.samples, "anger", plant=Plant(twin, (Word("a", 0, 1),))), "anger", "twin")
    trajectory = deletion_trajectory(case, np.arange(np.prod(case.grid.shape)))
    assert trajectory.morf[-1] == trajectory.lerf[-1] == pytest.approx(cnn.log_odds(twin[None])[0, 0], abs=1e-5)


@pytest.mark.parametrize("plant", [None, "neutral"])
def test_twin_fill_needs_a_planted_cue(cnn, speech_like, explain, plant):
    clip = speech_like()
    clip = Clip("n", clip.samples, plant=Plant(clip.samples, ()) if plant else None)
    case = Case(cnn, clip, "anger", "twin")
    with pytest.raises(NotApplicable, match="no planted cue" if plant else "no neutral twin"):
        trajectory_of(case, explain(np.ones(case.grid.shape), case.grid))


def test_a_silent_clip_has_a_flat_curve(cnn):
    case = Case(cnn, Clip("silence", np.zeros(8000, np.float32)), "anger")
    trajectory = deletion_trajectory(case, np.arange(np.prod(case.grid.shape)))
    assert np.ptp(trajectory.morf) < 1e-6
