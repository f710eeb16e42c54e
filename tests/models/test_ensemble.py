"""The mean of fold models' log-odds as one recogniser, against the formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from serxai.models.cnn import ResidualCNN
from serxai.models.ensemble import ensemble
from serxai.models.extractor import Extractor, FeatureRecogniser
from serxai.models.front_end import LogMel
from serxai.models.head import LinearHead
from serxai.models.headed import HeadedNetwork
from serxai.models.recogniser import Recogniser, TorchRecogniser
from serxai.models.waveform import WaveformRecogniser

CLASSES = ("anger", "neutral", "sadness")
WAVEFORMS = (0.1 * np.random.default_rng(0).standard_normal((3, 4000))).astype(np.float32)


class Moments(Extractor):
    """Mean, standard deviation and largest value of a waveform."""

    fingerprint = "moments"
    min_samples = 1

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        return np.stack([waveforms.mean(1), waveforms.std(1), waveforms.max(1)], axis=1).astype(np.float64)


class MomentsBody(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.mean(1), x.std(1), x.amax(1)], dim=1)


def head(seed: int) -> LinearHead:
    made = LinearHead(len(CLASSES), 3)
    generator = torch.Generator().manual_seed(seed)
    made.load_state_dict(
        {
            name: torch.randn(value.shape, generator=generator, dtype=torch.float64) + (name == "scale") * 3
            for name, value in made.state_dict().items()
        }
    )
    return made


def convolutional(seed: int) -> Recogniser:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TorchRecogniser("cnn", CLASSES, LogMel(), ResidualCNN(3, width=4), f"weights {seed}", "emodb")


def on_features(seed: int) -> Recogniser:
    return FeatureRecogniser("svc", CLASSES, Moments(), head(seed), f"weights {seed}", "emodb")


def on_waveforms(seed: int) -> Recogniser:
    return WaveformRecogniser("hf", CLASSES, HeadedNetwork(MomentsBody(), head(seed)), f"weights {seed}", "emodb")


KINDS = pytest.mark.parametrize("kind", [convolutional, on_features, on_waveforms])


@KINDS
def test_log_odds_are_the_members_mean_normalised_over_classes(kind) -> None:
    members = [kind(seed) for seed in range(3)]
    one = ensemble(members)
    p = expit(np.mean([member.log_odds(WAVEFORMS) for member in members], axis=0))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(one.predict_proba(WAVEFORMS), p, atol=1e-6)
    np.testing.assert_allclose(one.log_odds(WAVEFORMS), np.log(p / (1 - p)), atol=1e-4)
    assert (one.name, one.classes, one.trained_on) == (members[0].name, CLASSES, "emodb")
    assert type(one) is type(members[0]) and one.differentiable == members[0].differentiable


@KINDS
def test_members_and_their_order_are_its_identity(kind) -> None:
    members = [kind(seed) for seed in range(3)]
    prints = {ensemble(chosen).fingerprint for chosen in (members, members[:2], members[::-1])}
    assert len(prints | {member.fingerprint for member in members}) == 6
    assert ensemble(members).fingerprint == ensemble([kind(seed) for seed in range(3)]).fingerprint


def test_its_gradient_is_that_of_what_predicts() -> None:
    one = ensemble([convolutional(seed) for seed in range(3)])
    assert isinstance(one, TorchRecogniser)
    one.network.double()
    features = one.features(WAVEFORMS[0]).double().requires_grad_()
    one.feature_log_odds(features)[0, 1].backward()
    assert features.grad is not None
    direction = torch.from_numpy(np.random.default_rng(1).standard_normal(features.shape))
    with torch.no_grad():
        steps = [one.feature_log_odds(features + sign * 1e-6 * direction)[0, 1] for sign in (1, -1)]
    slope = float((steps[0] - steps[1]) / 2e-6)
    assert slope == pytest.approx(float((features.grad * direction).sum()), rel=1e-4)


def test_extracted_features_give_the_same_log_odds() -> None:
    one = on_features(0)
    assert isinstance(one, FeatureRecogniser)
    np.testing.assert_array_equal(one.log_odds_of(Moments().features(WAVEFORMS)), one.log_odds(WAVEFORMS))


def test_a_copy_counts_once_whatever_the_number_of_members() -> None:
    for kind in (convolutional, on_features, on_waveforms):
        one = ensemble([kind(seed) for seed in range(3)])
        one.log_odds(WAVEFORMS[:1])
        assert one.calls == 1
