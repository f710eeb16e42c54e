"""What metrics share, and how maps come to the scoring grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai.audio import Grid, Plane, fill_spectrum, scoring_grid
from serxai.datasets.clip import Plant, Word
from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.keys import rng
from serxai.metrics.case import Case


@pytest.fixture
def case(cnn, speech_like):
    return Case(cnn, speech_like(), "happiness", seed=("corpus", "clip", 0))


def test_parts_are_those_of_the_clip(case):
    assert case.target_index == 1
    assert case.grid == scoring_grid(case.clip.duration_s)
    assert torch.equal(case.plane.samples, torch.as_tensor(case.clip.samples))
    assert torch.equal(case.fill_spectrum, case.plane.spectrum * 0.01)


def test_parts_are_made_once_and_shared_across_fills(case):
    noise = case.with_fill("noise")
    assert noise.plane is case.plane and noise.grid is case.grid
    assert noise.fill == "noise" and case.fill == "attenuate"
    assert noise.fill_spectrum is case.with_fill("noise").fill_spectrum
    assert not torch.equal(noise.fill_spectrum, case.fill_spectrum)
    made = []
    assert case.shared("k", lambda: made.append(0)) is noise.shared("k", lambda: made.append(1))
    assert made == [0]


def test_fill_is_drawn_from_the_seed_alone(case, cnn):
    expected = fill_spectrum("noise", Plane(case.clip.samples), rng("corpus", "clip", 0, "fill", "noise"))
    assert torch.equal(case.with_fill("noise").fill_spectrum, expected)
    other = Case(cnn, case.clip, "happiness", "noise", seed=("corpus", "clip", 1))
    assert not torch.equal(other.fill_spectrum, expected)


def test_a_failing_part_fails_each_time(case):
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="attenuate"):
            _ = case.with_fill("atenuate").fill_spectrum
        with pytest.raises(NotApplicable, match="no neutral twin"):
            _ = case.with_fill("twin").fill_spectrum


def test_twin_fill_is_the_twins_spectrum(cnn, speech_like):
    twin = speech_like(5).samples
    clip = replace(speech_like(), plant=Plant(twin, (Word("a", 0, 0.5),)))
    case = Case(cnn, clip, "anger", "twin")
    assert torch.equal(case.fill_spectrum, Plane(twin).spectrum)
    assert case.with_fill("noise").twin_plane is case.twin_plane


def test_unknown_target_is_refused(cnn, speech_like):
    with pytest.raises(InputError, match=r"'joy'.*anger"):
        _ = Case(cnn, speech_like(), "joy").target_index


def test_a_map_on_the_grid_is_kept(case, explain):
    values = np.random.default_rng(0).standard_normal(case.grid.shape)
    np.testing.assert_allclose(case.map(explain(values, case.grid)), values.astype(np.float32), atol=1e-8)


def test_ties_survive_the_move_to_the_grid(cnn, speech_like, explain):
    # 16 bands over the whole clip: the cells of a band are equal in exact arithmetic, but not in their last digits
    clip = speech_like(duration_s=1.2)
    case = Case(cnn, clip, "anger")
    values = np.random.default_rng(0).standard_normal((16, 1))
    attribution = explain(values, Grid(case.grid.freq_edges_hz, np.array([0, clip.duration_s])))
    assert len(np.unique(attribution.on(case.grid))) > 16
    assert len(np.unique(case.map(attribution))) == 16


@pytest.mark.parametrize("scale", [0.0, 1e-40, 1e-20, 1e20, 3e38])
def test_maps_of_any_scale(case, explain, scale):
    values = scale * np.random.default_rng(0).uniform(-1, 1, case.grid.shape)
    moved = case.map(explain(values, case.grid))
    np.testing.assert_allclose(moved, np.float32(values).astype(float), rtol=0, atol=1e-8 * scale)


def test_a_clip_of_another_length_is_compared_in_relative_time(case, explain):
    duration = 2 * case.clip.duration_s
    fine = Grid(case.grid.freq_edges_hz, 2 * case.grid.time_edges_s)
    values = np.random.default_rng(0).standard_normal(case.grid.shape)
    np.testing.assert_allclose(case.map_recorded(explain(values, fine), duration), values.astype(np.float32), atol=1e-6)


def test_without_a_time_map_nothing_is_moved_back(case, explain):
    attribution = explain(np.random.default_rng(0).standard_normal(case.grid.shape), case.grid)
    assert case.recorded_grid == case.grid
    for moved in (case.map_back(attribution), case.map_recorded(attribution)):
        assert np.array_equal(moved, case.map(attribution))


@pytest.mark.parametrize("seed", range(10))
def test_maps_go_back_along_the_clips_times(cnn, speech_like, explain, seed):
    """Slow twin: each cell cut into slivers of time, each sliver put where its middle was recorded."""
    generator = np.random.default_rng(seed)
    here = np.concatenate([[0], np.cumsum(generator.uniform(0.1, 0.4, 4))])
    recorded = np.concatenate([[0], np.cumsum(generator.uniform(0.1, 0.4, 4))])
    knots = tuple(zip(recorded.tolist(), here.tolist(), strict=True))
    case = Case(cnn, replace(speech_like(duration_s=here[-1]), time_map=knots), "anger")
    edges = np.sort(generator.uniform(-0.05, here[-1] + 0.05, 9))  # some lie outside the clip, as paddings do
    values = generator.standard_normal((16, 8))
    moved = case.map_back(explain(values, Grid(case.grid.freq_edges_hz, edges)))
    target = case.recorded_grid
    assert target.time_edges_s[-1] == pytest.approx(recorded[-1])

    expected = np.zeros(target.shape)
    at = np.interp(edges, here, recorded)  # sums are shared out evenly over the recorded time of a cell
    at += np.minimum(edges, 0) * recorded[1] / here[1]
    at += np.maximum(edges - here[-1], 0) * (recorded[-1] - recorded[-2]) / (here[-1] - here[-2])
    slivers = 20_000
    for j in range(8):
        times = at[j] + (np.arange(slivers) + 0.5) / slivers * (at[j + 1] - at[j])
        counts = np.bincount(target.columns_of(times), minlength=target.shape[1])
        expected += values[:, [j]] * counts / slivers
    np.testing.assert_allclose(moved, expected, atol=2e-3)
    assert moved.sum() == pytest.approx(values.astype(np.float32).sum(), abs=1e-5)


def test_nan_is_refused_before_any_metric(case, explain):
    values = np.zeros(case.grid.shape)
    values[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        explain(values, case.grid)
