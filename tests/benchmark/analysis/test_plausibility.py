"""The plausibility report: each table by hand on small data, and drawn from a run on the planted corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serxai.audio import scoring_grid
from serxai.benchmark.analysis.plausibility import (
    COLUMNS,
    CONTRASTS,
    MEASURED,
    RANDOM,
    agreement_rows,
    contrast_table,
    correctness_row,
    correctness_rows,
    effect_rows,
    measured_directions,
    planted_rows,
    score_rows,
)
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.figures.plausibility import draw_plausibility, page_tables
from serxai.benchmark.storage.store import Explanation
from serxai.cues.expert import directions
from serxai.cues.records import REGION_CUES
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.methods.attribution import Attribution
from serxai.metrics.salience_contrast import ShiftTest


def cue_frame(shift: float = 2.0, speakers: int = 5, neutral: bool = True, seed: int = 0) -> pd.DataFrame:
    """Clips whose pitch is higher and HNR lower in anger, everything else the same."""
    draw = np.random.default_rng(seed)
    rows = []
    for s in range(speakers):
        for emotion in ("anger", "neutral", "sadness") if neutral else ("anger", "sadness"):
            for _ in range(4):
                cues = dict(zip(REGION_CUES, 0.3 * draw.standard_normal(len(REGION_CUES)) + 10 * s, strict=True))
                if emotion == "anger":
                    cues |= {"f0_level": cues["f0_level"] + shift, "hnr": cues["hnr"] - shift}
                rows.append({"speaker": f"s{s}", "emotion": emotion, **cues})
    return pd.DataFrame(rows)


def test_measured_directions_are_those_of_the_other_speakers():
    table = cue_frame()
    found = measured_directions(table, "s0")
    assert set(found) == {"anger", "sadness"}
    assert (found["anger"]["f0_level"], found["anger"]["hnr"]) == (1, -1)
    # one speaker alone does the opposite, by far: without that speaker nothing changes
    odd = table.copy()
    mine = (odd["speaker"] == "s0") & (odd["emotion"] == "anger")
    odd.loc[mine, "f0_level"] -= 1000.0
    assert measured_directions(odd, "s0") == found
    assert measured_directions(odd, "s1")["anger"]["f0_level"] == 0
    assert measured_directions(table[table["speaker"].isin(["s0", "s1"])], "s0") == {}


def test_unclear_directions_are_no_directions():
    """At 5 %, about one in twenty cues without a difference passes."""
    found = [measured_directions(cue_frame(0.0, seed=seed), "s0")["anger"] for seed in range(40)]
    passed = np.mean([[direction != 0 for direction in cues.values()] for cues in found])
    assert passed == pytest.approx(0.05, abs=0.04)


def test_without_neutral_clips_the_speaker_is_the_reference():
    found = measured_directions(cue_frame(neutral=False), "s0")
    assert found["anger"]["f0_level"] == 1
    assert found["sadness"]["f0_level"] == -1


def contrasts(values: dict[str, tuple[float, float]], method: str = "m") -> pd.DataFrame:
    """Rows of pitch: contrast and share of rising random windows of each clip, all of different speakers."""
    return pd.DataFrame(
        [
            ("c", "cnn", method, "anger", clip, f"s{clip}", f"t{clip}", "f0_level", contrast, contrast / 2, 0.2, rising)
            for clip, (contrast, rising) in values.items()
        ],
        columns=CONTRASTS,
    )


def test_agreement_by_hand():
    table = contrasts({"a": (1.0, 0.5), "b": (2.0, 0.75), "c": (-1.0, 0.25), "d": (np.nan, 0.5)})
    own = {("c", "sa"): {"anger": {"f0_level": -1}}, ("c", "sb"): {"anger": {"f0_level": 1}}}
    rows = {row["source"]: row for row in agreement_rows(table, own)}
    assert set(rows) == {s for s, cues in directions("anger").items() if cues.get("f0_level")} | {MEASURED}
    literature = rows["JL"]
    assert (literature["value"], literature["chance"]) == (pytest.approx(2 / 3), pytest.approx(0.5))
    assert literature["gain"] == pytest.approx(2 / 3 - 0.5)
    assert (literature["clips"], literature["direction"]) == (3, 1)
    measured = rows[MEASURED]  # expects less of a, more of b, nothing of c
    assert (measured["value"], measured["chance"], measured["clips"]) == (0.5, pytest.approx((0.5 + 0.75) / 2), 2)
    assert "low" not in literature  # three speakers


def test_intervals_of_shares_stay_shares_and_equal_clips_have_none():
    table = contrasts({str(i): (1.0 if i else -1.0, 0.4 + 0.02 * i) for i in range(8)})
    row = next(iter(agreement_rows(table)))
    assert 0 <= row["low"] < row["value"] < row["high"] <= 1
    assert row["gain_low"] < row["gain"] < row["gain_high"]
    same = next(iter(agreement_rows(contrasts({str(i): (1.0, 0.5) for i in range(8)}))))
    assert same["value"] == 1 and "low" not in same


def test_effects_are_tested_by_speaker():
    """Clips of one speaker are not independent: repeating each clip of a speaker must not make p smaller."""
    row = next(iter(effect_rows(contrasts({str(i): (float(i), 0.5) for i in range(8)}))))
    assert row["value"] == pytest.approx(3.5 / 2)
    assert row["p"] == pytest.approx(stats.ttest_1samp(np.arange(8) / 2, 0).pvalue)
    once = contrasts({str(i): (float(i), 0.5) for i in range(8)})
    twice = next(iter(effect_rows(pd.concat([once, once.assign(clip=once["clip"] + "b")]))))
    assert twice["p"] == pytest.approx(row["p"]) and twice["clips"] == 16


def test_recall_and_precision_of_pools():
    draw = np.random.default_rng(0)
    plant = {"f0_level": 2.0, "loudness": 5.0, "jitter": 1.0}
    signs = np.array([np.sign(plant.get(cue, 0)) for cue in REGION_CUES])

    def clips(size, n=6):
        values = [draw.standard_normal((60, len(REGION_CUES))) for _ in range(n)]
        for table in values:
            table[0] += size * signs
        return [(plant, ShiftTest(table[0], table)) for table in values]

    pools = {("c", "cnn", "good", "anger", f"s{i}", 0): clips(4.0) for i in range(8)}
    pools |= {("c", "cnn", "blind", "anger", f"s{i}", 0): clips(0.0) for i in range(8)}
    pools[("c", "cnn", "few", "anger", "s0", 0)] = clips(4.0, n=3)
    rows = {(row["method"], row["measure"]): row for row in planted_rows(pools)}
    good, blind = ({m: rows[method, f"cue-{m}"] for m in ("recall", "precision")} for method in ("good", "blind"))
    assert good["recall"]["value"] > 0.95 and good["precision"]["value"] > 0.85
    assert (good["recall"]["clips"], good["recall"]["speakers"], good["recall"]["counted"]) == (48, 8, 8 * 3)
    assert good["recall"]["chance"] < 0.05 and good["recall"]["gain_low"] == pytest.approx(
        good["recall"]["low"] - good["recall"]["chance"]
    )
    # what claims next to nothing has an interval, and chance lies in it
    assert blind["recall"]["low"] <= blind["recall"]["chance"] <= blind["recall"]["high"] < 0.4
    assert blind["precision"]["counted"] < 8
    if blind["precision"]["counted"]:
        assert blind["precision"]["low"] <= blind["precision"]["chance"] <= blind["precision"]["high"]
    assert not any(method == "few" for method, _ in rows)
    again = {(*pool[:5], repeat): tests for pool, tests in pools.items() for repeat in (0, 1)}
    more = {(row["method"], row["measure"]): row for row in planted_rows(again)}["good", "cue-recall"]
    assert (more["counted"], more["clips"], more["speakers"]) == (2 * 24, 48, 8)


def test_blind_methods_are_at_chance():
    """Eight speakers, three emotions, four clips each; the interval of what is blind covers what chance recalls."""
    draw = np.random.default_rng(3)
    plant = {"f0_level": 2.0, "loudness": 5.0, "jitter": 1.0}
    covered: dict[str, list[bool]] = {"cue-recall": [], "cue-precision": []}
    for run in range(10):
        pools = {}
        for speaker in range(8):
            for emotion in ("anger", "happiness", "sadness"):
                tables = [draw.standard_normal((40, len(REGION_CUES))) for _ in range(4)]
                pool = ("c", "cnn", f"blind {run}", emotion, f"s{speaker}", 0)
                pools[pool] = [(plant, ShiftTest(table[0], table)) for table in tables]
        for row in planted_rows(pools):
            if "low" in row:
                covered[row["measure"]].append(row["low"] <= row["chance"] <= row["high"])
    assert len(covered["cue-recall"]) == 10 and np.mean(covered["cue-recall"]) >= 0.7
    assert len(covered["cue-precision"]) >= 5 and np.mean(covered["cue-precision"]) >= 0.7


def answers(values: dict[tuple[str, str, bool], list[float]]) -> pd.DataFrame:
    """Scores by (speaker, class heard, correct)."""
    rows = [(*key, value) for key, many in values.items() for value in many]
    return pd.DataFrame(rows, columns=["speaker", "target", "correct", "value"])


def test_correct_less_wrong_within_speaker_and_class():
    values = {}
    for s in range(7):
        values[f"s{s}", "anger", True] = [s + 1.5, s + 1.7]
        values[f"s{s}", "anger", False] = [s + 1.1]
    values["s0", "sadness", True] = [9.0, 9.0, 9.0]  # another class, another level: compared among themselves
    values["s0", "sadness", False] = [8.0]
    values["s1", "happiness", True] = [100.0]  # never heard by mistake: says nothing
    values["s9", "anger", True] = [100.0]
    row = correctness_row(answers(values))
    weights = 2 * 1 / 3, 3 * 1 / 4
    first = (0.5 * weights[0] + 1.0 * weights[1]) / sum(weights)
    differences = [first] + [0.5] * 6
    assert row["value"] == pytest.approx(np.mean(differences))
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert row["low"] < row["value"] < row["high"]
    assert (row["speakers"], row["clips"]) == (7, 7 * 3 + 4)
    few = correctness_row(answers({k: v for k, v in values.items() if k[0] in ("s1", "s2")}))
    assert few["value"] == pytest.approx(0.5) and "p" not in few
    frame = answers(values)
    as_stored = frame.astype({"correct": "boolean", "speaker": "category", "target": "category"})
    assert correctness_row(as_stored) == row
    assert np.isnan(correctness_row(frame[frame["correct"]])["value"])
    # without classes the weights are those of least squares with a level for each speaker and class
    stratum = pd.factorize(frame["speaker"] + frame["target"])[0]
    one = frame[frame["speaker"] == "s0"]
    design = np.column_stack([one["correct"], *(stratum[one.index] == k for k in set(stratum[one.index]))]).astype(
        float
    )
    assert np.linalg.lstsq(design, one["value"].to_numpy(), rcond=None)[0][0] == pytest.approx(first)


def test_classes_of_unlike_level_do_not_pass_for_correctness():
    """Sadness scores high and is seldom heard by mistake; right and wrong clips of a class score alike."""
    draw, p = np.random.default_rng(1), []
    for _ in range(80):
        rows = []
        for s in range(10):
            for target, level, wrong in (("anger", 0.0, 0.4), ("happiness", 0.1, 0.5), ("sadness", 1.0, 0.1)):
                noise = draw.normal(0, 0.3, 12) + draw.normal(0, 0.2)
                rows += [(f"s{s}", target, bool(draw.random() > wrong), level + x) for x in noise]
        p.append(correctness_row(pd.DataFrame(rows, columns=["speaker", "target", "correct", "value"]))["p"])
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 80)
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_only_what_was_heard_is_right_or_wrong(make_scores):
    scores = make_scores(conditions=("clean",))
    scores = scores[scores["metric"] == "mass-accuracy"].assign(family="plausibility", metric="cue-profile")
    draw = np.random.default_rng(2)
    wrong = scores["clip"].isin(draw.choice(scores["clip"].unique(), 25, replace=False))
    scores["correct"] = ~wrong
    scores["emotion"] = scores["emotion"].mask(wrong, "fear")
    rows = list(correctness_rows(scores))
    assert {row["method"] for row in rows} == set(scores["method"])
    assert all(row["measure"] == "cue-profile: correct - wrong" and row["p_holm"] >= row["p"] for row in rows)
    another = scores.assign(target="disgust")  # explains a class that was not heard
    assert list(correctness_rows(another)) == []
    table = page_tables(pd.DataFrame(rows))
    assert [one["caption"] for one in table] == ["Right and wrong predictions: planted, cnn"]
    assert [row[1] for row in table[0]["rows"]] == [row["method"] for row in rows]


def test_scores_are_split_by_class_explained(make_scores):
    scores = make_scores(conditions=("clean",))
    scores = scores[scores["metric"] == "mass-accuracy"].assign(
        family="plausibility", metric="causal-cue-fidelity:tilt"
    )
    rows = [row for row in score_rows(scores) if row["method"] == "oracle" and row["measure"].startswith("score")]
    assert [row["emotion"] for row in rows] == ["", "anger", "happiness", "sadness"]
    assert {row["cue"] for row in rows} == {"tilt"}
    ok = scores[(scores["method"] == "oracle") & (scores["status"] == "ok")]
    assert rows[0]["value"] == pytest.approx(ok["value"].mean())
    assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]


def test_report_of_planted_explanations_is_drawn_with_a_random_row(tmp_path: Path):
    corpus = load_corpus("planted")
    names = [name for name in corpus.table.index if name.startswith("Andy-") and not name.endswith("neutral")][:6]
    explanations = []
    for name in names:
        clip = corpus.clip(name)
        grid = scoring_grid(clip.duration_s)
        values = np.random.default_rng(0).standard_normal(grid.shape)
        for repeat, method in enumerate(("energy", "energy")):  # a repeat must not count
            attribution = Attribution(values, grid, clip.emotion, method)
            explanations.append(Explanation(attribution, "planted", "cnn", name, "clean", repeat))
    table, pools = contrast_table(explanations, {"planted": corpus})
    assert set(table["method"]) == {"energy", RANDOM}
    assert len(table) == 6 * 2 * len(REGION_CUES)
    again, _ = contrast_table(explanations[::-1], {"planted": corpus})
    pd.testing.assert_frame_equal(again, table)
    assert sum(map(len, pools.values())) == 18  # 6 random windows, 6 explanations, 6 repeats
    assert {pool[-1] for pool in pools} == {0, 1}
    report = pd.DataFrame([*agreement_rows(table), *effect_rows(table)]).reindex(columns=COLUMNS)
    picture = draw_plausibility(report, tmp_path / "plausibility")
    assert {p.suffix for p in tmp_path.iterdir()} == {".png", ".csv", ".svg", ".pdf"}
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    assert list(numbers.columns) == COLUMNS
    assert {"JL", "MA"} <= set(numbers["source"].dropna())
    assert RANDOM in set(numbers["method"])
    tables = page_tables(report)
    assert [one["caption"].split(" in ")[0] for one in tables] == ["Direction agreement"] * len(tables)
    for one in tables:
        assert one["header"] == ["cue", "expects", "sources", "energy", RANDOM]
        assert all(len(row) == 5 for row in one["rows"])
    emotion = tables[0]["caption"].split(" in ")[1].split(",")[0]
    told = {s for s, cues in directions(emotion).items() if cues.get("f0_level")}
    pitch = [row for row in tables[0]["rows"] if row[0] == "pitch level"]
    assert {source for row in pitch for source in row[2].split(", ")} == told  # sources that agree stand in one row
    drawn = numbers.query("cue == 'f0_level' and method == 'energy' and emotion == @emotion").set_index("source")
    for row in pitch:
        for source in row[2].split(", "):
            assert float(row[3].split()[0]) == pytest.approx(drawn.at[source, "gain"], abs=0.005)
    with pytest.raises(InputError, match="no source expects anything"):
        draw_plausibility(report.iloc[:0], tmp_path / "none")


@pytest.mark.long
def test_a_run_with_a_plausibility_metric_tells_cues_and_sources(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = ["run", "--corpus", "planted", "--method", "energy", "--condition", "clean", "--limit", "4", "--workers", "1"]
    assert main([*run, "--metric", "direction-agreement", "--out", str(tmp_path / "told")]) == 0
    report = tmp_path / "told" / "report"
    assert str(report / "plausibility.csv") in capsys.readouterr().out
    table = pd.read_csv(report / "plausibility.csv")
    assert list(table.columns) == COLUMNS
    agreement = table[table["measure"] == "direction-agreement"]
    assert set(agreement["method"]) == {"energy", RANDOM}
    assert {"JL", "MA"} <= set(agreement["source"]) and MEASURED not in set(agreement["source"])
    page = (report / "tables.html").read_text()
    assert 'id="plausibility"' in page and "Direction agreement in " in page and "plausibility.csv" in page

    assert main([*run, "--metric", "gini", "--out", str(tmp_path / "silent")]) == 0
    assert not (tmp_path / "silent" / "report" / "plausibility.csv").exists()
    assert 'id="plausibility"' not in (tmp_path / "silent" / "report" / "tables.html").read_text()
