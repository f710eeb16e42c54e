"""Explanations made for attention on tiny random checkpoints of each architecture, and on what they do not explain."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable
from serxai.methods.attention import AttentionRecorder, network_of
from serxai.methods.explainer import Request
from serxai.methods.inspection import view_of
from serxai.methods.records import METHODS, make_method
from serxai.methods.relevance_rules import RelevanceRules
from serxai.models.recogniser import Recogniser, TorchRecogniser
from serxai.models.records import MODELS
from serxai.models.waveform import WaveformRecogniser

pytest.importorskip("transformers")

from serxai.models.head import LinearHead
from serxai.models.hf import Backbone, load

CHECKPOINTS: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "models" / "tiny_checkpoints.py"))
ON_WAVEFORMS = ["wav2vec2", "wav2vec2, norms first", "hubert", "wavlm", "wavlm, norms first"]
ON_FEATURES = ["whisper", "whisper, state 2", "ast", "w2v-bert"]
CLASSIFIERS = ["whisper, classifier", "ast, classifier"]
ARCHITECTURES = ON_WAVEFORMS + ON_FEATURES + CLASSIFIERS
WITH_POSITIONS = ("whisper", "ast", "wavlm")  # w2v-bert's relative positions multiply the queries, none is added
CLASSES = ("anger", "happiness", "neutral", "sadness")
HAS_ATTENTION = "cannot be followed .*it has attention: .* attn-lrp has rules"
NAMES = [record.name for record in METHODS if record.needs == "attention"]
MAPS = ["attention-rollout", "attention-relevance"]
PROPAGATIONS = ["attn-lrp", "attn-lrp-values"]


@pytest.fixture(scope="module")
def recognisers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recogniser]:
    """A classifier of each architecture, of log-mel features a backbone with a head of random weights."""
    found: dict[str, Recogniser] = {}
    for label in ON_FEATURES:
        name, _, variant = label.partition(", ")
        folder = CHECKPOINTS["WRITERS"][name](tmp_path_factory.mktemp("checkpoint"))
        backbone = Backbone(str(folder), **({"layer": 2, "pooling": "mean+sd"} if variant else {}))
        width = CHECKPOINTS["WIDTH"] * (2 if variant else 1)
        head = LinearHead(len(CLASSES), width)
        generator = torch.Generator().manual_seed(0)
        for tensor in (head.weight, head.bias, head.mean, head.platt_b):
            tensor.data = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        found[label] = backbone.recogniser(label, CLASSES, head, label)
    for label in (*ON_WAVEFORMS, *CLASSIFIERS):
        name, _, variant = label.partition(", ")
        options: dict[str, Any] = {}
        if variant == "norms first":
            options = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
        elif name == "whisper":
            options = {"max_source_positions": 100}  # 2 s instead of 30
        folder = CHECKPOINTS["WRITERS"][name](tmp_path_factory.mktemp("checkpoint"), classifier=True, **options)
        found[label] = load(MODELS.get(f"hf:{folder}"))
    return found


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip("speech", CHECKPOINTS["speech_like"](3200))


def request(recogniser: Recogniser, clip: Clip, target: str = "anger", contrast: str | None = None) -> Request:
    return Request(recogniser, clip, target, ("s",), contrast=contrast)


def raw_scores(recogniser: Recogniser, clip: Clip) -> np.ndarray:
    with torch.no_grad():
        samples = torch.as_tensor(clip.samples)
        features = recogniser.features(samples) if isinstance(recogniser, TorchRecogniser) else samples[None]
        return recogniser.raw_scores(features)[0].numpy()


# -- on each architecture ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROPAGATIONS)
@pytest.mark.parametrize("label", ARCHITECTURES)
def test_books_balance(label, name, recognisers, clip):
    """Input, biases, positions and what the softmax takes are the response, for each class and for a contrast."""
    recogniser = recognisers[label]
    raw = raw_scores(recogniser, clip)
    for target, contrast in (("anger", None), ("sadness", None), ("anger", "neutral")):
        found = make_method(name).attribute(request(recogniser, clip, target, contrast))
        details = found.details
        start = recogniser.response(raw, target, contrast)
        assert details["start"] == pytest.approx(start, rel=1e-4, abs=1e-5)
        shares = [details[key] for key in ("conserved", "bias_share", "position_share", "softmax_share")]
        assert sum(shares) == pytest.approx(1, abs=1e-3 * max(1, *map(abs, shares)))
        assert details["conserved"] * start == pytest.approx(float(found.values.sum(dtype=float)), rel=1e-3, abs=1e-5)
        # the position bias of WavLM is one of attention scores, which are constants there
        positions = label.startswith(WITH_POSITIONS) and not (label.startswith("wavlm") and name == "attn-lrp-values")
        assert (details["position_share"] != 0) == positions
        assert (details["softmax_share"] != 0) == (name == "attn-lrp")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", ARCHITECTURES)
def test_calls_determinism_and_the_model_left_alone(label, name, recognisers, clip):
    recogniser, method = recognisers[label], make_method(name)
    network = network_of(recogniser)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    answer, calls = recogniser.log_odds(clip.samples[None]), recogniser.calls
    assert method.calls(clip.samples.size, recogniser) == 1 and recogniser.calls == calls
    hooks = [len(module._forward_hooks) for module in network.modules()]
    one, other = (method.attribute(request(recogniser, clip)) for _ in range(2))
    assert recogniser.calls == calls + 2
    assert one.values.tobytes() == other.values.tobytes() and one.details == other.details
    assert np.array_equal(recogniser.log_odds(clip.samples[None]), answer)
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert [len(module._forward_hooks) for module in network.modules()] == hooks
    assert np.abs(one.values).max() > 0
    assert METHODS.get(name).signed == (one.values.min() < 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", ARCHITECTURES)
def test_batch_size_does_not_matter(label, name, recognisers, clip):
    """One clip at a time goes through the network, whatever the recogniser's batch."""
    recogniser, sizes, maps = recognisers[label], set(), []
    hook = network_of(recogniser).register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    batch = recogniser.batch
    for recogniser.batch in (8, 1):
        maps.append(make_method(name).attribute(request(recogniser, clip)).values)
    recogniser.batch = batch
    hook.remove()
    assert sizes <= {1} and np.array_equal(*maps)


