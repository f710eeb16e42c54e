"""Metrics on trial: properties against independent oracles, verdicts on metrics of known worth, the run itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from serxai.audio import Plane, scoring_grid
from serxai.benchmark.qualification import trials as trials_module
from serxai.benchmark.qualification.config import load_qualify_config
from serxai.benchmark.qualification.estimates import estimate_properties, property_names
from serxai.benchmark.qualification.properties import (
    PROPERTIES,
    fill_properties,
    intraclass,
    order_kept,
    rank_follow,
    win_share,
)
from serxai.benchmark.qualification.report import qualification_table, write_qualification
from serxai.benchmark.qualification.rivals import edge_map
from serxai.benchmark.qualification.runner import Benches, forecast, make_trials, other_emotion, plan_trials, qualify
from serxai.benchmark.qualification.trials import LEVELS, ClipTrials, calls_of_trials, ladder_kind, score_trials
from serxai.benchmark.qualification.verdicts import Judged, verdicts
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.stats.concordance import concordance
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError, NotApplicable
from serxai.keys import rng
from serxai.metrics.case import Outcome
from serxai.metrics.record import UNJUDGED_FAMILIES
from serxai.metrics.records import METRICS
from serxai.models.obtain import load_model

FILLS = ("twin", "attenuate", "noise", "spectral-mean")
CHEAP = ["truth-auc", "pointing-game", "max-sensitivity", "gini", "input-independence", "consistency"]


# -- the numbers, against others' --------------------------------------------------------------------------------------


def test_rank_follow_is_spearman():
    for i in range(50):
        x = rng("follow", i).permutation(11).astype(float)
        y = np.round(rng("scores", i).standard_normal(11), 1)
        assert rank_follow(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_follow(np.arange(5.0), np.full(5, 2.0)) == 0.0  # scipy says NaN: a silent metric would go missing


def test_win_share_is_the_area_under_the_curve():
    for i in range(50):
        better, worse = (np.round(rng("win", i, k).standard_normal(4 + k), 1) for k in (1, 2))
        truth = np.r_[np.ones(better.size), np.zeros(worse.size)]
        assert win_share(better, worse) == pytest.approx(roc_auc_score(truth, np.r_[better, worse]))


def test_intraclass_of_the_published_example():
    # Shrout & Fleiss 1979, table 2: ICC(2,1) = .29
    scores = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert intraclass(scores) == pytest.approx(0.2898, abs=5e-5)
    assert intraclass(np.repeat([[1.0], [2.0], [4.0]], 3, axis=1)) == pytest.approx(1.0)
    assert np.isnan(intraclass(np.ones((3, 2))))


def test_concordance_is_friedman_over_its_maximum():
    for i in range(50):
        scores = np.round(rng("w", i).standard_normal((4, 6)), 1)
        chi = stats.friedmanchisquare(*scores.T).statistic  # objects are the "treatments", raters the blocks
        assert concordance(scores) == pytest.approx(chi / (4 * 5))
    assert concordance(np.array([[1.0, 2, 3], [1, 2, 3]])) == 1.0 and concordance(np.array([[1.0, 2], [2, 1]])) == 0.0
    assert np.isnan(concordance(np.ones((3, 4))))


def test_order_kept_counts_the_pairs_that_there_are():
    assert order_kept(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])) == pytest.approx(2 / 3)
    assert order_kept(np.array([1.0, 1, 2]), np.array([4.0, 5, 6])) == 1.0  # the tied pair is no order to keep
    assert order_kept(np.ones(3), np.ones(3)) == 0.0  # silence keeps nothing


# -- metrics of known worth --------------------------------------------------------------------------------------------


def simulated(
    quality: float,
    noise: float,
    speakers: int = 8,
    metric: str = "deletion",
    shift: float = 0.0,
    recogniser: str = "cnn",
) -> pd.DataFrame:
    """Trials of a metric that scores ``quality * level`` plus noise; each fill adds its own shift.

    The negated truth is worth -1; a white box has trials of the truth of each fill as well.
    """
    rows = []
    white = recogniser.startswith("planted")
    for s in range(speakers):
        for c in range(3):
            draw = rng("simulated", quality, noise, s, c)
            asked = [("ladder", v, 0, "twin") for v in LEVELS] + [("random", 0.0, d, "twin") for d in range(1, 5)]
            asked += [("seed", v, d, "twin") for v in (0.0, 0.2, 1.0) for d in (0, 1)]
            asked += [(check, v, 0, f) for v in LEVELS for f in FILLS for check in ("fill", *["own fill"] * white)]
            asked += [("fill random", 0.0, d, f) for f in FILLS[1:] for d in (1, 2)]
            asked += [("fill negated", -1.0, 0, f) for f in FILLS[1:]] + [("negated", -1.0, 0, "twin")]
            asked += [("energy", v, 0, "twin") for v in (0.0, 0.5)] + [
                ("shift", v, 0, "twin") for v in (0.0, 0.5, 0.75)
            ]
            asked += [("edges", 0.0, 0, "twin"), ("other class", 0.0, 0, "twin")]
            asked += [(check, v, 0, "twin") for check in ("blur", "signs", "shuffle") for v in (0.0, 0.5)]
            asked += [("noise", v, 0, "twin") for v in LEVELS] + [("disrupted", v, 0, "twin") for v in (0.6, 1.0)]
            for check, level, number, fill in asked:
                worth = 0.0 if check == "disrupted" else level
                moved = shift * FILLS.index(fill) * (1 - level) if check in ("fill", "own fill") else 0.0
                value = quality * worth + noise * draw.standard_normal() + (moved if check == "fill" else 0.0)
                rows.append(
                    {
                        "corpus": "planted", "recogniser": recogniser, "clip": f"s{s}c{c}", "speaker": f"s{s}",
                        "sentence": f"t{(s + c) % 6}", "emotion": "anger", "metric": metric, "metric_version": "1",
                        "family": "faithfulness", "direction": "lower", "check": check, "level": level, "draw": number,
                        "fill": fill, "value": -value, "status": "ok", "reason": "",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def both(quality: float, noise: float, **more) -> pd.DataFrame:
    """The same on a network and on the additive white box, which no choice of scope depends on."""
    return pd.concat([simulated(quality, noise, recogniser=name, **more) for name in ("planted-rule", "cnn")])


def passed(rows: pd.DataFrame) -> dict[str, str]:
    table = estimate_properties(rows)
    return dict(zip(table["property"], table["passed"], strict=True))


def test_a_metric_that_follows_the_truth_is_qualified():
    table = estimate_properties(both(1.0, 0.001))
    assert [v.grade for v in verdicts(table)] == ["yes"]
    found = table[table["recogniser"] == "cnn"].set_index("property")["estimate"]
    assert found.drop(["seeds"]).to_numpy() == pytest.approx(1.0, abs=0.02) and found["seeds"] > 0.99
    assert (table["n_clips"] == 24).all() and (table["n_speakers"] == 8).all()


def test_a_metric_that_is_noise_fails_everything():
    assert set(passed(simulated(0.0, 1.0)).values()) == {"no", ""}


def test_a_metric_that_prefers_the_worse_fails():
    rows = both(-1.0, 0.001)
    table = estimate_properties(rows[rows["recogniser"] == "cnn"]).set_index("property")
    assert table.loc["monotone", "estimate"] < -0.99 and table.loc["oracle-vs-random", "estimate"] == 0
    assert table.loc["negated", "estimate"] == 0 and table.loc["rivals", "estimate"] == 0
    assert table.loc["seeds", "passed"] == "yes" and [v.grade for v in verdicts(estimate_properties(rows))] == ["no"]


def test_a_metric_that_reads_sizes_alone_fails_on_turned_signs():
    rows = both(1.0, 0.001, speakers=16)
    turned = rows["check"].isin(["negated", "fill negated"])
    rows.loc[turned, "value"] *= -1  # as good as the truth
    (told,) = verdicts(estimate_properties(rows))
    assert told.grade == "in scope" and told.scope.startswith("sizes") and told.failed[0].startswith("negated")


def test_a_refused_rival_is_the_worst():
    rows = both(1.0, 0.001)
    refused = rows["check"].isin(["negated", "edges"])
    rows.loc[refused, ["value", "status"]] = [np.nan, "skipped"]
    table = estimate_properties(rows).set_index(["recogniser", "property"])
    assert (table.loc[[("cnn", "negated"), ("planted-rule", "rivals")], "estimate"] == 1).all()
    assert [v.grade for v in verdicts(table.reset_index())] == ["yes"]
    lost = rows["check"] == "random"
    rows.loc[lost, ["value", "status"]] = [np.nan, "skipped"]  # of no rival: the clip is missing
    (told,) = verdicts(estimate_properties(rows))
    assert {"oracle-vs-random", "negated"} == set(told.unclear) and told.grade == "no"


def test_a_metric_cannot_pass_by_falling_silent():
    silent = simulated(0.0, 0.0)
    told = passed(silent)
    assert set(told.values()) == {"no", ""}
    table = estimate_properties(silent).set_index("property")
    assert table.loc[["monotone", "seeds", "fills", "resilience", "reactivity"], "estimate"].eq(0).all()
    assert table.loc[["monotone", "seeds", "fills", "averaged"], "note"].str.contains("silent on 24").all()
    assert estimate_properties(silent).set_index("property").loc["oracle-vs-random", "estimate"] == 0.5


def test_a_metric_that_only_the_fill_moves_fails_there_alone():
    told = passed(simulated(1.0, 0.001, shift=2.0))
    assert told["monotone"] == "yes" and told["fills"] == "no"


def test_fills_are_told_by_emotion():
    """Half of the clips lose their order under one fill: the property fails, and the verdict says where."""
    rows = both(1.0, 0.001, speakers=16)
    lost = rows["clip"].str.endswith("c1")
    rows.loc[lost, "emotion"] = "sadness"
    rows.loc[lost & (rows["check"] == "fill") & (rows["fill"] == "noise"), "value"] *= -1
    whole = estimate_properties(rows)
    table = whole[whole["recogniser"] == "cnn"]
    found = table.set_index("property")
    order = [name for name in table["property"] if name.startswith("fills")]
    names = property_names(table)
    assert order == ["fills", "fills-anger", "fills-sadness"] == names[names.index("fills") :][:3]
    assert found.loc["fills", "passed"] == "no" and found.loc["fills-anger", "passed"] == ""
    assert found.loc["fills-anger", "estimate"] > 0.99 and found.loc["fills-anger", "n_clips"] == 32
    by_hand = concordance(np.array([[0, 1, 2, 3, 4, 5.0]] * 3 + [[5, 4, 3, 2, 1, 0.0]]))
    assert found.loc["fills-sadness", "estimate"] == pytest.approx(by_hand) == pytest.approx(0.25)
    (verdict,) = verdicts(whole)
    told = verdict.fails
    low, high = found.loc["fills", ["low", "high"]]
    text = f"fills on cnn ({found.loc['fills', 'estimate']:.2f} [{low:.2f}, {high:.2f}], 48 clips: anger "
    assert text in told and ", sadness 0.25 [0.25, 0.25])" in told
    assert set(verdict.failed) == {"fills", "monotone-noise", "oracle-vs-random-noise"}
    scopes = Judged(whole).scopes.set_index("scope")["probability"]
    assert verdict.grade == "in scope" and scopes["all fills, added energy"] > 0.95  # anger alone keeps its order
    assert scopes["all fills, additive box and network"] < 0.05


def test_few_speakers_are_no_claim_and_lost_clips_are_counted():
    rows = both(1.0, 0.001, speakers=5)
    assert [v.grade for v in verdicts(estimate_properties(rows))] == ["no claim"]
    rows = simulated(1.0, 0.001)
    lost = (rows["clip"] == "s0c0") & (rows["check"] == "fill")
    rows.loc[lost, ["status", "value"]] = ["failed", np.nan]
    table = estimate_properties(rows).set_index("property")
    assert table.loc["fills", "n_clips"] == 23 and table.loc["fills", "n_planned"] == 24
    assert table.loc["monotone", "n_clips"] == 24


def test_the_order_of_rows_does_not_matter():
    rows = simulated(1.0, 0.5)
    mixed = rows.sample(frac=1, random_state=0)
    one, other = (estimate_properties(part).drop(columns="clips") for part in (rows, mixed))
    pd.testing.assert_frame_equal(one, other, rtol=1e-12)


# -- trials ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip():
    corpus = load_corpus("planted")
    name = corpus.select(["anger"], 1)[0]
    corpus.prepare([name])
    return corpus.clip(name)


@pytest.fixture(scope="module")
def trials(clip):
    return ClipTrials(load_model("planted-rule"), clip, FILLS)


def test_every_metric_has_a_ladder_or_a_reason():
    for record in METRICS:
        if record.family in UNJUDGED_FAMILIES:
            with pytest.raises(NotApplicable, match="do not judge a map"):
                ladder_kind(record)
        else:
            assert ladder_kind(record)


@pytest.mark.parametrize(
    "kind", ["truth", "oracle", "sparsity", "stability", "consistency", "dependence", "independence"]
)
def test_maps_of_a_ladder_have_names_of_their_own(trials, kind, clip):
    """What metrics share within a case is found by the method's name: two maps of one name would be taken for one."""
    told: dict[str, bytes] = {}
    for trial in trials.trials(kind):
        made = trial.explained
        maps = [made.attribution, made.other, made.explain and made.explain(clip, "again")]
        content = b"".join(map_.values.tobytes() for map_ in maps if map_ is not None)
        assert told.setdefault(made.attribution.method, content) == content
    assert len(set(told.values())) >= len(LEVELS)


