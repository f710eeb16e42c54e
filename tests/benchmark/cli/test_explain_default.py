"""`serxai explain` without a named corpus: a model of real speech, warnings with numbers, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.datasets.corpora import load_corpus
from serxai.models.bundled import BUNDLED

PLANTED = BUNDLED / "cnn-planted"


def explained(capsys, audio: Path, out: Path, *options: str) -> tuple[dict, str]:
    """Result of the command as JSON, and its page."""
    capsys.readouterr()
    assert main(["explain", str(audio), "--method", "saliency", "--out", str(out), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out), (out / f"{audio.stem}.html").read_text("utf-8")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = load_corpus("planted")
    table = corpus.table
    clip = corpus.clip(table.index[table["emotion"] == "anger"][0])
    path = tmp_path_factory.mktemp("planted") / "sound.wav"
    soundfile.write(path, clip.samples, 16_000, subtype="FLOAT")
    return path


@pytest.fixture
def quiet(planted: Path, tmp_path: Path) -> Path:
    """A sound of no corpus."""
    samples, rate = soundfile.read(planted)
    soundfile.write(tmp_path / "quiet.wav", 0.02 * samples, rate, subtype="FLOAT")
    return tmp_path / "quiet.wav"


def test_a_synthetic_file_is_told_and_its_model_named(planted: Path, tmp_path: Path, capsys) -> None:
    result, page = explained(capsys, planted, tmp_path / "out")
    assert result["trained_on"] == "emodb"
    assert result["trained"] == "cnn, trained on emodb: 4 classes, UAR 0.79 on speakers held out"
    assert any("synthetic speech (planted)" in w and "--trained-on planted" in w for w in result["warnings"])
    assert "synthetic speech (planted)" in page


def test_its_own_model_explains_it_without_a_warning(planted: Path, tmp_path: Path, capsys) -> None:
    for options in (["--trained-on", "planted"], ["--checkpoint", str(PLANTED)]):
        result, _ = explained(capsys, planted, tmp_path / options[0].strip("-"), *options)
        assert result["trained_on"] == "planted" and result["warnings"] == []
        assert result["target"] == "anger"


def test_a_file_far_from_the_corpus_is_warned_with_numbers(quiet: Path, tmp_path: Path, capsys) -> None:
    result, page = explained(capsys, quiet, tmp_path / "out")
    (level,) = (d for d in result["training_distance"] if d["quantity"] == "level")
    assert level["value"] < level["low"] < level["median"]
    (warning,) = (w for w in result["warnings"] if w.startswith("far from the training corpus emodb"))
    assert f"level {level['value']:.1f} dB" in warning and warning[1:] in page.replace("&#39;", "'")
    assert main(["explain", str(quiet), "--method", "saliency", "--out", str(tmp_path / "again")]) == 0
    captured = capsys.readouterr()
    assert "far from the training corpus emodb" in captured.err
    assert "4 classes, UAR 0.79 on speakers held out" in captured.out


def test_a_model_of_synthetic_speech_is_refused_unless_named(quiet: Path, tmp_path: Path, capsys) -> None:
    command = [
        "explain",
        str(quiet),
        "--method",
        "saliency",
        "--checkpoint",
        str(PLANTED),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "trained on synthetic speech (planted)" in said and "--trained-on planted" in said
    result, _ = explained(capsys, quiet, tmp_path / "named", "--trained-on", "planted")
    assert result["trained_on"] == "planted"
    assert any("does not hear emotion" in warning for warning in result["warnings"])


@pytest.mark.real_data
def test_an_emodb_file_is_explained_by_the_fold_without_its_speaker(tmp_path: Path, capsys) -> None:
    corpus = load_corpus("emodb")
    (audio,) = corpus.root.rglob("03a01Wa.wav")
    result, _ = explained(capsys, audio, tmp_path / "out")
    assert result["seen_in_training"] == "no" and result["warnings"] == []
    assert result["target"] == "anger" and result["trained_on"] == "emodb"


@pytest.mark.real_data
def test_a_ravdess_file_is_warned(tmp_path: Path, capsys) -> None:
    corpus = load_corpus("ravdess")
    audio = sorted(corpus.root.rglob("*.wav"))[0]
    result, _ = explained(capsys, audio, tmp_path / "out")
    assert result["trained_on"] == "emodb" and result["trained"]
    assert {"level"} <= {deviation["quantity"] for deviation in result["training_distance"]}
