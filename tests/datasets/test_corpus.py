"""Finding a corpus by its publisher's file names, and choosing clips in canonical order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.datasets import corpus as corpus_module
from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.datasets.corpus import Corpus, CorpusRecord, Layout, cache_root, corpus_from_files, data_root_or_default
from serxai.errors import ClipError, InputError, UnknownNameError


def record(name: str = "fake", labels: dict[str, str] | None = None) -> CorpusRecord:
    labels = labels or {"ang": "anger", "sad": "sadness", "neu": "neutral"}
    return CorpusRecord(
        name=name,
        target="none:none",
        summary="s",
        version="1",
        licence="CC0-1.0",
        citation="c",
        language="en",
        emotions=tuple(labels.values()),
        speakers=2,
        clips=6,
        level_comparable=True,
        derivatives_allowed=True,
        label_map=labels,
        url="https://example.org/fake.zip",
    )


LAYOUT = Layout(
    pattern=r"(?P<speaker>F1|M1)_(?P<label>[a-z]+)_(?P<sentence>\d)\.wav",
    sexes={"F1": "female", "M1": "male"},
    example="F1_ang_1.wav",
)
NAMES = [f"{speaker}_{label}_{i}.wav" for speaker in ("F1", "M1") for label in ("ang", "sad", "neu") for i in (1, 2)]

find = partial(corpus_from_files, layout=LAYOUT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a corpus of 12 tiny files, no two alike."""
    (tmp_path / "fake").mkdir()
    for i, name in enumerate(NAMES):
        soundfile.write(
            tmp_path / "fake" / name, np.resize([1, -1], 100 + i).astype(np.int16) * (1000 * i + 500), 16000
        )
    return tmp_path


def table_of(counts: dict[tuple[str, str], int]) -> pd.DataFrame:
    """A table with so many clips of each (speaker, emotion)."""
    rows = {
        f"{speaker}-{emotion}-{i}": {
            "file": f"{i}.wav",
            "emotion": emotion,
            "speaker": speaker,
            "sex": "female",
            "sentence": "",
        }
        for (speaker, emotion), n in counts.items()
        for i in range(n)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


# ---------------------------------------------------------------- finding files


def test_files_are_found_by_name_at_any_depth_and_others_are_left_alone(root: Path) -> None:
    expected = find(record(), root)
    digest = expected.digest
    assert sorted(expected.table.index) == sorted(name.removesuffix(".wav") for name in NAMES)

    folder = root / "fake"
    (folder / "a" / "b").mkdir(parents=True)
    for name in NAMES[::2]:
        (folder / name).rename(folder / "a" / "b" / name)
    for stray in ("._F1_ang_1.wav", "F1_ang_9.wav.txt", "xF1_ang_9.wav", "README.md"):
        (folder / stray).write_text("not ours")
    found = find(record(), root)
    assert found.table.drop(columns="file").equals(expected.table.drop(columns="file"))
    assert found.digest == digest  # where a file lies does not matter
    assert found.select() == expected.select()


def test_names_in_another_case_are_found(root: Path) -> None:
    (root / "fake" / NAMES[0]).rename(root / "fake" / "F1_ang_1.WAV")
    (root / "fake" / NAMES[6]).rename(root / "fake" / "m1_ANG_1.Wav")
    table = find(record(), root).table
    assert len(table) == len(NAMES)
    assert tuple(table.loc["m1_ANG_1", ["speaker", "emotion", "sex"]]) == ("M1", "anger", "male")
    assert table.loc["F1_ang_1", "file"] == "F1_ang_1.WAV"


def test_the_order_of_the_folder_does_not_matter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find(record(), root)
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: ((f, d, names[::-1]) for f, d, names in walk(*a, **k)))
    found = find(record(), root)
    assert found.table.equals(expected.table) and found.digest == expected.digest


def test_linked_folders_are_followed_and_loops_end(root: Path, tmp_path: Path) -> None:
    (root / "fake").rename(root / "elsewhere")
    (root / "fake").mkdir()
    (root / "fake" / "wav").symlink_to(root / "elsewhere")
    (root / "elsewhere" / "loop").symlink_to(root / "fake")
    assert len(find(record(), root).table) == len(NAMES)


@pytest.mark.parametrize("second", ["sub/F1_ang_1.wav", "F1_ang_1.WAV", "sub/f1_ANG_1.wav"])
def test_two_files_of_one_id_are_refused_by_name(root: Path, second: str) -> None:
    (root / "fake" / "sub").mkdir()
    shutil.copy(root / "fake" / NAMES[0], root / "fake" / second)
    with pytest.raises(InputError) as error:
        find(record(), root)
    assert "F1_ang_1.wav and " in str(error.value) or " and F1_ang_1.wav" in str(error.value)
    assert second in str(error.value) and "take one away" in str(error.value)


