"""What every method must keep to: seeds, batch sizes, an untouched model, places, odd clips."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE, Plane, scoring_grid
from serxai.datasets.clip import Clip, Word
from serxai.errors import ClipError, NotApplicable
from serxai.methods.attribution import Attribution
from serxai.methods.explainer import Request
from serxai.methods.records import METHODS, MethodRecord, make_method

# what keeps a test short, or makes a method draw on a clip of 0.4 s
SMALLER = {
    "occlusion-paper": {"stride": 12},
    "emolime-paper": {"masks": 4},
    "emolime-paper-unshrunk": {"masks": 4},
    "emolime-sampled": {"masks": 16},
    "segment-lime": {"partition": "windows:0.04", "masks": 16},
    "patch-lime": {"partition": "mel:4 x windows:0.1", "masks": 16},
    "band-kernelshap": {"masks": 16},
    "crp-paper": {"layer": "0", "channel": 1},
}
VARIANTS = {
    "integrated-gradients, noise": {"baseline": "noise"},
    "deeplift, noise": {"baseline": "noise"},
    "lrp-epsilon-plus, biases kept": {"biases": "kept"},
    "occlusion, noise": {"fill": "noise"},
    "emolime, noise": {"fill": "noise"},
    "beyond-saliency:smoothgrad": {},
}


def smaller(name: str) -> dict[str, Any]:
    """Parameters of a method in these tests: four parts, 16 masks, where there would be eight and 256."""
    partition = make_method(name).get_params().get("partition", "")
    return ({"partition": partition.replace(":8", ":4")} if partition.endswith(":8") else {}) | SMALLER.get(name, {})


# every registered method that asks the recogniser: a new one is tested without being named here
MODEL_METHODS = {
    record.name: smaller(record.name)
    for record in METHODS
    # beyond-saliency-paper-crp reads the map of crp-paper in the authors' own layer, which these networks do not have
    # transformers have tests of their own
    if record.needs not in ("none", "truth", "attention") and not record.name.endswith((":", "-paper-crp"))
} | VARIANTS
ALL_METHODS = MODEL_METHODS | {"random": {}, "energy": {}}


def facts(label: str) -> MethodRecord:
    return METHODS.get(label.split(",")[0])


def some(labels: Iterable[str]) -> list:
    """Labels as parameters of a test; a second a mask is long."""
    return [pytest.param(label, marks=pytest.mark.long) if "emolime-paper" in label else label for label in labels]


FEATURE_METHODS = [label for label in MODEL_METHODS if facts(label).needs == "features"]
# cues of salient windows take 0.3 s, and a map to be salient on
MAP_METHODS = [label for label in MODEL_METHODS if facts(label).family != "cue-referenced"]
DIFFERENTIATED = [
    label
    for label in MODEL_METHODS
    if facts(label).needs in ("gradient", "features") and facts(label).family in ("gradient", "relevance")
]


def made(label: str):
    return make_method(facts(label).name, **ALL_METHODS[label])


def with_words(clip: Clip) -> Clip:
    """The clip said to be two words, which one of the methods needs."""
    third = clip.duration_s / 3
    return replace(clip, words=(Word("a", 0.0, third), Word("b", third, 2 * third)))


@pytest.fixture
def clip(voice) -> Clip:
    return with_words(voice(duration_s=0.4))


@pytest.mark.parametrize("label", some(ALL_METHODS))
def test_seeds(label, tiny_cnn, clip, ask):
    """The same request gives the same bytes; another seed another map, but only where the method says so."""
    method, recogniser = made(label), tiny_cnn()
    first, again, other = (method.attribute(ask(recogniser, clip, seed)).values.tobytes() for seed in (0, 0, 1))
    assert first == again
    assert (first != other) == method.stochastic


@pytest.mark.parametrize("label", some(MAP_METHODS))
def test_batch_size_does_not_matter(label, tiny_cnn, voice, ask):
    recogniser, clip = tiny_cnn(), with_words(voice(duration_s=0.2))
    maps = []
    for recogniser.batch in (8, 3, 1, 32):
        maps.append(made(label).attribute(ask(recogniser, clip)).values)
    assert np.abs(maps[0]).max() > 1e-4
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=2e-6)


@pytest.mark.parametrize("label", some(ALL_METHODS))
def test_other_weights_other_map(label, tiny_cnn, clip):
    """Only the baselines do not care what the model learned."""
    maps = [made(label).attribute(Request(tiny_cnn(seed), clip, "anger", ("s",))).values for seed in (0, 1)]
    assert np.array_equal(*maps) == (label not in MODEL_METHODS)


@pytest.mark.parametrize("label", some(MODEL_METHODS))
def test_targets_differ(label, tiny_cnn, clip, ask):
    recogniser = tiny_cnn()
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
@pytest.mark.parametrize("label", some(MODEL_METHODS))
def test_explaining_leaves_the_model_alone(label, trainable, tiny_cnn, clip, ask):
    recogniser = tiny_cnn()
    if trainable:
        for parameter in recogniser.network.parameters():
            parameter.requires_grad_(True)
            parameter.grad = torch.ones_like(parameter)
    asked = ask(recogniser, clip)
    before, answer = state(recogniser), recogniser.log_odds(asked.clip.samples[None])
    made(label).attribute(asked)
    assert same(before, state(recogniser))
    assert np.array_equal(recogniser.log_odds(asked.clip.samples[None]), answer)


class Failing:
    """Stands in for a function of torch's, and raises at one of its calls; 0 is never."""

    def __init__(self, function: Callable[..., Any], at: int) -> None:
        self.function, self.at, self.calls = function, at, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            raise RuntimeError("the network fails")
        return self.function(*args, **options)


