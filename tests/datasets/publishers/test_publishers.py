"""Each publisher's file names: read as declared, complete, and split by speaker whatever is there of them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.datasets.corpora import CORPORA, layout_of, load_corpus
from serxai.datasets.corpus import Corpus, FileNameParser
from serxai.datasets.folds import Folds, speaker_folds
from serxai.datasets.manifest import publisher_checksums
from serxai.errors import InputError

WITH_SUMS = ("emodb", "ravdess", "tess", "crema-d", "nemo")


def iemocap_turns() -> dict[str, tuple[str, str]]:
    """File to turn and label, in the five sessions' layout, every label in each session by either speaker."""
    turns = {}
    labels = ("ang", "hap", "exc", "sad", "neu", "fea", "sur", "dis", "fru", "xxx", "oth")
    for session, markers, role in product(range(1, 6), "FM", "FM"):
        for number, label in enumerate(labels):
            dialogue = f"Ses{session:02}{markers}_{'impro01' if number % 2 else 'script01_1'}"
            turn = f"{dialogue}_{role}{number:03}"
            turns[f"IEMOCAP_full_release/Session{session}/sentences/wav/{dialogue}/{turn}.wav"] = (turn, label)
    return turns


def publisher_files(name: str) -> list[str]:
    if name == "savee":
        numbers = {"n": 30} | dict.fromkeys(("a", "d", "f", "h", "sa", "su"), 15)
        return [
            f"AudioData/{s}/{e}{i:02}.wav"
            for s in ("DC", "JE", "JK", "KL")
            for e in numbers
            for i in range(1, numbers[e] + 1)
        ]
    return sorted(publisher_checksums(CORPORA.get(name)))


def table_of(name: str) -> pd.DataFrame:
    """The complete corpus' table, from names alone."""
    record = CORPORA.get(name)
    layout = layout_of(record)
    assert layout is not None
    names = FileNameParser(record, layout, Path("nowhere"))
    rows = [names.parse(file) for file in publisher_files(name)]
    return pd.DataFrame(rows).set_index("id")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {name: table_of(name) for name in (*WITH_SUMS, "savee")}


@pytest.mark.parametrize("name", [*WITH_SUMS, "savee"])
def test_every_file_of_the_publisher_is_one_clip_and_counts_are_as_declared(name: str, tables) -> None:
    record, table = CORPORA.get(name), tables[name]
    assert len(table) == record.clips and table.index.is_unique
    assert Counter(table["emotion"]) == Counter(record.label_counts)
    assert table["speaker"].nunique() == record.speakers
    assert (table.groupby("speaker")["sex"].nunique() == 1).all()
    assert (table["sentence"] != "").all()


def test_facts_of_single_files() -> None:
    expected = {
        "emodb": ("wav/16b10Tb.wav", "16b10Tb", "sadness", "16", "female", "b10"),
        "ravdess": ("Actor_12/03-01-06-01-02-01-12.wav", "03-01-06-01-02-01-12", "fear", "12", "female", "02"),
        "tess": ("OAF_Pleasant_surprise/OAF_back_ps.wav", "OAF_back_ps", "surprise", "OAF", "female", "back"),
        "crema-d": ("AudioWAV/1001_DFA_ANG_XX.wav", "1001_DFA_ANG_XX", "anger", "1001", "male", "DFA"),
        "nemo": ("samples/MP0_surprised_14.wav", "MP0_surprised_14", "surprise", "MP0", "male", "14"),
        "savee": ("ALL/KL_su03.wav", "KL_su03", "surprise", "KL", "male", "su03"),
    }
    for name, (file, *facts) in expected.items():
        record = CORPORA.get(name)
        layout = layout_of(record)
        assert layout is not None
        found = FileNameParser(record, layout, Path("nowhere")).parse(file)
        assert found is not None
        assert [found[key] for key in ("id", "emotion", "speaker", "sex", "sentence")] == facts


def test_the_file_that_tess_misnames_has_its_speaker(tables) -> None:
    assert tables["tess"].loc["OA_bite_neutral", ["speaker", "emotion"]].tolist() == ["OAF", "neutral"]


def test_label_counts_must_add_up() -> None:
    record = CORPORA.get("tess")
    for counts in (dict(record.label_counts) | {"anger": 399}, {"anger": record.clips}):
        with pytest.raises(InputError, match=r"add up to the 2800 clips"):
            replace(record, label_counts=counts)


def test_songs_and_videos_are_not_in_ravdess() -> None:
    record = CORPORA.get("ravdess")
    layout = layout_of(record)
    assert layout is not None
    names = FileNameParser(record, layout, Path("nowhere"))
    assert names.parse("03-02-06-01-02-01-12.wav") is None and names.parse("01-01-06-01-02-01-12.mp4") is None


