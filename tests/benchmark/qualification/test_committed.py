"""The committed verdicts: they are data, agree with results/qualification, and reach records and boards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import serxai
from serxai.benchmark.cli.main import main
from serxai.benchmark.qualification.config import load_qualify_config
from serxai.benchmark.qualification.joint import QUALIFIED
from serxai.benchmark.qualification.verdicts import verdict_table
from serxai.benchmark.report.html import write_board
from serxai.metrics.qualified import GRADES, committed_verdicts, verdict_of, write_verdicts
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.verdict import (
    board_grade,
    failed_properties,
    fails,
    labelled,
    mark_meaning,
    marks_note,
    scope_text,
)

ROOT = Path(serxai.__file__).parent
RESULTS = ROOT / "results" / "qualification"


def test_committed_verdicts_are_of_known_metrics_and_reach_the_records():
    assert committed_verdicts()
    for (metric, version), verdict in committed_verdicts().items():
        assert metric in METRICS and verdict.grade in GRADES
        assert (verdict.grade in ("no", "in scope")) == bool(verdict.fails) == bool(verdict.failed)
        assert (verdict.grade in ("yes", "in scope")) <= (verdict.probability >= QUALIFIED)
        assert (verdict.grade == "in scope") <= (min(verdict.confirmed, verdict.chosen) >= QUALIFIED)
        assert bool(verdict.unclear) <= bool(verdict.no_claim)
        if METRICS.get(metric).version == version:
            assert METRICS.get(metric).verdict == verdict and METRICS.get(metric).qualified is verdict.qualified
            make_metric(metric)
    assert verdict_of("deletion", "of no such version") is None


def test_every_default_metric_has_a_committed_verdict_of_its_present_version():
    """A metric that has changed is qualified again before it is committed: docs/qualification.md says how."""
    wanted = {(name, METRICS.get(name).version) for name in load_qualify_config().metrics}
    assert set(committed_verdicts()) == wanted
    assert write_verdicts(committed_verdicts().values()) == (ROOT / "metrics" / "qualified.csv").read_bytes()


def test_every_core_metric_of_faithfulness_qualifies_in_a_stated_scope():
    core = [record for record in METRICS if record.core and record.family == "faithfulness"]
    assert len(core) >= 3
    for record in core:
        assert record.verdict is not None and record.verdict.grade in ("yes", "in scope"), record.name


@pytest.mark.skipif(not RESULTS.exists(), reason="results are not part of a wheel")
def test_shipped_verdicts_are_those_of_the_results():
    table = verdict_table(list(committed_verdicts().values()))
    text = table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    assert text.encode() == (RESULTS / "verdicts.csv").read_bytes()
    estimates = pd.read_csv(RESULTS / "qualification.csv", keep_default_na=False, dtype={"metric_version": str})
    by_scope = pd.read_csv(RESULTS / "scopes.csv").set_index(["metric", "scope"])["probability"]
    required = estimates[estimates["threshold"] != ""]
    for metric, rows in required.groupby("metric"):
        verdict = verdict_of(str(metric), rows["metric_version"].iloc[0])
        assert verdict is not None
        assert set(verdict.failed) <= set(rows["property"]) and (verdict.grade == "yes") <= (not verdict.failed)
        assert set(verdict.unclear) == set(rows.loc[rows["passed"] == "no claim", "property"])
        if verdict.scope:
            assert verdict.probability == pytest.approx(by_scope[metric, verdict.scope], rel=1e-3)
        texts = {re.sub(r"\d+", "N", text) for note in rows["note"] for text in note.split("; ") if text}
        codes = {"silent on N": "silent", "no spread": "no-spread", "N of N clips": "lost-clips",
                 "fewer than N voices": "few-voices", "fewer than N fills": "few-fills"}  # fmt: skip
        assert set(verdict.notes) == {codes.get(text, text) for text in texts}


@pytest.mark.skipif(not RESULTS.exists(), reason="results are not part of a wheel")
def test_the_pages_count_what_the_table_holds():
    """Both pages say first how many of the metrics tried on a ladder of truth qualify."""
    verdicts = pd.read_csv(RESULTS / "verdicts.csv", keep_default_na=False)
    of_truth = verdicts["ladder"] == "truth"
    truth, grades = verdicts[of_truth], verdicts.loc[of_truth, "qualified"].value_counts()
    untested = verdicts["qualified"] == "not tested"
    others = verdicts.loc[~of_truth & ~untested, "qualified"].value_counts()
    said = (
        f"Of the {len(truth)} metrics tried on a ladder of truth, {grades.get('yes', 0)} qualify in the widest scope, "
        f"{grades.get('in scope', 0)} in a narrower one, {grades.get('no', 0)} failed"
    )
    page, results = (
        " ".join(p.read_text("utf-8").split()) for p in (ROOT / "docs" / "concepts.md", RESULTS / "README.md")
    )
    assert said in page and said in results
    assert (
        f"{others.sum()} were tried: {others.get('yes', 0)} pass, {others.get('in scope', 0)} in a narrower scope, "
        f"{others.get('no', 0)} failed"
    ) in results


@pytest.mark.skipif(not RESULTS.exists(), reason="results are not part of a wheel")
def test_the_picture_is_small():
    assert 50_000 < (RESULTS / "heatmap.png").stat().st_size < 500_000


def test_failed_metrics_are_marked():
    failed = {record.name: record.verdict.grade for record in METRICS if record.qualified is False and record.verdict}
    assert "no" in set(failed.values()) <= {"no", "in scope"}
    assert all(labelled(name) == name + {"no": "†", "in scope": "°"}[grade] for name, grade in failed.items())
    assert labelled("explanation-calls") == "explanation-calls" and labelled("somebody's own") == "somebody's own‡"


def test_boards_show_what_a_marked_metric_failed(make_scores, tmp_path):
    """Scope or names below the table and in the column, with numbers in the tooltip and in the list."""
    names = failed_properties("deletion")
    assert fails("deletion").startswith(names.split(", ")[0])
    write_board(make_scores(speakers=6, conditions=("clean",)), [], tmp_path)
    page = (tmp_path / "tables.html").read_text("utf-8")
    assert f'title="{mark_meaning("deletion")}"' in page.replace("&#39;", "'").replace("&#x27;", "'")
    board = pd.read_csv(tmp_path / "leaderboard.csv", keep_default_na=False)
    by_metric = board.groupby("metric")["metric_fails"].first()
    assert by_metric["deletion"] == names and by_metric["mass-accuracy"] == failed_properties("mass-accuracy")
    assert marks_note(["explanation-calls"]) == ""
    told = scope_text("deletion") if board_grade("deletion") == "in scope" else names
    for suffix in ("md", "tex"):
        assert "deletion: " in (tmp_path / f"leaderboard.{suffix}").read_text("utf-8")
    assert told.split("'")[-1] in (tmp_path / "leaderboard.md").read_text("utf-8")


def test_the_list_of_metrics_names_what_failed(capsys):
    assert main(["ls", "metrics", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["deletion"]["fails"] == fails("deletion") and listed["gini"]["fails"] == fails("gini")
    assert all(bool(row["fails"]) == (row["qualified"] is False) for row in listed.values())
