"""Hugging Face checkpoints, all tiny, random and written to disk by the tests; nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from serxai import _torchvision  # noqa: F401
from serxai.errors import ClipError, InputError

transformers = pytest.importorskip("transformers")

from serxai.models.factory import model_kind  # noqa: E402
from serxai.models.head import LinearHead  # noqa: E402
from serxai.models.hf import Backbone, has_classifier, load  # noqa: E402
from serxai.models.records import MODELS  # noqa: E402

TINY: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20, "conv_dim": (8, 8),
    "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8, "initializer_range": 0.3, "vocab_size": 8,
}  # fmt: skip
LABELS = {0: "ang", 1: "Happy", 2: "NEUTRAL", 3: "sad"}
FAMILIES = ["Wav2Vec2", "Hubert", "WavLM"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def write(
    folder: Path, family: str = "Wav2Vec2", head: str = "ForSequenceClassification", seed: int = 0, **options: Any
) -> Path:
    """A checkpoint of random weights."""
    front = {"do_normalize": options.pop("do_normalize", True), "sampling_rate": options.pop("sampling_rate", 16_000)}
    labels = options.pop("labels", LABELS)
    named = {"id2label": labels, "label2id": {label: i for i, label in labels.items()}}
    config = getattr(transformers, f"{family}Config")(**TINY | named | options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, f"{family}{head}")(config)
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False, **front).save_pretrained(folder)
    return folder


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def record(folder: Path):
    return MODELS.get(f"hf:{folder}")


def noise(n: int, samples: int = 1200) -> np.ndarray:
    generator = np.random.default_rng(n)
    return (0.1 * generator.standard_normal((n, samples)) + 0.02).astype(np.float32)


# -- classifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_is_what_transformers_pipeline_of_feature_extractor_and_model_says(
    tmp_path: Path, family: str, normalise: bool
) -> None:
    folder = write(tmp_path, family, do_normalize=normalise)
    model = load(record(folder))
    assert model.classes == ("anger", "happiness", "neutral", "sadness") and model.trained_on == ""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    theirs = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    waveforms = noise(5)
    for samples in waveforms:
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = theirs(**inputs).logits.softmax(1)[0].numpy()
        np.testing.assert_allclose(model.predict_proba(samples[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_batch_equals_single(tmp_path: Path, family: str, norm: str) -> None:
    """Group norm too, whose output padding in time would change; rows that fill a batch up are whole."""
    options = {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer", "conv_bias": norm == "layer"}
    model = load(record(write(tmp_path, family, **options)))
    waveforms = noise(11)
    single = np.concatenate([model.log_odds(row[None]) for row in waveforms])
    assert np.ptp(single, axis=0).max() > 1e-3  # not all the same
    np.testing.assert_allclose(model.log_odds(waveforms), single, atol=1e-5, rtol=0)
    assert model.calls == 11 + 16


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_is_the_slope(tmp_path: Path, family: str) -> None:
    model = load(record(write(tmp_path, family)))
    model.module.double()
    samples = torch.from_numpy(noise(1, 600)).double().requires_grad_()
    model.waveform_log_odds(samples)[0, 1].backward()
    direction = torch.randn(1, 600, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        high, low = (model.waveform_log_odds(samples + sign * 1e-6 * direction)[0, 1] for sign in (1, -1))
    assert samples.grad is not None
    assert float((samples.grad * direction).sum()) == pytest.approx(float(high - low) / 2e-6, rel=1e-3)


def test_window_is_what_one_frame_sees(tmp_path: Path) -> None:
    model = load(record(write(tmp_path)))
    assert model.min_samples == 20  # 10 samples, then 3 frames 5 samples apart
    assert np.isfinite(model.log_odds(noise(1, 20))).all()
    with pytest.raises(ClipError, match="window"):
        model.log_odds(noise(1, 19))
    with pytest.raises(RuntimeError):  # so it would
        model.module(torch.from_numpy(noise(1, 19)))


def test_outputs_one_vs_rest_are_normalised_and_kept(tmp_path: Path) -> None:
    model = load(record(write(tmp_path, problem_type="multi_label_classification")))
    waveforms = noise(9)
    with torch.no_grad():
        z = model.module.model(model.module.inputs(torch.from_numpy(waveforms))).logits.numpy()
    np.testing.assert_allclose(model.raw(waveforms), z, atol=1e-5)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.predict_proba(waveforms), p / p.sum(axis=1, keepdims=True), atol=1e-5)


def test_fingerprint_holds_weights_and_front_end(tmp_path: Path) -> None:
    prints = {
        load(record(write(tmp_path / str(i), **options))).fingerprint
        for i, options in enumerate([{}, {}, {"seed": 1}, {"do_normalize": False}, {"hidden_act": "relu"}])
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["angry", "joy", "neutral", "sadness"], ("anger", "happiness", "neutral", "sadness")),
        ([" Fear", "Disgust", "pleasant_surprise", "calm"], ("fear", "disgust", "surprise", "calm")),
        (["ang", "hap", "frustration", "xxx"], ("anger", "happiness", "frustration", "xxx")),
    ],
)
def test_labels_become_the_common_taxonomy(tmp_path: Path, labels: list[str], classes: tuple[str, ...]) -> None:
    assert load(record(write(tmp_path, labels=dict(enumerate(labels))))).classes == classes


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["LABEL_0", "LABEL_1"], "fewer than 2 of its labels .'LABEL_0'"),
        (["yes", "no", "angry"], "fewer than 2 of its labels"),
        (["happy", "joy", "sad"], "mean one emotion"),
    ],
)
def test_labels_that_are_no_emotions_are_refused(tmp_path: Path, labels: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(record(write(tmp_path, labels=dict(enumerate(labels)))))


# -- files -------------------------------------------------------------------------------------------------------------


def test_another_sampling_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="made for 8000 Hz"):
        load(record(write(tmp_path, sampling_rate=8000)))


def test_features_of_another_kind_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    edit(folder, "preprocessor_config.json", feature_extractor_type="ASTFeatureExtractor")
    with pytest.raises(InputError, match="plain waveforms"):
        load(record(folder))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    (folder / name).write_bytes(b"{ torn")
    with pytest.raises(InputError, match="weights cannot be read" if "model" in name else f"cannot read its {name}"):
        load(record(folder))
    (folder / name).unlink()
    told = {"config.json": "cannot read its config.json", "model.safetensors": "weights cannot be read"}
    advice = r"has no preprocessor_config\.json.*Save the feature extractor.*save_pretrained\('"
    with pytest.raises(InputError, match=told.get(name, advice)):
        load(record(folder))


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save_pretrained"):
        load(record(tmp_path / "nothing"))
    with pytest.raises(InputError, match="save_pretrained"):
        has_classifier("nobody/nothing")


def test_pickled_weights_are_read_only_when_trusted(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = write(tmp_path)
    expected = load(record(folder)).log_odds(noise(2))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="only with --trust"):
        load(record(folder))
    np.testing.assert_allclose(load(record(folder), trust=True).log_odds(noise(2)), expected, atol=1e-6)


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    edit(folder, "config.json", model_type="mine", auto_map={"AutoConfig": "code.Config"})
    with pytest.raises(InputError, match="--trust"):
        load(record(folder))
    assert not (tmp_path / "ran").exists()


def test_lacking_misshapen_and_infinite_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write(tmp_path)
    state = load_file(folder / "model.safetensors")

    def put(changed: dict[str, torch.Tensor]) -> None:
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})

    put({name: tensor for name, tensor in state.items() if name != "classifier.weight"})
    with pytest.raises(InputError, match=r"lacks weights.*classifier\.weight"):
        load(record(folder))
    put(state | {"classifier.weight": torch.zeros(5, 8)})
    with pytest.raises(InputError, match=r"classifier\.weight|cannot be read"):
        load(record(folder))
    put(state | {"classifier.bias": torch.full((4,), torch.nan)})
    with pytest.raises(InputError, match=r"'classifier\.bias' holds NaN"):
        load(record(folder))


# -- backbones ---------------------------------------------------------------------------------------------------------


def head(dim: int = 16) -> LinearHead:
    made = LinearHead(3, dim)
    generator = torch.Generator().manual_seed(0)
    made.load_state_dict(
        {
            name: old + 0.3 * torch.randn(old.shape, generator=generator).double()
            for name, old in made.state_dict().items()
        }
    )
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_backbone_is_the_mean_of_the_last_hidden_state(tmp_path: Path, family: str) -> None:
    folder = write(tmp_path, family, head="Model")
    assert not has_classifier(str(folder))
    backbone = Backbone(str(folder))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    waveforms = noise(11)
    features = backbone.features(waveforms)
    assert features.shape == (11, 16) and features.dtype == np.float64
    for row, samples in zip(features, waveforms, strict=True):
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            np.testing.assert_allclose(row, theirs(**inputs).last_hidden_state[0].mean(0).numpy(), atol=1e-5)
        np.testing.assert_allclose(row, backbone.features(samples[None])[0], atol=1e-5)
    again = Backbone(**backbone.params)
    assert again.fingerprint == backbone.fingerprint and again.min_samples == 20
    with pytest.raises(ClipError, match="19 samples"):
        backbone.features(noise(1, 19))


def test_recogniser_of_a_backbone_is_its_head_on_its_features(tmp_path: Path) -> None:
    backbone, linear = Backbone(str(write(tmp_path, head="Model"))), head()
    model = backbone.recogniser("hf", ("anger", "neutral", "sadness"), linear, "print", "emodb")
    assert model.differentiable and model.fingerprint == "print" and model.min_samples == backbone.min_samples
    waveforms = noise(9)
    z = linear(torch.from_numpy(backbone.features(waveforms))).numpy()
    np.testing.assert_allclose(model.raw(waveforms), z, atol=1e-5)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.predict_proba(waveforms), p / p.sum(axis=1, keepdims=True), atol=1e-5)
    tensor = torch.from_numpy(waveforms[:1]).requires_grad_()
    model.waveform_log_odds(tensor)[0, 0].backward()
    assert tensor.grad is not None and torch.isfinite(tensor.grad).all() and tensor.grad.abs().max() > 0


class RegressionHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.out_proj = nn.Linear(16, 16), nn.Linear(16, 3)


def test_a_regression_model_of_its_own_kind_is_a_backbone(tmp_path: Path) -> None:
    """As ``audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim``: arousal, dominance and valence on wav2vec 2.0."""
    from safetensors.torch import load_file, save_file

    plain = Backbone(str(write(tmp_path / "plain", head="Model")))
    folder = write(tmp_path / "regression", head="Model", labels={0: "arousal", 1: "dominance", 2: "valence"})
    state = {f"wav2vec2.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    state |= {f"classifier.{name}": tensor for name, tensor in RegressionHead().state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder, "config.json", architectures=["Wav2Vec2ForSpeechClassification"], problem_type="regression")
    assert not has_classifier(str(folder))
    np.testing.assert_array_equal(Backbone(str(folder)).features(noise(3)), plain.features(noise(3)))
    assert model_kind(f"hf:{folder}") == "foreign" and model_kind(f"hf:{folder}", trained=True) == "head"


def test_a_backbone_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write(tmp_path, head="Model")
    state = load_file(folder / "model.safetensors")
    save_file(
        {f"other.{name}": t for name, t in state.items()}, folder / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(InputError, match="lacks weights"):
        Backbone(str(folder))


def test_the_feature_extractor_as_an_entry_of_processor_config(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", do_normalize=False)
    waveforms, own = noise(2), folder / "preprocessor_config.json"
    expected = load(record(folder)).log_odds(waveforms)
    settings = json.loads(own.read_text())
    own.unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings, "processor_class": "P"}))
    np.testing.assert_array_equal(load(record(folder)).log_odds(waveforms), expected)
    edit(folder, "processor_config.json", feature_extractor=settings | {"sampling_rate": 8000})
    with pytest.raises(InputError, match="made for 8000 Hz"):
        load(record(folder))
    edit(folder, "processor_config.json", feature_extractor=None)
    with pytest.raises(InputError, match="has no entry 'feature_extractor'"):
        load(record(folder))
    (folder / "processor_config.json").unlink()
    with pytest.raises(InputError, match="has no preprocessor_config"):
        load(record(folder))


def test_frames_that_are_squeezed_count_for_the_shortest_clip(tmp_path: Path) -> None:
    squeezed = {"squeeze_factor": 3, "num_conv_pos_embeddings": 4}
    model = load(record(write(tmp_path, family="SEW", **squeezed)))
    assert model.min_samples == ((3 - 1) * 2 + 3 - 1) * 5 + 10
    assert np.isfinite(model.log_odds(noise(2, model.min_samples))).all()
    with pytest.raises(ClipError, match="shorter than"):
        model.log_odds(noise(2, model.min_samples - 1))
