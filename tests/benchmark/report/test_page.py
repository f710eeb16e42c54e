"""The start view in a browser: what it shows, sorts and filters is what Python computes; data stays text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.audio import Grid
from serxai.audio.loudness import rms_db
from serxai.benchmark.analysis.axis_board import axis_board
from serxai.benchmark.analysis.axis_rows import AxisTables
from serxai.benchmark.analysis.band_table import COLUMNS
from serxai.benchmark.analysis.group_views import group_views
from serxai.benchmark.analysis.leaderboard import family_ranking, leaderboard
from serxai.benchmark.analysis.robustness import pooled
from serxai.benchmark.report.html import page_environment
from serxai.benchmark.report.page.axes import axis_rows, strength_rows
from serxai.benchmark.report.page.clip_data import score_chunks
from serxai.benchmark.report.page.encode import rounded, safe_json, table
from serxai.benchmark.report.page.examples import Example, Recordings, chosen_clips, example_files, may_sound
from serxai.benchmark.report.page.payload import Setting, settings_of
from serxai.benchmark.report.page.write import PageParts, write_page
from serxai.benchmark.report.robustness import NOTHING, Robustness, read_table
from serxai.benchmark.report.tables import mark
from serxai.benchmark.storage.store import Explanation
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import CORPORA
from serxai.errors import InputError
from serxai.methods.attribution import Attribution

HOSTILE = "</script><img src=x onerror=alert(1)>"
SIZE_LIMIT = 3_000_000
# what the columns of the start view show of these scores
SHOWN = {1: "abpc", 3: "mass-accuracy"}  # by column; the second is robustness under shift
PROTOTYPE = ("constructor", "__proto__")  # methods called like properties of every JavaScript object
WITH_MISSES = {"<odd & name>"}


def several(make_scores) -> pd.DataFrame:
    """Two corpora and two recognisers, one with a hostile name; the second corpus has its own order of methods."""
    scores = make_scores(speakers=8, clips=4, conditions=("clean", "noise-20db"))
    scores = scores[(scores["condition"] == "clean") | (scores["metric"] == "consistency")]
    scores["sex"] = np.where(scores["speaker"] < "s04", "female", "male")
    saliency = scores[scores["method"] == "saliency"]
    scores = pd.concat([scores, *(saliency.assign(method=name) for name in PROTOTYPE)], ignore_index=True)
    other = scores[scores["condition"] == "clean"].assign(corpus="emodb", model=HOSTILE)
    other["value"] = other["value"].where(other["method"] != "saliency", other["value"] + 2)
    return pd.concat([scores, other], ignore_index=True)


def compared(scores: pd.DataFrame) -> Robustness:
    """Each method's clips under two shifts, as `axis_clips` has them: floor .1, ceiling 1, one changed prediction."""
    rows = []
    clips = scores[scores["corpus"] == "planted"].drop_duplicates("clip")
    for i, method in enumerate(("emolime", "saliency", "energy", *PROTOTYPE)):
        for j, row in enumerate(clips.to_dict("records")):
            for condition in ("noise-20db", "noise-10db"):
                rows.append(
                    {
                        "axis": "shift", "corpus": "planted", "model": "cnn (planted)", "other": condition,
                        "method": method, "strength": 20.0, "clip": row["clip"], "speaker": row["speaker"],
                        "sentence": "", "emotion": row["emotion"], "target": row["emotion"], "unchanged": j > 0,
                        "similarity": 0.4 + 0.1 * i + 0.01 * (j % 7), "floor": 0.1, "other_emotions": 0.1,
                        "ceiling": 1.0, "cells": 320,
                    }
                )  # fmt: skip
    clips = pd.DataFrame(rows)
    passed = {("planted", "cnn (planted)"): {"emolime", "saliency"}}
    return Robustness(axis_board(AxisTables(clips, pd.DataFrame(columns=COLUMNS)), passed), clips, pooled(clips))


