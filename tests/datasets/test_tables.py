"""Tables as written: one line is one row, shifted cells are refused, speakers and files are who and where they are."""

from __future__ import annotations

import csv
import json
import unicodedata
import warnings
from argparse import Namespace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.benchmark.cli.corpus import verify
from serxai.datasets.corpora import load_corpus
from serxai.datasets.labels import class_names, known_emotion, misspelt
from serxai.datasets.speakers import clean_name, near_equal
from serxai.datasets.table import read_table
from serxai.datasets.verify import verify_corpus
from serxai.errors import InputError

CASES = Path("/work/shared/cases/tables")
EMOTIONS = ("angry", "happy", "sad", "neutral")


def sounds(folder: Path, names: tuple[str, ...] = ("a.wav", "b.wav", "c.wav", "d.wav")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        soundfile.write(folder / name, np.sin(np.arange(800 + i) / (3 + i)) / 2, 16000)


def table(folder: Path, *rows: str, header: str = "file,emotion,speaker", name: str = "labels.csv") -> str:
    (folder / name).write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return f"folder:{folder / name}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sounds(tmp_path / "data")
    return tmp_path / "data"


# ---------------------------------------------------------------- rows and cells


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("b.wav,happy,Oh, good,s1", "line 3 has 5 cells, the header has 4"),
        ("b.wav,happy,s1", "line 3 has 3 cells, the header has 4"),
        ("b.wav,happy,good,s1,", "line 3 has 5 cells"),
        ('b.wav,happy,"good,s1', "line 3 .*quotation mark is not closed"),
        ('b.wav,happy,"Yes" she said,s1', "line 3 cannot be read"),
        ('b.wav,happy,"two\nlines",s1', "line 3 .*ends on its line"),
    ],
)
def test_a_shifted_row_is_refused_with_its_line(data: Path, row: str, said: str) -> None:
    name = table(data, "a.wav,sad,well,s1", row, "c.wav,sad,well,s2", header="file,emotion,text,speaker")
    with pytest.raises(InputError, match=said):
        load_corpus(name)


def test_quotation_marks_in_a_tsv_are_letters(data: Path) -> None:
    texts = ['"Go', "no", '"', 'x"y']
    rows = [f"{file}.wav\t{emotion}\ts1\t{text}" for file, emotion, text in zip("abcd", EMOTIONS, texts, strict=True)]
    name = table(data, *rows, header="file\temotion\tspeaker\ttext", name="labels.tsv")
    corpus = load_corpus(name)
    assert list(corpus.table["sentence"]) == texts


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=8)))
def test_every_line_that_csv_writes_is_one_row(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("table") / "a.csv"
    file = StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[f"c{i}" for i in range(len(rows[0]))], *rows])
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    read = read_table(path, "a.csv")
    assert read.rows == rows and read.lines == list(range(2, len(rows) + 2))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"file,emotion,speaker,speaker\n", "names the column 'speaker' more than once"),
        ("file,emotion".encode("utf-16"), "not UTF-8"),
        (b"f\0i\0l\0e\0", "NUL"),
        (b"\n\n", "it is empty"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "a.csv", "a.csv")


# ---------------------------------------------------------------- speakers


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "n/a", "unknown", "Unknown", "?", "None"])
def test_a_missing_speaker_is_no_speaker(data: Path, missing: str) -> None:
    rows = ["a.wav,sad,s1", f"b.wav,sad,{missing}", "c.wav,sad,s2", f"d.wav,sad,{missing}"]
    name = table(data, *rows)
    with pytest.raises(InputError, match=r"2 of 4 rows have no speaker .*lines 3, 5.*missing_speakers"):
        load_corpus(name)
    (data / "corpus.toml").write_text('missing_speakers = "leave-out"')
    with pytest.warns(UserWarning, match="2 of 4 rows have no speaker and are left out"):
        corpus = load_corpus(name)
    assert list(corpus.table["speaker"]) == ["s1", "s2"] and corpus.record.speakers == 2


