"""The four axes on explanations whose similarity is known, and the error rates of their tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.corpus_axis import (
    SPLITS,
    Profiles,
    correlations,
    label_permutation,
    pair_masks,
    profile_contrast,
    similarity_matrix,
)
from serxai.benchmark.analysis.robustness import (
    against_energy,
    clip_rows,
    jackknife_ratio,
    pooled,
)
from serxai.benchmark.analysis.stored_maps import StoredMap
from serxai.benchmark.analysis.strength_curves import curve_areas, curve_points
from serxai.benchmark.stats.simulation import limit
from serxai.keys import rng
from serxai.metrics.similarity import rank_correlation

EMOTIONS = ("anger", "sadness")


def spearman_of(correlation: float) -> float:
    """Spearman's correlation of two normal variables of this correlation (Pearson 1907)."""
    return 6 / np.pi * np.arcsin(correlation / 2)


def a_map(values: np.ndarray, **facts) -> StoredMap:
    told = {
        "corpus": "emodb", "model": "cnn", "trained_on": "emodb", "method": "saliency", "condition": "clean",
        "clip": "c", "target": "anger", "repeat": 0, "speaker": "s", "sentence": "t", "sex": "f", "emotion": "anger",
        "predicted": "anger", "strength": np.nan, "against": "none", "duration_s": values.shape[1] * 0.08,
        "values": values, "cells": 640,
    }  # fmt: skip
    return StoredMap(**{**told, **facts})


class Drawn:
    """Clips whose maps share `common` of their variance within an emotion; a copy of a map keeps `kept` of its own."""

    def __init__(self, speakers: int = 8, clips: int = 6, common: float = 0.2, seed: int = 0) -> None:
        self.generator = np.random.default_rng(seed)
        self.of_emotion = {e: self.normal() for e in EMOTIONS}
        self.common = common
        self.clips = [
            {"clip": f"{s}-{k}", "speaker": f"s{s}", "sentence": f"t{k}", "target": e, "emotion": e, "predicted": e}
            for s in range(speakers)
            for k in range(clips)
            for e in [EMOTIONS[k % 2]]
        ]
        self.own = [self.mixed(self.of_emotion[c["target"]], common) for c in self.clips]

    def normal(self) -> np.ndarray:
        return self.generator.normal(size=(16, 40))

    def mixed(self, values: np.ndarray, kept: float) -> np.ndarray:
        """A map that correlates by sqrt(kept) with `values`."""
        return np.sqrt(kept) * values + np.sqrt(1 - kept) * self.normal()

    def maps(self, kept: float = 1.0, **facts) -> list[StoredMap]:
        return [
            a_map(own if kept == 1 else self.mixed(own, kept), **c, **facts)
            for own, c in zip(self.own, self.clips, strict=True)
        ]


# -- rows --------------------------------------------------------------------------------------------------------------


def test_the_three_similarities_of_shift_are_those_that_were_drawn():
    drawn = Drawn(speakers=8, clips=8)
    maps = drawn.maps() + drawn.maps(0.8, repeat=1, method="saliency") + drawn.maps(0.5, condition="noise-10db")
    table = pooled(clip_rows(maps, axes=["shift"])).set_index("other").loc["noise-10db"]
    expected = spearman_of(np.sqrt(0.5)), spearman_of(0.2), spearman_of(np.sqrt(0.8))
    for name, value in zip(("similarity", "floor", "ceiling"), expected, strict=True):
        assert table[name] == pytest.approx(value, abs=0.02), name
    score = (expected[0] - expected[1]) / (expected[2] - expected[1])
    assert table["low"] < score < table["high"] and table["high"] - table["low"] < 0.1
    assert table["score"] == pytest.approx(score, abs=0.03)
    assert table["other_emotions"] == pytest.approx(0, abs=0.02)
    assert (table["n_clips"], table["n_speakers"], table["note"]) == (64, 8, "")


