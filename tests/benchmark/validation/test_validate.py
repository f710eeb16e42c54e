"""`serxai validate`: an intact run passes, and whatever is changed in one is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.store import Store, pack_scores
from serxai.benchmark.validation.check_result import FAIL, NOT_CHECKED, PASS, WARNING, Check
from serxai.benchmark.validation.rescore import same_machine
from serxai.benchmark.validation.validate import validate
from serxai.errors import InputError
from serxai.metrics.records import METRICS

CLIPS = ("03a01Wa", "08a01Wa", "09a02Fa", "10a02Fa")
ROWS = len(CLIPS) * 3 * 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four voiced clips in EMODB's layout."""
    root = tmp_path_factory.mktemp("data")
    (root / "emodb" / "wav").mkdir(parents=True)
    t = np.arange(16000) / 16000
    for seed, name in enumerate(CLIPS):
        f0 = 120 + 10 * seed + 20 * np.sin(2 * np.pi * 2 * t)
        x = sum(np.sin(h * 2 * np.pi * np.cumsum(f0) / 16000) / h for h in range(1, 20)) * (1.2 + np.sin(19 * t))
        noise = 1e-3 * np.random.default_rng(seed).standard_normal(t.size)
        soundfile.write(root / "emodb" / "wav" / f"{name}.wav", 0.05 * x + noise, 16000)
    return root


@pytest.fixture(scope="module")
def intact(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(
        corpora=["emodb"],
        trained_on="planted",
        emotions=["anger", "happiness"],
        conditions=["clean"],
        methods=["random", "energy", "input-x-gradient"],
        metrics=["abpc", "gini"],
        fills=["attenuate"],
        limit=4,
    )
    return run(config, tmp_path_factory.mktemp("runs") / "run", Execution(data_root=data)).path


@pytest.fixture
def copy(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "run"))


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def failed(checks: list[Check]) -> dict[str, tuple[str, ...]]:
    return {check.name: check.found for check in checks if check.result == FAIL}


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Path:
    """Rewrite the first shard's rows as serxai would write them, seal included."""
    file = sorted((path / "scores").glob("*.parquet"))[0]
    frame = pd.read_parquet(file)
    changed = change(frame)
    file.write_bytes(pack_scores(frame if changed is None else changed))
    return file


def put(frame: pd.DataFrame, column: str, value: object, row: int = 0) -> None:
    frame.loc[row, column] = value


def test_an_intact_run_passes_bit_for_bit(intact: Path, data: Path):
    before = {path: path.read_bytes() for path in intact.rglob("*") if path.is_file()}
    checks = by_name(validate(intact, sample=4, data_root=data))
    assert {check.result for check in checks.values()} == {PASS} and len(checks) == 15
    again = checks["scored again"].summary
    assert f"4 clips, {ROWS} rows" in again and "bit for bit" in again and "largest difference 0" in again
    assert before == {path: path.read_bytes() for path in intact.rglob("*") if path.is_file()}


