"""The user's own data: tables, ``corpus.toml``, audformat databases, and the mistakes that can be made with them."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.datasets.corpora import CORPORA, corpus_forbidding_derivatives, load_corpus
from serxai.datasets.corpus import TAXONOMY
from serxai.datasets.folder_description import record_of_enclosing_folder
from serxai.datasets.folder_record import SYNONYMS
from serxai.errors import InputError, UnknownNameError

ROWS = [
    ("wav/a1.wav", "angry", "anna", "f", "one"),
    ("wav/a2.wav", "Happy", "anna", "f", "two"),
    ("wav/b1.wav", "sadness", "bert", "male", "one"),
    ("wav/b2.wav", "neutral", "bert", "male", "two"),
]
HEADER = ("file", "emotion", "speaker", "sex", "sentence")


def write(path: Path, header=HEADER, rows=ROWS, separator: str = ",", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(separator.join(row) for row in (header, *rows)) + "\n", encoding=encoding)
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four clips and a table; the program runs above it, the data root is elsewhere."""
    (tmp_path / "my" / "data" / "wav").mkdir(parents=True)
    for i, (file, *_) in enumerate(ROWS):
        soundfile.write(
            tmp_path / "my" / "data" / file, np.resize([1, -1], 400).astype(np.int16) * (1000 * i + 500), 16000
        )
    write(tmp_path / "my" / "data" / "labels.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERXAI_DATA", str(tmp_path / "root"))
    return tmp_path / "my" / "data"


def describe(data: Path, text: str) -> None:
    (data / "corpus.toml").write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", ["folder:my/data", "folder:my/data/labels.csv", "folder:./my//data/"])
def test_a_folder_and_its_table_are_the_same_corpus(data: Path, name: str) -> None:
    corpus = load_corpus(name)
    assert list(corpus.table.index) == ["a1", "a2", "b1", "b2"]
    assert corpus.table.loc["a2", ["file", "emotion", "speaker", "sex", "sentence"]].tolist() == [
        "wav/a2.wav",
        "happiness",
        "anna",
        "female",
        "two",
    ]
    assert corpus.table["sex"].tolist() == ["female", "female", "male", "male"]
    clip = corpus.clip("b2")
    assert clip.samples[0] == np.float32(3500 / 2**15) and clip.emotion == "neutral" and clip.corpus == corpus.name
    assert len(corpus.folds().speakers) == 2
    assert load_corpus(corpus.name).digest == corpus.digest


def test_the_name_is_the_path_as_given_made_plain(data: Path) -> None:
    assert CORPORA.get("folder:./my/x/../data/").name == "folder:my/data"
    assert load_corpus("folder:./my/data/").name == load_corpus("folder:my/data").name == "folder:my/data"
    assert load_corpus(f"folder:{data}").name == f"folder:{data.as_posix()}"
    assert "folder:anything" in CORPORA and "folders:anything" not in CORPORA
    with pytest.raises(InputError, match="path is missing; write folder:PATH"):
        load_corpus("folder:")
    with pytest.raises(UnknownNameError, match="Did you mean 'folder:'"):
        load_corpus("folder")


