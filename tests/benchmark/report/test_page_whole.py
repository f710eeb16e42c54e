"""Pages of whole runs in a browser: a large board, single clips seen and heard, every other page without a fault."""

from __future__ import annotations

import io
import json
import statistics
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.audio.loudness import rms_db
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.html import write_board

pytestmark = pytest.mark.long
WIDTHS = (1440, 390)
SIZE_LIMIT = 3_000_000
FIRST_PAINT_MS = 1000
METHODS, SPEAKERS, CLIPS = 30, 6, 4


def large_scores() -> pd.DataFrame:
    """Scores of 30 methods by three recognisers on two corpora, two conditions."""
    draw = np.random.default_rng(0)
    metrics = {
        "abpc": "faithfulness",
        "deletion": "faithfulness",
        "mass-accuracy": "localisation",
        "entropy": "complexity",
    }
    names = ["random", "energy", *(f"method-{i}" for i in range(METHODS - 2))]
    rows = []
    for corpus, model in (("planted", "cnn"), ("emodb", "cnn"), ("emodb", "embedding")):
        for condition in ("clean", "noise-10db"):
            for metric, family in metrics.items():
                lower = metric in ("deletion", "entropy")
                for place, method in enumerate(names):
                    for s in range(SPEAKERS):
                        for c in range(CLIPS):
                            value = (0.1 * place + draw.normal(0, 0.3)) * (-1 if lower else 1)
                            emotion = ("anger", "happiness", "neutral", "sadness")[c]
                            rows.append(
                                {
                                    "corpus": corpus, "fold": "0", "model": model, "trained_on": corpus,
                                    "seen_in_training": "no", "method": method, "condition": condition, "strength": 0.0,
                                    "metric": metric, "family": family, "direction": "lower" if lower else "higher",
                                    "space": "audio", "fill": "attenuate" if family == "faithfulness" else "",
                                    "clip": f"s{s}c{c}", "speaker": f"s{s}", "sex": "female" if s % 2 else "male",
                                    "emotion": emotion, "predicted": emotion, "correct": True, "target": emotion,
                                    "target_rule": "predicted", "seed": 0, "repeat": 0, "value": value, "status": "ok",
                                    "reason": "", "model_calls": 32,
                                }
                            )  # fmt: skip
    return pd.DataFrame(rows)


def open_every_page(browser, folder: Path) -> list[str]:
    """Open each page of a folder wide and narrow, light and dark: no fault, no violation, nothing wider than it.

    Returns
    -------
    list of str
        Names of the pages, relative to the folder.
    """
    pages = sorted(folder.rglob("*.html"))
    for page in pages:
        for width, dark in ((WIDTHS[0], False), (WIDTHS[1], True)):
            tab = browser.open(page, width, dark=dark)
            assert tab.faults() == [] and tab.axe() == [], (page, width)
            assert tab.js("document.documentElement.scrollWidth <= window.innerWidth"), (page, width)
            tab.close()
    return [page.relative_to(folder).as_posix() for page in pages]


