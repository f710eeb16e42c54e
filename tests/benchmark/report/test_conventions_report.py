"""Tables of conventions: what stands in them, and the command that prints them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.conventions import POWERS, SETTING, VALUE_COLUMNS, VIEWS
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.conventions import (
    UNSIGNED,
    as_markdown,
    convention_tables,
    read_conventions,
    write_conventions,
)
from serxai.benchmark.report.html import write_board
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import run
from serxai.errors import InputError


@pytest.fixture
def values() -> pd.DataFrame:
    """Two methods that a choice of powers can swap and one far below, on two clips of each of eight speakers."""
    setting = dict.fromkeys(SETTING, "") | {
        "corpus": "planted", "model": "cnn", "trained_on": "planted", "seen_in_training": "no", "space": "audio",
        "target_rule": "true", "condition": "clean", "metric": "rank-accuracy", "direction": "higher",
    }  # fmt: skip
    of_method = {"fine": (0.5, 0.6, 0.7), "coarse": (0.56, 0.55, 0.54), "poor": (0.2, 0.2, 0.2)}
    rows = [
        dict.fromkeys(VALUE_COLUMNS)
        | setting
        | {"method": method, "clip": f"{s}{c}", "speaker": f"s{s}", "sentence": "", "repeat": 0, "view": view,
           "power": power, "value": score + 0.01 * s, "negative": method != "coarse", "random": 0.2,
           "attainable": (0.25 if method == "poor" else 1.0) if (view, power) == ("signed", 1.0) else np.nan,
           "cells": "8 x 1", "coefficients": ""}
        for method, scores in of_method.items()
        for s in range(8)
        for c in range(2)
        for view in VIEWS
        for power, score in zip(POWERS, scores, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_table_marks_unsigned_methods_and_pairs_within_convention(values):
    (table,) = convention_tables(values)
    assert [line[:2] for line in table.lines] == [["1", "fine"], ["2", "coarse" + UNSIGNED], ["3", "poor"]]
    assert table.lines[0][2:8] == ["0.54", "0.64", "0.73", "0.20", "1", "0.64"]
    assert table.pairs == [("coarse", "fine")]
    assert table.lines[2][8] == "–" and table.lines[0][8].startswith("0.54 [0.5")
    assert "rank-accuracy ↑, clean" in table.title
    (described,) = convention_tables(values.assign(metric="gini"))
    assert {line[0] for line in described.lines} == {"–"} and described.pairs == []


def test_files_hold_the_same_numbers(values, tmp_path):
    files = write_conventions(values, tmp_path)
    assert sorted(files) == ["attainable.csv", "convention_pairs.csv", "conventions.csv", "conventions.md"]
    assert len(pd.read_csv(files["conventions.csv"])) == 6
    assert pd.read_csv(files["convention_pairs.csv"]).query("view == 'signed'")["within_convention"].sum() == 1
    told = pd.read_csv(files["attainable.csv"]).set_index("method")
    assert told["share"].isna().to_dict() == {"fine": False, "coarse": False, "poor": True}
    text = files["conventions.md"].read_text("utf-8")
    assert text == as_markdown(values) and "Order within the range of convention: coarse and fine." in text


@pytest.mark.long
def test_the_report_shows_the_files_of_a_run(values, tmp_path, make_scores):
    """Read back, the tables are those that were written; a page without them does not mention them."""
    values["value"] += 0.0013  # means that ten digits do not round over a tie
    write_conventions(values, tmp_path / "kept")
    tables = read_conventions(tmp_path / "kept")
    assert tables == list(convention_tables(values))
    scores = make_scores(speakers=6, conditions=("clean",))
    page = write_board(scores, [], tmp_path / "a", conventions=tables)[1].with_name("tables.html").read_text("utf-8")
    assert 'id="conventions"' in page and tables[0].note in page and "coarse (unsigned)" in page
    assert read_conventions(tmp_path) == []
    write_board(scores, [], tmp_path / "b")
    assert 'id="conventions"' not in (tmp_path / "b" / "tables.html").read_text("utf-8")
    for name, text in (("attainable.csv", "method\n1\n"), ("conventions.csv", ""), ("convention_pairs.csv", "\xff,")):
        write_conventions(values, tmp_path / name)
        (tmp_path / name / name).write_text(text, "latin-1")
        with pytest.raises(InputError, match=f"{name}: damaged .* Run `serxai conventions` again"):
            read_conventions(tmp_path / name)


@pytest.mark.long
def test_the_command_tells_what_it_costs(tmp_path, capsys):
    config = load_config(
        models=["planted-rule"], methods=["random", "energy"], metrics=["rank-accuracy", "abpc"],
        conditions=["clean"], emotions=["anger"], limit=1, fills=["attenuate"],
    )  # fmt: skip
    run(config, tmp_path / "run")
    out = tmp_path / "out"
    command = ["conventions", str(tmp_path / "run")]
    assert main([*command, "--out", str(out)]) == 0
    assert "rank-accuracy" in capsys.readouterr().out and (out / "attainable.csv").is_file()
    assert main(["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "board")]) == 0
    assert 'id="conventions"' not in (tmp_path / "board" / "tables.html").read_text("utf-8")
    assert main([*command, "--out", str(tmp_path / "run" / "report")]) == 0
    assert main(["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "board")]) == 0
    assert 'id="conventions"' in (tmp_path / "board" / "tables.html").read_text("utf-8")
    capsys.readouterr()
    assert main([*command, "--metric", "abpc"]) == 2
    assert "at most 128 model calls; add --spend-calls" in capsys.readouterr().err
    assert main([*command, "--metric", "abpc", "--spend-calls"]) == 0
    assert "abpc ↑, clean, fill attenuate" in capsys.readouterr().out
    assert main([*command, "--metric", "truth-auc"]) == 2 and main([*command, "--limit", "-1"]) == 2
    assert "--limit must be at least 0" in capsys.readouterr().err
    assert main(["conventions", str(tmp_path / "none")]) == 2
    assert "not a run folder" in capsys.readouterr().err
