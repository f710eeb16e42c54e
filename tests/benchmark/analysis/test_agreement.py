"""The agreement of methods: against scipy, symmetric, and drawn from a run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from serxai.audio import Grid, band_edges_hz, scoring_grid
from serxai.benchmark.analysis.agreement import agreement, agreement_matrix, agreement_of_profiles, similarities
from serxai.benchmark.analysis.stored_maps import RecordedMap, found_maps
from serxai.benchmark.report.figures.agreement import draw_agreement
from serxai.benchmark.storage.store import Explanation, Store
from serxai.errors import InputError
from serxai.methods.attribution import Attribution


def explanation(clip: str, method: str, values: np.ndarray, grid: Grid, repeat: int = 0, target: str = "anger"):
    return Explanation(Attribution(values, grid, target, method), "c", "cnn", clip, "clean", repeat)


@pytest.fixture
def found() -> list[Explanation]:
    """Three methods on 12 clips of 6 speakers: `energy` is `saliency` with noise, `random` is unrelated."""
    made = []
    for i in range(12):
        generator = np.random.default_rng(i)
        grid = scoring_grid(0.8 + 0.08 * (i % 3))
        values = generator.standard_normal(grid.shape)
        made.append(explanation(f"k{i}", "saliency", values, grid))
        made.append(explanation(f"k{i}", "energy", values + 0.3 * generator.standard_normal(grid.shape), grid))
        made.append(explanation(f"k{i}", "random", generator.standard_normal(grid.shape), grid))
        made.append(explanation(f"k{i}", "random", values, grid, repeat=1))  # must not count
    return made


SPEAKERS = {("c", f"k{i}"): f"s{i % 6}" for i in range(12)}


def test_means_are_scipys_over_clips(found):
    table = agreement(found, SPEAKERS)
    by = {(e.clip, e.attribution.method): e.attribution.values.ravel() for e in found if e.repeat == 0}
    for row in table.itertuples():
        each = [spearmanr(by[f"k{i}", row.method], by[f"k{i}", row.other])[0] for i in range(12)]
        assert row.mean == pytest.approx(np.mean(each), abs=1e-6)
        assert (row.clips, row.speakers) == (12, 6) and row.low <= row.mean <= row.high
    assert len(table) == 6 and list(table["method"].drop_duplicates()) == ["saliency", "random", "energy"]
    pd.testing.assert_frame_equal(agreement(found[::-1], SPEAKERS), table)


def test_clips_planned_are_told_and_few_speakers_make_no_claim(found):
    some = [e for e in found if not (e.attribution.method == "energy" and e.clip in ("k0", "k1"))]
    table = agreement(some, SPEAKERS).set_index(["method", "other"])
    assert tuple(table.loc[("saliency", "energy"), ["clips", "planned"]]) == (10, 12)
    few = agreement(found, {key: f"s{i % 5}" for i, key in enumerate(SPEAKERS)})
    assert few["mean"].notna().all() and few[["low", "high"]].isna().all(axis=None)


def test_matrix_is_symmetric_with_ones(found):
    methods = ["random", "saliency", "energy", "oracle"]
    matrix = agreement_matrix(agreement(found, SPEAKERS), methods)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix)[:3], 1)
    assert np.isnan(matrix.loc["oracle"]).all()
    assert matrix.loc["energy", "saliency"] > 0.9 and abs(matrix.loc["random", "saliency"]) < 0.1


def test_maps_on_other_grids_and_constant_ones():
    grid = scoring_grid(0.8)
    values = np.random.default_rng(0).random(grid.shape)
    padded = Grid(np.array(band_edges_hz(16)), np.linspace(-0.016, 0.816, 27))
    bands = Grid(band_edges_hz(16), np.array([0, 0.8]))
    maps = {
        "saliency": Attribution(values, grid, "anger", "saliency"),
        "occlusion": Attribution(padded.transfer(np.ones(padded.shape), grid) * 0 + values, grid, "anger", "occlusion"),
        "emolime": Attribution(values.sum(axis=1, keepdims=True), bands, "anger", "emolime"),
        "energy": Attribution(np.ones(padded.shape), padded, "anger", "energy"),
        "oracle": Attribution(np.zeros(grid.shape), grid, "anger", "oracle"),
    }
    found = similarities(maps)
    assert found["saliency", "occlusion"] == pytest.approx(1)
    assert 0 < found["saliency", "emolime"] < 1
    assert not any("oracle" in pair for pair in found)  # constant: no correlation


@pytest.mark.parametrize("duration_s", [0.96, 1.37])
def test_constant_maps_have_no_correlation_whatever_their_grid(duration_s):
    """Moved to the scoring grid their cells differ in the last digits: no order."""
    grids = [Grid(band_edges_hz(n), np.array([0.0, duration_s])) for n in (1, 8, 16)]
    grids.append(Grid(band_edges_hz(128), np.linspace(-0.01, duration_s + 0.03, 62)))
    maps = {f"m{i}": Attribution(np.ones(grid.shape), grid, "anger", f"m{i}") for i, grid in enumerate(grids[:3])}
    assert similarities(maps) == {}
    maps["real"] = Attribution(np.random.default_rng(0).random(grids[3].shape), grids[3], "anger", "real")
    assert list(similarities(maps, duration_s)) == [("real", "real")]


def test_equal_cells_of_band_maps_have_mean_ranks():
    """Two maps over 8 bands: each band's cells on the scoring grid are ties."""
    bands = Grid(band_edges_hz(8), np.array([0.0, 1.37]))
    n_columns = scoring_grid(1.37).shape[1]
    for seed in range(10):
        a, b = np.random.default_rng(seed).standard_normal((2, 8, 1)).astype(np.float32)
        maps = {name: Attribution(v, bands, "anger", name) for name, v in (("a", a), ("b", b))}
        spread = [np.repeat(v.ravel(), 2 * n_columns) for v in (a, b)]
        assert similarities(maps)["a", "b"] == pytest.approx(spearmanr(*spread)[0], abs=1e-12)


