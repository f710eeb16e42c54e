"""The four axes as columns of a board, and pairs of methods whose order depends on the training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.axis_board import COLUMNS, CORPORA, axis_board, axis_grid
from serxai.benchmark.analysis.axis_rows import AxisTables
from serxai.benchmark.analysis.band_table import band_table
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.robustness import clip_rows, pooled
from serxai.benchmark.report.group_text import axes_markdown
from serxai.benchmark.report.tables import CHANGED
from serxai.benchmark.report.text import as_markdown

from .test_robustness_axes import Drawn


def all_axes() -> list:
    """EMODB by two trainings of the cnn and by an embedding, under noise, repeated; RAVDESS by the cnn."""
    drawn, other = Drawn(seed=0), Drawn(seed=1)
    other.of_emotion = drawn.of_emotion
    maps = []
    for method, kept in (("saliency", 0.8), ("emolime-sampled", 0.5), ("energy", 0.9)):
        of_method = [
            *drawn.maps(model="cnn@aaaaaa"),
            *drawn.maps(kept, model="cnn@bbbbbb"),
            *drawn.maps(kept, model="embedding"),
            *drawn.maps(kept, model="cnn@aaaaaa", condition="noise-20db", strength=20.0),
            *drawn.maps(kept, model="cnn@aaaaaa", condition="noise-10db", strength=10.0),
            *drawn.maps(0.9, model="cnn@aaaaaa", repeat=1),
            *[replace(m, corpus="ravdess", trained_on="ravdess", clip=f"r{m.clip}", speaker=f"r{m.speaker}")
              for m in other.maps(model="cnn@cccccc")],
        ]  # fmt: skip
        maps += [replace(m, method=method) for m in of_method]
    return maps


def test_each_axis_is_a_column_and_only_methods_above_the_bar_are_ranked():
    maps = all_axes()
    passed = {("emodb", "cnn@aaaaaa (emodb)"): ["saliency", "emolime-sampled"]}
    board = axis_board(AxisTables(clip_rows(maps), band_table(maps)), passed)
    assert list(board) == COLUMNS
    assert set(board["axis"]) == {"shift", "model", "retraining", "seed", CORPORA}
    first = board[board["model"] == "cnn@aaaaaa (emodb)"].set_index(["axis", "method"])
    assert first.loc[("shift", "saliency"), "rank"] == 1 and first.loc[("shift", "emolime-sampled"), "rank"] == 2
    assert pd.isna(first.loc[("shift", "energy"), "rank"])  # most robust, and blind
    assert first.loc[("shift", "energy"), "score"] > first.loc[("shift", "saliency"), "score"]
    assert first.loc[("shift", "saliency"), "compared"] == "noise-10db, noise-20db"
    rows = clip_rows([m for m in maps if m.method == "saliency" and m.corpus == "emodb"], axes=["shift"])
    expected = pooled(rows.assign(other="both")).iloc[0]
    assert first.loc[("shift", "saliency"), "score"] == pytest.approx(expected["score"])
    # a comparison of two recognisers stands beside both
    for model in ("cnn@bbbbbb (emodb)", "embedding (emodb)"):
        assert {"model"} <= set(board[board["model"] == model]["axis"])
    corpora = board[board["axis"] == CORPORA]
    assert set(corpora["model"]) == {"cnn"} and set(corpora["compared"]) == {"emodb, ravdess"}
    grid = axis_grid(board)
    assert grid[0] == ["method", "corpus", "recogniser", "shift", "model", CORPORA, "retraining", "seed"]
    assert any(line[0] == "saliency▲" and "rank 1" in line[3] for line in grid[1:])
    (own,) = (line for line in grid[1:] if line[:3] == ["energy", "emodb", "cnn@aaaaaa (emodb)"])
    assert own[5] != "–"
    of_another = board.assign(model=board["model"].str.replace("cnn@aaaaaa (emodb)", "cnn@aaaaaa (nemo)", regex=False))
    (line,) = (line for line in axis_grid(of_another)[1:] if line[:3] == ["energy", "emodb", "cnn@aaaaaa (nemo)"])
    assert line[5] == "–" and line[3] == own[3]  # no part of the axis of corpora
    assert "four axes" in axes_markdown(board) and not axes_markdown(board.iloc[:0])


def test_runs_without_anything_to_compare_have_an_empty_board():
    maps = Drawn(speakers=2).maps()
    assert axis_board(AxisTables(clip_rows(maps), band_table(maps))).empty


def test_a_pair_whose_order_changes_with_the_training_is_marked(make_scores):
    """Saliency leads on the first training and is last on the second; energy leads random on both."""
    first = make_scores(conditions=("clean",))
    first = first[first["metric"].eq("abpc") & first["method"].isin(["random", "energy", "saliency"])]
    apart = {"energy": 0.9, "saliency": -0.9}
    second = first.assign(model="cnn@bbbbbb", value=first["value"] + first["method"].map(apart).fillna(0.0))
    board = leaderboard(pd.concat([first.assign(model="cnn@aaaaaa"), second], ignore_index=True))
    told = board.set_index(["model", "method"])["retraining_changes"]
    assert told["cnn@aaaaaa", "saliency"] == "energy; random"  # it falls behind both
    assert (
        told["cnn@bbbbbb", "energy"] == told["cnn@bbbbbb", "random"] == "saliency"
        and (board["n_retrainings"] == 2).all()
    )
    means = board.pivot_table(index="model", columns="method", values="mean")
    signs = np.sign(means["saliency"] - means["energy"])
    assert set(signs) == {-1.0, 1.0}
    text = as_markdown(board)
    assert f"{CHANGED} order changes between 2 trainings of the recogniser: abpc" in text.replace("\\", "")


def test_one_training_marks_nothing(make_scores):
    scores = make_scores(conditions=("clean",))
    board = leaderboard(scores[scores["metric"] == "abpc"])
    assert (board["n_retrainings"] == 1).all() and not board["retraining_changes"].any()
    assert CHANGED + " order" not in as_markdown(board)
    other = scores.assign(model="embedding@b", value=-scores["value"])
    two = leaderboard(pd.concat([scores.assign(model="cnn@a"), other], ignore_index=True))
    assert (two["n_retrainings"] == 1).all()  # two kinds are no retraining


def test_trainings_are_compared_on_the_clips_that_all_explained(make_scores):
    """On its other clips saliency falls below energy: no change of order on the clips of both."""
    scores = make_scores(conditions=("clean",))
    scores = scores[scores["metric"].eq("abpc") & scores["method"].isin(["random", "energy", "saliency"])]
    shared = scores["clip"].str.endswith(("c0", "c1"))
    fallen = ~shared & scores["method"].eq("saliency")
    first = scores.assign(model="cnn@aaaaaa", value=scores["value"] - 9.0 * fallen)
    board = leaderboard(pd.concat([first, scores[shared].assign(model="cnn@bbbbbb")], ignore_index=True))
    means = board[board["model"] == "cnn@aaaaaa"].set_index("method")["mean"]
    assert means["saliency"] < means["energy"] and (board["n_retrainings"] == 2).all()
    assert not board["retraining_changes"].any()
