"""Ogg files that were cut short: every length, whole files, tags behind the end, and sound that looks like a page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.audio.decode import decode
from serxai.audio.load import load_recording
from serxai.audio.ogg import CAPTURE, unfinished
from serxai.errors import ClipError


def encoded(subtype: str, seconds: float = 1.5) -> bytes:
    noise = np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds))
    body = io.BytesIO()
    soundfile.write(body, noise, 16_000, format="OGG", subtype=subtype)
    return body.getvalue()


def pages(data: bytes) -> list[int]:
    """Ends of the pages, found by their capture patterns alone (none occurs by chance in these files)."""
    starts = [at for at in range(len(data)) if data.startswith(CAPTURE, at)]
    return [*starts[1:], len(data)]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_whole_files_are_whole_and_any_shorter_one_is_not(subtype: str) -> None:
    data = encoded(subtype)
    assert unfinished(io.BytesIO(data)) == "" and len(pages(data)) > 3
    ends = pages(data)
    for length in sorted({*range(1, len(data), 97), *ends[:-1], *(end + 13 for end in ends[:-1]), len(data) - 1}):
        said = unfinished(io.BytesIO(data[:length]))
        assert ("mark" in said) == (length in ends) and said, length
    assert unfinished(io.BytesIO(data + b"TAG" + bytes(125))) == ""


def test_sound_that_holds_the_pattern_is_no_page() -> None:
    payload = b"OggS" * 60  # 240 bytes
    page = CAPTURE + bytes([0, 0x04]) + bytes(20) + bytes([1, len(payload)]) + payload
    assert unfinished(io.BytesIO(page)) == "" and "shorter" in unfinished(io.BytesIO(page[:-4]))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_refused_like_any_truncated_one(share: float, tmp_path: Path) -> None:
    data = encoded("VORBIS")
    (tmp_path / "whole.ogg").write_bytes(data)
    assert load_recording(tmp_path / "whole.ogg").samples.size == 24_000
    part = data[: round(share * len(data))]
    (tmp_path / "cut.ogg").write_bytes(part)
    for content in (None, part):
        assert decode(tmp_path / "cut.ogg", content).truncated
    with pytest.raises(ClipError, match=r"cut\.ogg: truncated: "):
        load_recording(tmp_path / "cut.ogg")
