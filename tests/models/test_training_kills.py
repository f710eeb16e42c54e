"""Trainings that are killed at random moments and run again: the same bytes as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serxai.keys import rng

PARTS, KILLS, WORKERS = range(5), 2, (1, 2)  # tests, kills of each, processes
TOTAL = len(PARTS) * KILLS * len(WORKERS)
# imports stand where a worker, which imports the main module first, does not come by: as in the program itself
PROGRAM = """
import sys
from pathlib import Path
if __name__ == "__main__":
    from serxai.models import network_training, training
    from serxai.tests.models.conftest import TinyCorpus
    settings = network_training.Settings(width=4, steps=60, batch=8, crop_frames=40, learning_rate=1e-2)
    training.SETTINGS["tiny"] = settings
    print("begins", flush=True)
    training.train_fold_models("cnn", TinyCorpus(), Path(sys.argv[1]), folds=3, workers=int(sys.argv[2]))
"""
SLOW = PROGRAM.replace("steps=60", "steps=100_000")


def start(program: str, out: Path, workers: int) -> subprocess.Popen[str]:
    script = out.parent / "program.py"
    script.write_text(program)
    return subprocess.Popen([sys.executable, script, out, str(workers)], stdout=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """Files of an undisturbed training, and the seconds that it takes."""
    out = tmp_path_factory.mktemp("whole") / "model"
    process = start(PROGRAM, out, 1)
    assert process.stdout.readline() == "begins\n"
    begun = time.monotonic()
    assert process.wait() == 0
    return files(out), time.monotonic() - begun


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("workers", WORKERS)
def test_killed_at_random_moments(
    part: int, workers: int, whole: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    content, seconds = whole
    generator, out, killed = rng("kill training", workers, part), tmp_path / "model", 0
    while killed < KILLS:
        process = start(PROGRAM, out, workers)
        assert process.stdout.readline() == "begins\n"
        time.sleep(generator.uniform(0, seconds + 4 * (workers - 1)))  # a worker imports torch first
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        if out.exists():  # it had finished: the folder appears whole or not at all
            assert files(out) == content
            shutil.rmtree(out)
    process = start(PROGRAM, out, workers)
    assert process.wait() == 0 and files(out) == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "program.py"]


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the signal of a parent's death is Linux's")
@pytest.mark.parametrize("seconds", [0, 2, 8])
def test_workers_die_with_their_parent_even_while_they_start(seconds: float, tmp_path: Path) -> None:
    process = start(SLOW, tmp_path / "model", 2)
    deadline = time.monotonic() + 300
    try:
        while len(workers := children(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(seconds)
        assert len(workers) == 2
    finally:  # an interrupted test must not leave a training behind that keeps two cores busy
        process.kill()
        process.wait()
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    outlived = [pid for pid in workers if alive(pid)]
    for pid in outlived:
        os.kill(pid, signal.SIGKILL)
    assert not outlived
