"""Result of a training, besides the weight files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Parameters and hashes of trained fold models, and their predictions for held-out speakers.

    Attributes
    ----------
    front_end, network : dict
        Parameters that rebuild them.
    weights : dict of str to str
        SHA-256 of each file, by fold (or ``refit``).
    clips : tuple of str
        Ids of the clips that could be used.
    digests : tuple of str
        `models.exposure.samples_digest` of each of them.
    predictions : dict of str to array, shape (n_tested, n_classes)
        Log-probabilities of each fold's test clips, in the order of `clips`.
    left_out : dict of str to str
        Ids of the clips that could not be used, with the reason.
    strengths : dict of str to float
        Inverse strength of regularisation, by fold, where it was chosen.
    layers : dict of str to list of dict
        Validation of each hidden state, by fold, where one was chosen; see `models.layer_choice.FittedHead`.
    """

    front_end: dict[str, Any]
    network: dict[str, Any]
    weights: dict[str, str]
    clips: tuple[str, ...]
    digests: tuple[str, ...]
    predictions: dict[str, np.ndarray]
    left_out: dict[str, str]
    layers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    strengths: dict[str, float] = field(default_factory=dict)
