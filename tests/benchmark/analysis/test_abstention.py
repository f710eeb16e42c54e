"""Abstaining never pays: neither in the mean, nor in the rank, nor for a mark, however clips are chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serxai.benchmark.analysis.abstention import NOT_RUN, completed, ranks
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.stats.clustered import cells
from serxai.benchmark.stats.clustered import tests_of_pairs as pair_tests
from serxai.metrics.record import OVER_BUDGET
from serxai.metrics.records import METRICS

SPEAKERS, CLIPS = 7, 2


def table(metric: str, values: dict[str, np.ndarray], speakers: int = SPEAKERS) -> pd.DataFrame:
    """Score rows of one cell; NaN in `values` is a failed row."""
    record = METRICS.get(metric)
    rows = []
    for method, of_method in values.items():
        for i, value in enumerate(of_method):
            known = np.isfinite(value)
            rows.append(
                {
                    "corpus": "planted", "fold": str(i % 3), "model": "cnn", "trained_on": "planted",
                    "seen_in_training": "no", "method": method, "condition": "clean", "strength": 0.0, "metric": metric,
                    "family": record.family, "direction": record.direction, "space": "audio", "fill": "",
                    "explained_against": "none",
                    "clip": f"c{i:03}", "speaker": f"s{i % speakers}", "emotion": "anger", "target_rule": "predicted",
                    "seed": 0, "repeat": 0, "value": value, "status": "ok" if known else "failed",
                    "reason": "" if known else "ValueError", "model_calls": 1,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def row_of(board: pd.DataFrame, method: str) -> pd.Series:
    return board.set_index("method").loc[method]


@pytest.mark.long
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(["rank-accuracy", "truth-auc", "average-drop", "faithfulness-correlation", "random-logit"]),
    lost=st.sets(st.integers(0, SPEAKERS * CLIPS - 1), min_size=1),
    removed=st.booleans(),
)
def test_dropping_scores_never_pays(seed: int, metric: str, lost: set[int], removed: bool) -> None:
    record = METRICS.get(metric)
    rng = np.random.default_rng(seed)
    low, high = float(record.low or 0.0), float(record.high or 1.0)
    shift = {"random": 0.0, "energy": 0.1, "mine": 0.25, "other": 0.2}
    better = 1 if record.direction == "higher" else -1
    middle = (low + high) / 2
    values = {
        name: np.clip(middle + better * by * (high - low) + rng.normal(0, 0.1, SPEAKERS * CLIPS), low, high)
        for name, by in shift.items()
    }
    whole = row_of(leaderboard(table(metric, values)), "mine")
    scores = table(metric, values)
    chosen = (scores["method"] == "mine") & scores["clip"].isin([f"c{i:03}" for i in lost])
    if removed:
        scores = scores[~chosen]
    else:
        scores.loc[chosen, ["value", "status", "reason"]] = [np.nan, "skipped", "the map has no positive relevance"]
    board = leaderboard(scores)
    if "mine" not in set(board["method"]):
        return  # nothing left of it: it is not on the board
    less = row_of(board, "mine")
    assert pd.isna(less["mean"]) or better * (less["mean"] - whole["mean"]) <= 1e-12
    assert pd.isna(less["rank"]) or less["rank"] >= whole["rank"]
    assert less["passes_bar"] != "yes" and less["group"] == ""
    assert (less["coverage"] < 1 and less["n_planned"] == SPEAKERS * CLIPS) or len(lost) == SPEAKERS * CLIPS


def test_dropping_the_clips_below_random_does_not_pay() -> None:
    """No true difference: keeping only the clips on which a method won would reject every time."""
    kept_wins, rejected, ahead = 0, 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        values = {name: rng.uniform(0, 1, 40) for name in ("random", "energy", "mine")}
        below = values["mine"] < values["random"]
        paired = (values["mine"] - values["random"])[~below]
        kept_wins += paired.mean() > 0
        values["mine"] = np.where(below, np.nan, values["mine"])
        mine = row_of(leaderboard(table("rank-accuracy", values, speakers=8)), "mine")
        rejected += mine["beats_random"] == "yes" or mine["passes_bar"] == "yes" or mine["group"] != ""
        ahead += mine["difference"] > 0
        assert mine["n_misses"] == below.sum() and mine["n_clips"] == 40
    assert kept_wins == 12 and rejected == 0 and ahead < 2


def test_the_worst_is_the_bound_or_what_anybody_got() -> None:
    values = {"random": np.full(14, 0.5), "energy": np.arange(14.0), "mine": np.full(14, 2.0)}
    values["mine"][3] = np.nan
    for metric, expected in (("abpc", 0.5), ("rank-accuracy", 0.0), ("max-sensitivity", 3.0), ("average-drop", 1.0)):
        (found,) = completed(cells(table(metric, values)))
        assert found.cell.table["mine"].to_numpy()[3] == expected and found.misses["mine"] == 1
        assert not found.complete["mine"] and found.complete["random"]


def test_undefined_for_one_is_undefined_for_all_and_budget_is_no_miss() -> None:
    values = {name: np.arange(14.0) / 14 for name in ("random", "energy", "mine", "other")}
    scores = table("random-logit", values)
    nobody = scores["clip"] == "c000"
    scores.loc[nobody, ["value", "status", "reason"]] = [np.nan, "skipped", "no planted cue"]
    costly = (scores["method"] == "mine") & (scores["clip"] == "c001")
    scores.loc[costly, ["value", "status", "reason"]] = [np.nan, "skipped", f"{OVER_BUDGET} 64 model calls; took 90"]
    never = scores["method"] == "other"
    scores.loc[never, ["value", "status", "reason"]] = [np.nan, "skipped", "needs gradients"]
    board = leaderboard(scores)
    assert (board["n_misses"] == 0).all()
    assert row_of(board, "energy")["n_clips"] == 13 and row_of(board, "energy")["group"] == "a"
    mine, other = row_of(board, "mine"), row_of(board, "other")
    assert mine["n_clips"] == 12 and mine["group"] == "" and "not scored on all clips" in mine["note"]
    assert pd.isna(other["mean"]) and other["note"].startswith("does not apply: needs gradients")


def test_a_method_run_on_fewer_clips_than_others_has_misses_there() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.3, 0.6, 80) for name in ("random", "energy")}
    few = table("rank-accuracy", {"mine": rng.uniform(0.8, 1.0, 23)}, speakers=8)
    board = leaderboard(pd.concat([table("rank-accuracy", values, speakers=8), few]))
    mine = row_of(board, "mine")
    assert (mine["n_ok"], mine["n_planned"], mine["n_misses"], mine["n_clips"]) == (23, 80, 57, 80)
    assert mine["coverage"] == 23 / 80 and mine["rank"] == 3 and mine["difference"] < 0
    (found,) = completed(cells(pd.concat([table("rank-accuracy", values, speakers=8), few])))
    assert (found.cell.rows["reason"].astype(str) == NOT_RUN).sum() == 57


@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_letters_never_contradict_a_paired_difference(make_scores: Callable, seed: int) -> None:
    """With an oracle on other clips than the rest, and one method that fails here and there."""
    rng = np.random.default_rng(seed)
    names = ["random", "energy", "oracle", "a", "b"]
    values = {name: rng.uniform(0, 1) * 0.2 + rng.uniform(0, 1, 35) for name in names}
    values["oracle"][rng.integers(0, 35, 12)] = np.nan
    values["a"][rng.integers(0, 35, 3)] = np.nan
    scores = table("truth-auc", values)
    board = leaderboard(scores).set_index("method")
    found = list(completed(cells(scores)))
    pairs = pair_tests([each.cell for each in found])
    assert ranks(found[0]).dropna().to_dict() == board["rank"].dropna().to_dict()
    for pair in pairs.itertuples():
        one, other = board.loc[pair.method_a], board.loc[pair.method_b]
        if pd.notna(one["rank"]) and pd.notna(other["rank"]) and abs(pair.difference) > 1e-12:
            assert (one["rank"] < other["rank"]) == (pair.difference > 0)
        if one["group"] and other["group"] and pair.p_holm < 0.05:
            assert not set(one["group"]) & set(other["group"])
    assert board.loc["a", "group"] == board.loc["oracle", "group"] == ""
