"""EMODB against the manifest made independently of this project's parser."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.errors import ClipError, InputError

FOUR = ["anger", "happiness", "neutral", "sadness"]


@pytest.fixture(scope="module")
def manifest(data_root: Path) -> pd.DataFrame:
    table = pd.read_csv(data_root / "emodb" / "manifest.csv", dtype=str)
    return table.set_index(table["file"].map(lambda file: Path(file).stem)).sort_index()


def test_every_code_of_the_publisher_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "emodb"
    folder.mkdir()
    speakers = {
        "03": "male", "08": "female", "09": "female", "10": "male", "11": "male",
        "12": "male", "13": "female", "14": "female", "15": "male", "16": "female",
    }  # fmt: skip
    letters = dict(
        zip("WLEAFTN", ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral"), strict=True)
    )
    for speaker, letter in itertools.product(speakers, letters):
        (folder / f"{speaker}b10{letter}c.wav").touch()
    table = load_corpus("emodb", tmp_path).table
    assert len(table) == 70
    for clip_id, row in table.iterrows():
        assert row["speaker"] == clip_id[:2] and row["sex"] == speakers[clip_id[:2]]
        assert row["sentence"] == "b10" and row["emotion"] == letters[clip_id[5]]


def test_a_missing_emodb_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"03a01Fa\.wav.*http://emodb\.bilderbar\.info.*--data-root"):
        load_corpus("emodb", tmp_path)


def test_the_record_states_licence_and_limits() -> None:
    record = CORPORA.get("emodb")
    assert record.licence == "CC0-1.0" and "Interspeech 2005" in record.citation
    assert record.derivatives_allowed and not record.level_comparable
    assert (record.language, record.speakers, record.clips, len(record.emotions)) == ("de", 10, 535, 7)


@pytest.mark.real_data
def test_the_table_equals_the_manifest(data_root: Path, manifest: pd.DataFrame) -> None:
    table = load_corpus("emodb", data_root).table
    assert len(table) == 342
    assert table["emotion"].isin(FOUR).sum() == 339
    for column in ("file", "emotion", "speaker", "sex", "sentence"):
        assert table[column].tolist() == manifest[column].tolist()


@pytest.mark.real_data
def test_clips_are_the_publishers_samples(data_root: Path, manifest: pd.DataFrame) -> None:
    corpus = load_corpus("emodb", data_root)
    for clip_id in corpus.select(limit=8):
        integers, rate = soundfile.read(data_root / "emodb" / manifest.loc[clip_id, "file"], dtype="int16")
        clip = corpus.clip(clip_id)
        assert rate == 16000
        assert np.array_equal(clip.samples, integers.astype(np.float32) / 2**15)
        assert clip.duration_s == pytest.approx(float(manifest.loc[clip_id, "duration_s"]), abs=1e-4)


@pytest.mark.real_data
def test_each_of_five_folds_holds_one_woman_and_one_man(data_root: Path) -> None:
    corpus = load_corpus("emodb", data_root)
    folds = corpus.folds()
    sexes = corpus.table.groupby("speaker")["sex"].first()
    assert [sorted(sexes[list(names)]) for names in folds.speakers.values()] == [["female", "male"]] * 5
    four = corpus.table[corpus.table["emotion"].isin(FOUR)]
    clips = four["speaker"].map(folds.fold_of).value_counts()
    assert clips.max() / clips.min() < 1.25
    by_emotion = pd.crosstab(four["speaker"].map(folds.fold_of), four["emotion"])
    assert by_emotion.min().min() >= 10


@pytest.mark.real_data
def test_a_small_selection_is_balanced(data_root: Path) -> None:
    corpus = load_corpus("emodb", data_root)
    chosen = corpus.table.loc[corpus.select(FOUR, limit=40)]
    assert (chosen["speaker"].value_counts() == 4).all()
    assert (chosen["emotion"].value_counts() == 10).all()
    assert chosen["emotion"][:10].value_counts().max() <= 3


def test_syllables_are_read_with_their_pauses(tmp_path: Path) -> None:
    """Starts in the file become stretches; ``(`` is a pause, ``.`` the end; spaces do for tabs, as in some files."""
    folder = tmp_path / "emodb"
    (folder / "annotations" / "silb").mkdir(parents=True)
    for clip_id in ("03a01Fa", "03a01Nc", "03a01Wa"):
        soundfile.write(folder / f"{clip_id}.wav", np.zeros(16_000), 16_000)
    notes = folder / "annotations" / "silb"
    (notes / "03a01Fa.silb").write_text("0.10\tder\n0.25   la\n0.40\t(\n0.50\tppen\n0.80\t.\n", "latin-1")
    (notes / "03a01Wa.silb").write_text("0.10\tder\nlater\n", "latin-1")
    corpus = load_corpus("emodb", tmp_path)
    words = [(word.label, word.start_s, word.end_s) for word in corpus.clip("03a01Fa").words]
    assert words == [("der", 0.1, 0.25), ("la", 0.25, 0.4), ("ppen", 0.5, 0.8)]
    assert corpus.clip("03a01Nc").words == ()
    with pytest.raises(ClipError, match="'later' is not a time in seconds and a label"):
        corpus.clip("03a01Wa")


@pytest.mark.real_data
def test_syllables_begin_where_the_voice_does(data_root: Path) -> None:
    """Marks are starts: the voice is louder after the first one than before it (the other reading has it silent)."""
    corpus = load_corpus("emodb", data_root)
    rises = []
    for clip_id in corpus.select(FOUR, limit=40):
        clip = corpus.clip(clip_id)
        if not clip.words:  # one clip has no file of syllables
            continue
        first = round(clip.words[0].start_s * 16_000)
        assert clip.words[-1].end_s <= clip.duration_s + 0.01
        assert all(b.start_s >= a.end_s for a, b in itertools.pairwise(clip.words))
        if first > 320:
            rises.append(np.mean(clip.samples[first : first + 1280] ** 2) / np.mean(clip.samples[:first] ** 2))
    assert len(rises) > 20 and np.mean(np.array(rises) > 10) > 0.9
