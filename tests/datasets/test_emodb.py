"""EMODB against the manifest made independently of this project's parser."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.errors import InputError

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