def test_padded_maps_lie_on_the_clips_grid_where_its_length_is_known():
    """Two maps that end 60 ms behind a clip of .96 s: what lies there belongs to its last column."""
    draw = np.random.default_rng(0)
    padded, grid = Grid(band_edges_hz(16), np.linspace(0, 1.02, 18)), scoring_grid(0.96)
    maps = {name: Attribution(draw.random(padded.shape), padded, "anger", name) for name in ("a", "b")}
    expected = spearmanr(*(padded.transfer(map_.values, grid).ravel() for map_ in maps.values()))[0]
    assert similarities(maps, 0.96)["a", "b"] == pytest.approx(expected, abs=1e-9)
    assert similarities(maps)["a", "b"] != pytest.approx(expected, abs=1e-3)
    made = [explanation("k0", name, maps[key].values, padded) for name, key in (("saliency", "a"), ("random", "b"))]
    for durations, same in ((lambda corpus, clip: {("c", "k0"): 0.96}[corpus, clip], True), (lambda *_: None, False)):
        mean = (
            agreement(made, SPEAKERS, durations=durations)
            .set_index(["method", "other"])
            .at[("saliency", "random"), "mean"]
        )
        assert (mean == pytest.approx(expected, abs=1e-9)) == same


def test_targets_are_not_mixed():
    grid = scoring_grid(0.8)
    values = np.random.default_rng(0).random(grid.shape)
    made = [
        explanation("k0", "saliency", values, grid),
        explanation("k0", "random", values, grid, target="sadness"),
    ]
    table = agreement(made, SPEAKERS)
    assert set(zip(table["method"], table["other"], strict=True)) == {("saliency",) * 2, ("random",) * 2}


def test_figure_and_numbers(found, tmp_path: Path):
    picture = draw_agreement(agreement(found, SPEAKERS), tmp_path / "agreement")
    assert {p.name for p in tmp_path.iterdir()} == {"agreement.png", "agreement.svg", "agreement.pdf", "agreement.csv"}
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    assert len(numbers) == 6 and numbers["mean"].between(-1, 1).all()
    svg = (tmp_path / "agreement.svg").read_text()
    assert svg.count("<!-- ±") == 9 and "over 12 of 12" in " ".join(re.findall("<!-- (.*?) -->", svg))
    with pytest.raises(InputError, match="no explanations"):
        draw_agreement(agreement([], {}), tmp_path / "none")


def recorded(clip: int, method: str, bands: np.ndarray, store: Store) -> RecordedMap:
    return RecordedMap(
        corpus="c", model="cnn", trained_on="c", method=method, condition="clean", clip=f"k{clip}", target="anger",
        repeat=0, speaker=f"s{clip % 6}", sentence="", sex="", emotion="anger", predicted="anger", strength=np.nan,
        against="none", store=store, path=store.path, key="", has_table=False, bands=bands,
    )  # fmt: skip


def test_of_records_band_profiles_are_compared(tmp_path: Path) -> None:
    rng, store = np.random.default_rng(0), Store(tmp_path)
    profiles = {name: rng.normal(size=(12, 8)) for name in ("saliency", "random", "energy")}
    profiles["energy"][3] = 0.0  # a map that says nothing about frequency
    maps = [recorded(clip, name, bands[clip], store) for name, bands in profiles.items() for clip in range(12)]
    table = agreement_of_profiles(maps).set_index(["method", "other"])
    for (one, other), row in table.iterrows():
        clips = [clip for clip in range(12) if "energy" not in (one, other) or clip != 3]
        each = [spearmanr(profiles[one][clip], profiles[other][clip])[0] for clip in clips]
        assert row["mean"] == pytest.approx(np.mean(each), abs=1e-6)
        assert (row["clips"], row["planned"], row["speakers"]) == (len(clips), 12, 6)
    assert len(table) == 6 and set(table["model"]) == {"cnn"}


def test_a_committed_record_has_an_agreement() -> None:
    record = Path(__file__).parents[3] / "results" / "tess" / "cnn-trained-on-emodb"
    stores = [Store(path.parent) for path in sorted(record.glob("*/run.json"))]
    table = agreement_of_profiles(found_maps(stores, condition="clean", repeat=0))
    own = table[table["method"] == table["other"]]
    assert len(own) and np.allclose(own["mean"], 1) and table["mean"].between(-1, 1).all()
