"""Methods that read one mask table: scored once in a run, counted once in its forecast, priced as if alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

METHODS = ("emolime", "band-shapley", "band-banzhaf", "band-loo")
RUN = [
    sys.executable, "-m", "serxai.benchmark.cli", "run", *(f"--method={name}" for name in METHODS),
    "--metric", "explanation-calls", "--limit", "2", "--workers", "1", "--json",
]  # fmt: skip


@pytest.mark.long
def test_a_run_scores_the_table_of_a_clip_once(tmp_path: Path) -> None:
    out = tmp_path / "run"
    subprocess.run([*RUN, "--out", out], check=True, capture_output=True, cwd=tmp_path)
    scores = pd.concat(pd.read_parquet(file) for file in (out / "scores").glob("*.parquet"))
    prices = scores.groupby("method")["value"].unique()
    assert {name: list(prices[name]) for name in METHODS} == {
        "emolime": [256], "band-shapley": [256], "band-banzhaf": [256], "band-loo": [16],
    }  # fmt: skip
    copies = scores.groupby(["clip", "condition"]).ngroups
    made = sum(json.loads(file.read_text())["model_calls"] for file in (out / "timing").glob("*.json"))
    assert made == copies * (1 + 256 + 16)
    told = subprocess.run([*RUN, "--dry-run"], check=True, capture_output=True, cwd=tmp_path, text=True).stdout
    assert json.loads(told)["model_calls"] == made
