"""Every registered metric, scored as in a run: nothing moves a score but what it depends on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.method_spec import resolve_methods
from serxai.benchmark.run.plan import Shard
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.run.scoring import ShardScorer
from serxai.benchmark.storage.store import Store
from serxai.datasets.clip import Clip, Plant, Word
from serxai.keys import rng
from serxai.metrics.records import METRICS
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

FAMILIES = {"direction-agreement:": "JL", "causal-cue-fidelity:": "intensity", "quantus:": "PixelFlipping"}
EVERY = [name + FAMILIES[name] if name.endswith(":") else name for name in METRICS.names()]
METHODS = ["random", "input-x-gradient"]
CLIPS = ("a", "b", "c")


NEUTRAL = tuple(f"{name}-neutral-{k}" for name in CLIPS for k in range(3))


def a_clip(name: str) -> Clip:
    """A gliding, pulsing harmonic tone, louder than its twin in the middle."""
    generator = rng("every metric", name)
    t = np.arange(int(0.8 * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 60 * generator.random() + 30 * np.sin(5 * t)) / SAMPLE_RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(20 * t))
    twin = (0.05 * tone + 0.003 * generator.standard_normal(t.size)).astype(np.float32)
    louder = np.where((t > 0.24) & (t < 0.56), 2.0, 1.0).astype(np.float32)
    return Clip(name, twin * louder, "anger", speaker=name, plant=Plant(twin, (Word("a", 0.24, 0.56),)))


@pytest.fixture(scope="module")
def corpus() -> Any:
    """What a scorer asks of a corpus."""
    clips = {name: a_clip(name) for name in CLIPS + NEUTRAL}
    emotions = ["anger"] * len(CLIPS) + ["neutral"] * len(NEUTRAL)
    table = pd.DataFrame({"speaker": [name[0] for name in clips], "emotion": emotions}, index=list(clips))
    record = SimpleNamespace(level_comparable=True)
    return SimpleNamespace(name="planted", table=table, clip=clips.__getitem__, record=record)


@pytest.fixture(scope="module")
def recogniser() -> TorchRecogniser:
    """A small network that reacts: the weights of its last layer are large."""
    torch.manual_seed(0)
    network = ResidualCNN(4, width=4).eval()
    with torch.no_grad():
        network.linear.weight *= 50
    return TorchRecogniser("cnn", ("anger", "happiness", "neutral", "sadness"), LogMel(), network, fingerprint="small")


def config(**changes: Any) -> RunConfig:
    clean_only = [name for name in EVERY if METRICS.get(name).conditions == "any"]
    settings = {"methods": METHODS, "metrics": EVERY, "conditions": ["clean", "noise-10db"], "fills": ["twin"]}
    found = load_config(**settings | changes)
    return found.model_copy(update={"clean_only": clean_only})


class Scored:
    """Score rows by (metric, method, clip), of clips laid out in shards; a folder keeps them as a run does."""

    def __init__(self, corpus: Any, recogniser: TorchRecogniser, folder: Path) -> None:
        self.corpus, self.recogniser, self.folder = corpus, recogniser, folder

    def __call__(self, config: RunConfig, *shards: str, keep: bool = False) -> dict[tuple, tuple]:
        found, store = {}, Store(self.folder)
        for clips in shards:
            partners = tuple(CLIPS[(CLIPS.index(clip) + 1) % len(CLIPS)] for clip in clips)
            shard = Shard(
                "-".join(clips), "planted", "0", "cnn", "planted", tuple(clips), partners, tuple(config.fills)
            )
            seen = dict.fromkeys(shard.clips, "no")
            scorer = ShardScorer(config, resolve_methods(config), shard, self.corpus, self.recogniser, seen, store)
            rows = scorer.run()
            if keep:
                store.write_shard(shard.key, rows, scorer.explanations, scorer.predictions, scorer.timing)
            for row in rows:
                value = np.nan if row["value"] is None else float(row["value"])  # as it comes from a file
                found[row["metric"], row["method"], row["clip"]] = (
                    row["status"],
                    repr(value),
                    row["reason"],
                    row["key"],
                )
        return found


@pytest.fixture
def score(corpus, recogniser, tmp_path: Path) -> Scored:
    return Scored(corpus, recogniser, tmp_path)


@pytest.fixture(scope="module")
def everything(corpus, recogniser, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple, tuple]:
    """Two clips in one shard, all metrics in the registry's order."""
    return Scored(corpus, recogniser, tmp_path_factory.mktemp("every"))(config(), "ab")