def test_a_path_is_looked_for_here_first_and_then_below_the_data_root(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    data.rename(tmp_path / "elsewhere" / "own")
    corpus = load_corpus("folder:own", tmp_path / "elsewhere")
    assert corpus.name == "folder:own" and len(corpus.table) == 4
    with pytest.raises(InputError, match=r"neither .*own nor .*root.own exists"):
        load_corpus("folder:own")


def test_the_record_is_completed_and_safe_by_default(data: Path) -> None:
    family = CORPORA.get("folder:my/data")
    assert family.clips == 0 and not family.derivatives_allowed  # nothing is read for a record
    record = load_corpus("folder:my/data").record
    assert (record.clips, record.speakers, record.licence, record.citation) == (4, 2, "unknown", "unknown")
    assert record.emotions == ("anger", "happiness", "sadness", "neutral")
    assert record.label_counts == dict.fromkeys(record.emotions, 1)
    assert not record.derivatives_allowed and not record.level_comparable
    assert record.language == "und" and "data: 4 clips, 2 speakers, 4 emotions" in record.summary


def test_the_version_moves_with_the_table_and_the_digest_with_the_sound(data: Path) -> None:
    before = load_corpus("folder:my/data")
    write(data / "labels.csv", rows=ROWS[::-1])
    again = load_corpus("folder:my/data")
    assert (again.record.version, again.digest) == (before.record.version, before.digest)
    write(data / "labels.csv", rows=[("wav/a1.wav", "fear", "anna", "f", "one"), *ROWS[1:]])
    changed = load_corpus("folder:my/data")
    assert changed.record.version != before.record.version and changed.digest != before.digest


@pytest.mark.parametrize(
    ("separator", "encoding", "suffix"), [(";", "utf-8-sig", "csv"), ("\t", "utf-8", "tsv"), (",", "utf-8-sig", "CSV")]
)
def test_tables_of_spreadsheets_are_read(data: Path, separator: str, encoding: str, suffix: str) -> None:
    (data / "labels.csv").unlink()
    rows = [(file.replace("/", "\\"), emotion, speaker, sex, "für") for file, emotion, speaker, sex, _ in ROWS]
    write(data / f"labels.{suffix}", rows=rows, separator=separator, encoding=encoding)
    table = load_corpus("folder:my/data").table
    assert table["file"].tolist() == [row[0] for row in ROWS]
    assert set(table["sentence"]) == {"für"}


def test_columns_are_found_by_other_names_and_further_ones_are_kept(data: Path) -> None:
    write(data / "labels.csv", ("Path", "LABEL", "actor", "gender", "intensity"))
    table = load_corpus("folder:my/data").table
    assert table["emotion"].tolist() == ["anger", "happiness", "sadness", "neutral"]
    assert table["intensity"].tolist() == ["one", "two", "one", "two"] and set(table["sentence"]) == {""}


def test_synonyms_cover_the_taxonomy_and_nothing_else() -> None:
    assert set(SYNONYMS.values()) == set(TAXONOMY)
    assert all(SYNONYMS[emotion] == emotion for emotion in TAXONOMY)
    assert not {"excited", "frustrated", "other", "a", "h", "s", "n"} & set(SYNONYMS)


def test_ids_are_file_names_or_paths_or_a_column(data: Path) -> None:
    rows = [("wav/a1.wav", "sad", "anna"), ("more/a1.wav", "sad", "bert")]
    (data / "more").mkdir()
    (data / "wav" / "a1.wav").rename(data / "more" / "a1.wav")
    soundfile.write(data / "wav" / "a1.wav", np.zeros(400, dtype=np.int16), 16000)
    write(data / "labels.csv", HEADER[:3], rows)
    assert list(load_corpus("folder:my/data").table.index) == ["more/a1", "wav/a1"]
    write(data / "labels.csv", ("id", *HEADER[:3]), [("x", *rows[0]), ("y", *rows[1])])
    assert list(load_corpus("folder:my/data").table.index) == ["x", "y"]
    write(data / "labels.csv", ("id", *HEADER[:3]), [("x", *rows[0]), ("x", *rows[1])])
    with pytest.raises(InputError, match=r"1 ids are empty or given twice: x \(lines 2, 3\)"):
        load_corpus("folder:my/data")


# ---------------------------------------------------------------- corpus.toml

FULL = """
name = "Call centre"
table = "meta/all.csv"
version = "1.2"
licence = "CC-BY-4.0"
citation = "Doe 2024"
language = "en"
url = "https://example.org"
level_comparable = true
derivatives_allowed = true

[columns]
emotion = "rating"

[labels]
wut = "anger"
Happy = ""
"""


def test_a_description_says_all_that_a_table_cannot(data: Path) -> None:
    (data / "labels.csv").unlink()
    rows = [(file, {"angry": "Wut"}.get(emotion, emotion), *rest) for file, emotion, *rest in ROWS]
    write(data / "meta" / "all.csv", ("file", "rating", "speaker", "sex", "sentence"), rows)
    describe(data, FULL)
    for name in ("folder:my/data", "folder:my/data/corpus.toml"):
        corpus = load_corpus(name)
        record = corpus.record
        assert corpus.table["emotion"].to_dict() == {"a1": "anger", "b1": "sadness", "b2": "neutral"}
        assert corpus.root == data  # files are found from the table or from the description
        assert (record.version, record.licence, record.citation, record.language) == (
            "1.2",
            "CC-BY-4.0",
            "Doe 2024",
            "en",
        )
        assert record.level_comparable and record.derivatives_allowed and record.url == "https://example.org"
        assert "Call centre: 3 clips" in record.summary and record.label_map["wut"] == "anger"


def test_one_speaker_a_file_must_be_said(data: Path) -> None:
    write(data / "labels.csv", HEADER[:2], [row[:2] for row in ROWS])
    with pytest.raises(InputError, match=r"no column for the speaker.*folds would leak.*one-per-file"):
        load_corpus("folder:my/data")
    describe(data, 'speakers = "one-per-file"')
    corpus = load_corpus("folder:my/data")
    assert corpus.table["speaker"].is_unique and corpus.record.speakers == 4
    assert "one per file, as said" in corpus.record.summary
    assert len(corpus.folds(2).speakers) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("licence = ", "not TOML"),
        ("license = 'x'", r"license: .*did you mean 'licence'\?"),
        ("level_comparable = 'yes'", "level_comparable: Input should be a valid boolean"),
        ("speakers = 'file'", "'column' or 'one-per-file'"),
        ("[columns]\nspeker = 'x'", r"columns\.speker.*did you mean 'speaker'\?"),
        ("[labels]\nang = 'rage'", "labels map to rage, allowed are anger"),
        ("[columns]\nemotion = 'emotoin'", r"from a column 'emotoin'.*Did you mean 'emotion'\?"),
        ("a = " + "[" * 5000 + "]" * 5000, "not TOML"),
        ("version = " + "9" * 5000, "not TOML"),
        ("citation = '" + "x" * 3000 + "'", "citation: String should have at most 2000 characters"),
        ('name = "\\u001b[2J"', "name: String should match pattern"),
        (
            "[labels]\n" + "".join(f"l{i} = 'anger'\n" for i in range(1500)),
            "labels: Dictionary should have at most 1000",
        ),
        ("# " + "x" * 1_000_001, "more than 1000000 bytes"),
        ("table = 'label.csv'", r"the table 'label.csv'.*Did you mean 'labels.csv'\?"),
    ],
)
def test_faults_of_a_description_are_named(data: Path, text: str, message: str) -> None:
    describe(data, text)
    with pytest.raises(InputError, match=message) as error:
        load_corpus("folder:my/data")
    assert "corpus.toml" in str(error.value)