def test_each_row_by_hand():
    drawn = Drawn(speakers=3, clips=4)
    maps = drawn.maps() + drawn.maps(0.5, condition="noise-10db")
    rows = clip_rows(maps, axes=["shift"])
    clean = {m.clip: m for m in maps if m.condition == "clean"}
    shifted = {m.clip: m for m in maps if m.condition != "clean"}
    for row in rows.to_dict("records"):
        one = clean[row["clip"]]
        assert row["similarity"] == pytest.approx(rank_correlation(one.values, shifted[row["clip"]].values))
        others = [m for m in clean.values() if m.target == one.target and m.speaker != one.speaker]
        assert len(others) <= 5  # so all of them are the floor
        assert row["floor"] == pytest.approx(np.mean([rank_correlation(one.values, m.values) for m in others]))
        assert row["ceiling"] == 1.0  # saliency draws nothing


def test_a_clip_whose_prediction_changed_stands_beside_the_score():
    drawn = Drawn()
    shifted = drawn.maps(0.9, condition="noise-10db")
    moved = [replace(m, values=drawn.normal(), predicted="neutral") if i % 3 == 0 else m for i, m in enumerate(shifted)]
    table = pooled(clip_rows(drawn.maps() + moved, axes=["shift"])).iloc[0]
    assert table["changed"] == pytest.approx(1 / 3) and table["n_clips"] == 32 and table["n_all"] == 48
    assert table["score"] > 0.85 and table["all_score"] < 0.65


def test_no_score_without_a_range():
    drawn = Drawn()
    alike = [replace(m, values=drawn.of_emotion[m.target]) for m in drawn.maps()]  # a method blind to the clip
    table = pooled(clip_rows(alike + [replace(m, condition="noise-10db") for m in alike], axes=["shift"])).iloc[0]
    assert np.isnan(table["score"]) and "hardly more alike" in table["note"]
    noise = [replace(m, method="random", values=drawn.normal()) for m in drawn.maps()]
    repeats = [replace(m, repeat=1, values=drawn.normal()) for m in noise]
    shifted = [replace(m, condition="noise-10db", values=drawn.normal()) for m in noise]
    table = pooled(clip_rows(noise + repeats + shifted, axes=["shift"])).iloc[0]
    assert np.isnan(table["score"]) and table["note"]
    missing = pooled(clip_rows(noise + shifted, axes=["shift"])).iloc[0]
    assert "--repeats 2" in missing["note"] and np.isnan(missing["score"])


def test_bands_of_noise_get_no_score():
    """Eight random bands repeated over time look alike on 640 cells by chance; on their 8 cells they do not."""
    drawn = Drawn(clips=6)

    def bands() -> np.ndarray:
        return np.repeat(drawn.generator.normal(size=(8, 1)), 2, axis=0) @ np.ones((1, 40))

    noise = [replace(m, method="emolime-sampled", values=bands(), cells=8) for m in drawn.maps()]
    repeats = [replace(m, repeat=1, values=bands()) for m in noise]
    shifted = [replace(m, condition="noise-10db", values=bands()) for m in noise]
    table = pooled(clip_rows(noise + repeats + shifted, axes=["shift"])).iloc[0]
    assert np.isnan(table["score"])


def test_few_speakers_are_described_only():
    drawn = Drawn(speakers=4)
    table = pooled(clip_rows(drawn.maps() + drawn.maps(0.5, condition="noise-10db"), axes=["shift"])).iloc[0]
    assert np.isfinite(table["score"]) and np.isnan(table["low"]) and "described only" in table["note"]


def test_recognisers_and_retrainings_are_two_axes():
    drawn = Drawn()
    maps = (
        drawn.maps(model="cnn@aaaaaa") + drawn.maps(0.5, model="cnn@bbbbbb") + drawn.maps(0.3, model="embedding")
    )  # fmt: skip
    table = pooled(clip_rows(maps)).set_index(["axis", "model", "other"])
    same = table.loc["retraining", "cnn@aaaaaa (emodb)", "cnn@bbbbbb (emodb)"]
    assert same["similarity"] == pytest.approx(spearman_of(np.sqrt(0.5)), abs=0.03)
    across = table.loc["model", "cnn@aaaaaa (emodb)", "embedding (emodb)"]
    assert across["similarity"] == pytest.approx(spearman_of(np.sqrt(0.3)), abs=0.03)
    assert across["floor"] == pytest.approx(spearman_of(0.2 * np.sqrt(0.3)), abs=0.03)
    assert len(table.loc["model"]) == 2 and len(table.loc["retraining"]) == 1


