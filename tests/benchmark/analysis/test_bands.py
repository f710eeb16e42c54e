"""Exported weights: the stored numbers, profiles with a known answer, reliability of simulated clips."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid, band_edges_hz
from serxai.benchmark.analysis.bands import (
    FACTS,
    band_profiles,
    of_bands,
    part_weights,
    reliability,
    table_facts,
)
from serxai.benchmark.cli.export import export
from serxai.benchmark.storage.store import Explanation, Store
from serxai.errors import InputError
from serxai.keys import digest
from serxai.methods.attribution import Attribution
from serxai.methods.masks import all_masks

SPEAKERS, CLIPS, SHARD = 8, 6, "0" * 32
EMOTIONS = ("anger", "sadness")
TRUTH = {"anger": np.linspace(-0.3, 0.4, 8), "sadness": np.linspace(0.2, -0.1, 8)}


def simulated(noise: float, seed: int = 0) -> list[tuple[Explanation, str]]:
    """Explanations of `SPEAKERS` x `CLIPS` clips with their speakers; weights are the truth and normal noise."""
    generator = np.random.default_rng(seed)
    found = []
    for speaker in range(SPEAKERS):
        for n in range(CLIPS):
            emotion = EMOTIONS[n % 2]
            weights = TRUTH[emotion] + noise * generator.standard_normal(8)
            grid = Grid(band_edges_hz(8), np.array([0.0, 1.0 + 0.1 * n]))
            details = {"shrinkage": 0.5, "r2": 0.9, "full": 1.0, "none": -1.0}
            table = all_masks(8) @ weights - 0.1
            attribution = Attribution(weights[:, None], grid, emotion, "emolime", details, table=table)
            found.append((Explanation(attribution, "emodb", "cnn", f"{speaker}-{n}", "clean", 0), f"s{speaker}"))
    return found


@pytest.fixture
def store_of(make_scores, tmp_path: Path):
    """A run folder that holds simulated explanations."""

    def make(explanations: list[tuple[Explanation, str]]) -> Store:
        store = Store(tmp_path / "run")
        template = make_scores(speakers=1, clips=1).iloc[0].to_dict()
        rows = [
            template
            | {
                "corpus": e.corpus, "model": e.model, "clip": e.clip, "condition": e.condition, "method": "emolime",
                "speaker": speaker, "emotion": e.attribution.target, "target": e.attribution.target,
                "predicted": e.attribution.target, "correct": True, "key": digest(e.clip), "metric": "deletion",
            }
            for e, speaker in explanations
        ]  # fmt: skip
        store.write_shard(SHARD, rows, {digest(e.clip): e for e, _ in explanations}, {}, {})
        config = {"corpora": ["emodb"], "models": ["cnn"], "methods": ["emolime"], "metrics": ["deletion"]}
        info = {"config": config, "status": "done", "shards": [SHARD], "planned_rows": len(rows)}
        store.write_info(info | {"corpora": {}, "models": {}, "execution": {}})
        return store

    return make


def test_weights_and_tables_are_those_stored(store_of):
    made = simulated(0.1)
    store = store_of(made)
    table = part_weights(store)
    assert len(table) == len(made) * 8 and list(table["part"][:8]) == list(range(8))
    by_clip = {explanation.clip: explanation.attribution for explanation, _ in made}
    for clip, part in table.groupby("clip"):
        np.testing.assert_array_equal(part["weight"], by_clip[clip].values[:, 0].astype(float))
        np.testing.assert_allclose(part["high_hz"], band_edges_hz(8)[1:])
        assert part["end_s"].iloc[0] == by_clip[clip].grid.time_edges_s[-1]
    assert set(table["shrinkage"]) == {0.5} and set(table["speaker"]) == {f"s{n}" for n in range(SPEAKERS)}
    for explanation in Store(store.path).explanations():
        np.testing.assert_array_equal(explanation.attribution.table, by_clip[explanation.clip].table)
    assert part_weights(store, ["saliency"]).empty


def test_profiles_are_the_means_with_intervals_that_hold_the_truth(store_of):
    profiles = band_profiles(of_bands(part_weights(store_of(simulated(0.1)))))
    assert len(profiles) == 2 * 8 and set(profiles["n_clips"]) == {24} and set(profiles["n_speakers"]) == {8}
    truth = np.concatenate([TRUTH[emotion] for emotion in profiles["target"].unique()])
    assert np.abs(profiles["weight"] - truth).max() < 0.1
    inside = (profiles["low"] <= truth) & (truth <= profiles["high"])
    assert inside.mean() > 0.7 and (profiles["high"] - profiles["low"]).max() < 0.2
    np.testing.assert_allclose(profiles["unshrunk"], 2 * profiles["weight"])
    anger = profiles[profiles["target"] == "anger"]
    assert anger["published_ComParE"].iloc[0] == 0.155 and anger["published_wav2vec2"].notna().all()


def test_intervals_of_profiles_hold_the_truth_in_95_of_100():
    """Speakers differ: 8 of them, 200 simulated corpora."""
    generator = np.random.default_rng(1)
    rows = [
        {**dict.fromkeys(FACTS, "x"), "corpus": str(corpus)}
        | {"clip": f"{s}-{n}", "speaker": s, "target": "anger", "part": 0, "low_hz": 0.0, "high_hz": 386.0}
        | {"weight": 0.2 + mean + generator.normal(0, 0.1)}
        for corpus in range(200)
        for s, mean in enumerate(generator.normal(0, 0.1, 8))
        for n in range(6)
    ]
    frame = pd.DataFrame(rows)
    profiles = band_profiles(frame.assign(unshrunk=frame["weight"]))
    inside = (profiles["low"] <= 0.2) & (profiles["high"] >= 0.2)
    assert len(profiles) == 200 and 0.89 < inside.mean() <= 1  # 95 % less four binomial standard errors


def test_reliability_is_that_of_the_design():
    """Noise s over clips, truth variance v: halves of n clips correlate v / (v + s^2 / n)."""
    values = np.concatenate([TRUTH["anger"], TRUTH["sadness"]])
    expected = values.var() / (values.var() + 0.4**2 / 12)
    found = []
    for seed in range(12):
        rows = [
            dict.fromkeys(FACTS, "x")
            | {"clip": e.clip, "speaker": speaker, "target": e.attribution.target, "part": part, "weight": float(w)}
            for e, speaker in simulated(0.4, seed)
            for part, w in enumerate(e.attribution.values[:, 0])
        ]
        found.append(reliability(pd.DataFrame(rows), splits=20).iloc[0])
    r = np.mean([row["r"] for row in found])
    assert r == pytest.approx(expected, abs=0.06)
    assert found[0]["reliability"] == pytest.approx(2 * found[0]["r"] / (1 + found[0]["r"]))
    assert found[0]["n_clips"] == 48 and found[0]["n_targets"] == 2


def test_tables_of_additive_clips_are_additive(store_of):
    clips, curves, pairs = table_facts(store_of(simulated(0.1)))
    assert len(clips) == 48 and clips["additive"].min() > 0.999 and clips["additive_probability"].max() < 1
    assert set(curves["removed"]) == set(range(9)) and set(curves["n_clips"]) == {48}
    assert curves.loc[curves["removed"] == 0, "removed_first"].item() == 1
    assert curves["low"].min() >= 0 and curves["high"].max() <= 1 and (curves["low"] <= curves["high"]).all()
    assert len(pairs) == 2 * 28 and np.abs(pairs["interaction"]).max() < 1e-5
    assert table_facts(store_of(simulated(0.1)), ["saliency"])[0].empty


def test_the_command_writes_what_it_says(store_of, tmp_path: Path, capsys):
    store = store_of(simulated(0.1))
    asked = Namespace(
        run=store.path, method=["emolime"], bands=True, maps=False, statements=False, out=tmp_path / "out"
    )
    assert export(asked) == 0
    said = capsys.readouterr().out
    assert "split-half reliability" in said
    written = {path.name for path in (tmp_path / "out").iterdir()}
    tables = ("profiles", "reliability", "mask-tables", "share-kept", "interactions", "weights")
    assert written == {f"{name}.csv" for name in tables} | {"weights.parquet"}
    read = pd.read_parquet(tmp_path / "out" / "weights.parquet")
    pd.testing.assert_frame_equal(read, part_weights(store), check_dtype=False)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    export(asked)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="holds no explanation by saliency"):
        export(
            Namespace(
                run=store.path, method=["saliency"], bands=False, maps=False, statements=False, out=tmp_path / "out"
            )
        )
    assert json.loads((store.path / "run.json").read_text())["status"] == "done"
