"""The user's own recognisers: every kind that is allowed, and what is refused with which words."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from serxai.errors import ClipError, InputError
from serxai.keys import rng
from serxai.models.custom import CustomRecogniser, ModelFacts, load_onnx, load_python
from serxai.models.probe_clips import probe_clips
from serxai.models.recogniser import Recogniser
from serxai.models.records import MODELS

MODULE = """
import numpy as np
import torch


def loudness(x):
    return np.abs(x).mean(axis=1, keepdims=True)


class Net(torch.nn.Module):
    classes = ("anger", "neutral", "sadness")
    trained_on = "tess"

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 0.5]]))

    def forward(self, x):
        return x.abs().mean(1, keepdim=True) @ self.weight


def pipeline():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    x = np.random.default_rng(0).normal(0, np.repeat([0.1, 1.0], 20)[:, None], (40, 100))
    return make_pipeline(FunctionTransformer(loudness), LogisticRegression()).fit(x, ["sadness"] * 20 + ["anger"] * 20)


def function():
    def apply(x):
        return np.column_stack([loudness(x), 0.5 * loudness(x)])
    apply.classes = ["anger", "sadness"]
    apply.min_samples = 400
    return apply


def from_file(path):
    apply = function()
    apply.trained_on = path.read_text()
    return apply


def lacking():
    return lambda x: np.ones((len(x), 2)) / 2


def strange():
    apply = function()
    apply.classes = ["anger", "purple"]
    return apply


def other_rate():
    apply = function()
    apply.sample_rate = 44100
    return apply


def broken():
    raise KeyError("weights")


def failing():
    def apply(x):
        raise RuntimeError("out of luck")
    apply.classes = ["anger", "sadness"]
    return apply


def number():
    class Number:
        classes = ["anger", "sadness"]
    return Number()
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Loads a factory of the module above, which lies in the current folder."""
    (tmp_path / "own_model_of_a_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_model_of_a_user", raising=False)

    def load(factory: str, checkpoint: Path | None = None) -> Recogniser:
        return load_python(MODELS.get(f"python:own_model_of_a_user:{factory}"), checkpoint, False, "cpu")

    return load


def waveforms(n: int = 11, n_samples: int = 800) -> np.ndarray:
    return (0.3 * rng("own", n).standard_normal((n, n_samples))).astype(np.float32)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_torch_module(python):
    recogniser, x = python("Net"), waveforms()
    logits = np.abs(x).mean(1, keepdims=True) @ np.array([[1.0, -2.0, 0.5]])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(recogniser.log_odds(x), logit(p), atol=1e-5)
    assert recogniser.differentiable and recogniser.trained_on == "tess"
    tensor = torch.from_numpy(x[:1]).requires_grad_()
    recogniser.waveform_log_odds(tensor)[0, 0].backward()
    assert tensor.grad is not None and tensor.grad.abs().sum() > 0


def test_scikit_learn_pipeline(python):
    recogniser, x = python("pipeline"), waveforms()
    assert recogniser.classes == ("anger", "sadness") and not recogniser.differentiable
    p = recogniser.predict_proba(x)
    np.testing.assert_allclose(logit(p), recogniser.log_odds(x), atol=1e-9)
    assert recogniser.predict_proba(3 * x)[0, 0] > p[0, 0]


def test_function_whose_probabilities_are_one_vs_rest(python):
    recogniser, x = python("function"), waveforms()
    np.testing.assert_allclose(recogniser.predict_proba(x), [[2 / 3, 1 / 3]] * len(x), rtol=1e-6)
    np.testing.assert_allclose(recogniser.raw(x)[:, 0], np.abs(x).mean(1), rtol=1e-6)
    assert recogniser.min_samples == 400 and recogniser.trained_on == ""
    with pytest.raises(ClipError, match="399 samples"):
        recogniser.log_odds(waveforms(1, 399))


def test_copies_are_scored_in_batches_of_one_shape(python):
    recogniser, x = python("function"), waveforms(11)
    assert recogniser.calls == 0
    together = recogniser.log_odds(x)
    assert recogniser.calls == recogniser.calls_for(11) == 16
    np.testing.assert_allclose(together, np.concatenate([recogniser.log_odds(row[None]) for row in x]), rtol=1e-6)
    assert recogniser.log_odds(x[:0]).shape == (0, 2)


STATE = """
import numpy as np
from pathlib import Path

HERE = Path(__file__).parent


class Estimator:
    classes_ = np.array(["anger", "sadness"])

    def __init__(self, weight, dtype):
        self.weight, self.dtype = weight, dtype

    def predict_proba(self, x):
        p = 1 / (1 + np.exp(-self.weight * np.abs(x).mean(axis=1) - 0.1))
        return np.column_stack([p, 1 - p]).astype(self.dtype)


def fitted():
    return Estimator(float((HERE / "weight.txt").read_text()), np.float64)


def single():
    return Estimator(float((HERE / "weight.txt").read_text()), np.float32)


