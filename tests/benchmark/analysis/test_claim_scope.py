"""Which verdicts on claims are counted: simulated tables with known answers, and ways to win that must not work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from serxai.benchmark.analysis.band_table import BANDS
from serxai.benchmark.analysis.band_table import COLUMNS as BAND_COLUMNS
from serxai.benchmark.analysis.beyond_saliency_claims import CLAIM_1 as CUES_EXPECTED
from serxai.benchmark.analysis.beyond_saliency_claims import CLAIM_2 as AROUSAL
from serxai.benchmark.analysis.beyond_saliency_claims import beyond_saliency_claims
from serxai.benchmark.analysis.claim_counts import verdict_counts
from serxai.benchmark.analysis.claim_scope import (
    CHANCE,
    COUNTED,
    CROSSED,
    FEW,
    MADE,
    POOLED,
    READING,
    REPEATED,
    UNHEARD,
    asks_no_recogniser,
    recognition_of,
    scopes,
)
from serxai.benchmark.analysis.claims import (
    BY_CONSTRUCTION,
    VERDICTS,
    Finding,
    across_models_and_corpora,
    deciding_explanations,
    high_bands_and_arousal,
    low_bands,
)
from serxai.benchmark.analysis.recogniser_titles import recogniser_titles
from serxai.benchmark.analysis.salient_cues import COLUMNS as CUE_COLUMNS
from serxai.benchmark.analysis.salient_cues import JUDGED, OWN
from serxai.benchmark.report.claim_text import not_counted, results_in_short
from serxai.benchmark.stats.simulation import limit
from serxai.methods.records import METHODS

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def facts(
    corpus: str, model: str, method: str = "occlusion", speakers: int = 8, clips: int = 8, right: float = 0.8,
    trained_on: str | None = None, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Facts of explanations of the predicted class; a share `right` of the predictions is correct, others at random."""
    draw = np.random.default_rng([seed, len(corpus), len(model)])
    n = speakers * clips
    emotion = np.tile(np.array(EMOTIONS)[np.arange(clips) % 4], speakers)
    predicted = np.where(draw.random(n) < right, emotion, draw.choice(EMOTIONS, n))
    told = {
        "corpus": corpus, "model": model, "trained_on": corpus if trained_on is None else trained_on, "method": method,
        "clip": [f"c{i:03d}" for i in range(n)], "speaker": [f"s{i}" for i in np.repeat(np.arange(speakers), clips)],
        "sentence": "", "emotion": emotion, "predicted": predicted, "target": predicted, "against": "none",
    }  # fmt: skip
    return pd.DataFrame(told)


def cues(*args, arousal: float = 0.0, gain: float = 0.0, seed: int = 0, **more) -> pd.DataFrame:
    """Cues of windows: those of the corpus' clips, whoever recognises; of high arousal higher by `arousal`."""
    table = facts(*args, seed=seed, **more).reindex(columns=CUE_COLUMNS)
    draw = np.random.default_rng([seed, *map(ord, args[0])])
    high = table["emotion"].isin(["anger", "happiness"])
    for name in CUE_COLUMNS[CUE_COLUMNS.index("n_windows") + 1 :]:
        table[name] = draw.normal(size=len(table)) * 0.2 + (arousal * high if name.startswith("salient ") else 0)
    for name in JUDGED:
        table[name] = table[name] + gain * (name == OWN)
    return table


def bands(*args, seed: int = 0, **more) -> pd.DataFrame:
    """Profiles of corpus and emotion, the same whoever recognises, with noise of the clip."""
    table = facts(*args, seed=seed, **more).reindex(columns=BAND_COLUMNS)
    profile = {e: np.random.default_rng([*map(ord, args[0] + e)]).normal(size=8) + 1.5 * np.eye(8)[0] for e in EMOTIONS}
    noise = np.random.default_rng([seed, *map(ord, args[0])]).normal(size=(len(table), 8)) * 0.3
    table[BANDS] = np.array([profile[e] for e in table["target"]]) + noise
    return table


