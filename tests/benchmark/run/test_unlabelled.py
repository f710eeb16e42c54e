"""A folder of sounds without labels: explained for the predicted class, what needs a label is skipped with reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import serxai
from serxai.benchmark.cli.main import main
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError, TableWarning


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Voiced sounds at two depths, beside a file that is none."""
    folder = tmp_path_factory.mktemp("data") / "calls"
    (folder / "monday").mkdir(parents=True)
    rng = np.random.default_rng(0)
    t = np.arange(16_000) / 16_000
    for number, name in enumerate(("a.wav", "b.wav", "monday/c.flac", "monday/d.wav")):
        voice = sum(np.sin(2 * np.pi * (120 + 20 * number) * h * t) / h for h in range(1, 30))
        sound = 0.05 * voice * (1 + np.sin(2 * np.pi * 3 * t)) + rng.normal(0, 0.001, t.size)
        soundfile.write(folder / name, sound.astype(np.float32), 16_000)
    (folder / "notes.txt").write_text("not a sound")
    return folder


def test_the_folder_is_a_corpus_without_labels(sounds: Path) -> None:
    with pytest.warns(TableWarning, match="4 sound files without a table"):
        corpus = load_corpus(f"folder:{sounds}")
    assert not corpus.labelled and list(corpus.table.index) == ["a", "b", "c", "d"]
    assert set(corpus.table["emotion"]) == {""} and corpus.table["speaker"].nunique() == 1
    assert sorted(corpus.select(["anger"])) == ["a", "b", "c", "d"]
    assert corpus.clip("c").emotion == "" and "no labels" in corpus.record.summary


@pytest.mark.filterwarnings("ignore::serxai.errors.TableWarning")
def test_a_run_scores_what_needs_no_label(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERXAI_DATA", str(tmp_path / "empty"))  # the corpus of training is not on this disk
    name = f"folder:{sounds}"
    status = main(
        ["run", "--corpus", name, "--method", "saliency", "--method", "random", "--metric", "gini",
         "--metric", "input-independence", "--metric", "deletion", "--metric", "mass-accuracy",
         "--fill", "attenuate", "--workers", "1", "--out", str(tmp_path / "run")]
    )  # fmt: skip
    run = serxai.open_run(tmp_path / "run")
    scores = run.scores
    assert status == 0 and len(scores) == 4 * 2 * 4
    assert set(scores["trained_on"]) == {"emodb"} and set(scores["emotion"]) == {""}
    assert scores["correct"].isna().all() and set(scores["target_rule"]) >= {"predicted"}
    by_metric = scores.groupby("metric")["status"].agg(set).to_dict()
    assert by_metric["gini"] == by_metric["deletion"] == {"ok"}
    reasons = scores[scores["status"] == "skipped"].groupby("metric")["reason"].agg(set).to_dict()
    assert reasons["input-independence"] == {
        "needs a label: compares with a clip of the same emotion, and this clip has none"
    }
    assert reasons["mass-accuracy"] == {"needs a label: the true class is explained, and the clip has none"}
    assert (run.path / "report" / "index.html").is_file()
    board = run.leaderboard("gini")
    assert not board["p_holm"].notna().any()  # one unknown speaker: nothing is claimed


@pytest.mark.filterwarnings("ignore::serxai.errors.TableWarning")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"emotion": "anger"}, "leave out emotion"),
        ({"trained_on": "itself"}, "no labels to learn from"),
    ],
)
def test_what_labels_are_needed_for_is_refused(given: dict[str, str], said: str, sounds: Path, tmp_path: Path) -> None:
    name = f"folder:{sounds}"
    given = {key: name if value == "itself" else value for key, value in given.items()}
    with pytest.raises(InputError, match=said):
        serxai.run(corpus=name, method="random", metric="gini", out=tmp_path / "run", **given)


def test_a_folder_without_sounds_is_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no sound files, no CSV, no corpus.toml and no db.yaml; put sound files"):
        load_corpus(f"folder:{tmp_path}")


def test_a_table_without_emotions_is_a_corpus_without_labels(sounds: Path) -> None:
    table = sounds / "speakers.csv"
    table.write_text("file,speaker,topic\na.wav,anna,x\nb.wav,ben,y\nmonday/c.flac,anna,x\n")
    try:
        with pytest.warns(
            TableWarning, match=r"no column for the emotion \(emotion, label, .*so 3 clips without labels"
        ):
            corpus = load_corpus(f"folder:{sounds}")
        assert not corpus.labelled and list(corpus.table["speaker"]) == ["anna", "ben", "anna"]
        table.write_text("file\na.wav\nb.wav\n")
        with pytest.warns(TableWarning, match="2 clips without labels"):
            assert set(load_corpus(f"folder:{sounds}").table["speaker"]) == {"unknown"}
    finally:
        table.unlink()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("file,emotoin,speaker", r"no column for the emotion.*Perhaps 'emotoin'"),
        ("file,speeker", r"no column for the speaker.*Perhaps 'speeker'"),
        ("sound,speaker", "no column for the file"),
    ],
)
def test_a_misspelt_column_is_not_taken_for_a_missing_one(header: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "t.csv").write_text(f"{header}\na.wav{',x' * header.count(',')}\n")
    with pytest.raises(InputError, match=said):
        load_corpus(f"folder:{tmp_path}")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::serxai.errors.TableWarning")
def test_speakers_of_unlabelled_clips_are_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERXAI_DATA", str(tmp_path / "empty"))
    folder = tmp_path / "calls"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,speaker"]
    for number in range(14):
        soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
        rows.append(f"{number}.wav,s{number // 2}")
    (folder / "speakers.csv").write_text("\n".join(rows))
    run = serxai.run(
        corpus=f"folder:{folder}", method=["saliency", "random", "energy"], metric=["core", "abpc"], workers=1,
        condition=["clean", "noise-20db"], out=tmp_path / "run",
    )  # fmt: skip
    scores = run.scores
    assert set(scores["status"]) <= {"ok", "skipped"} and scores["speaker"].nunique() == 7
    assert (scores.loc[scores["status"] == "skipped", "reason"].str.len() > 0).all()
    assert run.leaderboard("abpc")["p_holm"].notna().any()  # seven known speakers: tested
