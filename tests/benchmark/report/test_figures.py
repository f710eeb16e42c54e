"""Figures: right numbers beside them, deterministic, refusing what they cannot draw."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid, band_edges_hz
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.api.explain import explain
from serxai.benchmark.report import catalogue as figures
from serxai.benchmark.report.catalogue import FIGURES, draw_figure
from serxai.benchmark.report.figures.board import confusion, consistency, ranking
from serxai.benchmark.report.figures.emolime_example import (
    BandExample,
    emolime_example,
    emolime_example_of_run,
    published_of,
    published_weights,
)
from serxai.benchmark.report.figures.maps import explanation_overlay
from serxai.benchmark.storage.store import Explanation
from serxai.errors import InputError, UnknownNameError
from serxai.methods.attribution import Attribution
from serxai.methods.emolime_paper import paper_masks
from serxai.methods.surrogates import fit_linear, lime_weights

SAMPLES = (0.1 * np.sin(2 * np.pi * 440 * np.arange(12000) / 16000)).astype(np.float32)


@pytest.fixture(scope="module")
def board(make_scores) -> pd.DataFrame:
    return leaderboard(make_scores(speakers=6, clips=4))


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def maps() -> dict[str, Attribution]:
    rng = np.random.default_rng(0)
    fine = Grid(band_edges_hz(32), np.arange(-2, 80) * 0.01)
    return {
        "emolime": Attribution(np.linspace(-1, 1, 8)[:, None], Grid(band_edges_hz(8), [0, 0.75]), "anger", "emolime"),
        "saliency": Attribution(rng.standard_normal(fine.shape), fine, "anger", "saliency"),
        "flat": Attribution(np.zeros(fine.shape), fine, "anger", "flat"),
    }


def test_ranking_draws_the_boards_numbers(board: pd.DataFrame, tmp_path: Path) -> None:
    picture = ranking(board, tmp_path / "ranking.png")
    assert is_png(picture) and picture.with_suffix(".svg").is_file()
    numbers = pd.read_csv(picture.with_suffix(".csv"), keep_default_na=False)
    merged = numbers.merge(board, on=["metric", "condition", "fill", "method"], suffixes=("", "_board"))
    assert len(merged) == len(numbers) == 6 * 6  # four metrics clean, consistency under two conditions
    np.testing.assert_allclose(merged["mean"].astype(float), merged["mean_board"], rtol=1e-9)


def test_pictures_are_the_same_bytes_again(board: pd.DataFrame, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        consistency(board, tmp_path / folder / "c.png")
    for suffix in (".png", ".svg", ".pdf", ".csv"):
        first, again = ((tmp_path / folder / "c").with_suffix(suffix).read_bytes() for folder in ("a", "b"))
        assert first == again, suffix


def test_consistency_needs_its_metric(board: pd.DataFrame, tmp_path: Path) -> None:
    numbers = pd.read_csv(consistency(board, tmp_path / "c.png").with_suffix(".csv"))
    assert set(numbers["condition"]) == {"noise-20db", "noise-10db"} and len(numbers) == 12
    with pytest.raises(InputError, match="--metric consistency"):
        consistency(board[board["metric"] == "abpc"], tmp_path / "no.png")
    with pytest.raises(InputError, match="no scores"):
        ranking(board.iloc[:0], tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


@pytest.mark.long
def test_few_speakers_and_missing_methods_can_be_drawn(make_scores, tmp_path: Path) -> None:
    scores = make_scores(speakers=3, clips=4)
    scores.loc[scores["method"] == "saliency", ["value", "status"]] = [np.nan, "failed"]
    small = leaderboard(scores)
    assert is_png(ranking(small, tmp_path / "r.png")) and is_png(consistency(small, tmp_path / "c.png"))
    numbers = pd.read_csv(tmp_path / "r.csv")
    assert numbers.loc[numbers["method"] == "saliency", "mean"].isna().all() and numbers["low"].isna().all()


def test_confusion(tmp_path: Path) -> None:
    picture = confusion([[3, 1], [0, 0]], ["anger", "sadness"], tmp_path / "confusion.png")
    assert is_png(picture)
    numbers = pd.read_csv(picture.with_suffix(".csv")).set_index(["true", "recognised"])
    assert numbers.loc[("anger", "sadness"), "clips"] == 1
    assert list(numbers["share_of_true"]) == [0.75, 0.25, 0, 0]
    with pytest.raises(InputError, match="square matrix"):
        confusion([[1]], ["a", "b"], picture)


def test_overlay_keeps_every_cell(tmp_path: Path) -> None:
    found = maps()
    picture = explanation_overlay(SAMPLES, found, "a title", tmp_path / "o.png")
    assert is_png(picture)
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    for name, attribution in found.items():
        part = numbers[numbers["method"] == name]
        np.testing.assert_allclose(part["relevance"].to_numpy().reshape(attribution.grid.shape), attribution.values)
        assert part["low_hz"].min() == 0 and part["high_hz"].max() == 8000
        assert part["start_s"].min() == pytest.approx(attribution.grid.time_edges_s[0])
    with pytest.raises(InputError, match="no explanation"):
        explanation_overlay(SAMPLES, {}, "a title", tmp_path / "none.png")


def test_very_short_and_silent_clips_can_be_drawn(tmp_path: Path) -> None:
    attribution = Attribution(np.ones((8, 1)), Grid(band_edges_hz(8), [0, 0.02]), "anger", "emolime")
    assert is_png(explanation_overlay(np.zeros(320, np.float32), {"emolime": attribution}, "t", tmp_path / "s.png"))


def test_published_weights_sit_on_the_true_band_edges() -> None:
    table = published_weights()
    assert table.groupby("picture").size().to_dict() == {
        "figures/10b01Fa_example.png": 8,
        "figures/11b03Wa_example.png": 8,
        "visualizations/": 16,
    }
    edges = np.round(band_edges_hz(8)).astype(int)
    for band, part in table.groupby("band"):
        assert (part["low_hz"] == edges[band]).all() and (part["high_hz"] == edges[band + 1]).all()
    anger = table[table["picture"] == "figures/11b03Wa_example.png"].sort_values("band")
    assert list(anger["weight"]) == [0.23, 0.34, 0.10, -0.14, -0.17, 0.07, 0.13, -0.22]


def test_published_weights_without_their_shrinkage() -> None:
    """Ridge on the authors' masks gives the printed weights back."""
    masks = paper_masks()
    found = published_of("11b03Wa")
    assert list(found) == [
        "w2v2 (figures/11b03Wa_example.png)", "w2v2 (visualizations)", "ComParE (visualizations)",
    ]  # fmt: skip
    assert len(published_of("10b01Fa")) == 1
    again = fit_linear(masks, masks @ found["w2v2 (figures/11b03Wa_example.png)"], lime_weights(masks), 1.0)
    np.testing.assert_allclose(again.weights, [0.23, 0.34, 0.10, -0.14, -0.17, 0.07, 0.13, -0.22], atol=1e-9)


