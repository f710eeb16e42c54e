"""Corpora on the command line: the list, and sounds that a licence keeps from being written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import soundfile

from serxai.benchmark.api.clip_explanation import ClipExplanation
from serxai.benchmark.cli.explain import sounds_withheld
from serxai.benchmark.cli.main import main
from serxai.datasets import manifest
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import file_digest


def test_the_list_shows_licence_clips_speakers_hours_and_label_counts(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["ls", "corpora", "--long"]) == 0
    printed = capsys.readouterr().out
    assert printed.split("\n")[0].split() == [
        "name",
        "clips",
        "speakers",
        "hours",
        "language",
        "licence",
        "label",
        "counts",
    ]
    line = next(line for line in printed.splitlines() if line.startswith("tess"))
    for part in ("2800", "1.6", "CC-BY-NC-ND-4.0", "anger 400", "surprise 400"):
        assert part in line
    assert main(["ls", "corpora", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["crema-d"]["label_counts"]["neutral"] == 1087 and listed["crema-d"]["citation"]
    assert set(listed) == set(CORPORA.names())


def test_the_list_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys; from serxai.benchmark.cli.main import main; main(['ls', 'corpora']);"
        "print([m for m in ('torch', 'pandas', 'soundfile') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_verify_is_found_by_name_and_its_missing_folder_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["corpus", "verify", "emodb", "--data-root", str(tmp_path)]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["corpus", "verify", "emo-db", "--data-root", str(tmp_path)]) == 2
    assert "Did you mean 'emodb'" in capsys.readouterr().err


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    t = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * h * t) / h for h in range(1, 20)) * 0.1
    path = tmp_path / "OAF_back_angry.wav"
    soundfile.write(path, voice, 16000)
    return path


def explain(clip: Path, data_root: Path) -> list[str]:
    """Names of the files written."""
    out = clip.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    flags = ["--method", "energy", "--out", str(out), "--data-root", str(data_root)]
    assert main(["explain", str(clip), *flags]) == 0
    return sorted(path.name for path in out.iterdir())


def test_no_sound_is_made_from_a_clip_whose_licence_forbids_it(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [name for name in explain(clip, tmp_path / "data") if name.endswith(".wav")] == [
        "OAF_back_angry-energy-kept.wav",
        "OAF_back_angry-energy-removed.wav",
        "OAF_back_angry-original.wav",
    ]
    assert "No sounds" not in capsys.readouterr().out

    monkeypatch.setattr(manifest, "_read_sums", lambda name: {"a": file_digest(clip)} if name == "tess" else {})
    written = explain(clip, tmp_path / "data")
    assert written and not [name for name in written if name.endswith(".wav")]
    reason = "OAF_back_angry.wav belongs to the corpus tess, whose licence (CC-BY-NC-ND-4.0)"
    assert reason in capsys.readouterr().out
    page = (tmp_path / "out" / "OAF_back_angry.html").read_text()
    assert reason in page and "<audio" not in page and "audio/" not in page
    assert reason in json.loads((tmp_path / "out" / "OAF_back_angry.json").read_text())["sounds_withheld"]


def test_nor_from_a_file_in_such_a_corpus_folder(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "savee"
    folder.mkdir(parents=True)
    shutil.copy(clip, folder / "DC_a01.wav")
    assert not [name for name in explain(folder / "DC_a01.wav", tmp_path / "data") if name.endswith(".wav")]


def test_nor_from_a_clip_found_in_the_training_corpus_whatever_its_bytes(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "savee" / "DC"
    folder.mkdir(parents=True)
    shutil.copy(clip, folder / "a01.wav")
    elsewhere = tmp_path / "a01.flac"
    soundfile.write(elsewhere, *soundfile.read(clip))
    for corpus, known in (("savee", True), ("emodb", False), ("", False)):
        explained = cast(ClipExplanation, SimpleNamespace(clip=SimpleNamespace(corpus=corpus)))
        assert bool(sounds_withheld(explained, elsewhere, tmp_path / "data")) is known


def test_a_run_over_such_a_corpus_writes_no_sound_anywhere(clip: Path, tmp_path: Path) -> None:
    samples, _ = soundfile.read(clip, dtype="int16")
    folder = tmp_path / "data" / "tess"
    folder.mkdir(parents=True)
    for i, label in enumerate(("angry", "happy", "sad", "neutral")):
        soundfile.write(folder / f"OAF_word_{label}.wav", np.roll(samples, 100 * i), 24414)
    out = tmp_path / "run"
    flags = ["--corpus", "tess", "--trained-on", "planted", "--data-root", str(tmp_path / "data"), "--out", str(out)]
    names = ["--method", "energy", "--method", "random", "--metric", "deletion", "--fill", "attenuate"]
    assert main(["run", *flags, *names, "--limit", "4", "--workers", "1"]) == 0
    files = [path for path in out.rglob("*") if path.is_file()]
    assert any(path.suffix == ".html" for path in files) and any(path.suffix == ".npz" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not any(mark in content for mark in (b"RIFF", b"fLaC", b"OggS", b"data:audio", b"<audio")), path
        if path.suffix == ".npz":
            arrays = np.load(path)
            assert max(arrays[name].size for name in arrays.files) < samples.size / 4  # maps, not waveforms
