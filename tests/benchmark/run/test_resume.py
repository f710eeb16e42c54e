"""What a second session finds in a run's folder, and what it says of the first."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.report import html as report
from serxai.benchmark.report import run_report
from serxai.benchmark.run import provenance
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.method_spec import described_method, resolve_method
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.benchmark.validation.rescore import same_machine


def config(limit: int, **changes: Any) -> RunConfig:
    settings = {
        "methods": ["random", "energy", "input-x-gradient"], "metrics": ["abpc", "consistency"],
        "conditions": ["clean", "noise-10db"], "fills": ["attenuate"], "limit": limit,
    }  # fmt: skip
    return load_config(**settings | changes)


def content(run: Path) -> dict[str, bytes]:
    return {f"{d}/{p.name}": p.read_bytes() for d in ("scores", "explanations") for p in (run / d).iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An undisturbed run of 5 clips."""
    return run(config(5), tmp_path_factory.mktemp("whole") / "run")


def test_a_wider_run_keeps_the_explanations_of_reused_rows(whole: Store, tmp_path: Path):
    """The first run's clips lie in other shards of the second; theirs hold them too, at no cost."""
    first = run(config(2), tmp_path / "run")
    expected = forecast(make_plan(config(5), measured=first.info["reach"]), first).total
    store = run(config(5), tmp_path / "run")
    assert store.info["computed"]["model_calls"] == expected < whole.info["model_calls"]
    shards = set(whole.info["shards"])
    assert set(store.info["shards"]) == shards
    wanted = content(whole.path)
    assert {n: b for n, b in content(store.path).items() if Path(n).stem in shards} == wanted
    # read by who asks for the plan's explanations
    assert len(list(store.explanations())) == len(list(whole.explanations())) > 5 * 3 * 2


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-99] + b"\0" * 99)])
def test_damaged_explanations_beside_good_scores_are_repaired(damage: Any, whole: Store, tmp_path: Path):
    store = Store(shutil.copytree(whole.path, tmp_path / "run"))
    before = content(store.path)
    shard = store.info["shards"][0]
    damage(store.explanation_file(shard))
    assert store.has_shard(shard) and not store.is_whole(shard) and store.is_pending(shard)
    expected = forecast(make_plan(config(5), measured=store.info["reach"]), Store(store.path)).total
    again = run(config(5), store.path)
    assert content(again.path) == before
    # explained again, not scored again
    assert again.info["computed"]["shards"] == 1
    assert again.info["computed"]["model_calls"] == expected < 32
    assert run(config(5), store.path).info["computed"] | {"seconds": 0} == {"shards": 0, "model_calls": 0, "seconds": 0}


@pytest.mark.long
def test_a_forecast_tells_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = ["--method", "energy", "--method", "input-x-gradient", "--metric", "abpc", "--condition", "clean"]
    out = ["--out", str(tmp_path / "run"), "--workers", "1"]

    def told() -> dict[str, Any]:
        assert main(["run", *flags, "--limit", "5", *out, "--dry-run", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    fresh = told()
    assert not (tmp_path / "run").exists() and fresh["shards_done"] == 0
    assert main(["run", *flags, "--limit", "5", *out]) == 0
    capsys.readouterr()
    store = Store(tmp_path / "run")
    assert store.info["model_calls"] == fresh["model_calls"] > 5 * 32
    lost = store.info["shards"][:2]
    for shard in lost:
        store.score_file(shard).unlink()
    left = told()
    assert left["shards_done"] == fresh["shards"] - 2 and 0 < left["seconds"] < fresh["seconds"] * 2
    assert main(["run", *flags, "--limit", "5", *out, "--resume"]) == 0
    capsys.readouterr()
    assert store.info["computed"]["model_calls"] == left["model_calls"] < fresh["model_calls"]
    done = told()
    assert (done["shards_done"], done["model_calls"], done["seconds"], done["bytes"]) == (fresh["shards"], 0, 0, 0)


@pytest.mark.long
def test_resuming_takes_the_settings_of_the_run_but_for_flags_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = ["--out", str(tmp_path / "run"), "--workers", "1", "--json"]
    assert main(["run", "--method", "energy", "--metric", "gini", "--condition", "clean", "--limit", "2", *out]) == 0
    store = Store(tmp_path / "run")
    first, before = store.info["config"], content(store.path)
    assert main(["run", "--resume", *out]) == 0
    assert store.info["config"] == first and content(store.path) == before
    assert store.info["computed"]["shards"] == 0
    assert main(["run", "--resume", "--limit", "3", *out]) == 0
    assert store.info["config"] == first | {"limit": 3} and store.info["rows"]["planned"] == 3
    capsys.readouterr()
    assert main(["run", "--resume", "--preset", "quick", "--dry-run", *out]) == 0
    assert json.loads(capsys.readouterr().out)["shards"] >= 16  # 64 clips: a preset that is named is started from


@pytest.mark.parametrize("command", [["status"], ["compare", "--metric", "abpc"], ["leaderboard", "--out", "board"]])
def test_a_trial_of_metrics_is_not_read_as_a_run(command, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "run.json").write_text(json.dumps({"qualification": "1", "config": {}}))
    name, *flags = command
    assert main([name, str(tmp_path), *flags]) == 2
    assert "verdicts.csv" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["leaderboard"], ["figures", "ranking", "--run"]])
def test_an_out_that_cannot_be_made_is_named(command, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = ["--method", "energy", "--method", "random", "--metric", "gini", "--condition", "clean", "--limit", "2"]
    assert main(["run", *flags, "--workers", "1", "--out", str(tmp_path / "run")]) == 0
    (tmp_path / "file").write_text("in the way")
    assert main([*command, str(tmp_path / "run"), "--out", str(tmp_path / "file" / "board")]) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / "file" / "board") in told and "another --out" in told and "--resume" not in told


