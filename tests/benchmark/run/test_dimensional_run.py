"""A recogniser of dimensions in a run and in an explanation of one file: its output is the target."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.runner import run
from serxai.errors import InputError
from serxai.models.trust import Permission
from tests.models.tiny_checkpoints import speech_like

MODULE = """
import torch


class Level(torch.nn.Module):
    dimensions = ["arousal", "valence"]

    def forward(self, waveforms):
        power = waveforms.square().mean(dim=1, keepdim=True)
        return torch.cat([4 + (power + 1e-6).log10(), 1 - 10 * power], dim=1)
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "level_in_a_run.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return "python:level_in_a_run:Level"


def test_an_output_is_scored_in_its_own_units_and_classes_are_not_asked_for(model: str, tmp_path: Path) -> None:
    config = load_config(
        models=[model], methods=["occlusion", "emolime", "random", "energy"], target="arousal",
        metrics=["deletion", "abpc", "average-drop", "random-logit", "rank-accuracy"], conditions=["clean"], limit=2,
    )  # fmt: skip
    store = run(config, tmp_path / "run", Execution(permission=Permission.of(config.models)))
    scores = store.scores()
    assert set(scores["target"]) == {"arousal"} and set(scores["predicted"]) == {""} and scores["correct"].isna().all()
    status = scores.groupby("metric")["status"].agg(set)
    assert status["deletion"] == status["abpc"] == {"ok"}
    for metric in ("average-drop", "random-logit", "rank-accuracy"):
        assert status[metric] == {"skipped"}, metric
        reasons = set(scores.loc[scores["metric"] == metric, "reason"])
        assert all("is of a class; recogniser" in reason and "predicts arousal" in reason for reason in reasons)
    (card,) = store.info["models"].values()
    assert card["regression"] is True
    assert main(["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "board")]) == 0
    assert "target: arousal" in (tmp_path / "board/leaderboard.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("target", "message"),
    [("predicted", "no predicted class.*--target arousal"), ("anger", "predicts arousal, valence")],
)
def test_a_rule_that_needs_classes_is_refused_before_anything_runs(
    model: str, tmp_path: Path, target: str, message: str
) -> None:
    config = load_config(
        models=[model], methods=["random"], metrics=["deletion"], conditions=["clean"], target=target, limit=1
    )
    with pytest.raises(InputError, match=message):
        run(config, tmp_path / "run", Execution(permission=Permission.of(config.models)))


def test_one_file_is_explained_by_what_raises_the_output(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "clip.wav", speech_like(), 16_000)
    command = ["explain", "clip.wav", "--model", model, "--method", "saliency", "--method", "emolime", "--out", "out"]
    assert main([*command, "--target", "arousal"]) == 0
    told = capsys.readouterr().out
    assert "predicted: arousal " in told and "What raises arousal most lies at" in told
    assert "speaks" not in told and "probability" not in told and "log-odds" not in told
    page = (tmp_path / "out/clip.html").read_text("utf-8")
    assert "Output arousal" in page and "probability" not in page.lower() and "raises arousal?" in page
    assert "vermilion: lowers it" in page and "this map does not say" in page and "against it" not in page
    assert main(command) == 2
    assert "--target arousal" in capsys.readouterr().err
