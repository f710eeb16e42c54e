"""What leaves in tables: no formula for a spreadsheet, no link or heading for Markdown, no line break for LaTeX."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.report.escape import csv_cell, csv_safe, markdown_text, one_line
from serxai.benchmark.report.text import as_latex, as_markdown, write_leaderboard

ODD = ["=1+1", "+1", "-2+3", "@SUM(A1)", " =1", "\t=1"]
NAME = "=cmd|' /C calc'!A0\n# heading\n[click](http://evil.example) ![x](y) <b>"


@pytest.mark.parametrize("text", ODD)
def test_a_formula_gets_an_apostrophe(text: str):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "random", "a=b", "1-2", "–", "'=1"])
def test_other_texts_stay(text: str):
    assert csv_cell(text) == text


def test_numbers_stay_numbers():
    table = pd.DataFrame(
        {
            "text": ["=x", "y"],
            "number": [-1.5, np.nan],
            "count": pd.array([-3, None], "Int64"),
            "yes": [True, False],
            "kind": pd.Categorical(["-a", "b"]),
            "mixed": [-1.5, "-x"],
            "=head": [1, 2],
        }
    )
    before = table.copy()
    safe = csv_safe(table)
    rows = list(csv.reader(io.StringIO(safe.to_csv(index=False))))
    assert rows == [
        ["text", "number", "count", "yes", "kind", "mixed", "'=head"],
        ["'=x", "-1.5", "-3", "True", "'-a", "-1.5", "1"],
        ["y", "", "", "False", "b", "'-x", "2"],
    ]
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    "text", ["[a](http://b)", "[a][b]", "[a]: http://b", "![a](b)", "http://b", "WWW.b.c", "# a", "<a href=b>", "a|b"]
)
def test_markdown_makes_nothing_of_a_name(text: str):
    shown = markdown_text(text)
    assert not re.search(r"\]\(|\]\[|\]:|!\[|://|www\.|^#|[<|]", shown, re.IGNORECASE), shown
    assert re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), shown) == text


def test_intervals_are_left_readable():
    assert markdown_text(".5 [.1, .9] a") == ".5 [.1, .9] a"


def test_control_characters_and_direction_marks_go():
    assert one_line("a\x1b[31m\r\nb\u202ec\u2028d") == "a[31m bc d"


def test_an_evil_method_name_leaves_harmless(tmp_path, make_scores):
    scores = make_scores(conditions=("clean",))
    scores.loc[scores["method"] == "saliency", "method"] = NAME
    board = leaderboard(scores)
    files = write_leaderboard(board, tmp_path)
    with files["csv"].open(newline="") as file:
        methods = {row["method"] for row in csv.DictReader(file)}
    assert f"'{NAME}" in methods and not any(name.startswith("=") for name in methods)
    markdown, latex = as_markdown(board), as_latex(board)
    assert "](http" not in markdown and "\n# heading" not in markdown and "<b>" not in markdown
    widths = {line.count("|") for table in markdown.split("\n\n") for line in table.splitlines() if line[:1] == "|"}
    assert len({line.count("|") for line in markdown.splitlines() if "cmd" in line}) <= len(widths)
    assert "\n\\# heading" not in latex and "cmd|" in latex


def test_csvs_of_qualify_and_reproduce_hold_no_formula(tmp_path):
    from serxai.benchmark.cli.reproduce import _write
    from serxai.benchmark.qualification.report import _csv

    table = pd.DataFrame({"metric": [NAME.splitlines()[0], "abpc"], "value": [-1.5, 2.0]})
    _write(table, tmp_path, "t.csv")
    for text in (_csv(table).decode(), (tmp_path / "t.csv").read_text("utf-8")):
        assert text.splitlines()[1].startswith("\"'=cmd") or text.splitlines()[1].startswith("'=cmd")
        assert "-1.5" in text and "'-1.5" not in text
