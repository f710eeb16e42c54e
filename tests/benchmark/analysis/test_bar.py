"""Marks: both baselines in faithfulness and localisation, a stated score in sanity, one family of tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from serxai.benchmark.analysis.bar import sanity_p
from serxai.benchmark.analysis.leaderboard import family_ranking, leaderboard
from serxai.benchmark.report.tables import mark
from serxai.benchmark.report.tables import tests_note as note_on_tests
from serxai.benchmark.stats.clustered import CELL, cells
from serxai.benchmark.stats.clustered import tests_against as against
from serxai.benchmark.stats.multiplicity import holm, intersection_union


def test_marks_are_holm_corrected_over_the_family(make_scores: Callable) -> None:
    scores = make_scores(speakers=8)
    board = leaderboard(scores)
    for family in ("faithfulness", "localisation"):
        part = board[(board["family"] == family) & ~board["baseline"].astype(bool)]
        p = []
        for row in part.itertuples():
            chosen = scores[(scores["metric"] == row.metric) & (scores["condition"] == row.condition)]
            chosen = chosen[chosen["method"].isin([row.method, "random", "energy"])]
            if row.n_misses:
                p.append(1.0)
                continue
            laid_out = list(cells(chosen))
            one, two = (against(laid_out, name).set_index("method").loc[row.method] for name in ("random", "energy"))
            p.append(float(intersection_union(one.p, two.p, one.difference > 0, two.difference > 0)))
        np.testing.assert_allclose(part["p_bar"].to_numpy(dtype=float), holm(p), rtol=1e-9)
        assert (part["passes_bar"] == "yes").sum() == (holm(p) < 0.05).sum() > 0
    assert board.loc[board["baseline"].astype(bool), "p_bar"].isna().all()
    others = board[board["family"].isin(["robustness", "cost"])]
    assert (others["passes_bar"] == "").all()
    assert all(mark(row) == "" for _, row in board[board["family"] == "cost"].iterrows())


def holm_by_hand(p: list[float]) -> list[float]:
    """Step down one by one: the smallest p times the tests left, never less than the one before, at most 1."""
    left, last, out = dict(enumerate(p)), 0.0, [0.0] * len(p)
    while left:
        place = min(left, key=left.__getitem__)
        last = max(last, min(left[place] * len(left), 1.0))
        out[place] = last
        del left[place]
    return out


def test_the_family_and_the_setting_are_told_beside_the_p_that_decides(make_scores: Callable) -> None:
    """``p_bar`` is corrected over the board's ``n_tests``, ``p_setting`` over one cell; only the first decides."""
    scores = make_scores(speakers=8)
    board = leaderboard(scores)
    for family in ("faithfulness", "localisation"):
        part = board[(board["family"] == family) & board["p_bar"].notna()]
        assert set(part["n_tests"]) == {len(part)} and part.groupby(CELL).ngroups > 1
        assert (part["p_setting"] <= part["p_bar"] + 1e-12).all() and (part["p_setting"] < part["p_bar"]).any()
    alone = scores.query("metric == 'abpc' and condition == 'clean'")
    one = leaderboard(alone)
    tested = one[one["p_bar"].notna()]
    np.testing.assert_allclose(tested["p_bar"], tested["p_setting"])  # a board of one setting
    cells_of = (board["metric"] == "abpc") & (board["condition"] == "clean") & board["p_setting"].notna()
    np.testing.assert_allclose(board.loc[cells_of, "p_setting"], tested["p_setting"])
    p = []
    for method in tested["method"]:
        chosen = list(cells(alone[alone["method"].isin([method, "random", "energy"])]))
        one_of, other = (against(chosen, name).set_index("method").loc[method] for name in ("random", "energy"))
        p.append(max(one_of.p, other.p) if one_of.difference > 0 and other.difference > 0 else 1.0)
    np.testing.assert_allclose(tested["p_setting"], holm_by_hand(p), rtol=1e-9)
    assert board.loc[board["baseline"].astype(bool), ["n_tests", "p_setting"]].isna().all(axis=None)
    n = board.loc[board["family"] == "faithfulness", "n_tests"].max()
    assert f"{n} tests of faithfulness" in note_on_tests(board)


def test_beating_random_alone_is_not_better(make_scores: Callable) -> None:
    """A method as good as `energy`, which beats `random`, has no mark."""
    scores = make_scores(speakers=8, conditions=("clean",))
    again = scores["method"] == "saliency"
    energy = scores[scores["method"] == "energy"]
    rng = np.random.default_rng(0)
    scores.loc[again, "value"] = energy["value"].to_numpy() + rng.normal(0, 0.1, len(energy))
    board = leaderboard(scores).query("metric == 'mass-accuracy'").set_index("method")
    row = board.loc["saliency"]
    assert row["beats_random"] == "yes" and row["passes_bar"] == "no" and mark(row) == ""
    without = leaderboard(scores[scores["method"] != "energy"])
    assert set(without.loc[without["method"] == "emolime", "passes_bar"]) == {"no claim", ""}


