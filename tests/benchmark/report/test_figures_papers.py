"""Figures of the two papers and of shift: the numbers beside them by other ways, files, sizes, refusals."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from itertools import combinations, permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.analysis.band_removal import mask_tables, removal_curves
from serxai.benchmark.analysis.band_table import band_table
from serxai.benchmark.analysis.corpus_axis import profiles_of, similarity_matrix
from serxai.benchmark.analysis.cue_means import mean_z
from serxai.benchmark.analysis.profile_maps import CELLS, profile_map
from serxai.benchmark.analysis.published_profiles import profile_table
from serxai.benchmark.analysis.robustness import clip_rows
from serxai.benchmark.analysis.salient_cues import ANYWHERE, COLUMNS, RANDOM, REST, SALIENT, WHERE
from serxai.benchmark.analysis.shift_curves import kind_of, shift_curves
from serxai.benchmark.analysis.stored_maps import StoredMap
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.catalogue import FIGURES, draw_figure
from serxai.benchmark.report.figures import robustness_map
from serxai.benchmark.report.figures.choice import Choice, explainers, short_name
from serxai.benchmark.report.figures.emolime_morf import draw_emolime_morf
from serxai.benchmark.report.figures.emolime_robustness import draw_emolime_robustness
from serxai.benchmark.report.figures.robustness_map import draw_robustness_map
from serxai.benchmark.report.figures.salient_cues import (
    CORRECT,
    RANDOM_WINDOWS,
    REST_OF_CLIP,
    WRONG,
    corpus_means,
    cue_means,
    draw_corpora,
    draw_cues,
)
from serxai.benchmark.report.figures.salient_windows import ClipWindows, draw_windows
from serxai.benchmark.report.figures.shift import (
    _default,
    area_text,
    curve_label,
    draw_shift,
    limits,
    readable_ticks,
    strength_text,
)
from serxai.benchmark.report.figures.style import PAPER_DPI, TWO_COLUMNS
from serxai.benchmark.storage.store import Store
from serxai.cues.records import REGION_CUES
from serxai.errors import InputError
from serxai.methods.mask_tables import log_odds_left
from serxai.methods.masks import all_masks

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
PAPERS = [name for name, figure in FIGURES.items() if figure.several and name != "agreement"]


def a_map(values: np.ndarray, **facts: object) -> StoredMap:
    told = {
        "corpus": "emodb", "model": "cnn", "trained_on": "emodb", "method": "emolime", "condition": "clean",
        "clip": "c", "target": "anger", "repeat": 0, "speaker": "s", "sentence": "t", "sex": "f", "emotion": "anger",
        "predicted": "anger", "strength": np.nan, "against": "none", "duration_s": 1.6, "values": values, "cells": 320,
    }  # fmt: skip
    return StoredMap(**{**told, **facts})  # type: ignore[arg-type]


def drawn_maps(
    corpora: tuple[str, ...] = ("emodb", "ravdess"), models: tuple[str, ...] = ("cnn", "opensmile-svc"),
    methods: tuple[str, ...] = ("emolime", "energy"), conditions: tuple[str, ...] = ("clean",), speakers: int = 7,
) -> list[StoredMap]:  # fmt: skip
    """Maps with a profile of each corpus, recogniser and emotion; EmoLIME's with the table of a linear recogniser."""
    draw, found = np.random.default_rng(0), []
    strength = {"noise-20db": 20.0, "noise-0db": 0.0, "reverb-300ms": 0.3}
    for corpus in corpora:
        for model in models:
            for emotion in EMOTIONS:
                profile = draw.normal(size=8)
                for s in range(speakers):
                    for method in methods:
                        bands = profile * (method == "emolime") + draw.normal(size=8)
                        own = np.repeat(bands, 2)[:, None] + 0.1 * draw.normal(size=(16, 20))
                        facts = {"corpus": corpus, "model": model, "trained_on": corpus, "method": method}
                        facts |= {"clip": f"{s}-{emotion}", "speaker": f"s{s}", "target": emotion, "emotion": emotion}
                        for condition in conditions:
                            clean = condition == "clean"
                            table = all_masks(8) @ bands - 0.5 if method == "emolime" and clean else None
                            values = own if clean else own + draw.normal(size=own.shape)
                            predicted = emotion if clean or s else "another"
                            of_clip = {"condition": condition, "predicted": predicted, "table": table}
                            found.append(a_map(values, **facts, **of_clip, strength=strength.get(condition, np.nan)))
    return found


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_log_odds_left_is_the_response_to_the_masks_that_are_left() -> None:
    draw = np.random.default_rng(1)
    table, weights = draw.normal(size=8), np.array([0.5, -2.0, 1.0])
    kept = {tuple(int(k) for k in mask): y for mask, y in zip(all_masks(3), table, strict=True)}
    first, at_random = log_odds_left(table, weights)
    np.testing.assert_allclose(first, [kept[1, 1, 1], kept[1, 1, 0], kept[0, 1, 0], kept[0, 0, 0]])
    by_order = []
    for order in permutations(range(3)):
        left, curve = [1, 1, 1], [kept[1, 1, 1]]
        for part in order:
            left[part] = 0
            curve.append(kept[tuple(left)])
        by_order.append(curve)
    np.testing.assert_allclose(at_random, np.mean(by_order, axis=0))


