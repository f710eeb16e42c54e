"""Occlusion against a plain loop that renders and scores one copy after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serxai.audio import Grid, Plane, fill_spectrum, scoring_grid
from serxai.audio.plane import HOP
from serxai.datasets.clip import Clip
from serxai.errors import UnknownNameError
from serxai.methods.occlusion import REACH, Occlusion, column_patches


def plain_copies(clip: Clip, grid: Grid, fill: torch.Tensor) -> torch.Tensor:
    """Every copy with one patch replaced, by the plane's own rendering."""
    keep = 1 - np.eye(grid.shape[0] * grid.shape[1])
    return Plane(clip.samples).render(keep.reshape(-1, *grid.shape), grid, fill)


@pytest.mark.parametrize("fill", ["spectral-mean", "attenuate", "noise", "twin"])
@pytest.mark.parametrize("seed, duration_s", [(0, 0.8), (1, 0.337), (2, 0.05)])
def test_equals_a_plain_loop(tiny_cnn, voice, ask, fill, seed, duration_s):
    clip = voice(seed, duration_s, planted=True)
    asked = ask(tiny_cnn(seed), clip, target="sadness")
    found = Occlusion(fill=fill).attribute(asked)
    grid = scoring_grid(clip.duration_s, 16, 0.15)
    assert found.grid == grid
    plane = Plane(clip.samples)
    spectrum = fill_spectrum(fill, plane, asked.generator("fill", fill), clip.plant.twin)
    whole = asked.recogniser.log_odds(clip.samples[None])[0, 3]
    drops = [whole - asked.recogniser.log_odds(copy[None])[0, 3] for copy in plain_copies(clip, grid, spectrum)]
    assert np.abs(drops).max() > 1e-3
    np.testing.assert_allclose(found.values.ravel(), drops, atol=2e-5)
    assert found.details["full"] == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("n_samples", [40, 127, 128, 300, 1000, 2400, 5003])
@pytest.mark.parametrize("bands, cell_s", [(16, 0.15), (2, 0.004), (128, 0.08)])
def test_local_rendering_equals_that_of_the_whole_clip(white_box, voice, ask, n_samples, bands, cell_s):
    """Also for patches without a single bin or frame, at both ends, and for clips shorter than a window."""
    clip = Clip("cut", voice().samples[:n_samples])
    recogniser = white_box(lambda waveform: 0.0)
    Occlusion(bands, cell_s, "attenuate").attribute(ask(recogniser, clip))
    grid, plane = scoring_grid(clip.duration_s, bands, cell_s), Plane(clip.samples)
    expected = plain_copies(clip, grid, fill_spectrum("attenuate", plane, np.random.default_rng(0)))
    expected = expected.unflatten(0, grid.shape).transpose(0, 1).flatten(0, 1)  # copies go column by column
    heard = torch.cat(recogniser.seen)
    assert torch.equal(heard[0], plane.samples)
    torch.testing.assert_close(heard[1 : 1 + len(expected)], expected, atol=1e-6, rtol=0)


def one_patch(plane: Plane, grid: Grid, change: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """One patch inverted alone, on a plane of its own, added to the clip."""
    copy, last_frame = plane.samples.clone(), change.shape[1] - 1
    bins = np.flatnonzero(grid.rows_of(plane.freqs_hz) == row)
    frames = np.flatnonzero(grid.columns_of(plane.times_s) == column)
    if frames.size:
        first, last = max(0, int(frames[0]) - REACH), min(last_frame, int(frames[-1]) + REACH)
        start, stop = first * HOP, plane.samples.numel() if last == last_frame else last * HOP
        stretch = Plane(np.zeros(stop - start, dtype=np.float32))
        patch = torch.zeros_like(stretch.spectrum)
        patch[np.ix_(bins, frames - first)] = change[np.ix_(bins, frames)]
        copy[start:stop] += stretch.istft(patch)
    return copy


@pytest.mark.parametrize("n_samples", [40, 128, 700, 5003, 24123])
@pytest.mark.parametrize("bands, cell_s", [(16, 0.15), (2, 0.004), (128, 0.08)])
def test_patches_of_a_column_are_to_the_bit_those_made_alone(n_samples, bands, cell_s):
    samples = (0.1 * np.random.default_rng(n_samples).standard_normal(n_samples)).astype(np.float32)
    plane, grid = Plane(samples), scoring_grid(n_samples / 16_000, bands, cell_s)
    change = fill_spectrum("spectral-mean", plane, np.random.default_rng(0)) - plane.spectrum
    for column in range(0, grid.shape[1], max(1, grid.shape[1] // 12)):
        stretch, signals = column_patches(plane, grid, change, column)
        for row in range(0, bands, max(1, bands // 16)):
            copy = plane.samples.clone()
            copy[stretch] += signals[row]
            assert torch.equal(copy, one_patch(plane, grid, change, row, column))


@pytest.mark.parametrize("batch, calls", [(8, 184), (5, 180), (1, 177), (59, 177)])
def test_one_copy_a_patch_in_whole_batches(white_box, voice, ask, batch, calls):
    """1.7 s: 16 x 11 patches and the clip itself; never more than one batch in memory."""
    recogniser = white_box(lambda waveform: float(waveform.square().sum()))
    recogniser.batch = batch
    found = Occlusion().attribute(ask(recogniser, voice(duration_s=1.7)))
    assert found.values.shape == (16, 11)
    assert recogniser.calls == calls
    assert {len(batch_seen) for batch_seen in recogniser.seen} == {batch}


def test_additive_recogniser_gets_its_own_parts_back(white_box, voice, ask):
    """Log-odds linear in the samples: each patch's drop is what its difference signal weighs."""
    clip = voice(3)
    weights = np.random.default_rng(3).standard_normal(clip.samples.size)
    found = Occlusion().attribute(ask(white_box(lambda waveform: float(waveform.double().numpy() @ weights)), clip))
    plane = Plane(clip.samples)
    parts = plane.differences(found.grid, fill_spectrum("spectral-mean", plane, np.random.default_rng(0)))
    np.testing.assert_allclose(found.values.ravel(), -parts.double().numpy() @ weights, atol=1e-4)


def test_unknown_fill_is_refused(tiny_cnn, voice, ask):
    with pytest.raises(UnknownNameError, match=r"unknown fill 'nosie'\. Did you mean 'noise'"):
        Occlusion(fill="nosie").attribute(ask(tiny_cnn(), voice()))
