"""No metric reports a mean without coverage and interval, wherever it is shown."""

from __future__ import annotations

import io
import json
import re
from argparse import Namespace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from serxai.benchmark.analysis import agreement, fill_spread
from serxai.benchmark.analysis import plausibility as plausibility_report
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.cli import compare as cli_compare
from serxai.benchmark.report.html import write_board
from serxai.benchmark.report.text import as_latex, as_markdown, terminal_table, write_leaderboard
from serxai.benchmark.stats.clustered import compare_pairwise
from serxai.benchmark.storage.clip_facts import write_clip_facts
from serxai.metrics.verdict import board_grade

INTERVAL = re.compile(r"\d \[-?[\d.]+, -?[\d.]+\]")


@pytest.fixture(scope="module")
def scores(make_scores) -> pd.DataFrame:
    return make_scores(speakers=8, conditions=("clean", "noise-20db"))


@pytest.fixture(scope="module")
def folder(scores: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two fills."""
    out = tmp_path_factory.mktemp("board")
    again = scores[scores["fill"] != ""].assign(fill="noise")
    write_board(pd.concat([scores, again], ignore_index=True), [], out)
    return out


ESTIMATES = re.compile(
    r"(mean|value|difference|diff_energy|estimate|gain|gap|uar|rank_correlation(_of_means|_of_repeats)?|slope|(relative_)?noise|shrinkage"
    r"|calls|seconds|(slope|noise)_at_equal_shrinkage)(_a|_b)?"
)
# every other number: how it is tested, what it is compared with, how often, what it costs
NO_ESTIMATES = re.compile(
    r"(.*_)?(low|high)|rank|se|t|df|p|p_holm|effect|superiority|chance|coverage|strength|direction|threshold|model_calls"
    r"|(n_|fill_|difference_|diff_energy_)?(ok|failed|skipped|planned|clips|speakers|sentences|fills|explained(_a|_b)?)"
    r"|n_misses|n_models|p_bar|p_setting|n_tests|repeats_[ab]|counted|n_groups|n_methods|n_retrainings|w|w_random|opposed"
    r"|shared_(mean|clips)"  # what ranks rest on; the estimate is ``mean``
)
MAIN = ("mean", "value", "estimate", "difference")  # may own the columns ``low`` and ``high``


def has_bounds_and_counts(table: pd.DataFrame, what: str) -> set[str]:
    """Check each estimate of a table; returns their names. A number of neither list is refused."""
    columns = set(table.columns)
    numeric = pd.api.types.is_numeric_dtype
    numbers = {name for name in columns if numeric(table[name]) and table[name].notna().any()} - {
        "baseline",
        "mismatch",
    }
    estimates = {name for name in columns if ESTIMATES.fullmatch(name)}
    unknown = {name for name in numbers - estimates if not NO_ESTIMATES.fullmatch(name)}
    assert not unknown, f"{what}: are these estimates? {sorted(unknown)}"
    for name in estimates:
        own = {f"{name}_low", f"{name}_high"} <= columns
        assert own or (name in MAIN and {"low", "high"} <= columns), f"{what}: {name} has no interval"
        assert {"n_planned", "planned"} & columns, what
        assert {"n_ok", "n_clips", "clips", "n_explained"} & columns, what
    return estimates


@pytest.mark.parametrize("name", ["mean_a", "gain", "value", "noise_b", "slope"])
def test_an_estimate_without_interval_or_counts_is_refused(name: str) -> None:
    whole = pd.DataFrame({name: [1.0], f"{name}_low": [0.0], f"{name}_high": [2.0], "clips": [3], "planned": [4]})
    assert has_bounds_and_counts(whole, "whole") == {name}
    for missing in (f"{name}_low", "clips", "planned"):
        with pytest.raises(AssertionError):
            has_bounds_and_counts(whole.drop(columns=missing), "less")
    with pytest.raises(AssertionError, match="are these estimates"):
        has_bounds_and_counts(whole.assign(median=1.0), "more")


def test_every_table_of_numbers_has_bounds_and_counts(folder: Path, scores: pd.DataFrame) -> None:
    tables = sorted(folder.rglob("*.csv"))
    assert {path.name for path in tables} >= {
        "leaderboard.csv",
        "fills.csv",
        "groups.csv",
        "ranking.csv",
        "consistency.csv",
    }
    for path in tables:
        # agreement is of orders, set beside that of random groups
        assert has_bounds_and_counts(pd.read_csv(path), path.name) or path.name == "agreement.csv"
    for columns in (fill_spread.COLUMNS, agreement.COLUMNS, plausibility_report.COLUMNS):
        assert has_bounds_and_counts(pd.DataFrame(columns=columns), str(columns)) & {"mean", "value"}
    assert has_bounds_and_counts(compare_pairwise(scores, "abpc"), "compare") == {"difference"}


def test_plausibility_tables_have_bounds_and_counts(scores: pd.DataFrame, tmp_path: Path) -> None:
    part = scores[(scores["metric"] == "mass-accuracy") & (scores["condition"] == "clean")]
    part = part.assign(family="plausibility", metric="cue-profile")
    rows = pd.DataFrame([*plausibility_report.score_rows(part), *plausibility_report.correctness_rows(part)])
    table = rows.reindex(columns=plausibility_report.COLUMNS)
    assert has_bounds_and_counts(table, "plausibility") == {"value", "gain"}
    oracle = table[(table["method"] == "oracle") & (table["measure"] == "score of cue-profile")].iloc[0]
    assert (oracle["clips"], oracle["planned"]) == (40, 48)
    assert table["planned"].notna().all() and (table["clips"] <= table["planned"]).all()
    again = pd.concat([part, part.assign(repeat=1, value=part["value"] + 1)], ignore_index=True)
    twice = next(row for row in plausibility_report.score_rows(again) if row["method"] == "oracle")
    assert (twice["clips"], twice["planned"]) == (40, 48), "a clip counts once, however often it is repeated"
    assert twice["value"] == pytest.approx(oracle["value"] + 0.5)


def test_differences_rest_on_the_clips_that_both_have(make_scores, tmp_path: Path) -> None:
    """`random` scored on 8 of 48 clips: no difference to it rests on more, whatever the method's own coverage."""
    few = make_scores(speakers=8, conditions=("clean",))
    lost = (few["method"] == "random") & ~few["clip"].str.endswith("c0")
    few.loc[lost, ["value", "status", "reason"]] = [np.nan, "failed", "x"]
    few = pd.concat([few, few.assign(repeat=1)], ignore_index=True)
    board = write_board(few, [], tmp_path)[0]
    row = board[(board["metric"] == "abpc") & (board["method"] == "emolime")].iloc[0]
    assert (row["n_ok"], row["n_planned"]) == (96, 96)
    assert tuple(row[["difference_clips", "difference_planned", "difference_speakers"]]) == (8, 48, 8)
    assert board.loc[board["method"] == "random", "difference_clips"].isna().all()
    tests = (tmp_path / "tables.html").read_text().split("clips won")[1].split("</table>")[0]
    assert "8 of 48" in tests and "96 of 96" not in tests and "48 of 48" not in tests


@pytest.mark.long
def test_a_board_marks_what_is_not_qualified(scores: pd.DataFrame, tmp_path: Path) -> None:
    names = {"mass-accuracy": "weak-stress-mass", "abpc": "quantus:ROAD", "consistency": "direction-agreement:JL"}
    renamed = scores.assign(metric=scores["metric"].replace(names))
    board = write_board(renamed, [], tmp_path)[0]
    stands = board.groupby("metric")["metric_qualified"].first()
    assert stands["weak-stress-mass"] == stands["quantus:ROAD"] == "no verdict"
    assert stands["direction-agreement:JL"] == board_grade("direction-agreement")
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(terminal_table(board, list(names.values())))
    texts = [
        (tmp_path / "tables.html").read_text(),
        as_markdown(board),
        as_latex(board).replace(r"$^{\ddagger}$", "‡"),
        console.export_text(),
    ]
    for text in texts:
        assert "quantus:ROAD‡" in text and "serxai qualify --metric" in text
    assert "weak-stress-mass‡" in texts[0] and 'title="no verdict: not tested' in texts[0]


def test_an_interval_of_no_width_is_shown(scores: pd.DataFrame) -> None:
    constant = scores.copy()
    constant.loc[constant["method"] == "emolime", "value"] = 0.5
    for claim, speakers in ((True, 8), (False, 5)):
        some = constant[constant["speaker"] < f"s{speakers:02}"]
        console = Console(width=100, file=io.StringIO(), record=True)
        console.print(terminal_table(leaderboard(some), ["abpc", "explanation-calls"]))
        row = next(line for line in console.export_text().splitlines() if line.startswith("emolime"))
        assert row.count("±0") == (2 if claim else 0)


def test_clips_of_a_spread_are_not_multiplied_by_repeats(scores: pd.DataFrame) -> None:
    both = pd.concat([scores, scores[scores["fill"] != ""].assign(fill="noise")], ignore_index=True)
    four = pd.concat([both.assign(repeat=repeat) for repeat in range(4)], ignore_index=True)
    text = as_markdown(leaderboard(four)).split("## Spread over fills")[1]
    assert "48 of 48" in text and "of 192" not in text


def test_every_text_table_shows_interval_and_coverage(scores: pd.DataFrame) -> None:
    board = leaderboard(scores)
    metrics = board["metric"].nunique()
    rows = [line for line in as_markdown(board).splitlines() if re.match(r"\| (\d|–) \| emolime \|", line)]
    assert len(rows) >= metrics and all(INTERVAL.search(row) and row.endswith("% |") for row in rows)
    rows = [line for line in as_latex(board).splitlines() if "& emolime &" in line]
    assert len(rows) >= metrics and all(INTERVAL.search(row) and row.endswith(r"\% \\") for row in rows)


def test_the_terminal_shows_interval_and_coverage(scores: pd.DataFrame) -> None:
    varied = scores.copy()
    calls = varied["metric"] == "explanation-calls"
    varied.loc[calls, "value"] += (
        varied.loc[calls, "speaker"].str[1:].astype(float) * 10
    )  # calls that differ by speaker
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(terminal_table(leaderboard(varied)))
    lines = console.export_text().splitlines()
    row = next(line for line in lines if line.startswith("emolime"))
    assert row.count("±") == 3  # abpc, consistency, calls
    assert any(line.count("48 of 48") == 3 for line in lines)
    assert "scored on fewer clips: abpc: oracle 40" in " ".join(" ".join(lines).split())


class Cells(HTMLParser):
    """Data cells of the ranking tables, by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        if tag == "table":
            self.inside = attributes.get("class") == "ranking"
        elif tag == "tr" and self.inside:
            self.rows.append([])
        elif tag == "td" and self.inside:
            self.rows[-1].append("")
        elif tag == "span" and attributes.get("class") == "interval" and self.inside:
            self.rows[-1][-1] += "interval "

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_every_mean_of_the_page_has_its_interval_beside_it(folder: Path) -> None:
    parser = Cells()
    parser.feed((folder / "tables.html").read_text())
    rows = [row for row in parser.rows if row]
    assert len(rows) > 30
    for rank, *means, clips, coverage, _calls in ([cell.strip() for cell in row] for row in rows):
        assert rank and clips and coverage.endswith("%") and all("interval" in cell or cell == "–" for cell in means)


def test_compare_tells_how_many_of_the_planned_clips(
    make_run,
    scores: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    make_run(tmp_path / "run", scores)
    write_clip_facts(tmp_path / "run", [("planted", clip, f"t{clip[-1]}", "male") for clip in scores["clip"]])
    arguments = Namespace(
        runs=[tmp_path / "run"], metric="abpc", corpus=[], model=[], condition=[], fill=[], method=[], margin=None,
        difference=None, partial=False, all_pairs=False, json=True, csv=None,
    )  # fmt: skip
    assert cli_compare.compare(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    pair = next(
        p for p in found if {p["method_a"], p["method_b"]} == {"oracle", "random"} and p["condition"] == "clean"
    )
    assert pair["n_sentences"] == 5 and pair["scope"] == "these sentences"
    assert (pair["n_clips"], pair["n_planned"]) == (40, 48) and pair["low"] < pair["difference"] < pair["high"]
    arguments.json = False
    monkeypatch.setattr(cli_compare, "Console", lambda: Console(width=220))
    assert cli_compare.compare(arguments) == 0
    text = capsys.readouterr().out
    for expected in (
        "40 of 48",
        "no difference shown",
        "a better",
        "beside the p-value",
        "ranks by the mean",
        "(0.008)",
    ):
        assert expected in text


def test_written_files_are_those_checked(scores: pd.DataFrame, tmp_path: Path) -> None:
    """`write_leaderboard` writes the texts that the tests above look at."""
    board = leaderboard(scores)
    files = write_leaderboard(board, tmp_path)
    assert files["md"].read_text() == as_markdown(board) and files["tex"].read_text() == as_latex(board)