def test_a_large_board_is_light_quick_and_without_a_fault(browser, tmp_path: Path) -> None:
    board, page = write_board(large_scores(), [{"versions": {"a": "1"}}, {"versions": {"a": "1"}}, {}], tmp_path)
    assert board["method"].nunique() == METHODS and page.stat().st_size < SIZE_LIMIT
    paints = []
    for _ in range(5):
        tab = browser.open(page)
        tab.wait("performance.getEntriesByName('first-contentful-paint').length")
        paints.append(tab.js("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        tab.close()
    assert statistics.median(paints) < FIRST_PAINT_MS, paints
    assert open_every_page(browser, tmp_path) == ["index.html", "tables.html"]
    tab = browser.open(page, at="#columns=recognisers&family=faithfulness")
    assert tab.js("document.querySelectorAll('table.board tbody tr').length") == METHODS
    rows = board[(board["metric"] == "abpc") & (board["condition"] == "clean")]
    for place, (corpus, model) in enumerate((("emodb", "cnn"), ("emodb", "embedding"), ("planted", "cnn")), start=1):
        part = rows[(rows["corpus"] == corpus) & (rows["model"] == model)].set_index("method")["mean"]
        shown = tab.js(
            "[...document.querySelectorAll('table.board tbody tr')].map((row) => "
            f"[row.dataset.method, Number(row.cells[{place}].dataset.value)])"
        )
        np.testing.assert_allclose([value for _, value in shown], part[[name for name, _ in shown]], rtol=1e-4)
    tab.close()


def test_a_clip_of_a_run_is_seen_and_heard(browser, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    methods = [part for name in ("random", "energy", "saliency") for part in ("--method", name)]
    metrics = [part for name in ("abpc", "mass-accuracy", "explanation-calls") for part in ("--metric", name)]
    assert (
        main(["run", *methods, *metrics, "--condition", "clean", "--limit", "4", "--workers", "1", "--out", str(run)])
        == 0
    )
    capsys.readouterr()
    tab = browser.open(run / "report" / "index.html", at="#clip=0&method=saliency")
    tab.wait("document.querySelectorAll('dialog[open] audio').length === 3")
    assert tab.js("document.querySelectorAll('dialog svg rect').length") > 100
    assert tab.js("document.querySelector('dialog .plane img').naturalWidth") > 20
    played = tab.js(
        "Promise.all([...document.querySelectorAll('dialog audio')].map((sound) => new Promise((done, fail) => {"
        "sound.onerror = () => fail(new Error(sound.src)); sound.ontimeupdate = () => sound.currentTime > 0 && "
        "done(sound.duration); sound.play(); })))"
    )
    names = tab.js("[...document.querySelectorAll('dialog audio')].map((sound) => sound.getAttribute('src'))")
    levels = []
    for name, seconds in zip(names, played, strict=True):
        samples, rate = soundfile.read(io.BytesIO((run / "report" / name).read_bytes()))
        levels.append(rms_db(samples))
        assert rate == 16000 and seconds == pytest.approx(len(samples) / rate, abs=0.05)
    assert levels == pytest.approx([levels[0]] * 3, abs=0.05)
    assert tab.faults() == [] and tab.axe() == []
    tab.key("Escape", 27)
    tab.wait("!document.querySelector('dialog').open && !location.hash.includes('clip=')")
    tab.close()
    for at in (
        "#open=" + quote(json.dumps([0, "saliency", "abpc", "audio", "predicted", "clean", "attenuate"])),
        "#clip=0",
    ):
        tab = browser.open(run / "report" / "index.html", WIDTHS[1], dark=True, at=at)
        tab.wait("document.querySelector('dialog[open]')")
        assert tab.faults() == [] and tab.axe() == []
        assert tab.js("document.documentElement.scrollWidth <= window.innerWidth")
        tab.close()
    assert open_every_page(browser, run) == ["report/index.html", "report/tables.html"]
    out = tmp_path / "study"
    assert main(["study", str(run), "--clips", "2", "--method", "saliency", "--out", str(out)]) == 0
    assert "2 trials: 2 clips, 1 methods" in capsys.readouterr().out
    assert len(list((out / "page" / "assets").iterdir())) == 3 * (2 + 2) and len(pd.read_csv(out / "key.csv")) == 12
    assert open_every_page(browser, out) == ["page/index.html"]
    for wrong, said in ((["--clips", "0"], "--clips"), (["--method", "lime"], "--method"), (["x.csv"], "not expected")):
        assert main(["study", str(run), *wrong, "--out", str(out)]) == 2 and said in capsys.readouterr().err


def test_a_page_of_an_explained_file_has_no_fault(browser, tmp_path: Path, capsys) -> None:
    t = np.arange(16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(2 * np.pi * (200 + 200 * t) * t), 16000)
    flags = ["--method", "saliency", "--method", "random", "--out", str(tmp_path / "out")]
    assert main(["explain", str(tmp_path / "a.wav"), *flags]) == 0
    capsys.readouterr()
    assert open_every_page(browser, tmp_path / "out") == ["a.html"]
    for width in WIDTHS:
        tab = browser.open(tmp_path / "out" / "a.html", width, dark=width == WIDTHS[1])
        assert tab.js("document.querySelectorAll('audio').length") == 6
        shares = tab.js("[...document.images].map((image) => image.clientWidth / image.naturalWidth)")
        assert all(share > 0.45 for share in shares)  # 10 pt text of the picture is 9 px or more
        tab.close()
    levels = [rms_db(soundfile.read(file)[0]) for file in (tmp_path / "out").glob("*.wav")]
    assert len(levels) == 5 and levels == pytest.approx([levels[0]] * 5, abs=0.05)