def closure():
    apply = fitted().predict_proba
    def function(x):
        return apply(x)
    function.classes = ["anger", "sadness"]
    return function
"""


@pytest.mark.parametrize("factory", ["fitted", "single", "closure"])
def test_state_that_the_source_does_not_show_is_in_the_fingerprint(
    factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "state_of_a_user.py").write_text(STATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "state_of_a_user", raising=False)
    prints = {}
    for weight in ("2.0", "2.1", "-2.0", "2.0"):
        (tmp_path / "weight.txt").write_text(weight)
        recogniser = load_python(MODELS.get(f"python:state_of_a_user:{factory}"), None, False, "cpu")
        assert recogniser.calls == 0 and recogniser.seconds == 0
        assert prints.setdefault(weight, recogniser.fingerprint) == recogniser.fingerprint
    assert len(set(prints.values())) == 3


@pytest.mark.parametrize("n_samples", [16000, 40000])
def test_probe_clips_ask_in_many_places(n_samples: int):
    probes = probe_clips(n_samples)
    assert (
        probes.shape == (16, n_samples)
        and probes.dtype == np.float32
        and np.array_equal(probes, probe_clips(n_samples))
    )
    level = np.sqrt((probes**2).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(probes)) ** 2
    centroid = (spectrum * np.fft.rfftfreq(n_samples, 1 / 16000)).sum(axis=1) / spectrum.sum(axis=1)
    assert np.abs(probes).max() <= 1 and level.min() > 1e-4 and level.max() / level.min() > 20
    assert centroid.min() < 500 and centroid.max() > 3000
    assert np.abs(np.corrcoef(probes) - np.eye(16)).max() < 0.8


def test_a_checkpoint_is_passed_to_the_factory_and_part_of_the_fingerprint(python, tmp_path: Path):
    path = tmp_path / "weights"
    found = []
    for corpus in ("emodb", "tess", "emodb"):
        path.write_text(corpus)
        recogniser = python("from_file", path)
        assert recogniser.trained_on == corpus
        found.append(recogniser.fingerprint)
    assert found[0] == found[2] != found[1]
    assert python("function").fingerprint not in found


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("lacking", "does not name its classes"),
        ("strange", "fewer than 2 of its labels \\('anger', 'purple'\\)"),
        ("other_rate", "wants 44100 Hz; serxai gives 16000 Hz"),
        ("broken", "its factory failed: KeyError: 'weights'"),
        ("failing", "RuntimeError: out of luck"),
        ("number", "returned Number; it must be a torch module"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_what_a_factory_may_not_do(python, factory: str, said: str):
    with pytest.raises(InputError, match=said):
        python(factory)


def test_modules_that_cannot_be_found():
    with pytest.raises(InputError, match="'no_such_module_here' cannot be imported"):
        load_python(MODELS.get("python:no_such_module_here:make"), None, False, "cpu")
    with pytest.raises(InputError, match="write python:MODULE:FACTORY"):
        load_python(MODELS.get("python:only_a_module"), None, False, "cpu")


FACTS = ModelFacts("own", ("anger", "sadness"))


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([[0.5, np.nan]], ClipError, "not finite"),
        ([[1.2, -0.2]], InputError, "no probabilities; if they are logits"),
        ([[3.0, 0.1]], InputError, "from 0.1 to 3"),
        ([[0.0, 0.0]], ClipError, "all 0"),
        ([[0.2, 0.3, 0.5]], InputError, r"shape \(1, 3\) for 1 waveforms; its 2 classes"),
        ("anger", InputError, "returned str, not an array"),
    ],
)
def test_values_that_are_no_probabilities(values, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        CustomRecogniser(FACTS, lambda x: values, "f").log_odds(waveforms(1))


def test_certainty_stays_finite():
    found = CustomRecogniser(FACTS, lambda x: np.tile([1.0, 0.0], (len(x), 1)), "f").log_odds(waveforms(3))
    np.testing.assert_allclose(found, [[np.log(1e7), -np.log(1e7)]] * 3)


def test_what_a_model_says_of_itself():
    facts = ModelFacts.read("m", {"classes": "anger, sadness", "min_samples": "400", "sample_rate": "16000"})
    assert facts.classes == ("anger", "sadness") and facts.min_samples == 400
    for said, message in [
        ({"classes": ["anger", "anger"]}, "mean one emotion"),
        ({"classes": ["anger"]}, "at least 2"),
        ({"classes": 3}, "give a list of names"),
        ({"classes": ["anger", "sadness"], "outputs": "scores"}, "choose probabilities or logits"),
        ({"classes": ["anger", "sadness"], "min_samples": "many"}, "must be a whole number"),
        ({"classes": ["anger", "sadness"], "min_samples": 0}, "must be 1 or more"),
    ]:
        with pytest.raises(InputError, match=message):
            ModelFacts.read("m", said)


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor_info(name: str, *dims: int | str, kind: int = 1) -> bytes:
    shape = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def write_onnx(path: Path, weight: np.ndarray, metadata: dict[str, str], n: int | str = "n", kind: int = 1) -> Path:
    """x (n, n_samples) -> mean |x| @ weight, in the fewest bytes (onnx itself is not among serxai's dependencies)."""

    def node(op: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
        fields = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, op)
        return fields + b"".join(_field(5, a) for a in attributes)

    axes = _field(1, "axes") + _field(20, 7) + _field(8, 1)
    initial = _field(1, 1) + _field(1, weight.shape[1]) + _field(2, kind) + _field(8, "w")
    initial += _field(9, struct.pack(f"<{weight.size}{'d' if kind == 11 else 'f'}", *weight.ravel()))
    graph = b"".join(
        _field(1, part)
        for part in (
            node("Abs", ["x"], "a"),
            node("ReduceMean", ["a"], "m", axes),
            node("MatMul", ["m", "w"], "y"),
        )
    )
    graph += _field(2, "g") + _field(5, initial)
    graph += _field(11, _tensor_info("x", n, "t", kind=kind)) + _field(
        12, _tensor_info("y", n, weight.shape[1], kind=kind)
    )
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))
    model += b"".join(_field(14, _field(1, key) + _field(2, value)) for key, value in metadata.items())
    path.write_bytes(model)
    return path