@pytest.fixture(scope="module")
def made(make_scores, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    scores = several(make_scores)
    board, views = leaderboard(scores), group_views(scores)
    parts = PageParts(
        f"Title {HOSTILE}", "Summary & <b>.", [f"note {HOSTILE}"], [["failed", 1, HOSTILE, "a", "b"]],
        [("leaderboard.csv", "rows")], compared(scores),
    )  # fmt: skip
    infos = [{"corpora": {"emodb": {"licence": HOSTILE, "citation": "<i>", "version": "1"}}}]
    page = write_page(tmp_path_factory.mktemp("page"), page_environment(), scores, board, views, infos, parts)
    return SimpleNamespace(page=page, scores=scores, board=board, views=views, robust=parts.robust)


@pytest.fixture(scope="module")
def tab(browser, made) -> Iterator[Any]:
    opened = browser.open(made.page)
    yield opened
    opened.close()


def address(**choices: str) -> str:
    return "#" + urlencode(choices)


def lines(tab) -> list[str]:
    return tab.js("[...document.querySelectorAll('table.board tbody tr')].map((row) => row.dataset.method)")


def cells(tab, column: int) -> dict[str, float | None]:
    """Values of a column of the table, by method."""
    return tab.js(
        "Object.fromEntries([...document.querySelectorAll('table.board tbody tr')].map((row) => [row.dataset.method, "
        f"row.cells[{column}].dataset.value === undefined ? null : Number(row.cells[{column}].dataset.value)]))"
    )


def of_setting(rows: pd.DataFrame, metric: str, corpus: str = "planted", condition: str = "clean") -> pd.DataFrame:
    return rows[(rows["metric"] == metric) & (rows["corpus"] == corpus) & (rows["condition"] == condition)]


def best_first(values: pd.Series, down: bool = True) -> list[str]:
    """Methods sorted by value, ties by name, missing ones last."""
    order = sorted(values.dropna().items(), key=lambda item: (-item[1] if down else item[1], item[0]))
    return [name for name, _ in order] + sorted(values[values.isna()].index)


# -- in Python ---------------------------------------------------------------------------------------------------------


def test_text_in_a_page_cannot_end_its_script() -> None:
    text = safe_json({"a": HOSTILE + "\u2028&"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"a": HOSTILE + "\u2028&"}


def test_columns_of_a_table_say_what_they_hold() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "x"], "b": [1.23456789, np.nan, np.inf], "c": ["k"] * 3, "d": [1, 2, 2]})
    frame["e"] = pd.array([1, None, 3], "Int64")
    found = table(frame, ["a", "b", "c", "d", "e", "absent"])
    assert found == {
        "a": {"d": ["x", "y"], "c": [0, 1, 0]}, "b": [1.2346, None, None], "c": {"k": "k", "n": 3}, "d": [1, 2, 2],
        "e": [1, None, 3],
    }  # fmt: skip
    assert rounded(True) == 1 and rounded(pd.NA) is None and rounded(-0.000123456) == -0.00012346


