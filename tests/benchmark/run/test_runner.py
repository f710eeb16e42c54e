"""The runner on awkward input: bad files become failed rows, and nothing moves a score but what it depends on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.store import Store
from serxai.errors import InputError
from serxai.methods import baselines
from serxai.metrics.records import METRICS

GOOD = ("03a01Wa", "08a01Wa", "09a02Fa", "10a02Fa")


def a_voice(seed: int, seconds: float = 1.2) -> np.ndarray:
    """Something voiced: harmonics with a moving pitch and level, in faint noise."""
    generator = np.random.default_rng(seed)
    t = np.arange(int(16000 * seconds)) / 16000
    f0 = 120 + 10 * seed + 20 * np.sin(2 * np.pi * 2 * t)
    phase = 2 * np.pi * np.cumsum(f0) / 16000
    x = sum(np.sin(h * phase) / h for h in range(1, 25)) * (1.2 + np.sin(2 * np.pi * 3 * t))
    return (0.05 * x + 1e-3 * generator.standard_normal(t.size)).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in EMODB's layout that holds four good clips."""
    folder = tmp_path / "data" / "emodb" / "wav"
    folder.mkdir(parents=True)
    for seed, name in enumerate(GOOD):
        soundfile.write(folder / f"{name}.wav", a_voice(seed), 16000)
    return tmp_path / "data"


def config(**changes: object) -> RunConfig:
    settings = {
        "corpora": ["emodb"], "trained_on": "planted", "emotions": ["anger", "happiness"], "conditions": ["clean"],
        "methods": ["random", "energy", "input-x-gradient"], "metrics": ["abpc", "gini"], "limit": 0,
        "fills": ["attenuate"],
    }  # fmt: skip
    return load_config(**settings | changes)


def test_bad_files_become_failed_rows_and_the_run_goes_on(data: Path, tmp_path: Path):
    folder = data / "emodb" / "wav"
    (folder / "11a01Wa.wav").write_bytes(b"")
    (folder / "12a01Wa.wav").write_text("not audio " * 100)
    soundfile.write(folder / "13a01Wa.wav", np.zeros(0, dtype=np.float32), 16000)
    soundfile.write(folder / "14a01Wa.wav", np.full(16000, np.nan, dtype=np.float32), 16000, subtype="FLOAT")
    soundfile.write(folder / "15a01Wa.wav", np.zeros(600 * 16000, dtype=np.int16), 16000)
    soundfile.write(folder / "16a01Wa.wav", a_voice(7)[4000:4020], 16000)
    stereo = np.stack([a_voice(9), 0.3 * a_voice(9)], axis=1)
    soundfile.write(folder / "11a02Fa.wav", np.repeat(stereo, 3, axis=0), 48000)
    soundfile.write(folder / "12a02Fa.wav", a_voice(8)[::2], 8000)
    soundfile.write(folder / "13a02Fa.wav", np.zeros(16000, dtype=np.float32), 16000)
    store = run(config(conditions=["clean", "noise-10db"]), tmp_path / "run", Execution(data_root=data))
    scores, info = store.scores(), store.info
    assert len(scores) == info["rows"]["planned"] == 13 * 3 * 2 * 2
    by_clip = scores.groupby("clip")["status"].agg(set)
    bad = ["11a01Wa", "12a01Wa", "13a01Wa", "14a01Wa", "15a01Wa", "16a01Wa"]
    assert all(by_clip[clip] == {"failed"} for clip in bad)
    assert all(by_clip[clip] == {"ok"} for clip in [*GOOD, "11a02Fa", "12a02Fa"])
    reasons = scores[scores["status"] == "failed"].groupby("clip")["reason"].first()
    expected = ["0 bytes", "not an audio file", "0 samples", "NaN", "600 s", "shorter"]
    assert [word in reasons[clip] for clip, word in zip(bad, expected, strict=True)] == [True] * 6
    assert all(f"{clip}.wav" in reasons[clip] for clip in bad[:5])
    assert scores["key"].is_unique and (scores["key"] != "").all()
    assert info["status"] == "done with failures"
    silent = scores[scores["clip"] == "13a02Fa"]  # there is nothing to explain in silence
    assert (
        set(silent["status"]) == {"skipped"} and silent["reason"].str.contains("13a02Fa.wav: silent: no sample").all()
    )


