"""Recognisers of emotional dimensions: outputs such as arousal, valence and dominance, in units of their own.

A recogniser with ``regression = True`` predicts numbers. Its columns (`Recogniser.classes`) are named dimensions, each
can be a target as a class can, and what is explained is the output itself: no softmax, no log-odds. It has no predicted
class, so nothing it says is right or wrong, and no probabilities; metrics that need either are skipped with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError

REGRESSION = "regression"  # what `outputs` of a user's model says
NAME = re.compile(r"[^\W\d_][^\WA-Z]*")  # no hyphen: A-B is a difference of two outputs
RESERVED = ("predicted", "true", "runner")
ALPHAS = np.logspace(0, 5, 11)  # strengths of the ridge penalty that are tried, on standardised features
VALIDATION_FOLDS = 5  # at most; fewer where there are fewer speakers


def dimension_names(labels: Iterable[str], what: str, remedy: str) -> tuple[str, ...]:
    """Names of a model's outputs, in their order and in lower case.

    Parameters
    ----------
    labels : iterable of str
    what : str
        The model, for messages.
    remedy : str
        What to do about wrong names, for messages.

    Raises
    ------
    InputError
        If there is none, one is given twice, or one cannot be a target.
    """
    names = tuple(unicodedata.normalize("NFC", str(label)).strip().lower().replace(" ", "_") for label in labels)
    wrong = [name for name in names if not NAME.fullmatch(name) or name in RESERVED]
    if not names or wrong or len(set(names)) < len(names):
        fault = f"{wrong[0]!r} cannot name one" if wrong else "one is named twice" if names else "none is named"
        raise InputError(
            f"{what}: outputs {', '.join(names) or 'without names'}: {fault}; {remedy}, such as arousal, valence, "
            "dominance: small letters, digits and underscores, beginning with a letter."
        )
    return names


class RegressionHead(nn.Module):
    """Ridge regression on standardised features: (n, dim) -> outputs in units of their own (n, n_classes), float64.

    Parameters
    ----------
    n_classes : int
        Outputs.
    dim : int
    regression : int
        1; marks the head in a card.
    """

    regression = True
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_classes: int, dim: int, regression: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim, dtype=torch.float64))
        self.weight = nn.Parameter(torch.zeros(n_classes, dim, dtype=torch.float64), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(n_classes, dtype=torch.float64), requires_grad=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Outputs, differentiable: (n, dim) -> (n, n_classes)."""
        return ((features.double() - self.mean) / self.scale) @ self.weight.T + self.bias


def fit_regression(X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> tuple[RegressionHead, float]:
    """Fit a ridge regression per output; the penalty is chosen by speaker-grouped validation within the given rows.

    Parameters
    ----------
    X : array, shape (n, dim)
    Y : array, shape (n, n_outputs)
    groups : array, shape (n,)
        Speakers. With one speaker the validation is by clips.

    Returns
    -------
    head : RegressionHead
    r2 : float
        Mean over outputs of the validated coefficient of determination at the chosen penalty.

    Raises
    ------
    InputError
        For features or outputs that are not finite, fewer than 4 rows, or an output that does not vary.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, Y, groups = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64), np.asarray(groups)
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise InputError("a regression head needs finite features and labels.")
    if len(X) < 4 or (np.ptp(Y, axis=0) == 0).any():
        raise InputError(f"a regression head needs at least 4 clips with labels that vary; got {len(X)}.")
    speakers = len(np.unique(groups))
    splitter: Any = (
        GroupKFold(min(VALIDATION_FOLDS, speakers)) if speakers > 1 else KFold(min(VALIDATION_FOLDS, len(X)))
    )
    splits = list(splitter.split(X, groups=groups if speakers > 1 else None))
    scaler, weights, biases, scores = StandardScaler().fit(X), [], [], []
    for y in Y.T:
        search = GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": ALPHAS}, cv=splits,
            scoring="neg_mean_squared_error",
        ).fit(X, y)  # fmt: skip
        weights.append(search.best_estimator_[1].coef_)
        biases.append(search.best_estimator_[1].intercept_)
        scores.append(1 + search.best_score_ / y.var())
    head = RegressionHead(Y.shape[1], X.shape[1])
    learned = {"mean": scaler.mean_, "scale": scaler.scale_, "weight": np.array(weights), "bias": np.array(biases)}
    head.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in learned.items()})
    return head.eval(), float(np.mean(scores))


def fit_regression_states(
    X: np.ndarray, Y: np.ndarray, groups: np.ndarray, states: int
) -> tuple[RegressionHead, int | None]:
    """`fit_regression` on the hidden state that validates best; the state is None where `states` is 0."""
    if not states:
        return fit_regression(X, Y, groups)[0], None
    dim = X.shape[1] // states
    fitted = [fit_regression(X[:, s * dim : (s + 1) * dim], Y, groups) for s in range(states)]
    best = int(np.argmax([r2 for _, r2 in fitted]))
    return fitted[best][0], best


def labelled_dimensions(table: Any, names: Sequence[str], corpus: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Values of dimensional labels of a corpus' table, by the names of its columns in any case.

    Returns
    -------
    names : tuple of str
        In lower case.
    values : array, shape (n_clips, n_names)
        NaN where a cell is empty.

    Raises
    ------
    InputError
        If there is no such column, or a cell is not a finite number.
    """
    named = dimension_names(names, f"corpus {corpus!r}", "name columns of its table")
    columns = {str(column).strip().lower().replace(" ", "_"): column for column in table.columns}
    values = np.full((len(table), len(named)), np.nan)
    for place, name in enumerate(named):
        if name not in columns:
            raise InputError(
                f"--dimension {name}: corpus {corpus!r} has no column of that name; it has {', '.join(columns)}. "
                "Dimensional labels are numbers in a column of a table (folder:PATH)."
            )
        for row, (clip, cell) in enumerate(table[columns[name]].items()):
            text = str(cell).strip()
            try:
                values[row, place] = float(text) if text and text.lower() not in ("nan", "na", "none") else np.nan
            except ValueError:
                raise InputError(
                    f"--dimension {name}: clip {clip!r} of corpus {corpus!r} has {text!r} there, not a number."
                ) from None
    if np.isinf(values).any():
        raise InputError(f"corpus {corpus!r}: a label of {', '.join(named)} is infinite.")
    return named, values


def no_class(name: str, outputs: Sequence[str]) -> str:
    """Why a recogniser of dimensions has no predicted class, and what to do."""
    return (
        f"recogniser {name!r} predicts numbers ({', '.join(outputs)}), so there is no predicted class; name the output "
        f"to explain with --target {outputs[0]}"
    )
