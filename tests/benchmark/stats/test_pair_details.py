"""Details of pairs: each column equals its own function on the paired differences, whatever the metric's direction."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.benchmark.stats import clustered
from serxai.benchmark.stats.effects import equivalence, rank_biserial, standardised_difference
from serxai.benchmark.stats.pair_details import DETAILS, details_of_pairs
from serxai.benchmark.stats.power import clips_needed, detectable_difference, speakers_needed, variance_components
from serxai.benchmark.stats.resampling import sign_flip_test


@pytest.mark.parametrize(("metric", "sign"), [("abpc", 1), ("deletion", -1)])
def test_columns_are_those_of_the_functions(make_scores, metric: str, sign: int) -> None:
    scores = make_scores(speakers=8, conditions=("clean",))
    scores = scores[(scores["metric"] == metric) & scores["method"].isin(["emolime", "oracle", "saliency"])]
    scores = scores.assign(sentence=scores["clip"].str[3:])
    laid_out = list(clustered.cells(scores))
    details = details_of_pairs(laid_out, margin=0.5, difference=0.2)
    both = clustered.tests_of_pairs(laid_out).merge(details, on=[*clustered.CELL, "method_a", "method_b"])
    assert len(both) == len(details) == 3 and set(DETAILS) <= set(both)
    wide = scores.pivot(index="clip", columns="method", values="value")
    facts = scores.drop_duplicates("clip").set_index("clip").loc[wide.index]
    for _, row in both.iterrows():
        x = sign * (wide[row["method_a"]] - wide[row["method_b"]])
        codes = (facts["speaker"][x.notna()], facts["sentence"][x.notna()])
        x = x.dropna()
        effect, rank = standardised_difference(x, *codes), rank_biserial(x, *codes)
        same = equivalence(x, 0.5, *codes)
        assert row["effect"] == pytest.approx(effect.value) and row["effect_low"] == pytest.approx(effect.low)
        np.testing.assert_allclose(row["rank_biserial_high"], rank.high)
        assert row["p_permutation"] == sign_flip_test(x, codes[0]).p and row["p_permutation_smallest"] == 0.0078125
        assert (row["p_equivalent"], row["equivalent_high"]) == pytest.approx((same.p, same.high))
        components = variance_components(x, *codes)
        assert row["detectable"] == pytest.approx(detectable_difference(row["se"], row["df"]))
        assert (row["share_speaker"], row["share_sentence"]) == pytest.approx(components.shares[:2])
        n, speakers, sentences = row[["n_clips", "n_speakers", "n_sentences"]].astype(int)
        assert row["clips_needed"] == clips_needed(0.2, components, speakers, sentences)
        assert row["speakers_needed"] == speakers_needed(0.2, components, n / speakers, sentences)


def test_few_speakers_and_constant_differences_have_no_inference(make_scores) -> None:
    few = details_of_pairs(clustered.cells(make_scores(speakers=4, conditions=("clean",))), 0.1, 0.1)
    inferred = ["effect_low", "rank_biserial_low", "p_permutation", "p_equivalent", "detectable", "clips_needed"]
    assert len(few) and few[inferred].isna().all().all() and few["rank_biserial"].notna().any()
    calls = make_scores(speakers=8, conditions=("clean",)).query("metric == 'explanation-calls'")
    same = details_of_pairs(clustered.cells(calls))
    assert same[["effect_low", "detectable", "p_equivalent"]].isna().all().all()
    assert details_of_pairs([]).empty