@pytest.mark.long
def test_emolime_example(tmp_path: Path) -> None:
    weights = np.linspace(-0.2, 0.3, 8)
    edges = band_edges_hz(8)
    example = BandExample("a", "anger", SAMPLES, edges, {"cnn": weights, "svc": -weights}, {"w2v2": weights / 2})
    alone = BandExample("b", "anger", SAMPLES, edges, {"cnn": weights}, {})
    picture = emolime_example([example, alone], tmp_path / "e.png")
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    assert numbers.groupby(["clip", "source", "by"], sort=False).size().to_dict() == {
        ("a", "here", "cnn"): 8, ("a", "here", "svc"): 8, ("a", "published", "w2v2"): 8, ("b", "here", "cnn"): 8,
    }  # fmt: skip
    np.testing.assert_allclose(numbers["weight"], np.r_[weights, -weights, weights / 2, weights])
    assert picture.read_bytes() == emolime_example([example, alone], tmp_path / "f.png").read_bytes()
    with pytest.raises(InputError, match="one more band edge"):
        emolime_example([BandExample("a", "anger", SAMPLES, edges, {"cnn": weights[:3]}, {})], tmp_path / "no.png")
    with pytest.raises(InputError, match="no example"):
        emolime_example([], tmp_path / "no.png")