@pytest.mark.parametrize("label", ARCHITECTURES)
def test_values_of_the_network_are_kept(label, recognisers, clip):
    """Attention that is computed step by step gives the network's own scores."""
    recogniser = recognisers[label]
    expected = raw_scores(recogniser, clip)
    for name in PROPAGATIONS:
        for target in recogniser.classes:
            found = make_method(name).attribute(request(recogniser, clip, target)).details["start"]
            assert found == pytest.approx(recogniser.response(expected, target), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("label", ON_WAVEFORMS)
def test_attention_is_what_transformers_returns(label, recognisers, clip):
    """Recorded weights against the model's own, where it returns those of every head; WavLM's are averaged."""
    recogniser, recorder = recognisers[label], AttentionRecorder()
    samples = torch.as_tensor(clip.samples)[None].requires_grad_()
    with recorder:
        recogniser.waveform_log_odds(samples)
    inner = recogniser.module.model
    if not label.startswith("wavlm"):
        inner.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            theirs = inner(recogniser.module.inputs(samples), output_attentions=True).attentions
    finally:
        if not label.startswith("wavlm"):
            inner.set_attn_implementation("sdpa")
    assert len(theirs) == len(recorder.kept) == CHECKPOINTS["LAYERS"]
    for one, other in zip(recorder.kept, theirs, strict=True):
        ours = one.mean(dim=1, keepdim=True).expand_as(one) if label.startswith("wavlm") else one
        np.testing.assert_allclose(ours.detach(), other, atol=1e-6)


@pytest.mark.parametrize("label", ARCHITECTURES)
def test_rollout_and_relevance_by_loops(label, recognisers, clip):
    """The papers' formulas over recorded weights and gradients of their log-odds, entry by entry."""
    recogniser, recorder = recognisers[label], AttentionRecorder()
    view = view_of(request(recogniser, clip), "test")
    with recorder:
        y = view.response(view.values.detach().requires_grad_())[0]
    gradients = [g[0].numpy() for g in torch.autograd.grad(y, recorder.kept)]
    weights = [w[0].detach().numpy() for w in recorder.kept]
    n = weights[0].shape[-1]
    rollout, relevance = np.eye(n), np.eye(n)
    for weight, gradient in zip(weights, gradients, strict=True):
        heads = len(weight)
        mean = sum(weight[h] for h in range(heads)) / heads
        rollout = (0.5 * mean + 0.5 * np.eye(n)) @ rollout
        relevance = relevance + sum(np.maximum(weight[h] * gradient[h], 0) for h in range(heads)) / heads @ relevance
    for name, matrix in (("attention-rollout", rollout), ("attention-relevance", relevance - np.eye(n))):
        found = make_method(name).attribute(request(recogniser, clip)).values
        expected = matrix.mean(axis=0)
        if label.startswith("ast"):  # class tokens are read; 4 rows of patches over frequency
            expected = matrix[:2].mean(axis=0)[2:].reshape(4, -1).sum(axis=0)
        np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-6 * matrix.max())


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_over_time_with_tokens_in_their_places(name, recognisers, clip):
    """A token hears 20 samples and neighbours are 10 apart: kernels 10 and 3, strides 5 and 2."""
    found = make_method(name).attribute(request(recognisers["hubert"], clip))
    assert found.grid.shape == (1, 319)
    assert found.grid.freq_edges_hz.tolist() == [0, 8000]
    centres = (found.grid.time_edges_s[1:] + found.grid.time_edges_s[:-1]) / 2
    np.testing.assert_allclose(centres * 16_000, 9.5 + 10 * np.arange(319), atol=1e-6)
    assert found.values.min() >= 0
    if name == "attention-rollout":
        assert found.values.sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    "label, first_s, step_s, n", [("whisper", 0.0, 0.02, 10), ("ast", 0.0875, 0.16, 16), ("w2v-bert", 0.01, 0.02, 10)]
)
def test_tokens_on_log_mel_features_lie_in_their_places(label, first_s, step_s, n, recognisers, clip):
    """Whisper: frames of 10 ms, every second one; AST: patches of 16 frames, padding behind the clip included.

    Frames of AST are centred 12.5 ms after they begin. W2V-BERT's tokens have no known place: equal parts of the clip.
    """
    found = make_method("attention-rollout").attribute(request(recognisers[label], clip))
    centres = (found.grid.time_edges_s[1:] + found.grid.time_edges_s[:-1]) / 2
    expected = first_s + step_s * np.arange(n)
    if label == "w2v-bert":
        n = centres.size
        expected = (np.arange(n) + 0.5) * clip.duration_s / n
    np.testing.assert_allclose(centres, expected, atol=1e-6)


