"""Kendall's W over groups of clips: known orders, random groups without a meaning, and where it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.pairs import compare_methods
from serxai.benchmark.analysis.rank_agreement import COLUMNS, rank_agreement
from serxai.benchmark.report.html import write_board
from serxai.benchmark.stats.concordance import concordance, concordances, group_concordance
from serxai.benchmark.stats.simulation import limit

SPEAKERS, EACH, METHODS = 10, 8, 5
OF = np.repeat(np.arange(SPEAKERS), EACH)
EMOTION, SEX = np.tile(np.arange(EACH) % 4, SPEAKERS), OF % 2


def test_many_tables_at_once_are_single_ones() -> None:
    tables = np.round(np.random.default_rng(0).standard_normal((20, 4, 6)), 1)  # with ties
    found = concordances(tables)
    for table, w in zip(tables, found, strict=True):
        ranks = pd.DataFrame(table).rank(axis=1).to_numpy()
        ties = sum((c**3 - c) for row in table for c in np.unique(row, return_counts=True)[1])
        s = ((ranks.sum(0) - ranks.sum(0).mean()) ** 2).sum()
        assert w == pytest.approx(12 * s / (16 * (6**3 - 6) - 4 * ties)) == concordance(table)


@pytest.mark.parametrize("groups", [EMOTION, SEX], ids=["emotion", "sex"])
def test_an_order_that_is_the_same_everywhere_is_seldom_doubted(groups: np.ndarray) -> None:
    rng, runs = np.random.default_rng(1), 300
    p = []
    for _ in range(runs):
        speaker = rng.normal(0, 0.5, (SPEAKERS, METHODS))
        # what moves all methods alike in one class moves no order
        shift = rng.normal(0, 3, 4)[groups]
        values = np.arange(METHODS) * 0.1 + speaker[OF] + rng.normal(0, 1, (OF.size, METHODS)) + shift[:, None]
        p.append(group_concordance(values, groups, OF, rng, draws=59).p)
    assert np.mean(np.array(p) <= 0.05) <= limit(runs)
    assert 0.3 < np.mean(p) < 0.7


@pytest.mark.parametrize("groups", [EMOTION, SEX], ids=["emotion", "sex"])
def test_an_order_that_turns_is_found(groups: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    signs = np.where(groups % 2 == 0, 1.0, -1.0)
    values = signs[:, None] * np.arange(METHODS) + rng.normal(0, 0.5, (OF.size, METHODS))
    found = group_concordance(values, groups, OF, rng)
    assert found.w < 0.05 and found.p < 0.02  # all means together have no order either
    some = np.where(groups == 0, -1.0, 1.0)[:, None] * np.arange(METHODS) + rng.normal(0, 0.5, values.shape)
    found = group_concordance(some[OF < 9], groups[OF < 9], OF[OF < 9], rng)
    assert found.p < 0.03 and (groups is SEX or found.w < 0.3 < 0.5 < found.w_random)
    same = group_concordance(np.abs(signs)[:, None] * np.arange(METHODS) * 3.0, groups, OF, rng)
    assert same.w == same.w_random == same.p == 1


def _scores(make_scores: Callable) -> pd.DataFrame:
    scores = make_scores(speakers=8, conditions=("clean",))
    scores = scores[~scores["method"].isin(["oracle", "<odd & name>"])]
    third = scores[scores["method"] == "saliency"].assign(method="gradcam")
    turned = third["emotion"].eq("anger").map({True: 5.0, False: -5.0}) * third["direction"].map(
        {"higher": 1, "lower": -1}
    )
    scores = pd.concat([scores, third.assign(value=third["value"] + turned)], ignore_index=True)
    return scores.assign(sex=np.where(scores["speaker"] < "s04", "female", "male"))


def test_agreement_of_score_rows(make_scores: Callable) -> None:
    scores = _scores(make_scores)
    other = scores[scores["fill"] == "twin"].assign(fill="noise")
    found = rank_agreement(pd.concat([scores, other], ignore_index=True))
    assert list(found.columns) == COLUMNS and (found["n_methods"] == 3).all()  # random and energy are left out
    abpc = found[found["metric"] == "abpc"].set_index(["view", "fill"])
    assert abpc.loc[("fill", ""), "w"] == 1 and abpc.loc[("fill", ""), "groups"] == "noise, twin"
    by_emotion = abpc.loc[("emotion", "twin")]
    means = scores[(scores["metric"] == "abpc") & scores["method"].isin(["saliency", "emolime", "gradcam"])]
    table = means.pivot_table(index="emotion", columns="method", values="value").to_numpy()
    assert (
        by_emotion["w"] == pytest.approx(concordance(table)) and by_emotion["p"] < 0.02 < abpc.loc[("sex", "twin"), "p"]
    )
    assert by_emotion["n_clips"] == 8 * 6 and by_emotion["groups"] == "anger, happiness, neutral, sadness"
    again = rank_agreement(scores.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(again, rank_agreement(scores))


@pytest.mark.long
def test_groups_and_agreement_are_on_boards_and_in_comparisons(make_scores: Callable, tmp_path: Path) -> None:
    scores = _scores(make_scores)
    write_board(scores, [{}], tmp_path)
    found = rank_agreement(scores)
    written = pd.read_csv(tmp_path / "agreement.csv", keep_default_na=False, na_values=[""])
    assert written["w"].to_numpy() == pytest.approx(found["w"].to_numpy())
    for name in ("leaderboard.md", "tables.html"):
        text = (tmp_path / name).read_text("utf-8")
        assert "W over emotions" in text and "By sex: faithfulness, clean, fill twin" in text, name
    compared = compare_methods(scores, "abpc")
    assert set(compared.groups["view"]) == {"emotion", "sex"} and set(compared.agreement["metric"]) == {"abpc"}
