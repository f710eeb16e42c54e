"""Shortcut probes: features with known answers, the classifier's slow twin, planted shortcuts, and false alarms."""

from __future__ import annotations

import doctest
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.naive_bayes import CategoricalNB
from sklearn.preprocessing import KBinsDiscretizer

from serxai.datasets import probe_features
from serxai.datasets.corpora import load_corpus
from serxai.datasets.probe_features import FEATURES, clip_features, corpus_features
from serxai.datasets.probes import (
    KNOWN,
    NEW,
    PROBES,
    BinnedNaiveBayes,
    bins_for,
    holm,
    permuted,
    probe_corpus,
    probe_table,
    uar,
    uar_interval,
)
from serxai.errors import InputError

EMOTIONS = ("anger", "happiness", "sadness", "neutral")


def simulated(seed: int, speakers: int = 8, per_cell: int = 8, emotions=EMOTIONS) -> pd.DataFrame:
    """A corpus in which every feature depends on the speaker and on nothing else."""
    generator = np.random.default_rng(seed)
    rows = [
        {"emotion": emotion, "speaker": f"s{s}", "sex": ("female", "male")[s % 2]}
        for s in range(speakers)
        for emotion in emotions
        for _ in range(per_cell)
    ]
    table = pd.DataFrame(rows, index=[f"clip{i:04d}" for i in range(len(rows))])
    for feature in FEATURES:
        voice = generator.normal(size=speakers)
        table[feature] = generator.normal(size=len(rows)) + np.repeat(voice, len(emotions) * per_cell)
    return table


# ---------------------------------------------------------------- features


def tone(seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.where(np.arange(round(16000 * seconds)) % 2, 1.0, -1.0)


def test_features_of_a_known_clip() -> None:
    samples = np.concatenate(
        [np.zeros(3200), tone(0.5), 5e-3 * tone(0.25), tone(0.5), 5e-3 * tone(0.1), np.zeros(1600)]
    )
    facts = clip_features(samples.astype(np.float32))
    assert set(facts) == set(FEATURES)
    assert facts["duration_s"] == 1.65
    assert facts["leading_silence_s"] == pytest.approx(0.2)
    assert facts["trailing_silence_s"] == pytest.approx(0.2)
    assert facts["zeros_s"] == pytest.approx(0.3)  # the faint end is silence, but no zeros
    assert facts["peak_dbfs"] == pytest.approx(20 * math.log10(0.5))
    assert facts["rms_dbfs"] == pytest.approx(20 * math.log10(0.5 * math.sqrt(1.0 / 1.65)), abs=0.01)
    assert facts["silence_ratio"] == pytest.approx(0.65 / 1.65)


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.9])
def test_only_level_features_follow_the_level(gain: float) -> None:
    samples = np.concatenate([np.zeros(1600), tone(0.5), np.zeros(800)])
    loud, soft = clip_features(samples), clip_features(samples * gain)
    change = 20 * math.log10(gain)
    for feature in FEATURES:
        expected = loud[feature] + (change if feature.endswith("dbfs") else 0)
        assert soft[feature] == pytest.approx(expected), feature


def test_the_example_in_the_documentation_holds() -> None:
    assert doctest.testmod(probe_features) == (0, 2)


@pytest.mark.parametrize("samples", [np.zeros(1600), np.zeros(1), np.ones(1), tone(0.001), np.full(161, 1e-30)])
def test_odd_clips_have_finite_features(samples: np.ndarray) -> None:
    facts = clip_features(samples.astype(np.float32))
    assert all(math.isfinite(value) for value in facts.values())
    assert 0 <= facts["silence_ratio"] <= 1 and facts["rms_dbfs"] >= -120
    assert facts["leading_silence_s"] + facts["trailing_silence_s"] <= facts["duration_s"] + 1e-12


# ---------------------------------------------------------------- the classifier and its slow twin

problems = st.tuples(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 3), st.booleans())


