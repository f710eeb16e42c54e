"""Recognisers that predict dimensions: outputs in their own units, from checkpoints, user code and trained heads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from serxai.errors import InputError
from serxai.models.custom import ModelFacts, load_onnx, load_python
from serxai.models.dimensional import RegressionHead, dimension_names, fit_regression, labelled_dimensions
from serxai.models.factory import model_kind
from serxai.models.foldmodels import ForeignModel
from serxai.models.obtain import load_model, obtain_models
from serxai.models.records import MODELS
from serxai.models.trained import trained_models
from serxai.models.training import plan_training, train_fold_models
from serxai.models.transfer import transfer_row

from .test_custom import write_onnx
from .test_schemes import Pitch, by_take
from .tiny_checkpoints import noise, write_wav2vec2

DIMENSIONS = {0: "arousal", 1: "dominance", 2: "valence"}


def write_dimensional(folder: Path) -> Path:
    """Random checkpoint in audeering's layout."""
    from safetensors.torch import load_file, save_file

    write_wav2vec2(folder, labels=DIMENSIONS)
    torch.manual_seed(1)
    head = nn.ModuleDict({"dense": nn.Linear(16, 16), "out_proj": nn.Linear(16, 3)})
    state = {f"wav2vec2.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    state |= {f"classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["Wav2Vec2ForSpeechClassification"], "problem_type": "regression"}
    config |= {"id2label": DIMENSIONS, "label2id": {name: i for i, name in DIMENSIONS.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# -- Hugging Face ------------------------------------------------------------------------------------------------------


def test_audeerings_layout_is_its_head_on_the_mean_state(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    plain = write_wav2vec2(tmp_path / "plain")
    folder = write_dimensional(tmp_path / "dims")
    model = load_model(f"hf:{folder}")
    assert model.regression and model.classes == ("arousal", "dominance", "valence") and model.differentiable
    waveforms = noise(11)
    body = transformers.AutoModel.from_pretrained(plain).eval()
    head = {
        n.removeprefix("classifier."): t for n, t in load_file(folder / "model.safetensors").items() if "class" in n
    }
    x = torch.from_numpy(waveforms)
    x = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-7).sqrt()
    with torch.no_grad():
        hidden = torch.tanh(body(x).last_hidden_state.mean(1) @ head["dense.weight"].T + head["dense.bias"])
        expected = (hidden @ head["out_proj.weight"].T + head["out_proj.bias"]).numpy()
    np.testing.assert_allclose(model.log_odds(waveforms), expected, atol=1e-5)
    y = model.response(expected, "arousal", "valence")
    np.testing.assert_allclose(y, expected[:, 0] - expected[:, 2])
    tensor = torch.from_numpy(waveforms[:1]).requires_grad_()
    model.waveform_log_odds(tensor)[0, 1].backward()
    assert tensor.grad is not None and tensor.grad.abs().max() > 0
    with pytest.raises(InputError, match=r"predicts numbers .*no probabilities"):
        model.predict_proba(waveforms)


def test_the_head_is_left_aside_where_one_is_trained(tmp_path: Path) -> None:
    name = f"hf:{write_dimensional(tmp_path)}"
    assert model_kind(name) == "foreign" and model_kind(name, trained=True) == "head"
    assert ForeignModel(name).info["regression"] is True and "regression" not in ForeignModel("planted-rule").info


def test_a_regression_of_transformers_is_its_logits(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = write_wav2vec2(tmp_path, classifier=True, labels={0: "Arousal", 1: "valence"}, problem_type="regression")
    model = load_model(f"hf:{folder}")
    assert model.regression and model.classes == ("arousal", "valence")
    theirs = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(list(noise(3)), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        np.testing.assert_allclose(model.log_odds(noise(3)), theirs(**inputs).logits.numpy(), atol=1e-5)


# -- the user's own ----------------------------------------------------------------------------------------------------

MODULE = """
import numpy as np
import torch


class Net(torch.nn.Module):
    dimensions = ["arousal", "valence"]

    def forward(self, x):
        level = x.abs().mean(1, keepdim=True)
        return torch.cat([5 * level, 3 - level], 1)


class One(Net):
    dimensions = "Arousal"

    def forward(self, x):
        return {"predictions": x.abs().mean(1)}


class Contrary(Net):
    outputs = "logits"


class Unnamed(Net):
    outputs = "regression"
    dimensions = []


def function():
    def apply(x):
        return np.stack([100 * np.abs(x).mean(1), -np.abs(x).max(1)], 1)
    apply.outputs, apply.classes = "regression", ["arousal", "own_scale"]
    return apply


class Level:
    dimensions = ["arousal"]

    def predict(self, x):
        return np.abs(x).mean(1)
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_dimensional_model.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_dimensional_model", raising=False)
    return lambda factory: load_python(MODELS.get(f"python:own_dimensional_model:{factory}"), None, False, "cpu")


def test_own_models_declare_dimensions_as_they_declare_probabilities(python) -> None:
    x = noise(9)
    level = np.abs(x).mean(1)
    net = python("Net")
    assert net.regression and net.differentiable and net.classes == ("arousal", "valence")
    np.testing.assert_allclose(net.log_odds(x), np.stack([5 * level, 3 - level], 1), rtol=1e-5)
    one = python("One")
    assert one.classes == ("arousal",)
    np.testing.assert_allclose(one.log_odds(x)[:, 0], level, rtol=1e-5)
    function = python("function")
    assert function.regression and not function.differentiable and function.classes == ("arousal", "own_scale")
    np.testing.assert_allclose(function.log_odds(x), np.stack([100 * level, -np.abs(x).max(1)], 1), rtol=1e-5)
    np.testing.assert_allclose(python("Level").log_odds(x)[:, 0], level, rtol=1e-5)
    with pytest.raises(InputError, match=r"names 'dimensions', but says outputs = 'logits'"):
        python("Contrary")
    with pytest.raises(InputError, match="none is named"):
        python("Unnamed")


def test_an_onnx_file_declares_them_in_its_metadata(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    weight, x = np.array([[1.0, -2.0]], dtype=np.float32), noise(9)
    path = write_onnx(tmp_path / "m.onnx", weight, {"dimensions": "arousal,valence"})
    model = load_onnx(MODELS.get(f"onnx:{path}"), None, False, "cpu")
    assert model.regression and model.classes == ("arousal", "valence")
    np.testing.assert_allclose(model.log_odds(x), np.abs(x).mean(1, keepdims=True) @ weight, rtol=1e-5)


def test_names_of_outputs() -> None:
    assert dimension_names(["Arousal ", "self assessed"], "m", "do") == ("arousal", "self_assessed")
    for names, fault in (([], "none"), (["a", "A"], "twice"), (["a-b"], "'a-b'"), (["predicted"], "'predicted'")):
        with pytest.raises(InputError, match=fault):
            dimension_names(names, "m", "do")
    with pytest.raises(InputError, match="does not name its classes"):
        ModelFacts("m", ("arousal",))  # one column is no classifier


# -- trained heads -----------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tiny_corpus, monkeypatch: pytest.MonkeyPatch):
    """The tiny corpus with arousal, which its pitch tells, and valence, which nothing does; two clips lack a label."""
    from serxai.models import checkpoint
    from serxai.models import task as task_module

    for module in (task_module, checkpoint):
        monkeypatch.setattr(module, "make_extractor", lambda *a, **k: Pitch())
    generator = np.random.default_rng(3)
    arousal = tiny_corpus.table["emotion"].map({"anger": 5.0, "neutral": 3.0, "sadness": 1.5})
    tiny_corpus.table["Arousal"] = [f"{value + generator.normal(0, 0.1):.3f}" for value in arousal]
    tiny_corpus.table["valence"] = generator.normal(0, 1, len(arousal))
    tiny_corpus.table.loc["0-anger-0", "Arousal"] = ""
    tiny_corpus.table.loc["1-anger-0", "valence"] = np.nan
    return tiny_corpus


def test_heads_are_trained_on_dimensions_and_scored_by_concordance(labelled, tmp_path: Path) -> None:
    audmetric = pytest.importorskip("audmetric")
    options = {"folds": 3, "dimensions": ["arousal", "valence"]}
    models = train_fold_models("praat-svc", labelled, tmp_path / "m", others=[by_take(labelled)], **options)
    card = json.loads((tmp_path / "m/model.json").read_text())
    assert card["classes"] == ["arousal", "valence"] and card["regression"] is True and models.info["regression"]
    pooled = card["scores"]["pooled"]
    assert pooled["n"] == 34 and pooled["speakers"] == 6 and "uar" not in pooled and "confusion" not in card["scores"]
    assert pooled["ccc"]["arousal"] > 0.9 > 0.5 > abs(pooled["ccc"]["valence"])
    low, high = pooled["ccc_interval"]["arousal"]
    assert low < pooled["ccc"]["arousal"] < high <= 1
    assert [row["shared_speakers"] for row in card["scores"]["schemes"]] == [0, 6]
    assert card["scores"]["schemes"][0]["ccc"] == pooled["ccc"]

    # every stored number can be had again from the recognisers, in the labels' own units
    clips = [c for c in labelled.table.index if c not in ("0-anger-0", "1-anger-0")]
    outputs = [
        models.recogniser(models.fold_for("tiny", f"s{clip[0]}", clip)).log_odds(labelled.clip(clip).samples[None])[0]
        for clip in clips
    ]
    true = labelled.table.loc[clips, "Arousal"].astype(float)
    assert pooled["ccc"]["arousal"] == pytest.approx(audmetric.concordance_cc(true, np.array(outputs)[:, 0]))
    sound = labelled.clip("2-anger-0").samples[None]
    mean = np.mean([models.recogniser(fold).log_odds(sound) for fold in models.folds.speakers], axis=0)
    np.testing.assert_allclose(models.recogniser("ensemble").log_odds(sound), mean)
    assert models.recogniser("refit").regression
    (row,) = [row for row in trained_models([tmp_path / "m"]) if row["ccc"]]
    assert row["uar"] is None and row["ccc"] == pooled["ccc"]
    with pytest.raises(InputError, match="transfer compares classes"):
        transfer_row(models, labelled)
    again = obtain_models("praat-svc", lambda: labelled, checkpoint=tmp_path / "m")
    assert again is not None and again.recogniser("0").classes == ("arousal", "valence")


def test_labels_are_part_of_the_key_and_wrong_ones_are_refused(labelled) -> None:
    plan = {"folds": 2, "dimensions": ["arousal"]}
    before = plan_training("praat-svc", labelled, **plan)
    assert before.classes == ("arousal",) and "0-anger-0" not in before.clips
    labelled.table.loc["2-anger-0", "Arousal"] = "4.9"
    assert plan_training("praat-svc", labelled, **plan).key != before.key
    assert plan_training("praat-svc", labelled, folds=2).key != before.key
    labelled.table.loc["2-anger-0", "Arousal"] = "high"
    with pytest.raises(InputError, match=r"clip '2-anger-0' .* has 'high' there"):
        plan_training("praat-svc", labelled, **plan)
    with pytest.raises(InputError, match="no column of that name"):
        plan_training("praat-svc", labelled, dimensions=["dominance"])
    with pytest.raises(InputError, match="linear head"):
        plan_training("cnn", labelled, dimensions=["valence"])


def test_the_ridge_is_the_one_of_its_penalty_and_gives_up_on_noise() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(2, 3, (60, 4)) * [1, 10, 0.1, 1]
    Y = np.stack([X @ [1, 0.1, 2, 0] + 7, generator.normal(size=60)], axis=1)
    head, r2 = fit_regression(X, Y, np.repeat(np.arange(6), 10).astype(str))
    found = head(torch.from_numpy(X)).numpy()
    assert np.corrcoef(found[:, 0], Y[:, 0])[0, 1] > 0.999 and found[:, 1].std() < 0.2 and 0.3 < r2 < 0.6
    # slow twin: the normal equations at the penalty that makes them agree, on standardised features
    Z, y = (X - X.mean(0)) / X.std(0), Y[:, 0]
    by_penalty = [np.linalg.solve(Z.T @ Z + a * np.eye(4), Z.T @ (y - y.mean())) for a in np.logspace(0, 5, 11)]
    assert min(np.abs(weights - head.weight[0].numpy()).max() for weights in by_penalty) < 1e-9
    with pytest.raises(InputError, match="vary"):
        fit_regression(X, np.ones((60, 1)), np.repeat("s", 60))
    assert fit_regression(X, Y, np.repeat("s", 60))[0].regression and RegressionHead(1, 2).regression


def test_columns_are_found_in_any_case_and_empty_cells_are_missing(labelled) -> None:
    names, values = labelled_dimensions(labelled.table, ["AROUSAL"], "tiny")
    assert (
        names == ("arousal",)
        and np.isnan(values).sum() == 1
        and values[1, 0] == float(labelled.table["Arousal"].iloc[1])
    )