def test_unknown_labels_and_speakers_name_the_file_and_what_is_known(root: Path) -> None:
    file = root / "fake" / "F1_xyz_1.wav"
    file.touch()
    with pytest.raises(InputError, match=r"F1_xyz_1\.wav: unknown label 'xyz'; known: ang, sad, neu"):
        find(record(), root)
    file.unlink()
    layout = replace(LAYOUT, sexes={"F1": "female"})
    with pytest.raises(InputError, match=r"M1_ang_1\.wav: unknown speaker 'M1'; known: F1"):
        corpus_from_files(record(), root, layout=layout)


@pytest.mark.parametrize("state", ["no root", "no folder", "a file instead", "empty folder", "other files"])
def test_a_missing_corpus_says_where_what_and_how(tmp_path: Path, state: str) -> None:
    root = tmp_path / "data"
    if state != "no root":
        root.mkdir()
    if state == "a file instead":
        (root / "fake").touch()
    if state in ("empty folder", "other files"):
        (root / "fake").mkdir()
    if state == "other files":
        (root / "fake" / "song.mp3").touch()
    with pytest.raises(InputError) as error:
        find(record(), root)
    for part in (str(root / "fake"), "F1_ang_1.wav", "https://example.org/fake.zip", "--data-root"):
        assert part in str(error.value)


def test_unknown_corpora_are_refused_with_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'emodb'"):
        load_corpus("emo-db")


def test_the_data_root_is_the_argument_then_the_variable_then_the_cache(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERXAI_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))
    assert data_root_or_default(root) == root
    assert data_root_or_default(None) == tmp_path / "variable"
    monkeypatch.delenv("SERXAI_DATA")
    assert data_root_or_default(None) == tmp_path / "cache" / "data"
    monkeypatch.delenv("SERXAI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root().name == "serxai"
    assert data_root_or_default("~/corpora") == Path.home() / "corpora"


def test_more_groups_become_columns_and_an_id_can_be_made_of_groups(tmp_path: Path) -> None:
    for folder in ("DC", "JE"):
        (tmp_path / "savee-like" / folder).mkdir(parents=True)
        for name in ("a01.wav", "sa02.wav"):  # the same names in each speaker's folder
            (tmp_path / "savee-like" / folder / name).touch()
    layout = Layout(
        pattern=r"(?P<speaker>DC|JE)[/_](?P<label>a|sa)(?P<sentence>\d\d)(?P<take>b)?\.wav",
        sexes={"DC": "male", "JE": "male"},
        example="DC/a01.wav",
        id="{speaker}_{label}{sentence}",
    )
    labels = {"a": "anger", "sa": "sadness"}
    table = corpus_from_files(record("savee-like", labels), tmp_path, layout=layout).table
    assert list(table.index) == ["DC_a01", "DC_sa02", "JE_a01", "JE_sa02"]
    assert table.loc["JE_sa02"].to_dict() == {
        "file": "JE/sa02.wav",
        "speaker": "JE",
        "emotion": "sadness",
        "sex": "male",
        "sentence": "02",
        "take": "",
    }


def test_a_layout_without_speaker_or_label_is_refused() -> None:
    with pytest.raises(InputError, match="lacks the named groups label, speaker"):
        Layout(pattern=r"(?P<sentence>.)", sexes={}, example="a")


# ---------------------------------------------------------------- the corpus


def test_clips_carry_their_facts_and_samples(root: Path) -> None:
    corpus = find(record(), root)
    clip = corpus.clip("M1_sad_2")
    assert (clip.id, clip.emotion, clip.speaker, clip.sex, clip.sentence, clip.corpus) == (
        "M1_sad_2",
        "sadness",
        "M1",
        "male",
        "2",
        "fake",
    )
    assert np.array_equal(clip.samples, (np.resize([1, -1], 109) * 9500 / 2**15).astype(np.float32))
    assert "clips=12" in repr(corpus)
    with pytest.raises(InputError, match="no clip 'M1'; ids look like 'F1_ang_1'"):
        corpus.clip("M1")


def test_a_bad_file_fails_its_clip_alone(root: Path) -> None:
    (root / "fake" / NAMES[0]).write_text("text")
    corpus = find(record(), root)
    with pytest.raises(ClipError, match=r"F1_ang_1\.wav: not an audio file"):
        corpus.clip("F1_ang_1")
    assert corpus.clip("F1_ang_2").samples.size == 101


def test_the_digest_moves_with_contents_ids_and_labels_only(root: Path) -> None:
    original = find(record(), root).digest
    assert find(record(), root).digest == original
    assert find(replace(record(), version="2"), root).digest != original
    swapped = record(labels={"ang": "sadness", "sad": "anger", "neu": "neutral"})
    assert find(swapped, root).digest != original

    (root / "fake" / NAMES[0]).rename(root / "fake" / "F1_ang_3.wav")
    assert find(record(), root).digest != original
    (root / "fake" / "F1_ang_3.wav").rename(root / "fake" / NAMES[0])
    soundfile.write(root / "fake" / NAMES[1], np.zeros(101, dtype=np.int16), 16000)
    assert find(record(), root).digest != original


def test_a_file_gone_since_it_was_found_is_its_own_clips_fault(root: Path) -> None:
    corpus = find(record(), root)
    clip = corpus.table.index[0]
    before = corpus.digest
    (corpus.root / corpus.table.at[clip, "file"]).unlink()
    again = Corpus(corpus.record, corpus.table, corpus.root)
    assert again.digest != before
    with pytest.raises(ClipError, match="no such file"):
        again.clip(clip)


def test_tables_are_checked(tmp_path: Path) -> None:
    good = table_of({("a", "anger"): 2, ("b", "neutral"): 1})
    assert len(Corpus(record(), good, tmp_path).table) == 3
    with pytest.raises(InputError, match=r"lacks \['sex'\]"):
        Corpus(record(), good.drop(columns="sex"), tmp_path)
    with pytest.raises(InputError, match="is empty"):
        Corpus(record(), good.iloc[:0], tmp_path)
    with pytest.raises(InputError, match=r"repeats the ids \['a-anger-0'\]"):
        Corpus(record(), pd.concat([good, good.iloc[:1]]), tmp_path)
    with pytest.raises(InputError, match="joy not in the taxonomy anger"):
        Corpus(record(), good.replace({"emotion": {"neutral": "joy"}}), tmp_path)


def test_records_outside_the_taxonomy_are_refused() -> None:
    with pytest.raises(InputError, match="joy not in the taxonomy"):
        record(labels={"j": "joy"})
    with pytest.raises(InputError, match="'licence' is empty"):
        replace(record(), licence=" ")


# ---------------------------------------------------------------- selection

counts = st.dictionaries(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["anger", "sadness", "neutral", "fear"])),
    st.integers(1, 4),
    min_size=1,
)