@pytest.mark.parametrize(
    "label, what, last",
    [(label, "linear", last) for label in MODEL_METHODS if "emolime-paper" not in label for last in (False, True)]
    + [(label, "grad", last) for label in DIFFERENTIATED for last in (False, True)],
)
def test_a_failing_network_is_left_alone_too(label, what, last, tiny_cnn, clip, ask, monkeypatch):
    """Whatever fails: the output layer at its first or its last pass, those on the way back included, or a gradient."""
    room = nn.functional if what == "linear" else torch.autograd
    function = getattr(room, what)
    recogniser = tiny_cnn()
    asked = ask(recogniser, clip)
    expected, counted = ask(tiny_cnn(), clip), Failing(function, 0)
    monkeypatch.setattr(room, what, counted)
    values = made(label).attribute(expected).values
    assert counted.calls > 0
    before = copy.deepcopy(state(recogniser))
    monkeypatch.setattr(room, what, Failing(function, counted.calls if last else 1))
    with pytest.raises(RuntimeError, match="the network fails"):
        made(label).attribute(asked)
    assert same(before, state(recogniser))
    monkeypatch.setattr(room, what, function)
    np.testing.assert_array_equal(made(label).attribute(asked).values, values)


def test_passes_are_counted_and_records_say_how_many(tiny_cnn, voice, ask):
    expected = {"saliency": 1, "input-x-gradient": 1, "integrated-gradients": 34, "emolime": 256}
    expected |= {"random": 0, "energy": 0, "occlusion": 16 * 3 + 8}  # 48 patches and the clip, in batches of 8
    for name, calls in expected.items():
        recogniser = tiny_cnn()
        make_method(name).attribute(ask(recogniser, voice(duration_s=0.45)))
        assert recogniser.calls == calls, name
        assert METHODS.get(name).cost == str(calls) or name == "occlusion"


@pytest.mark.parametrize("label", some(MODEL_METHODS))
def test_never_more_than_a_batch_at_a_time(label, tiny_cnn, clip, ask):
    recogniser, sizes = tiny_cnn(), set()
    recogniser.batch = 4
    recogniser.network.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    made(label).attribute(ask(recogniser, clip))
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
    params = {} if name == "energy" else {"fill": "attenuate"}
    found = make_method(name, **params).attribute(ask(hearing_the_burst(white_box, clip, time_s, freq_hz), clip))
    place = cell_of(found.grid, time_s, freq_hz)
    assert np.unravel_index(found.values.argmax(), found.grid.shape) == place
    assert found.values[place] > 0.5 * np.abs(found.values).sum()


FLOOR = 1e-9  # of energy: silence has a level, as in any front end


def hearing_the_burst(white_box, clip: Clip, time_s: float, freq_hz: float):
    """A recogniser whose log-odds are the level of the scoring cell in which the burst is, above a floor."""
    grid = scoring_grid(clip.duration_s)
    row, column = cell_of(grid, time_s, freq_hz)
    return white_box(lambda waveform: float(np.log10(Plane(waveform.numpy()).energy(grid)[row, column] + FLOOR)))


