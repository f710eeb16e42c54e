"""Fixtures of the benchmark tests: score tables with a known truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid
from serxai.benchmark.storage.store import Explanation, Store
from serxai.keys import digest
from serxai.methods.attribution import Attribution

# metric: family, direction, uses a fill, conditions
METRIC_FACTS = {
    "deletion": ("faithfulness", "lower", True, ("clean", "noise-20db", "noise-10db")),
    "abpc": ("faithfulness", "higher", True, ("clean", "noise-20db", "noise-10db")),
    "mass-accuracy": ("localisation", "higher", False, ("clean", "noise-20db", "noise-10db")),
    "consistency": ("robustness", "higher", False, ("noise-20db", "noise-10db")),
    "explanation-calls": ("cost", "lower", False, ("clean", "noise-20db", "noise-10db")),
}
QUALITY = {"random": 0.0, "energy": 0.3, "saliency": 0.5, "emolime": 1.5, "<odd & name>": 0.0, "oracle": 3.0}
CALLS = {"random": 0, "energy": 0, "saliency": 1, "emolime": 256, "<odd & name>": 64, "oracle": 0}


def simulated_scores(
    speakers: int = 10, clips: int = 6, seed: int = 0, conditions: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Several methods whose mean score is their `QUALITY`; the oracle skips neutral clips, one method fails on some."""
    rng = np.random.default_rng(seed)
    rows = []
    for metric, (family, direction, uses_fill, defined) in METRIC_FACTS.items():
        for condition in (c for c in defined if conditions is None or c in conditions):
            for method, quality in QUALITY.items():
                for s in range(speakers):
                    effect = rng.normal(0, 0.1)
                    for c in range(clips):
                        emotion = ("anger", "happiness", "neutral", "sadness")[c % 4]
                        value = quality + effect + rng.normal(0, 0.4)
                        value = CALLS[method] if metric == "explanation-calls" else value
                        value = -value if metric == "deletion" else value
                        status, reason = "ok", ""
                        if method == "oracle" and emotion == "neutral":
                            status, reason = "skipped", "no planted cue"
                        if method == "<odd & name>" and s < 2 and c == 0:
                            status, reason = "failed", "ValueError: <script>alert(1)</script>"
                        rows.append(
                            {
                                "corpus": "planted", "fold": str(s % 5), "model": "cnn", "trained_on": "planted",
                                "seen_in_training": "no", "method": method, "condition": condition,
                                "strength": {"clean": 0.0, "noise-20db": 20.0, "noise-10db": 10.0}[condition],
                                "metric": metric, "family": family, "direction": direction, "space": "audio",
                                "fill": "twin" if uses_fill else "",
                                "explained_against": "twin" if method == "oracle" else "none",
                                "clip": f"s{s:02}c{c}", "speaker": f"s{s:02}",
                                "emotion": emotion, "predicted": emotion, "correct": True, "target": emotion,
                                "target_rule": "predicted", "seed": 0, "repeat": 0,
                                "value": value if status == "ok" else np.nan, "status": status, "reason": reason,
                                "model_calls": 32 if uses_fill else 0, "metric_version": "1", "method_version": "1",
                                "key": f"{metric}/{condition}/{method}/s{s}c{c}",
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., pd.DataFrame]:
    """The generator of simulated score tables."""
    return simulated_scores


def run_folder(path: Path, scores: pd.DataFrame, shards: int = 7, **changes: Any) -> Store:
    """A finished run with these score rows, its files as serxai writes them; `changes` go into run.json."""
    store = Store(path)
    keys = [digest("shard of a test", i) for i in range(shards)]
    speakers = sorted(scores["speaker"].unique())
    grid = Grid(np.array([0.0, 1000, 8000]), np.array([0.0, 0.5, 1.0]))
    for i, key in enumerate(keys):
        rows = scores[scores["speaker"].isin(speakers[i::shards])]
        attribution = Attribution(np.full(grid.shape, i + 0.5), grid, "anger", "random")
        explanation = Explanation(attribution, "planted", "cnn", f"clip-{i}", "clean", 0)
        timing = {"model_calls": 3, "attempts": 1, "clips": {"a": 0.5}, "explanations": {digest(key): 0.1}}
        store.write_shard(key, rows.to_dict("records"), {digest(key): explanation}, {}, timing)
    names = {
        plural: sorted(scores[column].unique())
        for plural, column in (("corpora", "corpus"), ("models", "model"), ("methods", "method"), ("metrics", "metric"))
    }
    info = {
        "config": names | {"conditions": sorted(scores["condition"].unique()), "trained_on": None},
        "status": "done", "shards": keys, "planned_rows": len(scores), "clips": scores["clip"].nunique(),
        "corpora": {name: {"digest": "0" * 32, "version": "1"} for name in names["corpora"]},
        "models": {"cnn trained on planted": {"recogniser": "cnn", "weights": {"0": "w0", "1": "w1"}}},
        "fingerprints": {f"cnn trained on planted, fold {fold}": f"f{fold}" for fold in range(5)},
        "execution": {"checkpoints": {}, "trust": False, "data_root": None, "device": "cpu"},
        "versions": {"serxai": "0"}, "cells": {}, "rows": {}, "started": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    store.write_info(info | changes)
    return store


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Store]:
    """The writer of run folders from simulated score tables."""
    return run_folder