def test_removal_curves_are_those_of_every_clip_by_hand() -> None:
    maps = drawn_maps(corpora=("emodb",), models=("cnn",), speakers=3)
    curves = removal_curves(maps, ["emolime", "energy"])
    assert len(curves) == 2 * 2 * 9 and set(curves["n_clips"]) == {12}
    assert curves.loc[curves["removed"] > 0, "low"].isna().all()
    tables = mask_tables(maps)
    for method in ("emolime", "energy"):
        kept, left, areas = [], [], []
        for one in (m for m in maps if m.method == method):
            table = tables["emodb", "cnn (emodb)", one.clip, one.target]
            weights = [float(one.values[2 * b : 2 * b + 2].sum()) for b in range(8)]
            response = {
                frozenset(np.flatnonzero(mask).tolist()): y for mask, y in zip(all_masks(8), table, strict=True)
            }
            everything = response[frozenset(range(8))]
            by_size = sorted(range(8), key=lambda b: -abs(weights[b]))
            by_sign = sorted(range(8), key=lambda b: -weights[b])
            kept.append([(response[frozenset(by_size[k:])] > 0) == (everything > 0) for k in range(9)])
            left.append([response[frozenset(by_sign[k:])] for k in range(9)])
            chance = [np.mean([response[frozenset(c)] for c in combinations(range(8), 8 - k)]) for k in range(9)]
            areas.append(np.trapezoid(np.array(chance) - left[-1], dx=1 / 8))
        nothing = curves[(curves["method"] == method) & (curves["removed"] == 0) & (curves["rule"] == "label kept")]
        assert nothing[["low", "high"]].to_numpy().tolist() == [[1.0, 1.0]]
        for rule, expected in (("label kept", kept), ("log-odds", left)):
            own = curves[(curves["method"] == method) & (curves["rule"] == rule)].sort_values("removed")
            np.testing.assert_allclose(own["value"], np.mean(expected, axis=0), atol=1e-6)
        np.testing.assert_allclose(own["delta_auc"], np.mean(areas), atol=1e-6)


def test_shift_curves_are_means_over_clips_with_unchanged_prediction() -> None:
    maps = drawn_maps(("emodb",), ("cnn",), conditions=("clean", "noise-20db", "noise-0db", "reverb-300ms"))
    rows = clip_rows(maps, axes=["shift"])
    curves = shift_curves(rows)
    assert len(curves) == 2 * 3 and set(curves["kind"]) == {"white noise", "room"}
    assert kind_of("noise-0db") == kind_of("noise-20db") != kind_of("pink-0db")
    for row in curves.to_dict("records"):
        clips = [r for r in rows.to_dict("records") if (r["other"], r["method"]) == (row["condition"], row["method"])]
        same = [r for r in clips if r["speaker"] != "s0"]  # whose prediction changes
        assert (row["n_clips"], row["n_all"], row["changed"]) == (24, 28, pytest.approx(4 / 28))
        for name in ("similarity", "floor", "ceiling"):
            assert row[name] == pytest.approx(np.mean([r[name] for r in same]))
        assert row["low"] < row["similarity"] < row["high"]
    # the area under the score of the two strengths of noise; reverberation at one strength has none
    assert (curves.loc[curves["kind"] == "room", "curve"] == "").all()
    noise = curves[curves["kind"] == "white noise"]
    assert noise["condition"].tolist() == ["noise-20db"] * 2 + ["noise-0db"] * 2 and set(noise["area_speakers"]) == {6}
    for _, part in noise.groupby("method"):
        heights = (part["similarity"] - part["floor"]) / (part["ceiling"] - part["floor"])
        assert part["area"].tolist() == [pytest.approx(heights.mean())] * 2  # trapezium over two strengths
        first = part.iloc[0]
        assert first["area_low"] < first["area"] < first["area_high"] and first["area_note"] == ""
        told = f"{first['area']:.2f} [{first['area_low']:.2f}, {first['area_high']:.2f}]"
        assert area_text(first, one_line=True) == told == area_text(first, one_line=False).replace("\n", " ")
        assert curve_label(part) == "white noise (6 speakers)"


