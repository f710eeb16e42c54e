"""Matched references on boards: mismatches are marked and never tested; unsigned maps carry a sign."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.pairs import compare_methods
from serxai.benchmark.analysis.references import mismatched, references
from serxai.benchmark.report.html import write_board
from serxai.benchmark.report.tables import mark
from serxai.benchmark.report.text import as_latex, as_markdown, terminal_table
from serxai.benchmark.stats.clustered import CELL
from serxai.benchmark.stats.multiplicity import holm
from serxai.methods.records import METHODS

AGAINST = {"random": "none", "energy": "none", "saliency": "none", "emolime": "silence", "<odd & name>": "own"}
TESTED = ["difference", "difference_low", "p_holm", "effect", "superiority", "diff_energy", "p_bar"]


@pytest.fixture(scope="module")
def scores(make_scores: Callable) -> pd.DataFrame:
    """Scores with fill ``attenuate``, of which those of emolime (silence) and the oracle (twin) do not match."""
    frame = make_scores(speakers=8, conditions=("clean",))
    frame["fill"] = frame["fill"].replace("twin", "attenuate")
    return frame.assign(explained_against=frame["method"].map(AGAINST | {"oracle": "twin"}))


@pytest.fixture(scope="module")
def board(scores: pd.DataFrame) -> pd.DataFrame:
    return leaderboard(scores)


def test_a_row_is_a_mismatch_where_fill_and_reference_differ() -> None:
    cases = [
        ("attenuate", "attenuate", False), ("attenuate", "twin", True), ("attenuate", "silence", True),
        ("noise", "own", False), ("noise", "none", False), ("", "twin", False), ("twin", "twin", False),
        ("noise", "", False),
    ]  # fmt: skip
    rows = pd.DataFrame(cases, columns=["fill", "explained_against", "expected"])
    assert mismatched(rows).tolist() == rows["expected"].tolist()
    assert not mismatched(rows[["fill"]]).any()
    assert mismatched(rows.astype({"fill": "category", "explained_against": "category"})).tolist() == list(
        rows["expected"]
    )


def test_one_mismatched_row_makes_a_method_a_mismatch(scores: pd.DataFrame) -> None:
    one = scores.copy()
    at = one.index[(one["metric"] == "abpc") & (one["method"] == "saliency")][0]
    one.loc[at, "explained_against"] = "noise"
    found = references(one).set_index(["metric", "method"])
    assert found.loc[("abpc", "saliency"), "mismatch"] and not found.loc[("deletion", "saliency"), "mismatch"]
    assert found.loc[("abpc", "saliency"), "explained_against"] == "noise none"
    assert not references(one.drop(columns="explained_against"))["mismatch"].any()


def test_mismatches_are_not_tested(board: pd.DataFrame) -> None:
    apart = board[board["mismatch"]]
    assert set(apart["method"]) == {"emolime", "oracle"} and set(apart["metric"]) == {"abpc", "deletion"}
    assert apart[TESTED].isna().all(axis=None) and apart["mean"].notna().all() and apart["rank"].notna().all()
    assert set(apart["group"]) == {""} and set(apart["beats_random"]) == {"no claim"}
    assert set(apart["passes_bar"]) == {"no claim", ""}  # the oracle is a baseline
    assert all(mark(row) == "" for _, row in apart.iterrows())
    assert apart["note"].str.contains("explained against (?:silence|twin), scored with attenuate: not tested").all()
    others = board[(board["metric"] == "mass-accuracy") & (board["method"] == "emolime")].iloc[0]
    assert others["passes_bar"] == "yes" and not others["mismatch"]  # it removes nothing


def test_the_others_are_tested_as_if_mismatches_were_not_there(scores: pd.DataFrame, board: pd.DataFrame) -> None:
    """Holm's family, letters and marks are those of a board without the mismatched methods."""
    without = leaderboard(scores[~(scores["method"].isin(["emolime", "oracle"]) & (scores["fill"] != ""))])
    keys = [*CELL, "method"]
    # of a method with misses the worst score counts, which all methods say
    both = board.merge(without, on=keys, suffixes=("", "_without")).query("method != '<odd & name>'")
    assert len(both) > 8
    for name in ("difference", "p_holm", "diff_energy"):
        np.testing.assert_allclose(both[name].astype(float), both[f"{name}_without"].astype(float))
    chosen = board[board["family"].eq("faithfulness") & board["p_bar"].notna()]
    assert set(chosen["method"]) == {"saliency", "<odd & name>"} and len(chosen) == 4
    saliency = chosen[chosen["method"] == "saliency"]
    assert (saliency["p_bar"] <= 1).all() and np.isfinite(holm(chosen["p_bar"].to_numpy(dtype=float))).all()