def test_ladders_end_at_truth_and_at_noise(trials, clip):
    best, worst = (trials.ladder("truth")(level, 0).attribution.values for level in (1.0, 0.0))
    rule = trials.case.recogniser
    told = rule.relevance(clip.samples, clip.plant.twin, clip.emotion, trials.case.grid)
    assert np.corrcoef(best.ravel(), told.ravel())[0, 1] == pytest.approx(1.0, abs=1e-6)
    assert abs(np.corrcoef(worst.ravel(), told.ravel())[0, 1]) < 0.2
    other = trials.ladder("truth")(0.0, 1).attribution.values
    assert abs(np.corrcoef(worst.ravel(), other.ravel())[0, 1]) < 0.2


def test_rivals_are_what_they_are_called(trials):
    made = {(t.check, t.level): t.explained.attribution.values for t in trials.trials("truth") if not t.fill}
    best = made["ladder", 1.0]
    assert np.array_equal(made["negated", -1.0], -best) and np.array_equal(made["shift", 0.75][:, 1:], best[:, :-1])
    assert np.array_equal(made["shift", 0.0][:, 4:], best[:, :-4]) and not made["shift", 0.0][:, :4].any()
    block = made["coarse", 0.5]
    assert block[2, 4] == block[3, 5] == pytest.approx(best[2:4, 4:6].mean()) and block.sum() == pytest.approx(
        best.sum()
    )
    energy = trials.case.plane.energy(trials.case.grid)
    assert np.corrcoef(made["energy", 0.0].ravel(), energy.ravel())[0, 1] == pytest.approx(1.0)
    box, clip = trials.case.recogniser, trials.case.clip
    other = box.relevance(clip.samples, clip.plant.twin, "happiness", trials.case.grid)
    assert np.allclose(made["other class", 0.0], other)
    methods = [t for t in trials.trials("truth") if t.check == "method"]
    assert len(methods) == 4 and all(-1 <= t.level <= 1 for t in methods)


