"""The command line as a user meets it: a subprocess in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.store import SCORE_COLUMNS, Store

SMALL = [
    "--method", "random", "--method", "energy", "--method", "oracle", "--method", "input-x-gradient",
    "--metric", "abpc", "--metric", "mass-accuracy", "--metric", "consistency", "--metric", "gini",
    "--condition", "clean", "--condition", "noise-10db",
]  # fmt: skip


def serxai(*arguments: object, cwd: Path, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serxai.benchmark.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | environment,
    )


def content(run: Path) -> dict[str, bytes]:
    """Bytes of everything that must not depend on how a run was computed."""
    return {
        str(p.relative_to(run)): p.read_bytes() for d in ("scores", "explanations") for p in sorted((run / d).iterdir())
    }


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over 12 planted clips with one worker."""
    folder = tmp_path_factory.mktemp("small")
    result = serxai("run", *SMALL, "--limit", 12, "--workers", 1, "--out", "run", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "run"


def test_run_writes_every_row_board_and_report(small_run: Path):
    scores = Store(small_run).scores()
    assert list(scores.columns) == list(SCORE_COLUMNS)
    info = json.loads((small_run / "run.json").read_text())
    # 4 methods x (2 conditions x (abpc + mass-accuracy + gini) + consistency) on 12 clips
    assert len(scores) == info["rows"]["planned"] == 12 * 4 * (2 * 3 + 1)
    assert not scores.duplicated("key").any()
    assert info["status"] == "done" and info["rows"]["failed"] == 0
    assert set(scores["status"]) <= {"ok", "skipped"} and (scores["value"].notna() == (scores["status"] == "ok")).all()
    for name in ("leaderboard.csv", "leaderboard.md", "index.html"):
        assert (small_run / "report" / name).stat().st_size > 500
    oracle = scores[(scores["method"] == "oracle") & (scores["metric"] == "mass-accuracy") & (scores["status"] == "ok")]
    assert len(oracle) >= 12 and np.allclose(oracle["value"], 1, rtol=0, atol=1e-12)


@pytest.mark.long
def test_same_bytes_with_two_workers(small_run: Path, tmp_path: Path):
    result = serxai("run", *SMALL, "--limit", 12, "--workers", 2, "--out", "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert content(tmp_path / "run") == content(small_run)


@pytest.mark.long
def test_killed_run_resumes_to_the_same_bytes(small_run: Path, tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "serxai.benchmark.cli",
        "run",
        *SMALL,
        "--limit",
        "12",
        "--workers",
        "1",
        "--out",
        "run",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/scores/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    written = len(list(tmp_path.glob("run/scores/*.parquet")))
    assert 0 < written < len(list((small_run / "scores").iterdir()))
    result = serxai("run", *SMALL, "--limit", 12, "--workers", 1, "--out", "run", "--resume", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert content(tmp_path / "run") == content(small_run)


@pytest.mark.long
def test_resuming_a_finished_run_computes_nothing(small_run: Path):
    before = {p: p.stat().st_mtime_ns for p in (small_run / "scores").iterdir()}
    result = serxai("run", *SMALL, "--limit", 12, "--workers", 1, "--out", small_run, "--resume", cwd=small_run.parent)
    assert result.returncode == 0, result.stderr
    assert {p: p.stat().st_mtime_ns for p in (small_run / "scores").iterdir()} == before
    assert json.loads((small_run / "run.json").read_text())["computed"]["shards"] == 0


@pytest.mark.long
def test_another_limit_computes_only_what_is_new(small_run: Path, tmp_path: Path):
    subprocess.run(["cp", "-r", str(small_run), str(tmp_path / "run")], check=True)
    result = serxai("run", *SMALL, "--limit", 20, "--workers", 1, "--out", "run", "--resume", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    store = Store(tmp_path / "run")
    old, new = Store(small_run).scores(), store.scores()
    assert set(old["key"]) < set(new["key"]) and len(new) == len(old) * 20 // 12
    fresh = serxai("run", *SMALL, "--limit", 20, "--workers", 1, "--out", "fresh", cwd=tmp_path)
    assert fresh.returncode == 0
    expected = Store(tmp_path / "fresh").scores()
    pd.testing.assert_frame_equal(new, expected)
    computed = [Store(tmp_path / name).info["computed"]["model_calls"] for name in ("run", "fresh")]
    extra = computed[0] - (computed[1] - Store(small_run).info["model_calls"])
    # a clip's partner outside its shard is explained for the clip alone: one prediction, one gradient
    assert 0 <= extra <= 2 * 8 < computed[0]


def test_existing_run_is_not_overwritten(small_run: Path):
    result = serxai("run", *SMALL, "--limit", 12, "--out", small_run, cwd=small_run.parent)
    assert result.returncode == 2 and "--resume" in result.stderr


@pytest.mark.long
def test_status_and_compare_and_leaderboard_and_figures(small_run: Path, tmp_path: Path):
    status = serxai("status", small_run, "--json", cwd=tmp_path)
    told = json.loads(status.stdout)
    assert status.returncode == 0 and told["rows"]["failed"] == 0
    assert told["cells"]["planned"] == told["cells"]["done"] > 0 == told["cells"]["failed"]
    compare = serxai("compare", small_run, "--metric", "abpc", "--json", cwd=tmp_path)
    pairs = json.loads(compare.stdout)
    assert compare.returncode == 0 and {p["condition"] for p in pairs} == {"clean", "noise-10db"}
    assert len(pairs) == 2 * 5  # all but the one that holds neither random nor energy
    board = serxai("leaderboard", small_run, "--out", "board", cwd=tmp_path)
    assert board.returncode == 0, board.stderr
    assert "best methods" in board.stdout and "tests of faithfulness" in " ".join(board.stdout.split())
    assert {p.name for p in (tmp_path / "board").iterdir()} >= {
        "index.html",
        "leaderboard.csv",
        "leaderboard.md",
        "leaderboard.tex",
    }
    table = pd.read_csv(tmp_path / "board" / "leaderboard.csv")
    assert {"random", "energy", "oracle", "input-x-gradient"} == set(table["method"])
    figure = serxai("figures", "ranking", "--run", small_run, "--out", "figures", cwd=tmp_path)
    assert figure.returncode == 0, figure.stderr
    assert list((tmp_path / "figures").glob("*.png")) and list((tmp_path / "figures").glob("*.csv"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--method", "salency"], "Did you mean 'saliency'"),
        (["run", "--corpus", "emo"], "emodb"),
        (["run", "--metric", "deltion"], "deletion"),
        (["run", "--condition", "noise"], "noise-20db"),
        (["run", "--fill", "zeros"], "attenuate"),
        (["run", "--preset", "quik"], "quick"),
        (["run", "--corpus", "emodb", "--data-root", "nowhere"], "nowhere"),
        (["run", "none.toml"], "none.toml"),
        (["run", "--limit", "-3"], "limit"),
        (["run", "--resume", "--out", "none"], "run.json"),
        (["run", "--workers", "0"], "workers"),
        (["run", "--device", "cuda:99"], "cuda"),
        (["status", "none"], "run.json"),
        (["compare", "none", "--metric", "abpc"], "run.json"),
        (["figures", "rankin", "--run", "none", "--out", "o"], "ranking"),
        (["explain", "none.wav"], "none.wav"),
        (["explain", "none.wav", "--method", "limee"], "emolime"),
        (["train", "cnnn", "--corpus", "planted", "--out", "o"], "cnn"),
    ],
)
def test_bad_input_exits_2_and_says_what_to_do(arguments: list[str], expected: str, tmp_path: Path):
    result = serxai(*arguments, cwd=tmp_path, SERXAI_DATA=str(tmp_path))
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert expected in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "status",
        "ls",
        "show",
        "completion",
        "explain",
        "train",
        "leaderboard",
        "figures",
        "compare",
        "conventions",
    ],
)
def test_help_has_examples(command: str, tmp_path: Path):
    result = serxai(command, "--help", cwd=tmp_path)
    assert result.returncode == 0 and f"serxai {command}" in result.stdout.split("examples:")[1]


def test_every_list_answers(tmp_path: Path):
    for kind in ("corpora", "models", "methods", "metrics", "conditions", "fills", "cues", "presets", "figures"):
        listed = json.loads(serxai("ls", kind, "--json", cwd=tmp_path).stdout)
        assert listed and all(row["name"] and row["summary"] for row in listed)


def test_ls_metrics_tells_what_a_reader_must_know(tmp_path: Path):
    """As a table where there is room, else a paragraph for each metric; no word is cut into pieces."""
    wanted = {"family", "direction", "cost", "citation", "qualified"}
    wide = serxai("ls", "metrics", "--long", cwd=tmp_path, COLUMNS="240").stdout.splitlines()
    assert wanted | {"name"} <= set(wide[0].split())
    assert any(line.startswith("relative-representation-stability ") and "robustness" in line for line in wide)
    narrow = serxai("ls", "metrics", "--long", cwd=tmp_path, COLUMNS="80").stdout
    assert all(len(line) <= 80 for line in narrow.splitlines())
    entry = " ".join(narrow.partition("insertion\n")[0].split()).removeprefix("deletion ")
    assert entry.startswith("family: faithfulness · direction: lower") and "citation: Samek et al. 2017" in entry
    rows = json.loads(serxai("ls", "metrics", "--json", cwd=tmp_path).stdout)
    assert all(row[name] for row in rows for name in wanted - {"qualified"})
    assert {row["qualified"] for row in rows} == {True, False, None}


@pytest.fixture(scope="module")
def a_sound(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    t = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * h * t) / h for h in range(1, 30))
    return (0.1 * voice * (1 + np.sin(2 * np.pi * 3 * t))).astype(np.float32)


@pytest.mark.parametrize(
    "kind",
    ["stereo"]  # test_load reads the others too
    + [
        pytest.param(kind, marks=pytest.mark.long) for kind in ("48 kHz", "silence", "mono16", "8 kHz", "float", "flac")
    ],
)
def test_explain_takes_any_readable_file(
    kind: str, a_sound: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    x, rate, name, options = a_sound, 16000, "a.wav", {}
    if kind == "stereo":
        x = np.stack([x, 0.5 * x], axis=1)
    elif kind == "8 kHz":
        x, rate = x[::2], 8000
    elif kind == "48 kHz":
        x, rate = np.repeat(x, 3), 48000
    elif kind == "float":
        options = {"subtype": "FLOAT"}
    elif kind == "flac":
        name = "a.flac"
    elif kind == "silence":
        x = np.zeros_like(x)
    soundfile.write(tmp_path / name, x, rate, **options)
    methods = ["--method", "saliency", "--method", "emolime"]
    monkeypatch.chdir(tmp_path)
    assert main(["explain", name, *methods, "--out", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["explanations"]) == {"saliency", "emolime"} and abs(sum(told["probabilities"].values()) - 1) < 1e-6
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"a.png", "a.json", "a.html", "a-emolime-kept.wav", "a-emolime-removed.wav"} <= made


@pytest.mark.long
def test_explain_twice_gives_identical_bytes(a_sound: np.ndarray, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", a_sound, 16000)
    for out in ("one", "two"):
        assert (
            serxai(
                "explain", "a.wav", "--method", "random", "--method", "emolime", "--out", out, cwd=tmp_path
            ).returncode
            == 0
        )
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    "kind",
    ["empty", "no samples", "text", "nan", "too long", "folder", pytest.param("too short", marks=pytest.mark.long)],
)
def test_explain_refuses_bad_files_by_name(kind: str, tmp_path: Path):
    path = tmp_path / "bad.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is not audio " * 50)
    elif kind == "folder":
        path.mkdir()
    else:
        x = {
            "no samples": np.zeros(0),
            "nan": np.full(16000, np.nan),
            "too long": np.zeros(600 * 16000),
            "too short": np.zeros(20),
        }
        soundfile.write(path, x[kind].astype(np.float32), 16000, subtype="FLOAT" if kind == "nan" else "PCM_16")
    result = serxai("explain", "bad.wav", cwd=tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "bad.wav" in result.stderr


@pytest.mark.long
@pytest.mark.real_data
def test_a_real_corpus_end_to_end(data_root: Path, tmp_path: Path):
    """Fold models trained (or cached), a score row for every method, metric and clip, and the paper's figure."""
    result = serxai(
        "run", "--corpus", "emodb", "--limit", 8, "--data-root", data_root, "--out", "run", cwd=tmp_path, timeout=900
    )
    assert result.returncode == 0, result.stderr
    scores = Store(tmp_path / "run").scores()
    # 10 methods; all 15 metrics but consistency on clean clips; under 2 kinds of noise all but additivity, which is
    # defined for clean clips alone, and the 5 that are clean_only
    assert scores["clip"].nunique() == 8 and len(scores) == 8 * 10 * (14 + 2 * 9)
    assert set(scores["seen_in_training"]) == {"no"} and set(scores["fill"]) == {"", "attenuate"}
    figure = serxai("figures", "emolime-example", "--run", "run", "--out", "figures", cwd=tmp_path)
    assert figure.returncode == 0, figure.stderr
    numbers = pd.read_csv(tmp_path / "figures" / "emolime-example.csv")
    assert list(numbers["low_hz"].round().astype(int)[:8]) == [0, 386, 760, 1148, 1689, 2484, 3654, 5374]
    assert (numbers["source"] == "here").sum() == 16 and (numbers["source"] == "published").sum() == 32
    clip = data_root / "emodb" / "wav" / "10b01Fa.wav"
    told = serxai(
        "explain",
        clip,
        "--trained-on",
        "emodb",
        "--data-root",
        data_root,
        "--target",
        "happiness",
        "--json",
        cwd=tmp_path,
    )
    assert told.returncode == 0 and json.loads(told.stdout)["seen_in_training"] == "no"
    refused = serxai("explain", clip, "--target", "boredom", cwd=tmp_path)
    assert refused.returncode == 2 and "knows anger, happiness" in refused.stderr