def test_names_are_composed_and_near_equal_ones_are_warned_of(data: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Zoë")
    name = table(data, "a.wav,sad,Zoë", f"b.wav,sad,{decomposed}", "c.wav,sad,1", "d.wav,sad,01")
    with pytest.warns(UserWarning, match="differ in spelling alone: '1' and '01'"):
        corpus = load_corpus(name)
    assert set(corpus.table["speaker"]) == {"Zoë", "1", "01"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = [finding for finding in verify_corpus(corpus.record).findings if finding.kind == "table"]
    assert len(told) == 1 and not told[0].fault


def test_which_names_are_near_equal() -> None:
    assert near_equal(["Anna", "anna", "Bert", "spk_01", "spk-1", "s10", "s1", "s2"]) == [
        ("Anna", "anna"),
        ("spk-1", "spk_01"),
    ]
    assert near_equal(f"{sex}{n}" for sex in "mf" for n in range(200)) == []
    assert clean_name("  A \u00a0 b ") == "A b" and clean_name("Nan") == "" and clean_name("Nana") == "Nana"


# ---------------------------------------------------------------- paths


def test_case_and_unicode_form_of_names_are_resolved_and_told(data: Path) -> None:
    sounds(data / "Töne", ("Für.WAV", "ok.wav"))
    written = unicodedata.normalize("NFD", "töne/für.wav")
    name = table(data, f"{written},sad,s1", "Töne/ok.wav,sad,s2")
    with pytest.warns(UserWarning, match="1 files are on disk with other case or Unicode form"):
        corpus = load_corpus(name)
    assert set(corpus.table["file"]) == {"Töne/Für.WAV", "Töne/ok.wav"} and corpus.clip("ok").samples.size
    sounds(data / "Töne", ("FÜR.wav",))
    with pytest.raises(InputError, match="several spellings on disk"):
        load_corpus(name)


def test_a_linked_root_is_the_folder_it_leads_to(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    for folder in (data, tmp_path / "link"):
        rows = [f"{folder / file}.wav,sad,s{i}" for i, file in enumerate("ab")]
        table(data, *rows)
        for root in (data, tmp_path / "link"):
            assert list(load_corpus(f"folder:{root}").table["file"]) == ["a.wav", "b.wav"]


def test_apple_double_files_are_ignored(data: Path) -> None:
    table(data, "a.wav,sad,s1", "b.wav,sad,s2")
    (data / "._labels.csv").write_bytes(b"\x00\x05\x16\x07")
    (data / "._a.wav").write_bytes(b"\x00\x05\x16\x07")
    assert len(load_corpus(f"folder:{data}").table) == 2
    table(data, "._a.wav,sad,s1", "b.wav,sad,s2")
    with pytest.raises(InputError, match="AppleDouble"):
        load_corpus(f"folder:{data}")


# ---------------------------------------------------------------- labels


def test_a_label_may_be_a_class_of_its_own_name(data: Path) -> None:
    name = table(data, "a.wav,Boasting,s1", "b.wav,sad,s2", "c.wav,brag,s1")
    with pytest.raises(InputError, match=r"2 unknown labels.*class of its own name"):
        load_corpus(name)
    (data / "corpus.toml").write_text('[labels]\nboasting = "boasting"\nbrag = "boasting"')
    corpus = load_corpus(name)
    assert list(corpus.table["emotion"]) == ["boasting", "sadness", "boasting"]
    assert corpus.record.emotions == ("sadness", "boasting") and len(corpus.select(["boasting"])) == 2
    (data / "corpus.toml").write_text('[labels]\nboasting = "two words"\n"two words" = "two words"')
    with pytest.raises(InputError, match="cannot name classes"):
        load_corpus(name)


def test_one_vocabulary() -> None:
    assert [known_emotion(word) for word in ("Joyful", "pleasant surprise", "PS", "Anger/Angry", "fea", "rage")] == [
        "happiness", "surprise", "surprise", "anger", "fear", None,
    ]  # fmt: skip
    assert class_names(["Angry", "sad", "Excited"], "m", "x") == ("anger", "sadness", "excited")
    with pytest.raises(InputError, match="mean one emotion"):
        class_names(["angry", "anger", "sad"], "m", "x")
    with pytest.raises(InputError, match="fewer than 2"):
        class_names(["LABEL_0", "LABEL_1"], "m", "x")


def test_hints_are_not_absurd() -> None:
    assert [misspelt(word) for word in ("angri", "hapiness", "Neutrall", "suprised")] == [
        "angry", "happiness", "neutral", "surprised",
    ]  # fmt: skip
    for word in ("mad", "bad", "glad", "laughter", "excited", "other", "danger", "rage", "xxx", "calling", "near"):
        assert misspelt(word) is None, word


# ---------------------------------------------------------------- verify tells what run refuses


def test_clips_that_a_run_refuses_are_told_beforehand(data: Path, capsys: pytest.CaptureFixture) -> None:
    soundfile.write(data / "a[x].wav", np.zeros(1600), 16000)
    (data / "b.wav").write_text("no sound, 60 bytes of text that no decoder takes for a header")
    name = table(data, "a[x].wav,sad,s1", "b.wav,sad,s1", "c.wav,sad,s2")
    assert verify(Namespace(name=name, data_root=None, json=False)) == 1
    printed = capsys.readouterr().out
    assert "serxai run will refuse 2 clips" in printed and "a[x].wav" in printed
    assert "contradict" not in printed and "publisher" not in printed
    assert verify(Namespace(name=name, data_root=None, json=True)) == 1
    told = capsys.readouterr().out
    assert " at 0x" not in told and set(json.loads(told)["refused"]) == {"a[x].wav", "b.wav"}


def test_iemocap_without_its_labels_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "iemocap" / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    sounds(folder, ("Ses01F_impro01_F000.wav",))
    for find in (lambda: load_corpus("iemocap", tmp_path), lambda: verify_corpus(load_record("iemocap"), tmp_path)):
        with pytest.raises(InputError, match=r"none of the files that label them .*EmoEvaluation"):
            find()


def load_record(name: str):
    from serxai.datasets.corpora import CORPORA

    return CORPORA.get(name)


def test_twins_with_two_labels_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serxai.datasets import manifest
    from serxai.datasets.corpus import file_digest

    sounds(tmp_path / "crema-d", ("1006_TIE_HAP_XX.wav",))
    first = tmp_path / "crema-d" / "1006_TIE_HAP_XX.wav"
    second = first.with_name("1006_TIE_NEU_XX.wav")
    sums = {first.name: file_digest(first), second.name: file_digest(first)}
    monkeypatch.setattr(manifest, "_read_sums", lambda name: sums if name == "crema-d" else {})
    record = load_record("crema-d")
    (alone,) = [f for f in verify_corpus(record, tmp_path).findings if f.kind == "same sound"]
    assert alone.detail == "the publisher has the same bytes as 1006_TIE_NEU_XX.wav"
    second.write_bytes(first.read_bytes())
    (twin,) = [f for f in verify_corpus(record, tmp_path).findings if f.kind == "same sound"]
    assert twin.detail.endswith("labelled neutral here and happiness there") and verify_corpus(record, tmp_path).ok


@pytest.mark.skipif(not CASES.is_dir(), reason="the handed inputs are not here")
def test_the_handed_tables() -> None:
    with pytest.raises(InputError, match="line 2 has 5 cells"):
        load_corpus(f"folder:{CASES / 'csv-unquoted_comma_before_speaker'}")
    assert len(load_corpus(f"folder:{CASES / 'csv-stray_quotes_tsv'}").table) == 4
    with pytest.raises(InputError, match="3 of 4 rows have no speaker"):
        load_corpus(f"folder:{CASES / 'csv-speaker_nan_text'}")