def onnx(path: Path) -> Recogniser:
    return load_onnx(MODELS.get(f"onnx:{path}"), None, False, "cpu")


WEIGHT = np.array([[1.0, -2.0]], dtype=np.float32)


def test_onnx_with_its_metadata(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "m.onnx", WEIGHT, {"classes": "anger,sadness", "outputs": "logits"})
    recogniser, x = onnx(path), waveforms()
    z = np.abs(x).mean(1)
    np.testing.assert_allclose(recogniser.log_odds(x), np.column_stack([3 * z, -3 * z]), rtol=1e-5)
    assert not recogniser.differentiable
    one = write_onnx(tmp_path / "one.onnx", WEIGHT, {"classes": "anger,sadness", "outputs": "logits"}, n=1)
    np.testing.assert_allclose(onnx(one).log_odds(x), recogniser.log_odds(x), rtol=1e-5)
    assert onnx(one).batch == 1 and onnx(one).fingerprint != recogniser.fingerprint


@pytest.mark.parametrize("n", [1, 3, 8, 64, 100])
def test_onnx_of_one_batch_is_given_that_batch_and_counts_it(tmp_path: Path, n: int):
    """A single copy is filled up as well: calls are what `calls_for` says, of tables of removals too."""
    pytest.importorskip("onnxruntime")
    said = {"classes": "anger,sadness", "outputs": "logits"}
    recogniser = onnx(write_onnx(tmp_path / "fixed.onnx", WEIGHT, said, n=n))
    free = onnx(write_onnx(tmp_path / "free.onnx", WEIGHT, said))
    for copies in (0, 1, 2, 9, 70):
        x, before = waveforms(copies), recogniser.calls
        np.testing.assert_allclose(recogniser.log_odds(x), free.log_odds(x), rtol=1e-5)
        assert recogniser.calls - before == recogniser.calls_for(copies) == -(-copies // n) * n


def test_onnx_with_a_file_beside_it(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "m.onnx", np.abs(WEIGHT) / 10, {})
    with pytest.raises(InputError, match="does not name its classes"):
        onnx(path)
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({"classes": ["sadness", "neutral"], "trained_on": "emodb"}))
    recogniser = onnx(path)
    assert recogniser.classes == ("sadness", "neutral") and recogniser.trained_on == "emodb"
    np.testing.assert_allclose(recogniser.predict_proba(waveforms(3)), [[1 / 3, 2 / 3]] * 3, rtol=1e-5)
    for text, said in [("[1]", "must hold an object"), ("{", "not a JSON file")]:
        beside.write_text(text)
        with pytest.raises(InputError, match=said):
            onnx(path)


def test_onnx_refusals(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    said = {"classes": "anger,sadness,neutral", "outputs": "logits"}
    with pytest.raises(InputError, match=r"shape \(8, 2\) for 8 waveforms; its 3 classes"):
        onnx(write_onnx(tmp_path / "m.onnx", WEIGHT, said))
    with pytest.raises(InputError, match="must take one float32 input"):
        onnx(write_onnx(tmp_path / "double.onnx", WEIGHT, said, kind=11))
    with pytest.raises(InputError, match="no probabilities; if they are logits"):
        onnx(write_onnx(tmp_path / "p.onnx", WEIGHT, {"classes": "anger,sadness"}))
    pickled = tmp_path / "pickle.onnx"
    pickled.write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(InputError, match="onnxruntime cannot load it"):
        onnx(pickled)
    with pytest.raises(InputError, match="no file"):
        onnx(tmp_path / "absent.onnx")
