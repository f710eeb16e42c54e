"""Damaged and hostile run folders through the command's entry: told by file and field, exit 2, nothing else touched."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serxai.benchmark.cli import results  # noqa: F401  (its import is not what is timed)
from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.files import read_bytes, write_atomically
from serxai.benchmark.storage.store import FOLDERS, Store
from serxai.errors import InputError

READERS = {
    "status": ["status", "RUN"],
    "compare": ["compare", "RUN", "--metric", "abpc"],
    "leaderboard": ["leaderboard", "RUN", "--out", "OUT"],
    "figures": ["figures", "ranking", "--run", "RUN", "--out", "OUT"],
}


@pytest.fixture(scope="module")
def original(make_run, make_scores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = make_scores(conditions=("clean",), clips=2)
    scores = scores[scores["metric"] == "abpc"].assign(corpus="emodb", fill="attenuate")
    return make_run(tmp_path_factory.mktemp("original") / "run", scores).path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


def told(command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Message of a command that must refuse, fast and once."""
    places = {"RUN": str(folder), "OUT": str(folder.parent / "out")}
    start = time.process_time()
    assert main([places.get(word, word) for word in command]) == 2
    assert time.process_time() - start < 20
    said = capsys.readouterr().err
    assert said.startswith("serxai: ") and said.count("\n") == 1 and "Traceback" not in said
    return said


def first(folder: Path, kind: str) -> Path:
    return sorted((folder / kind).iterdir())[0]


def change(folder: Path, **fields: Any) -> None:
    path = folder / "run.json"
    info = json.loads(path.read_text())
    for name, value in fields.items():
        info[name] = value
    path.write_text(json.dumps(info))


RUN_JSON: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda f: (f / "run.json").write_bytes((f / "run.json").read_bytes()[:200]), "not JSON"),
    "no UTF-8": (lambda f: (f / "run.json").write_bytes(b"\xff\xfe{}"), "not JSON"),
    "a list": (lambda f: (f / "run.json").write_text("[]"), "holds list"),
    "nested": (lambda f: (f / "run.json").write_text("[" * 200_000), "nested too deeply"),
    "config null": (lambda f: change(f, config=None), "field 'config'"),
    "methods text": (lambda f: change(f, config={"corpora": [], "models": [], "methods": "x", "metrics": []}),
                     "field 'config.methods'"),
    "shards out of the folder": (lambda f: change(f, shards=["../../precious"]), "field 'shards.0'"),
    "shard not hex": (lambda f: change(f, shards=["Z" * 32]), "field 'shards.0'"),
    "shard with a line break": (lambda f: change(f, shards=["0" * 32 + "\n"]), "field 'shards.0'"),
    "rows as text": (lambda f: change(f, planned_rows="720"), "field 'planned_rows'"),
    "rows huge": (lambda f: change(f, planned_rows=10**30), "field 'planned_rows'"),
    "rows negative": (lambda f: change(f, planned_rows=-1), "field 'planned_rows'"),
    "status unknown": (lambda f: change(f, status="perfect"), "field 'status'"),
    "digest a number": (lambda f: change(f, corpora={"emodb": {"digest": 3}}), "field 'corpora.emodb.digest'"),
    "checkpoint a list": (lambda f: change(f, execution={"checkpoints": {"cnn": []}}), "field 'execution.checkpoints"),
    "a pipe": (lambda f: ((f / "run.json").unlink(), os.mkfifo(f / "run.json")), "not a regular file"),
    "a folder": (lambda f: ((f / "run.json").unlink(), (f / "run.json").mkdir()), "not a regular file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", RUN_JSON)