def test_every_metric_is_scored_by_some_method(everything):
    ok = {metric for (metric, _, _), (status, *_) in everything.items() if status == "ok"}
    # these clips have no annotation of that kind, neither method a mask table, the shard no clips to fine-tune on
    weak = {name for name in EVERY if name.startswith("weak-")} | {"additivity", "f-fidelity"}
    assert set(EVERY) - ok <= weak
    assert not [row for row in everything.values() if row[0] == "failed"]


def test_bitwise_the_same_in_any_order_and_sharding(everything, score):
    turned = config(metrics=EVERY[::-1], methods=METHODS[::-1])
    assert score(turned, "b", "a") == everything


def test_bitwise_the_same_in_a_subset(everything, score):
    some = [EVERY[i] for i in np.random.default_rng(0).permutation(len(EVERY))[: len(EVERY) // 3]]
    found = score(config(metrics=some, methods=["input-x-gradient"]), "b")
    assert len(found) == len(some) and found.items() <= everything.items()


@pytest.mark.long
def test_bitwise_the_same_after_resume(everything, score):
    """What was explained before is read from the disk; the metrics that were missing are scored now."""
    first = score(config(metrics=EVERY[::2]), "a", keep=True)
    assert score(config(), "ab", keep=True) == everything
    assert first.items() < everything.items()
    before = score.recogniser.calls
    assert score(config(), "ab") == everything
    assert score.recogniser.calls == before


def test_joint_cost_of_a_run_is_at_most_two_fifths_of_runs_of_each_metric(corpus, recogniser, tmp_path: Path):
    """Counted where the recogniser is asked; every run predicts its clips anew."""
    names = ["deletion", "insertion", "abpc", "comprehensiveness", "sufficiency", "delta-auc", "monotonicity"]

    def calls(place: str, metrics: list[str]) -> int:
        before = recogniser.calls
        Scored(corpus, recogniser, tmp_path / place)(config(metrics=metrics, methods=["random"]), "a")
        return recogniser.calls - before

    joint, each = calls("joint", names), [calls(name, [name]) for name in names]
    assert (joint, sum(each)) == (97, 295) and joint <= 0.4 * sum(each)


ROUNDING = 1e-6  # of a score, or of 1
# correlations with small effects, and a quotient by a small change of the log-odds, enlarge what the kernels round off
ENLARGED = {
    "faithfulness-correlation": 1e-4, "sensitivity-n": 1e-4, "faithfulness-estimate": 1e-4,
    "relative-output-stability": 1e-2,
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, *(pytest.param(batch, marks=pytest.mark.long) for batch in (2, 4, 16, 32))])
def test_other_batch_shapes_agree_to_rounding(everything, score, monkeypatch, batch):
    """Convolutions of one copy are computed by another kernel than those of eight."""
    monkeypatch.setattr(score.recogniser, "batch", batch)
    found = score(config(methods=["input-x-gradient"]), "b")
    assert not {row[-1] for row in found.values()} & {row[-1] for row in everything.values()}  # other keys
    for cell, (status, value, *_) in found.items():
        same, before = everything[cell][0], float(everything[cell][1])
        assert status == same, cell
        if status == "ok":
            allowed = ENLARGED.get(cell[0], ROUNDING) * max(1.0, abs(before))
            assert float(value) == pytest.approx(before, abs=allowed), cell


@pytest.mark.long
def test_bitwise_the_same_in_worker_processes(tmp_path: Path):
    """On planted clips and the bundled recogniser, by one process and by two."""
    wanted = config(limit=3, emotions=["anger", "happiness", "sadness"])
    one, two = (run(wanted, tmp_path / str(n), Execution(workers=n)).scores() for n in (1, 2))
    assert len(one) == 3 * 2 * len(EVERY) and (one["status"] == "ok").mean() > 0.8
    pd.testing.assert_frame_equal(one, two, check_exact=True)
