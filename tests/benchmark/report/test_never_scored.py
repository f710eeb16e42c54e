"""Methods that were skipped on every clip: a line with the reason below the terminal's table."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.console import Console

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.report.text import terminal_table


def printed(scores: pd.DataFrame) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(terminal_table(leaderboard(scores)))
    return buffer.getvalue()


def skipped(scores: pd.DataFrame, chosen: pd.Series, reason: str) -> pd.DataFrame:
    changed = scores.copy()
    changed.loc[chosen, ["status", "reason", "value"]] = ["skipped", reason, np.nan]
    return changed


def test_a_wholly_skipped_method_gets_a_line(make_scores: Callable) -> None:
    scores = make_scores(conditions=("clean",))
    assert "not scored" not in printed(scores)
    text = printed(skipped(scores, scores["method"] == "saliency", "needs a [bold]network"))
    lines = [line for line in text.splitlines() if line.startswith("saliency")]
    assert lines == ["saliency: not scored; does not apply: needs a [bold]network"]
    assert any(line.startswith("emolime") for line in text.splitlines())


def test_where_nothing_was_scored_every_method_has_its_line(make_scores: Callable) -> None:
    scores = make_scores(conditions=("clean",))
    text = printed(skipped(scores, scores["method"] != "", "no reach"))
    for method in scores["method"].unique():
        assert f"{method}: not scored; does not apply: no reach" in text
