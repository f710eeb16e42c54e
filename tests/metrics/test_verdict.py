"""The marks beside metrics' names: unmarked is qualified, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from serxai.benchmark.cli.main import main
from serxai.metrics.qualified import grade
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.verdict import fails, judged, labelled, legend, mark_told, marks_note, standing


def test_unmarked_is_qualified_or_cost() -> None:
    for record in METRICS:
        parent = judged(record.name)
        assert parent is not None
        one = grade(parent.name, parent.version) == "one fill"
        expected = {True: "", False: "°" if one else "†", None: "" if record.family == "cost" else "‡"}[
            parent.qualified
        ]
        assert labelled(record.name) == record.name + expected
        assert (standing(record.name) == "yes") == (parent.qualified is True)


@pytest.mark.parametrize("name", ["weak-stress-auc", "quantus:ROAD", "somebody's own", "quantus:no such metric"])
def test_what_was_not_on_trial_does_not_pass_for_qualified(name: str) -> None:
    assert labelled(name) == f"{name}‡" and standing(name) == "no verdict" and fails(name) == ""
    assert f"serxai run --preset qualify --metric {name}" in mark_told(name)


def test_variants_stand_as_the_metric_they_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for parent in ("direction-agreement", "causal-cue-fidelity"):
        failed = replace(METRICS.get(parent), qualified=False, fails="seeds on cnn (0.10)")
        monkeypatch.setitem(METRICS._records, parent, failed)
        choice = METRICS.get(f"{parent}:").choices[0]  # type: ignore[attr-defined]
        for name in (f"{parent}:", f"{parent}:{choice}"):
            assert labelled(name) == f"{name}†" and fails(name) == fails(parent) != ""
            assert mark_told(name) == mark_told(parent)
        make_metric(f"{parent}:{choice}")


def test_a_new_version_is_no_longer_qualified_nor_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = replace(METRICS.get("mass-accuracy"), version="next", qualified=None, fails="")
    monkeypatch.setitem(METRICS._records, "mass-accuracy", newer)
    assert labelled("mass-accuracy") == "mass-accuracy‡"


def test_a_metric_that_is_right_under_each_fill_has_a_mark_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    record = METRICS.get("abpc")
    row = {"metric": "abpc", "version": record.version, "qualified": "one fill", "fails": "fills on cnn (0.60)"}
    monkeypatch.setattr("serxai.metrics.qualified.verdicts", lambda: {("abpc", record.version): row})
    monkeypatch.setitem(METRICS._records, "abpc", replace(record, qualified=False, fails=row["fails"]))
    assert standing("abpc") == "one fill" and labelled("abpc") == "abpc°"
    assert "not over fills: fills on cnn" in mark_told("abpc")
    assert marks_note(["abpc", "mass-accuracy"]).startswith("° one fill at a time abpc")


def test_notes_name_each_marked_metric_once() -> None:
    names = ["deletion", "weak-stress-auc", "mass-accuracy", "deletion", "explanation-calls"]
    if standing("deletion") == "no":
        assert marks_note(names).startswith("† failed deletion: ")
    assert marks_note(names).endswith("‡ no verdict on weak-stress-auc")
    assert marks_note(["explanation-calls"]) == marks_note([]) == ""


def test_the_legend_explains_the_marks_that_are_borne() -> None:
    assert [part[0] for part in legend().split("; ")] == ["†", "°", "‡"]
    assert legend(["mass-accuracy", "explanation-calls"]) == ""
    assert legend(["weak-stress-auc", "mass-accuracy"]).startswith("‡ not put on trial")


def test_the_list_of_metrics_shows_the_marks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "metrics"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no †" in printed and "no verdict ‡" in printed and "--preset qualify --metric NAME" in printed
    assert main(["ls", "metrics", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for name in ("direction-agreement", "causal-cue-fidelity"):
        assert listed[f"{name}:"]["qualified"] is METRICS.get(name).qualified
        assert listed[f"{name}:"]["fails"] == METRICS.get(name).fails