def test_run_json(damage: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    harm, field = RUN_JSON[damage]
    harm(folder)
    commands = [*READERS.values(), ["validate", "RUN"], ["run", "--resume", "--out", "RUN"]]
    said = [told(command, folder, capsys) for command in commands]
    for text in said:
        assert str(folder / "run.json") in text and field in text and text.count("damaged") == 1, text
    assert sorted(p.name for p in folder.parent.iterdir()) == ["run"]


def zeros(path: Path, n: int) -> None:
    """A small .npz whose array is huge."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/values.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n,)})
        for _ in range(n // 2**20):
            file.write(bytes(2**20))


def header_lies(path: Path) -> None:
    """A .npz whose array declares more than its entry holds."""
    body = io.BytesIO()
    np.lib.format.write_array_header_1_0(body, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/meta.npy", body.getvalue())
        archive.writestr("a/values.npy", body.getvalue())


def repeated(path: Path, n: int, **values: str) -> None:
    """Make a small file of the first row, n times."""
    first_row = pq.read_table(path).slice(0, 1).to_pydict()
    columns = {}
    for name, (value,) in first_row.items():
        dictionary = pa.array([values.get(name, value)])
        once = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), dictionary)
        columns[name] = once if isinstance(value, str) else once.cast(dictionary.type)
    pq.write_table(pa.table(columns), path, compression="zstd")


def column(name: str, values: Any) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        pd.read_parquet(path).assign(**{name: values}).to_parquet(path, index=False)

    return put


def flipped(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.write_bytes(body)


FILES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "scores truncated": ("scores", lambda p: p.write_bytes(p.read_bytes()[:300]), "damaged"),
    "scores empty": ("scores", lambda p: p.write_bytes(b""), "damaged"),
    "scores flipped": ("scores", flipped, "its bytes are not those"),
    "scores of text": ("scores", column("value", "much"), "column 'value' is"),
    "scores without emotion": ("scores", lambda p: pd.read_parquet(p).drop(columns="emotion").to_parquet(p), "emotion"),
    "scores with a number for a name": ("scores", column("method", 3), "column 'method' is int64"),
    "scores without words": ("scores", column("method", None), "column 'method'"),
    "scores infinite": ("scores", column("value", np.inf), "column 'value'"),
    "scores of lists": ("scores", lambda p: pq.write_table(
        (t := pq.read_table(p)).set_column(0, "corpus", pa.array([["a"]] * len(t))), p), "column 'corpus' is list"),
    "scores a pipe": ("scores", lambda p: (p.unlink(), os.mkfifo(p)), "not a regular file"),
    "npz truncated": ("explanations", lambda p: p.write_bytes(p.read_bytes()[:200]), "damaged"),
    "npz flipped": ("explanations", flipped, "its bytes are not those"),
    "npz header lies": ("explanations", header_lies, "declares shape (1000000000000,)"),
    "npz of zeros": ("explanations", lambda p: zeros(p, 250 * 2**20), "declares"),
    "timing truncated": ("timing", lambda p: p.write_text('{"model'), "not JSON"),
    "timing of text": ("timing", lambda p: p.write_text('{"model_calls": "3"}'), "field 'model_calls'"),
    "timing not a number": ("timing", lambda p: p.write_text('{"clips": {"a": NaN}}'), "field 'clips.a'"),
    "timing a list": ("timing", lambda p: p.write_text("[]"), "holds list"),
}  # fmt: skip


@pytest.mark.parametrize("damage", FILES)
def test_files_of_a_shard(damage: str, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    kind, harm, field = FILES[damage]
    path = first(folder, kind)
    harm(path)
    for command in READERS.values():
        said = told(command, folder, capsys)
        assert said.count(str(path)) == 1 and field in said and "--resume" in said, said
    start = time.process_time()
    assert main(["validate", str(folder), "--sample", "0", "--json", "--data-root", str(tmp_path)]) == 1
    assert time.process_time() - start < 20
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check for check in checks if any(path.name in line for line in check["found"])], checks


def test_a_table_of_five_million_rows_is_refused_by_its_metadata(folder: Path, capsys: pytest.CaptureFixture[str]):
    path = first(folder, "scores")
    repeated(path, 5_000_000)
    assert path.stat().st_size < 1e6
    start = time.process_time()
    for command in READERS.values():
        assert "declares 5000000 rows" in told(command, folder, capsys)
    assert time.process_time() - start < 20


def test_a_text_repeated_beyond_memory_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    path = first(folder, "scores")
    change(folder, planned_rows=10**6)
    repeated(path, 100_000, reason="x" * 2**20)
    assert path.stat().st_size < 2e6
    assert "texts would take" in told(READERS["leaderboard"], folder, capsys)


# -- nothing outside the folder ----------------------------------------------------------------------------------------


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to("../precious.txt")
    with pytest.raises(InputError, match="cannot write there"), Store(tmp_path / "run").locked():
        pass
    assert precious.read_text() == "keep"


def test_a_lock_that_is_there_is_not_emptied(tmp_path: Path):
    (tmp_path / "kept").write_text("keep")
    os.link(tmp_path / "kept", tmp_path / ".lock")
    with Store(tmp_path).locked():
        pass
    assert (tmp_path / "kept").read_text() == "keep"


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_are_links_are_refused(name: str, folder: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".left.tmp").write_text("keep")
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    with pytest.raises(InputError, match="symbolic link"), Store(folder).locked():
        pass
    assert [p.name for p in elsewhere.iterdir()] == [".left.tmp"]


def test_a_board_is_not_drawn_through_a_link(folder: Path, capsys: pytest.CaptureFixture[str]):
    out, elsewhere = folder.parent / "out", folder.parent / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "figures").symlink_to(elsewhere)
    assert "symbolic link" in told(READERS["leaderboard"], folder, capsys)
    assert not list(elsewhere.iterdir()) and [p.name for p in out.iterdir()] == ["figures"]


def test_files_replace_links_and_temporaries_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "file").symlink_to(precious)
    monkeypatch.setattr("platform.node", lambda: "here")
    (tmp_path / f".file.here-{os.getpid()}.tmp").symlink_to(precious)
    write_atomically(tmp_path / "file", b"new")
    assert precious.read_text() == "keep" and not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 2


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path):
    (tmp_path / "big").write_bytes(b"x" * 11)
    assert read_bytes(tmp_path / "big", 11) == b"x" * 11
    os.mkfifo(tmp_path / "pipe")
    for name, said in {"big": "at most 10", "pipe": "regular", "none": "cannot be read", ".": "regular"}.items():
        with pytest.raises(ValueError, match=said):
            read_bytes(tmp_path / name, 10)


# -- a run finishes all the same ---------------------------------------------------------------------------------------


def test_a_run_mends_what_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = ["--out", str(tmp_path / "run"), "--workers", "1", "--json"]
    small = ["--method", "energy", "--metric", "gini", "--condition", "clean", "--limit", "2"]
    assert main(["run", *small, *out]) == 0
    run = tmp_path / "run"
    before = {p: p.read_bytes() for kind in ("scores", "explanations") for p in (run / kind).iterdir()}
    flipped(first(run, "explanations"))
    first(run, "timing").write_text('{"model_calls": "many"}')
    sorted((run / "timing").iterdir())[-1].write_text("{")
    (run / "report" / "board.parquet").write_bytes(b"PAR1")
    precious = tmp_path / "precious.tmp"
    precious.write_text("keep")
    (run / "scores" / ".link.tmp").symlink_to(precious)
    capsys.readouterr()
    assert "field 'model_calls'" in told(["status", "RUN"], run, capsys)
    assert main(["run", "--resume", *out]) == 0
    assert {p: p.read_bytes() for p in before} == before and precious.read_text() == "keep"
    assert main(["status", str(run)]) == 0
    # names are added to those of the run
    capsys.readouterr()
    assert main(["run", "--resume", "--method", "random", "--metric", "gini", *out]) == 0
    config = Store(run).info["config"]
    assert (config["methods"], config["metrics"]) == (["energy", "random"], ["gini"])
    assert sorted(Store(run).scores()["method"].unique()) == ["energy", "random"]
