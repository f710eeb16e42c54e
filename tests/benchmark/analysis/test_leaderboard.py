"""The leaderboard: known order, missing is missing, the same bytes for the same scores."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.leaderboard import BOARD_COLUMNS, family_ranking, leaderboard
from serxai.benchmark.report.tables import number, tables
from serxai.benchmark.report.text import as_latex, as_markdown, terminal_table, write_leaderboard
from serxai.benchmark.stats.clustered import clustered_mean
from serxai.errors import InputError
from serxai.methods.records import METHODS
from serxai.metrics.records import METRICS


@pytest.fixture(scope="module")
def scores(make_scores) -> pd.DataFrame:
    return make_scores(speakers=8)


@pytest.fixture(scope="module")
def board(scores: pd.DataFrame) -> pd.DataFrame:
    return leaderboard(scores)


def rows_of(board: pd.DataFrame, metric: str, condition: str = "clean") -> pd.DataFrame:
    return board[(board["metric"] == metric) & (board["condition"] == condition)].set_index("method")


@pytest.mark.parametrize("metric", ["deletion", "abpc", "mass-accuracy"])
def test_known_order_is_found_in_both_directions(board: pd.DataFrame, metric: str) -> None:
    rows = rows_of(board, metric)
    assert list(rows.index[:2]) == ["oracle", "emolime"] and list(rows["rank"][:2]) == [1, 2]
    assert rows.loc["oracle", "beats_random"] == rows.loc["emolime", "beats_random"] == "yes"
    assert rows.loc["emolime", "passes_bar"] == "yes" and rows.loc["oracle", "passes_bar"] == ""
    assert rows.loc["random", "beats_random"] == "" and rows.loc["<odd & name>", "beats_random"] == "no"
    assert rows.loc["oracle", "difference"] > 2 and rows.loc["oracle", "p_holm"] < 0.05
    # the oracle skips neutral clips and the other fails on two: neither can have a letter
    assert rows.loc["oracle", "group"] == rows.loc["<odd & name>", "group"] == ""
    assert rows.loc["emolime", "group"] == "a" and "a" not in rows.loc["random", "group"]
    assert set(rows.index[rows["baseline"]]) == {"random", "energy", "oracle"}


def test_means_intervals_and_counts_by_hand(scores: pd.DataFrame, board: pd.DataFrame) -> None:
    for method in ("emolime", "oracle", "<odd & name>"):
        raw = scores.query("metric == 'deletion' and condition == 'noise-20db' and method == @method")
        row = rows_of(board, "deletion", "noise-20db").loc[method]
        worst = scores.query("metric == 'deletion' and condition == 'noise-20db'").groupby("clip")["value"].max()
        values = raw["value"] if method == "oracle" else raw["value"].fillna(raw["clip"].map(worst))
        e = clustered_mean(values.to_numpy(), raw["speaker"].to_numpy())
        np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), (e.mean, e.low, e.high))
        counts = raw["status"].value_counts()
        assert tuple(row[["n_ok", "n_failed", "n_skipped"]]) == tuple(
            counts.get(s, 0) for s in ("ok", "failed", "skipped")
        )
        assert row["n_planned"] == 48 and row["coverage"] == counts["ok"] / 48 and row["n_clips"] == e.n
        assert row["n_misses"] == (2 if method == "<odd & name>" else 0)
        assert row["model_calls"] == 32
    assert rows_of(board, "deletion").loc["oracle", "n_skipped"] > 0
    assert rows_of(board, "deletion").loc["<odd & name>", "n_failed"] == 2


def test_columns_and_order_do_not_depend_on_the_rows(scores: pd.DataFrame, board: pd.DataFrame) -> None:
    assert list(board.columns) == BOARD_COLUMNS
    pd.testing.assert_frame_equal(board, leaderboard(scores.sample(frac=1, random_state=3)))
    assert list(dict.fromkeys(board["condition"])) == ["clean", "noise-20db", "noise-10db"]
    assert board.groupby(["metric", "condition"])["method"].nunique().eq(6).all()


def test_missing_is_missing(scores: pd.DataFrame) -> None:
    part = scores[scores["condition"] == "clean"].copy()
    part.loc[part["method"] == "saliency", ["value", "status", "reason"]] = [np.nan, "failed", "no gradient"]
    board = leaderboard(part)
    row = rows_of(board, "abpc").loc["saliency"]
    assert np.isnan(row["mean"]) and pd.isna(row["rank"]) and row["n_ok"] == 0 and row["coverage"] == 0
    assert row["beats_random"] == "no claim" and row["group"] == ""
    assert rows_of(board, "abpc").index[-1] == "saliency"
    assert rows_of(board, "abpc").loc["emolime", "group"] == "a"  # the others keep their letters
    assert "| – | saliency⁺ | – | – | 0 | 0% |" in as_markdown(board)
    ranked = family_ranking(board).query("family == 'faithfulness'").set_index("method")
    assert pd.isna(ranked.loc["saliency", "rank"]) and ranked.loc["saliency", "metrics"] == 0


def test_few_speakers_make_no_claim(make_scores) -> None:
    board = leaderboard(make_scores(speakers=4, conditions=("clean",)))
    assert board["low"].isna().all() and board["p_holm"].isna().all() and (board["group"] == "").all()
    assert set(board["beats_random"]) == {"", "no claim"}
    assert board.loc[board["method"] != "random", "note"].str.contains("4 speakers").all()
    assert "[" not in as_markdown(board).split("clean", 1)[1]


def test_speakers_seen_in_training_are_set_apart(scores: pd.DataFrame) -> None:
    part = scores[(scores["metric"] == "abpc") & (scores["condition"] == "clean")]
    seen = part.assign(seen_in_training="yes", value=part["value"] + 10)
    both = leaderboard(pd.concat([part, seen]))
    alone = leaderboard(part)
    # the marks of both settings are one family of tests
    kept = both[both["seen_in_training"] == "no"].reset_index(drop=True)
    of_board = ["p_bar", "n_tests"]
    pd.testing.assert_frame_equal(kept.drop(columns=of_board), alone.drop(columns=of_board))
    assert (kept["n_tests"].dropna() == 2 * alone["n_tests"].dropna()).all()
    assert (kept["p_bar"].dropna() >= alone["p_bar"].dropna()).all()
    assert len(both) == 2 * len(alone)
    assert "speakers seen in training: yes" in as_markdown(both)


def test_runs_are_joined_and_conflicts_refused(scores: pd.DataFrame, board: pd.DataFrame) -> None:
    failed = scores.assign(status="failed", value=np.nan, reason="killed")
    pd.testing.assert_frame_equal(leaderboard(pd.concat([failed.head(40), scores, scores])), board)
    with pytest.raises(InputError, match="two different scores"):
        leaderboard(pd.concat([scores, scores.assign(value=scores["value"] + 1)]))
    assert leaderboard(scores.iloc[:0]).empty and family_ranking(leaderboard(scores.iloc[:0])).empty


@pytest.mark.parametrize("renamed", [{}, {"abpc": "insertion"}, {"deletion": "sufficiency"}])
def test_family_ranking_is_the_mean_of_ranks_on_core_metrics(board: pd.DataFrame, renamed: dict[str, str]) -> None:
    """Near-copies do not count, unless a family has nothing else."""
    board = board.assign(metric=board["metric"].replace(renamed))
    counted = {
        (): {"deletion"},  # and not abpc
        ("abpc",): {"deletion", "insertion"},
        ("deletion",): {"sufficiency", "abpc"},  # neither is core
    }[tuple(renamed)]
    ranking = family_ranking(board)
    for (condition, method), part in board[board["metric"].isin(counted)].groupby(["condition", "method"]):
        chosen = (ranking["condition"] == condition) & (ranking["method"] == method)
        row = ranking[chosen & (ranking["family"] == "faithfulness")].iloc[0]
        assert row["mean_rank"] == np.mean(part["rank"].astype(float)) and row["of_metrics"] == len(counted)
        assert row["beats_random"] == (part["beats_random"] == "yes").sum()
    best = ranking[ranking["rank"] == 1].query("family != 'cost'")
    assert set(best["method"]) == {"oracle"} and (best["with_the_best"] == 0).all()  # it has no letters
    second = ranking[ranking["rank"] == 2].query("family != 'cost'")
    assert set(second["method"]) == {"emolime"} and (second["with_the_best"] == second["of_metrics"]).all()
    cost = ranking.query("family == 'cost'")
    assert cost["rank"].isna().all() and len(cost)  # described: less is not better


def test_tables_hold_every_method_and_its_cost(board: pd.DataFrame) -> None:
    found = list(tables(board))
    assert [t.title for t in found[:3]] == ["faithfulness, clean, fill twin", "localisation, clean", "cost, clean"]
    for table in found:
        assert {line.method for line in table.lines} == set(board["method"])
        assert {line.method: line.calls for line in table.lines}["emolime"] == 256
        ranks = [line.rank for line in table.lines]
        assert ranks == sorted(ranks, key=lambda r: (r is None, r))


def test_files_are_the_same_bytes_again(board: pd.DataFrame, tmp_path) -> None:
    first = {k: p.read_bytes() for k, p in write_leaderboard(board, tmp_path / "a").items()}
    again = {k: p.read_bytes() for k, p in write_leaderboard(board, tmp_path / "b").items()}
    assert first == again and set(first) == {"csv", "md", "tex"}
    back = pd.read_csv(tmp_path / "a" / "leaderboard.csv", keep_default_na=False)
    assert list(back.columns) == BOARD_COLUMNS and len(back) == len(board)
    np.testing.assert_allclose(back["mean"].astype(float), board["mean"], rtol=1e-9)


def test_names_are_escaped(board: pd.DataFrame) -> None:
    assert "<odd" not in as_markdown(board) and "&#60;odd &#38; name&#62;" in as_markdown(board)
    assert r"\textless{}odd \& name\textgreater{}" in as_latex(board)
    table = as_latex(board).split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(table) == 6 and all(line.endswith(r" \\") and line.count(" & ") == 5 for line in table)


def test_terminal_table_fits_eighty_columns(board: pd.DataFrame) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(board))
    text = console.export_text(clear=False)
    for expected in ("oracle*", "emolime", "<odd & name>", "abpc", "↑ better", "clean", "noise-20db", "fill twin", "▲"):
        assert expected in text
    assert "noise-10db" not in text and "…" not in text
    assert "deletion" not in text  # not a key metric
    rows = [line for line in text.splitlines() if line.startswith(("oracle*", "random*", "emolime"))]
    assert len(rows) == 4  # emolime once more, with its differences to both baselines
    assert "abpc" in text.split("differences to the baselines")[1] and "less energy" in text
    console.print(terminal_table(board, ["deletion"]))
    assert "↓ better" in console.export_text()


def test_number() -> None:
    assert [number(x) for x in (0.123, -9.994, 9.996, 99.96, 256, float("nan"))] == [
        "0.12",
        "-9.99",
        "10.0",
        "100",
        "256",
        "–",
    ]


def shown(board: pd.DataFrame) -> str:
    """The terminal table as text."""
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(terminal_table(board))
    return console.export_text()


def test_baselines_are_those_whose_record_says_so(scores: pd.DataFrame, monkeypatch) -> None:
    """The shipped rule-truth, and one that somebody registers; an unregistered method is none."""
    another = replace(METHODS.get("energy"), name="another-baseline")
    monkeypatch.setitem(METHODS._records, another.name, another)
    named = scores.replace({"method": {"saliency": "rule-truth", "emolime": another.name}})
    board = leaderboard(named)
    expected = {"random", "energy", "oracle", "rule-truth", "another-baseline"}
    assert set(board.loc[board["baseline"], "method"]) == expected == set(board["method"]) - {"<odd & name>"}
    text = shown(board)
    assert all(f"{name}*" in text for name in expected) and "<odd & name>*" not in text
    assert "rule-truth (baseline)" in as_markdown(board)


def test_terminal_shows_the_metrics_whose_record_says_headline(board: pd.DataFrame, monkeypatch) -> None:
    before = shown(board)
    assert "abpc" in before and "deletion" not in before
    for name, headline in (("abpc", False), ("deletion", True)):
        monkeypatch.setitem(METRICS._records, name, replace(METRICS.get(name), headline=headline))
    after = shown(board)
    assert "abpc" not in after and "deletion" in after


def test_calls_are_read_from_the_metric_that_counts_them(board: pd.DataFrame, monkeypatch) -> None:
    calls = {line.method: line.calls for line in next(iter(tables(board))).lines}
    assert calls["emolime"] == 256 and calls["random"] == 0
    record = METRICS.get("explanation-calls")
    monkeypatch.setitem(METRICS._records, record.name, replace(record, unit=""))
    assert all(np.isnan(line.calls) for line in next(iter(tables(board))).lines)
