"""Published folds: read from a copy of their layout, checked, and counted for speakers in both parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from serxai.datasets import schemes
from serxai.datasets.folds import ClipFolds, speaker_folds
from serxai.datasets.schemes import FoldScheme, kept_first, read_scheme
from serxai.errors import InputError

SPEAKERS = ("a", "b", "c")


def table_of(takes: int = 4) -> pd.DataFrame:
    """Clips ``a1`` ... ``c4``; the files of speaker c lie in a folder and have other names than the ids."""
    rows = {
        f"{s}{i}": {"file": f"deep/take_{s}{i}.wav" if s == "c" else f"{s}{i}.WAV", "speaker": s}
        | {"emotion": ("anger", "fear")[i % 2], "sex": "female"}
        for s in SPEAKERS
        for i in range(1, takes + 1)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def corpus_of(name: str = "emodb") -> SimpleNamespace:
    return SimpleNamespace(name=name, table=table_of())


def write_emobox(root: Path, name: str, tested: dict[str, list[str]], extra: list[str] = []) -> Path:  # noqa: B006
    """Lists in EmoBox's layout: a file each for training and test of a fold, and others that are not read."""
    everything = [file for files in tested.values() for file in files] + extra
    for fold, files in tested.items():
        folder = root / "data" / name / f"fold_{fold}"
        folder.mkdir(parents=True)
        for part, names in (("test", files), ("train", [f for f in everything if f not in files])):
            lines = [
                json.dumps({"key": f"{name}-{f}", "wav": f"downloads/{name}/x/{f}.wav", "emo": "?"}) for f in names
            ]
            (folder / f"{name}_{part}_fold_{fold}.jsonl").write_text("\n".join(lines) + "\n")
            (folder / f"{name}_{part}_fold{fold}.jsonl").write_text('{"key": "old spelling"}\n')
            (folder / f"{name}_{part}_fold_{fold}.json").write_text("{}")
    return root


def test_emobox_is_read_by_file_names_and_its_shared_speakers_are_counted(tmp_path: Path) -> None:
    corpus = corpus_of()
    speakers = corpus.table["speaker"].to_dict()
    leaking = {"1": ["a1", "b1", "take_c1", "not_here"], "2": ["a2", "b2", "take_c2"]}
    root = write_emobox(tmp_path / "leaks", "emodb", leaking, extra=["a3", "take_c3", "nor_here"])
    scheme = read_scheme("emobox", corpus, root)
    assert scheme.tested == {"a1": "1", "b1": "1", "c1": "1", "a2": "2", "b2": "2", "c2": "2"}
    assert scheme.training == ("a3", "c3") and scheme.clips == ("a1", "a2", "a3", "b1", "b2", "c1", "c2", "c3")
    assert scheme.parts()["1"] == (("a2", "a3", "b2", "c2", "c3"), ("a1", "b1", "c1"))
    assert scheme.sharing(speakers) == (3, 3) and scheme.held_out(speakers) == {"1": (), "2": ()}
    assert "MIT" in scheme.licence and "no LICENSE file" in scheme.licence
    assert scheme.note.startswith("not the lists of commit") and scheme.commit == ""
    # b speaks in one fold only, once the other clips of b are gone
    fewer = scheme.within([clip for clip in scheme.clips if clip != "b2"])
    assert fewer.sharing(speakers) == (2, 3) and fewer.held_out(speakers) == {"1": ("b",), "2": ()}

    apart = {"1": [f"a{i}" for i in range(1, 5)], "2": [f"b{i}" for i in range(1, 5)]}
    root = write_emobox(tmp_path / "apart", "emodb", apart, extra=[f"take_c{i}" for i in range(1, 5)])
    scheme = read_scheme("emobox", corpus, root / "data")  # the folder of lists does as well
    assert scheme.sharing(speakers) == (0, 2) and scheme.held_out(speakers) == {"1": ("a",), "2": ("b",)}


def test_lists_of_the_commit_that_was_looked_at_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_emobox(tmp_path, "cremad", {"1": ["a1", "b1"]}, extra=["a2"])
    digest = schemes.assignment_digest({"a1": "1", "b1": "1", "a2": "train"})
    monkeypatch.setitem(schemes.emobox()["digests"], "cremad", digest)
    scheme = read_scheme("emobox", corpus_of("crema-d"), root)
    assert scheme.commit == schemes.emobox()["commit"] and scheme.note.startswith("the lists are those")
    monkeypatch.delitem(schemes.emobox()["digests"], "cremad")
    assert read_scheme("emobox", corpus_of("crema-d"), root).note == ""