def test_areas_of_few_speakers_are_described_only() -> None:
    conditions = ("clean", "noise-20db", "noise-0db")
    curves = shift_curves(
        clip_rows(drawn_maps(("emodb",), ("cnn",), conditions=conditions, speakers=5), axes=["shift"])
    )
    first = curves.iloc[0]
    assert np.isnan(first["area_low"]) and first["area_note"] == "described only: 4 speakers"
    assert area_text(first, one_line=True) == f"{first['area']:.2f}"
    assert curve_label(curves) == "white noise (4 speakers: described only)"
    nothing = curves.assign(area=np.nan, area_speakers=0)
    assert area_text(nothing.iloc[0], one_line=True) == "–" and curve_label(nothing) == "white noise (0 speakers)"


def test_labels_of_strengths_do_not_overlap() -> None:
    assert readable_ticks([0.1, 0.16, 0.29, 0.46, 0.64]) == [0.1, 0.29, 0.46, 0.64]
    assert readable_ticks([10.0, 11.7, 15.8, 19.5, 26.6]) == [10.0, 15.8, 19.5, 26.6]
    assert readable_ticks([0, 5, 10, 20, 30]) == [0, 5, 10, 20, 30] and readable_ticks([3.0]) == [3.0]
    assert readable_ticks([0.1, 0.16, 0.29, 0.46, 0.64], 0.4) == [0.1, 0.64]


def test_strengths_run_from_weak_to_strong_and_are_readable() -> None:
    def panel(strengths: dict[str, float]) -> pd.DataFrame:
        facts = {"method": "saliency", "apart": "", "changed": 0.0}
        return pd.DataFrame([facts | {"condition": c, "strength": x} for c, x in strengths.items()])

    for weak, strong in (
        ({"noise-20db": 20.0}, {"noise-10db": 10.0}),
        ({"reverb-150ms": 0.15}, {"reverb-600ms": 0.6}),
        ({"pitch-minus-1st": -0.99}, {"pitch-minus-5st": -4.99}),
        ({"tempo-110": 1.1}, {"tempo-150": 1.5}),
        ({"tempo-90": 0.9}, {"tempo-50": 0.5}),
    ):
        left, right = limits(panel(weak | strong))
        assert (right > left) == (max(strong.values()) > max(weak.values())), weak
    assert limits(panel({"telephone": 3100.0})) == pytest.approx((2790, 3410))
    told = [strength_text(x, unit=unit) for x, unit in ((3100, "Hz band"), (9.69, ""), (0.456, "s T60"), (150.0, ""))]
    assert told == ["3.1", "9.7", "0.46", "150"]


def test_methods_with_most_strengths_are_drawn_unless_others_are_named() -> None:
    had = {"occlusion": 1, "saliency": 2, "emolime-sampled": 5, "gradcam": 2, "energy": 5, "smoothgrad": 0}
    found = [
        SimpleNamespace(method=method, condition=condition)
        for method, n in had.items()
        for condition in ("clean", *("noise-30db", "noise-20db", "noise-10db", "noise-5db", "noise-0db")[:n])
    ]
    assert _default(found) == ["emolime-sampled", "saliency", "gradcam", "occlusion", "energy"]


