"""What a verdict may rest on: coverage, fills, shares, notes, grades, the jackknife, and the picture's scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.cli.qualify import weak_recognisers
from serxai.benchmark.qualification.estimates import estimate_properties, jackknifed_follow
from serxai.benchmark.qualification.heat_map import shade
from serxai.benchmark.qualification.notes import Note
from serxai.benchmark.qualification.report import write_qualification
from serxai.benchmark.qualification.scopes import Scope, first_half, scopes, scopes_of
from serxai.benchmark.qualification.trials import ClipTrials, Trial, score_trials
from serxai.benchmark.qualification.verdicts import VERDICT_COLUMNS, Judged, verdict_table, verdicts
from serxai.benchmark.stats.clustered_proportion import clustered_share
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.metrics.qualified import COLUMNS, Verdict, read_verdicts, write_verdicts
from serxai.models.obtain import load_model
from serxai.tests.benchmark.qualification.test_trials import both, simulated

FILLS = ("twin", "attenuate", "noise", "spectral-mean")


def lost(rows: pd.DataFrame, share: float, check: str = "ladder") -> pd.DataFrame:
    """The same, with trials of a check skipped on a share of the clips."""
    rows = rows.copy()
    clips = sorted(rows["clip"].unique())
    gone = rows["clip"].isin(clips[: round(share * len(clips))]) & (rows["check"] == check)
    rows.loc[gone, ["status", "value", "reason"]] = ["skipped", np.nan, "no luck"]
    return rows


def verdict(rows: pd.DataFrame) -> Verdict:
    return verdicts(estimate_properties(rows))[0]


def test_one_fill_agrees_with_itself_and_qualifies_under_it_alone():
    rows = both(1.0, 0.001, speakers=16)
    one = rows[(rows["fill"] == "twin") & ~rows["check"].isin(["fill", "own fill"])]
    told = verdict(one)
    assert told.grade == "in scope" and told.scope == "twin, additive box and networks" and told.fills == ("twin",)
    assert min(told.probability, told.chosen, told.confirmed) >= 0.95
    whole = verdict(rows)
    assert whole.grade == "yes" and whole.fills == tuple(sorted(FILLS)) and whole.ladder == "truth"
    assert whole.scope == "all fills, additive box and network" and whole.failed == ()


def test_nothing_is_claimed_on_a_part_of_the_clips():
    rows = both(1.0, 0.001)
    told = verdict(lost(rows, 0.25))
    assert told.grade != "yes" and "monotone on cnn: 18 of 24 clips" in told.no_claim and "monotone" in told.unclear
    assert verdict(lost(rows, 0.125)).grade == "yes"
    all_lost = rows.assign(status="failed", value=np.nan)
    assert verdict(all_lost).grade == "no claim" and np.isnan(verdict(all_lost).probability)


def test_clips_without_any_trial_are_planned_all_the_same():
    rows = simulated(1.0, 0.001)
    gone = rows["clip"].isin(sorted(rows["clip"].unique())[:12])
    refused = rows[gone].drop_duplicates("clip").assign(check="", status="skipped", value=np.nan, reason="no truth")
    table = estimate_properties(pd.concat([rows[~gone], refused])).set_index("property")
    assert (table.drop(["fills-anger"])["n_planned"] == 24).all() and table.loc["monotone", "passed"] == "no claim"


def test_clips_without_diagnostic_trials_are_not_planned_for_them():
    rows = simulated(1.0, 0.001)
    few = rows[~rows["check"].isin(["blur", "noise"]) | rows["clip"].str.endswith("c0")]
    table = estimate_properties(few).set_index("property")
    assert table.loc[["blur", "resilience"], "n_planned"].eq(8).all() and table.loc["monotone", "n_planned"] == 24


def test_a_scope_needs_every_kind_of_its_recognisers():
    scopes = Judged(estimate_properties(simulated(1.0, 0.001))).scopes.set_index("scope")["probability"]
    assert scopes["twin, networks"] > 0.95 and scopes.drop("twin, networks").isna().all()
    names = Judged(estimate_properties(both(1.0, 0.001))).scopes.set_index("scope")["probability"]
    assert names["each fill, additive box"] > 0.95 and np.isnan(names["twin, white boxes"])


def test_all_skipped_is_not_tested():
    rows = simulated(1.0, 0.001).assign(status="skipped", value=np.nan, reason="no weak truth")
    told = verdict(rows)
    assert told.grade == "not tested" and told.no_claim == "no weak truth"


def test_a_scope_is_chosen_on_half_of_the_voices_and_confirmed_on_the_other():
    """Order turns with the fill: it qualifies under the twin; with half of the voices alone it does not."""
    rows = both(1.0, 0.001, speakers=16, shift=2.0)
    told = verdict(rows)
    assert told.grade == "in scope" and told.scope == "twin, additive box and networks" and "fills" in told.failed
    first = first_half(rows["speaker"])
    assert 0 < first.mean() < 1 and set(rows.loc[first, "speaker"]).isdisjoint(rows.loc[~first, "speaker"])
    spoilt = rows.copy()
    spoilt.loc[~first & (rows["check"] == "ladder"), "value"] *= -1
    told = verdict(spoilt)
    assert told.grade == "no" and told.chosen >= 0.95 and told.confirmed < 0.05
    network = rows.copy()  # that half fails by the network alone: the scope of the white box is confirmed
    network.loc[~first & (rows["check"] == "ladder") & (rows["recogniser"] == "cnn"), "value"] *= -1
    assert verdict(network).scope == "each fill, additive box"


def test_a_verdict_names_properties_and_notes_as_data():
    assert "fills" in verdict(both(1.0, 0.001, shift=2.0)).failed
    told = verdict(lost(both(1.0, 0.001), 0.25))
    assert told.grade == "no claim" and set(told.unclear) >= {"monotone", "oracle-vs-random"} and told.failed == ()
    assert set(told.notes) >= {"lost-clips"} and told.recognisers == ("cnn", "planted-rule") and told.n_clips == 18
    silent = verdict(both(0.0, 0.0))
    assert silent.notes == ("deterministic", "no-spread", "silent")
    assert {"monotone", "oracle-vs-random", "seeds", "fills", "negated", "rivals"} <= set(silent.failed)
    untested = verdict(simulated(1.0, 0.0).assign(status="skipped", value=np.nan, reason="no weak truth"))
    assert untested.notes == ("skipped",) and untested.failed == untested.unclear == ()


@pytest.mark.parametrize("scope", scopes(), ids=lambda scope: scope.name)
def test_scopes_require_what_they_say(scope: Scope):
    assert scope.requires("monotone", scope.fills[0]) and scope.requires("seeds", "twin")
    assert scope.requires("negated", scope.fills[0]) == scope.signed
    assert scope.requires("fills", "twin") == scope.agree and not scope.requires("blur", "twin")
    assert scope.requires("monotone-noise", "twin") == ("noise" in scope.fills)
    assert scope.requires("monotone", "")  # no fill is used


def test_the_first_scope_of_each_ladder_is_the_widest():
    """No later one has more fills or emotions, or asks for the same with less."""
    for kind in ("truth", "oracle", "sparsity"):
        first, *others = scopes_of(kind)
        assert all(set(o.fills) <= set(first.fills) and set(o.emotions) <= set(first.emotions) for o in others)
        assert len({scope.name for scope in scopes()}) == len(scopes())


def test_verdicts_survive_their_file():
    told = [verdict(both(1.0, 0.001, shift=2.0)), verdict(both(1.0, 0.001)), Verdict('"quoted; name", a', "2")]
    content = write_verdicts(told)
    again = read_verdicts(content)
    assert write_verdicts(again) == content and content.decode().splitlines()[0] == ",".join(COLUMNS)
    assert [(one.metric, one.scope, one.failed) for one in again] == [(o.metric, o.scope, o.failed) for o in told]
    assert again[1].probability == pytest.approx(told[1].probability, rel=1e-3) and np.isnan(again[2].probability)
    assert [one.qualified for one in told] == [False, True, None]
    grades = ("yes", "in scope", "no", "no claim", "not tested")
    assert [Verdict("a", "1", grade=grade).qualified for grade in grades] == [True, False, False, None, None]


def test_the_table_of_verdicts_shows_their_fields():
    told = verdict(both(1.0, 0.001, shift=2.0))
    row = verdict_table([told]).iloc[0]
    assert list(row.index) == list(VERDICT_COLUMNS)
    assert row["qualified"] == told.grade and row["fills"].split() == list(told.fills) and row["fails"] == told.fails


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (Note("silent", 18), "silent on 18"), (Note("no-spread"), "no spread"),
        (Note("deterministic"), "deterministic"),
        (Note("lost-clips", 35, 48), "35 of 48 clips"), (Note("few-voices", total=6), "fewer than 6 voices"),
        (Note("few-fills", total=3), "fewer than 3 fills"),
        (Note("skipped", reason="no truth; none"), "no truth; none"),
    ],
)  # fmt: skip
def test_text_of_notes(note: Note, text: str):
    assert note.text == text


def real(clips_a_speaker: int, wrong: int = 0) -> pd.DataFrame:
    """Trials of check real alone, 16 speakers."""
    pairs = [(s, c) for s in range(16) for c in range(clips_a_speaker)]
    return pd.DataFrame(
        {
            "recogniser": "cnn", "clip": f"s{s}c{c}", "speaker": f"s{s}", "emotion": "anger",
            "metric": "max-sensitivity", "metric_version": "1", "family": "robustness", "direction": "higher",
            "level": level, "draw": 0, "fill": "", "check": check, "value": level if i >= wrong else -level,
            "status": "ok", "reason": "",
        }
        for i, (s, c) in enumerate(pairs)
        for check, level in (("real", 0.0), ("real", 1.0), ("ladder", 0.0), ("ladder", 1.0))
    )  # fmt: skip


def test_a_yes_or_no_on_every_clip_has_an_interval_with_a_width():
    row = estimate_properties(real(3)).set_index("property").loc["real"]
    found = clustered_share(np.ones(48), np.ones(48), np.repeat(np.arange(16), 3))
    assert row["low"] == pytest.approx(found.low) == pytest.approx(0.926, abs=5e-4) and row["passed"] == "yes"
    few = estimate_properties(real(1)).set_index("property").loc["real"]
    assert few["low"] < 0.9 < few["estimate"]  # .794 at best
    assert estimate_properties(real(1, wrong=14)).set_index("property").loc["real", "passed"] == "no"


def test_notes_tell_what_an_interval_cannot():
    rows = simulated(1.0, 0.0)
    table = estimate_properties(rows).set_index("property")
    assert table.loc["seeds", "note"] == "deterministic" and table.loc["monotone", "note"] == "no spread"
    noisy = estimate_properties(simulated(1.0, 0.5)).set_index("property")
    assert noisy.loc["monotone", "note"] == noisy.loc["seeds", "note"] == ""


def test_intervals_stay_in_range():
    for quality, noise in ((1.0, 0.3), (0.0, 1.0), (-1.0, 0.3)):
        table = estimate_properties(simulated(quality, noise))
        least = np.where(table["property"].isin(["oracle-vs-random", "resilience", "reactivity"]), 0, -1)
        least = np.where(table["property"].str.fullmatch("fills.*"), 0, least)
        assert (table["high"] <= 1).all() and (table["low"] >= least).all()
        assert ((table["low"] <= table["estimate"] + 1e-12) & (table["estimate"] <= table["high"] + 1e-12)).all()


def test_jackknife_of_a_curve_that_rises_and_falls_covers_its_truth():
    levels, true = np.linspace(0, 1, 11), np.array([0, 1, 2, 3, 4, 5, 5.4, 4.7, 4.2, 3.6, 3.3]) / 5
    exact, codes, hit = jackknifed_follow(levels, true[None], np.zeros(1, int))[0], np.repeat(np.arange(16), 3), 0
    for i in range(150):
        draw = rng("jackknife", i)
        slope = 0.3 * draw.standard_normal((16, 1)).repeat(3, 0) * (levels - 0.5)
        estimate, low, high = jackknifed_follow(levels, true + slope + 0.6 * draw.standard_normal((48, 11)), codes)
        hit += low <= exact <= high
        assert low <= estimate <= high
    assert hit / 150 > 0.85


@pytest.fixture(scope="module")
def trials() -> ClipTrials:
    corpus = load_corpus("planted")
    name = corpus.select(["anger"], 1)[0]
    corpus.prepare([name])
    return ClipTrials(load_model("planted-rule"), corpus.clip(name), FILLS)


def test_a_fill_that_changes_nothing_loses_its_own_check_alone(trials, monkeypatch):
    rule = type(trials.case.recogniser)
    relevance = rule.relevance
    calls = []

    def sometimes(self, *args):
        calls.append(1)
        return relevance(self, *args) * (len(calls) != 3)

    monkeypatch.setattr(rule, "relevance", sometimes)
    made = {(t.check, t.fill): t for t in trials._under_fills(trials.ladder("truth"))}
    refused = {fill for (_, fill), trial in made.items() if isinstance(trial.explained, NotApplicable)}
    assert len(refused) == 1 and len(made) == 10
    with pytest.raises(NotApplicable, match="zero"):
        made["own fill", refused.pop()].explanation()


def test_a_trial_that_cannot_be_made_is_a_row(trials, monkeypatch):
    only = [Trial("own fill", 0.0, NotApplicable("zero"), fill="twin")]
    monkeypatch.setattr(ClipTrials, "trials", lambda self, kind: iter(only))
    row = pd.DataFrame(score_trials(trials, ["deletion"])).iloc[0]
    assert (row["status"], row["reason"], row["check"]) == ("skipped", "zero", "own fill")


def test_the_copies_of_the_stability_ladder_matter(trials):
    """Another draw of the copies is another size of the change: the metric's own noise is not cancelled."""
    rows = pd.DataFrame(score_trials(trials, ["max-sensitivity"]))
    seed = rows[rows["check"] == "seed"].pivot(index="level", columns="draw", values="value")
    assert (np.abs(seed[0] / seed[1] - 1) > 1e-3).all()
    ladder = rows[rows["check"] == "ladder"].set_index("level")["value"]
    assert 0.7 < ladder[0.0] < 3.0 and 0.7e-3 < ladder[1.0] < 3e-3


def test_the_page_keeps_what_was_lost(tmp_path):
    table = estimate_properties(lost(simulated(1.0, 0.001), 1.0))
    page = write_qualification(table, {}, tmp_path)["html"].read_text("utf-8")
    assert "0 of 24" in page


def test_the_scale_of_the_picture():
    assert shade(0.0) == 0 and shade(0.95) == pytest.approx(2 / 3) and shade(1.0) == pytest.approx(1.0)
    assert shade(0.949) < shade(0.951)


def test_a_weak_network_is_told():
    models = {f"{name}/planted": {"scores": {"pooled": {"uar": uar}}} for name, uar in (("a", 0.8), ("b", 0.9))}
    info = {"models": models | {"planted-rule/planted": {}}}
    assert len(weak_recognisers(info)) == 1 and weak_recognisers(info)[0].startswith("a/planted has a UAR of 0.80")