def test_edges_are_where_the_level_changes(trials):
    from types import SimpleNamespace

    t = np.arange(16_000) / 16_000
    tone = (np.sin(2 * np.pi * 1000 * t) * (t > 0.5)).astype(np.float32)
    plane = Plane(tone + 1e-4 * rng("edge").standard_normal(t.size).astype(np.float32))
    grid = scoring_grid(1.0)
    found = edge_map(SimpleNamespace(plane=plane, grid=grid))
    assert found.min() >= 0 and found.sum(axis=0).argmax() in (5, 6)


def test_the_oracle_of_another_class_is_that_of_the_same_sentence(clip):
    corpus = load_corpus("planted")
    name = other_emotion(corpus, clip.id)
    assert name is not None and name.rsplit("-", 1)[0] == clip.id.rsplit("-", 1)[0] and "neutral" not in name
    corpus.prepare([name])
    made = ClipTrials(load_model("planted-rule"), clip, FILLS, other=corpus.clip(name), diagnostic=False)
    trials = {t.check: t.explained.attribution.values for t in made.trials("oracle") if not t.fill}
    assert (trials["other class"] >= 0).all() and trials["other class"].any()
    assert not np.allclose(trials["other class"], trials["ladder"]) and "blur" not in trials


def test_cheap_metrics_stand_their_trials(trials):
    rows = pd.DataFrame(score_trials(trials, CHEAP))
    assert (rows["status"] == "ok").all()
    told = rows[rows["check"] == "ladder"].pivot(index="level", columns="metric", values="value")
    assert told.loc[1.0, "truth-auc"] > 0.99 and told.loc[0.0, "truth-auc"] == pytest.approx(0.5, abs=0.1)
    assert 0.7e-3 < told.loc[1.0, "max-sensitivity"] < 3e-3  # the largest of eight log-normal changes
    assert told.loc[0.0, "input-independence"] == pytest.approx(1.0)
    assert told.loc[0.0, "gini"] == pytest.approx(0.0, abs=1e-12) and told.loc[1.0, "gini"] > 0.99
    assert told.loc[1.0, "consistency"] == pytest.approx(1.0) and told.loc[0.0, "consistency"] == pytest.approx(0.0)