def joined(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def counts_of(found: list[Finding], claim: str, method: str) -> pd.Series:
    return verdict_counts(found).loc[(claim, method)]


# -- recognisers at chance ---------------------------------------------------------------------------------------------


def test_recognition_of_explained_clips_by_another_library():
    one, other = facts("emodb", "cnn", seed=1), facts("emodb", "cnn", "energy", seed=1)
    extra = facts("emodb", "embedding", clips=4, right=0.5, seed=2)
    unknown = facts("nemo", "maps").assign(predicted="")
    heard = recognition_of(joined(one, other), extra, unknown, one.iloc[:0])
    assert set(heard) == {("emodb", "cnn"), ("emodb", "embedding")}
    for table, place in ((one, ("emodb", "cnn")), (extra, ("emodb", "embedding"))):
        expected = recall_score(table["emotion"], table["predicted"], average="macro", labels=EMOTIONS)
        assert heard[place].uar == pytest.approx(expected) and heard[place].n_emotions == 4
        assert heard[place].low < expected < heard[place].high
    several = joined(one.assign(model="cnn@1"), one.assign(model="cnn@2", predicted=one["emotion"]))
    heard = recognition_of(several)
    assert heard["emodb", "cnn@2"].uar == 1 and heard["emodb", "cnn@1"].uar < heard["emodb", "cnn"].uar < 1


def test_one_class_for_all_is_at_chance_whatever_the_classes():
    table = facts("emodb", "cnn")
    for constant in ("anger", "surprise"):
        (found,) = recognition_of(table.assign(predicted=constant)).values()
        assert found.at_chance and "chance 0.25" in found.note and found.note.startswith(UNHEARD)
    assert not next(iter(recognition_of(table).values())).at_chance
    two = recognition_of(facts("tess", "cnn", speakers=2, right=0.3))
    assert not any(found.at_chance for found in two.values())  # two speakers: no interval, nothing said
    assert not next(iter(recognition_of(table.assign(emotion="anger", predicted="anger")).values())).at_chance


def test_a_recogniser_at_chance_is_seldom_taken_for_one_that_hears():
    n = 40
    tables = (facts("emodb", "cnn", right=0, seed=s) for s in range(n))
    passed = [not next(iter(recognition_of(table).values())).at_chance for table in tables]
    assert np.mean(passed) <= limit(n)  # 2.5 % where the interval is right


# -- scopes ------------------------------------------------------------------------------------------------------------


def test_each_setting_has_its_scope_by_the_rule_word_by_word():
    table = joined(
        facts("emodb", "cnn"), facts("emodb", "embedding", clips=4), facts("emodb", "praat-svc", right=0),
        facts("nemo", "cnn", trained_on="emodb"), facts("tess", "cnn", speakers=2), facts("planted", "cnn", right=0),
        *(facts("emodb", m, "energy", clips=c) for m, c in (("cnn", 8), ("embedding", 4), ("opensmile-svc", 8))),
        facts("nemo", "cnn", "energy", trained_on="emodb"),
    )  # fmt: skip
    titles = recogniser_titles(table)
    found = set(zip(table["corpus"], titles, table["method"], scopes(table, titles), strict=True))
    assert found == {
        ("emodb", "cnn", "occlusion", COUNTED), ("emodb", "embedding", "occlusion", COUNTED),
        ("emodb", "praat-svc", "occlusion", CHANCE), ("nemo", "cnn (emodb)", "occlusion", CROSSED),
        ("tess", "cnn", "occlusion", FEW), ("planted", "cnn", "occlusion", MADE),
        ("emodb", "cnn", "energy", COUNTED), ("emodb", "embedding", "energy", REPEATED),
        ("emodb", "opensmile-svc", "energy", REPEATED), ("nemo", "cnn (emodb)", "energy", CROSSED),
    }  # fmt: skip


def test_methods_that_ask_no_recogniser_are_those_of_the_registry():
    names = {name for name in METHODS.names() if asks_no_recogniser(name)}
    assert names == {"random", "energy", "loud-quiet"}
    assert all(METHODS.get(name).cost == "0" for name in names)
    assert asks_no_recogniser("energy@x=1") and not asks_no_recogniser("maps:mine") and not asks_no_recogniser("new")


# -- ways to win that must not work ------------------------------------------------------------------------------------


def test_planted_borrowed_and_deaf_settings_add_nothing():
    """Strong effects where they must not count, none where they do."""
    honest = [cues("emodb", "cnn"), cues("ravdess", "embedding")]
    strong = {"arousal": 3.0, "gain": 1.0}
    cheats = [
        cues("planted", "cnn", **strong), cues("planted-emodb", "cnn", **strong),
        cues("nemo", "cnn", trained_on="emodb", **strong), cues("tess", "cnn", speakers=3, **strong),
        cues("emodb", "praat-svc", right=0, **strong),
    ]  # fmt: skip
    expected, found = (beyond_saliency_claims(joined(*parts)) for parts in (honest, [*honest, *cheats]))
    for claim in (CUES_EXPECTED, f"{AROUSAL}, level", f"{AROUSAL}, level beyond the clip"):
        before, after = (counts_of(each, claim, "occlusion") for each in (expected, found))
        assert before["supported"] == 0 and before["settings"] == 2
        assert after.drop("not_counted").equals(before.drop("not_counted")) and after["not_counted"] == 5
        verdicts = {one.setting: (one.scope, one.verdict) for one in found if one.claim == claim}
        assert verdicts["planted; cnn"] == (MADE, "supported")  # shown as such
        assert verdicts["nemo; cnn (emodb)"] == (CROSSED, "supported")
        assert verdicts["emodb; praat-svc"] == (CHANCE, "described only")
        deaf = next(one for one in found if one.claim == claim and one.scope == CHANCE)
        assert UNHEARD in deaf.note and np.isfinite(deaf.low) and deaf.estimate > 0.5
    told = "\n".join(not_counted(found))
    assert (
        f"{CHANCE}: praat-svc on emodb ({UNHEARD}" in told and f"{MADE}: cnn on planted, cnn on planted-emodb" in told
    )


def test_windows_that_ask_no_recogniser_are_counted_once_a_corpus():
    """The same windows under several recognisers, and a draw of them, are one setting."""
    once = [cues(c, "cnn", "energy", arousal=1.0) for c in ("emodb", "nemo")]
    again = cues("emodb", "embedding", "energy", arousal=1.0)
    fewer = once[0][once[0]["clip"] < "c056"].assign(model="a-svc")
    asked = [each.assign(method="occlusion") for each in (*once, fewer)]
    claim = f"{AROUSAL}, level"
    alone = counts_of(beyond_saliency_claims(joined(*once)), claim, "energy")
    found = beyond_saliency_claims(joined(*once, again, fewer, *asked))
    row = counts_of(found, claim, "energy")
    assert (row["settings"], row["supported"], row["not_counted"]) == (2, 2, 2)
    assert row[["together", "together_estimate", "together_low"]].equals(
        alone[["together", "together_estimate", "together_low"]]
    )
    assert counts_of(found, claim, "occlusion")["settings"] == 3
    scope = {one.setting: one.scope for one in found if one.claim == claim and one.method == "energy"}
    assert scope["emodb; cnn"] == COUNTED and scope["emodb; a-svc"] == REPEATED
    short = "\n".join(results_in_short(found, AROUSAL))
    assert "energy in 2 corpora: 2 supported" in short and "occlusion in 3 settings: 3 supported" in short


@pytest.mark.usefixtures("few_draws")
def test_a_method_that_asks_no_recogniser_gains_no_support():
    """Maps that are the same for both recognisers, and corpora that differ: the first claim cannot but hold."""
    parts = [bands(c, m) for c in ("emodb", "ravdess") for m in ("cnn", "embedding")]
    asked, blind = (joined(*(p.assign(method=m) for p in parts)) for m in ("emolime", "energy"))
    supported, constructed = (
        list(across_models_and_corpora(table, str(table["method"].iloc[0]))) for table in (asked, blind)
    )
    assert {one.verdict for one in supported} == {"supported"}
    assert {one.verdict for one in constructed} == {BY_CONSTRUCTION}
    assert [one.estimate for one in supported] == [one.estimate for one in constructed]  # the yardstick is shown
    assert all("asks no recogniser" in one.note and one.low > 0 for one in constructed)
    assert [one.scope for one in constructed] == [COUNTED, *[READING] * 3]
    found = [*supported, *constructed]
    row = counts_of(found, "EmoLIME 1", "energy")
    assert (row["supported"], row[BY_CONSTRUCTION], row["settings"]) == (0, 1, 1)
    assert row["together"] == BY_CONSTRUCTION and row["together_estimate"] == constructed[0].estimate
    assert counts_of(found, "EmoLIME 1", "emolime")["supported"] == 1


@pytest.mark.usefixtures("few_draws")
def test_a_recogniser_at_chance_does_not_decide_the_first_claim():
    parts = [bands(c, m) for c in ("emodb", "ravdess") for m in ("cnn", "embedding")]
    deaf = bands("ravdess", "opensmile-svc", right=0).assign(**dict.fromkeys(BANDS, 0.0))
    deaf["band_7"] = 1.0 + np.arange(len(deaf)) % 3
    own = bands("emodb", "opensmile-svc")
    expected, found = (
        list(across_models_and_corpora(joined(*t), "occlusion")) for t in ([*parts, own], [*parts, own, deaf])
    )
    assert [one.estimate for one in expected] == [one.estimate for one in found]
    assert f"opensmile-svc on ravdess ({CHANCE})" in found[0].note
    # where nothing else can be compared it is described, and not counted
    two = joined(parts[0], own, bands("ravdess", "cnn", right=0), bands("ravdess", "opensmile-svc", right=0))
    kept, left_out = deciding_explanations(two)
    assert len(kept) == len(two) and left_out == []
    alone = list(across_models_and_corpora(two, "occlusion"))
    assert {one.verdict for one in alone} == {"described only"} and {one.scope for one in alone} == {CHANCE}
    assert UNHEARD in alone[0].note


@pytest.mark.parametrize("decide", [low_bands, high_bands_and_arousal])
def test_claims_about_bands_are_pooled_over_counted_settings_only(decide):
    honest = [bands("emodb", "cnn"), bands("ravdess", "embedding")]
    strong = [bands(c, "cnn").assign(band_0=9.0, band_7=5.0) for c in ("planted", "planted-hard")]
    deaf = bands("ravdess", "cnn", right=0).assign(band_0=-9.0)
    expected, found = (list(decide(joined(*parts), "occlusion")) for parts in (honest, [*honest, *strong, deaf]))
    assert [one.scope for one in found] == [POOLED, COUNTED, MADE, MADE, CHANCE, COUNTED]
    counted = [one for one in found if one.scope in (POOLED, COUNTED)]
    assert counted == expected and counted[0].n_speakers == 16
    assert found[0].setting == "all: emodb, ravdess; cnn, embedding"
    assert next(one for one in found if one.scope == CHANCE).verdict == "described only"


def test_verdicts_add_up_to_the_counted_settings():
    found = beyond_saliency_claims(
        joined(cues("emodb", "cnn"), cues("emodb", "cnn", "random"), cues("tess", "cnn", speakers=2))
    )
    counts = verdict_counts(found)
    assert (counts[list(VERDICTS)].sum(axis=1) == counts["settings"]).all() and counts["settings"].eq(1).all()
    assert counts.loc[(CUES_EXPECTED, "occlusion"), "not_counted"] == 1 and counts["together"].isna().all()
    only_planted = verdict_counts(beyond_saliency_claims(cues("planted", "cnn")))
    assert only_planted["settings"].eq(0).all() and only_planted["not_counted"].eq(1).all()
