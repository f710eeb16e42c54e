"""The planner as a property: every requested cell once, none twice, every clip in one shard."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.benchmark.run import reach, workbench
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.plan import Plan, make_plan
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import Corpus
from serxai.datasets.shifts.conditions import CONDITIONS, Talkers
from serxai.methods.records import METHODS
from serxai.metrics.records import METRICS

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


class FakeCorpus(Corpus):
    """Clips without files: as many a speaker and emotion as given."""

    changed = ""

    def clip(self, clip_id: str) -> Clip:
        seed = sum(map(ord, clip_id)) + (clip_id == self.changed)
        return Clip(samples=np.full(8, seed, dtype=np.float32), **self._metadata(clip_id))


def corpus_of(speakers: int, clips: int) -> FakeCorpus:
    rows = {
        f"s{s}-{e}-{c}": {"file": "x", "emotion": e, "speaker": f"s{s}", "sex": "female", "sentence": ""}
        for s, e, c in product(range(speakers), EMOTIONS, range(clips))
    }
    return FakeCorpus(CORPORA.get("emodb"), pd.DataFrame.from_dict(rows, orient="index"), Path())


def planned(config: RunConfig, corpus: FakeCorpus, fingerprint: str = "weights") -> Plan:
    """A plan over a fake corpus and fold models that exist by name only."""
    folds = corpus.folds(2)
    models = SimpleNamespace(
        fold_for=lambda corpus, speaker, clip: folds.fold_of(speaker),
        trained_on="emodb",
        info={},
        recogniser=lambda fold: SimpleNamespace(fingerprint=fingerprint + fold),
    )
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(workbench, "load_corpus", lambda *arguments: corpus)
        context.setattr(workbench, "obtain_models", lambda *arguments, **options: models)
        context.setattr(reach, "_measure", lambda *arguments: {clip: (None, 0) for clip in arguments[4]})
        return make_plan(config)


def some_of(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, unique=True)


configs = st.fixed_dictionaries(
    {
        "methods": some_of([name for name in METHODS.names() if not name.endswith(":")]),
        "metrics": some_of([name for name in METRICS.names() if name != "quantus:"]).map(
            lambda names: sorted({*names, "gini"})
        ),
        "conditions": some_of(CONDITIONS.names()),
        "fills": some_of(["attenuate", "noise", "spectral-mean"]),
        "emotions": some_of(list(EMOTIONS)),
        "limit": st.integers(0, 40),
        "seed": st.integers(0, 3),
    }
)


@settings(max_examples=60)
@given(configs, st.integers(2, 5), st.integers(1, 3))
def test_every_requested_cell_once_and_every_clip_in_one_shard(changes: dict, speakers: int, clips: int):
    config, corpus = load_config(corpora=["emodb"], **changes), corpus_of(speakers, clips)
    plan = planned(config, corpus)
    table = corpus.table

    # cells, written out independently of the planner
    folds = {shard.fold for shard in plan.shards}
    expected = set()
    for fold, method, metric, condition in product(folds, config.methods, config.metrics, config.conditions):
        record = METRICS.get(metric)
        if (record.conditions == "shifted" and condition == "clean") or (
            record.conditions == "clean" and condition != "clean"
        ):
            continue
        for fill in config.fills if record.uses_fill else [""]:
            expected.add(("emodb", fold, "cnn", method, condition, metric, fill, config.seed))
    assert len(plan.cells) == len(set(plan.cells)) and set(plan.cells) == expected

    counted = Counter(clip for shard in plan.shards for clip in shard.clips)
    assert set(counted.values()) == {1}
    assert set(counted) == set(corpus.select(config.emotions, config.limit or None))
    assert plan.n_clips == len(counted) and plan.n_rows == len(counted) * len(expected) // len(folds)
    assert len({shard.key for shard in plan.shards}) == len(plan.shards)

    held_out = corpus.folds(2).speakers
    for shard in plan.shards:
        assert set(table.loc[list(shard.clips), "speaker"]) <= set(held_out[shard.fold])
        for clip, partner in zip(shard.clips, shard.partners, strict=True):
            alone = len(set(table[table["speaker"].isin(held_out[shard.fold])]["speaker"])) == 1
            assert (partner == "") == alone
            if partner:
                assert table.at[partner, "speaker"] != table.at[clip, "speaker"]
                assert table.at[partner, "emotion"] == table.at[clip, "emotion"]


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_smaller_limit_explains_a_subset(a: int, b: int):
    corpus = corpus_of(4, 2)
    small, large = (
        {c for s in planned(load_config(corpora=["emodb"], limit=n), corpus).shards for c in s.clips}
        for n in sorted((a, b))
    )
    assert small <= large


def keys(plan: Plan) -> set[str]:
    return {shard.key for shard in plan.shards}


def test_shard_keys_change_with_what_scores_depend_on_and_with_nothing_else(monkeypatch: pytest.MonkeyPatch):
    corpus = corpus_of(4, 2)
    config = load_config(corpora=["emodb"], limit=0)
    before = keys(planned(config, corpus))
    assert keys(planned(config, corpus_of(4, 2))) == before
    for change in ({"seed": 1}, {"fills": ["noise"]}, {"target": "true"}, {"methods": ["random"]}):
        assert not keys(planned(config.model_copy(update=change), corpus)) & before
    assert not keys(planned(config, corpus, "other weights")) & before
    for registry, name in ((METHODS, "emolime"), (METRICS, "gini"), (CONDITIONS, "noise-10db")):
        shipped = registry.get(name).version
        with monkeypatch.context():
            object.__setattr__(registry.get(name), "version", "changed")
            try:
                assert not keys(planned(config, corpus)) & before
            finally:
                object.__setattr__(registry.get(name), "version", shipped)
    assert keys(planned(config, corpus)) == before
    # one sample: only the shards that hold the clip, compare with it, or mix it in
    corpus.changed = corpus.table.index[0]
    touched = [s for s in planned(config, corpus).shards if s.key not in before]
    assert touched and all(corpus.changed in (*s.clips, *s.partners) for s in touched)
    assert len(touched) < len(before) / 2


def test_shard_keys_depend_on_the_babble_mixed_in():
    corpus = corpus_of(8, 4)
    config = load_config(corpora=["emodb"], limit=0, conditions=["clean", "babble-10db", "babble-20db"])
    plan = planned(config, corpus)
    assert all(not shard.mixed for shard in planned(config.model_copy(update={"conditions": ["clean"]}), corpus).shards)
    talkers = Talkers(corpus, config.seed)
    speakers = corpus.table["speaker"]
    for shard in plan.shards:
        chosen = {clip: talkers.of(clip, "babble-10db") for clip in shard.clips}
        assert shard.mixed == tuple(sorted({other for others in chosen.values() for other in others}))
        assert all(speakers[other] != speakers[clip] for clip, others in chosen.items() for other in others)
    corpus.changed = next(clip for shard in plan.shards for clip in shard.mixed)
    touched = [new for old, new in zip(plan.shards, planned(config, corpus).shards, strict=True) if old.key != new.key]
    used = [s for s in plan.shards if corpus.changed in (*s.clips, *s.partners, *s.mixed)]
    assert [s.clips for s in touched] == [s.clips for s in used] and len(touched) < len(plan.shards)
    assert any(corpus.changed not in (*s.clips, *s.partners) for s in touched)
