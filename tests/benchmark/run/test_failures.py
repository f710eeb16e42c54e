"""What a run survives: being killed at any moment, a full disk, a read-only folder, a second run beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.runner import run
from serxai.errors import InputError
from serxai.keys import rng
from serxai.tests.models.test_training_kills import TOTAL as TRAININGS

CLIPS = 12
SETTINGS = {
    "methods": ["random", "energy", "input-x-gradient"], "metrics": ["abpc", "consistency"],
    "conditions": ["clean", "noise-10db"], "limit": CLIPS,
}  # fmt: skip
FLAGS = ["methods", "metrics", "conditions"]
COMMAND = [
    sys.executable, "-m", "serxai.benchmark.cli", "run", "--limit", str(CLIPS), "--out", "run",
    *(part for flag in FLAGS for name in SETTINGS[flag] for part in (f"--{flag[:-1]}", name)),
]  # fmt: skip


MOMENTS, WORKERS, ATTEMPTS = range(20), (1, 2), ([], ["--resume"])  # each attempt is killed


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_config(**SETTINGS)


@pytest.fixture(scope="module")
def whole(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of an undisturbed run that must not depend on how it was computed."""
    return content(run(config, tmp_path_factory.mktemp("undisturbed") / "run").path)


def content(run: Path) -> dict[str, bytes]:
    return {f"{d}/{p.name}": p.read_bytes() for d in ("scores", "explanations") for p in (run / d).iterdir()}


def start(folder: Path, *flags: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *map(str, flags)], cwd=folder, stderr=subprocess.DEVNULL, text=True)


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def worker_processes(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "spawn_main" in line]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- killed ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_killed_between_explanations_and_scores(config: RunConfig, whole: dict[str, bytes], tmp_path: Path):
    process = start(tmp_path, "--workers", 1)
    wait_for("run/explanations/*.npz", tmp_path, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(list(tmp_path.glob("run/*/*.*"))) < len(whole)
    assert content(run(config, tmp_path / "run").path) == whole


@pytest.mark.long
def test_killed_with_two_workers_and_a_second_run_beside_it(config: RunConfig, whole: dict[str, bytes], tmp_path: Path):
    process = start(tmp_path, "--workers", 2)
    wait_for("run/scores/*.parquet", tmp_path, process)
    process.send_signal(signal.SIGSTOP)  # so that it holds the folder while the second one comes
    workers = worker_processes(process)
    second = subprocess.run([*COMMAND, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode == 2 and "another serxai run is writing there" in second.stderr
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(list(tmp_path.glob("run/scores/*.parquet"))) < len(whole) // 2
    # the workers have died with it, and so has the lock
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(workers) == 2 and not any(map(alive, workers))
    (tmp_path / "run" / "scores" / ".a.parquet.1.tmp").write_bytes(b"what a killed writer leaves")
    assert content(run(config, tmp_path / "run").path) == whole


def test_there_are_a_hundred_kills() -> None:
    """Of runs, of resumed runs and of trainings, all in `make test-long`; each test ends with the undisturbed bytes."""
    assert len(MOMENTS) * len(WORKERS) * len(ATTEMPTS) + TRAININGS >= 100


@pytest.mark.long
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("workers", WORKERS)
def test_killed_at_a_random_moment(
    moment: int, workers: int, config: RunConfig, whole: dict[str, bytes], tmp_path: Path
):
    """Killed at a random moment, resumed and killed again, then left to finish."""
    generator = rng("kill", workers, moment)
    for resume in ATTEMPTS:
        process = start(tmp_path, "--workers", workers, *(resume if (tmp_path / "run" / "run.json").exists() else []))
        wait_for("run/run.json", tmp_path, process)
        time.sleep(generator.uniform(0, 4))
        process.kill()
        process.wait()
    assert content(run(config, tmp_path / "run").path) == whole


@pytest.mark.long
def test_a_worker_killed_at_random_moments(config: RunConfig, whole: dict[str, bytes], tmp_path: Path):
    generator = rng("kill workers")
    process = start(tmp_path, "--workers", 2)
    wait_for("run/scores/*.parquet", tmp_path, process)
    killed = 0
    while process.poll() is None and killed < 3:
        if workers := worker_processes(process):
            os.kill(int(generator.choice(workers)), signal.SIGKILL)
            killed += 1
        time.sleep(generator.uniform(0, 1))
    assert process.wait() == 0 and killed
    assert content(tmp_path / "run") == whole


# -- a disk that cannot be written -------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"needs the right to mount a small tmpfs: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize


@pytest.mark.long  # writers that meet a full disk: test_store and cli/test_failures
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_run_and_leaves_nothing_half(
    workers: int, config: RunConfig, whole: dict[str, bytes], tmp_path: Path
):
    disk = tmp_path / "disk"
    with mounted(disk, "size=64M"):
        ballast = disk / "ballast"
        ballast.write_bytes(b"0" * (free_bytes(disk) - sum(map(len, whole.values())) // 2))
        with pytest.raises(InputError, match=r"run: cannot write there \(No space left on device\).*--resume"):
            run(config, disk / "run", Execution(workers=workers))
        written = content(disk / "run")
        assert 0 < len(written) < len(whole) and written.items() <= whole.items()
        ballast.unlink()
        assert content(run(config, disk / "run", Execution(workers=workers)).path) == whole


@pytest.mark.long
def test_a_full_disk_exits_2(tmp_path: Path):
    disk = tmp_path / "disk"
    with mounted(disk, "size=64k"):
        told = subprocess.run([*COMMAND, "--workers", "1"], cwd=disk, capture_output=True, text=True)
    assert told.returncode == 2 and "No space left" in told.stderr and "Traceback" not in told.stderr


def test_a_read_only_folder_is_refused(config: RunConfig, tmp_path: Path):
    disk = tmp_path / "disk"
    with mounted(disk, "size=64M"):
        remount(disk, "ro")
        with pytest.raises(InputError, match=r"disk/run: cannot write there \(Read-only file system"):
            run(config, disk / "run")
        remount(disk, "rw")
        assert not (disk / "run").exists()


@pytest.mark.long
def test_a_disk_that_turns_read_only_ends_the_run(config: RunConfig, whole: dict[str, bytes], tmp_path: Path):
    disk = tmp_path / "disk"
    scores = disk / "run" / "scores"
    closed = []
    with mounted(disk, "size=64M"):

        def close(what: str, done: int, total: int) -> None:
            if what == "clips" and done and not closed:
                subprocess.run(["mount", "--bind", str(scores), str(scores)], check=True)
                closed.append(scores)
                remount(scores, "bind,ro")

        try:
            with pytest.raises(InputError, match=r"cannot write there \(Read-only file system\).*--resume"):
                run(config, disk / "run", progress=close)
        finally:
            for folder in closed:
                subprocess.run(["umount", str(folder)], check=True)
        assert content(run(config, disk / "run").path) == whole
