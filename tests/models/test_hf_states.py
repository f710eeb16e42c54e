"""Hidden states of Hugging Face encoders: which state, how pooled, at which length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serxai import _torchvision  # noqa: F401

transformers = pytest.importorskip("transformers")

from serxai.errors import ClipError, InputError  # noqa: E402
from serxai.keys import digest  # noqa: E402
from serxai.models.head import LinearHead, WeightedHead, make_head  # noqa: E402
from serxai.models.hf import Backbone, has_classifier, load  # noqa: E402
from serxai.models.recogniser import TorchRecogniser  # noqa: E402
from serxai.models.records import MODELS  # noqa: E402
from serxai.models.waveform import WaveformRecogniser  # noqa: E402
from serxai.tests.models.tiny_checkpoints import (  # noqa: E402
    LAYERS,
    WIDTH,
    WRITERS,
    noise,
    speech_like,
    write_ast_classifier,
    write_w2v_bert,
    write_wav2vec2,
    write_whisper,
    write_whisper_classifier,
)

CLASSES = ("anger", "neutral", "sadness")
STATES = range(LAYERS + 1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write(root / name) for name, write in WRITERS.items()}


def theirs(folder: Path, samples: np.ndarray) -> list[np.ndarray]:
    """States by transformers' own extractor and model; Whisper is given its 30 s."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "encoder", model) if model.config.model_type == "whisper" else model
    inputs = dict(extractor(samples, sampling_rate=16_000, return_tensors="pt"))
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    return [state[0].double().numpy() for state in (*out.hidden_states[:-1], out.last_hidden_state)]


def statistics(state: np.ndarray) -> np.ndarray:
    return np.concatenate([state.mean(0), state.std(0)])


def head(dim: int, seed: int = 0) -> LinearHead:
    generator = torch.Generator().manual_seed(seed)
    made = LinearHead(len(CLASSES), dim)
    made.load_state_dict(
        {
            name: old + 0.3 * torch.randn(old.shape, generator=generator).double().abs()
            for name, old in made.state_dict().items()
        }
    )
    return made


def recogniser(folder: Path, layer: int | str = 2, pooling: str = "mean+sd") -> Any:
    backbone = Backbone(str(folder), layer=layer, pooling=pooling)
    dim = WIDTH * (2 if pooling == "mean+sd" else 1)
    return backbone.recogniser("hf", CLASSES, head(dim), "print", "emodb")


# -- states ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "whisper"])
def test_states_are_those_of_transformers(folders: dict[str, Path], name: str) -> None:
    samples = speech_like(1_202 if name == "w2v-bert" else 8_000)  # an even number of frames: nothing masked
    expected = theirs(folders[name], samples)
    every = Backbone(str(folders[name]), layer="auto", pooling="mean+sd")
    assert every.states == len(expected) == LAYERS + 1
    found = every.features(samples[None]).reshape(every.states, -1)
    for layer, state in enumerate(expected):
        np.testing.assert_allclose(found[layer], statistics(state), atol=2e-4)
        alone = Backbone(str(folders[name]), layer=layer, pooling="mean")
        np.testing.assert_allclose(alone.features(samples[None])[0], found[layer, :WIDTH], atol=1e-5)
    last = Backbone(str(folders[name]), pooling="mean+sd")
    np.testing.assert_allclose(last.features(samples[None])[0], found[-1], atol=1e-5)


def test_whisper_equals_transformers_when_given_30_s(folders: dict[str, Path]) -> None:
    samples = noise(1, 480_000)[0]
    expected = theirs(folders["whisper"], samples)
    every = Backbone(str(folders["whisper"]), layer="weighted", pooling="mean+sd")
    found = every.features(samples[None]).reshape(every.states, -1)
    for layer, state in enumerate(expected):
        assert state.shape[0] == 1500
        np.testing.assert_allclose(found[layer], statistics(state), atol=1e-4)


