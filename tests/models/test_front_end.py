"""The log-mel front end against librosa, and what explanations rely on: locality, level, gradients, cell edges."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soundfile
import torch

from serxai.audio import band_edges_hz
from serxai.errors import InputError
from serxai.models.front_end import LogMel

FRONT_END = LogMel()


def decibels(samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        features = FRONT_END(torch.as_tensor(samples, dtype=torch.float32)[None])[0, 0]
    return (features * FRONT_END.scale_db + FRONT_END.centre_db).numpy()


def by_librosa(samples: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=np.asarray(samples, dtype=np.float64), sr=16000, n_fft=1024, win_length=480, hop_length=240, n_mels=128,
        fmin=0, fmax=8000, power=2.0, pad_mode="constant",
    )  # fmt: skip
    return librosa.power_to_db(mel, ref=1.0, amin=1e-8, top_db=None)


def speech_like(generator: np.random.Generator, n: int) -> np.ndarray:
    t = np.arange(n) / 16000
    pitch = np.cumsum(generator.uniform(80, 300) * (1 + 0.2 * np.sin(2 * np.pi * 3 * t))) / 16000
    voiced = sum(np.sin(2 * np.pi * k * pitch) / k**1.5 for k in range(1, 20))
    return 0.1 * voiced * np.abs(np.sin(2 * np.pi * 4 * t)) + 1e-3 * generator.standard_normal(n)


SIGNALS = {
    "noise": lambda g, n, t: 0.25 * g.standard_normal(n),
    "tone": lambda g, n, t: np.sin(2 * np.pi * g.uniform(50, 7900) * t),
    "click": lambda g, n, t: (np.arange(n) == n // 2).astype(float),
    "chirp": lambda g, n, t: np.sin(2 * np.pi * t * (100 + 1500 * t)),
    "square": lambda g, n, t: np.sign(np.sin(2 * np.pi * 200 * t)),
    "speech-like": lambda g, n, t: speech_like(g, n),
    "silence": lambda g, n, t: np.zeros(n),
}


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
@pytest.mark.parametrize("kind", SIGNALS)
def test_equals_librosa_within_a_hundredth_of_a_decibel(kind: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(25):
        n = int(generator.integers(480, 40_000))
        signal = SIGNALS[kind](generator, n, np.arange(n) / 16000) * 10 ** generator.uniform(-4, 0)
        signal = signal.astype(np.float32)
        ours, theirs = decibels(signal), by_librosa(signal)
        assert ours.shape == theirs.shape
        near = theirs > theirs.max(axis=0) - 80
        assert np.abs(ours - theirs)[near].max() < 1e-2
        # single precision leaves up to .05 dB in cells more than 80 dB below the loudest of their frame
        assert np.abs(ours - theirs).max() < 5e-2


@pytest.mark.real_data
def test_equals_librosa_on_emodb(data_root) -> None:
    files = sorted((data_root / "emodb").rglob("*.wav"))[::12]
    assert len(files) > 20
    for path in files:
        samples = soundfile.read(path, dtype="float32")[0]
        assert np.abs(decibels(samples) - by_librosa(samples)).max() < 1e-2


def test_silence_is_the_floor() -> None:
    with torch.no_grad():
        features = FRONT_END(torch.zeros(2, 4000))
    torch.testing.assert_close(features, torch.full_like(features, FRONT_END.floor))


def test_level_is_kept() -> None:
    noise = np.random.default_rng(1).standard_normal(8000) * 0.1
    np.testing.assert_allclose(decibels(noise / 10), decibels(noise) - 20, atol=1e-2)


def test_is_local_in_time() -> None:
    generator = np.random.default_rng(2)
    noise = generator.standard_normal(16_000) * 0.1
    changed = noise.copy()
    changed[8000:8400] = 0
    differing = np.flatnonzero(np.abs(decibels(noise) - decibels(changed)).max(axis=0) > 1e-6)
    assert differing.min() * 240 > 8000 - 240 and differing.max() * 240 < 8400 + 240


@pytest.mark.parametrize("n_samples", [480, 481, 719, 720, 16_000, 27_111])
def test_grid_has_the_cells_of_the_features(n_samples: int) -> None:
    grid = FRONT_END.grid(n_samples)
    assert grid.shape == tuple(FRONT_END(torch.zeros(1, n_samples)).shape[2:])
    np.testing.assert_allclose(grid.freq_edges_hz, band_edges_hz(128))
    centres = (grid.time_edges_s[:-1] + grid.time_edges_s[1:]) / 2
    np.testing.assert_allclose(centres, np.arange(grid.shape[1]) * 0.015, atol=1e-12)
    assert grid.time_edges_s[0] < 0


def test_a_tone_burst_lights_the_cell_that_the_grid_names() -> None:
    for frequency, at in [(300.0, 0.3), (1000.0, 0.51), (5000.0, 0.8)]:
        t = np.arange(16_000) / 16_000
        burst = np.sin(2 * np.pi * frequency * t) * np.exp(-(((t - at) / 0.01) ** 2))
        row, column = np.unravel_index(decibels(burst).argmax(), (128, 67))
        grid = FRONT_END.grid(16_000)
        assert abs(row - grid.rows_of(np.array([frequency]))[0]) <= 1
        assert abs(column - grid.columns_of(np.array([at]))[0]) <= 1


def test_gradient_is_the_slope() -> None:
    generator = torch.Generator().manual_seed(0)
    waveform = (0.1 * torch.randn(1, 960, generator=generator)).double().requires_grad_()
    front_end = LogMel().double()
    assert torch.autograd.gradcheck(
        lambda x: front_end(x)[0, 0, ::40, ::3], (waveform,), eps=1e-7, atol=1e-3, rtol=1e-3
    )


def test_gradient_of_silence_is_zero_not_nan() -> None:
    waveform = torch.zeros(1, 1600, requires_grad=True)
    FRONT_END(waveform).sum().backward()
    assert waveform.grad is not None and torch.count_nonzero(waveform.grad) == 0


def test_batch_equals_single() -> None:
    waveforms = 0.1 * torch.randn(8, 9000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        single = torch.cat([FRONT_END(row[None]) for row in waveforms])
        torch.testing.assert_close(FRONT_END(waveforms), single, atol=1e-5, rtol=0)


def test_parameters_rebuild_it() -> None:
    other = LogMel(hop=160, centre_db=-30.0)
    again = LogMel(**other.params)
    noise = torch.randn(1, 5000, generator=torch.Generator().manual_seed(2))
    assert torch.equal(other(noise), again(noise))


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"window": 2048}, {"amin": 0.0}, {"mels": 0}, {"scale_db": 0.0}])
def test_refuses_nonsense(wrong: dict) -> None:
    with pytest.raises(InputError, match="LogMel"):
        LogMel(**wrong)
