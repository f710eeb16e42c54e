"""Gradient methods against gradients written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import Plane, fill_spectrum
from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.ablation import FeatureAblation
from serxai.methods.backprop import DeepLift
from serxai.methods.gradient import GradientShap, InputXGradient, IntegratedGradients, Saliency, SmoothGrad
from serxai.methods.inspection import BASELINES

FEATURES = 32 * 7  # the tiny front end's map of a 0.1 s clip
SEEDS = range(8)


def gradient(net, x: np.ndarray, target: int) -> np.ndarray:
    """Of the target's one-vs-rest log-odds."""
    return net.w1.T @ ((net.before(x) > 0) * net.upstream(x, target))


@pytest.fixture(params=SEEDS)
def hand_written(request, two_layers, on_features, voice, ask):
    """Network, request for one of its classes, features as a vector."""
    net = two_layers(request.param)
    recogniser = on_features(net.module())
    asked = ask(recogniser, voice(request.param, 0.1), target=recogniser.classes[request.param % 4])
    return net, asked, recogniser.features(asked.clip.samples).numpy().ravel()


def close(attribution, expected):
    expected = expected.reshape(32, 7)
    return np.allclose(attribution.values, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_saliency(hand_written):
    net, asked, x = hand_written
    assert close(Saliency().attribute(asked), np.abs(gradient(net, x, asked.target_index)))


def test_input_x_gradient(hand_written):
    net, asked, x = hand_written
    assert close(InputXGradient().attribute(asked), (x + 2.0) * gradient(net, x, asked.target_index))


@pytest.mark.parametrize("n_steps", [5, 32])
def test_integrated_gradients(hand_written, n_steps):
    net, asked, x = hand_written
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    path = [
        weight / 2 * gradient(net, -2 + (node + 1) / 2 * (x + 2), asked.target_index)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    assert close(IntegratedGradients(n_steps).attribute(asked), (x + 2) * np.sum(path, axis=0))


@pytest.mark.parametrize("batch", [8, 3])
def test_smoothgrad(hand_written, batch):
    net, asked, x = hand_written
    asked.recogniser.batch = batch
    draw = asked.generator("noise").standard_normal
    noise = np.concatenate([draw((min(batch, 20 - n), 1, 32, 7), dtype=np.float32) for n in range(0, 20, batch)])
    scale = 0.15 * (x.max() - x.min())
    gradients = [gradient(net, x + scale * part.ravel(), asked.target_index) for part in noise]
    assert close(SmoothGrad(n_copies=20).attribute(asked), np.abs(np.mean(gradients, axis=0)))


@pytest.mark.parametrize("batch", [8, 3])
def test_gradient_shap(hand_written, batch):
    net, asked, x = hand_written
    asked.recogniser.batch = batch
    plane = Plane(asked.clip.samples)
    spectrum = fill_spectrum("attenuate", plane, asked.generator("fill", "attenuate"))
    ends = [np.full_like(x, -2.0), asked.recogniser.features(plane.istft(spectrum).numpy()).numpy().ravel()]
    generator = asked.generator("draws")
    chosen, places = generator.integers(2, size=20), generator.random(20)
    parts = [
        (x - ends[end]) * gradient(net, ends[end] + place * (x - ends[end]), asked.target_index)
        for end, place in zip(chosen, places, strict=True)
    ]
    attribution = GradientShap(20, ("silence", "attenuate")).attribute(asked)
    assert close(attribution, np.mean(parts, axis=0))
    y = [
        float(asked.recogniser.feature_log_odds(torch.as_tensor(p).reshape(1, 1, 32, 7))[0, asked.target_index])
        for p in (x, *ends)
    ]
    change = y[0] - np.mean([y[1 + end] for end in chosen])
    assert attribution.values.sum(dtype=float) - change == pytest.approx(
        attribution.details["convergence_delta"], abs=1e-5
    )


def test_more_draws_make_gradient_shap_complete(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice())
    few, many = (abs(GradientShap(n).attribute(asked).details["convergence_delta"]) for n in (4, 800))
    assert many < 0.2 * few


def test_saliency_by_finite_differences(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(dtype=torch.float64), voice())
    features = asked.recogniser.features(asked.clip.samples)
    values = Saliency().attribute(asked).values.astype(float)
    step = 1e-5
    for row, column in np.random.default_rng(0).integers((32, features.shape[3]), size=(60, 2)):
        moved = features.repeat(2, 1, 1, 1)
        moved[0, 0, row, column] += step
        moved[1, 0, row, column] -= step
        high, low = asked.recogniser.feature_log_odds(moved)[:, asked.target_index].tolist()
        assert values[row, column] == pytest.approx(
            abs(high - low) / (2 * step), rel=1e-4, abs=1e-6 * float(values.max())
        )


@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_are_complete(tiny_cnn, voice, ask, baseline):
    """Relevance sums to f(x) - f(baseline) up to the reported delta, which more nodes make small."""
    clip = voice(planted=True)
    asked = ask(tiny_cnn(dtype=torch.float64), clip)
    recogniser, plane = asked.recogniser, Plane(clip.samples)
    features = recogniser.features(clip.samples)
    if baseline == "silence":
        start = torch.full_like(features, -2.0)
    else:
        draws = [("fill", baseline), *(("fill", baseline, n) for n in (1, 2, 3) if baseline == "noise")]
        filled = [fill_spectrum(baseline, plane, asked.generator(*draw), clip.plant.twin) for draw in draws]
        start = torch.cat([recogniser.features(plane.istft(spectrum).numpy()) for spectrum in filled])
    y = recogniser.feature_log_odds(torch.cat([features, start]))[:, asked.target_index]
    change = float(y[0] - y[1:].mean())
    deltas = []
    for n_steps in (4, 32, 400):
        attribution = IntegratedGradients(n_steps, baseline).attribute(asked)
        deltas.append(attribution.details["convergence_delta"])
        assert attribution.values.sum(dtype=float) - change == pytest.approx(deltas[-1], abs=1e-5)
    assert abs(change) > 1e-3
    assert abs(deltas[2]) < 1e-3 * abs(change) + 1e-5


@pytest.mark.parametrize("method", [IntegratedGradients, DeepLift, FeatureAblation])
def test_a_baseline_that_is_the_clip_itself_has_no_reach(method, tiny_cnn, voice, ask):
    """The same is told before any model call, so that a forecast counts none."""
    clip = voice(planted=True)
    asked = ask(tiny_cnn(), clip.with_samples(clip.plant.twin, clip.plant.twin))
    for told in (method(baseline="twin").attribute, method(baseline="twin").calls_of):
        with pytest.raises(NotApplicable, match="no reach: filled with twin"):
            told(asked)
    assert asked.recogniser.calls == 0
    assert method(baseline="silence").calls_of(asked) == method(baseline="silence").calls(
        clip.samples.size, asked.recogniser
    )


def test_linear_network_is_explained_exactly(on_features, voice, ask):
    """Both input x gradient and integrated gradients then are weight times distance from silence."""
    recogniser = on_features(nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 2)), classes=("yes", "no"))
    asked = ask(recogniser, voice(0, 0.1))
    weight = recogniser.network[1].weight.numpy()
    expected = (weight[0] - weight[1]) * (recogniser.features(asked.clip.samples).numpy().ravel() + 2)
    assert close(InputXGradient().attribute(asked), expected)
    attribution = IntegratedGradients(n_steps=1).attribute(asked)
    assert close(attribution, expected)
    assert abs(attribution.details["convergence_delta"]) < 1e-9


