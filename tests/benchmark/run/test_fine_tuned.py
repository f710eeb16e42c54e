"""Which clips copies are fine-tuned on: never one that is explained; and a run that uses them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serxai.benchmark.run import fine_tuned
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.fine_tuned import fine_tunes, spent, training_clips
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import Shard, make_plan
from serxai.benchmark.run.runner import run
from serxai.datasets.corpora import load_corpus
from serxai.models import fine_tuning
from serxai.models.foldmodels import ForeignModel, find_bundled
from serxai.models.obtain import load_models

SETTINGS = {
    "corpora": ["planted"], "models": ["cnn"], "methods": ["energy", "random"], "metrics": ["f-fidelity"],
    "conditions": ["clean"], "fills": ["attenuate"], "limit": 4, "emotions": ["anger", "neutral"],
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("planted")


@pytest.fixture(scope="module")
def models():
    return find_bundled("cnn", "planted", "1")


@pytest.mark.parametrize("name", ["planted", "planted-hard"])
def test_no_clip_that_the_fold_explains_is_fine_tuned_on(models, name):
    table = load_corpus(name).table
    every = []
    for fold, held_out in models.folds.speakers.items():
        chosen = training_clips(load_corpus(name), models, fold)
        assert len(set(chosen)) == len(chosen) == fine_tuned.MAX_CLIPS
        assert not set(table.loc[list(chosen), "speaker"]) & set(held_out)
        explained = [c for c in table.index if models.fold_for(name, table.at[c, "speaker"], c) == fold]
        assert explained and not set(explained) & set(chosen)
        assert set(table.loc[list(chosen), "emotion"].value_counts()) == {fine_tuned.MAX_CLIPS // 4}
        every.append(chosen)
    assert len(set(every)) == len(every)


def test_models_without_a_held_out_fold_are_not_fine_tuned(corpus, models):
    assert training_clips(corpus, models, "refit") == ()
    assert training_clips(corpus, ForeignModel("planted-rule"), "all") == ()
    emodb = load_models("cnn", "emodb")
    assert training_clips(corpus, emodb, "0") == ()  # other voices: nothing says which clips are its training


def test_an_explained_clip_among_those_fine_tuned_on_is_refused():
    made = Shard("key", "planted", "0", "cnn", "planted", ("a", "b"), ("", ""), ("noise",), training=("c", "d"))
    with pytest.raises(ValueError, match="b is explained and fine-tuned on"):
        replace(made, training=("b", "c"))


def test_only_a_metric_that_asks_for_copies_changes_what_shards_depend_on(monkeypatch):
    monkeypatch.setattr(fine_tuned, "MAX_CLIPS", 8)
    plain = make_plan(load_config(**SETTINGS | {"metrics": ["deletion"]}))
    assert not fine_tunes(["deletion"]) and fine_tunes(["deletion", "f-fidelity"])
    assert all(shard.training == () for shard in plan_shards(plain))
    tuned = make_plan(load_config(**SETTINGS))
    assert all(len(shard.training) == 8 for shard in plan_shards(tuned))


def plan_shards(plan):
    assert plan.shards
    return plan.shards


def test_a_run_makes_each_copy_once_and_says_what_it_cost(monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tuned, "MAX_CLIPS", 8)
    monkeypatch.setattr(fine_tuning, "cache_folder", lambda: tmp_path / "models")
    short = fine_tuning.FineTuning(steps=2, clips=2)
    monkeypatch.setattr(fine_tuning, "FineTuning", lambda: short)
    config = load_config(**SETTINGS)
    folds = {shard.fold for shard in make_plan(config).shards}
    expected = forecast(make_plan(config)).total
    store = run(config, tmp_path / "run", Execution(workers=1))
    assert (store.scores()["status"] == "ok").all() and store.info["model_calls"] == expected
    made = store.info["fine_tuning"]
    assert made["copies"] == made["made"] == len(folds) and made["calls"] == len(folds) * short.calls
    again = run(config, tmp_path / "again", Execution(workers=1))
    assert again.info["fine_tuning"] == {"copies": len(folds), "made": 0, "calls": 0, "seconds": 0}
    columns = ["clip", "method", "value", "key"]
    assert again.scores()[columns].equals(store.scores()[columns])
    assert spent([]) == {}