@pytest.mark.parametrize("corpora", [2, 8])
def test_a_map_fills_its_page(corpora: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["emodb", "planted-emodb", "nemo", "ravdess", "tess", "planted", "planted-hard", "a-long-name"][:corpora]
    titles = ["cnn", "cnn (emodb)", "beyond-saliency-tess", *(f"recogniser-{k}" for k in range(corpora))]
    rows = [
        ("energy", axis, one, other, bands, 0.5, 0.4, 0.6, 3, 40)
        for axis, of_axis in (("corpora", names), ("recognisers", titles))
        for i, one in enumerate(of_axis)
        for other in of_axis[i:]
        for bands in ("8 bands", "without the lowest band")
    ]
    kept = []
    monkeypatch.setattr(robustness_map, "save", lambda figure, *_, **__: kept.append(figure) or tmp_path)
    draw_robustness_map(pd.DataFrame(rows, columns=CELLS), tmp_path / "map.png")
    (figure,) = kept
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    maps = [ax for ax in figure.get_axes() if len(ax.patches) > 1]
    boxes = [ax.get_tightbbox() for ax in maps]
    assert all(box.x0 > -1 and box.x1 < width for box in boxes) and boxes[0].x1 < boxes[1].x0 + 1
    tallest = max(boxes, key=lambda box: box.height)
    assert tallest.height > 0.75 * figure.subfigs[0].bbox.height and height - tallest.y1 < 0.6 * figure.dpi
    (labels,) = ([text for text in ax.get_xticklabels()] for ax in maps[1:])
    # lines at an angle of 45 degrees, one line each: apart by more than the height of a line
    turned = {text.get_rotation() for text in labels}
    apart = maps[1].get_window_extent().width / len(titles) * np.sin(np.pi / 4)
    assert turned == {45.0} and not any("\n" in text.get_text() for text in labels)
    assert apart > labels[0].get_fontsize() / 72 * figure.dpi


def test_profile_map_is_the_mean_over_the_pairs_of_each_cell() -> None:
    maps = drawn_maps(methods=("emolime",), speakers=6)
    table = profile_map(band_table(maps), "emolime")
    profiles = profiles_of(band_table(maps), "emolime")
    everyone = {corpus: np.ones(6, dtype=bool) for corpus in ("emodb", "ravdess")}
    matrix = similarity_matrix(profiles, everyone, shared=False)
    place = {cell: i for i, cell in enumerate(profiles.cells)}
    whole = table[table["bands"] == "8 bands"].set_index(["axis", "one", "other"])["correlation"]
    assert len(whole) == 6
    across = [matrix[place["emodb", m, e], place["ravdess", m, e]] for m in ("cnn", "opensmile-svc") for e in EMOTIONS]
    assert whole["corpora", "emodb", "ravdess"] == pytest.approx(np.mean(across))
    halves = [matrix[place[c, "cnn", e], place[c, "cnn", e]] for c in ("emodb", "ravdess") for e in EMOTIONS]
    assert whole["recognisers", "cnn", "cnn"] == pytest.approx(np.mean(halves))
    # the jackknife over the speakers of one corpus, for its split half
    own = table[(table["axis"] == "corpora") & (table["other"] == "emodb") & (table["bands"] == "8 bands")].iloc[0]
    left_out = []
    for speaker in range(6):
        kept = everyone | {"emodb": np.arange(6) != speaker}
        again = similarity_matrix(profiles, kept, shared=False)
        left_out.append(np.mean([again[i, i] for c, i in place.items() if c[0] == "emodb"]))
    half = 2.570582 * np.sqrt(5 / 6 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))  # t, 5 degrees of freedom
    assert own["high"] - own["low"] == pytest.approx(2 * half, rel=1e-5)


def test_a_recogniser_of_another_corpus_has_a_row_of_its_own() -> None:
    own = drawn_maps(methods=("emolime",), speakers=6)
    of_emodb = [
        replace(m, trained_on="emodb", values=-m.values) for m in own if (m.corpus, m.model) == ("ravdess", "cnn")
    ]
    alone, both = (profile_map(band_table(maps), "emolime") for maps in (own, own + of_emodb))
    corpora = [table[table["axis"] == "corpora"].drop(columns="n_clips") for table in (alone, both)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in corpora))
    recognisers = both[(both["axis"] == "recognisers") & (both["bands"] == "8 bands")].set_index(["one", "other"])
    assert set(recognisers.index.get_level_values("one")) == {"cnn", "cnn (emodb)", "opensmile-svc"}
    # on the one corpus that both explained, with each profile turned round: minus the split half there
    split_half = profile_map(band_table([m for m in own if m.corpus == "ravdess" and m.model == "cnn"]), "emolime")
    expected = -split_half.loc[split_half["axis"] == "recognisers", "correlation"].iloc[0]
    assert recognisers.loc[("cnn", "cnn (emodb)"), "correlation"] == pytest.approx(expected)
    # without a recogniser of its own a corpus is no part of the map of corpora
    crossed = profile_map(band_table([m for m in own if m.corpus == "emodb"] + of_emodb), "emolime")
    assert set(crossed.loc[crossed["axis"] == "corpora", "one"]) == {"emodb"}
    with_both = crossed[(crossed["one"] == "cnn") & (crossed["other"] == "cnn (emodb)")]
    assert len(with_both) == 2 and with_both["correlation"].isna().all()