def test_whisper_runs_at_the_clip_s_own_length(folders: dict[str, Path]) -> None:
    """States 0 are local: cut and padded runs differ at the end of the clip alone."""
    samples = speech_like(16_000)
    backbone = Backbone(str(folders["whisper"]), layer=0)
    with torch.no_grad():
        states = backbone.body.encoder(backbone.front_end(torch.from_numpy(samples)[None]))
    assert states.keys() == {0} and states[0].shape == (1, 50, WIDTH)
    padded = theirs(folders["whisper"], samples)[0]
    np.testing.assert_allclose(states[0][0, :48].numpy(), padded[:48], atol=1e-4)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("layer", [0, 1, LAYERS])
def test_no_more_layers_are_kept_than_the_state_needs(folders: dict[str, Path], name: str, layer: int) -> None:
    kept = Backbone(str(folders[name]), layer=layer).body.encoder.model
    lists = [
        len(module)
        for path, module in kept.named_modules()
        if isinstance(module, torch.nn.ModuleList) and path.split(".")[-1] == "layers" and "pos_conv" not in path
    ]
    assert lists[0] == (layer if name == "whisper" else max(layer, 1))


def test_stable_layer_norm_belongs_to_the_last_state_alone(tmp_path: Path) -> None:
    folder = write_wav2vec2(tmp_path, do_stable_layer_norm=True, feat_extract_norm="layer")
    samples = speech_like(4_000)
    expected = theirs(folder, samples)
    for layer in STATES:
        found = Backbone(str(folder), layer=layer).features(samples[None])[0]
        np.testing.assert_allclose(found, expected[layer].mean(0), atol=1e-4)


def test_an_even_cut_equals_their_mask(tmp_path: Path) -> None:
    """W2V-BERT masks a pair of frames that is not whole; here it is cut."""
    folder, samples = write_w2v_bert(tmp_path), speech_like(1_202)  # 6 frames
    odd = np.concatenate([samples, noise(1, 160)[0]])  # 7: their last pair is masked
    front = Backbone(str(folder)).front_end
    assert front is not None and front.frames(len(samples)) == front.frames(len(odd)) == 6
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    inputs = extractor(odd, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        state = model(**inputs).last_hidden_state[0]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0]]
    found = Backbone(str(folder)).features(odd[None])[0]
    np.testing.assert_allclose(found, state[:3].mean(0).numpy(), atol=1e-3)


# -- recognisers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_batch_is_single_and_repeats(folders: dict[str, Path], name: str) -> None:
    model = recogniser(folders[name])
    kind = TorchRecogniser if name in ("whisper", "ast", "w2v-bert") else WaveformRecogniser
    assert isinstance(model, kind) and model.differentiable
    rows = np.stack([10.0 ** -(k % 4) * speech_like(3_000, seed=k) for k in range(11)]).astype(np.float32)
    single = np.concatenate([model.log_odds(row[None]) for row in rows])
    assert np.ptp(single, axis=0).max() > 1e-3
    np.testing.assert_allclose(model.log_odds(rows), single, atol=2e-5, rtol=0)
    np.testing.assert_array_equal(model.log_odds(rows), recogniser(folders[name]).log_odds(rows))


@pytest.mark.parametrize("name", WRITERS)
def test_recogniser_is_the_head_on_the_features(folders: dict[str, Path], name: str) -> None:
    backbone, linear = Backbone(str(folders[name]), layer=1, pooling="mean+sd"), head(2 * WIDTH)
    model = backbone.recogniser("hf", CLASSES, linear, "print", "emodb")
    rows = noise(3, 2_000)
    z = linear(torch.from_numpy(backbone.features(rows))).numpy()
    np.testing.assert_allclose(model.raw(rows), z, atol=1e-4)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.predict_proba(rows), p / p.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("name", WRITERS)
