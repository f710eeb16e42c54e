"""Linear heads against scikit-learn's own calibrated machines, and far out on the number line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from serxai.errors import InputError
from serxai.keys import rng
from serxai.models.head import MACHINE, LinearHead, fit_head, log_probabilities
from serxai.models.recogniser import one_vs_rest


def data(n_classes: int, dim: int, n: int = 120, speakers: int = 6, seed: int = 0):
    draw = rng("head", n_classes, dim, seed)
    y = np.arange(n) % n_classes
    groups = np.arange(n) // n_classes % speakers
    X = draw.standard_normal((n, dim)) * 3 + 7 + draw.standard_normal((n_classes, dim))[y] * 2
    return X, y, groups.astype(str)


@pytest.mark.parametrize(("n_classes", "dim"), [(2, 5), (3, 8), (4, 300)])
def test_equals_scikit_learn(n_classes: int, dim: int):
    """The machines by one of scikit-learn's wrappers, the probabilities by another, both on the same folds."""
    X, y, groups = data(n_classes, dim)
    head = fit_head(X, y, groups, n_classes, seed=3, C=0.01)
    z = head(torch.from_numpy(X)).numpy()

    scaler = StandardScaler().fit(X)
    machine = LinearSVC(C=0.01, random_state=3, **MACHINE)
    calibrated = CalibratedClassifierCV(
        machine, cv=list(StratifiedGroupKFold(5).split(X, y, groups)), ensemble=False
    )  # standardised on all rows here, within each fold there: the sigmoids differ a little
    probabilities = calibrated.fit(scaler.transform(X), y).predict_proba(scaler.transform(X))
    np.testing.assert_allclose(log_probabilities(torch.from_numpy(z)).exp().numpy(), probabilities, atol=0.06)
    decisions = (z - head.platt_b.numpy()) / head.platt_a.numpy()
    if n_classes > 2:
        wanted = machine.fit(scaler.transform(X), y).decision_function(scaler.transform(X))
        np.testing.assert_allclose(decisions, wanted, atol=1e-3)
        apart = OneVsRestClassifier(SVC(kernel="linear", C=0.01))
        by_class = apart.fit(scaler.transform(X), y).decision_function(scaler.transform(X))
        assert np.corrcoef(decisions.ravel(), by_class.ravel())[0, 1] > 0.97
    else:
        np.testing.assert_allclose(z[:, 0], -z[:, 1], rtol=1e-12)
    assert (z.argmax(axis=1) == y).mean() > 0.8


def test_sigmoids_are_fitted_to_speakers_that_were_held_out():
    """With noise in many dimensions, machines separate what they were trained on; held-out decisions know nothing."""
    draw = rng("noise")
    X, y, groups = draw.standard_normal((60, 500)), np.arange(60) % 3, (np.arange(60) // 3 % 5).astype(str)
    head = fit_head(X, y, groups, 3, seed=0, C=1.0)
    z = head(torch.from_numpy(X))
    decisions = (z - head.platt_b) / head.platt_a
    assert (decisions.argmax(1).numpy() == y).all()  # learned by heart
    assert log_probabilities(z).exp().max() < 0.8  # and yet not sure of itself


def test_far_out_nothing_overflows_and_the_log_odds_are_those_of_the_probabilities():
    draw = rng("far")
    z = torch.from_numpy(draw.uniform(-8, 8, (200, 4)))
    p = expit(z.numpy())
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(log_probabilities(z).exp().numpy(), p, rtol=1e-12)
    np.testing.assert_allclose(one_vs_rest(log_probabilities(z)).numpy(), np.log(p / (1 - p)), rtol=1e-9, atol=1e-9)
    extremes = torch.tensor([[a, b, c] for a in (-1e3, 0, 1e3) for b in (-1e3, 0, 1e3) for c in (-1e3, 1e3)]).double()
    out = log_probabilities(extremes)
    assert torch.isfinite(out).all() and torch.isfinite(one_vs_rest(out)).all()
    np.testing.assert_allclose(out.exp().sum(1).numpy(), 1.0, rtol=1e-12)
    assert out[0].tolist() == pytest.approx([-np.log(3)] * 3)  # all three impossible: none more than another


def test_saved_and_loaded_gives_the_same_bits_and_training_again_the_same_weights():
    X, y, groups = data(4, 30)
    head, again = (fit_head(X, y, groups, 4, seed=0, C=0.01) for _ in range(2))
    loaded = LinearHead(4, 30)
    loaded.load_state_dict(load(save(head.state_dict())))
    x = torch.from_numpy(X)
    assert torch.equal(loaded(x), head(x)) and torch.equal(again(x), head(x))
    assert head(x).dtype == torch.float64


def test_what_was_learned_are_frozen_parameters_in_the_file_format_of_ever():
    """Name, shape, type and order of the tensors decide a file's digest, and with it every key of a head's scores."""
    X, y, groups = data(4, 30)
    head = fit_head(X, y, groups, 4, seed=0, C=0.01)
    learned = dict(head.named_parameters())
    assert set(learned) == {"weight", "bias", "platt_a", "platt_b"} and set(dict(head.named_buffers())) == {
        "mean",
        "scale",
    }
    assert not any(parameter.requires_grad for parameter in learned.values())
    content = save(head.state_dict())
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert {name: tuple(told["shape"]) for name, told in header.items()} == {
        "bias": (4,), "mean": (30,), "platt_a": (4,), "platt_b": (4,), "scale": (30,), "weight": (4, 30),
    }  # fmt: skip
    assert {told["dtype"] for told in header.values()} == {"F64"}
    assert list(header) == sorted(header, key=lambda name: header[name]["data_offsets"]) == sorted(header)


def test_gradients_flow_to_the_features():
    X, y, groups = data(3, 8)
    head = fit_head(X, y, groups, 3, seed=0, C=0.01)
    x = torch.from_numpy(X[:1]).requires_grad_()
    head(x)[0, 1].backward()
    np.testing.assert_allclose(x.grad[0], head.platt_a[1] * head.weight[1] / head.scale, rtol=1e-12)


def test_a_feature_that_never_changes_does_no_harm():
    X, y, groups = data(3, 8)
    X[:, 2] = 5.0
    z = fit_head(X, y, groups, 3, seed=0, C=0.01)(torch.from_numpy(X))
    assert torch.isfinite(z).all()


def test_one_speaker_alone_is_calibrated_on_clips():
    X, y, _ = data(3, 8)
    z = fit_head(X, y, np.zeros(len(y)), 3, seed=0, C=0.01)(torch.from_numpy(X))
    assert (z.argmax(1).numpy() == y).mean() > 0.8


def test_refusals():
    X, y, groups = data(3, 8)
    with pytest.raises(InputError, match="1 of 120 feature vectors are not finite"):
        fit_head(np.where(np.arange(120)[:, None] == 4, np.nan, X), y, groups, 3, seed=0)
    with pytest.raises(InputError, match="each of 4 classes needs at least 2 training clips; found 40, 40, 40, 0"):
        fit_head(X, y, groups, 4, seed=0)
    with pytest.raises(InputError, match="n classes and speakers"):
        fit_head(X, y[:-1], groups, 3, seed=0)
    with pytest.raises(InputError, match="2 speakers cannot be split"):
        fit_head(X, y, np.where(y == 0, "a", "b"), 3, seed=0)
