"""Recognisers as people bring them: taken right, taken as a black box, or refused with the cause."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import InputError
from serxai.models.custom import load_python
from serxai.models.recogniser import Recogniser
from serxai.models.records import MODELS
from serxai.models.trial import OTHER, SAMPLES

CLASSES = ("anger", "neutral", "sadness")


class Net(nn.Module):
    classes = CLASSES

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.conv, self.head = nn.Conv1d(1, 4, 64, 32), nn.Linear(4, 3)

    def embed(self, x):
        return 20 * self.conv(x[:, None]).relu().mean(-1)

    def forward(self, x):
        return self.head(self.embed(x))


class Dropout(Net):
    def forward(self, x):
        return self.head(nn.functional.dropout(self.embed(x), 0.5))


class Counts(Net):
    seen = 0

    def forward(self, x):
        self.seen += 1
        return super().forward(x) + self.seen * torch.tensor([1.0, 0, 0])


class MeanOfTheBatch(Net):
    def forward(self, x):
        e = self.embed(x)
        return self.head(e - e.mean(0))


class BatchStatistics(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4, track_running_stats=False)

    def forward(self, x):
        return self.head(self.norm(self.embed(x)) if len(x) > 1 else self.embed(x))


class RowsInOrder(Net):
    def forward(self, x):
        return super().forward(x) + torch.arange(len(x))[:, None] * torch.tensor([1.0, 0, 0])


class FixedLength(Net):
    def __init__(self):
        super().__init__()
        self.fixed = nn.Linear(SAMPLES, 3)

    def forward(self, x):
        return self.fixed(x)


class OtherWithGradient(Net):
    def forward(self, x):
        return super().forward(x) + (torch.tensor([3.0, 0, 0]) if x.requires_grad else 0)


class NoGradient(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Detaches(Net):
    def forward(self, x):
        return super().forward(torch.from_numpy(x.detach().numpy()))


class Probabilities(Net):
    outputs = "probabilities"

    def forward(self, x):
        return super().forward(x).softmax(-1)


class NoProbabilities(Net):
    outputs = "probabilities"


class Squeezes(Net):
    def forward(self, x):
        return super().forward(x).squeeze()


class InDict(Net):
    def forward(self, x):
        return {"logits": super().forward(x), "states": None}


class InObject(Net):
    def forward(self, x):
        return SimpleNamespace(logits=super().forward(x))


class InTuple(Net):
    def forward(self, x):
        return (super().forward(x),)


class TwoInTuple(Net):
    def forward(self, x):
        return super().forward(x), self.embed(x)


class OneLogit(Net):
    classes = CLASSES[:2]

    def forward(self, x):
        return super().forward(x)[:, :1]


class Nothing(Net):
    def forward(self, x):
        super().forward(x)


class Forced(Net):
    def forward(self, x):
        return super().train().head(nn.functional.dropout(self.embed(x), training=self.training))


def estimator(own, named=None):
    model = SimpleNamespace(predict_proba=lambda x: np.full((len(x), len(own)), 1 / len(own)), classes_=np.array(own))
    if named is not None:
        model.classes = named
    return model


def load(factory, monkeypatch: pytest.MonkeyPatch) -> Recogniser:
    monkeypatch.setattr("serxai.models.custom._import", lambda name, module: SimpleNamespace(make=factory))
    return load_python(MODELS.get("python:brought:make"), None, False, "cpu")


def waveforms(n: int = 3) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((n, 3000))).astype(np.float32)


def expected(x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Net()(torch.from_numpy(x)).softmax(-1).numpy()


@pytest.mark.parametrize(
    ("factory", "cause"),
    [
        (Dropout, "two calls on the same copies differ"),
        (Forced, "two calls on the same copies differ"),
        (Counts, "two calls on the same copies differ"),
        (MeanOfTheBatch, "depend on the copies beside it"),
        (BatchStatistics, "depend on the copies beside it"),
        (RowsInOrder, "depend on its place in the batch"),
        (FixedLength, f"failed on {OTHER:.2g} s of noise.*It takes {SAMPLES} samples"),
        (OtherWithGradient, "others when a gradient is asked for"),
        (NoProbabilities, "which are no probabilities"),
        (TwoInTuple, "returned tuple of 2"),
        (OneLogit, "One logit stands for two classes"),
        (Nothing, "returned NoneType"),
        (lambda: estimator(["anger", "sadness"], ["sadness", "anger"]), "its columns are 'classes_': anger, sadness"),
        (lambda: estimator(["a", "b", "c"], ["sadness", "anger"]), "Name them in that order"),
    ],
)
def test_refused_with_the_cause(factory, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=cause):
        load(factory, monkeypatch)


@pytest.mark.parametrize("factory", [Net, Squeezes, InDict, InObject, InTuple, Probabilities])
def test_taken_with_its_gradient(factory, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = load(factory, monkeypatch)
    for n in (1, 3):
        np.testing.assert_allclose(recogniser.predict_proba(waveforms(n)), expected(waveforms(n)), atol=1e-6)
    assert recogniser.differentiable and recogniser.calls == 3 + 8 - 2
    x = torch.from_numpy(waveforms()).requires_grad_()
    recogniser.waveform_log_odds(x).sum().backward()
    y = torch.from_numpy(waveforms()).requires_grad_()
    p = Net()(y).softmax(-1)
    (p.log() - (1 - p).log()).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("factory", [NoGradient, Detaches])
def test_a_black_box_is_taken_without_gradient(factory, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = load(factory, monkeypatch)
    assert not recogniser.differentiable and recogniser.bytes_per_sample == 4
    np.testing.assert_allclose(recogniser.predict_proba(waveforms()), expected(waveforms()), atol=1e-6)


def test_a_quantised_module_is_a_black_box(monkeypatch: pytest.MonkeyPatch) -> None:
    def quantised(scale: float = 1.0):
        net = Net()
        with torch.no_grad():
            net.head.weight.mul_(scale)
        model = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
        model.classes = CLASSES
        return model

    recogniser = load(quantised, monkeypatch)
    assert not recogniser.differentiable
    np.testing.assert_allclose(recogniser.predict_proba(waveforms()), expected(waveforms()), atol=0.02)
    assert recogniser.fingerprint != load(lambda: quantised(2.0), monkeypatch).fingerprint


def test_probabilities_that_are_not_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Net):
        def forward(self, x):
            return super().forward(x).softmax(-1)

    with pytest.raises(InputError, match="let the module say outputs"):
        load(Silent, monkeypatch)
    Silent.outputs = "logits"  # said: taken at its word
    p = expected(waveforms())
    again = np.exp(p) / np.exp(p).sum(1, keepdims=True)
    np.testing.assert_allclose(load(Silent, monkeypatch).predict_proba(waveforms()), again, atol=1e-6)


def test_labels_that_are_no_emotions_are_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(lambda: estimator(["A", "W"], ["sadness", "anger"]), monkeypatch).classes == ("sadness", "anger")
    assert load(lambda: estimator(["anger", "fear"]), monkeypatch).classes == ("anger", "fear")


@pytest.mark.long
def test_a_module_that_imports_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    import subprocess
    import sys

    (tmp_path / "brought.py").write_text(
        "from transformers import Wav2Vec2ForSequenceClassification\n"
        "def make():\n    f = lambda x: x[:, :2] * 0 + 0.5\n    f.classes = ['anger', 'sadness']\n    return f\n"
    )
    code = "from serxai.models import load_model; print(load_model('python:brought:make').classes)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "('anger', 'sadness')" in result.stdout, result.stderr