def test_compare_does_not_test_them(scores: pd.DataFrame) -> None:
    """A pair with a mismatch keeps its difference only; Holm is over the others."""
    pairs = compare_methods(scores, "abpc").pairs
    apart = pairs[["method_a", "method_b"]].isin(["emolime", "oracle"]).any(axis=1)
    assert apart.sum() == 9 and len(pairs) == 15
    assert pairs.loc[apart, ["p", "p_holm", "low", "high"]].isna().all(axis=None)
    assert pairs.loc[apart, "difference"].notna().all() and set(pairs.loc[apart, "finding"]) == {"no claim"}
    assert pairs.loc[apart, "note"].str.contains("scored with attenuate: not tested").all()
    np.testing.assert_allclose(pairs.loc[~apart, "p_holm"], holm(pairs.loc[~apart, "p"]))
    assert pairs.loc[~apart, "p_holm"].notna().all()
    matched = compare_methods(scores.drop(columns="explained_against"), "abpc").pairs
    np.testing.assert_allclose(matched.loc[~apart, "p"], pairs.loc[~apart, "p"])
    assert matched["p_holm"].notna().all()


@pytest.mark.long
def test_every_board_marks_them(scores: pd.DataFrame, board: pd.DataFrame, tmp_path: Path) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(board, ["abpc"]))
    printed = console.export_text()
    line = next(line for line in printed.splitlines() if line.startswith("emolime"))
    assert "≠" in line and "≠ explained against another fill" in " ".join(printed.split())
    write_board(scores, [], tmp_path)
    page = (tmp_path / "tables.html").read_text("utf-8")
    texts = as_markdown(board), as_latex(board).replace(r"$\neq$", "≠"), page
    for text in texts:
        assert "≠ not tested, explained oracle against twin; emolime against silence" in text
        assert "≠ explained against another fill than that of the score" in text
    matched = leaderboard(scores.drop(columns="explained_against"))
    assert "not tested, explained" not in as_markdown(matched) and not matched["mismatch"].any()
    back = pd.read_csv(tmp_path / "leaderboard.csv", keep_default_na=False)
    assert back["mismatch"].tolist() == board["mismatch"].tolist()
    assert set(back.loc[back["method"] == "oracle", "explained_against"]) == {"twin"}


def test_unsigned_maps_carry_a_sign(scores: pd.DataFrame, board: pd.DataFrame, tmp_path: Path, monkeypatch) -> None:
    """The sign follows the record; a method without a record has none."""
    signed = board.groupby("method")["signed"].first().to_dict()
    assert signed == {name: _signed(name) for name in signed} and signed["<odd & name>"] == ""
    assert signed["saliency"] == "no" and signed["emolime"] == "yes"
    write_board(scores, [], tmp_path)
    page = (tmp_path / "tables.html").read_text("utf-8")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(board))
    printed = console.export_text()
    for text in (as_markdown(board), as_latex(board).replace("$^{+}$", "⁺"), printed):
        assert "saliency⁺" in text and "emolime⁺" not in text and "⁺ unsigned" in text
    assert 'saliency<span title="unsigned' in page and 'emolime<span title="unsigned' not in page
    assert "⁺ unsigned: maps" in page
    monkeypatch.setitem(METHODS._records, "saliency", replace(METHODS.get("saliency"), signed=True))
    assert "saliency⁺" not in as_markdown(leaderboard(scores))


def _signed(name: str) -> str:
    if name not in METHODS:
        return ""
    return "yes" if METHODS.get(name).signed else "no"


def test_the_terminal_shows_the_first_fill_of_the_run(scores: pd.DataFrame) -> None:
    """Whatever the fills are called: the order is that of run.json, by corpus and model."""
    both = leaderboard(pd.concat([scores, scores[scores["fill"] != ""].assign(fill="twin")], ignore_index=True))
    for first, second in (("twin", "attenuate"), ("attenuate", "twin")):
        console = Console(width=100, file=io.StringIO(), record=True)
        console.print(terminal_table(both, ["abpc"], {"planted": {"cnn": [first, second]}}))
        printed = console.export_text()
        assert f"fill {first}" in printed and f"fill {second}" not in printed
