"""Statistics: closed forms against explicit matrices, and error rates by simulation with known truth."""

from __future__ import annotations

import time
from dataclasses import astuple
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

from serxai.benchmark.stats import clustered
from serxai.benchmark.stats.cluster_variance import cluster_fit
from serxai.benchmark.stats.clustered import (
    CELL,
    cells,
    clustered_mean,
    compare_pairwise,
    significance_groups,
)
from serxai.benchmark.stats.multiplicity import holm
from serxai.errors import InputError


def against_random(scores: pd.DataFrame) -> pd.DataFrame:
    return clustered.tests_against(cells(scores), "random")


def slow_icc(values: np.ndarray, labels: np.ndarray) -> float:
    """One-way analysis of variance, written out."""
    groups = [values[labels == label] for label in np.unique(labels)]
    n, m = len(values), len(groups)
    if n == m:
        return 0.0
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (n - m)
    between = sum(len(g) * (g.mean() - values.mean()) ** 2 for g in groups) / (m - 1)
    typical = (n - sum(len(g) ** 2 for g in groups) / n) / (m - 1)
    speaker = max(between - within, 0) / typical
    return speaker / (speaker + within)


def slow_cr2(values: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Pustejovsky & Tipton 2018, JBES 36(4), as N x N matrices: mean, standard error, degrees of freedom."""
    n = len(values)
    X = np.ones((n, 1))
    M = np.linalg.inv(X.T @ X)
    residual_maker = np.eye(n) - X @ M @ X.T
    e = residual_maker @ values
    icc = slow_icc(values, labels)
    working = (1 - icc) * np.eye(n) + icc * (labels[:, None] == labels[None, :])
    variance, vectors = 0.0, []
    for label in np.unique(labels):
        inside = labels == label
        H = (X @ M @ X.T)[np.ix_(inside, inside)]
        A = linalg.inv(linalg.sqrtm(np.eye(inside.sum()) - H)).real
        g = (M @ X[inside].T @ A).ravel()
        variance += float(g @ e[inside]) ** 2
        vectors.append(residual_maker[inside].T @ g)
    P = np.array(vectors) @ working @ np.array(vectors).T
    return float(values.mean()), variance**0.5, np.trace(P) ** 2 / (P**2).sum()


def test_closed_form_equals_the_matrix_formula() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        sizes = rng.integers(1, 9, rng.integers(2, 12))
        if sizes.max() == 1:
            sizes[0] = 3
        labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        values = rng.standard_normal(len(labels)) + rng.uniform(0, 2) * rng.standard_normal(len(sizes))[labels]
        found = clustered_mean(values, labels)
        np.testing.assert_allclose((found.mean, found.se, found.df), slow_cr2(values, labels), rtol=1e-9)
        half = stats.t.ppf(0.975, found.df) * found.se if found.n_speakers >= 6 else np.nan
        np.testing.assert_allclose((found.low, found.high), (found.mean - half, found.mean + half))


def test_one_clip_per_speaker_is_students_t() -> None:
    x = np.random.default_rng(0).standard_normal(9)
    found = clustered_mean(x, np.arange(9))
    interval = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high, found.df), (interval.low, interval.high, 8))


def test_equal_clusters_are_students_t_on_their_means() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 5)) + rng.standard_normal((7, 1))
    found = clustered_mean(x.ravel(), np.repeat(np.arange(7), 5), level=0.9)
    interval = stats.ttest_1samp(x.mean(1), 0).confidence_interval(0.9)
    np.testing.assert_allclose((found.low, found.high, found.df), (interval.low, interval.high, 6))


def test_degenerate_inputs() -> None:
    nan = np.nan
    one = clustered_mean([1.0, 2.0, nan], list("aaa"))
    assert (one.mean, one.n, one.clusters) == (1.5, 2, 1)
    assert np.isnan([one.low, one.high, one.se, one.df]).all()
    constant = clustered_mean([0.1 + 0.2] * 7, list("aabcdef"))
    assert constant.se == 0 and constant.low == constant.high == pytest.approx(0.3) and np.isnan(constant.p)
    empty = clustered_mean([nan, nan], list("ab"))
    assert np.isnan(empty.mean) and empty.n == 0 and empty.clusters == 0
    assert clustered_mean([], []).n == 0
    without = clustered_mean([1.0, 2, 4, 8, 9, 9, 11], list("aabcdef"))
    same = clustered_mean([1.0, nan, 2, 4, 8, 9, 9, 11, nan], list("aaabcdefg"))
    assert astuple(same)[:-1] == pytest.approx(astuple(without)[:-1], rel=1e-12) and same.scope == without.scope
    with pytest.raises(InputError, match="one speaker each"):
        clustered_mean([1.0, 2.0], ["a"])
    with pytest.raises(InputError, match="between 0 and 1"):
        clustered_mean([1.0], ["a"], level=95)


# -- error rates by simulation: columns of one table are independent experiments --------------------------------------

SIZES = {
    "equal": lambda m: np.full(m, 6),
    "mild": lambda m: np.linspace(3, 12, m).round().astype(int),
    "strong": lambda m: np.r_[np.full(m - 2, 3), 20, 30],
}


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of mean 0 and variance 1."""
    if kind == "normal":
        return rng.standard_normal(shape)
    return rng.standard_t(3, shape) / np.sqrt(3) if kind == "t3" else rng.exponential(size=shape) - 1


def rejections(noise: str, speaker: str, icc: float, speakers: int, sizes: str, n: int = 4000) -> tuple[float, float]:
    """False-positive rate at nominal 5 %, and coverage of the 95 % interval, over n experiments."""
    rng = np.random.default_rng([speakers, len(sizes), len(noise), int(icc * 10)])
    codes = np.repeat(np.arange(speakers), SIZES[sizes](speakers))
    effects = draw(rng, speaker, (speakers, n))[codes]
    values = np.sqrt(1 - icc) * draw(rng, noise, (codes.size, n)) + np.sqrt(icc) * effects
    fit = cluster_fit(values, codes)
    p = 2 * stats.t.sf(np.abs(fit.mean / fit.se), fit.df)
    half = stats.t.ppf(0.975, fit.df) * fit.se
    return float((p < 0.05).mean()), float((np.abs(fit.mean) <= half).mean())


LIMIT = 0.05 + stats.norm.ppf(0.999) * np.sqrt(0.05 * 0.95 / 4000)  # binomial error of 4000 experiments: .0606


@pytest.mark.parametrize("speakers", [6, 8, 10, 16])
@pytest.mark.parametrize("sizes", sorted(SIZES))
@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_false_positive_rate_does_not_exceed_nominal(noise: str, sizes: str, speakers: int) -> None:
    for icc in (0.0, 0.3, 0.8):
        rate, coverage = rejections(noise, noise, icc, speakers, sizes)
        assert rate <= LIMIT, icc
        assert coverage >= 1 - LIMIT, icc
    assert rejections(noise, noise, 0.3, speakers, sizes)[0] > 0  # a test that never rejects would pass, too


@pytest.mark.parametrize("speakers", [6, 8, 10, 16])
def test_skewed_clips_with_normal_speaker_effects_hold_the_rate(speakers: int) -> None:
    assert rejections("skewed", "normal", 0.3, speakers, "mild")[0] <= LIMIT


@pytest.mark.parametrize("speakers", [6, 8, 10, 16])
def test_skewed_speaker_effects_exceed_the_rate_as_documented(speakers: int) -> None:
    """No test on so few skewed speakers holds; the module's docstring states the size of the excess."""
    rates = [rejections("skewed", "skewed", icc, speakers, "mild")[0] for icc in (0.3, 0.8)]
    assert 0.05 < max(rates) < 0.12


def wild_bootstrap_p(values: np.ndarray, codes: np.ndarray) -> float:
    """Two-sided p of mean 0 by the wild cluster bootstrap-t, null imposed, all Rademacher signs enumerated.

    Cameron, Gelbach & Miller 2008, Review of Economics and Statistics 90(3).
    """
    size, sums = np.bincount(codes).astype(float), np.bincount(codes, weights=values)
    # half of all sign vectors: the other half mirrors it
    flipped = sums * np.array([(1, *rest) for rest in product((1, -1), repeat=len(size) - 1)])
    mean = flipped.sum(1) / size.sum()
    spread = np.sqrt((((flipped - mean[:, None] * size) ** 2) / (1 - size / size.sum())).sum(1)) / size.sum()
    t = np.abs(mean) / spread
    return float((t >= t[0] * (1 - 1e-12)).mean())


@pytest.mark.parametrize(("speakers", "n"), [(8, 1000), (10, 500)])
def test_the_wild_bootstrap_is_no_way_out_of_skewness(speakers: int, n: int) -> None:
    """Log-normal speaker effects: its weights are symmetric, so it rejects as often as CR2, three times too often."""
    rng = np.random.default_rng(speakers)
    codes = np.repeat(np.arange(speakers), 6)
    effects = (rng.lognormal(size=(speakers, n)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    values = np.sqrt(0.8) * effects[codes] + np.sqrt(0.2) * rng.standard_normal((codes.size, n))
    fit = cluster_fit(values, codes)
    cr2 = (2 * stats.t.sf(np.abs(fit.mean / fit.se), fit.df) < 0.05).mean()
    wild = np.mean([wild_bootstrap_p(column, codes) < 0.05 for column in values.T])
    assert 0.08 < wild < 0.2 and wild == pytest.approx(cr2, abs=0.03)


def test_power_is_not_given_away() -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(10), 6)
    fit = cluster_fit(0.8 + rng.standard_normal((60, 2000)) + 0.65 * rng.standard_normal((10, 2000))[codes], codes)
    p = 2 * stats.t.sf(np.abs(fit.mean / fit.se), fit.df)
    means = np.random.default_rng(4).normal(0.8, np.sqrt(0.65**2 + 1 / 6), (10, 2000))
    assert (p < 0.05).mean() == pytest.approx((stats.ttest_1samp(means, 0).pvalue < 0.05).mean(), abs=0.04)


def test_wild_bootstrap_agrees_with_cr2() -> None:
    rng = np.random.default_rng(5)
    pairs = []
    for shift in np.linspace(0, 1.2, 40):
        codes = np.repeat(np.arange(10), rng.integers(4, 9, 10))
        x = shift + rng.standard_normal(codes.size) + 0.5 * rng.standard_normal(10)[codes]
        e = clustered_mean(x, codes)
        pairs.append((2 * stats.t.sf(abs(e.mean / e.se), e.df), wild_bootstrap_p(x, codes)))
    cr2, wild = np.array(pairs).T
    assert np.corrcoef(cr2, wild)[0, 1] > 0.99
    assert np.abs(cr2 - wild).max() < 0.06


def test_wild_bootstrap_against_explicit_resampling() -> None:
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(6), [2, 3, 4, 2, 5, 3])
    x = 0.4 + rng.standard_normal(codes.size)

    def t(values: np.ndarray) -> float:
        mean, se, _ = slow_cr2(values, codes)
        return abs(mean) / se

    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    assert wild_bootstrap_p(x, codes) == np.mean([t(x * s[codes]) >= t(x) - 1e-12 for s in signs])


# -- score tables ------------------------------------------------------------------------------------------------------


def test_tests_against_a_baseline_pair_clip_by_clip(make_scores) -> None:
    scores = make_scores(speakers=8).sample(frac=1, random_state=0)
    found = against_random(scores)
    assert set(found["method"]) == {"energy", "saliency", "emolime", "<odd & name>", "oracle"}
    for metric, sign in (("deletion", -1), ("abpc", 1)):
        rows = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")]
        wide = rows.pivot(index="clip", columns="method", values="value")
        speaker = rows.groupby("clip")["speaker"].first()[wide.index]
        cell = found[(found["metric"] == metric) & (found["condition"] == "clean")].set_index("method")
        raw = []
        for method, row in cell.iterrows():
            d = sign * (wide[method] - wide["random"])
            e = clustered_mean(d, speaker)
            np.testing.assert_allclose(
                row[["difference", "low", "high", "df"]].astype(float), (e.mean, e.low, e.high, e.df)
            )
            assert row["effect"] == pytest.approx(d.mean() / d.std())
            assert row["superiority"] == pytest.approx((d.dropna() > 0).mean())
            assert (row["n_clips"], row["n_speakers"]) == (e.n, e.clusters)
            assert row["coverage"] == e.n / 48
            raw.append(2 * stats.t.sf(abs(e.mean / e.se), e.df))
        np.testing.assert_allclose(cell["p"], raw)
        np.testing.assert_allclose(cell["p_holm"], holm(raw))
        assert cell.loc["oracle", "p_holm"] < 0.05 and cell.loc["oracle", "difference"] > 2
        assert cell.loc["oracle", "n_clips"] < 48


def test_order_of_rows_does_not_matter(make_scores) -> None:
    scores = make_scores(speakers=6)
    shuffled = scores.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(against_random(scores), against_random(shuffled))
    pd.testing.assert_frame_equal(compare_pairwise(scores, "abpc"), compare_pairwise(shuffled, "abpc"))


def test_seeds_of_one_clip_count_once(make_scores) -> None:
    scores = make_scores(speakers=7)
    twice = pd.concat([scores, scores.assign(seed=1)])
    pd.testing.assert_frame_equal(against_random(scores), against_random(twice))


def test_few_speakers_make_no_claim(make_scores) -> None:
    found = against_random(make_scores(speakers=5, conditions=("clean",)))
    assert found["p"].isna().all() and found["p_holm"].isna().all() and found["low"].isna().all()
    assert found["difference"].notna().all()
    assert found["note"].str.contains("no claim about a population: 5 speakers").all()


def test_constant_differences_and_missing_baseline(make_scores) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    cost = against_random(scores[scores["metric"] == "explanation-calls"]).set_index("method")
    assert cost.loc["energy", "p"] == 1.0  # no call, as random: no difference at all
    assert np.isnan(cost.loc["emolime", "p"]) and cost.loc["emolime", "difference"] == -256
    assert cost.loc["emolime", "note"] == "every clip differs by the same amount: no test"
    without = against_random(scores[scores["method"] != "random"])
    assert without["p"].isna().all() and (without["note"] == "'random' was not run").all()
    assert against_random(scores.iloc[:0]).empty
    assert list(against_random(scores.iloc[:0]).columns[: len(CELL)]) == CELL


def test_a_method_without_any_score_has_no_test(make_scores) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    dead = scores["method"] == "saliency"
    scores.loc[dead, ["status", "value"]] = ["failed", np.nan]
    row = against_random(scores).query("method == 'saliency' and metric == 'abpc'").iloc[0]
    assert (
        np.isnan(row["p"]) and row["n_clips"] == 0 and row["coverage"] == 0 and row["note"] == "no clip scored by both"
    )


def test_pairwise_tests_all_pairs(make_scores) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    pairs = compare_pairwise(scores, "deletion")
    assert len(pairs) == 15
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p"]))
    versus = pairs.query("method_a == 'oracle' and method_b == 'random'").iloc[0]
    alone = against_random(scores).query("method == 'oracle' and metric == 'deletion'").iloc[0]
    np.testing.assert_allclose(versus[["difference", "p"]].astype(float), alone[["difference", "p"]].astype(float))
    with pytest.raises(InputError, match=r"no metric 'nonsense'.*abpc"):
        compare_pairwise(scores, "nonsense")


def some_pairs(names: list[str], p: dict[tuple[str, str], float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"method_a": a, "method_b": b, "p_holm": p.get((a, b), 1.0), "se": 1.0, "difference": 1.0, "n_speakers": 9}
            for a, b in combinations(names, 2)
        ]
    )


