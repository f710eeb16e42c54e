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
from serxai.benchmark.qualification.verdicts import verdict_table
from serxai.benchmark.report.html import write_board
from serxai.metrics.qualified import GRADES, committed_verdicts, verdict_of, write_verdicts
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.verdict import failed_properties, fails, labelled, marks_note

ROOT = Path(serxai.__file__).parent
RESULTS = ROOT / "results" / "qualification"


def test_committed_verdicts_are_of_known_metrics_and_reach_the_records():
    assert committed_verdicts()
    for (metric, version), verdict in committed_verdicts().items():
        assert metric in METRICS and verdict.grade in GRADES
        assert (verdict.grade in ("no", "one fill")) == bool(verdict.fails) == bool(verdict.failed)
        assert bool(verdict.unclear) <= bool(verdict.no_claim)
        if METRICS.get(metric).version == version:
            assert METRICS.get(metric).verdict == verdict and METRICS.get(metric).qualified is verdict.qualified
            make_metric(metric)
    assert verdict_of("deletion", "of no such version") is None


def test_every_default_metric_has_a_committed_verdict_of_its_present_version():
    """A metric that has changed is qualified again before it is committed: docs/qualification.md says how."""
    wanted = {(name, METRICS.get(name).version) for name in load_qualify_config().metrics}
    # described, not ranked, since they changed; to be qualified again with those against the speaker's neutral
    earlier = {("cue-profile", "2"), ("direction-agreement", "2"), ("salience-contrast", "2")}
    untested = {(name, "3") for name, _ in earlier} | {("neutral-agreement", "1"), ("neutral-agreement-trained", "1")}
    assert set(committed_verdicts()) - earlier == wanted - untested
    assert earlier <= set(committed_verdicts()) and untested <= wanted
    assert write_verdicts(committed_verdicts().values()) == (ROOT / "metrics" / "qualified.csv").read_bytes()


@pytest.mark.skipif(not RESULTS.exists(), reason="results are not part of a wheel")
def test_shipped_verdicts_are_those_of_the_results():
    table = verdict_table(list(committed_verdicts().values()))
    assert table.to_csv(index=False, lineterminator="\n").encode() == (RESULTS / "verdicts.csv").read_bytes()
    estimates = pd.read_csv(RESULTS / "qualification.csv", keep_default_na=False, dtype={"metric_version": str})
    required = estimates[estimates["threshold"] != ""]
    for metric, rows in required.groupby("metric"):
        verdict = verdict_of(str(metric), rows["metric_version"].iloc[0])
        assert verdict is not None
        assert set(verdict.failed) == set(rows.loc[rows["passed"] == "no", "property"])
        assert set(verdict.unclear) == set(rows.loc[rows["passed"] == "no claim", "property"])
        texts = {re.sub(r"\d+", "N", text) for note in rows["note"] for text in note.split("; ") if text}
        codes = {"silent on N": "silent", "no spread": "no-spread", "N of N clips": "lost-clips"}
        assert set(verdict.notes) == {codes.get(text, text) for text in texts}


@pytest.mark.skipif(not RESULTS.exists(), reason="results are not part of a wheel")
def test_the_pages_count_what_the_table_holds():
    """Both pages say first how many of the metrics tried on a ladder of truth qualify."""
    verdicts = pd.read_csv(RESULTS / "verdicts.csv", keep_default_na=False)
    of_truth = verdicts["ladder"] == "truth"
    truth, grades = verdicts[of_truth], verdicts.loc[of_truth, "qualified"].value_counts()
    names = sorted(truth.loc[truth["qualified"] == "yes", "metric"])
    qualify = (
        f"Of the {len(truth)} metrics tried on a ladder of truth, {grades['yes']} qualify: "
        f"{' and '.join(f'`{name}`' for name in names)}; {grades['one fill']} are right under one fill at a time, "
        f"{grades['no']} failed."
    )
    untested = verdicts["qualified"] == "not tested"
    others = verdicts.loc[~of_truth & ~untested, "qualified"].value_counts()
    assert set(grades.index) == {"yes", "one fill", "no"} and set(others.index) == {"yes", "no", "no claim"}
    page, results = (" ".join(p.read_text("utf-8").split()) for p in (ROOT / "README.md", RESULTS / "README.md"))
    assert qualify in page and qualify in results
    assert f"The other {others.sum()} were tried on ladders that mostly restate" in page
    assert (
        f"{others.sum()} were tried: {others['yes']} pass, {others['no']} failed, of {others['no claim']} nothing can "
        f"be claimed. {untested.sum()} were not tested"
    ) in results


def test_failed_metrics_are_marked():
    failed = {record.name: record.verdict.grade for record in METRICS if record.qualified is False and record.verdict}
    assert set(failed.values()) == {"no", "one fill"}
    assert all(labelled(name) == name + {"no": "†", "one fill": "°"}[grade] for name, grade in failed.items())
    assert labelled("explanation-calls") == "explanation-calls" and labelled("somebody's own") == "somebody's own‡"


def test_boards_show_what_a_marked_metric_failed(make_scores, tmp_path):
    """Names below the table and in the column, with numbers in the tooltip and in the list."""
    text, names = fails("deletion"), failed_properties("deletion")
    assert text.startswith("fills on") and names.startswith("fills")
    page = write_board(make_scores(speakers=6, conditions=("clean",)), [], tmp_path)[1].read_text("utf-8")
    assert f'title="failed its qualification: {text}"' in page.replace("&#39;", "'")
    board = pd.read_csv(tmp_path / "leaderboard.csv", keep_default_na=False)
    by_metric = board.groupby("metric")["metric_fails"].first()
    assert by_metric["deletion"] == names and by_metric["mass-accuracy"] == ""
    assert marks_note(["mass-accuracy", "explanation-calls"]) == ""
    for written in (page, *((tmp_path / f"leaderboard.{suffix}").read_text("utf-8") for suffix in ("md", "tex"))):
        assert f"deletion: {names}" in written and "mass-accuracy: " not in written


def test_the_list_of_metrics_names_what_failed(capsys):
    assert main(["ls", "metrics", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["deletion"]["fails"] == fails("deletion") and listed["truth-auc"]["fails"] == ""
    assert all(bool(row["fails"]) == (row["qualified"] is False) for row in listed.values())
