"""Claims of the Beyond Saliency paper on tables whose answer was put in, and their error rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.beyond_saliency_claims import (
    BEYOND,
    CLAIM_1,
    CLAIM_2,
    CLAIM_3,
    arousal_markers,
    beyond_saliency_claims,
    misclassified,
    windows_carry_cues,
    within_class_difference,
)
from serxai.benchmark.analysis.claim_counts import verdict_counts
from serxai.benchmark.analysis.claim_scope import COUNTED, FEW, POOLED
from serxai.benchmark.analysis.salient_cues import ANYWHERE, COLUMNS, JUDGED, OWN, SALIENT, TRUE
from serxai.benchmark.stats.simulation import limit
from serxai.cues.records import REGION_CUES
from serxai.metrics.neutral_agreement import RIVALS

EMOTIONS = ("anger", "happiness", "sadness", "neutral")
HIGH = ("anger", "happiness")
QUICK, MANY = 40, 200
SIZES = [(8, QUICK), *(pytest.param(n, MANY, marks=pytest.mark.long) for n in (8, 12))]


def drawn(
    seed: int = 0,
    speakers: int = 10,
    clips: int = 8,
    gain: float = 0.0,
    inside: float = 0.0,
    everywhere: float = 0.0,
    spread: float = 1.0,
    wrong: float = 0.25,
    lost: float = 0.0,
    speaker_sd: float = 0.3,
    **facts: str,
) -> pd.DataFrame:
    """A table of one method: agreement above the rules by `gain`, cues of high arousal moved, less for wrong clips."""
    draw = np.random.default_rng(seed)
    n = speakers * clips
    speaker = np.repeat(np.arange(speakers), clips)
    emotion = np.tile(np.array(EMOTIONS)[np.arange(clips) % 4], speakers)
    missed = draw.random(n) < wrong
    others = np.array([draw.choice([e for e in EMOTIONS if e != own]) for own in emotion])
    predicted = np.where(missed, others, emotion)
    high = np.isin(emotion, HIGH)
    told = {
        "corpus": "emodb", "model": "cnn", "trained_on": "", "method": "occlusion", "clip": [f"c{i}" for i in range(n)],
        "speaker": [f"s{i}" for i in speaker], "sentence": "", "emotion": emotion, "predicted": predicted,
        "target": predicted, **facts,
    }  # fmt: skip
    table = pd.DataFrame(told).reindex(columns=COLUMNS)
    effect = draw.normal(0, speaker_sd, speakers)[speaker]
    for prefix, described in (("", predicted != "neutral"), (f"{TRUE} ", emotion != "neutral")):
        of_clip = draw.normal(0, 0.2, n)
        for name in JUDGED:
            value = of_clip + draw.normal(0, 0.1, n)
            if name == OWN:
                value = value + gain + 0.1 * effect - lost * missed
            table[prefix + name] = np.where(described, value, np.nan)
    for cue in REGION_CUES:
        clip = effect + np.where(high, spread, 1.0) * draw.normal(0, 1, n) + everywhere * high
        table[f"{ANYWHERE} {cue}"] = clip
        table[f"{SALIENT} {cue}"] = clip + inside * high + draw.normal(0, 0.3, n)
    return table


def by_claim(found) -> dict:
    return {one.claim: one for one in found}


# -- claim 1 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "verdict"), [(0.2, "supported"), (0.0, "undecided"), (-0.2, "contradicted")])
def test_agreement_beyond_every_rule_is_what_supports_the_first_claim(gain: float, verdict: str):
    (found,) = windows_carry_cues(drawn(gain=gain), "occlusion", "emodb; cnn")
    assert found.claim == CLAIM_1 and found.verdict == verdict and found.n_speakers == 10
    if gain:
        assert found.estimate == pytest.approx(gain, abs=0.06)  # of three rules the best is subtracted


def test_one_better_rule_is_enough_to_lose():
    table = drawn(gain=0.2)
    table["energy"] = table[OWN] + 0.1 + np.random.default_rng(1).normal(0, 0.05, len(table))
    (found,) = windows_carry_cues(table, "occlusion", "")
    assert found.verdict == "contradicted" and "(energy)" in found.effect
    (alone,) = windows_carry_cues(table, "energy", "")  # a rule is not compared with itself
    assert "(energy)" not in alone.effect


def test_few_speakers_and_classes_that_no_source_describes_decide_nothing():
    (found,) = windows_carry_cues(drawn(speakers=4, gain=0.5), "occlusion", "")
    assert found.verdict == "described only" and np.isnan(found.low)
    table = drawn().assign(**dict.fromkeys(JUDGED, np.nan))
    (found,) = windows_carry_cues(table, "occlusion", "")
    assert found.verdict == "not testable" and found.note


@pytest.mark.parametrize(("speakers", "experiments"), SIZES)
def test_neither_direction_of_the_first_claim_is_found_too_often(speakers: int, experiments: int):
    verdicts = [next(windows_carry_cues(drawn(s, speakers), "occlusion", "")).verdict for s in range(experiments)]
    assert verdicts.count("supported") / experiments <= limit(experiments)
    assert verdicts.count("contradicted") / experiments <= limit(experiments)


# -- claim 2 -----------------------------------------------------------------------------------------------------------


def test_the_speech_is_told_from_the_explanation():
    speech = by_claim(arousal_markers(drawn(everywhere=2.0), "occlusion", ""))
    assert speech[f"{CLAIM_2}, level"].verdict == "supported"
    assert speech[f"{CLAIM_2}, level"].low < 2.0 < speech[f"{CLAIM_2}, level"].high
    assert speech[f"{CLAIM_2}, level {BEYOND}"].verdict == "undecided"
    explained = by_claim(arousal_markers(drawn(inside=1.0), "occlusion", ""))
    assert explained[f"{CLAIM_2}, level {BEYOND}"].verdict == "supported"
    assert explained[f"{CLAIM_2}, level {BEYOND}"].estimate == pytest.approx(1.0, abs=0.2)
    assert explained[f"{CLAIM_2}, variability {BEYOND}"].verdict == "supported"


def test_variance_is_another_question_than_level():
    wide = by_claim(arousal_markers(drawn(spread=4.0, speakers=12), "occlusion", ""))
    assert wide[f"{CLAIM_2}, variance"].verdict == "supported"
    assert wide[f"{CLAIM_2}, level"].verdict == "undecided"
    higher = by_claim(arousal_markers(drawn(everywhere=3.0, speakers=12), "occlusion", ""))
    assert higher[f"{CLAIM_2}, variance"].verdict == "undecided"


def test_arousal_is_compared_within_speakers():
    table = drawn(inside=1.0)
    shift = pd.factorize(table["speaker"])[0] * 10.0
    cues = [c for c in table if c.startswith((SALIENT, ANYWHERE)) and c.split()[-1] in REGION_CUES]
    moved = table.assign(**{c: table[c] + shift for c in cues})
    before, after = (by_claim(arousal_markers(t, "occlusion", "")) for t in (table, moved))
    for reading in ("level", "variability"):
        assert before[f"{CLAIM_2}, {reading}"].estimate == pytest.approx(after[f"{CLAIM_2}, {reading}"].estimate)


@pytest.mark.parametrize(("speakers", "experiments"), SIZES)
def test_readings_of_the_second_claim_are_not_found_too_often(speakers: int, experiments: int):
    counts: dict[str, int] = {}
    for seed in range(experiments):
        for one in arousal_markers(drawn(seed, speakers, everywhere=0.0), "occlusion", ""):
            counts[one.claim] = counts.get(one.claim, 0) + (one.p < 0.05)
    assert len(counts) == 6
    for claim, count in counts.items():
        assert count / experiments <= limit(experiments), claim


# -- claim 3 -----------------------------------------------------------------------------------------------------------


def test_the_difference_within_classes_by_loops():
    draw = np.random.default_rng(0)
    n = 60
    speakers, classes = draw.integers(0, 7, n), draw.integers(0, 3, n)
    first = draw.random(n) < 0.7
    values = draw.normal(size=n) + classes * 5.0

    def slow(kept: np.ndarray) -> float:
        total, weights = 0.0, 0.0
        for c in range(3):
            a, b = values[kept & first & (classes == c)], values[kept & ~first & (classes == c)]
            if a.size and b.size:
                w = a.size * b.size / (a.size + b.size)
                total, weights = total + w * (a.mean() - b.mean()), weights + w
        return total / weights

    found = within_class_difference(values, first, classes, speakers)
    left_out = np.array([slow(speakers != s) for s in range(7)])
    assert found.mean == pytest.approx(slow(np.ones(n, bool)))
    assert found.se == pytest.approx(np.sqrt(6 / 7 * np.sum((left_out - left_out.mean()) ** 2)))
    assert found.n_first == first.sum() and found.n_second == (~first).sum() and found.df == 6


def test_less_plausible_misclassified_clips_support_the_third_claim():
    found = by_claim(misclassified(drawn(lost=0.4, wrong=0.3), "occlusion", ""))
    predicted, true = (found[f"{CLAIM_3}, judged for the {what} class"] for what in ("predicted", "true"))
    assert predicted.verdict == true.verdict == "supported"
    means = [next(misclassified(drawn(s, lost=0.4, wrong=0.3), "occlusion", "")).estimate for s in range(12)]
    assert np.mean(means) == pytest.approx(0.4, abs=3 * np.std(means, ddof=1) / np.sqrt(12))
    other = by_claim(misclassified(drawn(lost=-0.4, wrong=0.3), "occlusion", ""))
    assert {one.verdict for one in other.values()} == {"contradicted"}


def test_no_difference_is_shown_as_equivalence_not_as_undecided():
    found = by_claim(misclassified(drawn(clips=16, wrong=0.4), "occlusion", ""))
    assert {one.verdict for one in found.values()} == {"equivalent"}
    assert all("margin 0.2" in one.note for one in found.values())


def test_misclassified_clips_of_few_speakers_are_described():
    table = drawn(wrong=0.0)
    table.loc[:2, "predicted"] = table.loc[:2, "target"] = "anger"
    for one in misclassified(table, "occlusion", ""):
        assert one.verdict == "described only" and "of 1 speakers" in one.note


@pytest.mark.parametrize(("speakers", "experiments"), SIZES)
def test_the_third_claim_is_not_found_too_often(speakers: int, experiments: int):
    rejected = np.zeros(2)
    tested = np.zeros(2)
    for seed in range(experiments):
        for i, one in enumerate(misclassified(drawn(seed, speakers, clips=4, wrong=0.35), "occlusion", "")):
            tested[i] += np.isfinite(one.p)
            rejected[i] += one.p < 0.05
    assert (tested > experiments / 2).all() and (rejected / tested <= limit(int(tested.min()))).all()


@pytest.mark.parametrize(("speakers", "experiments"), SIZES)
def test_a_difference_of_the_margin_is_seldom_called_equivalent(speakers: int, experiments: int):
    """Margin .2 on the score, of which the best rule is a part: the true difference is exactly the margin."""
    verdicts = [
        one.verdict
        for seed in range(experiments)
        for one in misclassified(drawn(seed, speakers, clips=8, wrong=0.35, lost=0.2), "occlusion", "")
    ]
    assert verdicts.count("equivalent") / len(verdicts) <= limit(experiments)


# -- all settings ------------------------------------------------------------------------------------------------------


def test_settings_are_decided_alone_and_together():
    tables = [
        drawn(seed, gain=0.2, corpus=corpus, model=model)
        for seed, (corpus, model) in enumerate([("emodb", "cnn"), ("emodb", "embedding"), ("ravdess", "cnn")])
    ]
    two = drawn(9, speakers=2, gain=0.2, corpus="tess")
    found = beyond_saliency_claims(pd.concat([*tables, two], ignore_index=True))
    first = [one for one in found if one.claim == CLAIM_1]
    assert len(first) == 5  # four settings, and those of enough speakers together
    together = next(one for one in first if one.setting.startswith("all: "))
    assert "tess" not in together.setting and together.n_speakers == 20 and together.verdict == "supported"
    alone = [one for one in first if one.setting.startswith(("emodb", "ravdess"))]
    assert together.n_explanations == sum(one.n_explanations for one in alone) and all(
        one.n_clips == one.n_explanations for one in alone
    )
    described = [t[t[OWN].notna()] for t in tables]
    of_clips = {(row.corpus, row.clip) for t in described for row in t.itertuples()}
    assert together.n_clips == len(of_clips) < together.n_explanations  # two recognisers explain the clips of EMODB
    counts = verdict_counts(found)
    row = counts.loc[(CLAIM_1, "occlusion")]
    assert (row["settings"], row["supported"], row["described only"], row["not_counted"]) == (3, 3, 0, 1)
    assert row["together"] == "supported" and row["together_estimate"] == together.estimate
    assert row["largest"] == max(one.estimate for one in alone) and row["smallest"] == min(o.estimate for o in alone)
    assert [one.scope for one in first] == [POOLED, *[COUNTED] * 3, FEW]
    assert set(RIVALS) < set(JUDGED)