def test_scores_do_not_depend_on_which_metrics_are_asked(clip):
    one = pd.DataFrame(
        score_trials(ClipTrials(load_model("planted-rule"), clip, FILLS), ["truth-auc", "pointing-game"])
    )
    other = pd.DataFrame(score_trials(ClipTrials(load_model("planted-rule"), clip, FILLS), ["pointing-game"]))
    expected = one[one["metric"] == "pointing-game"].reset_index(drop=True)
    pd.testing.assert_frame_equal(expected, other)


def test_a_trial_that_fails_is_a_row(trials, monkeypatch):
    class Broken:
        def score(self, case, explained):
            if explained.attribution.method.startswith("oracle blur"):
                raise ValueError("no\nluck")
            return Outcome(float("nan") if explained.attribution.method.startswith("oracle signs") else 1.0)

    monkeypatch.setattr(trials_module, "make_metric", lambda name: Broken())
    rows = pd.DataFrame(score_trials(trials, ["truth-auc"])).set_index("check")
    assert set(rows.loc["blur", "status"]) == {"failed"} and set(rows.loc["blur", "reason"]) == {"ValueError: no luck"}
    assert set(rows.loc["signs", "status"]) == {"failed"} and set(rows.loc["ladder", "status"]) == {"ok"}


def test_the_forecast_of_calls_is_what_they_are(clip):
    metrics = ["deletion", "delta-auc", "average-drop"]
    recogniser = load_model("planted-rule")
    fills = ("twin", "attenuate")
    told = calls_of_trials(ClipTrials(recogniser, clip, fills), metrics)
    before = recogniser.calls
    score_trials(ClipTrials(recogniser, clip, fills), metrics)
    assert recogniser.calls - before == pytest.approx(told, rel=0.05) and told > 1000


