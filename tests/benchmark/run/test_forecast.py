"""The forecast: the calls it tells are the calls a run makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.forecast import calibrate, forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.datasets.clip import Clip
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
