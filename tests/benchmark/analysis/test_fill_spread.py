"""The spread over fills: against plain loops, on the clips that all fills share, in every output."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.fill_spread import ALL, COLUMNS, by_fill, spread
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.report.html import write_board
from serxai.benchmark.report.text import as_latex, as_markdown, terminal_table
from serxai.benchmark.stats.clustered import clustered_mean

SHIFT = {"twin": 0.0, "attenuate": 0.7, "noise": -0.2}


@pytest.fixture(scope="module")
def scores(make_scores) -> pd.DataFrame:
    """Three fills that move the means by known amounts; ``attenuate`` does so for sadness alone, ``twin`` skips."""
    frames = []
    for number, (fill, shift) in enumerate(SHIFT.items()):
        part = make_scores(speakers=7, seed=number, conditions=("clean",))
        filled = part["fill"] != ""
        if number:
            part = part[filled]
            filled = filled[filled]
        part = part.assign(fill=part["fill"].where(~filled, fill))
        moved = (part["emotion"] == "sadness") if fill == "attenuate" else True
        part["value"] += shift * moved
        if fill == "twin":
            skipped = (part["fill"] == "twin") & (part["emotion"] == "neutral")
            part.loc[skipped, ["value", "status", "reason"]] = [np.nan, "skipped", "no planted cue"]
        frames.append(part)
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def board(scores: pd.DataFrame) -> pd.DataFrame:
    return leaderboard(scores)


@pytest.mark.parametrize("method", ["emolime", "<odd & name>", "oracle"])
@pytest.mark.parametrize("emotion", [ALL, "sadness", "anger"])
def test_means_by_fill_against_a_loop(scores: pd.DataFrame, method: str, emotion: str) -> None:
    table = by_fill(scores)
    assert list(table.columns) == COLUMNS
    mine = scores[(scores["metric"] == "deletion") & (scores["method"] == method)]
    if emotion != ALL:
        mine = mine[mine["emotion"] == emotion]
    values: dict[str, dict[str, float]] = {}
    for row in mine.itertuples():
        if row.status == "ok":
            values.setdefault(row.clip, {})[row.fill] = row.value
    shared = {clip: found for clip, found in values.items() if len(found) == len(SHIFT)}
    speaker = mine.drop_duplicates("clip").set_index("clip")["speaker"]
    rows = table.query("metric == 'deletion' and method == @method and emotion == @emotion").set_index("fill")
    assert sorted(rows.index) == sorted(SHIFT)
    for fill, row in rows.iterrows():
        e = clustered_mean([found[fill] for found in shared.values()], [speaker[clip] for clip in shared])
        np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), (e.mean, e.low, e.high))
        assert (row["n_clips"], row["n_planned"], row["n_speakers"]) == (len(shared), mine["clip"].nunique(), 7)
        assert row["coverage"] == len(shared) / mine["clip"].nunique()
    (found,) = spread(rows.reset_index()).itertuples()
    assert (found.fill_low, found.fill_high) == (rows["mean"].min(), rows["mean"].max())
    assert (found.n_fills, found.fill_clips) == (3, len(shared))


def test_neutral_clips_that_one_fill_skips_do_not_widen_the_range(scores: pd.DataFrame) -> None:
    extreme = scores.copy()
    extreme.loc[(extreme["emotion"] == "neutral") & (extreme["fill"] == "noise"), "value"] += 1000
    all_emotions = by_fill(extreme).query("emotion == @ALL")
    pd.testing.assert_frame_equal(all_emotions, by_fill(scores).query("emotion == @ALL"))
    neutral = by_fill(scores).query("emotion == 'neutral'")
    assert neutral["mean"].isna().all() and (neutral["n_clips"] == 0).all() and (neutral["coverage"] == 0).all()


def test_what_one_emotion_hides_is_seen(scores: pd.DataFrame) -> None:
    found = spread(by_fill(scores)).query("metric == 'abpc' and method == 'emolime'").set_index("emotion")
    wide = found["fill_high"] - found["fill_low"]
    assert wide["sadness"] > 0.6 > wide["anger"]


def test_seeds_are_averaged_and_a_failed_fill_leaves_no_range(scores: pd.DataFrame) -> None:
    table = by_fill(scores)
    again = by_fill(pd.concat([scores, scores.assign(seed=1, value=scores["value"] + 2)], ignore_index=True))
    np.testing.assert_allclose(again["mean"], table["mean"] + 1)
    assert again["n_clips"].equals(table["n_clips"])
    broken = scores.copy()
    lost = (broken["method"] == "energy") & (broken["fill"] == "noise")
    broken.loc[lost, ["value", "status", "reason"]] = [np.nan, "failed", "x"]
    row = leaderboard(broken).query("metric == 'abpc' and method == 'energy' and fill == 'twin'").iloc[0]
    assert np.isnan(row["fill_low"]) and row["fill_clips"] == 0 and row["n_fills"] == 3 and row["n_ok"] > 0


def test_one_fill_has_no_spread(make_scores) -> None:
    one = make_scores(speakers=7, conditions=("clean",))
    assert by_fill(one).empty and list(by_fill(one).columns) == COLUMNS
    board = leaderboard(one)
    assert board[["n_fills", "fill_low", "fill_high", "fill_clips"]].isna().all(axis=None)
    assert "spread" not in as_markdown(board).lower() and "spread" not in as_latex(board).lower()


def test_board_rows_carry_it_whichever_fill_they_are_of(board: pd.DataFrame) -> None:
    rows = board[(board["metric"] == "abpc") & (board["method"] == "emolime")]
    assert sorted(rows["fill"]) == sorted(SHIFT) and rows["fill_low"].nunique() == rows["fill_high"].nunique() == 1
    # on 35 clips that are not neutral, of the 42 planned
    assert (rows["n_fills"] == 3).all() and (rows["fill_clips"] == 35).all() and (rows["n_planned"] == 42).all()
    assert board.loc[board["metric"] == "mass-accuracy", "n_fills"].isna().all()


@pytest.mark.long
def test_every_output_shows_it(scores: pd.DataFrame, board: pd.DataFrame, tmp_path: Path) -> None:
    row = board[(board["metric"] == "abpc") & (board["method"] == "emolime")].iloc[0]
    text = f"{row['fill_low']:.2f} … {row['fill_high']:.2f}"
    line = next(s for s in as_markdown(board).split("## Spread over fills")[1].splitlines() if "| emolime |" in s)
    assert text in line and line.endswith("| 35 of 42 |")
    assert text.replace("…", r"\ldots{}") in as_latex(board)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(board, fills={"planted": {"cnn": ["twin", "attenuate"]}}))
    printed = console.export_text()
    assert (
        "fill twin" in printed
        and "fill noise" not in printed
        and "fill attenuate" not in printed
        and "over 3 fills" in printed
    )
    assert any(line.split()[:4] == ["emolime", *text.split()] for line in printed.splitlines())
    write_board(scores, [], tmp_path)
    page = tmp_path / "tables.html"
    assert "spread over fills" in page.read_text() and text in page.read_text()
    kept = pd.read_csv(tmp_path / "fills.csv")
    assert list(kept.columns) == COLUMNS and {"all", "anger", "sadness"} <= set(kept["emotion"])


def test_the_terminal_tells_who_was_scored_on_fewer_clips(scores: pd.DataFrame) -> None:
    few = scores[(scores["metric"] == "abpc") & (scores["fill"] == "noise")].copy()
    few.loc[(few["method"] == "saliency") & (few["speaker"] < "s03"), ["value", "status"]] = [np.nan, "failed"]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(leaderboard(few)))
    text = " ".join(console.export_text().split())
    assert "42 of 42" in text and "scored on fewer clips: abpc: saliency 24, oracle 35, <odd & name> 40" in text
