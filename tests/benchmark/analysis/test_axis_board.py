"""The four axes as columns of a board, and pairs of methods whose order depends on the training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.axis_board import COLUMNS, CORPORA, axis_board, axis_grid, shared_texts
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


def test_methods_of_a_setting_are_pooled_over_what_they_share():
    """Saliency has a mild condition more, gradcam every second clip alone, of a slow method too few to count."""
    drawn = Drawn(speakers=8, clips=4)
    every = {clip["clip"] for clip in drawn.clips}
    half = {clip["clip"] for clip in drawn.clips[::2]}
    had = {
        "saliency": ({"tempo-110": 0.95, "noise-20db": 0.7, "noise-10db": 0.4}, every),
        "emolime-sampled": ({"noise-20db": 0.8, "noise-10db": 0.5}, every),
        "gradcam": ({"noise-20db": 0.6, "noise-10db": 0.3}, every),
        "energy": ({"tempo-110": 0.99, "noise-20db": 0.9, "noise-10db": 0.9}, every),
        "occlusion": ({"noise-20db": 0.9}, half),
    }
    maps = []
    for method, (conditions, clips) in had.items():
        of_method = [*drawn.maps(), *drawn.maps(repeat=1)]
        for name, kept in conditions.items():
            of_method += drawn.maps(kept, condition=name, strength=1.0)
        maps += [replace(m, method=method) for m in of_method if m.clip in clips]
    rows = clip_rows(maps, axes=["shift"])
    passed = {("emodb", "cnn (emodb)"): [*list(had)[:3], "occlusion"]}
    board = axis_board(AxisTables(rows, band_table([])), passed)
    told = board.set_index("method")
    # pairs x comparisons: 4 methods, without that of two baselines, of 64 comparisons each
    assert told["shared"].to_dict() == dict.fromkeys(had, True) | {"occlusion": False}
    assert set(told.loc[["saliency", "energy", "gradcam"], "n_clips"]) == {64}
    assert told.loc["saliency", "compared"] == "noise-10db, noise-20db"
    by_hand = rows[(rows["method"] == "saliency") & rows["other"].isin(["noise-10db", "noise-20db"])]
    assert told.loc["saliency", "score"] == pytest.approx(pooled(by_hand.assign(other=""))["score"].iloc[0])
    assert "64 of its 96 comparisons that 4 methods share" in told.loc["saliency", "note"]
    # of all its own comparisons saliency would lead
    own = pooled(rows.assign(other="")).set_index("method")["score"]
    assert own["saliency"] > own["emolime-sampled"] and told.loc["saliency", "rank"] == 2
    assert told.loc["emolime-sampled", "rank"] == 1 and told.loc["gradcam", "rank"] == 3
    assert told.loc["occlusion", "score"] == pytest.approx(own["occlusion"]) and pd.isna(told.loc["occlusion", "rank"])
    assert "not ranked" in told.loc["occlusion", "note"]
    (line,) = (line for line in axis_grid(board) if line[0].startswith("occlusion"))
    assert "°" in line[3] and "rank" not in line[3]
    assert shared_texts(board) == [
        "shift, emodb, cnn (emodb): 64 comparisons, 4 methods: noise-10db, noise-20db"
    ]  # fmt: skip
    turned = axis_board(AxisTables(rows.iloc[::-1].reset_index(drop=True), band_table([])), passed)
    pd.testing.assert_frame_equal(
        turned.sort_values("method", ignore_index=True), board.sort_values("method", ignore_index=True)
    )


def test_corpora_are_compared_on_the_explanations_that_methods_share():
    """Gradcam explained two of three corpora: all are compared on two, or gradcam stands aside where few others are."""
    parts = []
    for place, corpus in enumerate(("emodb", "ravdess", "nemo")):
        drawn = Drawn(speakers=6, clips=4, seed=place)
        for method in ("saliency", "deeplift", "gradcam")[: 3 if corpus != "nemo" else 2]:
            parts += [
                replace(m, method=method, corpus=corpus, trained_on=corpus, clip=f"{corpus}{m.clip}")
                for m in drawn.maps()
            ]
    table = band_table(parts)
    told = axis_board(AxisTables(clip_rows([]), table)).set_index("method")
    # saliency and deeplift: one pair of methods, three of corpora; with gradcam three pairs, and one of corpora
    assert told["shared"].all() and set(told["compared"]) == {"emodb, ravdess"} and set(told["n_clips"]) == {48}
    assert "over the 48 of its 72 clips that 3 methods share" in told.loc["saliency", "note"]
    more = pd.concat([table, table[table["method"] == "saliency"].assign(method="smoothgrad")], ignore_index=True)
    told = axis_board(AxisTables(clip_rows([]), more)).set_index("method")
    assert told["shared"].to_dict() == {"saliency": True, "deeplift": True, "gradcam": False, "smoothgrad": True}
    assert told.loc["gradcam", "compared"] == "emodb, ravdess" and told.loc["saliency", "n_clips"] == 72


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