def test_the_sample_is_drawn_by_the_seed(intact: Path, data: Path):
    drawn = [by_name(validate(intact, 1, seed, data))["scored again"].summary for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1


def test_an_edited_value_is_found_by_scoring_again(copy: Path, data: Path):
    edit(copy, lambda frame: put(frame, "value", frame["value"][0] + 1e-9))
    wrong = failed(validate(copy, 4, data_root=data))
    row = Store(copy).scores()
    assert set(wrong) == {"scored again"} and len(wrong["scored again"]) == 1
    (line,) = wrong["scored again"]
    assert any(line.startswith(f"clip {clip}, random, abpc, clean") for clip in row["clip"]) and "value" in line


def test_a_value_edited_by_another_program_is_found_without_scoring(copy: Path, data: Path):
    file = sorted((copy / "scores").glob("*.parquet"))[0]
    frame = pd.read_parquet(file)
    frame["value"] += 1
    frame.to_parquet(file, index=False)
    wrong = failed(validate(copy, 0, data_root=data))
    assert list(wrong) == ["shards", "bounds"] and len(wrong["shards"]) == 1 and file.name in wrong["shards"][0]


def test_a_removed_shard_is_named_with_its_rows(copy: Path, data: Path):
    file = sorted((copy / "scores").glob("*.parquet"))[0]
    clips = set(pd.read_parquet(file)["clip"])
    file.unlink()
    wrong = failed(validate(copy, 0, data_root=data))
    assert wrong["shards"] == (f"scores/{file.name}: missing",)
    assert set(wrong) == {"shards", "coverage"}
    assert wrong["coverage"][0] == f"{ROWS - 6 * len(clips)} rows, {ROWS} planned"


@pytest.mark.parametrize("at", [0, 1000, -200, -1])
def test_one_flipped_byte_of_scores_is_found(copy: Path, data: Path, at: int):
    file = sorted((copy / "scores").glob("*.parquet"))[0]
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(bytes(content))
    assert file.name in failed(validate(copy, 0, data_root=data))["shards"][0]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_one_flipped_byte_of_an_explanation_is_found(copy: Path, data: Path, share: float):
    file = sorted((copy / "explanations").glob("*.npz"))[0]
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 1
    file.write_bytes(bytes(content))
    wrong = failed(validate(copy, 0, data_root=data))
    assert list(wrong) == ["explanations"] and file.name in wrong["explanations"][0]


def test_a_missing_explanation_is_named(copy: Path, data: Path):
    for file in (copy / "explanations").iterdir():
        file.unlink()
    found = failed(validate(copy, 0, data_root=data))["explanations"]
    assert "no explanation of clip 03a01Wa by energy, clean, target" in " ".join(found)
    assert len([line for line in found if line.startswith("no explanation")]) == 3 * len(CLIPS)


def swap(frame: pd.DataFrame, a: str, b: str) -> None:
    frame[a], frame[b] = frame[b].copy(), frame[a].copy()


@pytest.mark.parametrize(
    ("change", "check", "told"),
    [
        (lambda f: put(f, "repeat", 1), "explanations", ", repeat 1"),
        (lambda f: put(f, "status", "fine"), "values", "status 'fine' is not one of ok, failed, skipped"),
        (lambda f: put(f, "direction", "up"), "values", "direction 'up'"),
        (lambda f: put(f, "family", "beauty"), "values", "family 'beauty'"),
        (lambda f: put(f, "status", "failed"), "values", "not ok, but has a value"),
        (lambda f: put(f, "value", np.inf), "values", "no finite value"),
        (lambda f: put(f, "key", f["key"][1]), "keys", "random, abpc"),
        (lambda f: pd.concat([f, f[:1]]), "coverage", "abpc, clean, fill attenuate (cnn): there more than once"),
        (lambda f: put(f, "metric", "gini"), "coverage", "random, gini, clean, fill attenuate (cnn): not planned"),
        (lambda f: f.drop(index=0), "coverage", "random, abpc, clean, fill attenuate (cnn): not there"),
        (lambda f: swap(f, "method", "metric"), "coverage", "abpc, random, clean"),
        (lambda f: put(f, "metric_version", "0"), "metric versions", "metric 'abpc': versions 0, 1 in one run"),
        (lambda f: put(f, "direction", "lower"), "metric versions", "direction 'lower', registered as 'higher'"),
    ],
)  # fmt: skip
def test_each_fault_in_a_table_is_named(copy: Path, data: Path, change: Callable, check: str, told: str):
    edit(copy, change)
    assert told in " ".join(failed(validate(copy, 0, data_root=data))[check])


def test_columns_moved_lost_or_of_another_type_are_named(copy: Path, data: Path):
    file = sorted((copy / "scores").glob("*.parquet"))[0]
    frame = pd.read_parquet(file)
    columns = list(frame)
    columns[5], columns[8] = columns[8], columns[5]
    for changed, told in (
        (frame[columns], "columns in another order: metric, method"),
        (frame.drop(columns="reason"), "lacks columns ['reason']"),
        (frame.assign(value="much"), "column 'value' is large_string, not float64"),
        (frame.assign(mood=1), "unknown columns ['mood']"),
    ):
        changed.to_parquet(file, index=False)
        assert told in failed(validate(copy, 0, data_root=data))["columns"][0]


def test_an_older_metric_is_a_warning_and_its_rows_are_not_compared(
    intact: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    record = METRICS.get("gini")
    try:
        object.__setattr__(record, "version", "2")
        checks = by_name(validate(intact, 1, data_root=data))
    finally:
        object.__setattr__(record, "version", "1")
    assert not failed(list(checks.values()))
    assert checks["metric versions"].result == checks["plan"].result == WARNING
    assert checks["metric versions"].found == ("metric 'gini': scored with version 1, here it is 2",)
    assert "3 of other versions left out" in checks["scored again"].summary


def test_another_audio_byte_or_no_corpus(copy: Path, data: Path, tmp_path: Path):
    other = Path(shutil.copytree(data, tmp_path / "other"))
    wav = other / "emodb" / "wav" / f"{CLIPS[0]}.wav"
    content = bytearray(wav.read_bytes())
    content[2001] ^= 1
    wav.write_bytes(bytes(content))
    checks = by_name(validate(copy, data_root=other))
    assert checks["corpora"].result == FAIL and "emodb: digest" in checks["corpora"].found[0]
    assert checks["scored again"].result == NOT_CHECKED
    checks = by_name(validate(copy, data_root=tmp_path / "nowhere"))
    assert not failed(list(checks.values()))
    assert checks["corpora"].result == checks["scored again"].result == NOT_CHECKED
    assert "emodb: not checked: corpus not here" in checks["corpora"].found[0]


def rewrite_info(path: Path, change: Callable[[dict], object]) -> None:
    info = json.loads((path / "run.json").read_text())
    change(info)
    (path / "run.json").write_text(json.dumps(info))


def test_run_json_is_held_to_what_is_here(copy: Path, data: Path):
    def other_weights(info: dict) -> None:
        info["models"]["cnn trained on planted"]["weights"]["0"] = "0" * 64

    rewrite_info(copy, other_weights)
    assert "weights" in failed(validate(copy, data_root=data))["models"][0]


def test_an_edited_configuration_or_status_is_found(copy: Path, data: Path):
    rewrite_info(copy, lambda info: info["config"].update(seed=7))
    assert {"plan", "scored again"} <= set(failed(validate(copy, 1, data_root=data)))
    rewrite_info(copy, lambda info: info["config"].update(seed=0, methods=["salency"]))
    assert "saliency" in failed(validate(copy, 0, data_root=data))["run.json"][0]
    rewrite_info(copy, lambda info: info.update(status="running"))
    assert "--resume" in " ".join(failed(validate(copy, 0, data_root=data))["run.json"])


def test_another_machine_gets_a_tolerance(copy: Path, data: Path):
    assert same_machine(Store(copy).info)
    rewrite_info(copy, lambda info: info["machine"].update(platform="elsewhere"))
    edit(copy, lambda frame: put(frame, "value", frame["value"][0] + 1e-7))
    checks = by_name(validate(copy, 4, data_root=data))
    assert checks["scored again"].result == PASS and "within 1e-06" in checks["scored again"].summary
    assert "largest difference 1e-07" in checks["scored again"].summary
    edit(copy, lambda frame: put(frame, "value", frame["value"][0] + 1e-5))
    assert len(failed(validate(copy, 4, data_root=data))["scored again"]) == 1


def test_command_line(copy: Path, data: Path, capsys: pytest.CaptureFixture):
    command = ["validate", str(copy), "--sample", "1", "--data-root", str(data)]
    assert main(command) == 0
    assert "scored again" in capsys.readouterr().out
    edit(copy, lambda frame: put(frame, "status", "fine"))
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["valid"] is False
    assert {check["name"] for check in told["checks"] if check["result"] == "fail"} >= {"values"}
    assert main(command) == 1
    assert "status 'fine'" in capsys.readouterr().out
    assert main(["validate", str(data)]) == 2
    assert main([*command[:2], "--sample", "-1"]) == 2
    with pytest.raises(InputError, match="sample"):
        validate(copy, sample=-1)
