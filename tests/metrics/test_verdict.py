"""The marks beside metrics' names: unmarked is qualified, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from serxai.benchmark.cli.main import main
from serxai.metrics.qualified import Verdict, committed_verdicts
from serxai.metrics.record import UNJUDGED_FAMILIES
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.verdict import (
    board_grade,
    failed_properties,
    fails,
    labelled,
    legend,
    mark_meaning,
    marks_note,
    record_of_verdict,
    scope_text,
)


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Verdict], None]:
    """Adds a verdict to the committed ones."""
    verdicts = dict(committed_verdicts())
    monkeypatch.setattr("serxai.metrics.qualified.committed_verdicts", lambda: verdicts)
    return lambda verdict: verdicts.update({(verdict.metric, verdict.version): verdict})


def test_unmarked_is_qualified_or_cost() -> None:
    for record in METRICS:
        holder = record_of_verdict(record.name)
        assert holder is not None
        grade = "" if holder.verdict is None else holder.verdict.grade
        unmarked = grade == "yes" or record.family in UNJUDGED_FAMILIES
        expected = "" if unmarked else {"in scope": "°", "no": "†"}.get(grade, "‡")
        assert labelled(record.name) == record.name + expected
        assert (board_grade(record.name) == "yes") == (holder.qualified is True)


@pytest.mark.parametrize("name", ["weak-stress-auc", "quantus:ROAD", "somebody's own", "quantus:no such metric"])
def test_what_was_not_tested_does_not_pass_for_qualified(name: str) -> None:
    assert labelled(name) == f"{name}‡" and board_grade(name) == "no verdict"
    assert fails(name) == failed_properties(name) == ""
    assert f"serxai qualify --metric {name}" in mark_meaning(name)


def test_variants_have_the_verdict_of_the_metric_they_narrow(commit: Callable[[Verdict], None]) -> None:
    for parent in ("direction-agreement", "causal-cue-fidelity"):
        version = METRICS.get(parent).version
        commit(Verdict(parent, version, grade="no", failed=("seeds",), fails="seeds on cnn (0.10)"))
        choice = METRICS.get(f"{parent}:").choices[0]  # type: ignore[attr-defined]
        for name in (f"{parent}:", f"{parent}:{choice}"):
            assert labelled(name) == f"{name}†" and fails(name) == "seeds on cnn (0.10)"
            assert mark_meaning(name) == mark_meaning(parent) and failed_properties(name) == "seeds"
        make_metric(f"{parent}:{choice}")
        commit(Verdict(f"{parent}:{choice}", METRICS.get(f"{parent}:{choice}").version, grade="yes"))
        assert board_grade(f"{parent}:{choice}") == "yes"  # tested itself


def test_a_new_version_is_neither_qualified_nor_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = replace(METRICS.get("mass-accuracy"), version="next")
    monkeypatch.setitem(METRICS._records, "mass-accuracy", newer)
    assert labelled("mass-accuracy") == "mass-accuracy‡" and newer.verdict is newer.qualified is None


def test_a_metric_that_qualifies_in_a_scope_has_its_own_mark(commit: Callable[[Verdict], None]) -> None:
    version = METRICS.get("abpc").version
    scope = {"scope": "twin, networks", "probability": 0.974}
    commit(Verdict("abpc", version, grade="in scope", **scope, failed=("fills",), fails="fills on cnn (0.60)"))
    assert board_grade("abpc") == "in scope" and labelled("abpc") == "abpc°"
    assert scope_text("abpc") == "in scope 'twin, networks' with probability .97"
    assert mark_meaning("abpc") == f"qualified {scope_text('abpc')}; in its widest scope it fails: fills on cnn (0.60)"
    assert marks_note(["abpc", "explanation-calls"]) == f"° abpc: qualified {scope_text('abpc')}"
    assert scope_text("weak-stress-auc") == ""


def test_names_of_failed_properties_are_not_read_from_the_text(commit: Callable[[Verdict], None]) -> None:
    version = METRICS.get("abpc").version
    commit(Verdict("abpc", version, grade="no", failed=("fills", "seeds"), fails="free text; on purpose on cnn"))
    assert failed_properties("abpc") == "fills, seeds" and marks_note(["abpc"]) == "† failed abpc: fills, seeds"


def test_notes_name_each_marked_metric_once() -> None:
    names = ["deletion", "weak-stress-auc", "mass-accuracy", "deletion", "explanation-calls"]
    if board_grade("deletion") == "no":
        assert marks_note(names).startswith("† failed deletion: ")
    assert marks_note(names).endswith("‡ no verdict on weak-stress-auc")
    assert marks_note(["explanation-calls"]) == marks_note([]) == ""


def test_the_legend_explains_the_marks_that_are_borne() -> None:
    assert [part[0] for part in legend().split("; ")] == ["†", "°", "‡"]
    assert legend(["mass-accuracy", "explanation-calls"]) == ""
    assert legend(["weak-stress-auc", "mass-accuracy"]).startswith("‡ not tested")


def test_the_list_of_metrics_shows_the_marks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "metrics", "--long"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no †" in printed and "no verdict ‡" in printed and "qualify --metric NAME" in printed
    assert main(["ls", "metrics", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for name in ("direction-agreement", "causal-cue-fidelity"):
        assert listed[f"{name}:"]["qualified"] is METRICS.get(name).qualified
        assert listed[f"{name}:"]["fails"] == fails(name)
