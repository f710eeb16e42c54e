"""A user's own recogniser in a run: what its methods need is asked of what the factory made, not of the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.runner import run
from serxai.models.trust import Permission

MODULE = """
import torch


class Net(torch.nn.Module):
    classes = ("anger", "happiness", "sadness", "neutral")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(1, 4, 64, stride=16), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(),
            torch.nn.Linear(4, 4),
        )

    def forward(self, waveforms):
        return self.layers(20 * waveforms[:, None])


def function():
    network = Net().eval()
    def probabilities(waveforms):
        with torch.no_grad():
            return network(torch.as_tensor(waveforms)).softmax(dim=1).numpy()
    probabilities.classes = Net.classes
    return probabilities
"""


@pytest.mark.parametrize("factory", ["Net", "function"])
def test_gradient_methods_run_on_a_torch_module_alone(factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine_in_a_run.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    config = load_config(
        models=[f"python:mine_in_a_run:{factory}"], methods=["saliency", "lrp-epsilon-plus", "occlusion"],
        metrics=["gini"], conditions=["clean"], limit=2,
    )  # fmt: skip
    store = run(config, tmp_path / "run", Execution(permission=Permission.of(config.models)))
    found = store.scores().groupby("method")[["status", "reason"]].agg(set)
    (card,) = store.info["models"].values()
    assert card["differentiable"] == (factory == "Net")
    assert found.loc["occlusion", "status"] == {"ok"}
    assert found.loc["lrp-epsilon-plus", "status"] == {"skipped"}
    assert "needs a network on a feature map" in min(found.loc["lrp-epsilon-plus", "reason"])
    assert found.loc["saliency", "status"] == ({"ok"} if factory == "Net" else {"skipped"})
    if factory == "function":
        assert "saliency needs gradients" in min(found.loc["saliency", "reason"])


RETRAINED = """
import numpy as np
from pathlib import Path


class Estimator:
    classes_ = ["anger", "happiness", "sadness", "neutral"]

    def __init__(self, weights):
        self.weights = weights

    def predict_proba(self, x):
        energy = np.log1p(np.abs(x).reshape(len(x), -1)[:, : x.shape[1] // 4 * 4].reshape(len(x), 4, -1).mean(axis=2))
        logits = 9 * energy @ self.weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def load():
    return Estimator(np.random.default_rng(int((Path(__file__).parent / "seed.txt").read_text())).normal(size=(4, 4)))
"""


def test_a_retrained_estimator_does_not_reuse_old_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "retrained_in_a_run.py").write_text(RETRAINED)
    monkeypatch.chdir(tmp_path)
    config = load_config(
        models=["python:retrained_in_a_run:load"], methods=["occlusion"], metrics=["gini", "abpc"],
        conditions=["clean"], fills=["attenuate"], limit=2,
    )  # fmt: skip
    values, calls = [], []
    for seed in ("1", "1", "2"):
        (tmp_path / "seed.txt").write_text(seed)
        store = run(config, tmp_path / "run", Execution(permission=Permission.of(config.models)))
        values.append(store.scores()["value"].tolist())
        calls.append(store.info["computed"]["model_calls"])
    assert calls[0] == calls[2] > 0 == calls[1]
    assert values[0] == values[1] != values[2]


def test_the_list_does_not_promise_what_only_loading_tells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "250")  # no cell is broken
    assert main(["ls", "models", "--json"]) == 0
    said = {row["name"]: row["differentiable"] for row in json.loads(capsys.readouterr().out)}
    assert said["python:"] is None and said["cnn"] is True and said["onnx:"] is False
    assert main(["ls", "models", "--long"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("python:"))
    assert "as loaded" in line