# -- the run -----------------------------------------------------------------------------------------------------------


def small(**more):
    return load_qualify_config(metrics=["truth-auc", "gini"], models=["planted-rule"], limit=2, **more)


def test_a_run_is_resumed_metric_by_metric(tmp_path, monkeypatch):
    rows, info = qualify(small(), tmp_path)
    assert info["status"] == "done" and rows["clip"].nunique() == 2 and (rows["status"] == "ok").all()
    asked = []
    score = score_trials
    monkeypatch.setattr(
        "serxai.benchmark.qualification.runner.score_trials",
        lambda trials, names: asked.append(names) or score(trials, names),
    )
    again, _ = qualify(small(), tmp_path)
    assert asked == []
    pd.testing.assert_frame_equal(rows, again)
    more = load_qualify_config(metrics=["truth-auc", "gini", "pointing-game"], models=["planted-rule"], limit=2)
    added, _ = qualify(more, tmp_path)
    assert asked == [["pointing-game"]] * 2
    kept = added[added["metric"] != "pointing-game"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, kept)


@pytest.mark.long
def test_a_run_in_processes_is_the_same(tmp_path):
    one, _ = qualify(small(), tmp_path / "one")
    two, _ = qualify(small(), tmp_path / "two", Execution(workers=2))
    pd.testing.assert_frame_equal(one, two)