def test_profiles_stand_beside_the_published_numbers() -> None:
    maps = drawn_maps(("emodb", "nemo"), ("opensmile-svc", "cnn"))
    table = profile_table(band_table(maps), "emolime")
    source = resources.files("serxai.benchmark.analysis") / "reference" / "emolime_robustness_digitised.csv"
    with source.open(encoding="utf-8") as file:
        digitised = list(csv.DictReader(file))
    published = {
        (row["model"], row["emotion"], row["corpus"].lower(), int(row["band"])): float(row["weight"])
        for row in digitised
    }
    theirs = table[table["source"] == "published"]
    assert len(theirs) == len(published) == 192
    for row in theirs.to_dict("records"):
        assert row["weight"] == published[row["model"], row["emotion"], row["corpus"], row["band"]]
    for model, beside in (("opensmile-svc", "ComParE"), ("cnn", "wav2vec2")):
        own = table[(table["model"] == model) & (table["emotion"] == "anger") & (table["corpus"] == "emodb")]
        clips = [m for m in maps if (m.model, m.emotion, m.corpus, m.method) == (model, "anger", "emodb", "emolime")]
        bands = np.array([m.values.sum(axis=1).reshape(8, 2).sum(axis=1) for m in clips])
        bands /= np.abs(bands).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(own["weight"], bands.mean(axis=0))
        panel = [published[beside, "anger", "emodb", band] for band in range(8)]
        r = np.corrcoef(bands.mean(axis=0), panel)[0, 1]
        left_out = [np.corrcoef(np.delete(bands, k, axis=0).mean(axis=0), panel)[0, 1] for k in range(7)]
        half = 2.446912 * np.sqrt(6 / 7 * np.sum((left_out - np.mean(left_out)) ** 2))  # t, 6 degrees of freedom
        assert own["r"].iloc[0] == pytest.approx(r)
        assert own["r_high"].iloc[0] == pytest.approx(min(r + half, 1), rel=1e-5)
        assert own["r_above_lowest"].iloc[0] == pytest.approx(np.corrcoef(bands.mean(axis=0)[1:], panel[1:])[0, 1])
    assert table.loc[table["corpus"] == "nemo", "r"].isna().all()


def cue_table(corpora: tuple[str, ...] = ("emodb",), speakers: int = 7) -> pd.DataFrame:
    draw, rows = np.random.default_rng(2), []
    for corpus in corpora:
        for s in range(speakers):
            for k, target in enumerate(EMOTIONS):
                emotion = target if s % 3 else EMOTIONS[k - 1]
                row = {"corpus": corpus, "model": "cnn", "trained_on": "emodb", "method": "saliency", "n_windows": 4,
                       "clip": f"{s}-{k}", "speaker": f"s{s}", "sentence": "", "emotion": emotion, "predicted": target,
                       "target": target}  # fmt: skip
                for cue in REGION_CUES:
                    for where, z in zip(WHERE, draw.normal(size=len(WHERE)) + (target == "anger"), strict=True):
                        row[f"{where} {cue}"] = np.nan if cue == "loudness" else z
                rows.append(row)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def test_means_of_cues_by_hand() -> None:
    table = cue_table()
    means = cue_means(table).set_index(["emotion", "cue", "group"])
    rows = [r for r in table.to_dict("records") if r["target"] == "anger"]
    right, wrong = ([r for r in rows if (r["emotion"] == "anger") == which] for which in (True, False))
    for group, where, clips in ((CORRECT, SALIENT, right), (WRONG, SALIENT, wrong), (RANDOM_WINDOWS, RANDOM, rows)):
        found = means.loc[("anger", "jitter", group)]
        assert found["z"] == pytest.approx(np.mean([r[f"{where} jitter"] for r in clips]))
        assert found["n_clips"] == len(clips)
    assert (len(right), len(wrong)) == (4, 3)
    one_each = [r[f"{RANDOM} jitter"] for r in rows]  # one clip of each of 7 speakers: the ordinary t interval
    half = 2.446912 * np.std(one_each, ddof=1) / np.sqrt(7)
    high = means.loc[("anger", "jitter", RANDOM_WINDOWS), "high"]
    assert high == pytest.approx(np.mean(one_each) + half, rel=1e-5)
    assert means.loc[("anger", "loudness", RANDOM_WINDOWS), "n_clips"] == 0
    both = corpus_means(cue_table(("emodb", "nemo"))).set_index(["corpus", "emotion", "cue", "group"])
    assert len(both) == 2 * 4 * len(REGION_CUES) * 2
    rest = np.mean([r[f"{REST} jitter"] for r in rows])
    assert both.loc[("emodb", "anger", "jitter", REST_OF_CLIP), "z"] == pytest.approx(rest)
    assert set(both.reset_index().groupby("corpus")["model"].first()) == {"cnn", "cnn (emodb)"}
    assert mean_z(table, {"nobody": (ANYWHERE, table["clip"] == "")})["z"].isna().all()


