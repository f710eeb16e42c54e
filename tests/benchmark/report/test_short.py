"""What is written of a large board as text, and the ranking that the terminal shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.report import short
from serxai.benchmark.report.figures.margins import draw_margins
from serxai.benchmark.report.short import SHORT_NOTE, in_short, is_large, short_ranking
from serxai.benchmark.report.text import as_markdown, write_leaderboard


@pytest.fixture(scope="module")
def board(make_scores: Callable) -> pd.DataFrame:
    return leaderboard(make_scores(speakers=8))


def test_a_large_board_is_written_in_short_and_says_so(
    board: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_large(board)
    whole = write_leaderboard(board, tmp_path / "whole", appendix="appendix")
    assert SHORT_NOTE not in whole["md"].read_text() and whole["md"].read_text().endswith("appendix")
    monkeypatch.setattr(short, "WHOLE", len(board) - 1)
    files = write_leaderboard(board, tmp_path / "short", appendix="appendix")
    for kind in ("md", "tex"):
        text = files[kind].read_text()
        assert SHORT_NOTE in text and "noise-10db" not in text and "appendix" not in text
        assert len(text) < len(whole[kind].read_text())
    assert files["csv"].read_bytes() == whole["csv"].read_bytes()
    assert files["md"].read_text() == as_markdown(in_short(board), short=SHORT_NOTE)


def test_rows_to_cite_are_of_recorded_clips_and_ranked_core_metrics(board: pd.DataFrame) -> None:
    rows = in_short(board)
    assert set(rows["condition"]) == {"clean"} and "abpc" in set(rows["metric"]) and rows["mean"].notna().all()
    assert not set(rows["family"]) & {"cost", "complexity"}


def test_the_ranking_names_the_best_of_each_setting_first(board: pd.DataFrame) -> None:
    console = Console(width=200, no_color=True)
    with console.capture() as caught:
        console.print(short_ranking(board))
    text = caught.get()
    mine = board[(board["metric"] == "abpc") & (board["condition"] == "clean") & ~board["baseline"].astype(bool)]
    best = mine.sort_values("rank").iloc[0]
    line = next(line for line in text.splitlines() if line.startswith("planted"))
    passed = (mine["passes_bar"] == "yes").sum()
    assert f" {best['method']} {best['mean']:.2f}" in line and f"{passed} of {mine['passes_bar'].ne('').sum()}" in line
    assert "random" not in line and "oracle" not in line
    assert short_ranking(board[board["condition"] != "clean"]) is None


def test_the_picture_names_settings_without_the_metric(
    board: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serxai.benchmark.report.figures import margins

    told: list[str] = []
    page = margins.new_page
    monkeypatch.setattr(margins, "new_page", lambda *given: told.append(given[-1]) or page(*given))
    clean = board[board["condition"] == "clean"]
    others = pd.concat([clean, clean.head(1).assign(corpus="elsewhere")])
    draw_margins(clean, tmp_path / "margins.png", settings=others)
    assert "elsewhere cnn (planted)" in told[0] and "Not drawn" in told[0]
    known = clean.loc[clean["metric"] == "abpc", "n_tests"].max()
    assert f"{known} tests of the family" in told[0]
    draw_margins(clean, tmp_path / "margins.png")
    assert "Not drawn" not in told[1]
