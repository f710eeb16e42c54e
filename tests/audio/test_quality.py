"""Sound as found: what is wrong with a recording is seen in the signal that a recogniser hears, and good files are not
touched."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from serxai.audio.decode import MAX_SECONDS, decode, decoding_errors, header_seconds
from serxai.audio.load import load_audio, load_recording
from serxai.audio.quality import SILENCE, mix, remarks_on_level
from serxai.datasets.examine import examine
from serxai.errors import ClipError, UnusableClipError

CASES = Path("/work/shared/cases/audio")
VOICE = (np.random.default_rng(0).normal(size=16000) * 0.1 * np.hanning(16000)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 16000, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def streamed_flac(samples: np.ndarray, rate: int = 16000) -> bytes:
    """A FLAC whose header does not state its length, as an encoder writes it into a pipe."""
    file = BytesIO()
    soundfile.write(file, samples, rate, format="FLAC")
    content = bytearray(file.getvalue())
    assert content[:4] == b"fLaC"
    content[21] &= 0xF0  # the low 36 bits of STREAMINFO's 64-bit word: total samples
    content[22:26] = bytes(4)
    return bytes(content)


# ---------------------------------------------------------------- good files


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("rate", "options"), [(16000, {}), (48000, {}), (8000, {"subtype": "FLOAT"})])
def test_good_files_are_read_bit_for_bit_as_mean_and_resampling_say(
    tmp_path: Path, channels: int, rate: int, options: dict
) -> None:
    signal = np.stack([VOICE, np.roll(VOICE, 99)][:channels], axis=1)
    signal[7] = -0.0
    path = write(tmp_path / "a.wav", signal, rate, **options)
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    expected = mono if rate == 16000 else soxr.resample(mono, rate, 16000, quality="VHQ")
    recording = load_recording(path)
    assert recording.samples.tobytes() == expected.astype(np.float32).tobytes()
    assert recording.remarks == () == examine(path).remarks
    recording.check()


# ---------------------------------------------------------------- the mixed, resampled signal

HIGH = 0.5 * np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000)
DRAW = np.random.default_rng(1).normal(size=16000).astype(np.float32)
UNUSABLE = {
    "zeros": (np.zeros(16000), 16000, "silent"),
    "dither": (DRAW * SILENCE / 10, 16000, "silent"),
    "DC alone": (np.full(16000, 0.3), 16000, "constant"),
    "DC and dither": (0.3 + DRAW * SILENCE / 10, 44100, "constant"),
    "inverted": (np.stack([VOICE, -VOICE], axis=1), 16000, "cancelled"),
    "nearly inverted": (np.stack([VOICE, -VOICE + DRAW * 1e-4], axis=1), 48000, "cancelled"),
    "four channels in pairs": (np.stack([VOICE, -VOICE, VOICE, -VOICE], axis=1), 16000, "cancelled"),
    "above 8 kHz": (HIGH, 48000, "silent"),
    "both channels dead": (np.zeros((16000, 2)), 16000, "silent"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_nothing_to_hear_is_refused_with_the_reason_and_told_beforehand(tmp_path: Path, case: str) -> None:
    samples, rate, kind = UNUSABLE[case]
    for name, options in (("a.wav", {"subtype": "PCM_24"}), ("b.wav", {"subtype": "FLOAT"}), ("c.flac", {})):
        path = write(tmp_path / name, samples, rate, **options)
        recording = load_recording(path)  # explain still takes it, with a warning
        assert [remark.kind for remark in recording.remarks if remark.unusable] == [kind]
        with pytest.raises(UnusableClipError, match=f"{name}: {kind}: "):
            recording.check()
        assert [remark.kind for remark in examine(path).remarks if remark.unusable] == [kind]


@pytest.mark.parametrize("full", [2**7, 2**15, 2**23])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_integers_written_as_floats_are_refused(tmp_path: Path, full: int, rate: int) -> None:
    path = write(tmp_path / "a.wav", VOICE / np.abs(VOICE).max() * full, rate, subtype="FLOAT")
    with pytest.raises(ClipError, match="integers written as floats"):
        load_audio(path)
    assert [remark.kind for remark in examine(path).remarks] == ["scale"]


def test_a_dead_channel_is_left_out_and_told(tmp_path: Path) -> None:
    for dead in (0.0, 0.25):
        path = write(tmp_path / "a.wav", np.stack([VOICE, np.full_like(VOICE, dead)], axis=1), subtype="FLOAT")
        recording = load_recording(path)
        assert np.array_equal(recording.samples, VOICE)
        assert [remark.kind for remark in recording.remarks] == ["dead channel"]
        assert "channel 2 of 2" in recording.remarks[0].detail and examine(path).remarks == recording.remarks
        recording.check()


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        (np.clip(VOICE * 20, -1, 1), "clipped"),
        (VOICE + 0.2, "offset"),
        (VOICE * 10, "over full scale"),
        (np.stack([VOICE, VOICE * 1e-4], axis=1), "weak channel"),
        (np.stack([VOICE, -0.8 * VOICE], axis=1), "partly cancelled"),
    ],
)
def test_what_can_be_used_is_told_and_used(tmp_path: Path, samples: np.ndarray, kind: str) -> None:
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    recording = load_recording(path)
    assert kind in [remark.kind for remark in recording.remarks]
    assert not any(remark.unusable for remark in recording.remarks)
    recording.check()


def test_quiet_speech_is_speech() -> None:
    assert remarks_on_level(VOICE / np.abs(VOICE).max() * 5e-3, 16000) == []  # the quietest clip of RAVDESS' men
    assert mix(np.stack([VOICE, np.roll(VOICE, 5000)], axis=1))[1] == []  # unlike channels do not cancel


# ---------------------------------------------------------------- truncated, streamed, not seekable


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "AIFF", "AU", "FLAC"])
def test_a_header_that_promises_more_than_is_there(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "a.wav", VOICE, format=form, subtype="PCM_16")
    whole = path.read_bytes()
    load_audio(path)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ClipError, match=r"a\.wav: (truncated: \d+ bytes shorter than its header says|cut short)"):
        load_audio(path)
    found = examine(path)
    assert found.fault or [remark.kind for remark in found.remarks] == ["truncated"]


def test_chunks_around_the_sound_do_not_count_as_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", (VOICE * 2**15).astype(np.int16))
    content = path.read_bytes()
    note = b"LIST" + struct.pack("<I", 301) + bytes(302)
    path.write_bytes(content[:12] + note + content[12:] + note[:100])  # the note behind the sound is cut, not the sound
    assert load_audio(path).size == VOICE.size
    path.write_bytes(content[:12] + note + content[12:-50])
    with pytest.raises(ClipError, match="50 bytes shorter"):
        load_audio(path)
    path.write_bytes(content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:])  # written into a pipe
    assert load_audio(path).size == VOICE.size


def test_streams_that_do_not_state_their_length_are_read_to_their_end(tmp_path: Path) -> None:
    for seconds, rate in ((1, 16000), (2, 8000), (3.7, 44100)):
        signal = np.resize(VOICE, round(seconds * rate))
        whole = write(tmp_path / "whole.flac", signal, rate)
        path = tmp_path / "stream.flac"
        path.write_bytes(streamed_flac(signal, rate))
        assert np.isnan(header_seconds(path)) and header_seconds(whole) == pytest.approx(seconds)
        assert np.array_equal(load_audio(path), load_audio(whole))
        assert examine(path).frames == signal.size
    path.write_bytes(streamed_flac(np.resize(VOICE, int(MAX_SECONDS + 2) * 8000), 8000))
    with pytest.raises(ClipError, match=r"more than 60 s long .*does not state its length"):
        load_audio(path)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW"])
def test_telephone_codecs_are_read(tmp_path: Path, subtype: str) -> None:
    path = write(tmp_path / "a.wav", VOICE, 8000, subtype=subtype)
    samples = load_audio(path)
    plain = load_audio(write(tmp_path / "plain.wav", VOICE, 8000))
    assert np.corrcoef(samples[: plain.size], plain[: samples.size])[0, 1] > 0.4
    assert not examine(path).fault and examine(path).frames > 0


# ---------------------------------------------------------------- what is no sound


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(80), "AppleDouble file of macOS"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(100), "MP4 or M4A"),
        (b"nothing in particular" * 9, "not an audio file that libsndfile can read"),
    ],
)
def test_files_in_the_place_of_sound_are_called_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=said) as error:
        load_audio(path)
    assert "0x" not in str(error.value)
    assert said in examine(path).fault and "0x" not in examine(path).fault


@pytest.mark.parametrize("error", [ValueError, TypeError, RuntimeError, MemoryError, OverflowError, OSError, KeyError])
def test_whatever_a_decoder_raises_is_the_clips_error(error: type[Exception]) -> None:
    with pytest.raises(ClipError, match=r"^a\.wav: "), decoding_errors(Path("a.wav")):
        raise error("unforeseen")


def test_random_damage_never_raises_anything_else(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    files = []
    for i, (form, subtype) in enumerate(
        [("WAV", "PCM_16"), ("WAV", "GSM610"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS")]
    ):
        file = BytesIO()
        soundfile.write(file, VOICE[:4000], 8000, format=form, subtype=subtype)
        files.append(bytearray(file.getvalue()))
        for _ in range(12):
            content = bytearray(files[i])
            for at in draw.integers(0, min(len(content), 120), size=6):
                content[at] = draw.integers(256)
            path = tmp_path / "a.wav"
            path.write_bytes(content[: draw.integers(20, len(content) + 1)])
            try:
                assert np.isfinite(load_audio(path)).all()
            except ClipError as error:
                assert "a.wav" in str(error)
            examine(path)


def test_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(ClipError, match="no regular file"):
        load_audio(tmp_path / "pipe.wav")
    with pytest.raises(ClipError, match="is a folder"):
        decode(tmp_path)


@pytest.mark.skipif(not CASES.is_dir(), reason="the handed inputs are not here")
def test_the_handed_inputs() -> None:
    assert load_audio(CASES / "gsm610.wav").size == 25600 == load_audio(CASES / "flac_unknown_length.flac").size
    assert load_recording(CASES / "take[final].wav").remarks == ()
    for name, said in {"int_scale_float.wav": "integers written as floats", "lfs_pointer.wav": "git lfs pull"}.items():
        with pytest.raises(ClipError, match=said):
            load_audio(CASES / name)
    with pytest.raises(UnusableClipError, match="cancel each other"):
        load_recording(CASES / "stereo_inverted.wav").check()
