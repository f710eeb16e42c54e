"""The forecast: the calls it tells are the calls a run makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from serxai.benchmark.config import load_config
from serxai.benchmark.estimate import forecast
from serxai.benchmark.plan import make_plan
from serxai.benchmark.runner import run


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": 2, "methods": ["random", "oracle", "saliency", "integrated-gradients"]},
        {"limit": 2, "methods": ["energy", "oracle"], "target": "true", "fills": ["twin", "attenuate"]},
        pytest.param({"limit": 12}, marks=pytest.mark.long),
        pytest.param({"limit": 12, "target": "true", "conditions": ["noise-10db"]}, marks=pytest.mark.long),
    ],
)
def test_the_forecast_counts_the_calls_of_the_run(settings: dict, tmp_path: Path):
    config = load_config(**settings)
    assert forecast(make_plan(config)).total == run(config, tmp_path / "run").info["model_calls"] > 0
