"""A stranger's submission goes the documented way (docs/submit.md): run, results add, validate."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import serxai
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.merge import merged
from serxai.benchmark.cli.main import build_parser, main
from serxai.benchmark.run.config import load_config
from serxai.benchmark.storage.derived import pack_record_scores
from serxai.benchmark.storage.result_tree import run_folders
from serxai.benchmark.storage.run_info import read_run_info
from serxai.benchmark.storage.store import Store
from serxai.methods import Attribution, Explainer
from serxai.methods.records import METHODS

NAME = "my-method"


class Tenth(Explainer):
    """Energy, late cells counting twice."""

    name = NAME

    def attribute(self, request: Any) -> Attribution:
        found = METHODS.get("energy").load()().attribute(request)
        weights = np.linspace(1, 2, found.values.shape[1])
        return replace(found, values=found.values * weights, method=self.name)


@pytest.fixture
def tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    record = replace(METHODS.get("energy"), name=NAME, target="stranger:Tenth", version="1", summary="late energy")
    monkeypatch.setitem(METHODS._records, NAME, record)
    load = type(record).load
    monkeypatch.setattr(type(record), "load", lambda self: Tenth if self.name == NAME else load(self))


DOCS = Path(serxai.__file__).parent / "docs" / "submit.md"
RESULTS = Path(serxai.__file__).parent / "results"
COMMITTED = Path("emodb", "cnn", "emodb-cnn")


def documented() -> list[list[str]]:
    """The three commands of docs/submit.md, as words without the first."""
    block = DOCS.read_text().split("```sh\n")[1].split("```")[0]
    commands = [shlex.split(line) for line in block.splitlines()]
    assert [command[0] for command in commands] == ["serxai"] * 3
    return [command[1:] for command in commands]


def submit(data: Path, tmp_path: Path, results: Path, *flags: str) -> Path:
    """Type the three commands, with further flags of the first; returns the piece."""
    places = {"DIR": str(data), "runs/my-method": str(tmp_path / "my-method"), "results": str(results)}
    run, add, validate = ([word, *(places.get(w, w) for w in rest)] for word, *rest in documented())
    assert main([*run, *flags, "--workers", "1"]) == 0
    assert main(add) == 0
    piece = next(path for path in run_folders([results]) if path.name == NAME)
    there = results.joinpath(*Path(validate[1]).parts[1:])
    assert there == piece or "--trained-on" in flags  # another recogniser has another folder
    assert main([validate[0], str(piece), *validate[2:]]) == 0
    return piece


@pytest.mark.usefixtures("tenth")
def test_the_documented_command_is_that_of_the_committed_piece():
    """Same clips, metrics, conditions and candidates for fills: else methods are not compared on the same things."""
    arguments = build_parser().parse_args(documented()[0])
    flags = {"corpora": arguments.corpus, "methods": arguments.method, "models": arguments.model}
    given = {name: value for name, value in flags.items() if value}
    config = load_config(preset=arguments.preset, repeats=arguments.repeats, **given)
    assert arguments.metric == arguments.condition == arguments.fill == arguments.emotion == []
    assert arguments.limit is None and {"random", "energy"} < set(config.methods)
    committed = read_run_info(RESULTS / COMMITTED)["config"]
    mine = config.model_dump(mode="json")
    different = {name for name, value in committed.items() if mine.get(name) != value}
    assert different == {"methods"}


def forged(piece: Path) -> None:
    scores = Store(piece).scores()
    mine = scores["method"] == NAME
    scores.loc[mine, "value"] += 0.5
    next((piece / "scores").glob("*.parquet")).write_bytes(pack_record_scores(scores))


def check(results: Path, data: Path, rescore: int, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    main(["validate", str(results), "--rescore", str(rescore), "--data-root", str(data), "--json"])
    told = json.loads(capsys.readouterr().out)
    return {c["name"]: c["result"] for f in told["folders"] if f["folder"].endswith(NAME) for c in f["checks"]}


@pytest.mark.long
@pytest.mark.usefixtures("tenth")
def test_a_tenth_method_on_planted_sounds(data: Path, results: Path, tmp_path: Path, capsys, monkeypatch):
    flags = ["--trained-on", "planted", "--emotion", "anger", "--emotion", "happiness", "--limit", "2"]
    piece = submit(data, tmp_path, results, *flags, "--metric", "abpc", "--fill", "attenuate")
    assert "explains other clips than first (2 here, 4 there, 2 in both)" in capsys.readouterr().err
    board = leaderboard(merged([Store(path) for path in run_folders([results])]).scores)
    assert NAME in set(board["method"]) and piece.parent.name == "cnn-trained-on-planted"
    forged(piece)
    assert check(results, data, 0, capsys)["scored again"] == "not checked"
    assert check(results, data, 2, capsys)["scored again"] == "fail"
    # where the method is not installed, its rows are not scored again, and it is said
    monkeypatch.delitem(METHODS._records, NAME)
    found = check(results, data, 2, capsys)
    assert found["not rescored"] == "warning" and found["scored again"] == "pass"


@pytest.mark.real_data
@pytest.mark.long
@pytest.mark.usefixtures("tenth")
def test_a_tenth_method_beside_the_committed_piece(data_root: Path, tmp_path: Path, capsys):
    """On fewer clips than the committed piece: it is on the board, and no number of the others moves."""
    results = tmp_path / "results"
    shutil.copytree(RESULTS / COMMITTED, results / COMMITTED)
    before = clean_board(results)
    piece = submit(data_root, tmp_path, results, "--limit", "4")
    assert piece == results / "emodb" / "cnn" / NAME
    assert "run with --limit 48" in capsys.readouterr().err
    assert set(pd.Series(Store(piece).scores()["method"]).unique()) == {NAME, "random", "energy"}
    after = clean_board(results)
    mine = after.xs(NAME, level="method")
    shared = before.index.droplevel("method").unique()
    assert set(mine.index) == set(shared)  # the same metrics and fills
    assert mine["rank"].isna().all() and (mine["n_clips"].dropna() <= 4).all()
    moved = [name for name in before if name not in ("p_bar", "passes_bar", "p_holm", "group", "note", "beats_random")]
    others = after.drop(NAME, level="method")
    pd.testing.assert_frame_equal(others[moved], before[moved], check_dtype=False)
    forged(piece)
    assert check(piece, data_root, 4, capsys)["scored again"] == "fail"


def clean_board(results: Path) -> pd.DataFrame:
    board = leaderboard(merged([Store(path) for path in run_folders([results])]).scores)
    board = board[board["family"].isin(["faithfulness", "localisation"])]
    return board.set_index(["metric", "fill", "method"]).sort_index()
