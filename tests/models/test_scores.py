"""Held-out scores and their speaker-clustered interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from serxai.models.scores import confusion, score, unweighted_average_recall


def draw(generator: np.random.Generator, n: int = 120, classes: int = 4):
    true = generator.integers(classes, size=n)
    predicted = np.where(generator.random(n) < 0.6, true, generator.integers(classes, size=n))
    return true, predicted, generator.integers(8, size=n).astype(str)


def test_scores_equal_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        true, predicted, speakers = draw(generator)
        found = score(true, predicted, speakers, 4)
        assert np.array_equal(confusion(true, predicted, 4), confusion_matrix(true, predicted, labels=range(4)))
        assert found["uar"] == pytest.approx(balanced_accuracy_score(true, predicted), abs=1e-12)
        assert found["accuracy"] == pytest.approx(accuracy_score(true, predicted), abs=1e-12)
        for name in ("uar", "accuracy"):
            low, high = found[f"{name}_interval"]
            assert 0 <= low <= found[name] <= high <= 1


def test_accuracy_interval_of_balanced_speakers_is_the_t_interval_over_speakers() -> None:
    from scipy import stats

    generator = np.random.default_rng(1)
    hits = generator.random((10, 12)) < generator.uniform(0.5, 0.9, size=(10, 1))
    true = np.zeros(120, dtype=int)
    found = score(true, np.where(hits.ravel(), 0, 1), np.repeat(np.arange(10).astype(str), 12), 2)
    means = hits.mean(axis=1)
    low, high = stats.t.interval(0.95, 9, means.mean(), stats.sem(means))
    assert found["accuracy_interval"] == pytest.approx([max(low, 0), min(high, 1)], abs=1e-12)


def test_interval_covers_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    covered, runs = 0, 400
    for _ in range(runs):
        skill = generator.beta(8, 4, size=12)  # mean 2/3
        true = np.tile(np.repeat([0, 1], 10), 12)
        speakers = np.repeat(np.arange(12), 20)
        predicted = np.where(generator.random(240) < skill[speakers], true, 1 - true)
        low, high = score(true, predicted, speakers.astype(str), 2)["uar_interval"]
        covered += low <= 2 / 3 <= high
    # 95 % less three binomial errors, and less what skewed skills cost a t interval
    assert 0.91 <= covered / runs <= 0.99


def test_absent_classes_do_not_count_and_one_speaker_has_no_interval() -> None:
    found = score(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), np.array(["a"] * 4), 3)
    assert found["uar"] == unweighted_average_recall(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])) == 0.75
    assert found["uar_interval"] is None and found["accuracy_interval"] is None