# -- pictures ----------------------------------------------------------------------------------------------------------


def clip_windows() -> list[ClipWindows]:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    edges = np.arange(7) * 0.15
    windows = {"saliency": (edges, np.array([0, 2, 1, 0, 3, 0])), "energy": (edges, np.array([1, 0, 0, 0, 0, 2]))}
    samples = (0.1 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    one = ClipWindows("emodb", "cnn (emodb)", "a", "anger", "anger", "anger", samples, windows)
    return [one, one._replace(clip="b", predicted="sadness", windows={"energy": windows["energy"]})]


DRAWN: dict[str, Callable[[Path], Path]] = {
    "shift": lambda path: draw_shift(
        shift_curves(
            clip_rows(drawn_maps(("emodb",), ("cnn",), conditions=("clean", "noise-20db", "noise-0db", "reverb-300ms")))
        ),
        path,
    ),
    "robustness-map": lambda path: draw_robustness_map(profile_map(band_table(drawn_maps()), "emolime"), path),
    "emolime-robustness": lambda path: draw_emolime_robustness(
        profile_table(band_table(drawn_maps()), "emolime"), "emolime", path
    ),
    "emolime-morf": lambda path: draw_emolime_morf(removal_curves(drawn_maps(), ["emolime", "energy"]), path),
    "beyond-saliency-windows": lambda path: draw_windows(clip_windows(), path),
    "beyond-saliency-cues": lambda path: draw_cues(cue_means(cue_table()), path),
    "beyond-saliency-corpus": lambda path: draw_corpora(corpus_means(cue_table(("emodb", "nemo"))), path),
}
KINDS = (".png", ".svg", ".pdf", ".csv")


def test_every_figure_of_several_runs_is_drawn_here() -> None:
    assert list(DRAWN) == PAPERS


@pytest.mark.parametrize(
    "name", [*PAPERS[4:5], *(pytest.param(n, marks=pytest.mark.long) for n in PAPERS if n != PAPERS[4])]
)
def test_files_size_and_the_same_bytes_again(name: str, tmp_path: Path) -> None:
    first, again = (DRAWN[name](tmp_path / folder / f"{name}.png") for folder in ("a", "b"))
    assert {path.suffix for path in first.parent.iterdir()} == set(KINDS)
    for kind in KINDS:
        assert first.with_suffix(kind).read_bytes() == again.with_suffix(kind).read_bytes(), kind
    height, width = imread(first).shape[:2]
    assert width == round(TWO_COLUMNS * PAPER_DPI) and 0.3 < height / width < 1.4  # fits a page
    pdf = first.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/FontFile2" in pdf  # text as TrueType, not as outlines
    numbers = pd.read_csv(first.with_suffix(".csv"))
    if name == "beyond-saliency-windows":
        rows = numbers[(numbers["clip"] == "a") & (numbers["method"] == "saliency")]
        np.testing.assert_allclose(rows[rows["rank"] > 0].sort_values("rank")["start_s"], [0.3, 0.15, 0.6])
        assert len(numbers) == 18 and list(dict.fromkeys(numbers["predicted"])) == ["anger", "sadness"]
    assert len(numbers)


def test_what_runs_lack_is_said(tmp_path: Path) -> None:
    alone = profile_map(band_table(drawn_maps(("emodb",), ("cnn",))), "emolime")
    for draw, told in (
        (lambda path: draw_robustness_map(alone, path), "two corpora, or of two recognisers.*--run"),
        (lambda path: draw_shift(shift_curves(clip_rows([])), path), "--condition clean --condition noise-20db"),
        (lambda path: draw_emolime_morf(removal_curves([], []), path), "--method emolime"),
        (
            lambda path: draw_emolime_robustness(profile_table(band_table([]), "emolime"), "emolime", path),
            "no explanation by emolime",
        ),
    ):
        with pytest.raises(InputError, match=told):
            draw(tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_names_and_default_methods() -> None:
    assert short_name("hf:/data/whisper-tiny-en (emodb)", "emodb") == "whisper-tiny-en"
    assert short_name("cnn@3f2a91 (planted)", "emodb") == "cnn@3f2a91 (planted)" and short_name("cnn") == "cnn"
    places = [("a", "emolime"), ("a", "emolime-sampled"), ("b", "emolime-sampled"), ("b", "energy"), ("a", "saliency")]
    assert explainers(places, ("emolime",)) == ["emolime-sampled", "emolime", "saliency"]
    assert explainers(places)[:2] == ["emolime-sampled", "saliency"]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_flags_and_runs_that_a_figure_cannot_use(
    make_scores: Callable, make_run: Callable, tmp_path: Path, capsys
) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, make_scores(speakers=2, clips=2), 1)
    a, b, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    for given, told in (
        (["ranking", "--run", a, "--run", b], "shows one run, got 2"),
        (["ranking", "--run", a, "--method", "energy"], "--method: figure ranking takes no such flag"),
        (["robustness-map", "--run", a, "--corpus", "emodb"], "--corpus: figure robustness-map takes --method"),
        (["shift", "--run", a, "--method", "energi"], "energy"),
        (["emolime-morf", "--run", a, "--run", str(tmp_path / "none")], "none"),
    ):
        assert main(["figures", *given, "--out", out]) == 2
        assert told in " ".join(capsys.readouterr().err.split()), given
    assert not Path(out).exists()
    with pytest.raises(InputError, match="--clip"):
        draw_figure("shift", [Store(a)], tmp_path, choice=Choice(clips=("c",)))


@pytest.mark.long
def test_every_figure_of_a_run_of_the_planted_corpus(tmp_path: Path, capsys) -> None:
    """From the command line: a run with noise, two recognisers' runs, and the figures' numbers by other commands."""
    common = [
        "run",
        "--corpus",
        "planted",
        "--limit",
        "12",
        "--workers",
        "1",
        "--fill",
        "attenuate",
        "--metric",
        "gini",
    ]
    methods = ["--method", "emolime", "--method", "saliency", "--method", "energy"]
    conditions = ["--condition", "clean", "--condition", "noise-10db"]
    runs = [str(tmp_path / name) for name in ("cnn", "rule")]
    assert main([*common, *methods, *conditions, "--out", runs[0]]) == 0
    assert main([*common, *methods[:2], *methods[4:], "--model", "planted-rule", "--out", runs[1]]) == 0
    out = tmp_path / "figures"
    for name in PAPERS:
        both = ["--run", runs[0], "--run", runs[1]]
        assert main(["figures", name, *both, "--out", str(out)]) == 0, capsys.readouterr().err
        assert {path.suffix for path in out.glob(f"{name}.*")} == set(KINDS)
    capsys.readouterr()
    assert main(["robustness", runs[0], "--axis", "shift", "--out", str(tmp_path / "table")]) == 0
    table = pd.read_csv(tmp_path / "table" / "robustness.csv").set_index("method")
    drawn = pd.read_csv(out / "shift.csv").set_index("method")
    for method in ("emolime", "saliency", "energy"):
        for name in ("similarity", "floor", "ceiling", "changed"):
            assert drawn.at[method, name] == pytest.approx(table.at[method, name], rel=1e-6)
    assert main(["export", runs[0], "--method", "emolime", "--bands", "--out", str(tmp_path / "weights")]) == 0
    shares = pd.read_csv(tmp_path / "weights" / "share-kept.csv").query("condition == 'clean'").set_index("removed")
    kept = pd.read_csv(out / "emolime-morf.csv").query("model.str.startswith('cnn') and method == 'emolime'")
    kept = kept[kept["rule"] == "label kept"].set_index("removed")
    np.testing.assert_allclose(kept["value"], shares["removed_first"], rtol=1e-6)
    np.testing.assert_allclose(kept["at_random"], shares["at_random"], rtol=1e-6)
