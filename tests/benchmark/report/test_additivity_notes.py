"""What boards say of the recogniser: a line on its additivity under each fill, and no rank for any method."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.report.html import report_page
from serxai.benchmark.report.tables import additivity_notes, tables
from serxai.benchmark.report.text import as_latex, as_markdown, terminal_table

REASON = "the method did not score every mask of frequency bands, as emolime does"


@pytest.fixture(scope="module")
def scores(make_scores) -> pd.DataFrame:
    """A simulated run in which emolime scored every mask under two fills, and all others did not."""
    plain = make_scores(speakers=8, conditions=("clean",))
    parts = [plain]
    for fill, level in (("twin", 0.7), ("noise", 0.4)):
        of_fill = plain[plain["metric"] == "deletion"].copy()
        has = (of_fill["method"] == "emolime").to_numpy()
        spread = np.random.default_rng(0).normal(0, 0.1, len(of_fill))
        parts.append(
            of_fill.assign(
                metric="additivity", family="recogniser", direction="higher", fill=fill, model_calls=0,
                status=np.where(has, "ok", "skipped"), reason=np.where(has, "", REASON),
                value=np.where(has, level + spread, np.nan), key=of_fill["key"] + fill,
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def board(scores: pd.DataFrame) -> pd.DataFrame:
    return leaderboard(scores)


def test_one_line_for_each_fill(board: pd.DataFrame, scores: pd.DataFrame):
    found = additivity_notes(board, {"corpus": "planted", "model": "cnn"})
    assert len(found) == 2 and {line.split("fill ")[1].split(",")[0] for line in found} == {"twin", "noise"}
    mean = scores.loc[(scores["metric"] == "additivity") & (scores["fill"] == "twin"), "value"].mean()
    (twin,) = (line for line in found if "twin" in line)
    assert f"48 clips): {mean:.2f} [" in twin and twin.endswith("no weight of a band can show")
    assert additivity_notes(board, {"corpus": "emodb"}) == []
    assert additivity_notes(board[board["metric"] != "additivity"], {}) == []


@pytest.mark.long
def test_it_stands_on_every_board(board: pd.DataFrame, scores: pd.DataFrame):
    buffer = io.StringIO()
    Console(file=buffer, width=1000).print(terminal_table(board))
    page = report_page(scores, board, [])
    for text in (as_markdown(board), as_latex(board), buffer.getvalue(), page):
        assert text.count("Additivity of the recogniser (fill twin") == 1
        assert text.count("Additivity of the recogniser (fill noise") == 1


def test_the_terminal_calls_it_described_not_better(board: pd.DataFrame):
    buffer = io.StringIO()
    Console(file=buffer, width=1000).print(terminal_table(board, ["deletion", "additivity"]))
    text = buffer.getvalue()
    assert text.count("described") == 1 and text.count("↓ better") == 1 and "↑ better" not in text


def test_it_ranks_and_marks_nothing(board: pd.DataFrame):
    rows = board[board["metric"] == "additivity"].set_index(["fill", "method"])
    assert rows["rank"].isna().all() and (rows["group"] == "").all() and not rows["n_misses"].any()
    assert (rows["beats_random"] == "").all() and rows["passes_bar"].isin(["", "no claim"]).all()
    assert rows["mean"].notna().sum() == 2
    assert rows.loc[("twin", "saliency"), "note"].startswith(f"does not apply: {REASON}")
    assert [table.metrics for table in tables(board) if table.family == "recogniser"] == [{"additivity": "higher"}] * 2