def test_a_repeat_is_the_axis_of_seeds():
    drawn = Drawn()
    maps = [replace(m, method="random") for m in drawn.maps() + drawn.maps(0.6, repeat=1)]
    table = pooled(clip_rows(maps, axes=["seed"])).iloc[0]
    assert table["similarity"] == pytest.approx(spearman_of(np.sqrt(0.6)), abs=0.03) and table["ceiling"] == 1
    assert clip_rows(drawn.maps() + drawn.maps(0.6, repeat=1), axes=["seed"]).empty  # saliency has no seed


def test_a_stretched_map_keeps_its_sums():
    one = a_map(np.random.default_rng(0).normal(size=(16, 30)))
    for columns in (11, 30, 47):
        moved = one.on(columns)
        assert moved.shape == (16, columns)
        assert moved.sum(axis=1) == pytest.approx(one.values.sum(axis=1))
    assert one.on(15) == pytest.approx(one.values.reshape(16, 15, 2).sum(axis=2))


NOISE = ("noise-30db", "noise-20db", "noise-10db", "noise-5db", "noise-0db")
KEPT = (0.9, 0.7, 0.5, 0.3, 0.1)


def test_area_under_the_curve_of_five_strengths():
    drawn = Drawn(speakers=8, clips=8)
    maps = drawn.maps()
    for condition, kept in zip(NOISE, KEPT, strict=True):
        maps += drawn.maps(kept, condition=condition, strength=float(condition.split("-")[1][:-2]))
    rows = clip_rows(maps, axes=["shift"])
    table = pooled(rows)
    points = curve_points(table)
    assert points["other"].tolist() == list(NOISE) and points["strength"].tolist() == [30.0, 20.0, 10.0, 5.0, 0.0]
    assert (np.diff(points["score"]) < 0).all() and set(points["unit"]) == {"dB SNR"}
    (area,) = curve_areas(rows).to_dict("records")
    assert area["curve"] == "noise" and area["strengths"] == 5 and area["n_clips"] == 64
    assert area["area"] == pytest.approx(np.trapezoid(points["score"], np.linspace(0, 1, 5)))
    floor = spearman_of(0.2)
    scores = [(spearman_of(np.sqrt(kept)) - floor) / (1 - floor) for kept in KEPT]
    assert area["area"] == pytest.approx(np.trapezoid(scores, np.linspace(0, 1, 5)), abs=0.06)

    def without(speaker: str) -> float:
        return curve_areas(rows[rows["speaker"] != speaker])["area"].iloc[0]

    left_out = np.array([without(f"s{s}") for s in range(8)])
    se = np.sqrt(7 / 8 * np.sum((left_out - left_out.mean()) ** 2))
    assert (area["high"] - area["low"]) / 2 == pytest.approx(2.364624 * se, rel=1e-4)
    assert area["low"] < area["area"] < area["high"]


def test_areas_need_two_strengths_and_a_range():
    drawn = Drawn(speakers=8)
    rows = clip_rows(drawn.maps() + drawn.maps(0.5, condition="noise-10db"), axes=["shift"])
    assert curve_areas(rows).empty and curve_areas(rows.iloc[:0]).empty and curve_points(pooled(rows.iloc[:0])).empty
    alike = [replace(m, values=drawn.of_emotion[m.target]) for m in drawn.maps()]
    shifted = [replace(m, condition=c) for m in alike for c in NOISE[:2]]
    (area,) = curve_areas(clip_rows(alike + shifted, axes=["shift"])).to_dict("records")
    assert np.isnan(area["area"]) and "ceiling - floor" in area["note"]
    few = Drawn(speakers=4)
    maps = few.maps() + few.maps(0.8, condition="noise-20db") + few.maps(0.5, condition="noise-10db")
    (area,) = curve_areas(clip_rows(maps, axes=["shift"])).to_dict("records")
    assert np.isfinite(area["area"]) and np.isnan(area["low"]) and "described only" in area["note"]


