"""What every method must keep to: seeds, batch sizes, an untouched model, places, odd clips."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE, Plane, scoring_grid
from serxai.datasets.clip import Clip
from serxai.errors import ClipError, NotApplicable
from serxai.methods.explainer import Request
from serxai.methods.records import METHODS, make_method

MODEL_METHODS = {
    "saliency": {},
    "input-x-gradient": {},
    "integrated-gradients": {},
    "integrated-gradients, noise": {"baseline": "noise"},
    "smoothgrad": {},
    "gradient-shap": {},
    "guided-backprop": {},
    "deeplift": {},
    "deeplift, noise": {"baseline": "noise"},
    "gradcam": {},
    "layercam": {},
    "lrp-epsilon-plus": {},
    "lrp-epsilon-plus, biases kept": {"biases": "kept"},
    "lrp-epsilon-plus-flat": {},
    "lrp-gamma": {},
    "excitation-backprop": {},
    "crp": {},
    "feature-ablation": {},
    "occlusion-paper": {"stride": 12},
    "occlusion": {},
    "occlusion, noise": {"fill": "noise"},
    "emolime": {},
    "emolime, noise": {"fill": "noise"},
}
FEATURE_METHODS = [label for label in MODEL_METHODS if METHODS.get(label.split(",")[0]).needs == "features"]
ALL_METHODS = MODEL_METHODS | {"random": {}, "energy": {}}


def made(label: str):
    return make_method(label.split(",")[0], **ALL_METHODS[label])


@pytest.mark.parametrize("label", ALL_METHODS)
def test_seeds(label, tiny_cnn, voice, ask):
    """The same request gives the same bytes; another seed another map, but only where the method says so."""
    method, recogniser, clip = made(label), tiny_cnn(), voice(duration_s=0.4)
    first, again, other = (method.attribute(ask(recogniser, clip, seed)).values.tobytes() for seed in (0, 0, 1))
    assert first == again
    assert (first != other) == method.stochastic


@pytest.mark.parametrize("label", MODEL_METHODS)
def test_batch_size_does_not_matter(label, tiny_cnn, voice, ask):
    recogniser, clip = tiny_cnn(), voice(duration_s=0.2)
    maps = []
    for recogniser.batch in (8, 3, 1, 32):
        maps.append(made(label).attribute(ask(recogniser, clip)).values)
    assert np.abs(maps[0]).max() > 1e-4
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=2e-6)


@pytest.mark.parametrize("label", ALL_METHODS)
def test_other_weights_other_map(label, tiny_cnn, voice, ask):
    """Only the baselines do not care what the model learned."""
    clip = voice(duration_s=0.4)
    maps = [made(label).attribute(Request(tiny_cnn(seed), clip, "anger", ("s",))).values for seed in (0, 1)]
    assert np.array_equal(*maps) == (label not in MODEL_METHODS)


@pytest.mark.parametrize("label", MODEL_METHODS)
def test_targets_differ(label, tiny_cnn, voice, ask):
    recogniser, clip = tiny_cnn(), voice(duration_s=0.4)
    maps = [made(label).attribute(ask(recogniser, clip, target=name)).values for name in ("anger", "sadness")]
    assert not np.allclose(*maps, atol=1e-6)


def state(recogniser) -> list:
    """Everything about the model that an explanation could change."""
    found: list = []
    for part in (recogniser.network, recogniser.front_end):
        found += [(name, tensor.clone()) for name, tensor in part.state_dict().items()]
        for name, parameter in part.named_parameters():
            gradient = None if parameter.grad is None else parameter.grad.clone()
            found += [(name, parameter.requires_grad), (name, gradient)]
        for name, module in part.named_modules():
            hooks = [sorted(value) for key, value in sorted(vars(module).items()) if "_hooks" in key]
            found += [(name, type(module).__name__, module.training, str(hooks), sorted(vars(module)))]
    return found


def same(before: list, after: list) -> bool:
    def equal(a, b):
        return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b

    return len(before) == len(after) and all(
        equal(a, b) for one, two in zip(before, after, strict=True) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("label", MODEL_METHODS)
def test_explaining_leaves_the_model_alone(label, trainable, tiny_cnn, voice, ask):
    recogniser = tiny_cnn()
    if trainable:
        for parameter in recogniser.network.parameters():
            parameter.requires_grad_(True)
            parameter.grad = torch.ones_like(parameter)
    asked = ask(recogniser, voice(duration_s=0.4))
    before, answer = state(recogniser), recogniser.log_odds(asked.clip.samples[None])
    made(label).attribute(asked)
    assert same(before, state(recogniser))
    assert np.array_equal(recogniser.log_odds(asked.clip.samples[None]), answer)


class Fails(nn.Module):
    """Raises on its second call, or when the gradient comes back."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when
        self.calls = [0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls[0] += 1
        if self.when == "forward" and self.calls[0] > 1:
            raise RuntimeError("the network fails")
        if self.when == "backward" and x.requires_grad:
            x.register_hook(self._fail)
        return x

    @staticmethod
    def _fail(gradient: torch.Tensor) -> None:
        raise RuntimeError("the network fails")


@pytest.mark.parametrize(
    "label, when",
    [(label, "forward") for label in MODEL_METHODS]
    + [(label, "backward") for label in MODEL_METHODS if "gradient" in label or label in ("saliency", "smoothgrad")],
)
def test_a_failing_network_is_left_alone_too(label, when, tiny_cnn, voice, ask):
    recogniser = tiny_cnn()
    asked = ask(recogniser, voice(duration_s=0.4))
    failing = Fails(when)
    recogniser.network.append(failing)
    if when == "forward" and ("x-gradient" in label or label == "saliency"):
        failing.calls[0] = 1  # these call the network once
    before = copy.deepcopy(state(recogniser))
    # what looks into layers finds at once that it cannot follow this network
    reason = "the network fails|cannot be followed" if label in FEATURE_METHODS else "the network fails"
    with pytest.raises((RuntimeError, NotApplicable), match=reason):
        made(label).attribute(asked)
    assert same(before, state(recogniser))
    del recogniser.network[-1]
    expected = made(label).attribute(ask(tiny_cnn(), asked.clip)).values
    np.testing.assert_array_equal(made(label).attribute(asked).values, expected)


def test_passes_are_counted_and_records_say_how_many(tiny_cnn, voice, ask):
    expected = {"saliency": 1, "input-x-gradient": 1, "integrated-gradients": 34, "emolime": 256}
    expected |= {"random": 0, "energy": 0, "occlusion": 16 * 3 + 8}  # 48 patches and the clip, in batches of 8
    for name, calls in expected.items():
        recogniser = tiny_cnn()
        make_method(name).attribute(ask(recogniser, voice(duration_s=0.45)))
        assert recogniser.calls == calls, name
        assert METHODS.get(name).cost == str(calls) or name == "occlusion"


@pytest.mark.parametrize("label", MODEL_METHODS)
def test_never_more_than_a_batch_at_a_time(label, tiny_cnn, voice, ask):
    recogniser, sizes = tiny_cnn(), set()
    recogniser.batch = 4
    recogniser.network.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    made(label).attribute(ask(recogniser, voice(duration_s=0.2)))
    assert sizes <= {1, 4}


def burst(time_s: float, freq_hz: float, duration_s: float = 1.2) -> Clip:
    """A 60 ms tone burst at one place, faint noise elsewhere."""
    t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.exp(-(((t - time_s) / 0.02) ** 2))
    noise = 1e-4 * np.random.default_rng(0).standard_normal(t.size)
    return Clip(f"burst-{time_s}-{freq_hz}", (0.3 * envelope * np.sin(2 * np.pi * freq_hz * t) + noise).astype("f4"))


PLACES = [(0.1, 300.0), (0.37, 1400.0), (0.675, 3000.0), (0.975, 6500.0), (1.1, 900.0)]


def cell_of(grid, time_s, freq_hz):
    return int(grid.rows_of(np.array([freq_hz]))[0]), int(grid.columns_of(np.array([time_s]))[0])


@pytest.mark.parametrize("time_s, freq_hz", PLACES)
@pytest.mark.parametrize("name", ["occlusion", "emolime", "energy"])
def test_tone_burst_lights_its_own_cell(name, time_s, freq_hz, white_box, ask):
    """Log-odds = level of one known cell of the plane: the part that holds the burst is the most relevant by far."""
    clip = burst(time_s, freq_hz)
    grid = scoring_grid(clip.duration_s)
    row, column = cell_of(grid, time_s, freq_hz)
    recogniser = white_box(lambda waveform: float(np.log10(Plane(waveform.numpy()).energy(grid)[row, column])))
    params = {} if name == "energy" else {"fill": "attenuate"}
    found = make_method(name, **params).attribute(ask(recogniser, clip))
    place = cell_of(found.grid, time_s, freq_hz)
    assert np.unravel_index(found.values.argmax(), found.grid.shape) == place
    assert found.values[place] > 0.5 * np.abs(found.values).sum()


class Level(nn.Module):
    """Logits (mean feature inside a region of the map, 0)."""

    def __init__(self, region: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weights", torch.as_tensor(region / region.sum()))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        level = (features[:, 0] * self.weights).sum(dim=(1, 2))
        return torch.stack([level, torch.zeros_like(level)], dim=1)


@pytest.mark.parametrize("time_s, freq_hz", PLACES)
@pytest.mark.parametrize("name", ["saliency", "input-x-gradient", "integrated-gradients"])
def test_gradient_maps_lie_where_the_features_do(name, time_s, freq_hz, on_features, ask):
    """A network that hears one cell of its features: all relevance is in that cell, found by its edges in Hz and s.

    Where the network hears all cells alike, relevance above silence is highest where the burst is.
    """
    clip = burst(time_s, freq_hz)
    probe = on_features(nn.Identity())
    grid = probe.feature_grid(clip.samples.size)
    place = cell_of(grid, time_s, freq_hz)
    region = np.zeros(grid.shape)
    region[place] = 1
    found = make_method(name).attribute(ask(on_features(Level(region), ("yes", "no")), clip))
    assert found.grid == grid
    assert np.argwhere(found.values).tolist() == [list(place)]
    if name != "saliency":
        everywhere = on_features(Level(np.ones(grid.shape)), ("yes", "no"))
        row, column = np.unravel_index(make_method(name).attribute(ask(everywhere, clip)).values.argmax(), grid.shape)
        assert grid.freq_edges_hz[row] - 60 <= freq_hz <= grid.freq_edges_hz[row + 1] + 60
        assert grid.time_edges_s[column] - 0.015 <= time_s <= grid.time_edges_s[column + 1] + 0.015


# these say where a change would matter, or share out a logit that silence has as well
SENSITIVITIES = ["random", "saliency", "smoothgrad", *(label for label in FEATURE_METHODS if "deeplift" not in label)]
SENSITIVITIES.remove("occlusion-paper")


@pytest.mark.parametrize("label", ALL_METHODS)
def test_silence_has_a_defined_explanation(label, tiny_cnn, ask):
    found = made(label).attribute(ask(tiny_cnn(), Clip("silence", np.zeros(8000, dtype=np.float32))))
    assert np.all(np.isfinite(list(found.details.values())))
    if label in SENSITIVITIES:
        return
    assert np.abs(found.values).max() < 1e-5, "nothing is there to be relevant"


@pytest.mark.parametrize("label", MODEL_METHODS)
def test_short_clips(label, tiny_cnn, voice, ask):
    """One window is enough, less is an error of the clip, and so is a clip of nothing."""
    samples = voice().samples
    asked = ask(tiny_cnn(), Clip("window", samples[:512]))
    assert made(label).attribute(asked).values.size > 0
    for n in (511, 1, 0):
        with pytest.raises(ClipError, match="shorter than the 32 ms window"):
            made(label).attribute(ask(tiny_cnn(), Clip("short", samples[:n])))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("label", MODEL_METHODS)
def test_broken_samples_are_an_error_of_the_clip(label, bad, tiny_cnn, voice, ask):
    samples = voice(duration_s=0.4).samples.copy()
    samples[100] = bad
    with pytest.raises(ClipError, match="finite"):
        made(label).attribute(ask(tiny_cnn(), Clip("broken", samples)))