def test_rollout_ignores_the_target_and_others_do_not(recognisers, clip):
    recogniser = recognisers["hubert"]
    for name in NAMES:
        one, other = (make_method(name).attribute(request(recogniser, clip, t)).values for t in ("anger", "sadness"))
        assert np.allclose(one, other, rtol=1e-6, atol=0) == (name == "attention-rollout")
    with pytest.raises(InputError, match="knows anger"):
        make_method("attention-rollout").attribute(request(recogniser, clip, "boredom"))


@pytest.mark.parametrize("name", PROPAGATIONS)
def test_contrast_is_the_difference_of_two(name, recognisers, clip):
    parts = [("anger", None), ("sadness", None), ("anger", "sadness")]
    one, other, both = (make_method(name).attribute(request(recognisers["hubert"], clip, *part)) for part in parts)
    np.testing.assert_allclose(both.values, one.values - other.values, atol=1e-4 * np.abs(one.values).max())


@pytest.mark.parametrize("name", PROPAGATIONS)
def test_relevance_of_cells_adds_up_to_that_of_samples(name, recognisers, clip):
    """The inverse transform is linear: cells of the plane hold what the samples do."""
    recogniser = recognisers["wavlm"]
    samples = torch.as_tensor(clip.samples)[None].requires_grad_()
    with RelevanceRules(make_method(name).softmax):
        score = recogniser.raw_scores(samples)[0, 0]
    expected = float((samples.detach() * torch.autograd.grad(score, samples)[0]).sum())
    found = make_method(name).attribute(request(recogniser, clip)).values
    assert found.sum(dtype=float) == pytest.approx(expected, rel=1e-3, abs=1e-5)