def test_the_strength_with_the_fewest_speakers_decides_about_an_area():
    drawn = Drawn(speakers=8)
    clean, conditions = drawn.maps(), NOISE[1:3]
    shifted = {c: drawn.maps(kept, condition=c) for c, kept in zip(conditions, (0.8, 0.5), strict=True)}

    def area_of(n_changed: int) -> dict:
        """Area with the predictions of the first speakers changed at the second strength."""
        of_changed = {f"s{s}" for s in range(n_changed)}
        second = [replace(m, predicted="neutral") if m.speaker in of_changed else m for m in shifted[conditions[1]]]
        (area,) = curve_areas(clip_rows([*clean, *shifted[conditions[0]], *second], axes=["shift"])).to_dict("records")
        return area

    whole, two_less, three_less, none_left = (area_of(n) for n in (0, 2, 3, 8))
    assert whole["n_speakers"] == 8 and whole["all_area"] == pytest.approx(whole["area"])
    assert two_less["n_speakers"] == 6 and two_less["low"] < two_less["area"] < two_less["high"]
    assert np.isfinite(three_less["area"]) and np.isnan(three_less["low"])
    assert three_less["note"] == "described only: 5 speakers"
    # all clips stand beside, also where no prediction is left
    assert np.isnan(none_left["area"]) and "no clip whose prediction is unchanged" in none_left["note"]
    for one in (two_less, three_less, none_left):
        assert one["all_area"] == pytest.approx(whole["area"])


def test_a_clip_explained_for_two_classes_counts_once():
    drawn = Drawn()
    wrong = {c["clip"] for c in drawn.clips[::5]}

    def both(maps: list[StoredMap]) -> list[StoredMap]:
        told = [replace(m, predicted="neutral") if m.clip in wrong else m for m in maps]
        more = [replace(m, target="neutral", values=drawn.normal()) for m in told if m.clip in wrong]
        return told + more

    maps = both(drawn.maps()) + both(drawn.maps(0.5, condition="noise-10db")) + both(drawn.maps(0.4, model="embedding"))
    for axis in ("shift", "model"):
        rows = clip_rows(maps, axes=[axis])
        assert not rows["clip"].duplicated().any() and len(rows) == len(drawn.clips)
        assert (rows[rows["clip"].isin(wrong)]["target"] == "neutral").all()  # the predicted class


# -- intervals and tests -----------------------------------------------------------------------------------------------