class FakeStore:
    """The part of a store that figures read."""

    def __init__(self, scores: pd.DataFrame, explanations: tuple[Explanation, ...] = ()) -> None:
        self._scores, self._explanations = scores, explanations
        self.path = Path("no run")  # without clip facts
        self.info = {
            "config": {"models": ["cnn"], "corpora": ["emodb"], "trained_on": "planted", "seed": 0},
            "execution": {"data_root": None},
        }

    def scores(self) -> pd.DataFrame:
        return self._scores

    def explanations(self, **where: object) -> tuple[Explanation, ...]:
        return self._explanations


@pytest.mark.long
def test_figures_by_name(make_scores, tmp_path: Path) -> None:
    store = FakeStore(make_scores(speakers=6, clips=4))
    for name in ("ranking", "localisation", "consistency", "critical-difference"):
        assert [p.name for p in draw_figure(name, store, tmp_path)] == [
            f"{name}.{k}" for k in ("png", "csv", "svg", "pdf")
        ]
    with pytest.raises(UnknownNameError, match="ranking"):
        draw_figure("rankin", store, tmp_path)
    with pytest.raises(InputError, match="--data-root"):
        draw_figure("emolime-example", store, tmp_path, tmp_path)
    assert set(FIGURES) == {
        "ranking", "localisation", "consistency", "critical-difference", "plausibility", "agreement", "emolime-example",
        "emolime-gap", "shift", "robustness-map", "emolime-robustness", "emolime-morf", "beyond-saliency-windows",
        "beyond-saliency-cues", "beyond-saliency-corpus",
    }  # fmt: skip
    numbers = pd.read_csv(tmp_path / "localisation.csv")
    assert set(numbers["family"]) == {"localisation"} and {"n_misses", "passes_bar"} <= set(numbers)
    assert figures.ranking is ranking and figures.explanation_overlay is explanation_overlay
    with pytest.raises(AttributeError):
        _ = figures.nonsense


@pytest.mark.real_data
def test_emolime_example_of_a_run(data_root: Path, tmp_path: Path) -> None:
    """The stored explanation where the run has it, else its own recogniser; for the emotion of the picture."""
    stored = np.linspace(-0.1, 0.2, 8)
    attribution = Attribution(stored[:, None], Grid(band_edges_hz(8), [0, 1.9]), "anger", "emolime")
    store = FakeStore(pd.DataFrame(), (Explanation(attribution, "emodb", "cnn", "11b03Wa", "clean", 0),))
    picture = emolime_example_of_run(store, tmp_path / "e.png", data_root)
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    here = numbers[numbers["source"] == "here"]
    assert here.groupby(["clip", "emotion"], sort=False).size().to_dict() == {
        ("11b03Wa", "anger"): 8,
        ("10b01Fa", "happiness"): 8,
    }
    np.testing.assert_allclose(here["weight"].iloc[:8], stored, atol=1e-7)
    told = explain(
        data_root / "emodb" / "wav" / "10b01Fa.wav",
        ["emolime"],
        target="happiness",
        trained_on="planted",
        data_root=data_root,
    )
    np.testing.assert_allclose(here["weight"].iloc[8:], told.attributions["emolime"].values[:, 0], rtol=1e-6)
    assert (numbers["source"] == "published").sum() == 32


@pytest.mark.real_data
def test_emolime_example_refuses_another_recogniser_and_code(data_root: Path, tmp_path: Path) -> None:
    store = FakeStore(pd.DataFrame())
    store.info["fingerprints"] = {"cnn trained on planted, fold refit": "0"}
    with pytest.raises(InputError, match="is not the recogniser of the run"):
        emolime_example_of_run(store, tmp_path / "e.png", data_root)
    store.info["config"]["models"] = ["python:somewhere:make"]
    with pytest.raises(InputError, match="code of your own"):
        emolime_example_of_run(store, tmp_path / "e.png", data_root)


def test_listing_figures_imports_nothing_heavy() -> None:
    code = (
        "import sys, serxai.benchmark.report.catalogue; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
