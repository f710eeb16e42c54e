"""The plausibility report: each table by hand on small data, and drawn from a run on the planted corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serxai.audio import scoring_grid
from serxai.benchmark.plausibility_report import (
    COLUMNS,
    CONTRASTS,
    MEASURED,
    RANDOM,
    agreement_rows,
    contrast_table,
    correctness_row,
    draw_plausibility,
    effect_rows,
    measured_directions,
    planted_rows,
    score_rows,
)
from serxai.benchmark.store import Explanation
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
            ("c", "cnn", method, "anger", clip, f"s{clip}", "f0_level", contrast, contrast / 2, 0.2, rising)
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


def test_effects_are_combined_by_fisher():
    row = next(iter(effect_rows(contrasts({str(i): (float(i), 0.5) for i in range(8)}))))
    assert row["value"] == pytest.approx(3.5 / 2)
    assert row["p"] == pytest.approx(stats.chi2.sf(-2 * 8 * np.log(0.2), 16))


def test_recall_and_precision_of_pools():
    draw = np.random.default_rng(0)
    plant = {"f0_level": 2.0, "loudness": 5.0, "jitter": 1.0}
    signs = np.array([np.sign(plant.get(cue, 0)) for cue in REGION_CUES])

    def clips(size, n=6):
        values = [draw.standard_normal((60, len(REGION_CUES))) for _ in range(n)]
        for table in values:
            table[0] += size * signs
        return [(plant, ShiftTest(table[0], table)) for table in values]

    pools = {("c", "cnn", "good", "anger", f"s{i}"): clips(4.0) for i in range(8)}
    pools |= {("c", "cnn", "blind", "anger", f"s{i}"): clips(0.0) for i in range(8)}
    pools[("c", "cnn", "few", "anger", "s0")] = clips(4.0, n=3)
    rows = {(row["method"], row["measure"]): row for row in planted_rows(pools)}
    assert rows["good", "cue-recall"]["value"] > 0.95
    assert rows["good", "cue-precision"]["value"] > 0.85
    assert rows["good", "cue-recall"]["clips"] == 48
    assert rows["blind", "cue-recall"]["value"] < 0.1
    assert rows["good", "cue-recall"]["chance"] < 0.05
    assert not any(method == "few" for method, _ in rows)


def test_correct_less_wrong_within_speakers():
    rows = [(f"s{s}", correct, s + (1.5 if correct else 1.0) + 0.01 * s) for s in range(7) for correct in (True, False)]
    rows.append(("s9", True, 100.0))  # never wrong: says nothing
    frame = pd.DataFrame(rows, columns=["speaker", "correct", "value"])
    frame.loc[frame["correct"] & (frame["speaker"] == "s3"), "value"] += 0.2
    row = correctness_row(frame)
    differences = [0.5] * 6 + [0.7]
    assert row["value"] == pytest.approx(np.mean(differences))
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert row["low"] < row["value"] < row["high"]
    assert row["speakers"] == 7
    few = correctness_row(frame[frame["speaker"].isin(["s0", "s1"])])
    assert few["value"] == pytest.approx(0.5) and "p" not in few
    assert np.isnan(correctness_row(frame[frame["correct"]])["value"])


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
    assert sum(map(len, pools.values())) == 12
    report = pd.DataFrame([*agreement_rows(table), *effect_rows(table)]).reindex(columns=COLUMNS)
    picture = draw_plausibility(report, tmp_path / "plausibility")
    assert {p.suffix for p in tmp_path.iterdir()} == {".png", ".csv", ".svg"}
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    assert list(numbers.columns) == COLUMNS
    assert {"JL", "MA"} <= set(numbers["source"].dropna())
    assert RANDOM in set(numbers["method"])
    with pytest.raises(InputError, match="no source expects anything"):
        draw_plausibility(report.iloc[:0], tmp_path / "none")
