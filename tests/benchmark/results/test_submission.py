"""A stranger's submission goes the documented way (docs/submit.md): run, results add, validate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.merge import merged
from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.derived import pack_record_scores
from serxai.benchmark.storage.result_tree import run_folders
from serxai.benchmark.storage.store import Store
from serxai.methods import Attribution, Explainer
from serxai.methods.records import METHODS

NAME = "tenth"


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


def submit(data: Path, tmp_path: Path, results: Path, *flags: str) -> Path:
    """The three commands of docs/submit.md; returns the piece."""
    out, root = str(tmp_path / "mine"), ["--data-root", str(data)]
    methods = [word for name in (NAME, "random", "energy") for word in ("--method", name)]
    run = ["run", "--corpus", "emodb", "--model", "cnn", *methods, "--metric", "abpc", "--fill", "attenuate", *flags]
    assert main([*run, "--condition", "clean", "--workers", "1", *root, "--out", out]) == 0
    assert main(["results", "add", out, "--to", str(results), *root, "--without-cues"]) == 0
    assert main(["validate", str(results), "--rescore", "1", *root]) == 0
    return next(path for path in run_folders([results]) if path.name == "mine")


def forged(piece: Path) -> None:
    scores = Store(piece).scores()
    mine = scores["method"] == NAME
    scores.loc[mine, "value"] += 0.5
    next((piece / "scores").glob("*.parquet")).write_bytes(pack_record_scores(scores))


def check(results: Path, data: Path, rescore: int, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    main(["validate", str(results), "--rescore", str(rescore), "--data-root", str(data), "--json"])
    told = json.loads(capsys.readouterr().out)
    return {c["name"]: c["result"] for f in told["folders"] if f["folder"].endswith("mine") for c in f["checks"]}


@pytest.mark.long
@pytest.mark.usefixtures("tenth")
def test_a_tenth_method_on_planted_sounds(data: Path, results: Path, tmp_path: Path, capsys, monkeypatch):
    flags = ("--trained-on", "planted", "--emotion", "anger", "--emotion", "happiness", "--limit", "2")
    piece = submit(data, tmp_path, results, *flags)
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
def test_a_tenth_method_on_emodb(data_root: Path, tmp_path: Path, capsys):
    results = tmp_path / "results"
    piece = submit(data_root, tmp_path, results, "--limit", "4")
    assert piece == results / "emodb" / "cnn" / "mine"
    assert set(pd.Series(Store(piece).scores()["method"]).unique()) == {NAME, "random", "energy"}
    forged(piece)
    assert check(results, data_root, 4, capsys)["scored again"] == "fail"