def test_another_seed_is_another_trial(tmp_path):
    one = plan_trials(small(), Benches(Execution()))
    other = plan_trials(small(seed=1), Benches(Execution()))
    assert [t.clip for t in one] == [t.clip for t in other] and not {t.key for t in one} & {t.key for t in other}


def test_only_corpora_with_a_truth(tmp_path):
    with pytest.raises(InputError, match="no known truth"):
        forecast(load_qualify_config(corpora=["emodb"], fills=["attenuate"]), tmp_path)
    with pytest.raises(InputError, match="planted cue"):
        forecast(load_qualify_config(emotions=["neutral"]), tmp_path)


def test_what_is_written(tmp_path):
    rows = pd.concat([both(1.0, 0.001), both(0.0, 1.0, metric="pointing-game")])
    files = write_qualification(estimate_properties(rows), {"config": {"limit": 16}}, tmp_path)
    table = pd.read_csv(files["csv"])
    of_fills = {p.name for fill in FILLS[1:] for p in fill_properties(fill, own=False)}
    assert set(table["property"]) <= {p.name for p in PROPERTIES} | {"averaged", "fills-anger"} | of_fills
    assert set(table["metric"]) == {"deletion", "pointing-game"}
    told = pd.read_csv(files["verdicts"]).set_index("metric")["qualified"]
    assert told.to_dict() == {"deletion": "yes", "pointing-game": "no"}
    page = files["html"].read_text("utf-8")
    assert "pointing-game" in page and "http" not in page.replace("http://www.w3.org", "")
    assert json.loads(files["json"].read_text("utf-8"))["verdicts"][0]["metric"] == "deletion"
    assert files["png"].stat().st_size > 10_000
    drawn = pd.read_csv(tmp_path / "heatmap.csv")
    assert {"scope", "probability", "chosen", "confirmed", "n_clips", "qualified"} <= set(drawn.columns)
    assert {"deletion", "pointing-game"} == set(pd.read_csv(files["scopes"])["metric"])
    assert qualification_table(estimate_properties(rows)).row_count == 4


def test_the_defaults_qualify_every_metric():
    config = load_qualify_config()
    asked = config.metrics
    corpus = load_corpus("planted")
    clips = corpus.table.loc[corpus.select(config.emotions, config.limit)]
    assert (pd.crosstab(clips["speaker"], clips["emotion"]) == 1).all(axis=None) and len(clips) == 48
    own = [name for name in asked if not name.startswith("quantus:")]
    assert own == [name for name in METRICS.names() if not name.endswith(":")]
    assert len(asked) - len(own) == 4 and all(METRICS.get(name).space == "features" for name in set(asked) - set(own))


def test_a_networks_trials_have_copies_fine_tuned_on_clips_of_other_speakers(monkeypatch: pytest.MonkeyPatch):
    """F-Fidelity asks for them; white boxes are trained on nothing."""
    asked = {}

    def obtain(recogniser, fill, contents, load):
        asked[fill] = contents
        return SimpleNamespace(recogniser=recogniser)

    monkeypatch.setattr("serxai.benchmark.run.fine_tuned.obtain_copy", obtain)
    benches = Benches(Execution(), quiet=True)
    config = load_qualify_config(models=["cnn", "planted-rule"], metrics=["f-fidelity"], limit=1)
    tasks = plan_trials(config, benches)
    network, box = (next(task for task in tasks if task.model == name) for name in ("cnn", "planted-rule"))
    assert make_trials(config, benches, box).case.fine_tuned is None
    case = make_trials(config, benches, network).case
    assert case.fine_tuned is not None
    assert case.fine_tuned("attenuate") is case.recogniser is case.with_fill("noise").fine_tuned("attenuate")
    assert set(asked) == {"attenuate"} and 50 < len(asked["attenuate"]) <= 96
    speakers = set(benches.main.corpus("planted").table.loc[list(asked["attenuate"]), "speaker"])
    assert case.clip.speaker not in speakers and len(speakers) >= 8
