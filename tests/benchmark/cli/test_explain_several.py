"""``serxai explain`` with several files, a fill, and parameters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.datasets.corpora import load_corpus


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    corpus = load_corpus("planted")
    for name, emotion in (("one", "anger"), ("two", "sadness")):
        clip = corpus.clip(corpus.table.index[corpus.table["emotion"] == emotion][0])
        soundfile.write(folder / f"{name}.wav", clip.samples, 16_000, subtype="FLOAT")
    soundfile.write(folder / "short.wav", np.full(100, 0.1, np.float32), 16_000, subtype="FLOAT")
    return folder


def test_each_file_has_its_results(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(sounds / "one.wav"), str(sounds / "two.wav")]
    flags = "--trained-on planted --method emolime --fill noise --param emolime.alpha=2 --json"
    assert main(["explain", *files, *flags.split(), "--out", str(tmp_path)]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["audio"] for result in results] == ["one.wav", "two.wav"]
    for result in results:
        parameters = result["explanations"]["emolime"]["parameters"]
        assert parameters["fill"] == "noise" and parameters["alpha"] == 2.0
    assert (tmp_path / "one.html").is_file() and (tmp_path / "two.json").is_file()
    assert main(["explain", files[0], *flags.split(), "--out", str(tmp_path / "alone")]) == 0
    assert json.loads(capsys.readouterr().out) == results[0]


def test_one_that_cannot_be_explained_does_not_stop_the_others(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(sounds / name) for name in ("short.wav", "one.wav")]
    assert main(["explain", *files, "--trained-on", "planted", "--method", "random", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "not explained:" in said.err and "short.wav" in said.err and (tmp_path / "one.json").is_file()
    assert main(["explain", files[0], "--trained-on", "planted", "--method", "random", "--out", str(tmp_path)]) == 2