def test_letters_by_hand() -> None:
    names = ["w", "x", "y", "z"]
    assert significance_groups(some_pairs(names, {}), names) == dict.fromkeys(names, "a")
    chain = {("w", "y"): 0.01, ("w", "z"): 0.01, ("x", "z"): 0.01}
    assert significance_groups(some_pairs(names, chain), names) == {"w": "a", "x": "ab", "y": "bc", "z": "c"}
    assert significance_groups(some_pairs(names, {("w", "y"): np.nan}), names) == {}
    assert significance_groups(some_pairs(["w"], {}).reindex(columns=some_pairs(names, {}).columns), ["w"]) == {
        "w": "a"
    }


def test_letters_share_exactly_when_not_distinguishable() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        names = [f"m{i}" for i in range(7)]
        p = {pair: float(rng.choice([0.01, 0.5])) for pair in combinations(names, 2)}
        letters = significance_groups(some_pairs(names, p), names)
        assert letters["m0"].startswith("a")
        for (a, b), value in p.items():
            assert bool(set(letters[a]) & set(letters[b])) == (value >= 0.05)


def test_thirty_methods_on_five_hundred_clips_are_quick() -> None:
    rng = np.random.default_rng(0)
    n, k = 500, 30
    methods = ["random"] + [f"m{i:02}" for i in range(k - 1)]
    clips = np.arange(n)
    scores = pd.DataFrame({"clip": np.tile(clips, k), "method": np.repeat(methods, n)})
    scores["speaker"] = scores["clip"] % 16
    scores = scores.assign(**dict.fromkeys(CELL, "x"), seed=0, repeat=0, status="ok", value=rng.standard_normal(n * k))
    against_random(scores)
    start = time.process_time()
    assert len(against_random(scores)) == k - 1
    assert len(compare_pairwise(scores)) == k * (k - 1) // 2
    assert time.process_time() - start < 1.0
