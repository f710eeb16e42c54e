"""Means per emotion and per sex against plain loops; the gap's interval against simulations without a gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from serxai.benchmark.analysis.abstention import completed
from serxai.benchmark.analysis.group_views import COLUMNS, gap_to_others, group_views, pair_groups
from serxai.benchmark.stats.clustered import cells, clustered_mean
from serxai.benchmark.stats.simulation import LAYOUTS, Effects, limit, simulate


def test_groups_against_a_loop(make_scores: Callable) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    scores = scores.assign(sex=np.where(scores["speaker"] < "s04", "female", "male"))
    views = group_views(scores)
    assert list(views.columns) == COLUMNS and set(views["view"]) == {"emotion", "sex"}
    mine = scores[(scores["metric"] == "abpc") & (scores["method"] == "emolime")]
    for view, group in (("emotion", "sadness"), ("sex", "male")):
        found = views.query("metric == 'abpc' and method == 'emolime' and view == @view and group == @group").iloc[0]
        inside = mine[view] == group
        e = clustered_mean(mine.loc[inside, "value"].to_numpy(), mine.loc[inside, "speaker"].to_numpy())
        np.testing.assert_allclose(
            [found["mean"], found["low"], found["gap"]],
            [e.mean, e.bounds[0], e.mean - mine.loc[~inside, "value"].mean()],
        )
        assert (found["n_clips"], found["n_planned"], found["coverage"]) == (inside.sum(), inside.sum(), 1)
        assert found["gap_low"] < found["gap"] < found["gap_high"]
    assert "sex" not in set(group_views(scores.drop(columns="sex"))["view"])


def test_misses_enter_groups_too(make_scores: Callable) -> None:
    views = group_views(make_scores(speakers=8, conditions=("clean",)))
    odd = views.query("metric == 'abpc' and method == '<odd & name>' and group == 'anger'").iloc[0]
    assert (odd["n_clips"], odd["n_planned"], odd["n_misses"], odd["coverage"]) == (16, 16, 2, 14 / 16)


@pytest.mark.parametrize("nested", [True, False], ids=["speakers in one group", "speakers in both"])
@pytest.mark.parametrize("speakers", [6, 10])
def test_a_gap_is_seldom_found_where_there_is_none(nested: bool, speakers: int) -> None:
    rng = np.random.default_rng(speakers)
    of = np.repeat(np.arange(speakers), 8)
    inside = of % 2 == 0 if nested else np.tile(np.arange(8), speakers) < 2
    runs = 2000
    speaker, both = rng.normal(0, 0.5, (speakers, runs)), rng.normal(0, 0.4, (2 * speakers, runs))
    values = speaker[of] + both[2 * of + inside] + rng.normal(0, 1, (of.size, runs))
    gap, half = gap_to_others(values, inside, [of])
    rate = np.mean(np.abs(gap) > half)
    assert 0.01 < rate < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    gap, half = gap_to_others(values + 3 * inside[:, None], inside, [of])
    assert np.mean(gap - half > 0) > 0.85


FEMALE = np.array([False, True, True, False, False, False, True, True, False, True])  # EMODB's speakers 03, 08 ... 16


@pytest.mark.parametrize(
    "effects",
    [
        Effects(),
        Effects(speaker=0.2),
        Effects(sentence=0.2),
        Effects(speaker=0.2, sentence=0.2),
        Effects(speaker=0.3, sentence=0.3, pair=0.1),
        Effects(speaker=0.2, sentence=0.2, kind="exponential"),
    ],
    ids=["none", "speaker", "sentence", "both", "large", "exponential"],
)
@pytest.mark.parametrize("layout", ["emodb", "emodb, 80 clips"])
def test_no_gap_is_found_between_five_and_five_speakers(layout: str, effects: Effects) -> None:
    """Sexes are between speakers; effects of the sentences that both read are shared."""
    experiments = 1000
    speakers, sentences = LAYOUTS[layout].codes
    values = simulate(LAYOUTS[layout], effects, experiments, np.random.default_rng(1))
    gap, half = gap_to_others(values, FEMALE[speakers], [speakers, sentences])
    assert np.isfinite(half).all() and np.mean(np.abs(gap) > half) <= limit(experiments)
    gap, half = gap_to_others(values + 2 * FEMALE[speakers][:, None], FEMALE[speakers], [speakers, sentences])
    assert np.mean(gap - half > 0) > 0.9  # of two standard deviations


def test_differences_of_pairs_by_group_against_a_loop(make_scores: Callable) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    scores = scores.assign(sex=np.where(scores["speaker"] < "s04", "female", "male"))
    for metric, sign in (("abpc", 1), ("deletion", -1)):
        part = scores[scores["metric"] == metric]
        found = pair_groups(completed(cells(part)))
        by_clip = part.pivot_table(index=["clip", "speaker", "sex"], columns="method", values="value").reset_index()
        difference = sign * (by_clip["emolime"] - by_clip["saliency"])
        for sex in ("female", "male"):
            row = found.query("method_a == 'emolime' and method_b == 'saliency' and group == @sex").iloc[0]
            assert row["difference"] == pytest.approx(difference[by_clip["sex"] == sex].mean())
            other = difference[by_clip["sex"] != sex].mean()
            assert row["gap"] == pytest.approx(row["difference"] - other) and row["n_clips"] == 4 * 6