# -- what is not explained ---------------------------------------------------------------------------------------------


class Waves(nn.Module):
    """Convolution on the waveform, with attention or without, by a function alone."""

    def __init__(self, attends: bool) -> None:
        super().__init__()
        self.attends = attends
        torch.manual_seed(0)
        self.first, self.head = nn.Conv1d(1, 8, 400, stride=200), nn.Linear(8, 4)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        tokens = self.first(waveforms[:, None]).transpose(1, 2)
        if self.attends:
            tokens = tokens + functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.head(tokens.mean(dim=1))


def waves(attends: bool) -> WaveformRecogniser:
    return WaveformRecogniser("waves", ("anger", "b", "c", "d"), Waves(attends), "0", min_samples=400)


@pytest.mark.parametrize("name", NAMES)
def test_networks_without_attention_are_skipped_with_the_reason_at_planning(name, clip, tiny_cnn):
    for recogniser in (waves(False), tiny_cnn()):
        with pytest.raises(NotApplicable, match="no attention found"):
            make_method(name).calls(clip.samples.size, recogniser)
        with pytest.raises(NotApplicable, match="no attention found"):
            make_method(name).attribute(request(recogniser, clip))
        assert recogniser.calls == 0


@pytest.mark.parametrize("name", NAMES)
def test_attention_is_found_by_function_too(name, clip):
    recogniser = waves(True)
    assert make_method(name).calls(clip.samples.size, recogniser) == 1 and recogniser.calls == 0
    found = make_method(name).attribute(request(recogniser, clip))
    assert recogniser.calls == 1 and np.isfinite(found.values).all()


@pytest.mark.parametrize("name", NAMES)
def test_black_boxes_are_skipped_with_the_reason(name, white_box, clip):
    recogniser = white_box(lambda waveform: float(waveform.sum()))
    for explain in (lambda m: m.calls(100, recogniser), lambda m: m.attribute(request(recogniser, clip, "yes"))):
        with pytest.raises(NotApplicable, match="is not differentiable"):
            explain(make_method(name))


# occlusion of features looks into no layer
LAYERED = [
    r.name for r in METHODS if r.needs == "features" and r.name not in ("occlusion-paper", "beyond-saliency-paper-os")
]


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize(
    "label, reason",
    [("wav2vec2", "needs a network on a feature map"), ("whisper", HAS_ATTENTION), ("ast", HAS_ATTENTION)],
)
def test_methods_that_look_into_layers_say_why_they_do_not_explain_transformers(label, reason, name, recognisers, clip):
    """Skipped with a reason, at planning and before any call: LRP, guided backpropagation, DeepLIFT, CAM."""
    recogniser = recognisers[label]
    calls = recogniser.calls
    for explain in (lambda m: m.calls(clip.samples.size, recogniser), lambda m: m.attribute(request(recogniser, clip))):
        with pytest.raises(NotApplicable, match=reason):
            explain(make_method(name))
    assert recogniser.calls == calls


def test_view_inputs_are_what_the_network_takes(recognisers, clip):
    view = view_of(request(recognisers["hubert"], clip), "test")
    np.testing.assert_allclose(view.inputs(view.values)[0], clip.samples, atol=1e-5)
