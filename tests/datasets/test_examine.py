"""Looking at one file: what is wrong with it, and agreement with slow, obviously right counting."""

from __future__ import annotations

import hashlib
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serxai.audio import load_audio
from serxai.audio.quality import CLIPPED_RUN, clipped_samples
from serxai.datasets.examine import FileExamination, _padding, examine, same_sound

VOICE = np.round(8000 * np.sin(np.arange(4000) / 9)).astype(np.int16)
VOICE[0] = VOICE[-1] = 1


def written(path: Path, samples: np.ndarray, rate: int = 16000, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def clipped_slowly(samples: np.ndarray, top: float) -> int:
    total = 0
    for channel in samples.T.tolist():
        for full, run in groupby(channel, key=lambda value: abs(value) >= top):
            length = len(list(run))
            total += length if full and length >= CLIPPED_RUN else 0
    return total


def padding_slowly(samples: np.ndarray, rate: int) -> tuple[float, float]:
    frames = [any(frame) for frame in samples.tolist()]
    if not any(frames):
        return len(frames) / rate, 0.0
    start = frames.index(True)
    end = frames[::-1].index(True)
    return start / rate, end / rate


shapes = st.tuples(st.integers(1, 40), st.integers(1, 2))


@settings(deadline=None)
@given(arrays(np.int16, shapes, elements=st.sampled_from([0, 0, 5, 32767, -32768, 32766])))
def test_clipping_and_padding_agree_with_slow_counting(samples: np.ndarray) -> None:
    top = 2**15 * (1 - 2**-15)
    assert clipped_samples(samples, 2**15) == clipped_slowly(samples.astype(int), top)
    assert _padding(samples, 16000) == padding_slowly(samples, 16000)


def test_a_good_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", VOICE)
    found = examine(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.fault, found.container, found.sample_rate, found.channels, found.frames) == (
        "",
        "WAV",
        16000,
        1,
        4000,
    )
    assert found.duration_s == 0.25 and found.peak == np.abs(VOICE.astype(int)).max() / 2**15
    assert (found.clipped, found.padding_s, found.missing_bytes, found.silent) == (0, (0.0, 0.0), 0, False)


def test_traps_seen_in_the_wild(tmp_path: Path) -> None:
    aiff = written(tmp_path / "aiff.wav", VOICE, format="AIFF")
    assert examine(aiff).container == "AIFF" and np.array_equal(load_audio(aiff), (VOICE / 2**15).astype(np.float32))
    for rate in (24414, 96000):
        path = written(tmp_path / f"{rate}.wav", np.tile(VOICE, 8), rate)
        assert examine(path).sample_rate == rate
        assert abs(load_audio(path).size / 16000 - 32000 / rate) < 1e-3  # true length at the true rate
    stereo = written(tmp_path / "stereo.wav", np.stack([VOICE, VOICE // 2], axis=1))
    assert examine(stereo).channels == 2 and load_audio(stereo).ndim == 1
    padded = written(
        tmp_path / "padded.wav", np.concatenate([np.zeros(1600, np.int16), VOICE, np.zeros(800, np.int16)])
    )
    assert examine(padded).padding_s == (0.1, 0.05)
    loud = VOICE.copy()
    loud[100:107], loud[200:202] = 32767, -32768
    assert examine(written(tmp_path / "loud.wav", loud)).clipped == 7
    assert examine(written(tmp_path / "float.wav", np.clip(VOICE / 4000, -1, 1), subtype="FLOAT")).clipped > 1000
    assert examine(written(tmp_path / "quiet.wav", VOICE // 1000)).silent
    silent = examine(written(tmp_path / "silent.wav", np.zeros(1600, np.int16)))
    assert silent.silent and silent.padding_s == (0.1, 0.0)


def test_files_that_are_no_sound_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not a sound at all, but long enough to be one")
    written(tmp_path / "none.wav", np.zeros(0, np.int16))
    written(tmp_path / "nan.wav", np.array([0.1, np.nan]), subtype="FLOAT")
    reasons = {
        "empty": "is empty",
        "text": "not an audio file that libsndfile can read (Format not recognised.)",
        "none": "no samples",
        "nan": "NaN",
        "gone": "No such file",
    }
    for name, reason in reasons.items():
        found = examine(tmp_path / f"{name}.wav")
        assert reason in found.fault and found.frames == 0
    assert examine(tmp_path / "gone.wav").sha256 == ""


@pytest.mark.parametrize("form", ["WAV", "AIFF"])
def test_a_file_cut_short_is_found_out(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "cut.wav", VOICE, format=form)
    whole = path.read_bytes()
    assert examine(path).missing_bytes == 0
    path.write_bytes(whole[:-1000])
    found = examine(path)
    assert found.missing_bytes == 1000 and found.frames == 3500 and not found.fault


def test_sounds_are_compared_as_decoded(tmp_path: Path) -> None:
    first = written(tmp_path / "a.wav", VOICE)
    same = [
        written(tmp_path / "b.flac", VOICE),
        written(tmp_path / "c.wav", VOICE / 2**15, subtype="PCM_24"),
        written(tmp_path / "d.wav", VOICE / 2**15, subtype="FLOAT"),
    ]
    other = VOICE.copy()
    other[1] += 1
    differ = [written(tmp_path / "e.wav", other), written(tmp_path / "f.wav", VOICE, 8000)]
    assert all(same_sound(first, path) and examine(path).content_hash == examine(first).content_hash for path in same)
    assert not any(same_sound(first, path) for path in differ)
    assert examine(differ[0]).content_hash == examine(first).content_hash  # looked at closely only where imprints agree
    assert FileExamination("").duration_s == 0
