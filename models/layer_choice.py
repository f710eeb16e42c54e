"""Linear heads on the hidden states of a transformer: which state, or which weighted sum of all.

The choice is part of the training: state and regularisation are chosen for each fold by speaker-grouped validation
within the fold's training part, so that the speakers who are held out stay held out. The weights of the sum are learned
on the training part. Validation takes the machines of `models.head` with classes of equal weight and without
calibration, which corrects for the classes' shares in the head that is kept and would cost six times as much here.

Conventions
-----------
Features are float64, shape ``(n, states * dim)``: the pooled vectors of hidden states 0, 1, ..., side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from .dimensional import RegressionHead
from .head import LinearHead, WeightedHead, fit_head, fit_machine
from .scores import score

VALIDATION_FOLDS = 10  # at most; fewer where there are fewer speakers
CHOICES = (1e-3, 3e-3, 1e-2)  # inverse strengths of regularisation; states are compared at the middle one
PENALTY = 1e-2  # of the squared weights of the linear layer that the sum's weights are learned with
STEPS = 100  # of L-BFGS


@dataclass(frozen=True, eq=False)
class FittedHead:
    """Head of one training part, and what was chosen with it.

    Attributes
    ----------
    head : LinearHead or RegressionHead
    C : float
        Inverse strength of regularisation; 0 of a regression, which has a penalty of its own.
    layer : int or None
        Hidden state that it reads; None where it reads all features.
    layers : list of dict
        Validation of each hidden state: ``layer`` and what `models.scores.score` gives; or ``layer`` and ``weight``.
    """

    head: LinearHead | RegressionHead
    C: float
    layer: int | None = None
    layers: list[dict[str, Any]] = field(default_factory=list)

    def raw(self, features: np.ndarray) -> torch.Tensor:
        """Raw one-vs-rest log-odds from the features of all states."""
        dim = self.head.mean.numel()
        part = features if self.layer is None else features[:, self.layer * dim : (self.layer + 1) * dim]
        with torch.inference_mode():
            return self.head(torch.as_tensor(part))


def fit_states(
    X: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    seed: int,
    *,
    C: float | None = 1e-3,
    states: int = 0,
    weighted: bool = False,
) -> FittedHead:
    """Fit a head to the hidden state that validates best, or to a learned weighted sum of all.

    Parameters
    ----------
    X : array, shape (n, states * dim)
    y : array of int, shape (n,)
    groups : array, shape (n,)
        Speakers.
    n_classes, seed
        As `models.head.fit_head`.
    C : float or None
        Inverse strength of regularisation; None: the best of `CHOICES` in validation.
    states : int
        0 for features without states, which the head reads as they are.
    weighted : bool
        Whether the states are summed instead of one being chosen.

    Raises
    ------
    InputError
        For what `models.head.fit_head` refuses.
    """
    layer, rows, features, weights, scale = None, [], X, None, None
    if weighted:
        weights, scale = learn_weights(X, y, n_classes, states)
        features = mixed(X, weights, scale)
        rows = [{"layer": k, "weight": float(share)} for k, share in enumerate(_softmax(weights))]
    elif states:
        rows = validate_states(X, y, groups, n_classes, seed, states, C or CHOICES[1])
        layer = max(range(states), key=lambda k: (rows[k]["uar"], -k))
        features = _state(X, layer, states)
    if C is None:
        found = {c: _validated(features, y, groups, n_classes, seed, c)["uar"] for c in CHOICES}
        C = max(CHOICES, key=lambda c: (found[c], -c))
    head = fit_head(features, y, groups, n_classes, seed, C=C)
    if weights is not None and scale is not None:
        head = WeightedHead.around(head, weights, scale)
    return FittedHead(head, C, layer, rows)


def validate_states(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int, states: int, C: float
) -> list[dict[str, Any]]:
    """UAR of each hidden state, with interval, by speaker-grouped cross-validation.

    Returns
    -------
    list of dict
        ``layer``, and what `models.scores.score` gives.
    """
    return [
        {"layer": layer} | _validated(_state(X, layer, states), y, groups, n_classes, seed, C)
        for layer in range(states)
    ]


def _validated(X: np.ndarray, y: np.ndarray, groups: np.ndarray, n_classes: int, seed: int, C: float) -> dict[str, Any]:
    """Score of a machine on speakers that it was not fitted to; see `models.scores.score`."""
    splits = list(_splits(y, groups, n_classes))
    if not splits:
        raise InputError(
            f"{len(np.unique(groups))} speakers cannot be split so that each part has all {n_classes} classes, so "
            "nothing can be chosen by validation; train with --layer last --pooling mean."
        )
    tested = np.concatenate([test for _, test in splits])
    guesses = [fit_machine(X[train], y[train], seed, C).predict(X[test]) for train, test in splits]
    return score(y[tested], np.concatenate(guesses), groups[tested], n_classes)


def _splits(y: np.ndarray, groups: np.ndarray, n_classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows by groups of speakers, or by clips where there is one; those that train on all classes."""
    names = np.unique(groups)
    units = groups if len(names) > 1 else np.arange(len(y)) % VALIDATION_FOLDS
    names = np.unique(units)
    n = min(VALIDATION_FOLDS, len(names))
    for k in range(n):
        test = np.isin(units, names[k::n])
        if len(np.unique(y[~test])) == n_classes:
            yield np.flatnonzero(~test), np.flatnonzero(test)


def learn_weights(X: np.ndarray, y: np.ndarray, n_classes: int, states: int) -> tuple[np.ndarray, np.ndarray]:
    """Learn the weights of a sum of hidden states together with a softmax classifier on it (SUPERB, Yang et al. 2021).

    States are divided by their root mean variance first, since they grow from layer to layer. Full batches, L-BFGS from
    equal weights: deterministic.

    Returns
    -------
    weights : array, shape (states,)
        Before the softmax.
    scale : array, shape (states,)
        Divisor of each state.
    """
    layered = torch.as_tensor(X, dtype=torch.float64).reshape(len(X), states, -1)
    scale = layered.var(dim=0, correction=0).mean(dim=1).sqrt().clamp_min(1e-12)
    layered = (layered - layered.mean(dim=0)) / scale[:, None]
    labels = torch.as_tensor(y)
    weights = torch.zeros(states, dtype=torch.float64, requires_grad=True)
    linear = nn.Linear(layered.shape[2], n_classes, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
    parameters = [weights, *linear.parameters()]
    optimiser = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        mix = torch.einsum("l,nld->nd", weights.softmax(dim=0), layered)
        value = nn.functional.cross_entropy(linear(mix), labels) + PENALTY / 2 * linear.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach().numpy(), scale.numpy()


def mixed(X: np.ndarray, weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weighted sums of states: (n, states * dim) -> (n, dim)."""
    result: np.ndarray = np.einsum("l,nld->nd", _softmax(weights) / scale, X.reshape(len(X), len(weights), -1))
    return result


def _state(X: np.ndarray, layer: int, states: int) -> np.ndarray:
    dim = X.shape[1] // states
    return X[:, layer * dim : (layer + 1) * dim]


def _softmax(weights: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.exp(weights - weights.max())
    return shares / shares.sum()
