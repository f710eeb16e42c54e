"""A recogniser of features: log-odds of normalised probabilities, one copy at a time whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from serxai.errors import ClipError, InputError
from serxai.keys import rng
from serxai.models.extractor import Extractor, FeatureRecogniser
from serxai.models.head import LinearHead

CLASSES = ("anger", "neutral", "sadness")


class Moments(Extractor):
    """Powers of the mean size of a sample; refuses digital silence."""

    def __init__(self) -> None:
        self.params, self.fingerprint, self.min_samples = {}, "moments", 400

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        size = np.abs(waveforms).mean(axis=1, dtype=np.float64)
        if (size == 0).any():
            raise ClipError("silence")
        return size[:, None] ** np.arange(1, 18)


def make(scale: float = 1.0) -> FeatureRecogniser:
    draw = rng("feature recogniser")
    head = LinearHead(3, 17)
    head.weight.copy_(scale * torch.from_numpy(draw.standard_normal((3, 17))))
    head.platt_b.copy_(torch.tensor([0.3, -1.0, 2.0]))
    return FeatureRecogniser("moments", CLASSES, Moments(), head, "moments", "tiny")


def waveforms(n: int, n_samples: int = 800) -> np.ndarray:
    return rng("waveforms", n).standard_normal((n, n_samples)).astype(np.float32)


def test_log_odds_are_those_of_the_normalised_probabilities_and_the_raw_ones_are_kept():
    recogniser, x = make(), waveforms(7)
    raw = recogniser.raw(x)
    with torch.no_grad():
        np.testing.assert_allclose(raw, recogniser.head(torch.from_numpy(Moments().features(x))).numpy(), rtol=1e-12)
    p = expit(raw) / expit(raw).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(recogniser.log_odds(x), np.log(p / (1 - p)), rtol=1e-9)
    np.testing.assert_allclose(recogniser.predict_proba(x), p, rtol=1e-9)


def test_a_copy_does_not_depend_on_those_beside_it():
    recogniser, x = make(), waveforms(11)
    together = recogniser.log_odds(x)
    assert np.array_equal(together, np.concatenate([recogniser.log_odds(row[None]) for row in x]))
    assert np.array_equal(together[::-1], recogniser.log_odds(x[::-1].copy()))
    assert recogniser.log_odds(x[:0]).shape == (0, 3)


def test_calls_are_the_copies_it_was_given():
    recogniser = make()
    recogniser.log_odds(waveforms(11))  # filled up with zeros, it would have refused the silence
    assert recogniser.calls == recogniser.calls_for(11) == 11 and recogniser.seconds > 0
    assert not recogniser.differentiable


def test_far_from_all_training_clips_the_log_odds_are_finite():
    recogniser = make(scale=1e3)
    recogniser.head.weight[1].abs_().neg_()
    far = recogniser.log_odds(waveforms(5))
    assert np.isfinite(far).all() and np.abs(far).max() > 100


def test_refusals():
    recogniser = make()
    with pytest.raises(ClipError, match="399 samples"):
        recogniser.log_odds(waveforms(1, 399))
    with pytest.raises(ClipError, match="NaN or infinite samples"):
        recogniser.log_odds(np.full((1, 800), np.nan))
    with pytest.raises(InputError, match=r"shape \(n, n_samples\)"):
        recogniser.log_odds(np.zeros(800))
    with pytest.raises(ClipError, match="silence"):
        recogniser.log_odds(np.zeros((1, 800)))
    recogniser.head.bias.fill_(np.nan)
    with pytest.raises(ClipError, match="not finite"):
        recogniser.log_odds(waveforms(1))