def test_the_jackknife_of_a_ratio_is_that_of_a_loop_and_covers():
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(300):
        speakers = np.repeat(np.arange(10), 8)
        denominator = 0.5 + 0.1 * generator.normal(size=10)[speakers] + 0.1 * generator.normal(size=80)
        numerator = 0.6 * denominator + 0.05 * generator.normal(size=10)[speakers] + 0.1 * generator.normal(size=80)
        low, high = jackknife_ratio(numerator, denominator, speakers)
        if trial == 0:
            left = [numerator[speakers != s].sum() / denominator[speakers != s].sum() for s in range(10)]
            se = np.sqrt(9 / 10 * np.sum((np.array(left) - np.mean(left)) ** 2))
            assert (high - low) / 2 == pytest.approx(2.262157 * se, rel=1e-5)
        covered += low <= 0.6 <= high
    assert covered >= 300 * 0.95 - 3 * np.sqrt(300 * 0.95 * 0.05)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, standard deviation about .2, skewness -2.9: differences as found between methods under shift."""
    # a gamma variable has skewness 2 / sqrt(shape)
    k = (2 / 2.9) ** 2
    return -0.2 * (generator.gamma(k, 1, shape) - k) / np.sqrt(k)


@pytest.mark.parametrize("speakers", [8, pytest.param(12, marks=pytest.mark.long)])
def test_skewed_differences_are_not_rejected_too_often(speakers: int):
    generator = np.random.default_rng(11)
    experiments, rejected, clips = 200, 0, 6
    drawn = Drawn(speakers=speakers, clips=clips)
    names = [c["speaker"] for c in drawn.clips]
    for _ in range(experiments):
        effect = 0.05 * generator.normal(size=speakers)
        rows = pd.DataFrame(drawn.clips).assign(
            axis="shift", corpus="emodb", model="cnn (emodb)", other="noise-10db", unchanged=True, floor=0.0
        )
        by_speaker = effect[pd.factorize(np.array(names))[0]]
        frame = pd.concat(
            [rows.assign(method="saliency", similarity=0.5 + skewed(generator, (len(names),)) + by_speaker),
             rows.assign(method="energy", similarity=np.full(len(names), 0.5))]
        )  # fmt: skip
        rejected += against_energy(frame)["p"].iloc[0] < 0.05
    assert rejected / experiments <= limit(experiments)


def test_only_methods_that_beat_energy_in_faithfulness_are_ranked():
    drawn = Drawn()
    maps = []
    for method, kept in (("saliency", 0.5), ("occlusion", 0.7), ("energy", 0.9)):
        both = drawn.maps() + drawn.maps(kept, condition="noise-10db")
        maps += [replace(m, method=method) for m in both]
    rows = clip_rows(maps, axes=["shift"])
    found = against_energy(rows, ["saliency", "occlusion"]).set_index("method")
    assert found["ranked"].all() and (found["difference"] < 0).all() and (found["p"] < 0.01).all()
    assert not against_energy(rows, ["saliency"])["ranked"].any()  # a single method is no ranking


# -- profiles across corpora -------------------------------------------------------------------------------------------


def profiles(
    of_cell: Callable[[str, str, str], np.ndarray],
    generator: np.random.Generator,
    speakers: int = 10,
    spread: float = 0.5,
    shared: float = 0.5,
) -> Profiles:
    """Two corpora, two recognisers and four emotions; the recognisers share a speaker's deviation by `shared`."""
    cells, values = [], []
    for corpus in ("emodb", "ravdess"):
        for emotion in ("anger", "happiness", "neutral", "sadness"):
            common = generator.normal(size=(speakers, 8))
            for model in ("embedding", "opensmile-svc"):
                own = generator.normal(size=(speakers, 8))
                mixed = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
                cells.append((corpus, model, emotion))
                values.append(of_cell(corpus, model, emotion) + spread * mixed)
    return Profiles(cells, values, 8 * speakers)


def test_pairs_and_correlations_by_loops():
    generator = np.random.default_rng(0)
    drawn = profiles(lambda *cell: np.zeros(8), generator, 6)
    masks = pair_masks(drawn.cells)
    for i, one in enumerate(drawn.cells):
        for j, other in enumerate(drawn.cells):
            differ = [k for k in range(3) if one[k] != other[k]]
            names = {(): "split half", (0,): "corpora", (1,): "models", (2,): "emotions"}
            expected = names.get(tuple(differ))
            assert [kind for kind, mask in masks.items() if mask[i, j]] == ([expected] if expected else [])
    a, b = generator.normal(size=(3, 8)), generator.normal(size=(4, 8))
    found = correlations(a, b)
    for i in range(3):
        for j in range(4):
            assert found[i, j] == pytest.approx(np.corrcoef(a[i], b[j])[0, 1])


def test_similarity_from_disjoint_halves_by_loops():
    generator = np.random.default_rng(2)
    drawn = profiles(lambda *cell: np.zeros(8), generator, 7)
    for values in drawn.values:
        values[generator.random(7) < 0.2] = np.nan
    kept = {"emodb": np.arange(7) != 3, "ravdess": np.ones(7, dtype=bool)}
    found = similarity_matrix(drawn, kept, shared=False)
    for i, one in enumerate(drawn.cells[:5]):
        for j, other in enumerate(drawn.cells):
            known = []
            for split in range(SPLITS):
                first = {c: set(rng("profile halves", 0, split, c).permutation(7)[::2]) for c in kept}
                for way in (True, False):
                    means = []
                    for (corpus, _, _), values, half in (
                        (one, drawn.values[i], way),
                        (other, drawn.values[j], not way),
                    ):
                        chosen = [s for s in range(7) if kept[corpus][s] and (s in first[corpus]) == half]
                        rows = [values[s] for s in chosen if np.isfinite(values[s][0])]
                        means.append(np.mean(rows, axis=0) if rows else np.full(8, np.nan))
                    known.append(np.corrcoef(*means)[0, 1])
            assert found[i, j] == pytest.approx(np.nanmean(known), nan_ok=True)