def test_own_files_hold_several_corpora(tmp_path: Path) -> None:
    content = {
        "source": "a paper",
        "licence": "CC0",
        "corpora": {"emodb": {"a1": "x", "a2": "y", "b1": "train", "gone": "x"}, "tess": {}},
    }
    (tmp_path / "mine.json").write_text(json.dumps(content))
    by_name = read_scheme("mine", corpus_of(), tmp_path)
    assert by_name == read_scheme(str(tmp_path / "mine.json"), corpus_of())
    assert by_name.tested == {"a1": "x", "a2": "y"} and by_name.training == ("b1",) and by_name.source == "a paper"
    with pytest.raises(InputError, match="has no folds of corpus 'ravdess'; it has emodb, tess"):
        read_scheme("mine", corpus_of("ravdess"), tmp_path)


def damage(what: str) -> Callable[[Path], object]:
    def no_wav(root: Path) -> object:
        return (root / "data/emodb/fold_1/emodb_test_fold_1.jsonl").write_text('{"key": "a1"}\n')

    def twice(root: Path) -> object:
        lists = root / "data/emodb/fold_2"
        lists.joinpath("emodb_test_fold_2.jsonl").write_text('{"wav": "a1.wav"}\n')
        return lists.joinpath("emodb_train_fold_2.jsonl").write_text('{"wav": "a2.wav"}\n{"wav": "b1.wav"}\n')

    def half(root: Path) -> object:
        return (root / "data/emodb/fold_1/emodb_train_fold_1.jsonl").unlink()

    return {"no_wav": no_wav, "twice": twice, "half": half}[what]


@pytest.mark.parametrize(
    "what,message", [("no_wav", "line 1: not an entry"), ("twice", "tested in two folds"), ("half", "fold 1 in")]
)
def test_damaged_lists_are_refused(tmp_path: Path, what: str, message: str) -> None:
    root = write_emobox(tmp_path, "emodb", {"1": ["a1"], "2": ["a2"]}, extra=["b1"])
    damage(what)(root)
    with pytest.raises(InputError, match=message):
        read_scheme("emobox", corpus_of(), root)


def test_missing_and_foreign_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--folds-root"):
        read_scheme("emobox", corpus_of(), None)
    with pytest.raises(InputError, match="no folder"):
        read_scheme("emobox", corpus_of("tess"), write_emobox(tmp_path, "emodb", {"1": ["a1"]}))
    with pytest.raises(InputError, match=r"no file .*other\.json"):
        read_scheme("other", corpus_of(), tmp_path)
    with pytest.raises(InputError, match="lists of another corpus"):
        read_scheme("emobox", corpus_of("tess"), write_emobox(tmp_path, "tess", {"1": ["z9"]}))
    for content in ("[]", "{", '{"corpora": {"emodb": {"a1": 1}}}', '{"corpora": {"emodb": ["a1"]}}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(InputError, match=r"bad\.json"):
            read_scheme("bad", corpus_of(), tmp_path)
    with pytest.raises(InputError, match="named by letters"):
        FoldScheme("x", {"a1": "../up"})


def test_speaker_folds_as_a_scheme_share_nobody() -> None:
    table = table_of()
    folds = speaker_folds(table, 3)
    scheme = FoldScheme.of_speakers(folds, table)
    assert scheme.held_out(table["speaker"].to_dict()) == folds.speakers
    assert scheme.sharing(table["speaker"].to_dict()) == (0, 3) and len(scheme.tested) == len(table)


def test_folds_of_clips_hold_out_nobody() -> None:
    folds = ClipFolds({"1": ("a1", "b1"), "2": ("a2",)})
    assert folds.speakers == {"1": (), "2": ()}
    assert [folds.fold_of_clip(clip) for clip in ("a1", "a2", "a3")] == ["1", "2", None]
    assert folds.digest == ClipFolds({"2": ("a2",), "1": ("b1", "a1")}).digest != ClipFolds({"1": ("a1",)}).digest


def test_speaker_grouped_models_are_the_ones_that_are_kept() -> None:
    assert kept_first([]) == [5] and kept_first(["emobox"]) == ["emobox"]
    assert kept_first(["emobox", "mine", "speaker", "10"]) == [5, 10, "emobox", "mine"]
    for asked, message in ((["1"], "at least 2, got 1"), (["5", "speaker"], "given twice"), (["-3"], "at least 2")):
        with pytest.raises(InputError, match=message):
            kept_first(asked)
