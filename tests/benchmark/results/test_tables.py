"""Tables of committed results: agreement about the order of methods, ranks, and the build in two processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.claims import CLAIM_1, Finding
from serxai.benchmark.analysis.rank_agreement import rank_agreement
from serxai.benchmark.results.agreement import AGREEMENT, agreement
from serxai.benchmark.results.build import build_results
from serxai.benchmark.results.tables import (
    EMOLIME_1,
    HEADLINE,
    RANKS,
    as_csv,
    as_texts,
    first_claim_table,
    rank_table,
)
from serxai.benchmark.stats.concordance import concordance, opposed


def test_opposed_pairs_are_those_that_two_raters_order_differently():
    assert opposed(np.array([[1.0, 2, 3], [1, 2, 3]])) == 0
    assert opposed(np.array([[1.0, 2, 3], [3, 2, 1]])) == 1
    assert opposed(np.array([[1.0, 2, 3], [1, 3, 2]])) == pytest.approx(1 / 3)


def test_agreement_varies_one_thing_and_orients_metrics():
    rows = []
    for corpus, sign in (("x", 1), ("y", -1)):
        for metric in ("abpc", "deletion"):  # less is better in deletion
            worth = sign if metric == "abpc" else -sign
            rows += [
                dict.fromkeys(HEADLINE, "") | {"corpus": corpus, "model": "cnn", "trained_on": corpus, "metric": metric,
                 "family": "faithfulness", "fill": "noise", "method": m, "mean": worth * i, "condition": "clean"}
                for i, m in enumerate(("emolime", "saliency", "occlusion@bands=4", "energy", "random"))
            ]  # fmt: skip
    found = agreement(pd.DataFrame(rows)).set_index("varied")
    assert found.loc["metrics", "w"].tolist() == [1, 1] and found.loc["metrics", "opposed"].tolist() == [0, 0]
    assert found.loc["corpora", "w"].tolist() == [0, 0] and found.loc["corpora", "opposed"].tolist() == [1, 1]
    assert set(found["n_methods"]) == {3} and "fills" not in found.index


def test_orders_of_emotions_and_sexes_stand_beside_those_of_corpora(make_scores: Callable) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    scores = scores[~scores["method"].isin(["oracle", "<odd & name>"])]
    third = scores[scores["method"] == "saliency"]
    better = third["emotion"].eq("anger").map({True: 5.0, False: -5.0}) * third["direction"].map(
        {"higher": 1, "lower": -1}
    )
    scores = pd.concat([scores, third.assign(method="gradcam", value=third["value"] + better)], ignore_index=True)
    scores = scores.assign(sex=np.where(scores["speaker"] < "s04", "female", "male"))
    groups = rank_agreement(scores)
    board = pd.DataFrame(columns=HEADLINE).astype({"mean": float})
    found = agreement(board, groups)
    assert list(found) == AGREEMENT and set(found["varied"]) == {"emotions", "sexes"}
    assert set(found["metric"]) == {"abpc", "deletion"}  # core metrics and that of the bar
    one = found[(found["metric"] == "deletion") & (found["varied"] == "emotions")].iloc[0]
    of_metric = scores[(scores["metric"] == "deletion") & scores["method"].isin(["saliency", "emolime", "gradcam"])]
    means = of_metric.pivot_table(index="emotion", columns="method", values="value").to_numpy()
    assert one["w"] == pytest.approx(concordance(means)) and one["opposed"] == pytest.approx(opposed(means))
    assert one["over"] == "anger happiness neutral sadness" and (one["n_raters"], one["n_methods"]) == (4, 3)
    assert one["p"] < 0.02 and one["w"] < one["w_random"]
    assert one[["corpus", "model", "fill"]].tolist() == ["planted", "cnn", "twin"]
    text = as_texts({"agreement": as_csv(found)})["agreement"]
    assert len(text[(text["varied"] == "emotions") & (text["metric"] == "abpc") & (text["corpus"] == "planted")]) == 1


def test_ranks_and_their_disagreement() -> None:
    worth = {"abpc": [4, 3, 2, 1], "deletion": [-4, -3, -2, -1], "insertion": [4, 1, 2, 2]}  # less deletion is better
    rows = [
        {"corpus": "x", "model": "cnn", "trained_on": "x", "family": "faithfulness", "fill": "noise", "method": method,
         "metric": metric, "mean": float(value), "condition": "clean"}
        for metric, values in worth.items()
        for method, value in zip(("emolime", "gradcam", "occlusion", "saliency"), values, strict=True)
    ]  # fmt: skip
    board = pd.DataFrame(rows)
    extra = board[board["method"] == "emolime"].assign(method="energy", mean=99.0)
    found = rank_table(pd.concat([board, extra, board.assign(condition="noise-10db", mean=0.0)]))
    assert list(found) == RANKS and found["method"].tolist() == ["emolime", "gradcam", "occlusion", "saliency"]
    ranks = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 4, 2.5, 2.5]])
    assert found["mean_rank"].to_numpy() == pytest.approx(ranks.mean(axis=0))
    assert found["disagreement"].to_numpy() == pytest.approx(ranks.std(axis=0))
    assert set(found["n_metrics"]) == {3} and set(found["n_methods"]) == {4}
    rng = np.random.default_rng(0)
    random = np.array([rng.permuted(np.tile(np.arange(1, 5), (3, 1)), axis=1).std(axis=0) for _ in range(4000)])
    assert found["disagreement_chance"].iloc[0] == pytest.approx(np.sqrt((random**2).mean()), rel=0.02)
    assert rank_table(board[board["metric"] == "abpc"]).empty


@pytest.mark.long
def test_two_processes_build_what_one_does(results: Path, tmp_path: Path) -> None:
    built = {}
    for workers in (1, 2):
        found = build_results(results, tmp_path / str(workers), workers=workers)
        pages = [path for path in (tmp_path / str(workers)).rglob("*") if path.is_file()]
        built[workers] = {path.relative_to(tmp_path / str(workers)): path.read_bytes() for path in pages}
        built[workers] |= {path.name: path.read_bytes() for path in (results / "board").iterdir()}
        assert found.page.is_file() and "emolime-robustness" not in found.not_drawn
    assert built[1] == built[2]
    names = {"agreement.csv", "ranks.csv", "metrics_by_class.csv", "metric_pairs.csv", "recognisers.csv"}
    assert names | {"cue_groups.csv"} <= {str(name) for name in built[1]}


def test_the_first_claim_is_told_by_reading() -> None:
    readings = (
        "(8 bands, disjoint speakers)",
        "(without the lowest band, same clips for both recognisers)",
        "(8 bands)",
        "",
    )
    found = [
        Finding(CLAIM_1, f"m{i}", "x; y", f"similarity {text}".strip(), i, i - 1, i + 1)
        for i, text in enumerate(readings)
    ]
    table = first_claim_table([*found, Finding("EmoLIME 2", "m", "x", "weight (8 bands)")])
    assert list(table) == EMOLIME_1 and table["method"].tolist() == ["m0", "m1", "m2", "m3"]
    assert table["bands"].tolist() == ["8 bands", "without the lowest band", "8 bands", ""]
    assert table["clips"].tolist() == ["disjoint speakers", "same clips for both recognisers", "", ""]
    assert table[["estimate", "low", "high"]].iloc[2].tolist() == [2, 1, 3]
