"""``serxai.open_run``: the run as the commands read it, with their checks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import serxai
from serxai.benchmark.analysis.leaderboard import BOARD_COLUMNS
from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.score_rows import SCORE_COLUMNS
from serxai.errors import InputError

mpl.use("Agg")


@pytest.fixture(scope="module")
def folder(make_scores: Callable, make_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "run"
    make_run(path, make_scores(conditions=("clean",)))
    return path


@pytest.fixture(scope="module")
def opened(folder: Path) -> serxai.Run:
    return serxai.open_run(folder)


def test_score_rows_are_those_of_the_files_and_documented(opened: serxai.Run) -> None:
    assert list(opened.scores.columns)[: len(SCORE_COLUMNS)] == SCORE_COLUMNS
    assert len(opened.scores) == opened.info["planned_rows"]
    told = type(opened).scores.__doc__ or ""
    missing = [name for name in (*SCORE_COLUMNS, "sentence", "sex") if f"``{name}``" not in told]
    assert missing == []


@pytest.mark.long
def test_board_is_that_of_the_command(opened: serxai.Run, folder: Path, tmp_path: Path) -> None:
    board = opened.leaderboard()
    assert list(board.columns) == BOARD_COLUMNS
    assert main(["leaderboard", str(folder), "--out", str(tmp_path)]) == 0
    written = pd.read_csv(tmp_path / "leaderboard.csv")
    np.testing.assert_allclose(written["mean"], board["mean"], rtol=1e-6)
    assert set(opened.leaderboard("abpc")["metric"]) == {"abpc"}
    board.loc[:, "mean"] = 0.0  # a copy: the next caller gets the truth
    assert opened.leaderboard()["mean"].abs().sum() > 0


def test_pairs_are_those_of_the_command(opened: serxai.Run, folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compare", str(folder), "--metric", "abpc", "--all-pairs", "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)
    table = opened.compare(metric="abpc")
    assert [[row["method_a"], row["method_b"], row["finding"]] for row in pairs] == table[
        ["method_a", "method_b", "finding"]
    ].values.tolist()


def test_two_methods_in_the_order_given(opened: serxai.Run) -> None:
    there, back = opened.compare("emolime", "random", metric="abpc"), opened.compare("random", "emolime", metric="abpc")
    assert there["method_a"].tolist() == ["emolime"] and back["method_a"].tolist() == ["random"]
    # the truth is a difference of 1.5 in favour of emolime
    assert there["low"][0] < 1.5 < there["high"][0]
    assert there["finding"][0] == "a better" and back["finding"][0] == "b better"
    assert back["difference"][0] == -there["difference"][0]
    assert (back["low"][0], back["high"][0]) == (-there["high"][0], -there["low"][0])
    assert set(opened.compare("emolime", "random")["metric"]) == set(opened.scores["metric"])


def test_explanations_are_selected_and_drawn(opened: serxai.Run) -> None:
    import matplotlib.pyplot as plt

    index = opened.explanations.index()
    assert len(index) == 7 and set(index["method"]) == {"random"}
    one = opened.explanations.one(clip="clip-3")
    assert float(one.attribution.values.max()) == 3.5 and len(repr(one)) < 120
    assert len(one.to_frame()) == one.attribution.values.size and set(one.to_frame()["clip"]) == {"clip-3"}
    assert len(opened.explanations.to_frame()) == 7 * one.attribution.values.size
    _, ax = plt.subplots()
    assert one.plot(ax) is ax and "clip-3" in ax.get_title(loc="left")
    plt.close("all")
    assert list(opened.explanations.select(target="sadness")) == []
    with pytest.raises(InputError, match="7 explanations with no fact"):
        opened.explanations.one()
    with pytest.raises(InputError, match="0 explanations with clip='none'"):
        opened.explanations.one(clip="none")
    with pytest.raises(InputError, match="Did you mean 'method'"):
        opened.explanations.select(metod="random")


def test_explanation_as_labelled_array(opened: serxai.Run) -> None:
    pytest.importorskip("xarray")
    array = opened.explanations.one(clip="clip-3").to_xarray()
    assert array.attrs["clip"] == "clip-3" and array.shape == (2, 2)


@pytest.mark.long
def test_figure_is_that_of_the_command(opened: serxai.Run, folder: Path, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    figure = opened.figure("ranking")
    assert main(["figures", "ranking", "--run", str(folder), "--out", str(tmp_path)]) == 0
    assert figure.png == (tmp_path / "ranking.png").read_bytes() == figure._repr_png_()
    pd.testing.assert_frame_equal(figure.numbers, pd.read_csv(tmp_path / "ranking.csv"))
    assert figure.files == () and "ranking" in repr(figure)
    _, ax = plt.subplots()
    assert figure.plot(ax=ax) is ax and ax.images
    plt.close("all")
    kept = opened.figure("ranking", tmp_path / "kept")
    assert {path.name for path in kept.files} >= {"ranking.png", "ranking.csv", "ranking.svg"}
    with pytest.raises(InputError, match="Did you mean 'ranking'"):
        opened.figure("rankin")


def test_repr_and_page_are_short_and_safe(opened: serxai.Run) -> None:
    assert len(repr(opened)) < 250 and "done" in repr(opened)
    page = opened._repr_html_()
    assert "&lt;odd &amp; name&gt;" in page and "<odd" not in page


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda run: run.compare("emolime"), "two different methods"),
        (lambda run: run.compare("emolime", "emolime"), "two different methods"),
        (lambda run: run.compare("emolim", "random"), "Did you mean 'emolime'"),
        (lambda run: run.compare(metric="abp"), "Did you mean 'abpc'"),
        (lambda run: run.compare(metric="abpc", margin=-1), "^margin must be above 0"),
        (lambda run: run.leaderboard("abp"), "Did you mean 'abpc'"),
    ],
)
def test_wrong_names_are_told(opened: serxai.Run, call: Callable, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call(opened)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        serxai.open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json"):
        serxai.open_run(tmp_path)


def test_damage_and_gaps_are_refused_as_by_the_commands(make_scores: Callable, make_run: Callable, tmp_path: Path):
    store = make_run(tmp_path / "gap", make_scores(conditions=("clean",)))
    first = store.score_file(store.info["shards"][0])
    body = first.read_bytes()
    first.write_bytes(body[:200] + bytes([body[200] ^ 255]) + body[201:])
    with pytest.raises(InputError, match=first.name):
        _ = serxai.open_run(tmp_path / "gap").scores
    first.unlink()
    with pytest.raises(InputError, match="incomplete"):
        _ = serxai.open_run(tmp_path / "gap").scores
    with pytest.raises(InputError, match="incomplete"):
        serxai.open_run(tmp_path / "gap").figure("ranking")
    some = serxai.open_run(tmp_path / "gap", partial=True).scores
    assert 0 < len(some) < store.info["planned_rows"]
    file = store.explanation_file(store.info["shards"][1])
    file.write_bytes(b"no archive")
    with pytest.raises(InputError, match=file.name):
        list(serxai.open_run(tmp_path / "gap", partial=True).explanations)


def test_opening_a_run_imports_nothing_heavy(folder: Path) -> None:
    code = (
        f"import sys, serxai; run = serxai.open_run({str(folder)!r}); repr(run); run._repr_html_(); "
        "print(*{'torch', 'pandas', 'librosa', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
