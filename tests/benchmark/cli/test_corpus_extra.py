"""``serxai corpus probe`` and ``folder:PATH`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.datasets.probes import KNOWN, NEW, PROBES

EMOTIONS = ("anger", "happiness", "sadness", "neutral")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A corpus of 48 clips of noise by 6 speakers in which anger is louder; the name that stands for it."""
    generator = np.random.default_rng(0)
    (tmp_path / "own").mkdir()
    rows = []
    for i in range(48):
        emotion = EMOTIONS[i % 4]
        level = 0.3 if emotion == "anger" else 0.1
        soundfile.write(tmp_path / "own" / f"c{i}.wav", level * np.clip(generator.normal(size=9600), -3, 3), 16000)
        rows.append((f"c{i}.wav", emotion, f"s{i // 4 % 6}", "f" if i // 4 % 2 else "m"))
    table = pd.DataFrame(rows, columns=["file", "emotion", "speaker", "sex"])
    table.to_csv(tmp_path / "own" / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return "folder:own"


def test_a_probe_report_is_printed_and_written(data: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["corpus", "probe", data, "--out", "report"]) == 0
    printed = capsys.readouterr().out
    assert "folder:own: what one fact tells of the emotion, UAR (chance 0.250)" in printed
    assert "levels are not comparable" in printed
    table = pd.read_csv(tmp_path / "report" / "probes.csv")
    assert len(table) == 2 * len(PROBES) and set(table["tested_on"]) == {NEW, KNOWN}
    rms = table[(table["probe"] == "RMS level") & (table["tested_on"] == NEW)]
    assert rms["beats_chance"].all() and (rms["uar"] > 0.4).all()
    assert not table[table["probe"] == "duration"]["beats_chance"].any()
    for probe in PROBES:
        assert probe.name in printed
    report = json.loads((tmp_path / "report" / "probes.json").read_text())
    assert report["clips"] == 48 and len(report["results"]) == len(table)
    assert [r["uar"] for r in report["results"]] == pytest.approx(table["uar"].tolist())
    assert (tmp_path / "report" / "probes.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "report" / "probes.svg").read_text()
    assert not list((tmp_path / "report").glob("*.wav"))


def test_json_is_all_that_is_printed(data: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["corpus", "probe", data, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["corpus"] == data and report["emotions"] == sorted(EMOTIONS)
    assert {path.name for path in tmp_path.iterdir()} == {"own"}


def test_mistakes_end_with_status_2(data: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for arguments, message in [
        (["probe", "folder:ovn"], "Did you mean own?"),
        (["probe", "folder:"], "path is missing"),
        (["probe", "emodb", "--data-root", str(tmp_path)], "no such folder"),
        (["fetch", data], "is not public at audb"),
    ]:
        assert main(["corpus", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_is_listed_and_runs_like_any_corpus(data: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["ls", "corpora", "--json"]) == 0
    assert "folder:" in [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    arguments = ["--model", "cnn", "--trained-on", "planted", "--method", "random", "--metric", "deletion"]
    arguments += ["--fill", "attenuate", "--limit", "2", "--workers", "1", "--out", "run"]
    assert main(["run", "--corpus", "folder:./own/", *arguments]) == 0
    scores = pd.concat(pd.read_parquet(path) for path in (tmp_path / "run" / "scores").glob("*.parquet"))
    assert set(scores["corpus"]) == {data} and (scores["status"] == "ok").all() and scores["clip"].nunique() == 2
    info = json.loads((tmp_path / "run" / "run.json").read_text())["corpora"][data]
    assert info["licence"] == "unknown" and not info["derivatives_allowed"]
    assert main(["validate", "run", "--sample", "1"]) == 0
    assert not list((tmp_path / "run").rglob("*.wav"))


def voices(folder: Path) -> None:
    """A corpus of 12 harmonic tones by 2 speakers, anger 4 semitones above neutral."""
    folder.mkdir()
    rows, t = [], np.arange(9600) / 16000
    for i in range(12):
        emotion, speaker = ("anger", "neutral")[i % 2], i // 2 % 2
        pitch = (120, 200)[speaker] * 2 ** ((4 * (emotion == "anger") + 0.2 * (i // 4)) / 12)
        tone = sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 12))
        soundfile.write(folder / f"c{i}.wav", 0.1 * tone, 16000)
        rows.append((f"c{i}.wav", emotion, f"s{speaker}", "fm"[1 - speaker]))
    table = pd.DataFrame(rows, columns=["file", "emotion", "speaker", "sex"])
    table.to_csv(folder / "labels.csv", index=False)


def test_cues_of_a_corpus_are_measured_as_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "cues", "folder:own", "--cue", "f0_level", "--cue", "hnr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "**pitch level** (f0_level)" and lines[2] == "| emotion | s0 | s1 |"
    assert lines[4].startswith("| anger | +") and "**harmonics to noise** (hnr)" in lines
    assert [line for line in lines if line.startswith("| anger | f0_level | +")]


def test_effects_as_json_are_those_of_the_tones(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    voices(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "cues", "folder:own", "--cue", "f0_level", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    effects = [row["d"] for row in found["effects"]]
    assert len(effects) == 2 and effects == pytest.approx([4 / 0.2] * 2, rel=0.05)  # 4 semitones over 0.2 of spread
    assert {row["speaker"] for row in found["effects"]} == {"s0", "s1"} and "signs" not in found


def test_cues_that_cannot_be_compared_are_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    voices(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "cues", "folder:own", "--cue", "f0level"]) == 2
    assert "Did you mean 'f0_level'" in capsys.readouterr().err
    assert main(["corpus", "cues", "folder:own", "--cue", "f0_level", "--limit", "4"]) == 2
    assert "no speaker has 3 neutral clips and 3 of another emotion" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["corpus", "cues", "--help"])
    assert "serxai corpus cues emodb --data-root DIR" in capsys.readouterr().out