def test_chunks_hold_every_score_once(made) -> None:
    """Each chunk's values are the clips' means over repeats; counts of missing ones are those of the rows."""
    settings = settings_of(made.board)
    metrics = {name: i for i, name in enumerate(made.board["metric"].unique())}
    found = dict(score_chunks(made.scores, settings, metrics))
    assert len(found) == 5 + 4
    chunk = found[f"scores-{[s.corpus for s in settings].index('planted')}-{metrics['abpc']}"]
    rows = of_setting(made.scores, "abpc")
    clips = sorted(rows["clip"].unique())
    cell = chunk["cells"][0]
    expected = rows.pivot_table(index="method", columns="clip", values="value").reindex(cell["methods"], columns=clips)
    assert [sorted(made.scores["clip"].unique())[i] for i in cell["clips"]] == clips
    np.testing.assert_allclose(np.array(cell["values"], float), expected, rtol=1e-4)
    lost = rows[rows["status"] != "ok"].groupby("method")["clip"].nunique()
    assert {name: sum(n for _, n in why) for name, why in cell["reasons"]} == lost.to_dict()


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_opens_from_disk_without_a_fault(browser, made, width: int, dark: bool) -> None:
    opened = browser.open(made.page, width, dark=dark)
    assert opened.faults() == [] and opened.axe() == []
    assert opened.js("document.documentElement.scrollWidth <= window.innerWidth")
    dark_paper = opened.js("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark_paper == dark
    opened.close()


def test_names_stay_text(tab, made) -> None:
    tab.go(address(corpus="emodb"))
    assert tab.js("document.querySelectorAll('img, b b, i').length") == 0
    body = tab.js("document.body.textContent")
    assert body.count(HOSTILE) >= 3 and tab.js("document.title") == f"Title {HOSTILE}"
    assert HOSTILE not in made.page.read_text("utf-8") and tab.faults() == []
    tab.go("")


def test_cells_are_those_of_the_board(tab, made) -> None:
    tab.go(address(corpus="planted"))
    heads = tab.js(
        "[...document.querySelectorAll('table.board thead th')].map((th) => th.querySelector('button').textContent)"
    )
    assert heads[1:4] == ["faithfulness", "robustness", "localisation"]
    for column, metric in SHOWN.items():
        rows = of_setting(made.board, metric).set_index("method")
        assert cells(tab, column) == {name: rounded(mean) for name, mean in rows["mean"].items()}
    text = tab.js("document.querySelector('tr[data-method=emolime] td').innerText")
    row = of_setting(made.board, "abpc").set_index("method").loc["emolime"]
    rank = family_ranking(made.board).query("corpus == 'planted' and family == 'faithfulness' and method == 'emolime'")
    assert "▲" in text and row["group"] in text and f"{row['low']:.2f} … {row['high']:.2f}" in text
    assert f"#{rank['rank'].iloc[0]}" in text


def test_sorting_is_that_of_python(tab, made) -> None:
    """By each column, best and worst first; lower is better for deletion, and for calls."""
    abpc = of_setting(made.board, "abpc").set_index("method")["mean"]
    deletion = of_setting(made.board, "deletion").set_index("method")["mean"]
    for choices, expected in (
        ({"sort": "faithfulness"}, best_first(abpc)),
        ({"sort": "faithfulness", "dir": "worst"}, best_first(abpc, down=False)),
        ({"sort": "faithfulness", "metric.faithfulness": "deletion"}, best_first(deletion, down=False)),
        ({"sort": "method"}, sorted(abpc.index)),
    ):
        tab.go(address(corpus="planted", **choices))
        assert lines(tab) == expected, choices
    calls = of_setting(made.board, "explanation-calls").set_index("method")["mean"]
    tab.go(address(corpus="planted", sort="calls"))
    assert lines(tab) == best_first(calls, down=False)
    tab.act("document.querySelectorAll('table.board th button.sort')[1].click()")
    tab.act("document.querySelectorAll('table.board th button.sort')[1].click()")
    assert lines(tab) == best_first(abpc, down=False) and "dir=worst" in tab.js("location.hash")
    assert tab.js("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"


def test_filters_and_deep_links_are_those_of_python(browser, tab, made) -> None:
    tab.go(address(corpus="planted", show="better"))
    shown = made.board[
        (made.board["corpus"] == "planted") & made.board["metric"].isin(SHOWN.values()) & ~made.board["baseline"]
    ]
    marks = shown.apply(mark, axis=1)
    assert set(lines(tab)) == set(shown["method"][marks == "▲"]) and "emolime" in lines(tab)
    tab.go(address(corpus="planted"))
    tab.act("const q = document.querySelector('input[name=q]'); q.value = 'EMO'; q.dispatchEvent(new Event('input'))")
    assert lines(tab) == ["emolime"]
    for group, view in (("anger", "emotion"), ("female", "sex")):
        tab.go(address(corpus="planted", **{view: group}))
        rows = of_setting(made.views[made.views["group"] == group], "abpc").set_index("method")["mean"]
        assert cells(tab, 1) == {name: rounded(mean) for name, mean in rows.items()}
        assert "▲" not in tab.js("document.querySelector('table.board tbody').innerText")
    tab.go(address(corpus="planted", emotion="anger", sex="female"))
    scored = of_setting(made.scores, "abpc").query("emotion == 'anger' and sex == 'female' and status == 'ok'")
    means = scored.groupby("method")["value"].mean()
    whole = {name: value for name, value in cells(tab, 1).items() if name not in WITH_MISSES and value is not None}
    assert set(whole) >= set(means.index) - WITH_MISSES and len(whole) > 3
    np.testing.assert_allclose(list(whole.values()), means[list(whole)], rtol=1e-4)
    tab.go(address(corpus="planted", value="energy"))
    gain = of_setting(made.board, "abpc").set_index("method")["diff_energy"]
    assert cells(tab, 1) == {name: rounded(value) for name, value in gain.items()}
    # a link opened anew shows the same
    again = browser.open(made.page, at=address(corpus="emodb", sort="faithfulness", dir="worst", q="e"))
    emodb = of_setting(made.board, "abpc", "emodb").set_index("method")["mean"]
    kept = emodb[[name for name in emodb.index if "e" in name or name == "random"]]
    assert lines(again) == best_first(kept, down=False)
    again.go(address(corpus="nowhere", sort="x", emotion="boredom", open="[9]", clip="7"))
    assert len(lines(again)) == emodb.size and again.faults() == []
    again.close()


def test_robustness_is_the_ranking_of_the_axes(tab, made) -> None:
    """Scores, ranks and clips of the axis of shifts; where nothing was compared, what measures it is said."""
    tab.go(address(corpus="planted"))
    axes = made.robust.axes.set_index("method")
    shown = cells(tab, 2)
    assert {name: value for name, value in shown.items() if value is not None} == axes["score"].map(rounded).to_dict()
    ranks = {
        name: tab.js(f"document.querySelector('tr[data-method={name}]').cells[2].innerText") for name in axes.index
    }
    assert {name for name, text in ranks.items() if "#" in text} == {"emolime", "saliency"} and "#1" in ranks[
        "saliency"
    ]
    said = tab.js("document.getElementById('answer').innerText")
    assert "most robust of the 2 methods that beat random and energy: saliency" in said
    assert "a map that does not look at the recogniser is robust too" in said and "object" not in said
    tab.js("document.querySelector('tr[data-method=saliency]').cells[2].querySelector('button').click()")
    tab.wait("document.querySelector('dialog[open] table[data-clips]')")
    rows = made.robust.clips.query("method == 'saliency' and unchanged").groupby("clip")["similarity"].mean()
    listed = tab.js("[...document.querySelectorAll('dialog table[data-clips] tbody tr')].map((r) => r.innerText)")
    assert {line.split("\t")[0]: line.split("\t")[1] for line in listed} == rows.map("{:.2f}".format).to_dict()
    assert "62 of 64 comparisons, 2 with a changed prediction left out" in tab.js(
        "document.querySelector('dialog').innerText"
    )
    tab.go(address(corpus="emodb"))
    said = tab.js("document.getElementById('answer').innerText")
    assert "not measured in this run" in said
    assert "serxai run --preset shift-curves --corpus emodb --model NAME --out RUN" in said and tab.faults() == []


def test_rows_of_axes_are_those_of_their_setting(made) -> None:
    robust = made.robust
    corpora = {"axis": "corpora", "corpus": "", "model": "cnn", "method": "emolime", "score": 0.5, "compared": "a, b"}
    axes = pd.concat([robust.axes, pd.DataFrame([corpora])], ignore_index=True)
    settings = [Setting("planted", "cnn@1", "planted", "no"), Setting("planted", "cnn", "planted", "no")]
    rows = axis_rows(axes, robust.clips, settings)
    assert rows.groupby("model")["metric"].unique().map(list).to_dict() == {
        "cnn@1": ["axis: corpora"], "cnn": ["axis: shift", "axis: corpora"],
    }  # fmt: skip
    assert axis_rows(NOTHING.axes, NOTHING.clips, settings).empty


def test_a_corrected_p_stands_beside_an_interval_of_one_test(tab, made) -> None:
    tab.go(address(corpus="planted"))
    said = tab.js("document.getElementById('answer').innerText")
    tests = made.board[made.board["family"] == "faithfulness"]["p_bar"].notna().sum()
    assert f"corrected for {tests} tests of faithfulness (Holm)" in said
    assert "marks and p are corrected" in tab.js("document.getElementById('key').innerText")


@pytest.mark.parametrize("name", PROTOTYPE)
def test_a_method_may_be_called_like_a_property_of_every_object(tab, name: str) -> None:
    for column in (1, 2):
        tab.go(address(corpus="planted", q=name))
        tab.js(f"document.querySelector('tr[data-method={name}]').cells[{column}].querySelector('button').click()")
        tab.wait("document.querySelector('dialog[open] table[data-clips]')")
        assert tab.js("document.querySelector('dialog h2').innerText").startswith(f"{name}: ")
        assert "Without a score" not in tab.js("document.querySelector('dialog').innerText")
    tab.go("")
    assert tab.faults() == []


def test_links_within_the_page_leave_the_choices(tab) -> None:
    tab.go(address(corpus="planted", sort="method"))
    before = tab.js("location.hash")
    tab.js("document.querySelector('.skip').click()")
    assert tab.js("document.activeElement.id") == "table" and tab.js("location.hash") == before


def test_strength_curves_are_of_shifts_alone_and_of_a_setting() -> None:
    row = {"axis": "shift", "corpus": "a", "model": "m (b)", "other": "noise-10db", "method": "x", "score": 0.5}
    settings = [Setting("c", "m", "b", "no"), Setting("a", "m", "b", "no")]
    rows = pd.DataFrame([row, row | {"axis": "seed"}, row | {"model": "m"}, row | {"score": np.nan}])
    expected = [{"setting": 1, "method": "x", "condition": "noise-10db", "score": 0.5}]
    assert strength_rows(rows, settings) == expected
    assert strength_rows(None, settings) == strength_rows(pd.DataFrame({"axis": ["shift"]}), settings) == []


def test_recognisers_stand_side_by_side(tab, made) -> None:
    tab.go(address(columns="recognisers", family="faithfulness"))
    for column, corpus in ((1, "emodb"), (2, "planted")):
        rows = of_setting(made.board, "abpc", corpus).set_index("method")["mean"]
        assert cells(tab, column) == {name: rounded(mean) for name, mean in rows.items()}


def test_a_number_opens_its_clips_and_escape_closes_them(tab, made) -> None:
    tab.go(address(corpus="planted"))
    tab.js("document.querySelector('tr[data-method=emolime] button.cell').focus()")
    tab.key("Enter", 13)
    tab.wait("document.querySelector('dialog[open] table[data-clips]')")
    rows = of_setting(made.scores, "abpc")
    own = rows[rows["method"] == "emolime"].set_index("clip")["value"].sort_values(ascending=False)
    listed = tab.js("[...document.querySelectorAll('dialog table[data-clips] tbody tr')].map((r) => r.innerText)")
    assert [line.split("\t")[0] for line in listed] == list(own.index)
    np.testing.assert_allclose([float(line.split("\t")[1]) for line in listed], own, rtol=0, atol=0.0051)
    row = of_setting(made.board, "abpc").set_index("method").loc["emolime"]
    said = tab.js("document.querySelector('dialog').innerText")
    assert f"+{row['diff_energy']:.2f} [{row['diff_energy_low']:.2f}, {row['diff_energy_high']:.2f}]" in said
    assert "emotion: anger" in said and "sex: female" in said and "Samek" in said
    assert tab.axe() == [] and "open=" in tab.js("location.hash")
    tab.key("Escape", 27)
    tab.wait("!document.querySelector('dialog').open && !location.hash.includes('open=')")
    tab.js("document.querySelectorAll('table.board button.help')[0].click()")
    said = tab.js("document.querySelector('dialog').innerText")
    assert "Metrics of faithfulness" in said and "deletion" in said and "source" in said and tab.axe() == []
    tab.act("[...document.querySelectorAll('dialog button')].find((b) => b.textContent === 'show').click()")
    assert "metric.faithfulness=deletion" in tab.js("location.hash") and tab.faults() == []


def test_the_page_is_light(made) -> None:
    assert made.page.stat().st_size < SIZE_LIMIT / 10


# -- single clips ------------------------------------------------------------------------------------------------------


def test_only_corpora_in_the_public_domain_may_sound(tmp_path) -> None:
    allowed = {name for name in CORPORA.names() if may_sound(name)}
    assert "emodb" in allowed and "planted" in allowed
    assert not allowed & {"ravdess", "tess", "nemo", "crema-d", "savee", "iemocap", "folder:a.csv", "unknown"}
    recordings = Recordings(tmp_path)
    assert recordings.clip("ravdess", "a") is None and recordings.clip("emodb", "a") is None
    assert "not in the public domain (CC-BY-NC-SA-4.0)" in recordings.reasons["ravdess"]
    assert "were not found" in recordings.reasons["emodb"]


def test_clips_are_drawn_without_looking_at_scores(made) -> None:
    rows = made.scores[made.scores["corpus"] == "planted"]
    chosen = chosen_clips(rows, 6)
    emotion = rows.drop_duplicates("clip").set_index("clip")["emotion"]
    assert set(emotion[chosen[:4]]) == {"anger", "happiness", "neutral", "sadness"} and len(set(chosen)) == 6
    again = rows.sample(frac=1, random_state=3).assign(value=lambda part: -part["value"])
    assert chosen_clips(again, 6) == chosen and chosen_clips(rows, 0) == []


def test_an_example_holds_the_map_and_sounds_at_one_level() -> None:
    n = 16000
    samples = (0.05 * np.sin(2 * np.pi * np.array([[300], [3000]]) * np.arange(n) / n)).sum(axis=0).astype(np.float32)
    clip = Clip("c", samples, "anger", "s", "female", "a", "planted")
    bands = Grid(np.array([0.0, 1000, 8000]), np.array([0.0, 1.0]))
    maps = {
        name: Explanation(
            Attribution(np.array(values), bands, "anger", name), "planted", "cnn", "c", "clean", 0, duration_s=1.0
        )
        for name, values in (("emolime", [[1.0], [-0.5]]), ("random", [[0.0], [0.0]]))
    }
    example = Example(0, "c", "planted", maps)
    chunk, files = example_files(example, clip, "example-0")
    drawn = dict(chunk["maps"])
    names = [chunk["original"], *drawn["emolime"]["sounds"], *drawn["random"]["sounds"]]
    assert set(files) == {*names, chunk["picture"]} and files[chunk["picture"]][:4] == b"\x89PNG"
    sounds = [soundfile.read(io.BytesIO(files[name]))[0] for name in names]
    levels = [rms_db(sound) for sound in sounds]
    assert levels == pytest.approx([levels[0]] * 5, abs=0.05) and all(np.abs(sound).max() < 1 for sound in sounds)
    low, high = (np.abs(np.fft.rfft(sounds[1]))[hz] for hz in (300, 3000))
    assert low > 20 * high  # kept are the bands below 1 kHz
    shown = drawn["emolime"]
    steps = np.array(shown["steps"])
    assert steps.shape == (16, len(shown["time"]) - 1) and steps.max() == shown["of"] and steps.min() < 0
    assert shown["freq"][0] == 0 and shown["freq"][-1] == 1 and not np.array(drawn["random"]["steps"]).any()
    silent, nothing = example_files(example, None, "example-0")
    assert nothing == {} and "picture" not in silent and "sounds" not in dict(silent["maps"])["emolime"]
    assert dict(silent["maps"])["emolime"]["steps"] == shown["steps"]


@pytest.mark.parametrize(
    "content", [b"", b"axis,score\nshift,many\n", b"\xff\xfe", b'axis,"score\n', b"a,b\n1,2\n3,4,5\n"]
)
def test_a_damaged_table_of_robustness_is_named(tmp_path, content: bytes) -> None:
    path = tmp_path / "robustness.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"robustness\.csv: cannot be read"):
        read_table(path)
