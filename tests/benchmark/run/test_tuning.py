"""Parameters are chosen on clips that are not scored, by the means that a reader can compute again."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.cli.dry_run import dry_run
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.benchmark.run.split import split
from serxai.benchmark.run.tuning import best, candidate_config, candidates, compared, folder_of
from serxai.benchmark.storage.store import Store
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import Corpus
from serxai.errors import InputError

FOUR = ["anger", "happiness", "neutral", "sadness"]


def corpus(speakers: int, each: int = 3) -> Corpus:
    rows = {
        f"s{s}{emotion}{k}": {"emotion": emotion, "speaker": f"s{s:02}", "sex": "", "sentence": "", "file": "x"}
        for s, emotion, k in product(range(speakers), FOUR, range(each))
    }
    return Corpus(CORPORA.get("emodb"), pd.DataFrame.from_dict(rows, orient="index"), Path())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("speakers", [1, 2, 6, 7, 10, 16])
def test_tuning_clips_are_never_scored(speakers: int, seed: int) -> None:
    made = corpus(speakers)
    found = split(made, FOUR, 8, seed)
    assert found == split(made, FOUR, 8, seed) and len(found.tuning) == 8
    assert not set(found.tuning) & set(found.scored)
    speaker = made.table["speaker"]
    apart, left = set(speaker[found.tuning]), set(speaker[found.scored])
    assert found.by_speaker == (speakers >= 7)
    if found.by_speaker:
        assert not apart & left and len(left) == speakers - max(1, round(speakers / 5))
        assert set(speaker) - left >= apart
    else:
        assert len(found.tuning) + len(found.scored) == len(made.table)
    # both parts keep the corpus' order, so that a limit takes a prefix
    order = {clip: place for place, clip in enumerate(made.select(FOUR))}
    for part in (found.tuning, found.scored):
        assert [order[clip] for clip in part] == sorted(order[clip] for clip in part)


def test_the_draw_depends_on_the_seed_and_needs_something_left() -> None:
    for speakers in (4, 12):
        drawn = {tuple(split(corpus(speakers), FOUR, 4, seed).tuning) for seed in range(8)}
        assert len(drawn) > 3
    with pytest.raises(InputError, match=r"clips = 24 takes all 24 clips of corpus 'emodb'"):
        split(corpus(2), FOUR, 24, 0)


def rows(values: dict[str, float | None], corpus: str = "c") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "corpus": corpus, "model": "m", "trained_on": "c", "fill": "", "clip": clip, "seed": 0, "value": value,
                "speaker": clip[0], "status": "skipped" if value is None else "ok", "reason": "",
            }
            for clip, value in values.items()
        ]
    )  # fmt: skip


def test_candidates_are_compared_on_the_clips_that_all_of_them_have() -> None:
    first, second = rows({"a1": 1.0, "a2": 2.0, "b1": 30.0}), rows({"a1": 2.0, "a2": 4.0, "b1": None})
    one, two = compared([first, second])
    assert (one["mean"], two["mean"]) == (1.5, 3.0) and one["clips"] == two["clips"] == 2 and one["planned"] == 3
    assert one["low"] is None  # one speaker
    many = [rows({f"{s}1": float(i + k) for i, s in enumerate("abcdefg")}) for k in (0, 1)]
    one, two = compared(many)
    assert (one["mean"], two["mean"]) == (3, 4) and one["low"] < 3 < one["high"]
    assert [row["mean"] for row in compared([first, rows({"a1": None})])] == [None, None]


def test_best_is_the_first_of_equals() -> None:
    assert best([1.0, 3.0, 3.0], "higher") == 1 and best([1.0, 0.5, 0.5], "lower") == 1
    assert best([None, 0.5], "higher") == 1 and best([None, None], "lower") is None


TUNED = {
    "corpora": ["planted"],
    "methods": ["smoothgrad", "random"],
    "metrics": ["insertion", "gini"],
    "conditions": ["clean"],
    "fills": ["attenuate"],
    "limit": 2,
    "parameters": {"smoothgrad": {"n_copies": 2}},
    "tuning": {"metric": "insertion", "clips": 2, "grid": {"smoothgrad": {"noise": [0.01, 0.5]}}},
}


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_config(**TUNED)


@pytest.fixture(scope="module")
def store(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return run(config, tmp_path_factory.mktemp("tuned") / "run")


def test_the_best_parameters_explain_the_scored_clips(config: RunConfig, store: Store) -> None:
    told = store.info["tuning"]
    tried = list(candidates(config))
    assert tried == [("smoothgrad", {"noise": 0.01}), ("smoothgrad", {"noise": 0.5})]
    runs = [Store(folder_of(store.path, *candidate)) for candidate in tried]
    means = [float(r.scores(["value"])["value"].mean()) for r in runs]
    entry = told["methods"]["smoothgrad"]
    np.testing.assert_allclose([row["mean"] for row in entry["candidates"]], means)
    assert entry["chosen"] == tried[int(np.argmax(means))][1] and means[0] != means[1]
    assert [(row["clips"], row["planned"], row["low"]) for row in entry["candidates"]] == [(2, 2, None)] * 2
    assert told["model_calls"] == sum(r.info["model_calls"] for r in runs)
    assert [Path(row["run"]) for row in entry["candidates"]] == [r.path.relative_to(store.path) for r in runs]
    # what was given, what was chosen, and the rest as the method has it
    assert store.info["methods"]["smoothgrad"]["parameters"] == {"n_copies": 2} | entry["chosen"]
    assert store.info["config"]["parameters"]["smoothgrad"] == {"n_copies": 2} | entry["chosen"]
    assert {e.attribution.model_calls for e in store.explanations() if e.attribution.method == "smoothgrad"} == {2}


def test_scored_and_tuning_clips_share_no_speaker(store: Store) -> None:
    told = store.info["tuning"]
    tuning = Store(store.path / told["methods"]["smoothgrad"]["candidates"][0]["run"]).scores(["clip", "speaker"])
    scored = store.scores(["clip", "speaker"])
    assert sorted(tuning["clip"].unique()) == sorted(told["clips"]["planted"])
    assert told["speakers_apart"] == {"planted": True}
    assert not set(tuning["speaker"]) & set(scored["speaker"]) and scored["clip"].nunique() == 2


def test_resuming_does_not_tune_again(config: RunConfig, store: Store) -> None:
    folders = [folder_of(store.path, *candidate) for candidate in candidates(config)]
    before = {path: path.read_bytes() for folder in [store.path, *folders] for path in folder.glob("scores/*.parquet")}
    again = run(config, store.path)
    assert again.info["computed"]["model_calls"] == 0
    assert all(Store(folder).info["computed"]["model_calls"] == 0 for folder in folders)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert again.info["tuning"] == store.info["tuning"]


def test_dry_run_costs_it(config: RunConfig, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    expected = sum(forecast(make_plan(candidate_config(config, *candidate))).total for candidate in candidates(config))
    assert expected == store.info["tuning"]["model_calls"]
    assert dry_run(config, Execution(), as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tuning_calls"] == expected
    assert told["model_calls"] == expected + store.info["model_calls"]
    assert dry_run(config, Execution(), store.path, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["model_calls"] == 0


def test_parameters_enter_the_keys_and_defaults_do_not_move_them() -> None:
    plain = {k: v for k, v in TUNED.items() if k not in ("tuning", "parameters")}
    keys = [shard.key for shard in make_plan(load_config(**plain)).shards]
    assert [s.key for s in make_plan(load_config(**plain, parameters={"smoothgrad": {"n_copies": 32}})).shards] == keys
    other = make_plan(load_config(**plain, parameters={"smoothgrad": {"n_copies": 3}})).shards
    assert not {shard.key for shard in other} & set(keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuning": {"metric": "insertion", "grid": {"smoothgrad": {"nose": [1]}}}}, "no parameter 'nose'; allowed"),
        ({"tuning": {"metric": "insertion", "grid": {"smoothgrad": {"noise": []}}}}, "at least one value of each"),
        ({"tuning": {"metric": "insertion", "grid": {"occlusion": {"bands": [8]}}}}, "occlusion not among the methods"),
        ({"tuning": {"metric": "consistency", "grid": {"smoothgrad": {"noise": [1]}}}}, "shifted clips only"),
        ({"tuning": {"metric": "insertion", "clips": 0, "grid": {"smoothgrad": {"noise": [1]}}}}, "tuning.clips"),
        ({"parameters": {"smoothgrad": {"nose": 1}}}, "no parameter 'nose'"),
        ({"part": "everything"}, "part"),
        (
            {"tuning": {"metrik": "insertion"}},
            r"unknown key 'tuning.metrik'; did you mean 'metric'\? Allowed: metric, clips",
        ),
        ({"tuning": {"metric": "insertio", "grid": {"smoothgrad": {"noise": [1]}}}}, "Did you mean 'insertion'"),
        ({"parameters": {"smoothgrat": {}}}, "Did you mean 'smoothgrad'"),
    ],
)
def test_faults_are_told_before_any_work(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(**TUNED | changes)


def test_the_tuning_part_needs_its_table() -> None:
    with pytest.raises(InputError, match=r"needs the table \[tuning\]"):
        load_config(**{key: value for key, value in TUNED.items() if key != "tuning"}, part="tuning")