# ---------------------------------------------------------------- mistakes


def test_a_wrong_path_is_told_with_the_nearest(data: Path) -> None:
    with pytest.raises(InputError, match=r"folder:my/dat'.*Did you mean data\?"):
        load_corpus("folder:my/dat")
    with pytest.raises(InputError, match=r"a1\.wav is not a table of clips; give a CSV"):
        load_corpus("folder:my/data/wav/a1.wav")


def test_a_folder_must_hold_one_table(data: Path) -> None:
    write(data / "more.csv")
    with pytest.raises(InputError, match=r"2 CSVs \(labels.csv, more.csv\); name the table"):
        load_corpus("folder:my/data")
    assert len(load_corpus("folder:my/data/more.csv").table) == 4
    (data / "empty").mkdir()
    with pytest.raises(InputError, match=r"no CSV, no corpus.toml and no db.yaml"):
        load_corpus("folder:my/data/empty")


BAD_TABLES = {
    "empty": ("", "cannot be read as a table"),
    "header only": ("file,emotion,speaker\n", "a header and no rows"),
    "ragged": ('file,emotion,speaker\n"wav/a1.wav,sad,x\n', "cannot be read as a table"),
    "near miss": ("file,emotoin,speaker\nwav/a1.wav,sad,x\n", r"no column for the emotion.*Perhaps 'emotoin'\?"),
    "two candidates": ("path,wav,emotion,speaker\na,b,sad,x\n", r"path, wav may each be the file; say which"),
    "empty cell": (
        "file,emotion,speaker\nwav/a1.wav,sad,\nwav/a2.wav,sad,x\n",
        r"1 of 2 rows have no speaker \(lines 2\)",
    ),
    "unknown label": (
        "file,emotion,speaker\nwav/a1.wav,angri,x\nwav/a2.wav,angri,x\nwav/b1.wav,sad,y\n",
        r"1 unknown labels: 'angri' \(2 clips, did you mean 'angry'\?\)",
    ),
    "missing files": (
        "file,emotion,speaker\nwav/a1.wav,sad,x\nwav/no.wav,sad,x\nno.wav,sad,y\n",
        r"2 of 3 files do not exist: wav/no.wav, no.wav",
    ),
    "outside": (
        "file,emotion,speaker\n../out.wav,sad,x\nwav/a1.wav,sad,y\n",
        r"1 of 2 files lie outside .*\.\./out.wav",
    ),
    "absolute": ("file,emotion,speaker\n/etc/passwd,sad,x\n", "1 of 1 files lie outside"),
    "twice": (
        "file,emotion,speaker\nwav/a1.wav,sad,x\nwav/../wav/a1.wav,fear,x\n",
        r"named more than once: wav/a1.wav \(wav/a1.wav in lines 2, 3\)",
    ),
    "only left out": ("file,emotion,speaker\nwav/a1.wav,xxx,x\n", "leaves out all 1 clips"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_mistakes_in_a_table_are_told(data: Path, case: str) -> None:
    text, message = BAD_TABLES[case]
    if case == "only left out":
        describe(data, '[labels]\nxxx = ""')
    soundfile.write(data.parent / "out.wav", np.zeros(10), 16000)
    (data / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_corpus("folder:my/data")
    assert "folder:my/data" in str(error.value) and "labels.csv" in str(error.value)


def test_another_encoding_is_told(data: Path) -> None:
    rows = [(*ROWS[0][:4], "Tür"), *ROWS[1:]]
    write(data / "labels.csv", rows=rows, encoding="latin-1")
    with pytest.raises(InputError, match=r"is not UTF-8 .*save the table as UTF-8"):
        load_corpus("folder:my/data")


def test_absolute_names_inside_the_folder_are_taken(data: Path) -> None:
    write(data / "labels.csv", rows=[(str(data / row[0]), *row[1:]) for row in ROWS])
    assert load_corpus("folder:my/data").table["file"].tolist() == [row[0] for row in ROWS]


def test_a_linked_folder_of_sound_is_inside(data: Path, tmp_path: Path) -> None:
    (data / "wav").rename(tmp_path / "sound")
    (data / "wav").symlink_to(tmp_path / "sound")
    assert len(load_corpus("folder:my/data").table) == 4


# ---------------------------------------------------------------- audformat


def database(root: Path, segmented: bool = False):
    """Emotions in one table, speakers in another, sexes in the labels of the speaker's scheme."""
    audformat = pytest.importorskip("audformat")
    files = [row[0] for row in ROWS]
    db = audformat.Database("tiny", license="CC0-1.0", languages=["de"], source="https://example.org/tiny")
    db.schemes["emotion"] = audformat.Scheme(labels=["angry", "Happy", "sadness", "neutral"])
    db.schemes["speaker"] = audformat.Scheme(labels={"anna": {"gender": "female"}, "bert": {"gender": "male"}})
    index = audformat.filewise_index(files)
    if segmented:
        index = audformat.segmented_index(files, [0] * 4, [0.01] * 4)
    db["emotion"] = audformat.Table(index)
    db["emotion"]["emotion"] = audformat.Column(scheme_id="emotion")
    db["emotion"]["emotion"].set([row[1] for row in ROWS])
    db["files"] = audformat.Table(audformat.filewise_index(files))
    db["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["files"]["speaker"].set([row[2] for row in ROWS])
    db.save(str(root))
    return db


def test_an_audformat_database_is_read_over_its_tables(data: Path) -> None:
    (data / "labels.csv").unlink()
    database(data)
    corpus = load_corpus("folder:my/data")
    expected = {"a1": "anger", "a2": "happiness", "b1": "sadness", "b2": "neutral"}
    assert corpus.table["emotion"].to_dict() == expected
    assert corpus.table["speaker"].tolist() == ["anna", "anna", "bert", "bert"]
    assert corpus.table["sex"].tolist() == ["female", "female", "male", "male"]
    record = corpus.record
    assert (record.licence, record.language, record.url) == ("CC0-1.0", "deu", "https://example.org/tiny")
    assert "tiny: 4 clips" in record.summary and not record.derivatives_allowed
    # a database's own CSVs are no table of clips
    assert load_corpus("folder:my/data").table["file"].tolist() == [row[0] for row in ROWS]


def test_a_description_names_the_table_and_the_schemes(data: Path) -> None:
    audformat = pytest.importorskip("audformat")
    db = database(data)
    db.schemes["felt"] = audformat.Scheme("str")
    db["other"] = audformat.Table(audformat.filewise_index([ROWS[0][0], ROWS[2][0]]))
    db["other"]["felt"] = audformat.Column(scheme_id="felt")
    db["other"]["felt"].set(["fear", None])
    db.save(str(data))
    describe(data, 'table = "other"\n[columns]\nemotion = "felt"')
    assert load_corpus("folder:my/data").table["emotion"].to_dict() == {"a1": "fear"}
    describe(data, 'table = "othr"')
    with pytest.raises(InputError, match=r"no table 'othr'\. Did you mean 'other'\?"):
        load_corpus("folder:my/data")


def test_tables_that_contradict_each_other_are_told(data: Path) -> None:
    audformat = pytest.importorskip("audformat")
    db = database(data)
    db["again"] = audformat.Table(audformat.filewise_index([ROWS[0][0]]))
    db["again"]["emotion"] = audformat.Column(scheme_id="emotion")
    db["again"]["emotion"].set(["neutral"])
    db.save(str(data))
    with pytest.raises(InputError, match=r"contradict each other .*table = \"NAME\" of .*again"):
        load_corpus("folder:my/data")
    describe(data, 'table = "emotion"')
    assert load_corpus("folder:my/data").table.at["a1", "emotion"] == "anger"


def test_segments_are_refused(data: Path) -> None:
    database(data, segmented=True)
    with pytest.raises(InputError, match="label parts of files; serxai takes one file a clip"):
        load_corpus("folder:my/data")


def test_a_database_without_the_extra_or_damaged_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(data)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "audformat":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(InputError, match=r"pip install 'serxai\[audb\]'"):
            load_corpus("folder:my/data")
    (data / "db.yaml").write_text("tables: [")
    with pytest.raises(InputError, match="cannot be read as an audformat database"):
        load_corpus("folder:my/data")


# ---------------------------------------------------------------- anywhere a corpus is named


def test_a_plan_takes_a_folder_under_any_spelling(data: Path) -> None:
    from serxai.benchmark.run.config import RunConfig

    given = {"models": ["cnn"], "methods": ["random"], "metrics": ["deletion"], "fills": ["attenuate"]}
    config = RunConfig(corpora=["folder:./my/data/"], trained_on="folder:my//data", **given)
    assert config.corpora == ["folder:my/data"] and config.trained_on == "folder:my/data"


@pytest.mark.real_data
def test_a_real_corpus_read_from_a_table_equals_the_publishers_layout(data_root: Path, tmp_path: Path) -> None:
    known = load_corpus("emodb", data_root)
    (tmp_path / "wav").symlink_to(data_root / "emodb" / "wav")
    known.table.drop(columns="sex").to_csv(tmp_path / "t.csv", index_label="id")
    corpus = load_corpus(f"folder:{tmp_path}")
    columns = ["file", "emotion", "speaker", "sentence"]
    pd.testing.assert_frame_equal(corpus.table[columns], known.table[columns], check_names=False, check_dtype=False)
    clip = known.select(limit=1)[0]
    assert corpus.clip(clip).sha256 == known.clip(clip).sha256


def test_a_file_below_a_description_is_under_its_licence(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "deep"
    folder.mkdir(parents=True)
    clip = folder / "a.wav"
    soundfile.write(clip, np.zeros(1600, np.float32), 16000)
    assert (
        record_of_enclosing_folder(clip) is None and corpus_forbidding_derivatives(clip, tmp_path) is None
    )  # the user's own
    description = tmp_path / "own" / "corpus.toml"
    description.write_text('licence = "secret"')
    found = corpus_forbidding_derivatives(clip, tmp_path)
    assert found is not None and found.licence == "secret" and found.name == f"folder:{tmp_path / 'own'}"
    description.write_text("derivatives_allowed = true")
    assert corpus_forbidding_derivatives(clip, tmp_path) is None
    assert record_of_enclosing_folder(clip).licence == "unknown"
    description.write_text("derivatives_alowed = true")  # misspelt: allows nothing
    assert not record_of_enclosing_folder(clip).derivatives_allowed
    (folder / "corpus.toml").write_text("derivatives_allowed = true")  # the nearest one counts
    assert corpus_forbidding_derivatives(clip, tmp_path) is None


def test_files_elsewhere_must_lie_below_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "audio").mkdir()
    rows = ["file,emotion,speaker"]
    for name, emotion in (("a", "sad"), ("b", "angry")):
        soundfile.write(tmp_path / "audio" / f"{name}.wav", np.sin(np.arange(1600)) / 2, 16_000)
        rows.append(f"{tmp_path / 'audio' / name}.wav,{emotion},{name}")
    (tmp_path / "tables" / "labels.csv").write_text("\n".join(rows))
    corpus = load_corpus("folder:tables/labels.csv", tmp_path / "audio")
    assert list(corpus.table["file"]) == ["a.wav", "b.wav"] and corpus.clip("a").samples.size == 1600
    with pytest.raises(InputError, match=r"2 of 2 files lie outside.*--data-root"):
        load_corpus("folder:tables/labels.csv", tmp_path / "elsewhere")
