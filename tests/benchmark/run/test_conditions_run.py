"""Conditions in a run: measured strengths in the table, babble in the keys, nothing moved by limit or order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.datasets.corpora import load_corpus
from serxai.datasets.shifts.conditions import Talkers

CLIPS = tuple(f"{speaker}a0{k}{code}a" for speaker in ("03", "08", "09", "10") for k, code in ((1, "W"), (2, "F")))
SHIFTS = ("babble-10db", "tempo-120", "telephone")


def a_voice(seed: int, seconds: float) -> np.ndarray:
    """Something voiced: harmonics with a moving pitch and level, in faint noise."""
    generator = np.random.default_rng(seed)
    t = np.arange(int(16000 * seconds)) / 16000
    phase = 2 * np.pi * np.cumsum(110 + 10 * seed + 20 * np.sin(2 * np.pi * 2 * t)) / 16000
    x = sum(np.sin(h * phase) / h for h in range(1, 25)) * (1.2 + np.sin(2 * np.pi * 3 * t))
    return (0.05 * x + 1e-3 * generator.standard_normal(t.size)).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in EMODB's layout that holds eight clips of four speakers."""
    folder = tmp_path / "data" / "emodb" / "wav"
    folder.mkdir(parents=True)
    for seed, name in enumerate(CLIPS):
        soundfile.write(folder / f"{name}.wav", a_voice(seed, 1.0 + 0.05 * seed), 16000)
    return tmp_path / "data"


def config(limit: int = 0) -> RunConfig:
    return load_config(
        corpora=["emodb"], trained_on="planted", emotions=["anger", "happiness"], conditions=["clean", *SHIFTS],
        methods=["energy", "input-x-gradient"], metrics=["gini", "consistency"], limit=limit,
    )  # fmt: skip


def by_cell(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.set_index(["clip", "condition", "method", "metric"]).sort_index()


def test_strengths_are_measured_and_scores_depend_on_what_is_mixed_in(data: Path, tmp_path: Path):
    store = run(config(), tmp_path / "run", Execution(data_root=data))
    scores = by_cell(store.scores())
    assert set(scores["status"]) <= {"ok", "skipped"} and (scores["status"] == "ok").mean() > 0.9
    strength = scores["strength"].groupby("condition").agg(list)
    assert np.isnan(strength["clean"]).all()
    assert strength["babble-10db"] == pytest.approx([10.0] * len(strength["babble-10db"]), abs=1e-3)
    assert strength["tempo-120"] == pytest.approx([1.2] * len(strength["tempo-120"]), abs=1e-3)
    assert len(set(strength["tempo-120"])) > 1  # each clip's own
    assert strength["telephone"] == pytest.approx([3100.0] * len(strength["telephone"]), abs=20)
    follows = scores.xs(("tempo-120", "energy", "consistency"), level=("condition", "method", "metric"))["value"]
    assert follows.median() > 0.8

    # fewer clips: the same rows
    fewer = by_cell(run(config(limit=3), tmp_path / "fewer", Execution(data_root=data)).scores())
    pd.testing.assert_frame_equal(fewer, scores.loc[fewer.index])

    # one clip changes: of the others' rows, those of the clips that hear it in their babble, and no others
    changed = CLIPS[3]
    soundfile.write(data / "emodb" / "wav" / f"{changed}.wav", a_voice(99, 1.1), 16000)
    talkers = Talkers(load_corpus("emodb", data), 0)
    hearing = {clip for clip in CLIPS if changed in talkers.of(clip, "babble-10db")}
    again = by_cell(run(config(), tmp_path / "run", Execution(data_root=data)).scores())
    moved = scores.index[(scores["key"] != again["key"].reindex(scores.index)).to_numpy()]
    found = {(clip, condition) for clip, condition, _, metric in moved if metric == "gini" and clip != changed}
    assert found == {(clip, "babble-10db") for clip in hearing} and 0 < len(hearing) < len(CLIPS) - 1

    # and nothing is left to do
    idle = run(config(), tmp_path / "run", Execution(data_root=data))
    assert idle.info["computed"]["model_calls"] == 0
    pd.testing.assert_frame_equal(by_cell(idle.scores()), again)
