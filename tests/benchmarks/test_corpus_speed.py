"""Loading and verifying a corpus beside decoding its files, and nothing else, with the library's own reader.

Seconds are processor seconds of all threads: neighbours on the machine do not move them, nor do more cores.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.audio import load_audio
from serxai.datasets import manifest
from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.datasets.verify import verify_corpus

RAVDESS = CORPORA.get("ravdess")


def build(root: Path, clips: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Clips of 3.7 s (RAVDESS' mean) at 16 kHz, where nothing is spent on resampling, with their checksums."""
    names = sorted(manifest.publisher_checksums(RAVDESS))[:clips]
    draw = np.random.default_rng(0)
    noise = (draw.normal(size=16000 * 6) * 3000).astype(np.int16)
    table = {}
    for name in names:
        path = root / "ravdess" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        start = int(draw.integers(16000))
        soundfile.write(path, noise[start : start + 59200], 16000)
        table[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(manifest, "_read_sums", lambda name: table)
    return [root / "ravdess" / name for name in names]


@pytest.mark.parametrize("clips", [360, pytest.param(1440, marks=pytest.mark.long)])
def test_loading_and_verifying(benchmark, speed, clips: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = build(tmp_path, clips, monkeypatch)

    def load_and_verify():
        return load_corpus("ravdess", tmp_path), verify_corpus(RAVDESS, tmp_path)

    corpus, result = benchmark.pedantic(load_and_verify, rounds=speed.rounds(3), warmup_rounds=1)
    assert len(corpus.table) == clips and result.ok and result.confirmed == clips
    decoding, bare, spent = speed.best(
        lambda: [load_audio(path) for path in paths],
        lambda: [soundfile.read(path, dtype="float32") for path in paths],
        load_and_verify,
    )
    benchmark.extra_info |= {"over_decoding": spent / decoding, "over_bare_libsndfile": spent / bare}
    speed.goal(spent / decoding < 1.3, f"loading and verifying {spent / decoding:.2f} x decoding; goal 1.3")