def test_a_method_that_raises_costs_only_its_own_rows(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(self: object, request: object) -> None:
        raise ValueError("something unforeseen")

    monkeypatch.setattr(baselines.Energy, "attribute", broken)
    scores = run(config(), tmp_path / "run", Execution(data_root=data)).scores()
    assert set(scores[scores["method"] == "energy"]["status"]) == {"failed"}
    assert set(scores[scores["method"] == "energy"]["reason"]) == {"ValueError: something unforeseen"}
    assert set(scores[scores["method"] != "energy"]["status"]) == {"ok"}
    monkeypatch.undo()
    again = run(config(), tmp_path / "run", Execution(data_root=data, retry_failed=True))
    assert set(again.scores()["status"]) == {"ok"}
    # what was there already cost nothing: energy is scored with 32 calls a clip, nothing is explained or scored twice
    assert again.info["computed"]["model_calls"] == 32 * len(GOOD)


def changed(before: pd.DataFrame, after: pd.DataFrame) -> set[str]:
    """Clips with a row that was not there before."""
    return set(after.loc[~after["key"].isin(before["key"]), "clip"])


def test_one_audio_byte_changes_only_its_own_clip(data: Path, tmp_path: Path):
    store = run(config(), tmp_path / "run", Execution(data_root=data))
    before = store.scores()
    path = data / "emodb" / "wav" / f"{GOOD[1]}.wav"
    content = bytearray(path.read_bytes())
    content[1001] ^= 1
    path.write_bytes(bytes(content))
    store = run(config(), tmp_path / "run", Execution(data_root=data))
    assert changed(before, store.scores()) == {GOOD[1]}
    # prediction, input x gradient, three trajectories; and of the fill's reach a prediction and one batch
    assert store.info["computed"]["model_calls"] == 1 + 1 + 3 * 32 + 1 + 8


def test_a_second_metric_costs_no_explanation(data: Path, tmp_path: Path):
    run(config(methods=["emolime"], metrics=["gini"]), tmp_path / "run", Execution(data_root=data))
    store = run(config(methods=["emolime"], metrics=["gini", "abpc"]), tmp_path / "run", Execution(data_root=data))
    reach = 1 + 8  # which no metric needed before
    assert store.info["computed"]["model_calls"] == (32 + reach) * len(GOOD)


@pytest.mark.parametrize("change", [{"seed": 1}, {"fills": ["noise"]}, {"target": "anger"}])
def test_what_a_score_depends_on_changes_its_key(data: Path, tmp_path: Path, change: dict):
    before = run(config(metrics=["abpc"]), tmp_path / "run", Execution(data_root=data)).scores()
    after = run(config(metrics=["abpc"], **change), tmp_path / "run", Execution(data_root=data)).scores()
    assert not set(before["key"]) & set(after["key"])


def test_a_metric_version_changes_its_rows_only(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = run(config(), tmp_path / "run", Execution(data_root=data)).scores()
    object.__setattr__(METRICS.get("gini"), "version", "2")
    try:
        after = run(config(), tmp_path / "run", Execution(data_root=data)).scores()
    finally:
        object.__setattr__(METRICS.get("gini"), "version", "1")
    fresh = after[~after["key"].isin(before["key"])]
    assert set(fresh["metric"]) == {"gini"} and len(fresh) == 3 * len(GOOD)


@pytest.mark.long
def test_scores_do_not_depend_on_what_else_is_run(data: Path, tmp_path: Path):
    """Bitwise the same score alone, beside other methods and metrics, and in a subset of the clips."""
    wide = config(
        methods=["energy", "random", "emolime"],
        metrics=["gini", "abpc", "deletion"],
        conditions=["noise-20db", "clean"],
    )
    everything = run(wide, tmp_path / "all", Execution(data_root=data)).scores()
    alone = run(
        config(methods=["emolime"], metrics=["abpc"], limit=2), tmp_path / "one", Execution(data_root=data)
    ).scores()
    merged = alone.merge(everything, on="key", suffixes=("", "_all"))
    assert len(merged) == len(alone) == 2
    assert (merged["value"] == merged["value_all"]).all()


def test_a_damaged_shard_is_computed_again(data: Path, tmp_path: Path):
    store = run(config(), tmp_path / "run", Execution(data_root=data))
    before = store.scores()
    for path in (store.path / "scores").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    for path in (store.path / "explanations").iterdir():
        path.write_bytes(b"PK")
    pd.testing.assert_frame_equal(run(config(), store.path, Execution(data_root=data)).scores(), before)


def test_run_info_says_where_it_comes_from(data: Path, tmp_path: Path):
    store = run(config(), tmp_path / "run", Execution(data_root=data))
    info = json.loads((store.path / "run.json").read_text())
    assert {"torch", "numpy", "serxai", "python"} <= set(info["versions"])
    assert info["config"]["trained_on"] == "planted" and info["corpora"]["emodb"]["licence"] == "CC0-1.0"
    assert info["cells"] == {"planned": 3 * 2, "done": 3 * 2, "failed": 0}
    scores = store.scores()
    assert set(scores["fold"]) == {"refit"}
    assert set(scores["seen_in_training"]) == {"unknown"}  # these are not the publisher's files


def test_fold_models_explain_only_speakers_they_have_not_heard():
    plan = make_plan(load_config(limit=0, methods=["random"], metrics=["gini"], conditions=["clean"]))
    models = plan.models["cnn", "planted"]
    speakers = plan.corpora["planted"].table["speaker"]
    assert sum(len(shard.clips) for shard in plan.shards) == len(speakers)
    for shard in plan.shards:
        assert {speakers[clip] for clip in shard.clips} <= set(models.folds.speakers[shard.fold])
        assert all(speakers[c] != speakers[p] for c, p in zip(shard.clips, shard.partners, strict=True) if p)


def test_nothing_to_do_is_said(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match="sadness"):
        run(config(emotions=["sadness"]), tmp_path / "run", Execution(data_root=data))
    with pytest.raises(InputError, match="--condition clean"):
        run(config(metrics=["consistency"]), tmp_path / "run2", Execution(data_root=data))
    shutil.rmtree(data / "emodb")
    with pytest.raises(InputError, match="emodb"):
        run(config(), tmp_path / "run3", Execution(data_root=data))
    assert not Store(tmp_path / "run3").path.joinpath("scores").exists()