def test_sanity_has_a_stated_score() -> None:
    rng = np.random.default_rng(1)
    speakers = np.repeat(np.arange(8), 4)
    near, far = rng.normal(0.1, 0.1, 32), rng.normal(0.9, 0.02, 32)
    values = np.stack([near, far, np.full(32, 0.2), np.full(32, np.nan)], axis=1)
    p = sanity_p("random-logit", values, [speakers])  # the lower the better, at most .5
    assert p[0] < 0.001 and p[1] == 1 and p[2] == 0 and np.isnan(p[3])
    assert np.isnan(sanity_p("abpc", values, [speakers])).all()
    assert np.isnan(sanity_p("random-logit", values[:16], [speakers[:16]])).all()  # four speakers
    null = 0.5 + rng.normal(0, 0.1, (8, 2000))[speakers] + rng.normal(0, 0.2, (32, 2000))
    assert np.mean(sanity_p("random-logit", null, [speakers]) < 0.05) < 0.035  # one direction of a two-sided test


def test_too_few_speakers_pass_no_bar(make_scores: Callable) -> None:
    board = leaderboard(make_scores(speakers=4, conditions=("clean",)))
    methods = board[(board["family"] == "faithfulness") & ~board["baseline"].astype(bool)]
    assert set(methods["passes_bar"]) == {"no claim"}
    assert (board["scope"] == "described only").all()


def of_plausibility(make_scores: Callable, gains: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Scores of metrics of plausibility: each method's mean above the rules, which are at 0, by metric and method."""
    source = make_scores(speakers=8, conditions=("clean",)).query("metric == 'mass-accuracy' and method == 'energy'")
    noise = np.random.default_rng(3)
    rows = []
    for metric, by_method in gains.items():
        for method, gain in by_method.items():
            values = gain + noise.normal(0, 0.1, len(source))
            rows.append(
                source.assign(family="plausibility", metric=metric, method=method, direction="higher", value=values)
            )
    return pd.concat(rows, ignore_index=True)


RULES = {"random": 0.0, "energy": 0.0, "loud-quiet": 0.0}


def test_plausible_is_what_beats_every_rule(make_scores: Callable) -> None:
    both = ("neutral-agreement-trained", "neutral-agreement")
    gains = {metric: {**RULES, "loud-quiet": 0.5, "saliency": 0.5, "occlusion": 1.0} for metric in both}

    def of_trained() -> pd.DataFrame:
        board = leaderboard(of_plausibility(make_scores, gains))
        return board[board["metric"] == "neutral-agreement-trained"].set_index("method")

    board = of_trained()
    assert board["passes_bar"].to_dict() == {
        "random": "", "energy": "", "loud-quiet": "", "saliency": "no", "occlusion": "yes"
    }  # fmt: skip
    assert board.loc["saliency", "beats_random"] == "yes" and mark(board.loc["saliency"]) == ""
    assert mark(board.loc["occlusion"]) == "▲" and board.loc["occlusion", "rank"] == 1
    for metric in both:
        del gains[metric]["loud-quiet"]
    board = of_trained()
    assert set(board["passes_bar"]) == {"", "no claim"}  # a rule was not run


def test_beyond_permuted_weights_a_method_must_beat_the_rules_too(make_scores: Callable) -> None:
    trained = {**RULES, "saliency": 0.5, "occlusion": 0.5}
    gains = {"neutral-agreement-trained": trained, "neutral-agreement": {**RULES, "saliency": -0.3, "occlusion": 0.3}}
    board = leaderboard(of_plausibility(make_scores, gains)).set_index(["metric", "method"])
    ranked = board.loc["neutral-agreement-trained", "passes_bar"]
    assert ranked["saliency"] == "no" and ranked["occlusion"] == "yes"
    described = board.loc["neutral-agreement"]
    assert described["rank"].isna().all() and set(described["passes_bar"]) == set(described["group"]) == {""}
    shown = board.reset_index().query("metric == 'neutral-agreement'")
    assert shown["mean"].notna().all() and all(mark(row) == "" for _, row in shown.iterrows())
    alone = leaderboard(of_plausibility(make_scores, {"neutral-agreement-trained": trained})).set_index("method")
    assert alone.loc["occlusion", "passes_bar"] == "no claim"


def test_metrics_that_rules_can_win_rank_nobody(make_scores: Callable) -> None:
    scores = of_plausibility(make_scores, {"direction-agreement": {**RULES, "saliency": 0.5}})
    board = leaderboard(scores)
    assert board["rank"].isna().all() and set(board["beats_random"]) == {""}
    assert family_ranking(board)["rank"].isna().all()