def test_without_noise_the_means_are_those_of_the_profiles():
    generator = np.random.default_rng(4)
    base = {e: generator.normal(size=8) for e in ("anger", "happiness", "neutral", "sadness")}
    moved = {(c, e): generator.normal(size=8) for c in ("emodb", "ravdess") for e in base}

    def of_cell(corpus: str, model: str, emotion: str) -> np.ndarray:
        return base[emotion] + moved[corpus, emotion]  # recognisers agree, corpora do not

    found = profile_contrast(profiles(of_cell, generator, spread=1e-6))
    assert found.means["models"] == pytest.approx(1, abs=1e-6) == found.means["split half"]
    expected = np.mean([np.corrcoef(of_cell("emodb", "", e), of_cell("ravdess", "", e))[0, 1] for e in base])
    assert found.means["corpora"] == pytest.approx(expected, abs=1e-4)
    assert found.difference == pytest.approx(1 - expected, abs=1e-4) and found.p < 0.01
    assert found.low < found.difference < found.high
    assert np.mean([d for d, _, _ in found.by_emotion.values()]) == pytest.approx(found.difference, abs=1e-9)


def test_shared_clips_alone_make_recognisers_look_alike():
    """No recogniser or corpus has a profile of its own: the difference is that two recognisers hear the same clips."""
    generator = np.random.default_rng(8)
    base = {e: generator.normal(size=8) for e in ("anger", "happiness", "neutral", "sadness")}
    found = {True: [], False: []}
    for _ in range(8):
        drawn = profiles(lambda c, m, e: base[e], generator, 8, spread=3.0, shared=0.9)
        everyone = {corpus: np.ones(8, dtype=bool) for corpus in ("emodb", "ravdess")}
        masks = pair_masks(drawn.cells)
        for shared, values in found.items():
            matrix = similarity_matrix(drawn, everyone, shared)
            values.append(np.nanmean(matrix[masks["models"]]) - np.nanmean(matrix[masks["corpora"]]))
    assert np.mean(found[True]) > 0.15
    assert abs(np.mean(found[False])) < 0.1


def test_permuted_labels_reject_no_more_than_they_say():
    generator = np.random.default_rng(9)
    experiments, rejected = 150, 0
    cells = [(c, m, e) for c in "ab" for m in "xy" for e in "1234"]
    for _ in range(experiments):
        values = generator.normal(size=(16, 8))
        rejected += label_permutation(cells, correlations(values, values), permutations=199) <= 0.05
    assert rejected / experiments <= limit(experiments)
    assert np.isnan(label_permutation([("a", "x", "1"), ("a", "y", "1")], np.eye(2)))


@pytest.mark.long
def test_equal_axes_are_not_told_apart_too_often():
    """Two recognisers and two corpora move the profiles by the same amount: the contrast is 0."""
    generator = np.random.default_rng(21)
    experiments, rejected = 200, 0
    for _ in range(experiments):
        base = {e: generator.normal(size=8) for e in ("anger", "happiness", "neutral", "sadness")}
        step = {e: generator.normal(size=8) for e in base}

        def of_cell(corpus: str, model: str, emotion: str, base=base, step=step) -> np.ndarray:
            return base[emotion] + step[emotion] * ((corpus == "ravdess") + (model == "embedding"))

        found = profile_contrast(profiles(of_cell, generator, 10, spread=1.0))
        rejected += found.p < 0.05
    assert rejected / experiments <= limit(experiments)
