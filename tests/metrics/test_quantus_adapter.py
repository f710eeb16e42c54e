"""``quantus:<Metric>``: the same as calling Quantus by hand with one clip, whatever was drawn before."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai import _torchvision
from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.quantus_adapter import steps_of
from serxai.metrics.records import METRICS, QUANTUS, make_metric
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

_torchvision.ensure_torchvision()

CHEAP = [
    "AttributionLocalisation",
    "AUC",
    "Complexity",
    "EffectiveComplexity",
    "FaithfulnessCorrelation",
    "FaithfulnessEstimate",
    "Monotonicity",
    "PixelFlipping",
    "PointingGame",
    "RelevanceMassAccuracy",
    "RelevanceRankAccuracy",
    "Sparseness",
    "TopKIntersection",
]


@pytest.fixture
def case(cnn, planted_clip) -> Case:
    return Case(cnn, planted_clip, "anger", "twin", seed=(0, planted_clip.id, "clean"))


@pytest.fixture
def explained(case, explain) -> Explained:
    return Explained(explain(np.random.default_rng(0).standard_normal(case.grid.shape) + 0.2, case.grid))


@pytest.mark.parametrize("name", [n if n in CHEAP else pytest.param(n, marks=pytest.mark.long) for n in QUANTUS])
def test_scores_are_finite_repeat_and_leave_no_trace(case, explained, name):
    metric = make_metric(f"quantus:{name}")
    if name == "Infidelity":
        with pytest.raises(NotApplicable, match="divide the features"):
            metric.score(case, explained)
        clip = case.clip.with_samples(np.resize(case.clip.samples, 71 * 240), None)  # 72 frames
        case = Case(case.recogniser, clip, "anger", seed=case.seed)
        explained = Explained(replace(explained.attribution, grid=case.grid, values=np.ones(case.grid.shape)))
    first = metric.score(case, explained)
    np.random.seed(5)  # noqa: NPY002  (the stream that Quantus would have drawn from)
    random.seed(5)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert metric.score(case, explained) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert random.getstate() == before[1]
    assert np.isfinite(first.value)
    family, _ = QUANTUS[name]
    assert (first.model_calls > 0) == (family == "faithfulness")


def test_equal_to_quantus_by_hand(case, explained, cnn):
    import quantus

    grid = cnn.feature_grid(case.clip.samples.size)
    features = cnn.features(case.clip.samples).numpy()
    relevance = case.map_on(explained.attribution, grid)[None, None]
    n = steps_of(features.size)
    by_hand = {
        "Sparseness": quantus.Sparseness(disable_warnings=True),
        "PixelFlipping": quantus.PixelFlipping(features_in_step=n, return_auc_per_sample=True, disable_warnings=True),
    }
    for name, metric in by_hand.items():
        (expected,) = metric(
            model=cnn.network,
            x_batch=features,
            y_batch=np.array([0]),
            a_batch=relevance,
            channel_first=True,
            softmax=True,
            device="cpu",
            batch_size=1,
        )
        assert make_metric(f"quantus:{name}").score(case, explained).value == pytest.approx(float(expected), abs=1e-6)


def test_records_take_family_and_direction_of_the_metric_named():
    for name, (family, direction) in QUANTUS.items():
        record = METRICS.get(f"quantus:{name}")
        assert (record.name, record.family, record.direction, record.space) == (
            f"quantus:{name}",
            family,
            direction,
            "features",
        )
    with pytest.raises(UnknownNameError, match="PixelFlipping"):
        METRICS.get("quantus:PixelFliping")


WRONG_IN_QUANTUS = {"RegionPerturbation"}  # 0.6 returns what is lost, most relevant first, and says lower is better


def test_directions_are_quantus_own_but_for_one():
    import quantus

    for name, (_, direction) in QUANTUS.items():
        same = getattr(quantus, name).score_direction.value == direction
        assert same == (name not in WRONG_IN_QUANTUS), name


class LinearNetwork(torch.nn.Module):
    """Logits of two classes, their difference a weighted sum of the features' deviations from those of one clip."""

    def __init__(self, weights: torch.Tensor, features: torch.Tensor) -> None:
        super().__init__()
        self.weights, self.features = torch.nn.Parameter(weights), features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = ((x - self.features) * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([y / 2, -y / 2], dim=1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long) if name == "ROAD" else name
        for name, (family, _) in QUANTUS.items()
        if family == "faithfulness" and name != "Monotonicity"  # 1 for every map
    ],
)
def test_a_right_map_is_better_than_a_wrong_one(name):
    """Under a linear network the effect of each feature is known; the wrong map has the same effects elsewhere."""
    generator = np.random.default_rng(0)
    front_end, samples = LogMel(), (0.1 * generator.standard_normal(71 * 240)).astype(np.float32)
    features = front_end(torch.tensor(samples)[None])
    weights = torch.tensor(np.kron(generator.standard_normal((16, 9)), np.full((8, 8), 0.01)), dtype=torch.float32)
    network = LinearNetwork(weights, features)
    recogniser = TorchRecogniser("linear", ("anger", "sadness"), front_end, network, "0")
    case = Case(recogniser, Clip("noise", samples, "anger", speaker="s"), "anger", seed=("right",))
    right = (weights * (features - features.mean()))[0, 0].double().numpy()
    grid, scores = recogniser.feature_grid(samples.size), []
    for values in (right, np.roll(right, (64, 32), axis=(0, 1))):
        explained = Explained(Attribution(values, grid, "anger", "linear"))
        scores.append(make_metric(f"quantus:{name}").score(case, explained).value)
    assert (scores[0] > scores[1]) == (QUANTUS[name][1] == "higher"), scores
    assert abs(scores[0] - scores[1]) > 0.01


def test_what_it_needs(linear_recogniser, speech_like, explain, case, explained):
    clip = speech_like()
    other = Case(linear_recogniser(np.ones(clip.samples.size)), clip, "yes")
    with pytest.raises(NotApplicable, match="differentiable"):
        make_metric("quantus:Sparseness").score(other, explained)
    with pytest.raises(InputError, match="such as quantus:Sparseness"):
        make_metric("quantus:").score(case, explained)
    unplanted = Case(case.recogniser, clip, "anger")
    with pytest.raises(NotApplicable, match="no neutral twin"):
        make_metric("quantus:PointingGame").score(unplanted, explained)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["FaithfulnessCorrelation", "FaithfulnessEstimate", "PixelFlipping"])
def test_warnings_become_a_status(case, cnn, explain, name):
    """Features of silence do not change: Quantus and scipy say so on the console, here it is a row."""
    silent = replace(case, clip=case.clip.with_samples(np.zeros(16000, np.float32), None), _memo={})
    explained = Explained(explain(np.ones(silent.grid.shape), silent.grid))
    try:
        assert np.isfinite(make_metric(f"quantus:{name}").score(silent, explained).value)
    except NotApplicable as reason:
        assert "undefined here" in str(reason)


def test_steps_divide_the_features():
    for n in (1, 2, 7, 97, 128 * 61, 128 * 240):
        assert n % steps_of(n) == 0 and n // steps_of(n) <= 64
    assert steps_of(128 * 61) == 2 * 61
