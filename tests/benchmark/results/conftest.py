"""A small run on speech-like sounds in EMODB's layout, and its record."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.benchmark.results.add import add_runs
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.store import Store

SCORED = ("03a01Wa", "08a01Wa", "03a02Fa", "08a02Fa")
NEUTRAL = tuple(f"{speaker}{text}Nc" for speaker in ("03", "08") for text in ("a04", "a05", "a07", "b01"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    (root / "emodb" / "wav").mkdir(parents=True)
    t = np.arange(16000) / 16000
    for seed, name in enumerate((*SCORED, *NEUTRAL)):
        f0 = 120 + 10 * seed + 20 * np.sin(2 * np.pi * 2 * t)
        x = sum(np.sin(h * 2 * np.pi * np.cumsum(f0) / 16000) / h for h in range(1, 20)) * (1.2 + np.sin(19 * t))
        noise = 1e-3 * np.random.default_rng(seed).standard_normal(t.size)
        soundfile.write(root / "emodb" / "wav" / f"{name}.wav", 0.05 * x + noise, 16000)
    return root


@pytest.fixture(scope="session")
def run_folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_config(
        corpora=["emodb"], trained_on="planted", emotions=["anger", "happiness"], conditions=["clean", "noise-20db"],
        methods=["random", "energy", "emolime"], metrics=["abpc", "gini"], fills=["spectral-mean", "attenuate"],
        limit=4,
    )  # fmt: skip
    return run(config, tmp_path_factory.mktemp("runs") / "first", Execution(data_root=data)).path


@pytest.fixture(scope="session")
def results_folder(run_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("results")
    add_runs([Store(run_folder)], to, data)
    return to


@pytest.fixture
def results(results_folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(results_folder, tmp_path / "results"))


@pytest.fixture
def piece(results: Path) -> Path:
    return results / "emodb" / "cnn-trained-on-planted" / "first"
