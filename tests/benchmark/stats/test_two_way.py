"""Two-way clusters: closed forms against sums over pairs of clips, scopes, and false-positive rates by simulation."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

from serxai.benchmark.cli.false_positives import main
from serxai.benchmark.stats import clustered
from serxai.benchmark.stats.cluster_variance import cluster_fit, variances
from serxai.benchmark.stats.clustered import clustered_mean
from serxai.benchmark.stats.simulation import (
    LAYOUTS,
    METHODS,
    NOT_CLAIMED,
    PATTERNS,
    Effects,
    limit,
    rejection_rates,
    simulate,
)
from serxai.errors import InputError

CLAIMED = METHODS[-1]
HELD = ("none", "speaker", "sentence", "both", "both, large", "heavy tails")
SKEWED = ("exponential", "log-normal")


def slow_variance(values: np.ndarray, labels: np.ndarray) -> float:
    """CR2 with its adjustment matrices written out."""
    n, residual, total = len(values), values - values.mean(), 0.0
    for label in np.unique(labels):
        inside = labels == label
        size = int(inside.sum())
        adjust = linalg.inv(linalg.sqrtm(np.eye(size) - np.ones((size, size)) / n)).real
        total += float(np.ones(size) @ adjust @ residual[inside]) ** 2
    return total / n**2


def random_layout(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    speakers, sentences = rng.integers(0, 7, n), rng.integers(0, 8, n)
    return (
        rng.standard_normal(n) + rng.standard_normal(7)[speakers] + rng.standard_normal(8)[sentences],
        speakers,
        sentences,
    )


def test_variances_equal_the_matrix_formulas() -> None:
    rng = np.random.default_rng(0)
    for n in (40, 60, 90):
        x, speakers, sentences = random_layout(rng, n)
        one, two, both = (slow_variance(x, labels) for labels in (speakers, sentences, speakers * 100 + sentences))
        found = variances(x[:, None], speakers, sentences)
        np.testing.assert_allclose((found.speaker[0], found.sentence[0], found.pair[0]), (one, two, both), rtol=1e-9)
        e = clustered_mean(x, speakers, sentences)
        assert e.se == pytest.approx(np.sqrt(max(one, two, one + two - both)))
        df = min(clustered_mean(x, labels).df for labels in (speakers, sentences))
        assert e.df == pytest.approx(df) and e.df <= 6
        half = stats.t.ppf(0.975, df) * e.se
        assert (e.low, e.high) == pytest.approx((x.mean() - half, x.mean() + half))
        assert e.p == pytest.approx(2 * stats.t.sf(abs(x.mean() / e.se), df))


def test_each_variance_can_be_the_largest() -> None:
    rng, largest = np.random.default_rng(1), set()
    for share in ((0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)):
        x = simulate(LAYOUTS["planted"], Effects(*share), 50, rng)
        by = variances(x, *LAYOUTS["planted"].codes)
        largest |= set(np.argmax([by.speaker, by.sentence, by.difference], axis=0).tolist())
    assert largest == {0, 1, 2}


def test_columns_with_missing_clips_equal_one_estimate_each() -> None:
    rng = np.random.default_rng(2)
    x, speakers, sentences = random_layout(rng, 80)
    table = x[:, None] + rng.standard_normal((80, 6))
    table[rng.random(table.shape) < 0.2] = np.nan
    table[sentences > 3, 0] = np.nan  # four sentences left: fixed
    table[speakers > 3, 1] = np.nan  # four speakers left: no claim
    table[:, 2] = np.nan
    fit = cluster_fit(table, speakers, sentences)
    for k in range(6):
        e = clustered_mean(table[:, k], speakers, sentences)
        column = (fit.mean[k], fit.se[k], fit.df[k], fit.p[k], fit.half[k])
        np.testing.assert_allclose(column, (e.mean, e.se, e.df, e.p, e.high - e.mean), rtol=1e-9)
        assert (fit.n[k], fit.clusters[k], fit.sentences[k]) == (e.n_clips, e.n_speakers, e.n_sentences)
        assert fit.scope[k] == e.scope
    assert fit.scope.tolist() == [
        "these sentences",
        "described only",
        "described only",
        *["speakers and sentences"] * 3,
    ]
    assert np.isnan(fit.p[1]) and np.isnan(fit.half[1]) and np.isfinite(fit.mean[1])


def test_fewer_than_six_sentences_are_fixed() -> None:
    x, speakers, sentences = random_layout(np.random.default_rng(3), 80)
    two, one = clustered_mean(x, speakers, sentences % 5), clustered_mean(x, speakers)
    assert replace(two, n_sentences=0) == one and two.n_sentences == 5 and two.scope == "these sentences"
    assert clustered_mean(x, speakers, sentences % 6).scope == "speakers and sentences"
    few = clustered_mean(x, speakers % 5, sentences)
    assert few.scope == "described only" and np.isnan([few.low, few.high, few.p]).all() and np.isfinite(few.se)
    missing = clustered_mean(x, speakers, [None] * 80)
    assert missing.n_sentences == 1 and replace(missing, n_sentences=0) == one
    with pytest.raises(InputError, match=r"sentences must have one label for each of the 80 values, got 3"):
        clustered_mean(x, speakers, [1, 2, 3])


def test_a_sentence_column_makes_tests_of_scores_two_way(make_scores) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    before = clustered.compare_pairwise(scores, "abpc")
    assert set(before["scope"]) == {"these sentences"} and (before["n_sentences"] == 0).all()
    scores["sentence"] = scores["clip"].str[3:]
    after = clustered.compare_pairwise(scores, "abpc")
    row = after.query("method_a == 'emolime' and method_b == 'saliency'").iloc[0]
    chosen = scores[scores["metric"] == "abpc"]
    wide = chosen.pivot(index="clip", columns="method", values="value")
    facts = chosen.drop_duplicates("clip").set_index("clip").loc[wide.index]
    e = clustered_mean(wide["emolime"] - wide["saliency"], facts["speaker"], facts["sentence"])
    np.testing.assert_allclose(row[["difference", "low", "se", "p"]].astype(float), (e.mean, e.low, e.se, e.p))
    assert row["scope"] == e.scope == "speakers and sentences" and row["n_sentences"] == 6
    pd.testing.assert_series_equal(before["difference"], after["difference"])


# -- false-positive rates ----------------------------------------------------------------------------------------------


def test_layouts_are_those_of_the_corpora() -> None:
    shapes = {name: layout.counts.shape for name, layout in LAYOUTS.items()}
    assert shapes["emodb"] == (10, 10) and shapes["nemo"] == (8, 14) and shapes["planted"] == (16, 8)
    assert shapes["ravdess"] == (12, 2) and shapes["tess"][0] == 2
    assert LAYOUTS["emodb"].counts.sum() == 339 and LAYOUTS["planted"].counts.sum() == 512
    assert LAYOUTS["planted, 80 clips"].counts.sum() == LAYOUTS["emodb, 80 clips"].counts.sum() == 80


@pytest.mark.real_data
def test_the_layout_of_emodb_is_counted_on_it(data_root) -> None:
    clips = pd.read_csv(data_root / "emodb" / "manifest.csv", dtype=str)
    clips = clips[clips["emotion"].isin(["anger", "happiness", "sadness", "neutral"])]
    np.testing.assert_array_equal(pd.crosstab(clips["speaker"], clips["sentence"]), LAYOUTS["emodb"].counts)


def test_simulated_effects_take_their_shares() -> None:
    layout = LAYOUTS["planted"]
    x = simulate(layout, Effects(speaker=0.3, sentence=0.2, fold=0.1), 4000, np.random.default_rng(0))
    assert x.var() == pytest.approx(1, abs=0.05)
    speakers, sentences = layout.codes
    pair = [int(np.flatnonzero((speakers == s) & (sentences == t))[0]) for s, t in ((0, 0), (0, 1), (1, 0), (2, 3))]
    same_speaker, same_sentence, neither = (np.mean(x[pair[0]] * x[other]) for other in pair[1:])
    assert same_speaker == pytest.approx(0.4, abs=0.06)  # with its fold's effect
    assert same_sentence == pytest.approx(0.2, abs=0.06) and neither == pytest.approx(0, abs=0.06)
    folds = simulate(layout, Effects(fold=1.0), 10, np.random.default_rng(0))
    np.testing.assert_allclose(folds.mean(axis=0), 0, atol=1e-12)  # fixed recognisers
    fixed = simulate(LAYOUTS["ravdess"], Effects(sentence=1.0), 10, np.random.default_rng(0))
    np.testing.assert_allclose(fixed.mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "tess"])
def test_the_false_positive_rate_does_not_exceed_the_nominal_one(name: str) -> None:
    for pattern in ("none", "sentence", "both"):
        rate = rejection_rates(LAYOUTS[name], PATTERNS[pattern], 1000)[CLAIMED]
        assert rate <= limit(1000), pattern


@pytest.mark.long
@pytest.mark.parametrize("pattern", HELD)
@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "tess"])
def test_the_false_positive_rate_of_many_experiments(name: str, pattern: str) -> None:
    rates = rejection_rates(LAYOUTS[name], PATTERNS[pattern], 10_000, seed=1)
    assert 0 <= rates[CLAIMED] <= limit(10_000)
    if name == "emodb":
        assert rates[CLAIMED] > 0.01  # a test that never rejects would pass, too


@pytest.mark.long
@pytest.mark.parametrize("name", ["emodb", "nemo", "planted", "ravdess"])
def test_skewed_effects_exceed_the_rate_as_documented(name: str) -> None:
    rates = [rejection_rates(LAYOUTS[name], PATTERNS[pattern], 10_000, seed=1)[CLAIMED] for pattern in SKEWED]
    assert rates[0] <= 0.06 and 0.05 < rates[1] < 0.1


def test_clusters_of_speakers_alone_reject_too_often() -> None:
    """What the second way of clustering is for, and why the difference of variances with clusters - 1 is not enough."""
    speaker, difference, plain, claimed = METHODS
    rates = rejection_rates(LAYOUTS["planted"], PATTERNS["both"], 1000)
    assert rates[speaker] > 0.12 and rates[claimed] <= limit(1000)
    uneven = rejection_rates(LAYOUTS["unbalanced"], PATTERNS["speaker"], 1000)
    assert min(uneven[difference], uneven[plain]) > limit(1000) >= uneven[claimed]
    outside = rejection_rates(LAYOUTS["ravdess"], NOT_CLAIMED["ravdess"], 1000)
    assert outside[claimed] > 0.2  # two sentences say nothing about sentences


def test_two_speakers_are_described_only() -> None:
    assert np.isnan(list(rejection_rates(LAYOUTS["tess"], PATTERNS["both"], 20).values())).all()


def test_power_of_the_largest_variance() -> None:
    """At least two thirds of the power of a t test on means of speakers, or of sentences, whichever is weaker."""
    layout, effects = LAYOUTS["emodb"], Effects(speaker=0.1, sentence=0.1)
    speakers, sentences = layout.codes
    x = 0.45 + simulate(layout, effects, 2000, np.random.default_rng(0))
    power = (cluster_fit(x, speakers, sentences).p < 0.05).mean()
    means = [np.array([x[codes == c].mean(0) for c in range(10)]) for codes in (speakers, sentences)]
    alone = min((stats.ttest_1samp(m, 0).pvalue < 0.05).mean() for m in means)
    assert alone > 0.8 and power > 2 / 3 * alone


def test_many_columns_are_quick() -> None:
    x = simulate(LAYOUTS["emodb"], Effects(), 2000, np.random.default_rng(0))
    cluster_fit(x[:, :10], *LAYOUTS["emodb"].codes)
    start = time.process_time()
    cluster_fit(x, *LAYOUTS["emodb"].codes)
    assert time.process_time() - start < 1.0


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--experiments", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| layout | method | none | speaker |") and len(lines) == 2 + len(LAYOUTS) * len(METHODS)
    assert lines[-1].startswith("| tess | largest") and "–" in lines[-1]
    with pytest.raises(SystemExit):
        main(["--experiments", "0"])
