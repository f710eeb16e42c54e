"""The HTML pages: parsed, complete, self-contained, escaped; opened in a browser where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serxai.benchmark.report.html import explanation_page, write_board

INFO = {
    "config": {"corpora": ["planted"], "limit": 64},
    "command": ["/usr/bin/serxai", "run", "--corpus", "planted", "--out", "runs/a b"],
    "started": "2026-01-01T00:00:00+00:00",
    "versions": {"serxai": "0.1.0", "torch": "2.13.0"},
    "git": {"commit": "abc123", "dirty": True},
    "machine": {"platform": "Linux-x", "cores": 2},
    "status": "done with failures",
    "model_calls": 1234,
    "corpora": {"planted": {"licence": "Licence <b>", "citation": "A & B 2026", "version": "1"}},
    "models": {
        "cnn trained on planted": {
            "scores": {"pooled": {"uar": 0.912, "uar_interval": [0.881, 0.943], "n": 640, "speakers": 16}}
        }
    },
}
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Tables as rows of text, loaded addresses, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.loaded: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self._stack: list[str] = []
        self.feed(text)
        assert self._stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.tags.append(tag)
        self.ids.add(facts.get("id") or "")
        self.loaded += [str(facts[k]) for k in ("src", "srcset", "data", "poster") if k in facts]
        if tag == "link":
            self.loaded.append(str(facts["href"]))
        if tag == "a":
            self.links.append(str(facts["href"]))
        if tag == "img":
            self.images.append(facts)
        if tag == "table":
            self.tables.append([])
        if tag == "caption":
            self.captions.append("")
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if "caption" in self._stack:
            self.captions[-1] += data
        elif "th" in self._stack or "td" in self._stack:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def folder(make_scores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    board, index = write_board(make_scores(speakers=8), [INFO], out)
    assert index == out / "index.html" and len(board) == 14 * 6
    assert {p.name for p in out.iterdir()} == {
        "index.html",
        "assets",
        "tables.html",
        "leaderboard.csv",
        "leaderboard.parquet",
        "leaderboard.md",
        "leaderboard.tex",
        "groups.csv",
        "agreement.csv",
        "figures",
    }
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "tables.html").read_text("utf-8"))


def table(page: Page, caption: str) -> list[list[str]]:
    return page.tables[page.captions.index(caption)]


def test_every_method_has_a_row_in_every_ranking(page: Page) -> None:
    rankings = [t for t in page.tables if t[0][:2] == ["method", "rank"]]
    assert len(rankings) == 11  # three families clean, four under each of two noise conditions
    for rows in rankings:
        names = {row[0].removesuffix(" baseline").removesuffix("⁺") for row in rows[1:]}
        assert names == {"random", "energy", "saliency", "emolime", "<odd & name>", "oracle"}
        assert all(len(row) == len(rows[0]) for row in rows)
        assert rows[0][-2:] == ["coverage", "calls"] and any("↑" in h or "↓" in h for h in rows[0])
    first = table(page, "faithfulness, clean, fill twin")
    assert first[1][0] == "oracle⁺ baseline" and first[1][1] == "1" and "▲" not in first[1][2]
    assert first[2][0] == "emolime" and "▲" in first[2][2] and "…" in first[2][2]
    assert first[2][-3:] == ["48", "100 %", "256"]


def test_what_was_run_is_told(page: Page, folder: Path) -> None:
    assert table(page, "Corpora")[1] == ["planted", "1", "Licence <b>", "A & B 2026"]
    model = table(page, "Recognisers, on speakers their fold models have not heard")[1]
    assert model == ["cnn trained on planted", "0.912", "0.881 … 0.943", "640", "16"]
    heard = table(page, "Recognisers on the clips explained")[1:]
    assert [row[1] for row in heard] == ["clean", "noise-20db", "noise-10db"]
    assert heard[0][2:6] == ["48", "8", "1.000", "1.000"] and heard[0][-1] == "no"
    failures = table(page, "Score rows without a score, by reason")
    assert failures[1][:3] == ["failed", "28", "ValueError: <script>alert(1)</script>"]
    assert failures[2][0] == "skipped" and failures[2][2:4] == ["no planted cue", "oracle"]
    metrics = {row[0]: row for row in table(page, "Metrics")[1:]}
    assert set(metrics) == {"deletion", "abpc", "mass-accuracy", "consistency", "explanation-calls"}
    assert metrics["deletion"][2] == "lower" and "Samek" in metrics["deletion"][4]
    assert "serxai run --corpus planted --out &#39;runs/a b&#39;" in (folder / "tables.html").read_text("utf-8")
    tests = table(page, "Positive differences are better, whatever the metric's direction")
    assert tests[0][:6] == ["method", "metric", "less random", "p (Holm)", "less energy", "p of the bar"]


def test_nothing_is_loaded_and_everything_is_escaped(page: Page, folder: Path) -> None:
    text = (folder / "tables.html").read_text("utf-8")
    assert page.loaded and all(address.startswith("data:") for address in page.loaded)
    assert "<script>alert" not in text and "<odd" not in text and "<b>" not in text
    assert page.tags.count("script") == 1 and "audio" not in page.tags
    assert all(image["alt"] for image in page.images) and len(page.images) == 3
    inside = [link for link in page.links if link != "index.html"]
    assert len(inside) == len(page.links) - 1 and all(link[0] == "#" and link[1:] in page.ids for link in inside)
    assert page.tags.count("caption") == page.tags.count("table")
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("ranking", "localisation", "consistency") for kind in ("png", "svg", "csv")
    }


@pytest.mark.long
def test_the_same_scores_give_the_same_page(folder: Path, make_scores, tmp_path: Path) -> None:
    write_board(make_scores(speakers=8).sample(frac=1, random_state=0), [INFO], tmp_path)
    for name in ("index.html", "tables.html", "leaderboard.csv", "leaderboard.md", "leaderboard.tex"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def tables_of(scores, infos: list[dict], out: Path) -> str:
    return write_board(scores, infos, out)[1].with_name("tables.html").read_text("utf-8")


@pytest.mark.long
def test_few_speakers_no_baseline_and_bare_infos(make_scores, tmp_path: Path) -> None:
    scores = make_scores(speakers=3, clips=4, conditions=("clean",))
    text = tables_of(scores[scores["method"] != "random"], [{}], tmp_path)
    assert "3 speakers. Nothing is claimed about a population" in text and "`random` was not run" in text
    assert "▲</span></td>" not in text and "▲</span> <sup>" not in text
    shared = {"cnn trained on emodb": {"scheme": {"name": "emobox", "speakers": 10, "shared_speakers": 10}}}
    text = tables_of(scores, [{"models": shared}], tmp_path / "shared")
    assert "cnn trained on emodb: the folds of emobox share 10 of 10 speakers" in text
    empty = tables_of(scores.iloc[:0], [], tmp_path / "empty")
    assert "Every planned score is there" in empty and "No figure" in empty


def a_cue(cue: str, value: float | None, sources: list[dict]) -> dict:
    numbers = dict.fromkeys(["salient", "rest", "contrast", "contrast_z", "z", "z_rest"], value)
    return numbers | {"cue": cue, "unit": "dB", "reference": "", "reason": "", "sources": sources, "windows_s": []}


def explanation() -> dict:
    found = {
        "sentence": "Nothing <i>here</i>.",
        "model_calls": 256,
        "outside_share": 0.02,
        "details": {},
        "cues": [
            a_cue("f0_level", 1.23456, [{"source": "A <b> 2003", "direction": 1, "status": "read", "agree": True}]),
            a_cue("hnr", None, []),
        ],
    }
    return {
        "audio": "a<b>.wav",
        "duration_s": 2.5,
        "model": "cnn",
        "trained_on": "planted",
        "seen_in_training": "unknown",
        "probabilities": {"sadness": 0.1, "anger": 0.9},
        "target": "anger",
        "failures": {"oracle": "no plant"},
        "explanations": {"emolime": found, "saliency": found | {"cues": []}},
    }


def test_an_explanation_page_shows_the_remarks_on_the_recording() -> None:
    remarks = [
        {"kind": "clipped", "detail": "3 <b> runs", "unusable": False},
        {"kind": "silent", "detail": "no sound", "unusable": True},
    ]
    text = explanation_page(explanation() | {"remarks": remarks}, {}, {})
    assert '<p class="warn">The recording: clipped: 3 &lt;b&gt; runs.</p>' in text
    assert "silent: no sound; there is nothing to explain in it, and serxai run skips it." in text
    assert "The recording:" not in explanation_page(explanation(), {}, {})


def test_explanation_page() -> None:
    files = ("a-original.wav", "a-kept.wav", "a-removed.wav")
    text = explanation_page(explanation(), {"emolime": b"\x89PNG"}, {"emolime": files})
    page = Page(text)
    assert [row[0] for row in page.tables[0][1:]] == ["anger explained", "sadness"]
    assert [row[:5] + row[6:7] for row in page.tables[1]] == [
        ["cue", "there", "elsewhere", "difference", "against chance", "sources that expect more"],
        ["pitch level", *["1.23"] * 4, "A <b> 2003"],
        ["harmonics to noise", *["–"] * 5],
    ]
    assert [a for a in page.loaded if not a.startswith("data:")] == list(files)
    assert "<b>" not in text and "<i>" not in text and "no plant" in text
    assert "Speaker heard in training: unknown" in text


# -- in a browser ------------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def chromium(*arguments: str) -> subprocess.CompletedProcess:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"]
    return subprocess.run([str(CHROMIUM), *flags, *arguments], capture_output=True, text=True, timeout=120)


@needs_browser
def test_browser_renders_without_errors_and_sorts(folder: Path, tmp_path: Path) -> None:
    """A click on a heading sorts: done by a script added to a copy, whose result is read from the DOM."""
    probe = """<script>
      const table = document.querySelector("table.ranking");
      const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.value).join("|");
      const button = table.tHead.querySelectorAll("button")[3];
      const before = names(); button.click(); const up = names(); button.click();
      const width = document.documentElement.scrollWidth <= window.innerWidth;
      document.body.dataset.probe = JSON.stringify([before, up, names(), width]);
    </script></body>"""
    copy = tmp_path / "probe.html"
    copy.write_text((folder / "tables.html").read_text("utf-8").replace("</body>", probe), "utf-8")
    done = chromium("--window-size=500,900", "--dump-dom", copy.as_uri())
    assert done.returncode == 0 and "CONSOLE" not in done.stderr
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found
    before, up, down, fits = (
        found[1]
        .replace("&quot;", '"')
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .removeprefix("[")
        .removesuffix("]")
        .split(",")
    )
    assert before.startswith('"oracle|') and down.startswith('"oracle|emolime|')  # abpc: best last, then best first
    assert up.endswith('emolime|oracle"')
    assert fits == "true"  # nothing sticks out on a narrow screen


@needs_browser
def test_browser_screenshot_shows_a_page(folder: Path, tmp_path: Path) -> None:
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    done = chromium("--window-size=800,800", f"--screenshot={shot}", (folder / "tables.html").as_uri())
    assert done.returncode == 0 and "CONSOLE" not in done.stderr
    pixels = imread(shot)
    assert pixels.shape[:2] == (800, 800)
    ink = pixels[..., :3].min(axis=2) < 0.7
    assert 0.01 < ink.mean() < 0.3  # text on paper, neither blank nor a black page
