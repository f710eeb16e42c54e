"""Fetching through audb, from a local repository: nothing here touches the network."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.datasets import fetch as fetch_module
from serxai.datasets.corpora import CORPORA, load_corpus
from serxai.datasets.fetch import PUBLIC, fetch_corpus
from serxai.errors import InputError, UnknownNameError

audb = pytest.importorskip("audb")
audformat = pytest.importorskip("audformat")

FILES = ["wav/03a01Wa.wav", "wav/03a01Nc.wav", "wav/08a02Fb.wav"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory):
    """A repository in a folder that holds an EMODB of three clips, in the pinned version."""
    place = tmp_path_factory.mktemp("audb")
    source = place / "source"
    (source / "wav").mkdir(parents=True)
    for i, file in enumerate(FILES):
        soundfile.write(source / file, np.full(1600, 1000 * i, dtype=np.int16), 16000)
    database = audformat.Database("emodb")
    database["files"] = audformat.Table(audformat.filewise_index(FILES))
    database["files"]["number"] = audformat.Column()
    database["files"]["number"].set([0, 1, 2])
    database.save(str(source))
    repository = audb.Repository("local", str(place / "host"), "file-system")
    (place / "host" / "local").mkdir(parents=True)
    audb.publish(
        str(source),
        PUBLIC["emodb"][1],
        repository,
        cache_root=str(place / "cache"),
        verbose=False,
        previous_version=None,
    )
    return repository


@pytest.fixture(autouse=True)
def nothing_public(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may reach a public repository, nor the user's cache."""
    empty = audb.Repository("none", str(tmp_path / "empty"), "file-system")
    (tmp_path / "empty" / "none").mkdir(parents=True)
    monkeypatch.setattr(audb.config, "REPOSITORIES", [empty])
    monkeypatch.setenv("AUDB_CACHE_ROOT", str(tmp_path / "users-cache"))


def test_what_is_fetched_loads_and_is_the_publishers(repository, tmp_path: Path) -> None:
    configured = audb.config.REPOSITORIES
    done = fetch_corpus("emodb", tmp_path / "data", repository=repository)
    assert audb.config.REPOSITORIES is configured
    assert (done.clips, done.expected, done.version) == (3, 535, "1.4.1")
    assert done.folder == tmp_path / "data" / "emodb" and done.licence == "CC0-1.0" and "Burkhardt" in done.citation
    corpus = load_corpus("emodb", tmp_path / "data")
    assert corpus.table["file"].tolist() == sorted(FILES)
    assert corpus.table["emotion"].to_dict() == {"03a01Nc": "neutral", "03a01Wa": "anger", "08a02Fb": "happiness"}
    published, _ = soundfile.read(tmp_path / "data" / "emodb" / FILES[2], dtype="int16")
    assert (published == 2000).all()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["emodb"]  # no leftovers
    assert not (tmp_path / "users-cache").exists()


def test_a_folder_with_files_is_left_alone_and_an_empty_one_is_filled(repository, tmp_path: Path) -> None:
    folder = tmp_path / "emodb"
    folder.mkdir()
    assert fetch_corpus("emodb", tmp_path, repository=repository).clips == 3
    (folder / FILES[0]).write_text("mine")
    with pytest.raises(InputError, match=r"is there already and is not overwritten.*corpus verify emodb"):
        fetch_corpus("emodb", tmp_path, repository=repository)
    assert (folder / FILES[0]).read_text() == "mine"


def test_a_broken_download_is_continued(repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = audb.load_to

    def broken(root, *args, **kwargs):
        whole(root, *args, **kwargs)
        (Path(root) / FILES[1]).unlink()
        raise ConnectionError("the line is down")

    with monkeypatch.context() as patch:
        patch.setattr(audb, "load_to", broken)
        with pytest.raises(InputError, match=r"emodb 1\.4\.1.*the line is down.*network\?.*try again"):
            fetch_corpus("emodb", tmp_path, repository=repository)
    assert not (tmp_path / "emodb").exists() and (tmp_path / ".emodb.fetching" / "corpus" / FILES[0]).is_file()
    assert fetch_corpus("emodb", tmp_path, repository=repository).clips == 3
    assert not (tmp_path / ".emodb.fetching").exists()


def test_an_unreachable_corpus_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot find version '1\.1\.3' for database 'ravdess'.*https://zenodo\.org"):
        fetch_corpus("ravdess", tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("name", ["tess", "savee", "iemocap", "planted", "folder:my/data"])
def test_what_is_not_public_there_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not public at audb; what can be fetched: emodb, ravdess") as error:
        fetch_corpus(name, tmp_path)
    assert CORPORA.get(name).url in str(error.value)


def test_unknown_corpora_and_a_missing_extra_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'emodb'"):
        fetch_corpus("emodbb", tmp_path)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "audb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'serxai\[audb\]'"):
        fetch_corpus("emodb", tmp_path)


def test_every_public_corpus_is_one_of_ours() -> None:
    assert set(PUBLIC) <= set(CORPORA.names())
    assert fetch_module.PUBLIC["emodb"] == ("emodb", "1.4.1")  # 2.0.0 holds other clips


def test_the_command_fetches_and_says_where(repository, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(audb.config, "REPOSITORIES", [repository])
    assert main(["corpus", "fetch", "emodb", "--data-root", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "3 of 535 clips" in printed and "CC0-1.0" in printed and str(tmp_path / "emodb") in printed
    assert main(["corpus", "fetch", "emodb", "--data-root", str(tmp_path)]) == 2
    assert "not overwritten" in capsys.readouterr().err
