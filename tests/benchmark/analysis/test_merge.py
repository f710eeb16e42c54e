"""Merging of runs: by digest, fingerprint and version; complete, or marked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.merge import merge_runs
from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.score_rows import pack_scores
from serxai.benchmark.storage.store import Store
from serxai.errors import InputError


@pytest.fixture(scope="module")
def scores(make_scores: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    table = make_scores(conditions=("clean",))
    return table[table["metric"].isin(["abpc", "deletion"])].reset_index(drop=True)


def halves(scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    first = scores["speaker"] < "s05"
    return scores[first], scores[~first]


def test_one_run_is_its_rows(scores: pd.DataFrame, make_run, tmp_path: Path):
    store = make_run(tmp_path / "a", scores)
    merged = merge_runs([store])
    by = ["metric", "method", "clip"]
    pd.testing.assert_frame_equal(
        merged.scores.sort_values(by, ignore_index=True), store.scores().sort_values(by, ignore_index=True)
    )
    assert merged.notes == [] and merged.infos == [store.info]


def test_the_same_corpus_and_weights_pool(scores: pd.DataFrame, make_run, tmp_path: Path):
    """Two halves of a run, each with other folds, give the board of the whole; a run given twice changes nothing."""
    whole = make_run(tmp_path / "whole", scores)
    prints = whole.info["fingerprints"]
    parts = [
        make_run(tmp_path / f"part{i}", half, fingerprints=dict(list(prints.items())[i : i + 3]))
        for i, half in enumerate(halves(scores))
    ]
    expected = leaderboard(merge_runs([whole]).scores)
    merged = merge_runs(parts)
    assert merged.notes == []
    pd.testing.assert_frame_equal(leaderboard(merged.scores), expected)
    pd.testing.assert_frame_equal(leaderboard(merge_runs([whole, *parts]).scores), expected)


@pytest.mark.parametrize(
    "changes, column, name",
    [
        ({"corpora": {"planted": {"digest": "1" * 32}}}, "corpus", "planted"),
        ({"fingerprints": {"cnn trained on planted, fold 0": "other"}}, "model", "cnn"),
        ({"models": {"cnn trained on planted": {"weights": {"0": "other"}}}}, "model", "cnn"),
        ({"models": {"cnn trained on planted": {"weights": {"0": "w0", "1": "w1"}, "version": "2"}}}, None, ""),
    ],
)
def test_one_name_for_two_things_stands_apart(changes, column, name, scores: pd.DataFrame, make_run, tmp_path: Path):
    shifted = scores.assign(value=scores["value"] + 5, key=scores["key"] + "b")
    one, other = make_run(tmp_path / "a", scores), make_run(tmp_path / "b", shifted, **changes)
    if column is None:  # what only one of them says is no contradiction; then the scores contradict each other
        with pytest.raises(InputError, match="two different scores"):
            merge_runs([one, other])
        return
    merged = merge_runs([one, other])
    labels = sorted(merged.scores[column].unique())
    assert len(labels) == 2 and all(label.startswith(f"{name}@") and len(label) == len(name) + 7 for label in labels)
    assert all(label in merged.notes[0] for label in labels) and len(merged.notes) == 1
    board = leaderboard(merged.scores)
    alone = [leaderboard(merge_runs([store]).scores) for store in (one, other)]
    assert len(board) == sum(map(len, alone))
    assert sorted(board["mean"].dropna()) == sorted(pd.concat(alone)["mean"].dropna())
    titles = {title for info in merged.infos for title in info["corpora" if column == "corpus" else "models"]}
    assert all(any(title.startswith(label) for title in titles) for label in labels)
    again = merge_runs([other, one])
    assert sorted(again.scores[column].unique()) == labels  # whatever the order


@pytest.mark.parametrize("kind", ["method", "metric"])
def test_two_versions_never_pool(kind: str, scores: pd.DataFrame, make_run, tmp_path: Path):
    one = make_run(tmp_path / "a", scores)
    other = make_run(tmp_path / "b", scores.assign(**{f"{kind}_version": "2"}))
    with pytest.raises(InputError, match=rf"{kind} .*versions 1 in .*a, 2 in .*b"):
        merge_runs([one, other])


def test_three_of_seven_score_files_deleted(scores: pd.DataFrame, make_run, tmp_path: Path, capsys):
    store = make_run(tmp_path / "run", scores)
    for key in store.info["shards"][:3]:
        store.score_file(key).unlink()
    left = len(store.scores())
    out = ["--out", str(tmp_path / "board")]
    for command in (["leaderboard", str(store.path), *out], ["compare", str(store.path), "--metric", "abpc"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "3 of 7 score files are missing" in said and f"{left} of {len(scores)} planned rows" in said
        assert "--partial" in said
        assert main([*command, "--partial"]) == 0
        assert "Incomplete: run: 3 of 7 score files are missing." in capsys.readouterr().err
    page = (tmp_path / "board" / "tables.html").read_text("utf-8")
    assert "Incomplete: run: 3 of 7 score files are missing." in page
    assert f"Incomplete: run: {left} of {len(scores)} planned rows." in page


def test_figures_are_drawn_of_complete_runs_only(scores: pd.DataFrame, make_run, tmp_path: Path, capsys):
    store = make_run(tmp_path / "run", scores)
    draw = ["figures", "ranking", "--run", str(store.path), "--out", str(tmp_path / "figures")]
    assert main(draw) == 0
    (tmp_path / "figures" / "ranking.png").unlink()
    for change in ({"status": "running"}, {"planned_rows": len(scores) + 1}):
        make_run(tmp_path / "short", scores, **change)
        capsys.readouterr()
        assert main([*draw[:3], str(tmp_path / "short"), *draw[4:]]) == 2
        assert "incomplete" in (said := capsys.readouterr().err) and "serxai run --resume" in said
        shutil.rmtree(tmp_path / "short")
    next(iter((store.path / "scores").iterdir())).unlink()
    assert main(draw) == 2 and not (tmp_path / "figures" / "ranking.png").exists()


def put(store: Store, column: str, value: object, row: int = 0) -> Store:
    """Change one cell, sealed again as by somebody who knows the format."""
    path = store.score_file(store.info["shards"][2])
    frame = pd.read_parquet(path)
    frame.loc[row, column] = value
    path.write_bytes(pack_scores(frame))
    return store


@pytest.mark.parametrize(
    "column, value, told",
    [
        ("value", np.inf, "no finite value"),
        ("value", -np.inf, "no finite value"),
        ("value", np.nan, "no finite value"),
        ("status", "perfect", "column 'status': not one of ok, failed, skipped"),
        ("status", "skipped", "status is not ok"),
        ("direction", "up", "column 'direction'"),
        ("model_calls", -1, "column 'model_calls': negative"),
    ],
)
def test_values_that_no_row_may_hold(column, value, told, scores: pd.DataFrame, make_run, tmp_path: Path):
    store = put(make_run(tmp_path / "run", scores), column, value)
    with pytest.raises(InputError, match=told) as error:
        merge_runs([store])
    assert store.info["shards"][2] in str(error.value)
    with pytest.raises(InputError, match=told):
        store.scores()
    merged = merge_runs([store], partial=True)
    assert len(merged.scores) == len(scores) - 1 and any(told in note for note in merged.notes)
    assert np.isfinite(merged.scores.loc[merged.scores["status"] == "ok", "value"]).all()


def test_a_run_still_going_and_files_of_another_program(scores: pd.DataFrame, make_run, tmp_path: Path):
    going = make_run(tmp_path / "going", scores, status="running")
    with pytest.raises(InputError, match="still going"):
        merge_runs([going])
    foreign = make_run(tmp_path / "foreign", scores)
    path = foreign.score_file(foreign.info["shards"][0])
    pd.read_parquet(path).to_parquet(path, index=False)
    with pytest.raises(InputError, match="1 of 7 score files were not written by serxai"):
        merge_runs([foreign])
    assert len(merge_runs([going, foreign], partial=True).notes) == 2


def test_compare_takes_several_runs(scores: pd.DataFrame, make_run, tmp_path: Path, capsys):
    whole = make_run(tmp_path / "whole", scores)
    parts = [str(make_run(tmp_path / f"part{i}", half).path) for i, half in enumerate(halves(scores))]
    told = []
    for runs in ([str(whole.path)], parts):
        assert main(["compare", *runs, "--metric", "abpc", "--json"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] and '"p_holm"' in told[0]
    assert main(["compare", *parts, "--metric", "abpc", "--method", "random", "--method", "energy"]) == 2
    assert "no explanations" in capsys.readouterr().err