@settings(max_examples=40)
@given(problems)
def test_predictions_equal_scikit_learns_naive_bayes(problem) -> None:
    seed, n_classes, n_features, rounded = problem
    generator = np.random.default_rng(seed)
    labels = generator.integers(n_classes, size=120)
    values = generator.normal(size=(120, n_features)) + labels[:, None] * generator.normal(size=n_features)
    if rounded:  # many clips of one value, as with padding that is mostly zero
        values = np.maximum(np.round(values), 0)
    folds = generator.integers(3, size=120)
    predicted = BinnedNaiveBayes(values, folds, n_classes).predict(labels[None], [range(n_features)])[0, 0]
    for fold in range(3):
        train, test = folds != fold, folds == fold
        edges = [bins_for(column[train], n_classes) for column in values.T]
        binned = np.column_stack([np.digitize(column, e) for column, e in zip(values.T, edges, strict=True)])
        twin = CategoricalNB(alpha=1, fit_prior=False, min_categories=[len(e) + 1 for e in edges])
        scores = twin.fit(binned[train], labels[train]).predict_joint_log_proba(binned[test])
        place = {label: i for i, label in enumerate(twin.classes_)}
        chosen = scores[np.arange(test.sum()), [place[label] for label in predicted[test]]]
        assert np.allclose(chosen, scores.max(axis=1), atol=1e-9)  # the same up to ties


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(20, 300), st.integers(2, 8))
def test_bins_are_scikit_learns_quantiles(seed: int, n: int, n_classes: int) -> None:
    values = np.random.default_rng(seed).normal(size=n)
    edges = bins_for(values, n_classes)
    twin = KBinsDiscretizer(len(edges) + 1, strategy="quantile", quantile_method="linear", encode="ordinal")
    assert np.allclose(edges, twin.fit(values[:, None]).bin_edges_[0][1:-1])
    assert 1 <= len(edges) <= 15


def test_a_constant_feature_tells_nothing() -> None:
    labels = np.tile([0, 1, 2], 20)
    assert len(bins_for(np.zeros(60), 3)) == 0
    predicted = BinnedNaiveBayes(np.zeros((60, 1)), np.arange(60) // 30, 3).predict(labels[None], [[0]])[0, 0]
    assert uar(labels, predicted) == pytest.approx(1 / 3)


def test_a_label_that_was_not_heard_is_not_guessed() -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2] * 20)
    predicted = BinnedNaiveBayes(np.zeros((60, 1)), (labels == 2).astype(int), 3).predict(labels[None], [[0]])[0, 0]
    assert not (predicted[labels == 2] == 2).any()


# ---------------------------------------------------------------- chance, intervals, correction


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_permutations_stay_within_speakers(seed: int, pairs: list[tuple[int, int]]) -> None:
    labels, speakers = np.array([p[0] for p in pairs]), np.array([f"s{p[1]}" for p in pairs])
    shuffled = permuted(labels, speakers, np.random.default_rng(seed))
    for speaker in set(speakers):
        assert sorted(shuffled[speakers == speaker]) == sorted(labels[speakers == speaker])


def test_every_order_within_a_speaker_is_as_likely() -> None:
    generator = np.random.default_rng(0)
    labels, speakers = np.array([0, 1, 2, 9]), np.array(["a", "a", "a", "b"])
    orders = pd.Series([tuple(permuted(labels, speakers, generator)) for _ in range(3000)]).value_counts()
    assert len(orders) == 6 and stats.chisquare(orders).pvalue > 1e-4


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_against_its_definition(p: list[float]) -> None:
    m, order = len(p), sorted(range(len(p)), key=lambda i: p[i])
    slow = {i: min(1, max((m - k) * p[j] for k, j in enumerate(order[: r + 1]))) for r, i in enumerate(order)}
    assert np.allclose(holm(p), [slow[i] for i in range(m)])


def test_the_interval_over_speakers_is_the_jackknife() -> None:
    generator = np.random.default_rng(1)
    labels, speakers = generator.integers(3, size=200), np.array([f"s{i}" for i in generator.integers(7, size=200)])
    predicted = np.where(generator.random(200) < 0.5, labels, generator.integers(3, size=200))

    def slow(keep: np.ndarray) -> float:
        return float(np.mean([(predicted == c)[keep & (labels == c)].mean() for c in range(3)]))

    without = np.array([slow(speakers != name) for name in sorted(set(speakers))])
    half = stats.t.ppf(0.975, 6) * math.sqrt(6 / 7 * ((without - without.mean()) ** 2).sum())
    low, high = uar_interval(labels, predicted, speakers, generator)
    whole = slow(np.ones(200, dtype=bool))
    assert (low, high) == pytest.approx((whole - half, whole + half))
    assert uar(labels, predicted) == pytest.approx(whole)