@pytest.mark.parametrize("name", [*WITH_SUMS, "savee"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_folds_are_speaker_disjoint_on_any_subset_and_ignore_order(name: str, tables, data, tmp_path_factory) -> None:
    whole = tables[name]
    speakers = sorted(set(whole["speaker"]))
    chosen = data.draw(st.lists(st.sampled_from(speakers), min_size=2, max_size=12, unique=True))
    rows = whole[whole["speaker"].isin(chosen)]
    rows = rows.sample(frac=data.draw(st.floats(0.2, 1)), random_state=data.draw(st.integers(0, 99)))
    if rows["speaker"].nunique() < 2:
        return
    folds = speaker_folds(rows, data.draw(st.integers(2, 6)))
    fold_of = rows["speaker"].map(folds.fold_of)
    for fold in folds.speakers:
        held_out, trained_on = set(rows["speaker"][fold_of == fold]), set(rows["speaker"][fold_of != fold])
        assert held_out and trained_on and not held_out & trained_on
    assert speaker_folds(rows.sort_values("file", ascending=False), len(folds.speakers)) == folds
    path = tmp_path_factory.mktemp("folds") / "folds.json"
    folds.save(path)
    assert Folds.load(path).digest == folds.digest


# ---------------------------------------------------------------- IEMOCAP, in a folder of its layout


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    root = tmp_path / "iemocap"
    verdicts: dict[Path, list[str]] = {}
    for number, (file, (turn, label)) in enumerate(iemocap_turns().items()):
        wav = root / file
        wav.parent.mkdir(parents=True, exist_ok=True)
        wav.touch()
        evaluation = wav.parents[3] / "dialog" / "EmoEvaluation" / f"{wav.parent.name}.txt"
        verdicts.setdefault(evaluation, ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]).append(
            f"[{number}.2901 - {number + 1}.2357]\t{turn}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
            "C-E2:\tNeutral;\t()\nC-F1:\tNeutral; Anger;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n"
        )
    for path, lines in verdicts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")  # macOS' twin, part of the release
        (path.parent / "Categorical").mkdir(exist_ok=True)
        (path.parent / "Categorical" / f"{path.stem}_e1_cat.txt").write_text("Ses01F_impro01_F001 :Anger; ()")
    dialogue = root / "IEMOCAP_full_release/Session1/dialog/wav/Ses01F_impro01.wav"
    dialogue.parent.mkdir(parents=True)
    dialogue.touch()
    return tmp_path


def test_iemocap_leaves_excited_out_unless_asked_to_merge_it(iemocap: Path) -> None:
    plain, merged = load_corpus("iemocap", iemocap), load_corpus("iemocap-excited", iemocap)
    labels = {turn: label for turn, label in iemocap_turns().values()}
    left_out = ("exc", "fru", "xxx", "oth")
    assert set(plain.table.index) == {turn for turn, label in labels.items() if label not in left_out}
    added = set(merged.table.index) - set(plain.table.index)
    assert added == {turn for turn, label in labels.items() if label == "exc"}
    assert set(merged.table.loc[sorted(added), "emotion"]) == {"happiness"}
    assert merged.table.drop(sorted(added)).equals(plain.table)
    expected = CORPORA.get("iemocap").label_map
    assert all(plain.table.at[turn, "emotion"] == expected[labels[turn]] for turn in plain.table.index)
    assert plain.root == merged.root == iemocap / "iemocap"


def test_iemocaps_speaker_is_who_speaks_not_who_wears_the_markers(iemocap: Path) -> None:
    table = load_corpus("iemocap", iemocap).table
    assert table.loc["Ses03F_script01_1_M000", ["speaker", "sex", "dialogue"]].tolist() == [
        "Ses03M",
        "male",
        "script01_1",
    ]
    assert table["speaker"].nunique() == 10
    for held_out in speaker_folds(table, 5).speakers.values():
        assert len(held_out) == 2


def test_iemocap_without_its_label_files_says_which_turn_has_no_label(iemocap: Path) -> None:
    for file in (iemocap / "iemocap").rglob("EmoEvaluation/Ses0*.txt"):
        if file.name.startswith("Ses04"):
            file.unlink()
    with pytest.raises(InputError, match=r"Ses04F_\S+\.wav: the corpus' label files do not name 'Ses04F_"):
        load_corpus("iemocap", iemocap)


# ---------------------------------------------------------------- real data


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["emodb", "ravdess", "tess", "nemo"])
def test_facts_agree_with_the_copys_manifest(name: str, data_root: Path) -> None:
    corpus = load_corpus(name, data_root)
    agreed = {
        "happy": "happiness",
        "sad": "sadness",
        "angry": "anger",
        "fearful": "fear",
        "surprised": "surprise",
        "pleasant_surprise": "surprise",
    }
    with (data_root / name / "manifest.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert set(corpus.table["file"]) == set(rows)
    for facts in corpus.table.to_dict("records"):
        row = rows[facts["file"]]
        assert agreed.get(row["emotion"], row["emotion"]) == facts["emotion"]
        assert (row["speaker"], row["sex"]) == (facts["speaker"], facts["sex"])


@pytest.mark.real_data
def test_crema_d_agrees_with_the_publishers_demographics(data_root: Path) -> None:
    facts = {row["file"]: row for row in table_of("crema-d").to_dict("records")}
    with (data_root / "crema-d-checksums" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(facts)
    for row in rows:
        assert (row["speaker"], row["sex"]) == (facts[row["file"]]["speaker"], facts[row["file"]]["sex"])


def test_a_corpus_keeps_its_folds_when_files_move(tables) -> None:
    record, table = CORPORA.get("ravdess"), tables["ravdess"]
    moved = table.assign(file=[f"elsewhere/{name}" for name in table["file"]])
    assert Corpus(record, moved, Path()).folds() == Corpus(record, table, Path()).folds()
