"""The forecast: the calls it tells are the calls a run makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.backend import ComputeBackend
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.forecast import calibrate, forecast, typical_methods
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.methods.explainer import Request
from serxai.methods.records import METHODS, make_method
from serxai.metrics.records import METRICS
from serxai.models.obtain import load_model
from serxai.models.recogniser import Recogniser

# every metric that asks the recogniser, but the one whose cost depends on the map's own grid
CALLING = [r.name for r in METRICS if r.name not in ("abpc-native", "quantus:") and (r.uses_fill or r.cost != "0")]


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": 2, "methods": ["random", "oracle", "saliency", "integrated-gradients"]},
        {"limit": 2, "methods": ["energy", "oracle"], "target": "true", "fills": ["twin", "attenuate"]},
        {
            "limit": 1, "methods": ["saliency", "energy", "emolime"], "conditions": ["clean"], "metrics": CALLING,
            "reexplain_calls": 64,
        },
        pytest.param({"limit": 12}, marks=pytest.mark.long),
        pytest.param({"limit": 12, "target": "true", "conditions": ["noise-10db"]}, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_the_forecast_counts_the_calls_of_the_run(settings: dict, tmp_path: Path):
    config = load_config(**settings)
    assert forecast(make_plan(config)).total == run(config, tmp_path / "run").info["model_calls"] > 0


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return load_model("cnn", "planted")


@pytest.mark.parametrize("samples", [5_000, 16_000, 27_333])
@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.long) if "emolime-paper" in name else name  # a second and more a mask
        for name in METHODS.names()
        if not name.endswith(":")
    ],
)
def test_a_method_knows_its_calls(method: str, samples: int, recogniser: Recogniser):
    """On noise: the calls depend on its length alone."""
    noise = 0.1 * rng("noise", samples).standard_normal(samples)
    clip = Clip("noise", noise.astype(np.float32))
    explainer, before = make_method(method), recogniser.calls
    try:
        explainer.attribute(Request(recogniser, clip, recogniser.classes[0], ("calls", samples)))
        told = explainer.calls(samples, recogniser)
    except NotApplicable as signal:
        if "not installed" in str(signal):
            raise
        told = 0
    assert told == recogniser.calls - before


@pytest.mark.long
def test_the_time_told_is_the_time_taken(tmp_path: Path):
    """One worker, beside whatever else this machine does: within a factor 1.5."""
    config = load_config(limit=12, methods=["random", "energy", "saliency", "occlusion"], metrics=["abpc", "gini"])
    plan = make_plan(config)
    told = calibrate(plan)[0] * forecast(plan).audio_s
    taken = run(config, tmp_path / "run").info["computed"]["seconds"]
    assert told / 1.5 < taken < told * 1.5


def test_a_sample_tells_what_the_whole_does() -> None:
    config = load_config(
        limit=32, methods=["saliency", "occlusion", "oracle", "random"], conditions=["clean", "noise-20db"],
        metrics=["deletion", "mass-accuracy", "gini"], fills=["attenuate"],
    )  # fmt: skip
    plan = make_plan(config)
    exact, sampled = forecast(plan), forecast(plan, sample=True)
    assert exact.sampled is None and 16 <= sampled.sampled < 28
    assert sampled.total == pytest.approx(exact.total, rel=0.05)
    assert sampled.audio_s == pytest.approx(exact.audio_s, rel=0.1)  # of few clips, whose lengths differ
    assert set(sampled.calls) == set(exact.calls)


def test_a_light_calibration_tells_about_the_same() -> None:
    config = load_config(
        limit=4, methods=["random", "energy", "saliency", "input-x-gradient"], conditions=["clean", "noise-20db"],
        metrics=["deletion", "gini"], fills=["attenuate"],
    )  # fmt: skip
    plan = make_plan(config)
    (seconds, size), (light_seconds, light_size) = (
        calibrate(plan),
        calibrate(plan, light=typical_methods(forecast(plan), plan.config.methods)),
    )
    assert 0.2 * seconds < light_seconds < 5 * seconds  # clocks of a busy machine
    assert 0.3 * size < light_size < 3 * size


def test_a_light_calibration_explains_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(
        limit=1, methods=["saliency", "random"], conditions=["clean"], metrics=["max-sensitivity", "gini"],
        fills=["attenuate"],
    )  # fmt: skip
    plan, explained = make_plan(config), []
    attribute = ComputeBackend.attribute
    monkeypatch.setattr(ComputeBackend, "attribute", lambda *given: explained.append(given) or attribute(*given))
    calibrate(plan, light=["saliency"])
    once = len(explained)
    calibrate(plan)
    assert once == 2 and len(explained) > once + 8 + 2  # each clip is explained to warm up, then to be timed


@pytest.mark.parametrize("model", ["cnn", pytest.param("praat-svc", marks=pytest.mark.long)])
def test_a_model_that_is_not_trained_is_forecast(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = load_corpus("planted")
    table = corpus.table[corpus.table["speaker"].isin(sorted(corpus.table["speaker"].unique())[:6])]
    chosen = table.groupby(["speaker", "emotion"]).head(1)
    corpus.prepare(list(chosen.index))
    rows = [f"{name}.wav,{row.emotion},{row.speaker}" for name, row in chosen.iterrows()]
    for name in chosen.index:
        soundfile.write(tmp_path / f"{name}.wav", corpus.clip(name).samples, 16_000)
    (tmp_path / "labels.csv").write_text("file,emotion,speaker\n" + "\n".join(rows) + "\n")
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))
    flags = "--method saliency --method random --metric deletion --limit 4 --workers 1 --dry-run --json"
    assert main(["run", "--corpus", f"folder:{tmp_path}", "--model", model, *flags.split()]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["untrained"] == [f"{model} on folder:{tmp_path}"] and told["clips"] == 4
    (notice,) = told["training"]
    assert (
        "24 clips of 6 speakers" in notice and "5 folds and a refit, about" in notice and "--checkpoint DIR" in notice
    )
    assert ("--trained-on emodb" in notice) == (model == "cnn")  # of which one is shipped
    # one trajectory of 32 copies for each clip and method that explains it, and the predictions
    explained = 2 if model == "cnn" else 1  # a black box has no gradient
    assert told["model_calls"] >= 4 * explained * 32 and told["seconds"] > 0
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.safetensors"))