def test_maps_lie_on_the_feature_grid(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice(duration_s=0.55))
    for method in (Saliency(), InputXGradient(), IntegratedGradients(), SmoothGrad(), GradientShap()):
        assert method.attribute(asked).grid == asked.recogniser.feature_grid(8800)


def test_black_boxes_are_not_applicable(white_box, voice, ask):
    for method in (Saliency(), InputXGradient(), IntegratedGradients(), SmoothGrad(), GradientShap()):
        with pytest.raises(NotApplicable, match=f"{method.name} needs gradients; recogniser 'white-box' is not"):
            method.attribute(ask(white_box(lambda waveform: 0.0), voice()))


def test_bad_parameters_are_refused(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice())
    with pytest.raises(UnknownNameError, match=r"unknown baseline 'silent'\. Did you mean 'silence'"):
        IntegratedGradients(baseline="silent").attribute(asked)
    with pytest.raises(InputError, match="n_steps must be at least 1, got 0"):
        IntegratedGradients(n_steps=0).attribute(asked)
    with pytest.raises(InputError, match="noise must be above 0, got 0"):
        SmoothGrad(noise=0).attribute(asked)
    with pytest.raises(InputError, match="number of baselines must be at least 1"):
        GradientShap(baselines=()).attribute(asked)
    with pytest.raises(NotApplicable, match="fill 'twin'"):
        IntegratedGradients(baseline="twin").attribute(asked)
