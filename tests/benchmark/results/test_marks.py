"""Marked numbers and tables of texts, and tables that are committed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import serxai
from serxai.benchmark.results.build import _differing_tables, _texts
from serxai.benchmark.results.marks import has_marks, rewritten
from serxai.benchmark.results.tables import as_csv, as_texts
from serxai.errors import InputError

BOARD = pd.DataFrame(
    {"method": ["a", "b", "c d"], "mean": [1.23456, -0.5, 12.0], "passes_bar": ["yes", "no", "yes"], "n": [3, 4, 5]}
)
TABLES = as_texts({"headline": as_csv(BOARD)})


def mark(text: str, inside: str = "old") -> str:
    return f"<!-- number: {text} -->{inside}<!-- /number -->"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("headline mean .2f method=a", "1.23"),
        ("headline mean +.1f method=b", "-0.5"),
        ('headline mean d "method=c d"', "12"),
        ("headline method n=4", "b"),
        ("headline count passes_bar=yes", "2"),
        ("headline share .0% passes_bar=yes", "67%"),
    ],
)
def test_numbers_are_taken_from_the_table(text: str, number: str):
    assert rewritten(f"x {mark(text)} y {mark(text, '')}", TABLES) == f"x {mark(text, number)} y {mark(text, number)}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("headline mean .2f passes_bar=yes", "chooses 2 rows"),
        ("board mean .2f method=a", "no table 'board'"),
        ("headline mode method=a", "'mode' is no column"),
        ("headline mean .2f methods=a", "'methods' is no column"),
        ("headline method .2f n=4", "is no number"),
        ("headline mean {} method=a", "is none of"),
        ("headline", "write TABLE COLUMN"),
    ],
)
def test_marks_that_name_what_is_not_there_are_refused(text: str, told: str):
    with pytest.raises(InputError, match=told):
        rewritten(mark(text), TABLES)


def test_tables_are_written_between_their_marks_again_and_again():
    text = "before\n<!-- table: headline method,mean passes_bar=yes -->\nold\n<!-- /table -->\nafter\n"
    new = rewritten(text, TABLES)
    assert "| method | mean |\n| --- | --- |\n| a | 1.23 |\n| c d | 12 |\n<!-- /table -->\nafter" in new
    assert rewritten(new, TABLES) == new and has_marks(new) and not has_marks("no marks")


def test_check_names_texts_and_tables_that_differ(tmp_path: Path):
    text = tmp_path / "README.md"
    text.write_text(mark("headline n d method=a", "4"))
    assert "README.md: numbers are not" in _texts([text], TABLES, True)[0] and "4<" in text.read_text()
    assert _texts([text], TABLES, False) == [] and "3<" in text.read_text()
    assert _texts([text], TABLES, True) == []
    (tmp_path / "headline.csv").write_bytes(as_csv(BOARD))
    near, far = (BOARD.assign(mean=BOARD["mean"] * (1 + x)) for x in (1e-5, 1e-2))
    assert _differing_tables(tmp_path, {"headline": as_csv(near)}) == []
    assert "column 'mean'" in _differing_tables(tmp_path, {"headline": as_csv(far)})[0]
    assert "column 'method'" in _differing_tables(tmp_path, {"headline": as_csv(BOARD.assign(method="x"))})[0]
    assert "3 rows, rebuilt 2" in _differing_tables(tmp_path, {"headline": as_csv(BOARD[:2])})[0]
    assert "not committed" in _differing_tables(tmp_path, {"axes": as_csv(BOARD)})[0]


RESULTS = Path(serxai.__file__).parent / "results"


@pytest.mark.long
@pytest.mark.skipif(not any(RESULTS.glob("*/*/*/run.json")), reason="no record is committed")
def test_committed_results_are_what_is_rebuilt(tmp_path: Path):
    from serxai.benchmark.cli.main import main

    assert main(["validate", str(RESULTS)]) == 0
    assert main(["results", "build", str(RESULTS), "--check", "--out", str(tmp_path)]) == 0
