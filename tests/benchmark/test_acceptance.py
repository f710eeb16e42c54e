"""Does the benchmark tell truth from noise? On the planted corpus, with the bundled recogniser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.stats import clustered


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Oracle, energy and random on 64 clips of all 16 voices."""
    config = load_config(
        methods=["oracle", "energy", "random"],
        metrics=["deletion", "insertion", "abpc", "mass-accuracy", "rank-accuracy", "direction-agreement"],
        conditions=["clean"],
        fills=["twin"],  # what the oracle is explained against
        limit=64,
    )
    return run(config, tmp_path_factory.mktemp("acceptance") / "run", Execution()).scores()


def against_random(scores: pd.DataFrame) -> pd.DataFrame:
    return clustered.tests_against(clustered.cells(scores), "random")


def test_all_voices_and_emotions_are_covered_evenly(scores: pd.DataFrame):
    clips = scores.drop_duplicates("clip")
    assert len(clips) == 64 and clips["speaker"].value_counts().eq(4).all()
    assert clips["emotion"].value_counts().to_dict() == dict.fromkeys(["anger", "happiness", "sadness", "neutral"], 16)
    assert clips["correct"].mean() >= 0.85


def test_oracle_is_perfect_on_localisation(scores: pd.DataFrame):
    oracle = scores[(scores["method"] == "oracle") & (scores["family"] == "localisation")]
    assert np.allclose(oracle.loc[oracle["status"] == "ok", "value"], 1, rtol=0, atol=1e-12)
    assert (oracle["status"] == "ok").sum() == 2 * 48
    assert set(oracle.loc[oracle["status"] == "skipped", "reason"]) == {"no planted cue"}
    assert set(oracle.loc[oracle["status"] == "skipped", "emotion"]) == {"neutral"}


@pytest.mark.parametrize("metric", ["deletion", "insertion", "abpc", "mass-accuracy", "rank-accuracy"])
def test_oracle_beats_random_with_significance(scores: pd.DataFrame, metric: str):
    tests = against_random(scores).set_index(["metric", "method"]).loc[metric, "oracle"]
    assert tests["low"] > 0 and tests["p_holm"] < 0.001 and tests["n_speakers"] == 16
    assert tests["superiority"] > 0.9


def test_pointing_at_the_planted_words_is_more_plausible_than_chance(scores: pd.DataFrame):
    tests = against_random(scores).set_index(["metric", "method"]).loc["direction-agreement", "oracle"]
    assert tests["low"] > 0 and tests["p_holm"] < 0.05


def test_the_oracle_does_not_speak_for_another_emotion(scores: pd.DataFrame):
    wrong = scores[(scores["method"] == "oracle") & (scores["target"] != scores["emotion"])]
    assert len(wrong) and set(wrong["status"]) == {"skipped"}


def test_random_is_at_chance(scores: pd.DataFrame):
    """The area between the curves has expectation 0 over random rankings: the mean lies within 4 standard errors."""
    values = scores[(scores["method"] == "random") & (scores["metric"] == "abpc")]["value"].dropna()
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))


def test_oracle_beats_energy(scores: pd.DataFrame):
    """Knowing where the cue is must be worth more than knowing where it is loud."""
    table = scores[scores["metric"] == "abpc"].pivot(index="clip", columns="method", values="value").dropna()
    assert (table["oracle"] > table["energy"]).mean() > 0.75
