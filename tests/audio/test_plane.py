"""The plane: its STFT, masks on the waveform, and fills."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from serxai.audio import FILLS, SAMPLE_RATE, Grid, Plane, band_edges_hz, fill_spectrum, scoring_grid
from serxai.audio.plane import HOP, N_FFT
from serxai.errors import InputError, NotApplicable, UnknownNameError

LENGTHS = [1, 2, 127, 128, 129, 511, 512, 513, 1000, 4096, 24_001]


def noise(length: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def plane_of(length: int, seed: int = 0) -> Plane:
    return Plane(noise(length, seed))


def fill_of(name: str, plane: Plane, seed: int = 0) -> torch.Tensor:
    twin = noise(plane.samples.numel(), seed + 100) if name == "twin" else None
    return fill_spectrum(name, plane, np.random.default_rng(seed), twin)


def masks(grid: Grid, n: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.integers(0, 2, (n, *grid.shape)), generator.random((n, *grid.shape))])


def test_the_stft_equals_the_sum_that_defines_it() -> None:
    samples = noise(700)
    padded = np.concatenate([np.zeros(N_FFT // 2), samples.astype(np.float64), np.zeros(N_FFT // 2)])
    window = scipy.signal.get_window("hann", N_FFT)
    frames = np.stack([padded[k * HOP : k * HOP + N_FFT] for k in range(1 + 700 // HOP)])
    kernel = np.exp(-2j * np.pi * np.outer(np.arange(N_FFT // 2 + 1), np.arange(N_FFT)) / N_FFT)
    expected = kernel @ (frames * window).T
    assert np.max(np.abs(Plane(samples).spectrum.numpy() - expected)) < 1e-5


def test_a_tone_burst_appears_at_its_own_time_and_frequency() -> None:
    samples = np.zeros(SAMPLE_RATE, dtype=np.float32)
    burst = slice(8000, 8800)  # 0.50 s .. 0.55 s
    samples[burst] = np.sin(2 * np.pi * 2000 * np.arange(800) / SAMPLE_RATE)
    plane = Plane(samples)
    power = plane.spectrum.abs().square().numpy()
    assert plane.freqs_hz[power.sum(axis=1).argmax()] == 2000
    assert (power.sum(axis=0) * plane.times_s).sum() / power.sum() == pytest.approx(0.525, abs=0.001)
    assert plane.duration_s == 1.0


@pytest.mark.parametrize("length", LENGTHS)
def test_the_inverse_returns_the_waveform(length: int) -> None:
    plane = plane_of(length)
    assert plane.spectrum.shape == (plane.freqs_hz.size, plane.times_s.size)
    assert torch.max(torch.abs(plane.istft(plane.spectrum) - plane.samples)) < 1e-6


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("length", LENGTHS)
def test_all_kept_is_the_input_and_all_removed_is_the_fill(length: int, fill: str) -> None:
    plane = plane_of(length)
    grid, replacement = scoring_grid(plane.duration_s), fill_of(fill, plane)
    kept, removed = plane.render(np.stack([np.ones(grid.shape), np.zeros(grid.shape)]), grid, replacement)
    assert torch.equal(kept, plane.samples)  # exact, where 1e-5 is asked
    assert torch.max(torch.abs(removed - plane.istft(replacement))) < 1e-5


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("length", "seed"), [(700, 0), (6000, 1), (16_001, 2)])
def test_render_equals_the_weighted_sum_of_the_parts(length: int, seed: int, fill: str) -> None:
    plane = plane_of(length, seed)
    replacement = fill_of(fill, plane, seed)
    for grid in (Grid(band_edges_hz(8), [0, plane.duration_s]), Grid(band_edges_hz(4), [-0.1, 0.1, 0.2, 2.0])):
        keep = masks(grid, 8, seed)
        removed = torch.as_tensor((1 - keep).reshape(len(keep), -1), dtype=torch.float32)
        expected = plane.samples + removed @ plane.differences(grid, replacement)
        assert torch.max(torch.abs(plane.render(keep, grid, replacement) - expected)) < 1e-5


def test_render_equals_replacing_each_value_of_the_stft() -> None:
    plane = plane_of(3000)
    grid, replacement = scoring_grid(plane.duration_s), fill_of("noise", plane)
    keep = masks(grid, 3)
    for mask, found in zip(keep, plane.render(keep, grid, replacement), strict=True):
        blended = plane.spectrum.clone()
        for f, hz in enumerate(plane.freqs_hz):
            for t, second in enumerate(plane.times_s):
                kept = mask[grid.rows_of(np.array([hz]))[0], grid.columns_of(np.array([second]))[0]]
                blended[f, t] = kept * plane.spectrum[f, t] + (1 - kept) * replacement[f, t]
        assert torch.max(torch.abs(found - plane.istft(blended))) < 1e-5


@pytest.mark.parametrize("length", LENGTHS)
def test_cells_partition_the_plane_and_energies_add_up(length: int) -> None:
    plane = plane_of(length)
    total = plane.spectrum.abs().square().double().sum().item()
    for grid in (scoring_grid(plane.duration_s), Grid([100, 300, 900], [0.05, 0.06, 0.3])):
        ones = torch.ones(plane.spectrum.shape)
        rows, columns = plane.cells(grid)
        counts = plane.sum_cells(ones, grid)
        assert rows.shape == plane.freqs_hz.shape and columns.shape == plane.times_s.shape
        assert counts.shape == grid.shape and counts.sum() == ones.numel()
        assert plane.energy(grid).sum() == pytest.approx(total, rel=1e-9)
        # each STFT value lies in one cell: removing all cells one by one removes everything
        parts = plane.differences(grid, torch.zeros_like(plane.spectrum)) if length <= 1000 else None
        assert parts is None or torch.max(torch.abs(parts.sum(0) + plane.samples)) < 1e-5


def test_sum_cells_equals_the_loop() -> None:
    plane, grid = plane_of(2000), Grid(band_edges_hz(4), [0, 0.03, 0.06, 0.125])
    values = torch.as_tensor(np.random.default_rng(5).standard_normal(tuple(plane.spectrum.shape)))
    expected = np.zeros(grid.shape)
    for f, row in enumerate(grid.rows_of(plane.freqs_hz)):
        for t, column in enumerate(grid.columns_of(plane.times_s)):
            expected[row, column] += values[f, t].item()
    assert np.allclose(plane.sum_cells(values, grid), expected, atol=1e-12)


def test_removing_one_band_silences_it_and_leaves_the_others() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (0.3 * np.sin(2 * np.pi * hz * time) for hz in (200, 3000))
    plane = Plane((low + high).astype(np.float32))
    grid = Grid(band_edges_hz(8), [0, 1])
    keep = np.ones((1, 8, 1))
    keep[0, grid.rows_of(np.array([3000.0]))[0]] = 0
    found = plane.render(keep, grid, torch.zeros_like(plane.spectrum))[0].numpy()
    inner = slice(1000, -1000)
    assert np.max(np.abs(found[inner] - low[inner])) < 1e-3


def test_a_plane_is_made_of_one_channel_and_does_not_touch_its_input() -> None:
    for bad in (np.zeros(0), np.zeros((2, 100)), np.float32(1)):
        with pytest.raises(InputError, match=r"must have shape \(n_samples,\)"):
            Plane(bad)
    samples = noise(600)
    samples.setflags(write=False)
    plane = Plane(samples)
    plane.samples[0] = 9
    assert samples[0] != 9


@pytest.mark.parametrize("shape", [(16, 13), (1, 8, 13), (1, 17, 14), (2, 16)])
def test_render_refuses_masks_of_another_shape(shape: tuple[int, ...]) -> None:
    plane = plane_of(SAMPLE_RATE)
    grid = scoring_grid(plane.duration_s)
    with pytest.raises(InputError, match="keep must have shape"):
        plane.render(np.ones(shape), grid, plane.spectrum)


def test_attenuate_is_40_db_down() -> None:
    plane = plane_of(4000)
    assert torch.allclose(plane.istft(fill_of("attenuate", plane)), plane.samples / 100, atol=1e-7)


def test_spectral_mean_keeps_phase_and_mean_magnitude_of_each_bin() -> None:
    plane = plane_of(4000)
    fill, magnitude = fill_of("spectral-mean", plane), plane.spectrum.abs()
    assert torch.allclose(fill.abs(), magnitude.mean(dim=1, keepdim=True).expand_as(magnitude), rtol=1e-5)
    assert torch.allclose(fill * plane.spectrum.conj(), fill.abs() * magnitude + 0j, atol=1e-4)


def test_noise_has_the_median_power_of_each_bin_and_its_own_draw() -> None:
    plane = Plane(
        np.concatenate([noise(160_000), np.zeros(80_000, dtype=np.float32)])
    )  # a pause does not lower it much
    fill = fill_of("noise", plane)
    median = plane.spectrum.abs().square().median(dim=1).values
    assert torch.median(fill.abs().square().mean(dim=1) / median) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(fill, fill_of("noise", plane)) and not torch.equal(fill, fill_of("noise", plane, seed=1))


def test_twin_is_the_stft_of_the_twin() -> None:
    plane, twin = plane_of(3000), noise(3000, 9)
    fill = fill_spectrum("twin", plane, np.random.default_rng(0), twin)
    assert torch.equal(fill, Plane(twin).spectrum)


def test_fills_refuse_unknown_names_missing_twins_and_twins_of_another_length() -> None:
    plane, generator = plane_of(3000), np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="Did you mean 'attenuate'"):
        fill_spectrum("atenuate", plane, generator)
    with pytest.raises(NotApplicable, match="twin"):
        fill_spectrum("twin", plane, generator)
    with pytest.raises(InputError, match=r"got \(100,\)"):
        fill_spectrum("twin", plane, generator, noise(100))


@pytest.mark.parametrize("fill", FILLS)
def test_silence_stays_finite(fill: str) -> None:
    plane = Plane(np.zeros(2000, dtype=np.float32))
    twin = np.zeros(2000, dtype=np.float32)
    grid = scoring_grid(plane.duration_s)
    found = plane.render(masks(grid, 2), grid, fill_spectrum(fill, plane, np.random.default_rng(0), twin))
    assert torch.equal(found, torch.zeros_like(found))
