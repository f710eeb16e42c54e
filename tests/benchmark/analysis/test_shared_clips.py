"""Runs of one setting on different clips: no run changes the numbers of methods that it does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.abstention import CompletedCell
from serxai.benchmark.analysis.leaderboard import completed_cells, leaderboard
from serxai.benchmark.analysis.merge import merge_runs
from serxai.benchmark.analysis.rank_agreement import ranked_means
from serxai.benchmark.stats.clustered import tests_against as differences_to
from serxai.metrics.records import METRICS

LEVEL = {"random": 0.0, "energy": 0.3, "a": 0.9, "b": 0.6, "c": 0.45, "tenth": 0.5}
MEANS = ["mean", "low", "high", "n_clips", "n_ok", "n_planned", "n_misses", "coverage", "n_speakers"]
DIFFERENCES = [
    "difference", "difference_low", "difference_high", "difference_clips", "difference_planned", "diff_energy",
    "diff_energy_low", "diff_energy_high", "diff_energy_clips",
]  # fmt: skip


def run_of(
    methods: Sequence[str], clips: Sequence[int], lost: Sequence[tuple[str, int]] = (), metric: str = "abpc"
) -> pd.DataFrame:
    """Score rows of a run; the value of a method on a clip is the same in all runs. `lost` has failed."""
    record, rows = METRICS.get(metric), []
    for method in methods:
        for i in clips:
            seed = [ord(letter) for letter in method]
            value = LEVEL[method] + 0.3 * np.random.default_rng([i, *seed]).standard_normal() - 0.02 * i
            ok = (method, i) not in lost
            rows.append(
                {
                    "corpus": "emodb", "fold": f"{i % 3}", "model": "cnn", "trained_on": "emodb",
                    "seen_in_training": "no", "method": method, "method_version": "1", "condition": "clean",
                    "strength": 0.0, "metric": metric, "metric_version": "1", "family": record.family,
                    "direction": record.direction, "space": "audio", "fill": "", "explained_against": "none",
                    "clip": f"c{i:03}", "speaker": f"s{i % 8}", "emotion": ("anger", "sadness")[i % 2],
                    "target_rule": "predicted", "seed": 0, "repeat": 0, "value": value if ok else np.nan,
                    "status": "ok" if ok else "failed", "reason": "" if ok else "ValueError", "model_calls": 1,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def together(*runs: pd.DataFrame, picked: Sequence[int] = ()) -> pd.DataFrame:
    """Rows of runs, each once, with the runs that planned them, as `merge_runs` gives them."""
    labelled = pd.concat([run.assign(runs=f"{i}{'*' * (i in picked)}") for i, run in enumerate(runs)])
    keys = ["method", "clip", "metric"]
    labelled["runs"] = labelled.groupby(keys)["runs"].transform(lambda labels: " ".join(sorted(set(labels))))
    return labelled.sort_values("status", key=lambda status: status != "ok", kind="stable").drop_duplicates(keys)


class Board(NamedTuple):
    """Rows of a board by method, and raw p against the two baselines."""

    rows: pd.DataFrame
    p: pd.DataFrame
    found: CompletedCell


def board_of(scores: pd.DataFrame) -> Board:
    (found,) = completed_cells(scores)
    laid_out = [found.cell]
    p = {name: differences_to(laid_out, name).set_index("method")["p"] for name in ("random", "energy")}
    return Board(leaderboard(scores, found=[found]).set_index("method"), pd.DataFrame(p), found)


def same_numbers(old: Board, new: Board, methods: Sequence[str]) -> None:
    columns = [*MEANS, *DIFFERENCES]
    pd.testing.assert_frame_equal(old.rows.loc[methods, columns], new.rows.loc[methods, columns], check_dtype=False)
    pd.testing.assert_frame_equal(old.p.loc[methods], new.p.loc[methods])


COMMITTED = ["random", "energy", "a", "b", "c"]
MINE = ["random", "energy", "tenth"]


@pytest.mark.parametrize("n_old, n_new", [(48, 24), (24, 48)])
def test_a_run_on_other_clips_moves_no_other_number(n_old: int, n_new: int) -> None:
    old, new = run_of(COMMITTED, range(n_old)), run_of(MINE, range(n_new))
    before, alone, after = (board_of(rows) for rows in (old, new, together(old, new)))
    same_numbers(before, after, COMMITTED)  # baselines too, though both runs have them
    same_numbers(alone, after, ["tenth"])
    board = after.rows
    tenth = board.loc["tenth"]
    assert (board["n_misses"] == 0).all()
    assert tenth["difference_clips"] == tenth["diff_energy_clips"] == tenth["n_clips"] == n_new
    assert (board.loc[COMMITTED, "shared_clips"] == n_old).all()
    assert (board.loc[COMMITTED, "shared_mean"] == board.loc[COMMITTED, "mean"]).all()
    if n_new < n_old:
        assert pd.isna(tenth["rank"]) and tenth["group"] == "" and pd.isna(tenth["shared_mean"])
        assert f"run on {n_new} clips, {n_new} of the {n_old} that methods share" in tenth["note"]
        assert board.loc[COMMITTED, "rank"].to_dict() == before.rows.loc[COMMITTED, "rank"].to_dict()
        return
    on_shared = leaderboard(run_of([*COMMITTED, "tenth"], range(n_old))).set_index("method")
    assert board["rank"].to_dict() == on_shared["rank"].to_dict()
    assert board["group"].to_dict() == on_shared["group"].to_dict()
    assert np.isclose(tenth["shared_mean"], on_shared.loc["tenth", "mean"])
    assert ranked_means(after.found)[0].shape == (n_old, 4)


def test_a_method_that_is_explained_again_on_more_clips() -> None:
    few, many = run_of(COMMITTED, range(24)), run_of(["random", "energy", "a"], range(48))
    before, after = board_of(few), board_of(together(few, many))
    same_numbers(before, after, COMMITTED)
    for name in ("rank", "group"):
        assert before.rows[name].to_dict() == after.rows[name].to_dict()
    assert "24 more clips of other runs left out" in after.rows.loc["a", "note"]


def test_easy_clips_give_differences_and_no_mark() -> None:
    """Whoever submits the clips on which it beats `energy` is compared on them, and gets nothing for it."""
    old = run_of(COMMITTED, range(48))
    everywhere = run_of(MINE, range(48)).pivot(index="clip", columns="method", values="value")
    ahead = (everywhere["tenth"] - everywhere["energy"]).sort_values(ascending=False).index
    best = [int(clip[1:]) for clip in ahead]
    easy = run_of(MINE, sorted(best[:24]))
    before, alone, after = board_of(old), board_of(easy), board_of(together(old, easy, picked=[1]))
    assert alone.rows.loc["tenth", "passes_bar"] == "yes"  # by itself, nobody can tell
    same_numbers(before, after, COMMITTED)
    same_numbers(alone, after, ["tenth"])
    tenth = after.rows.loc["tenth"]
    assert tenth[["passes_bar", "beats_random", "group"]].tolist() == ["no claim", "no claim", ""]
    assert pd.isna(tenth["rank"]) and "picked" in tenth["note"]
    assert after.rows.loc["a", "passes_bar"] == "yes"
    six = board_of(together(old, run_of(MINE, sorted(best[:6]))))  # not even said to be picked
    same_numbers(before, six, COMMITTED)
    assert six.rows.loc[COMMITTED, "group"].to_dict() == before.rows["group"].to_dict()
    assert pd.isna(six.rows.loc["tenth", "rank"])


def test_who_abstains_in_its_own_run_is_still_punished() -> None:
    old = run_of(COMMITTED, range(48))
    hard = [("tenth", i) for i in range(30, 48)]
    new = run_of(MINE, range(48), lost=hard)
    honest = board_of(together(old, run_of(MINE, range(48)))).rows.loc["tenth"]
    tenth = board_of(together(old, new)).rows.loc["tenth"]
    assert tenth["n_misses"] == 18 and tenth["n_clips"] == 48 and tenth["group"] == "" and tenth["passes_bar"] == "no"
    assert tenth["mean"] < honest["mean"] and tenth["diff_energy"] < honest["diff_energy"]
    for rows in (
        new[new["status"] == "ok"],  # rows that a run planned and does not hold, as in a forged record
        run_of(["tenth"], range(48), lost=hard),  # no baseline: the other runs say where the metric is defined
    ):
        (found,) = completed_cells(together(old, rows))
        assert found.misses["tenth"] == 18 and not found.complete["tenth"]
        assert found.cell.own_table["tenth"].mean() < honest["mean"]


def test_the_worst_of_other_runs_does_not_count() -> None:
    """An unbounded metric: a bad method beside does not lower the misses of those that were there."""
    old = run_of(COMMITTED, range(24), lost=[("b", 3)])
    bad = run_of(MINE, range(24)).assign(value=lambda rows: rows["value"].mask(rows["method"] == "tenth", -50.0))
    (found,) = completed_cells(together(old, bad))
    (before,) = completed_cells(old)
    assert found.misses["b"] == 1
    assert found.cell.table[COMMITTED].equals(before.cell.table[COMMITTED])


def test_merged_runs_say_who_planned_a_row(make_run, make_scores, tmp_path) -> None:
    scores = make_scores(conditions=("clean",))
    scores = scores[scores["metric"] == "abpc"].reset_index(drop=True)
    part = scores[(scores["speaker"] < "s05") & scores["method"].isin(["random", "energy"])]
    stores = [make_run(tmp_path / "whole", scores), make_run(tmp_path / "part", part)]
    merged = merge_runs(stores).scores
    both = merged.set_index(["clip", "method"]).index.isin(part.set_index(["clip", "method"]).index)
    assert len(merged) == len(scores) and set(merged.loc[both, "runs"]) == {"0 1"}
    assert set(merged.loc[~both, "runs"]) == {"0"}