def test_gradient_flows_to_the_waveform_and_is_the_slope(folders: dict[str, Path], name: str) -> None:
    model = recogniser(folders[name])
    if isinstance(model, TorchRecogniser):
        model.front_end.double()
        model.network.double()
        run = lambda x: model.feature_log_odds(model.front_end(x))[0, 1]  # noqa: E731
    else:
        model.module.double()
        run = lambda x: model.waveform_log_odds(x)[0, 1]  # noqa: E731
    samples = torch.from_numpy(noise(1, 2_000)).double().requires_grad_()
    run(samples).backward()
    step = torch.randn(1, 2_000, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        slope = float(run(samples + 1e-6 * step) - run(samples - 1e-6 * step)) / 2e-6
    assert samples.grad is not None and float(samples.grad.abs().max()) > 0
    assert float((samples.grad * step).sum()) == pytest.approx(slope, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["whisper", "ast", "w2v-bert"])
def test_lengths(folders: dict[str, Path], name: str) -> None:
    model = recogniser(folders[name])
    for length in (model.min_samples, 3_333, 70_000):
        samples = speech_like(length)
        assert np.isfinite(model.log_odds(samples[None])).all()
        grid, features = model.feature_grid(length), model.features(samples)
        assert features.shape[2:] == (len(grid.freq_edges_hz) - 1, len(grid.time_edges_s) - 1)
    with pytest.raises(ClipError, match="window"):
        model.log_odds(noise(1, model.min_samples - 1))


def test_a_head_of_weighted_states(folders: dict[str, Path]) -> None:
    backbone, dim = Backbone(str(folders["whisper"]), layer="weighted", pooling="mean+sd"), 2 * WIDTH
    plain = head(dim)
    weights, scale = np.array([0.3, -1.0, 2.0, 0.0]), np.array([1.0, 2.0, 4.0, 0.5])
    weighted = WeightedHead.around(plain, weights, scale)
    rows = noise(2, 3_000)
    features = backbone.features(rows)
    shares = np.exp(weights) / np.exp(weights).sum() / scale
    mixed = sum(share * features[:, k * dim : (k + 1) * dim] for k, share in enumerate(shares))
    expected = plain(torch.as_tensor(mixed)).numpy()
    np.testing.assert_allclose(weighted(torch.as_tensor(features)).numpy(), expected, atol=1e-9)
    model = backbone.recogniser("hf", CLASSES, weighted, "print")
    np.testing.assert_allclose(model.raw(rows), expected, atol=1e-3)
    again = make_head(n_classes=3, dim=dim, n_states=4)
    again.load_state_dict(weighted.state_dict())
    assert type(make_head(n_classes=3, dim=dim)) is LinearHead


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_whisper_with_a_language_head_is_its_encoder_too(tmp_path: Path) -> None:
    rows = noise(2, 3_000)
    plain = Backbone(str(write_whisper(tmp_path / "a")), layer=2)
    folder = write_whisper(tmp_path / "b", generation=True)
    generation = Backbone(str(folder), layer=2)
    assert not any("decoder" in name for name, _ in generation.body.named_parameters())
    theirs_ = transformers.WhisperForConditionalGeneration.from_pretrained(folder).model.encoder
    own = dict(generation.body.encoder.model.named_parameters())
    for name, tensor in theirs_.named_parameters():
        assert name.startswith(("layers.2.",)) or torch.equal(own[name], tensor), name
    assert plain.features(rows).shape == generation.features(rows).shape


@pytest.mark.parametrize("write", [write_whisper_classifier, write_ast_classifier])
def test_classifiers_say_what_transformers_says(tmp_path: Path, write: Any) -> None:
    """Used as they come: Whisper's with the 30 s of its training."""
    folder = write(tmp_path)
    assert has_classifier(str(folder))
    model = load(MODELS.get(f"hf:{folder}"))
    assert model.classes == ("anger", "happiness", "neutral", "sadness") and isinstance(model, TorchRecogniser)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    network = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    for samples in (speech_like(9_000), noise(1, 4_321)[0]):
        with torch.no_grad():
            inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
            expected = network(**inputs).logits.softmax(1)[0].numpy()
        np.testing.assert_allclose(model.predict_proba(samples[None])[0], expected, atol=1e-4)
    features = model.features(speech_like(9_000)).requires_grad_()
    model.feature_log_odds(features)[0, 0].backward()
    assert features.grad is not None and float(features.grad.abs().max()) > 0


def test_a_checkpoint_of_log_mel_features_with_a_processor_config_alone(tmp_path: Path) -> None:
    import json

    folder = write_whisper(tmp_path)
    rows, own = noise(2, 3_000), folder / "preprocessor_config.json"
    expected = Backbone(str(folder)).features(rows)
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": json.loads(own.read_text())}))
    own.unlink()
    np.testing.assert_array_equal(Backbone(str(folder)).features(rows), expected)


# -- identity ----------------------------------------------------------------------------------------------------------


def test_the_mean_of_the_last_state_keeps_its_identity(folders: dict[str, Path]) -> None:
    """Heads that were trained before there was a choice still load, under the same fingerprint."""
    import hashlib

    folder = str(folders["wav2vec2"])
    backbone = Backbone(folder)
    assert backbone.params == {"path": folder}
    model, config = transformers.AutoModel.from_pretrained(folder), transformers.AutoConfig.from_pretrained(folder)
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(f"model.{name}".encode() + tensor.contiguous().numpy().tobytes())
    settings = {name: value for name, value in config.to_dict().items() if not name.startswith("_")}
    settings.pop("transformers_version", None)
    expected = digest("hf", transformers.__version__, weights.hexdigest(), settings, True)
    assert backbone.fingerprint == backbone.encoder == expected
    assert Backbone(folder, layer="last", pooling="mean").params == backbone.params


def test_layer_and_pooling_are_part_of_the_identity(folders: dict[str, Path]) -> None:
    options = [{}, {"layer": 1}, {"layer": 2}, {"pooling": "mean+sd"}, {"layer": "auto"}, {"layer": "weighted"}]
    backbones = [Backbone(str(folders["whisper"]), **given) for given in options]
    assert len({backbone.fingerprint for backbone in backbones}) == len(options)
    assert len({backbone.encoder for backbone in backbones}) == 1
    for backbone in backbones:
        assert Backbone(**backbone.params).fingerprint == backbone.fingerprint


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"layer": 9}, r"layer = 9: .* hidden states 0 to 3; give one of them, or last, auto, weighted"),
        ({"layer": -1}, "layer = -1"),
        ({"layer": True}, "layer = True"),
        ({"layer": "middle"}, "layer = 'middle'"),
        ({"pooling": "max"}, r"pooling = 'max': give one of mean, mean\+sd"),
    ],
)
def test_what_there_is_not_is_refused(folders: dict[str, Path], given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Backbone(str(folders["whisper"]), **given)


# -- real checkpoint and speech ----------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.long
def test_cut_and_padded_whisper_on_emodb(data_root: Path) -> None:
    """What the clip's own length changes: cosine of the mean of hidden state 2 over the clip, 12 clips of EMODB."""
    from serxai.datasets.corpora import load_corpus
    from serxai.models.hf_front_ends import make_front_end
    from serxai.models.hf_states import inputs_of

    path = str(data_root / "whisper-tiny-en")
    backbone = Backbone(path, layer=2)
    padded_front = make_front_end(path, transformers.AutoConfig.from_pretrained(path), padded=True)
    corpus, cosines, over_all = load_corpus("emodb", data_root), [], []
    for clip in corpus.table.index[::30][:12]:
        waveform = torch.from_numpy(corpus.clip(clip).samples)[None]
        with torch.no_grad():
            own = backbone.body.encoder(backbone.front_end(waveform))[2][0]
            backbone.body.encoder.inputs = inputs_of(padded_front)
            padded = backbone.body.encoder(padded_front(waveform))[2][0]
            backbone.body.encoder.inputs = inputs_of(backbone.front_end)
        pairs = ((own, padded[: len(own)], cosines), (own, padded, over_all))
        for one, other, kept in pairs:
            kept.append(float(torch.cosine_similarity(one.mean(0), other.mean(0), dim=0)))
    assert len(cosines) == 12 and min(cosines) > 0.95 and np.mean(cosines) > 0.98
    assert np.mean(over_all) < np.mean(cosines)
