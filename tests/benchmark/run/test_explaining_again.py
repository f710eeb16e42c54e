"""The budget of explanations made again: what it costs, what it shares, and that no score depends on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import RunConfig, load_config, settings_of_run
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.metrics.record import OVER_BUDGET, REEXPLAIN_CALLS

# 16 calls each of the first two, which read one table; more of the others, which read one map
METHODS = ("emolime", "band-shapley", "occlusion", "beyond-saliency")
METRICS_AGAIN = ("max-sensitivity", "independent-randomisation", "random-logit")
SMALL = {
    "emolime": {"partition": "mel:4"}, "band-shapley": {"partition": "mel:4"}, "occlusion": {"bands": 4, "cell_s": 0.4},
}  # fmt: skip


def config(*methods: str, **changes: Any) -> RunConfig:
    settings = {
        "methods": list(methods), "metrics": list(METRICS_AGAIN), "conditions": ["clean"], "fills": ["attenuate"],
        "limit": 1, "parameters": SMALL,
    }  # fmt: skip
    return load_config(**settings | changes)


def values(store: Store) -> pd.DataFrame:
    return store.scores().sort_values("key", ignore_index=True)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return run(config(*METHODS), tmp_path_factory.mktemp("together") / "run")


def test_shared_calls_change_no_row(together: Store, tmp_path: Path):
    """Each row, its model calls included, is that of a run in which nothing is shared."""
    second = ("band-shapley", "beyond-saliency")  # take the table or map that another method had made
    alone = pd.concat(
        [
            run(config(method, metrics=[metric]), tmp_path / f"{method}-{metric}").scores()
            for method in second
            for metric in METRICS_AGAIN
        ]
    ).sort_values("key", ignore_index=True)
    assert set(alone["status"]) == {"ok"}
    shared = values(together)
    shared = shared[shared["method"].isin(second)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, shared, check_exact=True)


def test_tables_and_maps_are_made_again_once(together: Store):
    rows = together.scores()
    calls = rows.groupby("method")["model_calls"].sum()
    assert calls["emolime"] == calls["band-shapley"] == (8 + 4 + 1) * 16 + 1
    assert calls["occlusion"] == calls["beyond-saliency"]
    table, patches = 16, (calls["occlusion"] - 1) // 13
    expected = 1 + 1 + (1 + 8 + 4) * table + (1 + 1 + 8 + 4) * patches  # the table of the clip serves the other target
    reach = sum(r["calls"] for r in together.info["reach"]) if "calls" in (together.info.get("reach") or [{}])[0] else 0
    assert together.info["model_calls"] - reach == expected
    assert forecast(make_plan(config(*METHODS))).total == together.info["model_calls"]


def test_a_budget_skips_and_a_larger_one_completes(together: Store, tmp_path: Path):
    small = run(config(*METHODS, reexplain_calls=16), tmp_path / "run")
    rows = small.scores()
    over = rows["reason"].str.startswith(OVER_BUDGET)
    assert set(rows.loc[over, "method"]) == {"occlusion", "beyond-saliency"}
    assert (rows["status"][over] == "skipped").all()
    assert rows["reason"][over].str.contains("at most 16 model calls.*--reexplain-calls").all()
    within = rows[~over].sort_values("key", ignore_index=True)
    wanted = values(together)
    pd.testing.assert_frame_equal(wanted[wanted["key"].isin(within["key"])].reset_index(drop=True), within)
    before = forecast(make_plan(config(*METHODS)), small).total
    more = run(config(*METHODS), tmp_path / "run")
    pd.testing.assert_frame_equal(values(more), wanted, check_exact=True)
    assert more.info["computed"]["model_calls"] == before < together.info["model_calls"]


def test_shards_of_earlier_runs_keep_their_keys():
    """Those without such metrics whatever the budget, those with them at the budget that there was."""
    plain = [make_plan(config("energy", metrics=["gini"], reexplain_calls=n)).shards[0].key for n in (0, 64, 1024)]
    assert len(set(plain)) == 1
    again = [make_plan(config("energy", reexplain_calls=n)).shards[0].key for n in (64, 1024)]
    assert len(set(again)) == 2
    assert RunConfig(**settings_of_run({"corpora": ["planted"], "models": ["cnn"], "methods": ["energy"],
                                        "metrics": ["gini"]})).reexplain_calls == 64  # fmt: skip
    assert config("energy").reexplain_calls == REEXPLAIN_CALLS


def test_the_dry_run_tells_what_explaining_again_costs(capsys: pytest.CaptureFixture[str]):
    flags = ["run", "--method", "emolime", "--method", "band-shapley", "--metric", "average-sensitivity"]
    flags += ["--limit", "1", "--fill", "attenuate", "--dry-run"]
    small = ["--param", "emolime.partition=mel:3", "--param", "band-shapley.partition=mel:3"]

    def told(*more: str) -> dict[str, Any]:
        assert main([*flags, *small, *more, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    found = told()
    assert (
        found["again_calls"] == 8 * 8 == found["methods"]["emolime"]["again"] == found["methods"]["emolime"]["scores"]
    )
    assert found["methods"]["band-shapley"]["again"] == 0 and found["reexplain_calls"] == 1024
    assert told("--reexplain-calls", "7")["again_calls"] == 0
    assert main([*flags, *small]) == 0
    assert "64 calls explain again, for methods of at most 1024 calls" in " ".join(capsys.readouterr().out.split())


def test_a_negative_budget_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "--reexplain-calls", "-1", "--dry-run"]) == 2
    assert "--reexplain-calls" in capsys.readouterr().err
