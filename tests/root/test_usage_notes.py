"""Formulas and limits: one of each for every method and metric, readable as LaTeX and as text."""

from __future__ import annotations

import re

import pytest

from serxai.methods import METHODS
from serxai.metrics import METRICS
from serxai.usage_notes import UsageNote, usage_note, usage_notes


@pytest.mark.parametrize("registry", [METHODS, METRICS], ids=["methods", "metrics"])
def test_records_of_ours_have_a_formula_and_say_when_they_mislead(registry) -> None:
    ours = {record.name for record in registry if record.target.startswith(".")}
    notes = usage_notes(registry.plural)
    assert set(notes) <= ours
    assert len(ours - set(notes)) <= 1, "one that is being added works without its note (CONTRIBUTING.md)"
    for name, note in notes.items():
        assert len(note.misleads) > 8 and note.misleads.endswith("."), name
        opened = re.sub(r"\\[{}]", "", note.formula)
        assert note.formula and opened.count("{") == opened.count("}"), name
        left, right = (len(re.findall(rf"\\{side}\b", note.formula)) for side in ("left", "right"))
        assert left == right, name


def test_a_name_with_an_argument_has_the_note_of_its_kind_and_strangers_an_empty_one() -> None:
    assert usage_note("methods", "beyond-saliency:saliency") == usage_note("methods", "beyond-saliency:")
    assert usage_note("metrics", "no-such:x") == usage_note("corpora", "emodb") == UsageNote()
