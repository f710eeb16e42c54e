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
        "03": "male",
        "08": "female",
        "09": "female",
        "10": "male",
        "11": "male",
        "12": "male",
        "13": "female",
        "14": "female",
        "15": "male",
        "16": "female",
    }
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
        soundfile.write(folder / f"{clip_id}.wav", np.sin(np.arange(16_000)) / 2, 16_000)
    notes = folder / "annotations" / "silb"
    (notes / "03a01Fa.silb").write_text("0.10\tder\n0.25   la\n0.40\t(\n0.50\tppen\n0.80\t.\n", "latin-1")
    (notes / "03a01Wa.silb").write_text("0.10\tder\nlater\n", "latin-1")
    corpus = load_corpus("emodb", tmp_path)
    words = [(word.label, word.start_s, word.end_s) for word in corpus.clip("03a01Fa").words]
    assert words == [("der", 0.1, 0.25), ("la", 0.25, 0.4), ("ppen", 0.5, 0.8)]
    assert corpus.clip("03a01Nc").words == ()
    with pytest.raises(ClipError, match="'later' is not a time in seconds and a label"):
        corpus.clip("03a01Wa")


def test_phones_are_read_without_their_phases(tmp_path: Path) -> None:
    """A plosive's closure, burst and aspiration are one stretch, a mark of articulation starts none.

    Two equal sounds in a row stay two; a burst without its closure is the plosive.
    """
    folder = tmp_path / "emodb"
    folder.mkdir()
    for clip_id in ("03a01Fa", "03a01Nc"):
        soundfile.write(folder / f"{clip_id}.wav", np.sin(np.arange(16_000)) / 2, 16_000)
    marks = [
        (0.1, "t\t-sth"),
        (0.12, "!t"),
        (0.13, "tasp"),
        (0.15, "a\t+lar\t2"),
        (0.2, "\t-lar"),
        (0.25, "n"),
        (0.3, "n"),
        (0.35, "(gef"),
        (0.4, "!d"),
        (0.45, "I+nas"),
        (0.5, "-lar"),
        (0.6, "."),
    ]
    lines = "".join(f"    {start:.6f}   -1 {label}\n" for start, label in marks)
    (folder / "03a01Faxx.lablaut").write_text(f"signal 0.5 x\nnfields 1\n#\n{lines}", "latin-1")
    corpus = load_corpus("emodb", tmp_path)
    assert [(word.label, word.start_s, word.end_s) for word in corpus.clip("03a01Fa").phones] == [
        ("t", 0.1, 0.15),
        ("a", 0.15, 0.25),
        ("n", 0.25, 0.3),
        ("n", 0.3, 0.35),
        ("d", 0.4, 0.45),
        ("I", 0.45, 0.6),
    ]
    assert corpus.clip("03a01Nc").phones == ()


@pytest.mark.real_data
def test_phones_and_syllables_agree(data_root: Path) -> None:
    """Two files by two passes of labelling: most syllables begin where a phone does."""
    corpus = load_corpus("emodb", data_root)
    apart = []
    for clip_id in corpus.select(FOUR, limit=40):
        clip = corpus.clip(clip_id)
        starts = np.array([phone.start_s for phone in clip.phones])
        assert clip.phones[-1].end_s <= clip.duration_s and len(starts) > len(clip.words)
        assert all(b.start_s >= a.end_s for a, b in itertools.pairwise(clip.phones))
        apart += [np.abs(starts - word.start_s).min() for word in clip.words]
    assert len(apart) > 400 and np.mean(np.array(apart) < 0.002) > 0.75


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


def test_stress_and_voicing_are_read_from_the_labels(tmp_path: Path) -> None:
    """Numbers behind syllables; sounds by their kind, and by ``+sth`` and ``-sth`` from where these stand."""
    folder = tmp_path / "emodb"
    folder.mkdir()
    for clip_id in ("03a01Fa", "03a01Nc"):
        soundfile.write(folder / f"{clip_id}.wav", np.sin(np.arange(16_000)) / 2, 16_000)
    syllables = [(0.1, "der\t0.4"), (0.25, "la\t2.4"), (0.4, "("), (0.5, "pen"), (0.8, ".\t")]
    phones = [
        (0.1, "_d\t-sth"),
        (0.12, "dasp"),
        (0.15, "E6"),
        (0.25, "s\t+sth"),
        (0.27, "\t-sth"),
        (0.3, "\t-nas"),
        (0.32, "a\t+lar\t2"),
        (0.4, "("),
        (0.5, "-sth"),
        (0.6, "m"),
        (0.8, "."),
    ]
    for name, marks in (("03a01Fa.labsilb", syllables), ("03a01Faxx.lablaut", phones)):
        lines = "".join(f"    {start:.6f}   -1 {label}\n" for start, label in marks)
        (folder / name).write_text(f"signal x\nnfields 1\n#\n{lines}", "latin-1")
    corpus = load_corpus("emodb", tmp_path)
    found = corpus.clip("03a01Fa").marks
    assert [(w.label, w.start_s, w.end_s) for w in found["stress"]] == [("0.4", 0.1, 0.25), ("2.4", 0.25, 0.4)]
    assert [(w.label, w.start_s, w.end_s) for w in found["voicing"]] == [
        ("0", 0.1, 0.12),
        ("0", 0.12, 0.15),
        ("1", 0.15, 0.25),
        ("1", 0.25, 0.27),
        ("0", 0.27, 0.32),
        ("1", 0.32, 0.4),
        ("0", 0.5, 0.6),
        ("1", 0.6, 0.8),
    ]
    assert corpus.clip("03a01Nc").marks == {"stress": (), "voicing": ()}


@pytest.mark.real_data
def test_what_is_labelled_voiced_has_a_pitch(data_root: Path) -> None:
    """Against Praat, which does not know the labels: measured .84 of voiced and .04 of voiceless time (60 clips)."""
    import parselmouth

    corpus = load_corpus("emodb", data_root)
    heard: dict[str, list[bool]] = {"0": [], "1": []}
    rated = 0
    for clip_id in corpus.select(FOUR, limit=20):
        clip = corpus.clip(clip_id)
        pitch = parselmouth.Sound(clip.samples.astype(float), 16_000).to_pitch(0.005, 75, 500)
        times, voiced = pitch.xs(), pitch.selected_array["frequency"] > 0
        for word in clip.marks["voicing"]:
            heard[word.label] += voiced[(times >= word.start_s) & (times < word.end_s)].tolist()
        rated += bool(clip.marks["stress"])
        assert all(0 <= float(word.label) <= 3 for word in clip.marks["stress"])
    assert np.mean(heard["1"]) > 0.75 and np.mean(heard["0"]) < 0.1
    assert rated >= 15  # 19 of the 342 clips here have no such file, most of them sad