@pytest.mark.parametrize("speakers", [2, 6, 12])
def test_intervals_cover(speakers: int) -> None:
    """Speakers differ where the interval is over speakers; where it is over clips, they must not."""
    generator = np.random.default_rng(speakers)
    labels = np.tile(np.repeat([0, 1, 2], 10), speakers)
    names = np.repeat([f"s{i:02d}" for i in range(speakers)], 30)
    covered = 0
    for _ in range(200):
        rate = np.full(speakers, 0.5) if speakers < 6 else generator.beta(5, 5, size=speakers)
        hit = generator.random(len(labels)) < np.repeat(rate, 30)
        low, high = uar_interval(labels, np.where(hit, labels, (labels + 1) % 3), names, generator)
        covered += low <= 0.5 <= high
    # at least nominal coverage, beyond binomial error
    assert covered >= stats.binom.ppf(0.001, 200, 0.95)
    assert covered < 200 or speakers < 6


# ---------------------------------------------------------------- planted shortcuts, and none


def found(table: pd.DataFrame, **kwargs) -> dict[tuple[str, str], object]:
    report = probe_table("simulated", table, permutations=kwargs.pop("permutations", 199), **kwargs)
    return {(result.probe, result.tested_on): result for result in report.results}


def test_a_planted_shortcut_is_measured_at_its_true_size() -> None:
    """Each emotion's duration is uniform over a unit that overlaps the next by half: the best classifier reaches .625.

    (Four emotions: the outer halves of the first and last are certain, each other half is a tie of two: (2 * .75 + 2 *
    .5) / 4.)
    """
    table = simulated(0, speakers=10, per_cell=20)
    generator = np.random.default_rng(5)
    place = table["emotion"].map({emotion: i / 2 for i, emotion in enumerate(EMOTIONS)})
    table["duration_s"] = place + generator.random(len(table))
    results = found(table)
    for split in (NEW, KNOWN):
        duration = results["duration", split]
        assert duration.beats_chance and duration.uar == pytest.approx(0.625, abs=0.05)
        assert duration.low <= 0.625 <= duration.high
        assert duration.chance == pytest.approx(0.25, abs=0.02)
        others = [r for (probe, s), r in results.items() if s == split and probe != "duration"]
        assert len(others) == len(PROBES) - 1 and not any(r.beats_chance for r in others)


@pytest.mark.parametrize("feature", list(FEATURES))
def test_each_feature_reaches_the_probes_that_see_it(feature: str) -> None:
    table = simulated(1, speakers=6, per_cell=6)
    table[feature] = table["emotion"].map({e: float(i) for i, e in enumerate(EMOTIONS)})
    results = found(table)
    for probe in PROBES:
        result = results[probe.name, NEW]
        assert result.beats_chance == (feature in probe.features), probe.name
        assert result.uar > 0.95 or feature not in probe.features or len(probe.features) > 1


def test_a_shortcut_of_known_speakers_only_is_told_apart() -> None:
    """Each speaker has an order of emotions of their own: nothing to carry to a new speaker."""
    table = simulated(2, speakers=8, per_cell=10)
    orders = {s: np.random.default_rng(i).permutation(4) for i, s in enumerate(sorted(set(table["speaker"])))}
    code = [
        100 * int(s[1:]) + 10 * orders[s][EMOTIONS.index(e)]
        for s, e in zip(table["speaker"], table["emotion"], strict=True)
    ]
    table["peak_dbfs"] = np.asarray(code) + np.random.default_rng(3).random(len(table))
    results = found(table)
    assert results["peak level", KNOWN].uar > results["peak level", NEW].uar + 0.1
    assert results["peak level", KNOWN].beats_chance and not results["peak level", NEW].beats_chance


def test_a_feature_of_the_speaker_is_no_shortcut_even_where_speakers_differ_in_emotions() -> None:
    table = simulated(4, speakers=8, per_cell=10)
    generator = np.random.default_rng(4)
    keep = generator.random(len(table)) < np.where(
        (table["speaker"] < "s4") == table["emotion"].isin(["anger", "sadness"]), 1.0, 0.3
    )
    results = found(table[keep].assign(rms_dbfs=lambda t: t["speaker"].str[1:].astype(float)))
    assert not results["RMS level", NEW].beats_chance and not results["RMS level", KNOWN].beats_chance


def alarms(corpora: int) -> tuple[int, int]:
    """Corpora without a shortcut in which some probe of a split beats chance."""
    seen = {NEW: 0, KNOWN: 0}
    for seed in range(corpora):
        results = found(simulated(100 + seed, speakers=6, per_cell=5, emotions=EMOTIONS[:3]), seed=seed)
        for split in seen:
            seen[split] += any(r.beats_chance for (_, s), r in results.items() if s == split)
    return seen[NEW], seen[KNOWN]


