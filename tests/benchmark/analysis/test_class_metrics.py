"""Agreement between metrics by class: known orders, random classes, and the table of score rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.class_metrics import ALL, BY_CLASS, PAIRS, class_metrics, turned_pairs
from serxai.benchmark.analysis.leaderboard import completed_cells
from serxai.benchmark.stats.concordance import group_means, opposed, random_groupings
from serxai.benchmark.stats.simulation import limit

SPEAKERS = np.repeat(np.arange(8), 8)
GROUPS = np.tile(np.arange(8) % 4, 8)
METHODS = ("emolime", "gradcam", "occlusion", "saliency")


def test_pairs_that_turn_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    one, other = np.round(rng.normal(size=(2, 64, 4)), 1)
    drawn = random_groupings(GROUPS, SPEAKERS, rng, 3)
    turned, inside = turned_pairs(one, other, drawn)
    for number, groups in enumerate(drawn):
        assert np.array_equal(np.bincount(groups[SPEAKERS == 3]), np.bincount(GROUPS[SPEAKERS == 3]))
        means = [[each[groups == k].mean(axis=0) for k in range(4)] for each in (one, other)]
        assert np.allclose(group_means(one, drawn)[0][number], means[0])
        ways = []
        for i, j in combinations(range(4), 2):
            signs = [np.sign(np.round(a[i] - a[j], 9)) * np.sign(np.round(b[i] - b[j], 9)) for a, b in zip(*means)]  # noqa: B905
            ways.append(signs)
        assert turned[number] == pytest.approx(np.mean([min(s) < 0 < max(s) for s in ways]))
        assert inside[number] == pytest.approx(np.mean(np.array(ways) < 0))


def test_classes_without_a_meaning_seldom_turn_more_than_random_ones() -> None:
    rng, runs = np.random.default_rng(1), 200
    p = []
    for _ in range(runs):
        speaker = rng.normal(0, 0.5, (8, 4))[SPEAKERS]
        one, other = (np.arange(4) * 0.1 + speaker + rng.normal(size=(64, 4)) for _ in range(2))
        turned, _ = turned_pairs(one, other, random_groupings(GROUPS, SPEAKERS, rng, 59))
        p.append((turned >= turned[0] - 1e-12).mean())
    assert np.mean(np.array(p) <= 0.05) <= limit(runs)


def test_opposed_is_half_of_what_kendalls_tau_lacks() -> None:
    from scipy.stats import kendalltau

    scores = np.random.default_rng(2).normal(size=(3, 7))
    taus = [kendalltau(scores[a], scores[b]).statistic for a, b in combinations(range(3), 2)]
    assert opposed(scores) == pytest.approx(np.mean([(1 - tau) / 2 for tau in taus]))


def _scores() -> pd.DataFrame:
    """Removal and truth order methods alike for anger, oppositely for sadness; energy and random have the best."""
    rows = []
    for speaker in range(8):
        for emotion in ("anger", "sadness"):
            for i, method in enumerate((*METHODS, "energy", "random")):
                worth = 9.0 if i >= len(METHODS) else float(i)
                for metric, value in (
                    ("abpc", worth),
                    ("deletion", -worth),  # less is better
                    ("truth-auc", worth if emotion == "anger" else -0.1 * worth),
                ):
                    rows.append(
                        {"corpus": "planted", "model": "cnn", "trained_on": "planted", "seen_in_training": "no",
                         "space": "audio", "condition": "clean", "metric": metric,
                         "target_rule": "true" if metric == "truth-auc" else "predicted",
                         "fill": "" if metric == "truth-auc" else "noise",
                         "family": "localisation" if metric == "truth-auc" else "faithfulness",
                         "direction": "lower" if metric == "deletion" else "higher", "method": method,
                         "clip": f"{speaker}-{emotion}", "speaker": f"s{speaker}", "emotion": emotion, "seed": 0,
                         "repeat": 0, "status": "ok", "reason": "", "model_calls": 1,
                         "value": value + 0.01 * speaker}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def test_metrics_of_score_rows_are_compared_within_each_class() -> None:
    found = class_metrics(completed_cells(_scores()))
    assert list(found.by_class) == BY_CLASS and list(found.pairs) == PAIRS
    assert found.by_class["group"].tolist() == [ALL, "anger", "sadness"]
    assert (found.by_class["w"] == 1).all() and (found.by_class["opposed"] == 0).all()
    assert set(found.by_class["metrics"]) == {"abpc deletion"} and set(found.by_class["n_methods"]) == {4}
    assert found.by_class["n_clips"].tolist() == [16, 8, 8]
    pairs = found.pairs.set_index(["metric_a", "metric_b"])
    same, truth = pairs.loc[("abpc", "deletion")], pairs.loc[("abpc", "truth-auc")]
    assert (same["turned"], same["opposed_in_groups"], same["p"]) == (0, 0, 1)
    assert (truth["turned"], truth["opposed_in_groups"]) == (1, 0.5) and truth["p"] < 0.05
    assert truth["turned_random"] < 1 and truth["groups"] == "anger sadness" and truth["n_groups"] == 2
    again = class_metrics(completed_cells(_scores().sample(frac=1, random_state=0)))
    pd.testing.assert_frame_equal(again.pairs, found.pairs)
