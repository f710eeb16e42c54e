"""No metric reports a mean without coverage and interval, wherever it is shown."""

from __future__ import annotations

import io
import json
import re
from argparse import Namespace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark import agreement, cli_results, fill_spread, qualify_table
from serxai.benchmark.board_text import as_latex, as_markdown, terminal_table, write_leaderboard
from serxai.benchmark.leaderboard import leaderboard
from serxai.benchmark.report import write_board
from serxai.benchmark.statistics import compare_pairwise
from serxai.benchmark.store import Store

INTERVAL = re.compile(r"\d \[-?[\d.]+, -?[\d.]+\]")


@pytest.fixture(scope="module")
def scores(make_scores) -> pd.DataFrame:
    return make_scores(speakers=8, conditions=("clean", "noise-20db"))


@pytest.fixture(scope="module")
def folder(scores: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two fills."""
    out = tmp_path_factory.mktemp("board")
    again = scores[scores["fill"] != ""].assign(fill="noise")
    write_board(pd.concat([scores, again], ignore_index=True), [], out)
    return out


def has_bounds_and_counts(columns: list[str], what: str) -> None:
    for mean in {"mean", "difference", "estimate"} & set(columns):
        prefix = "difference_" if mean == "difference" and "difference_low" in columns else ""
        assert {f"{prefix}low", f"{prefix}high"} <= set(columns), what
        assert {"n_planned", "planned"} & set(columns), what
        assert {"n_ok", "n_clips", "clips"} & set(columns), what


def test_every_table_of_numbers_has_bounds_and_counts(folder: Path, scores: pd.DataFrame) -> None:
    tables = sorted(folder.rglob("*.csv"))
    assert {path.name for path in tables} >= {"leaderboard.csv", "fills.csv", "ranking.csv", "consistency.csv"}
    for path in tables:
        has_bounds_and_counts(list(pd.read_csv(path, nrows=1).columns), path.name)
    for columns in (fill_spread.COLUMNS, agreement.COLUMNS, qualify_table.COLUMNS):
        assert {"mean", "estimate"} & set(columns)
        has_bounds_and_counts(columns, str(columns))
    has_bounds_and_counts(list(compare_pairwise(scores, "abpc").columns), "compare")


def test_every_text_table_shows_interval_and_coverage(scores: pd.DataFrame) -> None:
    board = leaderboard(scores)
    metrics = board["metric"].nunique()
    rows = [line for line in as_markdown(board).splitlines() if "| emolime |" in line]
    assert len(rows) >= metrics and all(INTERVAL.search(row) and row.endswith("% |") for row in rows)
    rows = [line for line in as_latex(board).splitlines() if "& emolime &" in line]
    assert len(rows) >= metrics and all(INTERVAL.search(row) and row.endswith(r"\% \\") for row in rows)


def test_the_terminal_shows_interval_and_coverage(scores: pd.DataFrame) -> None:
    varied = scores.copy()
    calls = varied["metric"] == "explanation-calls"
    varied.loc[calls, "value"] += (
        varied.loc[calls, "speaker"].str[1:].astype(float) * 10
    )  # calls that differ by speaker
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(terminal_table(leaderboard(varied)))
    lines = console.export_text().splitlines()
    (row,) = [line for line in lines if line.startswith("emolime")]
    assert row.count("±") == 4  # abpc, mass-accuracy, consistency, calls
    assert any(line.count("48 of 48") == 4 for line in lines)
    assert "scored on fewer clips: abpc: oracle 40" in " ".join(" ".join(lines).split())


class Cells(HTMLParser):
    """Data cells of the ranking tables, by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        if tag == "table":
            self.inside = attributes.get("class") == "ranking"
        elif tag == "tr" and self.inside:
            self.rows.append([])
        elif tag == "td" and self.inside:
            self.rows[-1].append("")
        elif tag == "span" and attributes.get("class") == "interval" and self.inside:
            self.rows[-1][-1] += "interval "

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_every_mean_of_the_page_has_its_interval_beside_it(folder: Path) -> None:
    parser = Cells()
    parser.feed((folder / "index.html").read_text())
    rows = [row for row in parser.rows if row]
    assert len(rows) > 30
    for rank, *means, coverage, _calls in ([cell.strip() for cell in row] for row in rows):
        assert rank and coverage.endswith("%") and all("interval" in cell or cell == "–" for cell in means)


def test_compare_tells_how_many_of_the_planned_clips(
    scores: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(Store, "scores", lambda self, columns=None: scores)
    arguments = Namespace(run=tmp_path, metric="abpc", corpus=None, method=[], json=True)
    assert cli_results.compare(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    pair = next(
        p for p in found if {p["method_a"], p["method_b"]} == {"oracle", "random"} and p["condition"] == "clean"
    )
    assert (pair["n_clips"], pair["n_planned"]) == (40, 48) and pair["low"] < pair["difference"] < pair["high"]
    arguments.json = False
    monkeypatch.setattr(cli_results, "Console", lambda: Console(width=200))
    assert cli_results.compare(arguments) == 0
    assert "40 of 48" in capsys.readouterr().out


def test_written_files_are_those_checked(scores: pd.DataFrame, tmp_path: Path) -> None:
    """`write_leaderboard` writes the texts that the tests above look at."""
    board = leaderboard(scores)
    files = write_leaderboard(board, tmp_path)
    assert files["md"].read_text() == as_markdown(board) and files["tex"].read_text() == as_latex(board)
