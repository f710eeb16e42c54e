"""Adapter for the metrics of Quantus, ``quantus:<Metric>``, as a cross-check of our own.

Conventions
-----------
Quantus is called with one clip at a time (its ROAD and SensitivityN score only the first batch), on the feature map of
a differentiable recogniser, the relevance moved to the features' grid, with its own default settings except for the
numbers of steps, which would need one forward pass per feature. It uses numpy's global random state, which is seeded
from clip and method for the call and restored afterwards. Its warnings are suppressed, since scores that are not finite
become rows with a status.

Known behaviour of Quantus 0.6 that is kept: it refuses maps that are zero or negative everywhere, and Monotonicity is 1
for any map. RegionPerturbation returns the loss of the target's score, most relevant first, so higher is better,
although Quantus declares lower. SensitivityN correlates over the clips of a batch and has no score for one clip, so it
is left out, as are metrics that call the method again.

Source
------
Hedström et al. 2023, "Quantus: an explainable AI toolkit for responsible evaluation of neural network explanations and
beyond", JMLR 24(34).
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ClipError, InputError, NotApplicable
from ..keys import digest, rng
from ..models.recogniser import TorchRecogniser
from .case import Case, Explained, Metric, Outcome
from .localisation import case_truth_mask
from .record import QUANTUS

LARGEST_PATCH = 8  # features a side
STEPS = 64  # at most, for metrics that would perturb feature by feature


class QuantusMetric(Metric):
    """One metric of Quantus.

    Parameters
    ----------
    name : str
        Class name in Quantus, one of `record.QUANTUS`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`.

        Raises
        ------
        InputError
            If no metric is named.
        """
        if self.name not in QUANTUS:
            raise InputError(f"quantus:{self.name}: name one of its metrics, such as quantus:Sparseness.")
        recogniser = case.recogniser
        if not isinstance(recogniser, TorchRecogniser):
            raise NotApplicable(f"needs the features of a differentiable recogniser, {recogniser.name!r} has none")
        n_samples = case.clip.samples.size
        grid = recogniser.feature_grid(n_samples)
        features = recogniser.features(case.clip.samples).cpu().numpy()
        relevance = case.map_on(explained.attribution, grid)[None, None]
        if not relevance.any() or (relevance < 0).all():
            raise NotApplicable("Quantus takes no map that is zero everywhere, or negative everywhere")
        mask = None
        if QUANTUS[self.name][0] == "localisation":
            rows = case.grid.rows_of((grid.freq_edges_hz[:-1] + grid.freq_edges_hz[1:]) / 2)
            columns = case.grid.columns_of((grid.time_edges_s[:-1] + grid.time_edges_s[1:]) / 2)
            mask = case_truth_mask(case)[rows][:, columns][None, None]
        metric, before = _instantiate(self.name, features.shape[2:]), recogniser.calls
        draws = global_draws(*case.seed, "quantus", self.name, explained.attribution.drawn_as)
        # warnings are not needed: a score that is not finite gets a status
        with draws, recogniser.metered(), warnings.catch_warnings(action="ignore"):
            scores = metric(
                model=recogniser.network,
                x_batch=features,
                y_batch=np.array([case.target_index]),
                a_batch=relevance,
                s_batch=mask,
                channel_first=True,
                softmax=True,
                device=str(recogniser.device),
                batch_size=1,
            )
        values = np.array(list(scores.values()) if isinstance(scores, dict) else scores, dtype=np.float64)
        if values.size == 0:
            raise ClipError(f"Quantus' {self.name} gave no score")
        if not np.all(np.isfinite(values)):
            raise NotApplicable(f"Quantus' {self.name} is undefined here: no finite score")
        return Outcome(float(values.mean()), recogniser.calls - before)


def steps_of(n_features: int, most: int = STEPS) -> int:
    """Smallest number of features per step that divides `n_features` into at most `most` steps."""
    steps = next(n for n in range(min(most, n_features), 0, -1) if n_features % n == 0)
    return n_features // steps


def _instantiate(name: str, shape: tuple[int, ...]) -> Any:
    """Create a Quantus metric for feature maps of this shape."""
    from .. import _torchvision

    _torchvision.ensure_torchvision()
    import quantus

    n_features = int(np.prod(shape))
    patch = max(d for d in range(1, LARGEST_PATCH + 1) if np.gcd.reduce(shape) % d == 0)
    if name == "Infidelity" and patch == 1:
        raise NotApplicable(f"Quantus' Infidelity needs square patches that divide the features, here {shape}")
    kind = getattr(quantus, name)
    settings = {
        "disable_warnings": True,
        "display_progressbar": False,
        "return_aggregate": False,
        "return_auc_per_sample": True,
        "features_in_step": steps_of(n_features),
        "subset_size": max(1, n_features // 4),
        "perturb_patch_sizes": [patch],
        "nr_samples": 10,
    }
    accepted = inspect.signature(kind.__init__).parameters
    return kind(**{key: value for key, value in settings.items() if key in accepted})


@contextmanager
def global_draws(*parts: Any) -> Iterator[None]:
    """Seed the global random states of numpy and random for a block and restore them afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(int(digest("quantus", *parts, size=4), 16))  # noqa: NPY002
    random.seed(int(rng("quantus", *parts).integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