@pytest.mark.long
def test_the_report_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    made = []
    write = run_report.write_board
    monkeypatch.setattr(report, "draw_report_figures", lambda board, folder: [])  # seconds each
    monkeypatch.setattr(run_report, "write_board", lambda *given, **more: made.append(given) or write(*given, **more))
    command = ["run", "--method", "random", "--method", "energy", "--metric", "gini", "--condition", "clean", "--limit",
               "2", "--workers", "1", "--out", str(tmp_path / "run"), "--json"]  # fmt: skip

    def again(*flags: str) -> str:
        assert main([*command, *flags]) == 0
        return capsys.readouterr().out

    page = tmp_path / "run" / "report" / "index.html"
    first = again()
    assert len(made) == 1 and json.loads(first)
    assert again("--resume") == first and len(made) == 1
    page.unlink()
    assert again("--resume") == first and len(made) == 2 and page.is_file()
    (tmp_path / "run" / "report" / "board.parquet").write_bytes(b"PAR1")
    assert again("--resume") == first and len(made) == 3
    wider = again("--resume", "--metric", "mass-accuracy")
    assert wider != first and len(made) == 4
    assert again("--resume") == wider and len(made) == 4  # a name stays added
    monkeypatch.setattr(provenance, "git_state", lambda tree: {"commit": "another"})
    assert again("--resume") == wider and len(made) == 5


def test_other_weights_than_the_runs_are_refused_before_they_are_trained(whole: Store, tmp_path: Path, capsys):
    folder = shutil.copytree(whole.path, tmp_path / "run")
    info = json.loads((folder / "run.json").read_text())
    info["execution"]["checkpoints"] = {"cnn": "/heads/cnn"}
    (folder / "run.json").write_text(json.dumps(info))
    assert main(["run", "--resume", "--out", str(folder)]) == 2
    assert "the run was made with --checkpoint cnn=/heads/cnn; give it again" in capsys.readouterr().err
    assert not list(folder.glob("**/model.json"))
    given = ["--checkpoint", f"cnn={tmp_path / 'no-head'}"]
    assert main(["run", "--resume", "--out", str(folder), *given]) == 2
    assert "no such file or folder" in capsys.readouterr().err


# -- provenance --------------------------------------------------------------------------------------------------------


def test_run_json_says_of_what_and_by_what_it_was_computed(whole: Store):
    info = whole.info
    plan = make_plan(config(5))
    assert {s.fold for s in plan.shards} == {name.rpartition(" ")[2] for name in info["fingerprints"]}
    models = plan.models["cnn", "planted"]
    assert all(
        found == models.recogniser(name.rpartition(" ")[2]).fingerprint for name, found in info["fingerprints"].items()
    )
    assert set(info["methods"]) == {"random", "energy", "input-x-gradient"}
    assert all(facts["version"] and isinstance(facts["parameters"], dict) for facts in info["methods"].values())
    assert set(info["metrics"]) == {"abpc", "consistency"} and set(info["conditions"]) == {"clean", "noise-10db"}
    assert info["conditions"]["noise-10db"]["strength"] == 10 and info["conditions"]["clean"]["strength"] is None
    assert info["machine"]["cpu"] and info["machine"]["memory_bytes"] > 1e9
    assert "NaN" not in (whole.path / "run.json").read_text()


def test_a_method_is_described_with_the_one_it_starts_from():
    described = described_method(resolve_method("beyond-saliency", load_config()))
    assert described["base"]["occlusion"] == described_method(resolve_method("occlusion", load_config()))
    assert described["parameters"] and described["base"]["occlusion"]["parameters"]


def test_earlier_sessions_are_kept(tmp_path: Path):
    first = run(config(1), tmp_path / "run").info
    assert first["sessions"] == []
    second = run(config(2), tmp_path / "run").info
    third = run(config(2), tmp_path / "run").info
    assert [s["config"]["limit"] for s in third["sessions"]] == [1, 2]
    assert third["sessions"] == [{name: info[name] for name in provenance.SESSION} for info in (first, second)]
    assert third["computed"]["shards"] == 0 < second["computed"]["shards"]
    # a session that computed something elsewhere makes the run another machine's, one that did nothing does not
    assert same_machine(third)
    third["sessions"][0]["machine"] = {"platform": "another", "processor": "one"}
    assert not same_machine(third)
    third["sessions"][0]["computed"]["shards"] = 0
    assert same_machine(third)
    (tmp_path / "run" / "run.json").write_text("{")
    assert run(config(2), tmp_path / "run").info["sessions"] == []


def test_uncommitted_changes_have_a_digest(tmp_path: Path):
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert provenance.git_state(tmp_path) == {}
    git("init")
    (tmp_path / ".gitignore").write_text("ignored\n")
    (tmp_path / "a.py").write_text("1\n")
    git("add", ".")
    git("commit", "-m", "a")
    clean = provenance.git_state(tmp_path)
    assert clean["dirty"] is False and "changes" not in clean and len(clean["commit"]) == 40
    (tmp_path / "ignored").write_text("1")
    assert provenance.git_state(tmp_path) == clean
    states = []
    for name, text in (("a.py", "2\n"), ("a.py", "3\n"), ("new file.py", "1\n"), ("new file.py", "2\n")):
        (tmp_path / name).write_text(text)
        states.append(provenance.git_state(tmp_path))
    assert all(state["dirty"] and state["commit"] == clean["commit"] for state in states)
    assert len({state["changes"] for state in states}) == 4 and provenance.git_state(tmp_path) == states[-1]
