"""Repeats: methods that draw explain each clip several times, the others once, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.store import Store
from serxai.benchmark.validation.validate import validate
from serxai.errors import InputError
from serxai.metrics.records import METRICS

REPEATS = 3


def config(repeats: int, **changes: object) -> RunConfig:
    settings = {
        "methods": ["random", "energy", "emolime-sampled"], "metrics": ["deletion", "gini"], "conditions": ["clean"],
        "emotions": ["anger"], "limit": 2,
    }  # fmt: skip
    return load_config(**settings | changes, repeats=repeats)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return run(config(REPEATS), tmp_path_factory.mktemp("repeats") / "run", Execution())


def test_methods_that_draw_are_repeated_and_scored(store: Store):
    scores = store.scores()
    repeats = scores.groupby(["method", "metric", "clip"])["repeat"].agg(list)
    assert all(repeats[name].map(sorted).eq([list(range(REPEATS))] * 4).all() for name in ("random", "emolime-sampled"))
    assert repeats["energy"].map(lambda found: found == [0]).all()
    assert len(scores) == store.info["rows"]["planned"] == 2 * 2 * (3 + 3 + 1)
    assert scores["key"].is_unique and set(scores["status"]) == {"ok"}
    assert scores.groupby(["method", "metric", "clip"])["value"].nunique()["random"].eq(REPEATS).all()
    maps = {(e.clip, e.attribution.method, e.repeat): e.attribution.values.tobytes() for e in store.explanations()}
    assert len(maps) == len(set(maps.values())) == 2 * 7


def test_the_first_repeat_is_the_run_without_repeats(store: Store, tmp_path: Path):
    """Same keys, same bits: raising the number of repeats computes what is new and nothing again."""
    once = run(config(1), tmp_path / "run", Execution())
    first = store.scores().query("repeat == 0").sort_values("key", ignore_index=True)
    assert first.equals(once.scores().sort_values("key", ignore_index=True))
    more = run(config(REPEATS), tmp_path / "run", Execution())
    assert more.scores().equals(store.scores())
    assert more.info["computed"]["model_calls"] == 2 * (REPEATS - 1) * (64 + 2 * 32)


AGAIN = ["random", "smoothgrad", "saliency"]  # two that draw


def explaining_again(repeats: int) -> RunConfig:
    """Every metric that explains again, and those that ask the recogniser about one method's map alone."""
    explaining = [record.name for record in METRICS if record.explains]
    return config(
        repeats, methods=AGAIN, metrics=[*explaining, "input-independence", "road", "irof", "average-drop"],
        parameters={"smoothgrad": {"n_copies": 1}}, limit=1, fills=["attenuate"],
    )  # fmt: skip


@pytest.mark.long
def test_metrics_that_explain_again_do_so_for_each_repeat(tmp_path: Path):
    """Each with its own draws, so that nothing depends on which repeats were scored beside it; at the cost foretold."""
    together = run(explaining_again(REPEATS), tmp_path / "together", Execution())
    plan = make_plan(explaining_again(REPEATS))
    assert forecast(plan).total == together.info["computed"]["model_calls"]

    step_by_step = run(explaining_again(1), tmp_path / "steps", Execution())
    rest = make_plan(explaining_again(REPEATS), measured=step_by_step.info["reach"])
    left = forecast(rest, step_by_step).total
    step_by_step = run(explaining_again(REPEATS), tmp_path / "steps", Execution())
    assert left == step_by_step.info["computed"]["model_calls"] < together.info["computed"]["model_calls"]
    assert step_by_step.scores().equals(together.scores())

    scores = together.scores()
    assert set(scores["status"]) == {"ok"}
    values = scores.groupby(["method", "metric"])["value"].agg(list)
    for metric in ("parameter-randomisation", "independent-randomisation", "random-logit"):
        assert values["random", metric] == [1.0] * REPEATS  # it draws the same again and asks no network
    assert all(len(set(values[name, "average-sensitivity"])) == REPEATS for name in ("random", "smoothgrad"))
    assert values.loc["saliency"].map(len).eq(1).all()

    checks = {check.name: check.result for check in validate(step_by_step.path, sample=1)}
    assert checks["scored again"] == checks["coverage"] == "pass"
    board = leaderboard(scores).set_index(["metric", "method"])["mean"]
    shown = scores.groupby(["metric", "method"])["value"].mean()  # of one clip
    np.testing.assert_allclose(board.reindex(shown.index), shown)


def test_forecast_validation_and_board_know_of_them(store: Store):
    assert forecast(make_plan(config(REPEATS))).total == store.info["model_calls"]
    checks = {check.name: check for check in validate(store.path, sample=1)}
    assert {checks[name].result for name in ("coverage", "explanations", "scored again")} == {"pass"}
    board = leaderboard(store.scores()).set_index(["metric", "method"])
    clips = store.scores().groupby(["metric", "method", "clip"])["value"].mean().groupby(level=[0, 1]).mean()
    np.testing.assert_allclose(board["mean"].reindex(clips.index), clips)


@pytest.mark.parametrize("bad", [0, -1, 1001, "3", True, 2.0])
def test_bad_numbers_are_refused(bad: object):
    with pytest.raises(InputError, match="repeats"):
        load_config(repeats=bad)