@pytest.mark.parametrize("label", some(label for label in MODEL_METHODS if facts(label).needs == "black box"))
def test_black_box_methods_find_a_tone_burst(label, white_box, ask):
    """The most relevant part holds the burst, or lies beside it: parts that overlap may share it."""
    time_s, freq_hz = PLACES[1]
    clip = replace(burst(time_s, freq_hz), words=(Word("a", 0.1, 0.25), Word("b", 0.25, 0.5), Word("c", 0.6, 1.0)))
    found = made(label).attribute(ask(hearing_the_burst(white_box, clip, time_s, freq_hz), clip))
    assert lies_at(found, time_s, freq_hz)


class Hears(nn.Module):
    """Logits (value of one cell of the feature map above silence, 0), through layers that every method can look into.

    A convolution of one weight makes a map of what is above silence; a linear layer hears one of its cells.
    """

    def __init__(self, place: tuple[int, int], shape: tuple[int, int]) -> None:
        super().__init__()
        self.map, self.relu, self.flatten = nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten()
        self.ear = nn.Linear(shape[0] * shape[1], 2, bias=False)
        nn.init.ones_(self.map.weight)
        nn.init.constant_(self.map.bias, 2.0)
        nn.init.zeros_(self.ear.weight)
        self.ear.weight.data[0, place[0] * shape[1] + place[1]] = 1.0

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.ear(self.flatten(self.relu(self.map(features))))


@pytest.mark.parametrize("time_s, freq_hz", PLACES)
@pytest.mark.parametrize(
    "label",
    [
        label
        for label in MODEL_METHODS
        # the network has none of the authors' layers, and their patches as loud as the burst do not lower its logit
        if facts(label).needs in ("gradient", "features") and label not in ("crp-paper", "beyond-saliency-paper-os")
    ],
)
def test_methods_that_look_inside_find_a_tone_burst(label, time_s, freq_hz, on_features, ask):
    clip = burst(time_s, freq_hz)
    grid = on_features(nn.Identity()).feature_grid(clip.samples.size)
    network = Hears(cell_of(grid, time_s, freq_hz), grid.shape)
    params = MODEL_METHODS[label] | ({"fill": "silence", "stride": 3} if label == "occlusion-paper" else {})
    method = make_method(facts(label).name, **params)
    found = method.attribute(ask(on_features(network, ("yes", "no")), clip))
    assert lies_at(found, time_s, freq_hz, getattr(method, "frames", 1))


def lies_at(found: Attribution, time_s: float, freq_hz: float, columns: int = 1) -> bool:
    """Whether the most relevant cell holds a place, or touches the cell that does; it may be so many columns off."""
    best = np.unravel_index(found.values.argmax(), found.grid.shape)
    place = cell_of(found.grid, time_s, freq_hz)
    return abs(best[0] - place[0]) <= 1 and abs(best[1] - place[1]) <= columns


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


@pytest.mark.parametrize("label", some([*MAP_METHODS, "random", "energy"]))
def test_silence_has_a_defined_explanation(label, tiny_cnn, ask):
    asked = ask(tiny_cnn(), with_words(Clip("silence", np.zeros(8000, dtype=np.float32))))
    try:
        found = made(label).attribute(asked)
    except NotApplicable as reason:  # a baseline that is the clip itself
        assert "no reach" in str(reason)
        return
    assert np.all(np.isfinite(list(found.details.values())))
    if label in SENSITIVITIES:
        return
    assert np.abs(found.values).max() < 1e-5, "nothing is there to be relevant"


@pytest.mark.parametrize("label", some(MAP_METHODS))
def test_short_clips(label, tiny_cnn, voice, ask):
    """One window is enough, less is an error of the clip, and so is a clip of nothing."""
    samples = voice().samples
    asked = ask(tiny_cnn(), with_words(Clip("window", samples[:512])))
    assert made(label).attribute(asked).values.size > 0
    for n in (511, 1, 0):
        with pytest.raises(ClipError, match="shorter than the 32 ms window"):
            made(label).attribute(ask(tiny_cnn(), with_words(Clip("short", samples[:n]))))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("label", some(MODEL_METHODS))
def test_broken_samples_are_an_error_of_the_clip(label, bad, tiny_cnn, voice, ask):
    samples = voice(duration_s=0.4).samples.copy()
    samples[100] = bad
    with pytest.raises(ClipError, match="finite"):
        made(label).attribute(ask(tiny_cnn(), with_words(Clip("broken", samples))))
