"""What is seen through the explanation, against the papers' formulas on probabilities."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.special import expit, logit

from serxai.errors import NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.masking import average_drop, average_gain, average_increase, masked_log_odds, soft_mask
from serxai.metrics.records import make_metric


@pytest.mark.parametrize("seed", range(20))
def test_formulas_of_the_papers(seed):
    p, seen = np.random.default_rng(seed).uniform(0.01, 0.99, 2)
    assert average_drop(logit(p), logit(seen)) == pytest.approx(max(0, p - seen) / p, abs=1e-12)
    assert average_gain(logit(p), logit(seen)) == pytest.approx(max(0, seen - p) / (1 - p), abs=1e-12)
    assert average_increase(logit(p), logit(seen)) == (seen > p)


def test_certainty_leaves_no_quotient_of_zeros():
    assert expit(50.0) == 1.0  # 1 - p would be 0
    assert average_gain(50.0, 51.0) == pytest.approx(1 - np.exp(-1), abs=1e-9)
    assert average_gain(50.0, 40.0) == 0
    assert average_drop(-700.0, -701.0) == pytest.approx(1 - np.exp(-1), abs=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0.1, 5.0, 40.0, 760.0, 1e4])
def test_probabilities_that_no_float_holds(size):
    """Against the papers' quotients in 40 digits, which has exponents of any size."""
    with mpmath.workdps(40):
        for clip, seen in size * np.random.default_rng(int(size)).uniform(-1, 1, (50, 2)):
            for score, sign in ((average_drop, 1), (average_gain, -1)):
                p, q = (1 / (1 + mpmath.exp(-sign * mpmath.mpf(y))) for y in (clip, seen))
                assert score(clip, seen) == pytest.approx(float(max(0, p - q) / p), abs=1e-12)
    assert np.copysign(1, average_drop(-800.0, -800.0)) == 1 == average_drop(-800.0, -2000.0)


def test_mask_is_positive_relevance_over_its_maximum():
    np.testing.assert_array_equal(soft_mask(np.array([[2.0, -1], [0, 4]])), [[0.5, 0], [0, 1]])
    np.testing.assert_array_equal(soft_mask(np.full((2, 2), 3.0)), 1)
    for nothing in (np.zeros((2, 2)), -np.ones((2, 2))):
        with pytest.raises(NotApplicable, match="no positive relevance"):
            soft_mask(nothing)


@pytest.mark.parametrize("fill", ["attenuate", "noise"])
def test_scores_are_those_of_the_masked_waveform(cnn, speech_like, explain, fill):
    case = Case(cnn, speech_like(), "happiness", fill, seed=("masked",))
    values = np.random.default_rng(0).standard_normal(case.grid.shape)
    explained = Explained(explain(values, case.grid))
    keep = np.clip(values, 0, None) / values.max()
    waveform = case.plane.render(keep[None], case.grid, case.fill_spectrum)
    seen, clip = cnn.predict_proba(waveform)[0], cnn.predict_proba(case.clip.samples[None])[0]
    target = case.target_index
    expected = {
        "average-increase": float(seen[target] > clip[target]),
        "average-drop": max(0, clip[target] - seen[target]) / clip[target],
        "average-gain": max(0, seen[target] - clip[target]) / (1 - clip[target]),
        "input-fidelity": float(seen.argmax() == clip.argmax()),
    }
    for name, value in expected.items():
        assert make_metric(name).score(case, explained).value == pytest.approx(value, abs=1e-6), name
    before = cnn.calls
    masked_log_odds(case, explained)
    assert cnn.calls == before  # one copy for the four


def test_a_full_mask_is_the_clip(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger")
    full = Explained(explain(np.ones(case.grid.shape), case.grid))
    np.testing.assert_allclose(masked_log_odds(case, full), case.log_odds, atol=1e-5)
    assert make_metric("average-drop").score(case, full).value == pytest.approx(0, abs=1e-5)
    assert make_metric("input-fidelity").score(case, full).value == 1
