"""Reading files: the true rate counts, and every bad file is one clip's error with a cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.audio import SAMPLE_RATE, load_audio
from serxai.errors import ClipError


def write(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def tone(rate: int, hz: float = 440.0, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24414, 44100, 48000, 96000])
def test_a_tone_keeps_its_frequency_level_and_length(tmp_path: Path, rate: int) -> None:
    samples = load_audio(write(tmp_path / "tone.wav", tone(rate), rate))

    assert samples.dtype == np.float32 and samples.flags.c_contiguous
    assert abs(samples.size - SAMPLE_RATE) <= 1
    inner = samples[1000:15000]  # resampling filters ring at the ends
    expected = tone(SAMPLE_RATE)[1000:15000]
    assert np.max(np.abs(inner - expected)) < 1e-3  # phase, level and frequency at once; 16 bits are 3e-5
    spectrum = np.abs(np.fft.rfft(samples[:SAMPLE_RATE], SAMPLE_RATE))
    assert np.argmax(spectrum) == 440


def test_what_lies_above_half_the_rate_does_not_fold_back(tmp_path: Path) -> None:
    samples = load_audio(write(tmp_path / "high.wav", tone(48000, hz=10_000), 48000))
    assert np.max(np.abs(samples[1000:-1000])) < 1e-4


def test_sixteen_bit_files_at_16_khz_are_read_exactly(tmp_path: Path) -> None:
    integers = np.random.default_rng(0).integers(-(2**15), 2**15, 4000).astype(np.int16)
    samples = load_audio(write(tmp_path / "exact.wav", integers))
    assert np.array_equal(samples, integers.astype(np.float32) / 2**15)


def test_stereo_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left, right = tone(SAMPLE_RATE), tone(SAMPLE_RATE, hz=1000)
    stereo = load_audio(write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), subtype="FLOAT"))
    assert stereo.shape == (SAMPLE_RATE,)
    assert np.allclose(stereo, (left + right) / 2, atol=1e-7)


def test_flac_and_wav_give_the_same_samples(tmp_path: Path) -> None:
    integers = np.random.default_rng(1).integers(-(2**15), 2**15, 4000).astype(np.int16)
    wav = load_audio(write(tmp_path / "a.wav", integers))
    assert np.array_equal(load_audio(str(write(tmp_path / "a.flac", integers))), wav)


def test_silence_is_audio(tmp_path: Path) -> None:
    samples = load_audio(write(tmp_path / "silence.wav", np.zeros(800)))
    assert samples.shape == (800,) and not samples.any()


def test_one_minute_is_allowed_and_more_is_not(tmp_path: Path) -> None:
    assert load_audio(write(tmp_path / "minute.wav", np.zeros(60 * 8000), 8000)).size == 60 * SAMPLE_RATE
    with pytest.raises(ClipError, match=r"600 s long.*at most 60 s"):
        load_audio(write(tmp_path / "long.wav", np.zeros(600 * 8000), 8000))


def _text(path: Path) -> None:
    path.write_text("This is not audio.\n" * 100)


def _with(value: float, rate: int = SAMPLE_RATE, channels: int = 1):
    def make(path: Path) -> None:
        samples = np.tile(tone(rate)[:, None], (1, channels))
        samples[100, -1] = value
        write(path, samples, rate, subtype="DOUBLE")

    return make


BAD = {
    "missing file": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty file": (lambda path: path.touch(), r"0 bytes"),
    "no samples": (lambda path: write(path, np.zeros(0)), "holds 0 samples"),
    "text": (_text, "not an audio file"),
    "cut header": (lambda path: path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt "), "not an audio file"),
    "NaN": (_with(np.nan), "NaN"),
    "NaN in the right channel": (_with(np.nan, channels=2), "NaN"),
    "NaN before resampling": (_with(np.nan, rate=48000), "NaN"),
    "infinite": (_with(np.inf), "infinite"),
    "too large for float32": (_with(1e300), "infinite"),
    "nothing at 16 kHz": (lambda path: write(path, np.ones(1), 48000), "nothing at 16000 Hz"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_clip_errors_that_name_the_file_and_the_cause(tmp_path: Path, kind: str) -> None:
    make, cause = BAD[kind]
    make(tmp_path / "bad.wav")
    with pytest.raises(ClipError, match=cause) as error:
        load_audio(tmp_path / "bad.wav")
    assert str(tmp_path / "bad.wav") in str(error.value)


def test_headerless_audio_is_a_clip_error(tmp_path: Path) -> None:
    (tmp_path / "bare.raw").write_bytes(bytes(1000))
    with pytest.raises(ClipError, match="headerless"):
        load_audio(tmp_path / "bare.raw")
