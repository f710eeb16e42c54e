"""Scores under other conventions: against slow twins on a stored run, and on scores whose ranges are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid, band_edges_hz
from serxai.benchmark.analysis.conventions import (
    MIN_RANGE,
    POWERS,
    SETTING,
    SIGNED,
    SIZE,
    VALUE_COLUMNS,
    _MapOnly,
    _share,
    attainable_best,
    convention_pairs,
    convention_ranges,
    extra_calls,
    of_map_alone,
    powered,
    scores_of_convention,
)
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.keys import rng
from serxai.metrics.case import Case, summed_on
from serxai.metrics.localisation import case_truth_mask, rank_accuracy
from serxai.metrics.records import METRICS
from serxai.metrics.resolution import AGAINST_TRUTH, resolution_of, truth_at

METHODS = ["random", "energy", "input-x-gradient", "emolime"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """An angry and a neutral clip, four methods, under noise as well."""
    config = load_config(
        models=["planted-rule"], methods=METHODS, metrics=["rank-accuracy", "mass-accuracy", "gini", "abpc"],
        conditions=["clean", "noise-20db"], emotions=["anger", "neutral"], limit=2, fills=["attenuate"],
    )  # fmt: skip
    path: Path = tmp_path_factory.mktemp("conventions") / "run"
    run(config, path)
    return Store(path)


@pytest.fixture(scope="module")
def values(store) -> pd.DataFrame:
    return scores_of_convention(store)


def at(values: pd.DataFrame, **where: object) -> pd.DataFrame:
    for name, value in where.items():
        values = values[values[name] == value]
    return values


def test_stored_scores_are_those_of_power_one(store, values):
    scores = store.scores()
    scored = scores[(scores["status"] == "ok") & (scores["metric"] != "abpc")]
    assert len(values) == 6 * len(scored) and set(values["metric"]) == {"rank-accuracy", "mass-accuracy", "gini"}
    kept = ["metric", "method", "condition", "clip", "value"]
    plain = at(values, view=SIGNED, power=1.0)[kept].sort_values(kept).reset_index(drop=True)
    pd.testing.assert_frame_equal(plain, scored[kept].sort_values(kept).reset_index(drop=True))
    unsigned = at(values, method="energy")
    for power in POWERS:  # a map without signs is the same in both views
        signed, size = (at(unsigned, view=view, power=power)["value"].to_numpy() for view in (SIGNED, SIZE))
        np.testing.assert_allclose(signed, size, atol=1e-7)  # the stored score is not computed again
    assert not unsigned["negative"].any() and at(values, method="random")["negative"].all()


def test_against_a_slow_twin(store, values):
    """One map after the other, in plain steps."""
    corpus = load_corpus("planted", None)
    told = at(values, metric="rank-accuracy", condition="clean")
    seen = 0
    for e in store.explanations(condition="clean"):
        rows = at(told, clip=e.clip, method=e.attribution.method)
        clip = corpus.clip(e.clip)
        if clip.emotion == "neutral" or e.attribution.target != clip.emotion or e.repeat:
            continue
        case = Case(_MapOnly(), clip, clip.emotion)
        mask = case_truth_mask(case)
        for view in (SIGNED, SIZE):
            for power in POWERS:
                native = np.abs(e.attribution.values.astype(float)) ** power
                if view == SIGNED:
                    native = native * np.sign(e.attribution.values)
                expected = rank_accuracy(summed_on(native, e.attribution.grid, case.grid), mask)
                (row,) = at(rows, view=view, power=power).to_dict("records")
                assert row["value"] == pytest.approx(expected, abs=0.02)  # float32 ties
                seen += 1
        shown = truth_at(case, resolution_of(e.attribution.values, e.attribution.grid, case.grid))
        (row,) = at(rows, view=SIGNED, power=1.0).to_dict("records")
        assert row["attainable"] == rank_accuracy(shown, mask)
        assert row["random"] == pytest.approx(mask.mean())
        assert row["cells"] == {"emolime": "8 x 1"}.get(e.attribution.method, row["cells"])
    assert seen == 6 * len(METHODS)


def test_metrics_that_call_the_recogniser_tell_their_cost_first(store):
    scores = store.scores()
    own = scores[(scores["metric"] == "abpc") & (scores["status"] == "ok")]
    assert extra_calls(store, ["abpc"]) == 2 * own["model_calls"].sum() > 0
    assert extra_calls(store, ["gini", "rank-accuracy"]) == 0
    assert 0 < extra_calls(store, ["abpc"], limit=1) < extra_calls(store, ["abpc"])
    found = scores_of_convention(store, ["abpc"], limit=1)
    assert found["clip"].nunique() == 1 and set(found["view"]) == {SIGNED}
    # energy lies on the scoring grid: its order, so its trajectory, is the same at every power; as in the run
    by_power = at(found, method="energy").pivot_table(index=["clip", "condition"], columns="power", values="value")
    np.testing.assert_allclose(by_power[0.5], by_power[1.0], atol=1e-9)
    moved = at(found, method="input-x-gradient").pivot_table(index=["clip", "condition"], columns="power",
                                                             values="value")  # fmt: skip
    assert (moved[2.0] != moved[1.0]).any()


@pytest.mark.parametrize(
    ("metrics", "told"), [(["consistency"], "more than one stored map"), (["truth-auc"], "no score of truth-auc")]
)
def test_what_cannot_be_scored_is_said(store, metrics, told):
    with pytest.raises(InputError, match=told):
        scores_of_convention(store, metrics)


def test_which_metrics_read_the_map_alone():
    alone = [record.name for record in METRICS if of_map_alone(record)]
    assert alone == [record.name for record in METRICS if record.family in ("localisation", "complexity")]
    assert not of_map_alone(METRICS.get("quantus:Sparseness"))


def test_powers_keep_signs_and_never_overflow():
    x = np.array([-4.0, 0, 1, 1e30])
    np.testing.assert_allclose(powered(x, 1), x / 1e30)
    np.testing.assert_allclose(powered(x / 1e30, 0.5), np.sign(x) * np.sqrt(np.abs(x) / 1e30))
    np.testing.assert_allclose(powered(x, 2, SIZE), (x / 1e30) ** 2)
    np.testing.assert_array_equal(powered(np.zeros(3), 0.5), np.zeros(3))


# -- summaries of known scores -----------------------------------------------------------------------------------------


def told_values(
    by_method: dict[str, tuple[float, float, float]], clips: int = 4, direction: str = "higher"
) -> pd.DataFrame:
    """The same three scores for every clip, but for an offset of the clip that all methods share."""
    setting = dict.fromkeys(SETTING, "") | {"corpus": "planted", "metric": "rank-accuracy", "direction": direction}
    rows = []
    for method, scores in by_method.items():
        for clip in range(clips):
            for power, score in zip(POWERS, scores, strict=True):
                rows.append(
                    dict.fromkeys(VALUE_COLUMNS)
                    | setting
                    | {"method": method, "clip": f"c{clip}", "speaker": f"s{clip}", "view": SIGNED, "power": power,
                       "value": score + clip, "negative": method == "a", "repeat": 0, "sentence": ""}
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_ranges_and_marked_pairs(direction):
    values = told_values({"a": (0.5, 0.6, 0.7), "b": (0.4, 0.55, 0.5), "c": (0.1, 0.2, 0.3)}, direction=direction)
    ranges = convention_ranges(values).set_index("method")
    assert ranges.loc["a", ["root", "plain", "square", "low", "high"]].tolist() == pytest.approx([2, 2.1, 2.2, 2, 2.2])
    assert ranges.loc["b", "range"] == pytest.approx(0.15)
    assert ranges["signed"].to_dict() == {"a": True, "b": False, "c": False}
    assert ranges["rank"].to_dict() == ({"a": 1, "b": 2, "c": 3} if direction == "higher" else {"c": 1, "b": 2, "a": 3})
    pairs = convention_pairs(values).set_index(["method_a", "method_b"])
    assert pairs["within_convention"].to_dict() == {("a", "b"): True, ("a", "c"): False, ("b", "c"): False}
    sign = 1 if direction == "higher" else -1
    assert pairs.loc[("a", "b"), "difference"] == pytest.approx(0.05 * sign)
    assert sorted(np.abs(pairs.loc[("a", "b"), ["least", "most"]].tolist())) == pytest.approx([0.05, 0.3])


def test_a_clip_without_a_score_at_some_power_counts_for_none():
    values = told_values({"a": (0.5, 0.6, 0.7), "b": (0.1, 0.2, 0.3)})
    values.loc[(values["method"] == "a") & (values["clip"] == "c3") & (values["power"] == 2), "value"] = np.nan
    ranges = convention_ranges(values).set_index("method")
    assert ranges["n_clips"].to_dict() == {"a": 3, "b": 4} and ranges["n_planned"].to_dict() == {"a": 4, "b": 4}
    assert ranges.loc["a", "plain"] == pytest.approx(1.6)
    (pair,) = convention_pairs(values).to_dict("records")
    assert pair["n_clips"] == 3 and pair["difference"] == pytest.approx(0.4)


def test_described_metrics_have_no_rank():
    values = told_values({"a": (0.5, 0.6, 0.7), "b": (0.1, 0.2, 0.3)})
    assert convention_ranges(values.assign(metric="gini"))["rank"].isna().all()
    assert convention_ranges(values)["rank"].notna().all()


def attainable_values(generator: np.random.Generator, share: float, speakers: int = 12, clips: int = 6) -> pd.DataFrame:
    """Scores that reach a share of what is attainable, with effects of speakers and clips."""
    reach = generator.uniform(0.2, 0.8, (speakers, clips))
    noise = 0.1 * generator.standard_normal((speakers, 1)) + 0.1 * generator.standard_normal((speakers, clips))
    setting = dict.fromkeys(SETTING, "") | {"metric": "rank-accuracy", "direction": "higher"}
    return pd.DataFrame(
        [
            dict.fromkeys(VALUE_COLUMNS)
            | setting
            | {"method": "m", "clip": f"{s}-{c}", "speaker": str(s), "sentence": str(c), "repeat": 0, "view": SIGNED,
               "power": 1.0, "random": 0.2, "attainable": 0.2 + reach[s, c], "cells": "8 x 1", "coefficients": "",
               "value": 0.2 + (share + noise[s, c]) * reach[s, c]}
            for s in range(speakers)
            for c in range(clips)
        ]
    )  # fmt: skip


def test_the_share_is_a_ratio_of_means():
    values = attainable_values(rng("share"), 0.5)
    (row,) = attainable_best(values).to_dict("records")
    above, reach = values["value"] - 0.2, values["attainable"] - 0.2
    assert row["share"] == pytest.approx(above.sum() / reach.sum())
    assert (row["n_clips"], row["cells"]) == (72, "8 x 1")
    # a leave-one-speaker-out jackknife gives about the same interval
    kept = [values["speaker"] != s for s in values["speaker"].unique()]
    out = np.array([above[k].sum() / reach[k].sum() for k in kept])
    jackknife = np.sqrt((len(out) - 1) / len(out) * np.square(out - out.mean()).sum())
    assert (row["high"] - row["low"]) / 2 == pytest.approx(2.2 * jackknife, rel=0.2)


def test_no_share_where_little_can_be_attained():
    values = attainable_values(rng("little"), 0.5)
    values["attainable"] = 0.2 + (values["attainable"] - 0.2) * 0.1
    (row,) = attainable_best(values).to_dict("records")
    assert np.isnan([row["share"], row["low"], row["high"]]).all() and f"below {MIN_RANGE:g}" in row["note"]


def test_intervals_of_the_share_cover_its_true_value():
    """Error rate at nominal 5 %, of 300 experiments: not above .05 beyond binomial error."""
    generator = rng("coverage")
    found = [_share(attainable_values(generator, 0.5)) for _ in range(300)]
    missed = sum(not told["low"] <= 0.5 <= told["high"] for told in found)
    assert 0 < missed <= 300 * 0.05 + 2.6 * np.sqrt(300 * 0.05 * 0.95)


@pytest.mark.long
def test_the_truth_in_eight_bands_on_the_planted_corpus():
    """What a perfect explanation in 8 bands scores on 48 planted clips: .335, .662 and .290."""
    corpus = load_corpus("planted", None)
    chosen = [clip for clip in corpus.select(limit=64) if corpus.table.loc[clip, "emotion"] != "neutral"]
    corpus.prepare(chosen)
    scores = []
    for name in chosen:
        clip = corpus.clip(name)
        case = Case(_MapOnly(), clip, clip.emotion)
        bands = Grid(band_edges_hz(8), np.array([0, clip.duration_s]))
        shown = truth_at(case, resolution_of(np.arange(1.0, 9)[:, None], bands, case.grid))
        scores.append([AGAINST_TRUTH[m](shown, case_truth_mask(case)) for m in ("rank-accuracy", "truth-auc",
                                                                                "mass-accuracy")])  # fmt: skip
    assert len(scores) == 48
    np.testing.assert_allclose(np.mean(scores, axis=0), [0.335, 0.662, 0.290], atol=0.001)