@settings(deadline=None)
@given(counts, st.randoms(use_true_random=False), st.data())
def test_selection_ignores_row_order_and_a_limit_takes_a_prefix(counts, random, data) -> None:
    table = table_of(counts)
    rows = list(table.index)
    corpus = Corpus(record(), table, Path())
    ordered = corpus.select()
    assert sorted(ordered) == sorted(rows)

    random.shuffle(rows)
    assert Corpus(record(), table.loc[rows], Path()).select() == ordered
    limit = data.draw(st.integers(1, len(rows) + 2))
    assert corpus.select(limit=limit) == ordered[:limit]

    emotions = data.draw(st.lists(st.sampled_from(sorted(set(table["emotion"]))), min_size=1))
    chosen = corpus.select(emotions)
    assert sorted(chosen) == sorted(i for i in rows if table.loc[i, "emotion"] in emotions)
    assert corpus.select(emotions, limit=3) == chosen[:3]


@settings(deadline=None)
@given(counts)
def test_no_group_is_visited_again_before_each_other_had_its_turn(counts) -> None:
    table = table_of(counts)
    visits: Counter = Counter()
    for clip_id in Corpus(record(), table, Path()).select():
        group = table.loc[clip_id, "speaker"], table.loc[clip_id, "emotion"]
        waiting = [visits[g] for g in counts if visits[g] < counts[g]]
        assert visits[group] == min(waiting)
        visits[group] += 1
    assert visits == Counter(counts)


@pytest.mark.parametrize(("speakers", "emotions"), [(16, 4), (10, 4), (12, 7), (3, 4), (2, 7)])
def test_any_limit_is_balanced_over_speakers_and_emotions(speakers: int, emotions: int) -> None:
    names = ("anger", "sadness", "neutral", "fear", "happiness", "disgust", "boredom")[:emotions]
    table = table_of({(f"s{i}", e): 3 for i in range(speakers) for e in names})
    ordered = table.loc[Corpus(record(), table, Path()).select()]
    for limit in range(1, len(ordered) + 1):
        by_speaker = ordered["speaker"][:limit].value_counts().reindex(ordered["speaker"].unique(), fill_value=0)
        by_emotion = ordered["emotion"][:limit].value_counts().reindex(names, fill_value=0)
        assert by_speaker.max() - by_speaker.min() <= 1
        assert by_emotion.max() - by_emotion.min() <= 1


