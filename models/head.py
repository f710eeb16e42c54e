"""Linear head on fixed features: standardisation, one-vs-rest linear SVMs, Platt scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from .dimensional import RegressionHead

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PLATT_FOLDS = 5  # at most; fewer where there are fewer speakers
# the hinge of Cortes & Vapnik; liblinear shrinks the intercept as one more weight, scaled it is nearly free
MACHINE: dict[str, Any] = {"loss": "hinge", "dual": True, "intercept_scaling": 10.0, "max_iter": 100_000}


class LinearHead(nn.Module):
    """One-vs-rest linear SVMs with Platt scaling: features (n, dim) to raw log-odds (n, n_classes), float64.

    The decision value of a class is ``d = w (x - mean) / scale + bias``; its
    log-odds are ``z = a d + b``. Platt 1999, Probabilistic outputs for support vector machines, eq. 1 with
    the sign of ``a`` inverted. Learned values are frozen parameters, the features' mean and scale are buffers.

    Parameters
    ----------
    n_classes, dim : int
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim, dtype=torch.float64))
        self.weight = _frozen(torch.zeros(n_classes, dim, dtype=torch.float64))
        self.bias = _frozen(torch.zeros(n_classes, dtype=torch.float64))
        self.platt_a = _frozen(torch.ones(n_classes, dtype=torch.float64))
        self.platt_b = _frozen(torch.zeros(n_classes, dtype=torch.float64))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Raw one-vs-rest log-odds, differentiable: (n, dim) -> (n, n_classes)."""
        standard = (features.double() - self.mean) / self.scale
        return self.platt_a * (standard @ self.weight.T + self.bias) + self.platt_b


class WeightedHead(LinearHead):
    """Linear head on a weighted sum of hidden states: (n, n_states * dim) to raw log-odds (n, n_classes), float64.

    The sum is ``sum_l softmax(layer_weights)_l x_l / layer_scale_l``, of pooled vectors: means, and standard deviations
    where there are such (the sum of standard deviations is not that of the summed states).

    Parameters
    ----------
    n_classes, dim, n_states : int
    """

    layer_scale: torch.Tensor

    def __init__(self, n_classes: int, dim: int, n_states: int) -> None:
        super().__init__(n_classes, dim)
        self.layer_weights = _frozen(torch.zeros(n_states, dtype=torch.float64))
        self.register_buffer("layer_scale", torch.ones(n_states, dtype=torch.float64))

    @classmethod
    def around(cls, head: LinearHead, weights: np.ndarray, scale: np.ndarray) -> WeightedHead:
        """Put a sum of states before a head that was fitted to it."""
        made = cls(len(head.bias), head.mean.numel(), len(weights))
        learned = {"layer_weights": torch.from_numpy(weights), "layer_scale": torch.from_numpy(scale)}
        made.load_state_dict(head.state_dict() | learned)
        return made.eval()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Raw one-vs-rest log-odds, differentiable: (n, n_states * dim) -> (n, n_classes)."""
        states = features.double().reshape(len(features), len(self.layer_weights), self.mean.numel())
        shares = self.layer_weights.softmax(dim=0) / self.layer_scale
        return super().forward((shares[:, None] * states).sum(dim=1))


def make_head(**network: int) -> nn.Module:
    """Head of a card's parameters: `WeightedHead` where they count states, a regression where they say so."""
    if "regression" in network:
        return RegressionHead(**network)
    return WeightedHead(**network) if "n_states" in network else LinearHead(**network)


def _frozen(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def log_probabilities(z: torch.Tensor) -> torch.Tensor:
    """Log-probabilities, normalised to a sum of 1, from raw one-vs-rest log-odds; shape (n, n_classes).

    Numerically stable: ``log expit(z)`` is ``-log(1 + exp(-z))``, which is linear in z far from 0. As logits
    of a softmax they make `recogniser.one_vs_rest` the log-odds of the normalised probabilities.
    """
    return nn.functional.logsigmoid(z).log_softmax(dim=1)


def fit_machine(X: np.ndarray, y: np.ndarray, seed: int, C: float) -> Pipeline:
    """Standardisation and linear SVMs, classes weighted equally, without calibration: for validation."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    return make_pipeline(StandardScaler(), LinearSVC(C=C, random_state=seed, class_weight="balanced", **MACHINE)).fit(
        X, y
    )


def fit_head(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int, C: float = 1e-3
) -> LinearHead:
    """Standardise features, fit one linear SVM per class against the rest, calibrate.

    Platt's sigmoids are fitted to what machines trained without a speaker say of that speaker (scikit-learn's
    `CalibratedClassifierCV` with grouped, stratified folds), the machines that are kept to all rows. With one speaker
    the folds are of clips, and the probabilities are overconfident.

    Parameters
    ----------
    X : array, shape (n, dim)
    y : array of int, shape (n,)
        0..n_classes - 1.
    groups : array, shape (n,)
        Speakers.
    n_classes : int
    seed : int
    C : float
        Inverse strength of regularisation. Classes are not weighted: probabilities follow their shares in training.

    Raises
    ------
    InputError
        For features that are not finite, shapes that do not fit, or a class with fewer than two clips.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    X, y, groups = np.asarray(X, dtype=np.float64), np.asarray(y), np.asarray(groups)
    if X.ndim != 2 or y.shape != X.shape[:1] or groups.shape != y.shape:
        raise InputError(
            f"a head is fitted to features (n, dim) with n classes and speakers; got {X.shape}, {y.shape}, "
            f"{groups.shape}."
        )
    if not np.all(np.isfinite(X)):
        raise InputError(f"{int((~np.isfinite(X)).any(axis=1).sum())} of {len(X)} feature vectors are not finite.")
    counts = np.bincount(y, minlength=n_classes)
    if len(counts) != n_classes or counts.min() < 2:
        raise InputError(
            f"each of {n_classes} classes needs at least 2 training clips; found {', '.join(map(str, counts))}."
        )
    speakers = len(np.unique(groups))
    folds = min(PLATT_FOLDS, speakers if speakers > 1 else int(counts.min()))
    splitter = StratifiedGroupKFold(folds) if speakers > 1 else StratifiedKFold(folds)
    splits = [
        (train, test)
        for train, test in splitter.split(X, y, groups if speakers > 1 else None)
        if len(np.unique(y[train])) == n_classes
    ]
    if {int(row) for _, test in splits for row in test} != set(range(len(y))):
        raise InputError(
            f"{speakers} speakers cannot be split so that every part has all {n_classes} classes; "
            "give a corpus in which each emotion has at least two speakers."
        )
    machine = LinearSVC(C=C, random_state=seed, **MACHINE)
    calibrated = CalibratedClassifierCV(
        make_pipeline(StandardScaler(), machine), method="sigmoid", cv=splits, ensemble=False
    ).fit(X, y)
    (classifier,) = calibrated.calibrated_classifiers_
    scaler, machine = classifier.estimator[0], classifier.estimator[1]
    weight, bias = machine.coef_, machine.intercept_
    a, b = np.array([[-sigmoid.a_, -sigmoid.b_] for sigmoid in classifier.calibrators]).T
    if n_classes == 2:  # scikit-learn fits one machine, of the second class
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
        a, b = np.concatenate([a, a]), np.concatenate([-b, b])
    head = LinearHead(n_classes, X.shape[1])
    head.load_state_dict(
        {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in {
                "mean": scaler.mean_,
                "scale": scaler.scale_,
                "weight": weight,
                "bias": bias,
                "platt_a": a,
                "platt_b": b,
            }.items()
        }
    )
    return head.eval()
