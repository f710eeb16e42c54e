"""The note on models whose folds share speakers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.report.leaks import leak_notes


def test_only_schemes_that_share_speakers_are_noted() -> None:
    apart = {"scheme": {"name": "emobox", "speakers": 24, "shared_speakers": 0}}
    shared = {"scheme": {"name": "emobox", "speakers": 10, "shared_speakers": 9}}
    cards = {"a": {}, "b": {"scheme": None}, "c": apart, "praat-svc, emodb": shared}
    (note,) = leak_notes(cards)
    assert note.startswith("praat-svc, emodb: the folds of emobox share 9 of 10 speakers")


def test_trained_models_are_listed_with_their_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = {
        "recogniser": "praat-svc",
        "corpus": {"name": "emodb"},
        "folds": {"1": [], "2": []},
        "scheme": {"name": "emobox", "shared_speakers": 10},
        "scores": {"pooled": {"n": 339, "speakers": 10, "uar": 0.788, "uar_interval": [0.717, 0.859]}},
    }
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert main(["ls", "models", "--checkpoint", str(tmp_path)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if " trained on " in line]
    assert any(line.startswith("cnn trained on planted: UAR") and "NOT" not in line for line in lines)
    (line,) = [line for line in lines if line.startswith("praat-svc trained on emodb")]
    assert "UAR 0.788 [0.717, 0.859], 2 emobox folds" in line and "10 of 10 speakers are in training parts" in line
    assert main(["ls", "models", "--json", "--checkpoint", str(tmp_path)]) == 0
    rows = {row["name"]: row["trained"] for row in json.loads(capsys.readouterr().out)}
    assert [one["shared_speakers"] for one in rows["praat-svc"]] == [10] and rows["onnx:"] == []
