"""What `serxai compare` says of pairs, ranks and orders; clip facts of a run; the critical-difference diagram."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.pairs import NO_DIFFERENCE, compare_methods
from serxai.benchmark.report.figures.order import critical_difference, joined, orders
from serxai.benchmark.stats.clustered import compare_pairwise
from serxai.benchmark.storage.clip_facts import read_clip_facts, with_clip_facts, write_clip_facts
from serxai.errors import InputError


@pytest.fixture(scope="module")
def scores(make_scores: Callable) -> pd.DataFrame:
    return make_scores(speakers=8)


def pair(table: pd.DataFrame, a: str, b: str) -> pd.Series:
    clean = table[table["condition"] == "clean"]
    return clean[(clean["method_a"] == a) & (clean["method_b"] == b)].iloc[0]


def test_findings_need_a_significant_difference(scores: pd.DataFrame) -> None:
    found = compare_methods(scores, "abpc", margin=0.5, difference=0.2)
    assert pair(found.pairs, "emolime", "random")["finding"] == "a better"
    assert pair(found.pairs, "energy", "oracle")["finding"] == "b better"
    near = pair(found.pairs, "energy", "saliency")
    assert near["finding"] in (NO_DIFFERENCE, "equivalent") and near["clips_needed"] > 0 and near["detectable"] > 0
    assert near["p_permutation_smallest"] == 1 / 128 and near["margin"] == 0.5
    for row in found.pairs.itertuples():
        assert row.p_holm < 0.05 or row.finding in (NO_DIFFERENCE, "equivalent")
    # the record's margin where none is given
    assert pair(compare_methods(scores, "abpc").pairs, "energy", "saliency")["margin"] == pytest.approx(np.log(1.25))
    with pytest.raises(InputError, match="--margin"):
        compare_methods(scores, "abpc", margin=0)


def test_a_winner_with_misses_is_not_called_better(scores: pd.DataFrame) -> None:
    lost = scores.copy()
    lost.loc[(lost["method"] == "emolime") & (lost["clip"] == "s00c0"), ["value", "status"]] = [np.nan, "failed"]
    row = pair(compare_methods(lost, "abpc").pairs, "emolime", "random")
    assert row["finding"] == "ahead, with misses" and row["misses_a"] == 1 and row["n_clips"] == 48


def test_a_sign_that_changes_between_models_is_marked(scores: pd.DataFrame) -> None:
    turned = scores.copy()
    turned.loc[(turned["method"] == "emolime") & (turned["fold"] == "0"), "value"] -= 5
    row = pair(compare_methods(turned, "abpc").pairs, "emolime", "saliency")
    assert row["sign_changes"] and row["models_low"] < 0 < row["models_high"] and row["n_models"] == 5
    assert not pair(compare_methods(scores, "abpc").pairs, "emolime", "random")["sign_changes"]
    board = leaderboard(turned[(turned["metric"] == "abpc") & (turned["condition"] == "clean")]).set_index("method")
    assert "saliency" in board.loc["emolime", "sign_changes"].split("; ")
    assert "emolime" in board.loc["saliency", "sign_changes"].split("; ")


def test_order_over_cells_is_friedmans(scores: pd.DataFrame) -> None:
    found = compare_methods(scores, "abpc")
    assert found.order is not None and found.order.n_cells == 3
    complete = scores[(scores["metric"] == "abpc") & scores["method"].isin(["random", "energy", "saliency", "emolime"])]
    means = complete.pivot_table(index="condition", columns="method", values="value")
    expected = stats.friedmanchisquare(*means.to_numpy().T)
    again = compare_methods(complete, "abpc")
    assert again.order is not None
    assert (again.order.chi2, again.order.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert again.methods == sorted(again.methods)
    ranks = found.ranks[found.ranks["condition"] == "clean"].set_index("method")
    assert (
        ranks.loc["oracle", "rank"] == 1 and ranks.loc["oracle", "rank_low"] == 1 and ranks.loc["oracle", "first"] == 1
    )


def test_sentences_widen_what_speakers_alone_would_claim(scores: pd.DataFrame, tmp_path: Path) -> None:
    part = scores[(scores["metric"] == "abpc") & (scores["condition"] == "clean")].copy()
    sentence = part["clip"].str[-1].astype(int)
    part.loc[part["method"] == "emolime", "value"] += (
        0.6 * np.array([1.0, -1, 1, -1, 1, -1])[sentence][part["method"] == "emolime"]
    )
    rows = {(row.corpus, row.clip, f"t{row.clip[-1]}", "female") for row in part.itertuples()}
    write_clip_facts(tmp_path, rows)
    facts = read_clip_facts(tmp_path)
    assert len(facts) == 48 and list(facts.columns) == ["corpus", "clip", "sentence", "sex"]
    joined_scores = with_clip_facts(part, [tmp_path])
    one, two = (pair(compare_pairwise(table), "emolime", "random") for table in (part, joined_scores))
    assert (one["scope"], two["scope"]) == ("these sentences", "speakers and sentences")
    assert two["n_sentences"] == 6 and two["se"] > 1.5 * one["se"] and two["difference"] == one["difference"]
    scopes = leaderboard(joined_scores).set_index("method")["scope"]
    assert scopes["emolime"] == "speakers and sentences"
    assert scopes["oracle"] == "these sentences"  # it skips the neutral clips, all of one sentence
    other = with_clip_facts(part, [tmp_path / "none"])
    assert other is part  # a run without the table is tested by speaker alone


def test_critical_difference_diagram(scores: pd.DataFrame, tmp_path: Path) -> None:
    table = orders(scores)
    assert set(table["family"]) == {"faithfulness", "localisation"}
    best = table.groupby("family").first()
    assert set(best["method"]) == {"oracle"} and (best["average_rank"] == 1).all()
    path = critical_difference(table, tmp_path / "order.png")
    assert path.read_bytes().startswith(b"\x89PNG") and len(pd.read_csv(path.with_suffix(".csv"))) == len(table)
    assert joined(np.array([1.0, 2.0, 2.5]), 0.6) == [0, 2, 2]
    outside = orders(scores.assign(method=scores["method"].astype(str).replace("emolime", "maps:emolime")))
    assert set(outside.loc[outside["method"] == "maps:emolime", "family"]) == {"faithfulness"}
    assert set(table.loc[table["method"] == "emolime", "family"]) == set(table["family"]) == set(outside["family"])
    with pytest.raises(InputError, match="two or more cells"):
        critical_difference(orders(scores[scores["condition"] == "clean"]).iloc[:0], tmp_path / "none.png")


@pytest.mark.parametrize("content", [b"", b"corpus,clip\n", b'corpus,"clip', b"\xff\xfe,a", b"a,b\n1,2,3\n4,5,6,7\n"])
def test_a_damaged_table_of_clips_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"clips\.csv: (cannot be read|lacks columns)"):
        read_clip_facts(tmp_path)
