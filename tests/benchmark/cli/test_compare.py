"""``serxai compare``: which pairs are tested, what is printed of many cells, and records of results."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis.pairs import compare_methods
from serxai.benchmark.cli.compare_short import against_baselines
from serxai.benchmark.cli.main import main
from serxai.benchmark.stats.clustered import CELL, places_of_pairs

RECORD = Path(__file__).parents[3] / "results" / "tess" / "cnn-trained-on-emodb"


@pytest.fixture(scope="module")
def scores(make_scores: Callable) -> pd.DataFrame:
    table = make_scores(speakers=8)
    return table[(table["metric"] == "abpc") & (table["condition"] == "clean")]


def test_pairs_against_baselines_are_those_that_hold_one() -> None:
    names = ["crp", "energy", "gradcam", "random"]
    told = {(names[a], names[b]) for a, b in places_of_pairs(names, ["energy", "random"])}
    assert told == {pair for pair in combinations(names, 2) if {"energy", "random"} & set(pair)}
    assert len(places_of_pairs(names)) == 6 and places_of_pairs(["crp"]).shape == (0, 2)


def test_p_is_corrected_over_the_pairs_compared(scores: pd.DataFrame) -> None:
    found = compare_methods(scores, "abpc", against=["energy"]).pairs
    every = compare_methods(scores, "abpc").pairs
    assert len(found) == scores["method"].nunique() - 1
    assert (found[["method_a", "method_b"]] == "energy").any(axis=1).all()
    keys = [*CELL, "method_a", "method_b"]
    both = found.merge(every, on=keys, suffixes=("", "_of_all"))
    assert len(both) == len(found) and np.allclose(both["p"], both["p_of_all"])
    assert (both["p_holm"] <= both["p_holm_of_all"] + 1e-12).all()
    ordered = both.sort_values("p")["p"].to_numpy()  # Holm by hand
    by_hand = np.minimum(np.maximum.accumulate(ordered * np.arange(len(ordered), 0, -1)), 1)
    assert np.allclose(both.sort_values("p")["p_holm"], by_hand)
    in_groups = compare_methods(scores, "abpc", against=["energy"]).groups
    assert (in_groups[["method_a", "method_b"]] == "energy").any(axis=1).all()


def test_the_short_table_has_a_line_a_method(scores: pd.DataFrame) -> None:
    found = compare_methods(scores, "abpc", against=["energy", "random"])
    console = Console(width=160, no_color=True)
    with console.capture() as caught:
        console.print(against_baselines(found.pairs.to_dict("records"), found.ranks, "title", 160))
    lines = caught.get().splitlines()
    assert lines[0] == "title"
    for name in scores["method"].unique():
        assert sum(line.startswith((f"{name} ", f"{name}! ")) for line in lines) == 1
    pairs = found.pairs.set_index(["method_a", "method_b"])
    own = next(line for line in lines if line.startswith("emolime "))
    assert f"{pairs.loc[('emolime', 'random'), 'difference']:+.2f}" in own
    other = next(line for line in lines if line.startswith("saliency "))  # the pair is stored as energy less saliency
    assert f"{-pairs.loc[('energy', 'saliency'), 'difference']:+.2f}" in other


def test_records_of_results_are_compared_by_scores(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", str(RECORD), "--metric", "abpc", "--condition", "clean"]
    assert main([*asked, "--method", "occlusion", "--method", "emolime-sampled"]) == 0
    told = capsys.readouterr()
    assert "maps are not compared: the runs are records of results" in told.err
    assert "occlusion" in told.out and "explanations of the same clips" not in told.out
    assert main([*asked, "--model", "cnn", "--fill", "noise", "--corpus", "tess"]) == 0
    assert "fill noise" in capsys.readouterr().out
    for flag in ("model", "fill", "corpus", "condition"):
        assert main([*asked, f"--{flag}", "nothing"]) == 2
        assert f"--{flag}" in capsys.readouterr().err