def test_within_a_group_the_order_is_not_that_of_the_names() -> None:
    chosen = Corpus(record(), table_of({("a", "anger"): 30}), Path()).select()
    assert chosen != sorted(chosen)


def test_selection_refuses_unknown_emotions_and_limits() -> None:
    corpus = Corpus(record(), table_of({("a", "anger"): 1, ("a", "neutral"): 1}), Path())
    with pytest.raises(InputError, match="no clips of joy, sadness; it has anger, neutral"):
        corpus.select(["joy", "anger", "sadness"])
    for limit in (0, -3):
        with pytest.raises(InputError, match=f"at least 1 clip, got {limit}"):
            corpus.select(limit=limit)


# ---------------------------------------------------------------- the registry


def test_listing_corpora_and_conditions_imports_nothing_heavy() -> None:
    code = (
        "import sys; from serxai.datasets.corpora import CORPORA; "
        "from serxai.datasets.shifts.conditions import CONDITIONS; "
        "CORPORA.names(), CONDITIONS.names();"
        "print([m for m in ('torch', 'pandas', 'librosa', 'parselmouth', 'soundfile') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_import_datasets_from_the_repository_root_finds_another_package_of_that_name(tmp_path: Path) -> None:
    """Hugging Face's `datasets`, installed beside us, must win over our folder, which comes first on the path."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("WHOSE = 'theirs'")
    done = subprocess.run(
        [sys.executable, "-c", "import datasets; print(datasets.WHOSE)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(str(corpus_module.__file__)).parents[1],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.strip() == "theirs"


def test_every_record_is_complete() -> None:
    assert {"planted", "emodb"} <= set(CORPORA.names())
    for entry in CORPORA:
        assert set(entry.emotions) == set(entry.label_map.values())
        assert entry.url and entry.language
        if not entry.name.endswith(":"):  # the user's own data
            assert entry.speakers > 1 and entry.clips > entry.speakers
            assert sum(entry.label_counts.values()) == entry.clips


# ---------------------------------------------------------------- other publishers' layouts, on their real files

OTHERS = {
    "ravdess": (
        Layout(
            pattern=r"03-01-(?P<label>\d\d)-(?P<intensity>\d\d)-(?P<sentence>\d\d)-(?P<take>\d\d)-(?P<speaker>\d\d)\.wav",
            sexes={f"{i:02d}": ("female", "male")[i % 2] for i in range(1, 25)},
            example="03-01-05-01-02-01-12.wav",
        ),
        {
            "01": "neutral",
            "02": "calm",
            "03": "happiness",
            "04": "sadness",
            "05": "anger",
            "06": "fear",
            "07": "disgust",
            "08": "surprise",
        },
        720,
    ),
    "tess": (
        Layout(
            pattern=r"(?P<speaker>[OY]AF)_(?P<sentence>[a-z]+)_(?P<label>[a-z]+)\.wav",
            sexes={"OAF": "female", "YAF": "female"},
            example="OAF_back_angry.wav",
        ),
        {
            "angry": "anger",
            "disgust": "disgust",
            "fear": "fear",
            "happy": "happiness",
            "neutral": "neutral",
            "ps": "surprise",
            "sad": "sadness",
        },
        560,
    ),
    "nemo": (
        Layout(
            pattern=r"(?P<speaker>[A-Z]{2}0)_(?P<label>[a-z]+)_(?P<sentence>\d+)\.wav",
            sexes=dict.fromkeys(("EB0", "IC0", "KD0", "MK0"), "female")
            | dict.fromkeys(("KS0", "SM0", "TP0", "WR0"), "male"),
            example="EB0_anger_1.wav",
        ),
        {e: e for e in ("anger", "fear", "happiness", "neutral", "sadness")} | {"surprised": "surprise"},
        658,
    ),
}
MANIFEST_WORDS = {
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "surprised": "surprise",
    "pleasant_surprise": "surprise",
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", OTHERS)
def test_other_publishers_are_declared_without_code(data_root: Path, name: str) -> None:
    layout, labels, clips = OTHERS[name]
    table = corpus_from_files(record(name, labels), data_root, layout=layout).table
    manifest = pd.read_csv(data_root / name / "manifest.csv", dtype=str).set_index("file")
    assert len(table) == clips == len(manifest)
    expected = manifest.loc[table["file"]].replace({"emotion": MANIFEST_WORDS})
    for column in ("emotion", "speaker", "sex", "sentence"):
        assert table[column].tolist() == expected[column].tolist()
