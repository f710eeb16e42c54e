"""A record keeps what other trainings of its recogniser scored: the board marks what their runs would mark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from serxai.audio import scoring_grid
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.merge import merged
from serxai.benchmark.analysis.record_tables import RETRAINING_KINDS, RETRAININGS
from serxai.benchmark.analysis.retrainings import recorded_trainings
from serxai.benchmark.analysis.shown_names import plain_name
from serxai.benchmark.cli.main import main
from serxai.benchmark.results.add import add_runs
from serxai.benchmark.results.check import check_results
from serxai.benchmark.storage.clip_facts import write_clip_facts
from serxai.benchmark.storage.derived import read_derived
from serxai.benchmark.storage.store import Explanation, Store
from serxai.keys import digest, rng
from serxai.methods.attribution import Attribution

CHANGES = {"saliency": 0.9, "energy": -0.4}  # what each later training adds to a method's scores, times its number


def write_run(path: Path, make_scores: Callable, make_run: Callable, training: int, clips: int = 4) -> Store:
    """A run of three methods by one training of the CNN."""
    scores = make_scores(speakers=7, clips=clips, conditions=("clean",))
    scores = scores[scores["method"].isin(["random", "energy", "saliency"]) & (scores["metric"] == "abpc")]
    added = scores["method"].map(CHANGES).fillna(0.0) * training
    scores = scores.assign(corpus="emodb", model="cnn", trained_on="emodb", value=scores["value"] + added)
    title = "cnn trained on emodb"
    store = make_run(
        path, scores, 1, models={title: {"recogniser": "cnn"}},
        fingerprints={f"{title}, fold 0": digest("cnn", training)},
    )  # fmt: skip
    grid, found = scoring_grid(1.6), {}
    for row in scores.drop_duplicates(["method", "clip"]).to_dict("records"):
        place = row["method"], row["clip"], training
        attribution = Attribution(rng(*place).normal(size=grid.shape), grid, row["emotion"], row["method"])
        found[digest(*place)] = Explanation(attribution, "emodb", "cnn", row["clip"], "clean", 0, duration_s=1.6)
    timing = {"model_calls": 3, "attempts": 1, "clips": {}, "explanations": {}}
    store.write_shard(store.info["shards"][0], scores.to_dict("records"), found, {}, timing)
    write_clip_facts(path, [("emodb", clip, f"t{clip[-1]}", "f") for clip in scores["clip"].unique()])
    return store


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_scores: Callable, make_run: Callable) -> list[Store]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / str(k), make_scores, make_run, k, 4 if k < 2 else 3) for k in range(3)]


def test_a_record_marks_what_the_runs_of_all_trainings_mark(runs: list[Store], tmp_path: Path):
    (added,) = add_runs(runs[:1], tmp_path, cues=False, beside=runs[1:])
    (of_record,) = [Store(added.folder)]
    kept = read_derived(added.folder, RETRAININGS, RETRAINING_KINDS)
    assert kept is not None and kept["training"].nunique() == 2 and len(kept) == 3 * 7 * (4 + 3)
    told = ["method", "n_retrainings", "retraining_changes"]
    board = leaderboard(merged([of_record]).scores, trainings=recorded_trainings([of_record]))
    every = leaderboard(merged(runs).scores)
    own = every[every["model"] == merged(runs).scores["model"].iloc[0]]
    pd.testing.assert_frame_equal(board[told].reset_index(drop=True), own[told].reset_index(drop=True))
    assert set(board["n_retrainings"]) == {3} and set(board["model"].map(plain_name)) == {"cnn"}
    assert board.set_index("method")["retraining_changes"].ne("").any()  # saliency rises, energy falls
    without = leaderboard(merged([of_record]).scores)
    pd.testing.assert_frame_equal(without.drop(columns=told[1:]), board.drop(columns=told[1:]))
    assert set(without["n_retrainings"]) == {1}


def test_the_same_weights_and_other_versions_are_no_further_training(runs: list[Store], tmp_path: Path):
    (added,) = add_runs(runs[:1], tmp_path, cues=False, beside=[runs[0]])
    assert read_derived(added.folder, RETRAININGS, RETRAINING_KINDS) is None
    assert recorded_trainings([Store(added.folder)]).empty


def test_the_committed_mark_stands_on_the_page_and_is_checked(runs: list[Store], tmp_path: Path):
    add_runs(runs[:1], tmp_path / "results", cues=False, beside=runs[1:])
    checks = {check.name: check for each in check_results(tmp_path / "results") for check in each.checks}
    assert checks["derived tables"].result != "fail" and "retrainings 147" in checks["derived tables"].summary
    assert any("run.json says None" in fault for fault in checks["identity"].found)  # of methods, which it leaves out
    assert main(["leaderboard", str(tmp_path / "results"), "--out", str(tmp_path / "board")]) == 0
    assert "order changes between 3 trainings" in (tmp_path / "board" / "leaderboard.md").read_text("utf-8")
