"""Planning of many small files: processor time for each file is constant, and each is identified once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.benchmark.run import plan as planning
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.plan import make_plan

EMOTIONS = ("anger", "happiness", "sadness", "neutral")
FEW, MANY = 5_000, 20_000
SECONDS = 60.0


def corpus(folder: Path, n: int) -> None:
    """Clips of 50 ms by 40 speakers, each with content of its own."""
    folder.mkdir()
    generator, rows = np.random.default_rng(n), ["file,emotion,speaker"]
    for number in range(n):
        samples = generator.integers(-9000, 9000, 800).astype(np.int16)
        soundfile.write(folder / f"{number}.wav", samples, 16_000)
        rows.append(f"{number}.wav,{EMOTIONS[number % 4]},s{number // 4 % 40}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def planned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Counter[str], int]:
    """Processor seconds of planning, how often each clip was identified, and the clips planned."""
    identified: Counter[str] = Counter()
    real = planning.clip_identity

    def counting(of: object, clip: str) -> str:
        identified[clip] += 1
        return real(of, clip)

    monkeypatch.setattr(planning, "clip_identity", counting)
    config = load_config(
        corpora=[f"folder:{folder}"], models=["planted-rule"], methods=["random"], metrics=["gini"],
        conditions=["clean"], fills=["attenuate"], limit=0,
    )  # fmt: skip
    start = time.process_time()
    plan = make_plan(config)
    seconds = time.process_time() - start
    monkeypatch.undo()
    return seconds, identified, plan.n_clips


@pytest.mark.long
def test_planning_twenty_thousand_files_is_linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus(tmp_path / "warm", 40)
    planned(tmp_path / "warm", monkeypatch)  # imports are not counted
    seconds = {}
    for n in (FEW, MANY):
        corpus(tmp_path / str(n), n)
        seconds[n], identified, clips = planned(tmp_path / str(n), monkeypatch)
        assert clips == len(identified) == n and set(identified.values()) == {1}
    assert seconds[MANY] < SECONDS
    # four times the files: 4 where the cost of a file is constant, 16 where it grows with their number
    assert seconds[MANY] / seconds[FEW] < 8, seconds
