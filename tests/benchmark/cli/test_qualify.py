"""``serxai qualify`` on the command line: cost, a small qualification, resuming it, and its other name."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from serxai.benchmark.cli.main import main

SMALL = ["--model", "planted-rule", "--limit", "1", "--metric", "truth-auc"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small qualification, made by ``serxai run --preset qualify``."""
    out = tmp_path_factory.mktemp("qualify") / "run"
    told, warned = io.StringIO(), io.StringIO()
    with redirect_stdout(told), redirect_stderr(warned):
        assert main(["run", "--preset", "qualify", *SMALL, "--workers", "1", "--out", str(out)]) == 0
    lines = warned.getvalue().splitlines()
    assert next(line for line in lines if "serxai qualify" in line).startswith("serxai: --preset")
    assert "truth-auc" in told.getvalue() and "--preset" not in told.getvalue()
    return out


def test_resuming_keeps_the_settings_and_adds_metrics(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trials,) = (folder / "trials").glob("*.parquet")
    before = trials.read_bytes(), (folder / "qualification.csv").read_bytes()
    assert main(["qualify", "--resume", "--workers", "1", "--out", str(folder)]) == 0
    assert before == (trials.read_bytes(), (folder / "qualification.csv").read_bytes())
    command = ["qualify", "--resume", "--workers", "1", "--out", str(folder), "--metric", "truth-auc"]
    capsys.readouterr()
    assert main([*command, "--metric", "gini", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in printed["verdicts"]] == ["truth-auc", "gini"]
    assert list((folder / "trials").glob("*.parquet")) == [trials]
    kept = pd.read_parquet(trials)
    assert set(kept["metric"]) == {"truth-auc", "gini"} and kept["clip"].nunique() == 1
    assert json.loads((folder / "run.json").read_text())["config"]["limit"] == 1


def test_the_folder_is_told_from_a_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = (
        ["status", str(folder)], ["leaderboard", str(folder), "--out", str(tmp_path / "board")],
        ["compare", str(folder), "--metric", "gini"], ["validate", str(folder)],
        ["run", "--resume", "--out", str(folder)],
    )  # fmt: skip
    for command in commands:
        assert main(command) == 2
        assert "a qualification of metrics" in capsys.readouterr().err
    assert main(["qualify", *SMALL, "--out", str(folder)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    (tmp_path / "run.json").write_text(json.dumps({"config": {"methods": ["random"]}}))
    assert main(["qualify", "--resume", "--out", str(tmp_path)]) == 2
    assert "serxai run --resume" in capsys.readouterr().err


def test_a_dry_run_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "none"
    assert main(["qualify", *SMALL, "--metric", "average-drop", "--dry-run", "--json", "--out", str(out)]) == 0
    (forecast,) = json.loads(capsys.readouterr().out)
    assert forecast["recogniser"] == "planted-rule" and forecast["model_calls"] > 50 and not out.exists()


@pytest.mark.parametrize(
    ("flag", "value"), [("--method", "random"), ("--condition", "clean"), ("--target", "true"), ("--executor", "ray")]
)
def test_flags_without_a_meaning_are_refused(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--preset", "qualify", *SMALL, flag, value]) == 2
    assert capsys.readouterr().err.startswith(f"serxai: {flag}: not an option of the qualification")


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["qualify", "--help"])
    text = capsys.readouterr().out
    assert "examples:" in text and "serxai qualify --dry-run" in text and "defaults.toml" in text