def test_false_alarms_are_few() -> None:
    assert max(alarms(15)) <= stats.binom.ppf(0.999, 15, 0.05)


@pytest.mark.long
def test_false_alarms_stay_within_five_percent() -> None:
    assert max(alarms(300)) <= stats.binom.ppf(0.999, 300, 0.05)


# ---------------------------------------------------------------- reports


def test_neither_the_order_of_clips_nor_a_repeat_changes_a_report() -> None:
    table = simulated(7, speakers=5, per_cell=4)
    report = probe_table("simulated", table, permutations=199)
    assert probe_table("simulated", table.sample(frac=1, random_state=0), permutations=199) == report
    assert probe_table("simulated", table, permutations=199, seed=1) != report
    assert "only 5 speakers" in " ".join(report.notes) and "clips taken as independent" in report.interval


def test_rare_emotions_are_left_out_and_told() -> None:
    table = simulated(8, speakers=6, per_cell=4)
    table.loc[table.index[:3], "emotion"] = "fear"
    report = probe_table("simulated", table, permutations=199)
    assert report.emotions == tuple(sorted(EMOTIONS)) and report.clips == len(table) - 3
    assert any("left out for fewer than 10 clips: fear (3)" in note for note in report.notes)


def test_what_cannot_be_probed_is_told() -> None:
    table = simulated(9, speakers=6, per_cell=4)
    with pytest.raises(InputError, match="2 emotions of 10 clips each and 2 speakers, got 1 and 6"):
        probe_table("x", table.assign(emotion="fear"))
    with pytest.raises(InputError, match="got 4 and 1"):
        probe_table("x", table.assign(speaker="one"))
    with pytest.raises(InputError, match="99 permutations cannot tell 9 probes from chance; take 180"):
        probe_table("x", table, permutations=99)


@pytest.fixture
def corpus(tmp_path: Path):
    """Real files: anger lasts longer; one file is damaged."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(48):
        emotion = ("anger", "neutral")[i % 2]
        seconds = (0.30 if emotion == "anger" else 0.2) + 0.02 * generator.random()
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * generator.normal(size=round(8000 * seconds)), 8000)
        rows.append((f"{i}.wav", emotion, f"s{i % 6 // 2}"))
    pd.DataFrame(rows, columns=["file", "emotion", "speaker"]).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "7.wav").write_text("damaged")
    return load_corpus(f"folder:{tmp_path}")


def test_a_corpus_is_measured_and_probed_from_its_files(corpus) -> None:
    measured, unreadable = corpus_features(corpus)
    assert unreadable == ("7",) and len(measured) == 47
    assert measured.loc["0", "duration_s"] == pytest.approx(0.31, abs=0.011)
    steps: list[tuple[str, int, int]] = []
    report = probe_corpus(corpus, permutations=199, progress=lambda *step: steps.append(step))
    duration = next(r for r in report.results if r.probe == "duration" and r.tested_on == NEW)
    assert duration.beats_chance and duration.uar > 0.9
    assert report.unreadable == ("7",) and "1 clips cannot be decoded" in " ".join(report.notes)
    assert "levels are not comparable" in report.notes[-1]
    assert {what.split()[0] for what, *_ in steps} == {"measuring", "probing"} and steps[-1][1] == steps[-1][2]
    table = report.table()
    assert len(table) == 2 * len(PROBES) and set(table["corpus"]) == {corpus.name}
    corpus.record = replace(corpus.record, level_comparable=True)
    assert "levels are comparable" in probe_corpus(corpus, permutations=199).notes[-1]


def test_a_corpus_without_a_readable_file_is_told(corpus) -> None:
    for file in corpus.table["file"]:
        (corpus.root / file).write_text("damaged")
    with pytest.raises(InputError, match="none of its 48 files can be decoded"):
        probe_corpus(corpus)


@pytest.mark.real_data
def test_tess_durations_tell_its_emotions(data_root: Path) -> None:
    """Duration alone told 42 % of 7 classes with 31 nearest neighbours, known speakers (reference/seed-papers.md)."""
    report = probe_corpus(load_corpus("tess", data_root), permutations=199)
    duration = {r.tested_on: r for r in report.results if r.probe == "duration"}
    assert len(report.emotions) == 7 and report.speakers == 2
    assert duration[KNOWN].uar == pytest.approx(0.42, abs=0.05)
    assert duration[KNOWN].beats_chance and duration[NEW].beats_chance
    assert 1 / 7 + 0.05 < duration[NEW].uar < duration[KNOWN].uar
