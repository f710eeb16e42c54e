"""Worker processes: they may die, grow or be interrupted, and no score is lost or moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from serxai.audio import Plane, fill_spectrum, scoring_grid
from serxai.benchmark.run import pool as pool_module
from serxai.benchmark.run import shard_worker
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.execution import GB, Execution
from serxai.benchmark.run.plan import Shard
from serxai.benchmark.run.pool import Pool
from serxai.benchmark.run.processes import resident_bytes
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError, SerxaiError
from serxai.keys import rng
from serxai.methods.masks import all_masks, mask_table
from serxai.methods.records import METHODS
from serxai.metrics.case import Case
from serxai.metrics.trajectory import deletion_trajectory
from serxai.models.obtain import load_model
from serxai.models.recogniser import TorchRecogniser

# a method that kills its process on some clips, and one that never gives memory back
PLUGIN = """
import os, signal
from pathlib import Path
from dataclasses import replace
from serxai.methods.baselines import Random
from serxai.methods.records import METHODS, MethodRecord

class Deadly(Random):
    name = "deadly"
    def attribute(self, request):
        for sign in Path(os.environ["DEADLY"]).glob(f"{request.clip.sha256}-*"):
            if sign.name.endswith("once"):
                sign.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().attribute(request)

HELD = []

class Hungry(Random):
    name = "hungry"
    def attribute(self, request):
        HELD.append(b"x" * 300_000_000)
        return super().attribute(request)

base = METHODS._records["random"]
RECORDS = [replace(base, name="deadly", target="trouble:Deadly"), replace(base, name="hungry", target="trouble:Hungry")]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both methods as an installed plugin that worker processes find too; returns the folder of deadly clips."""
    folder = tmp_path / "plugin"
    facts = folder / "trouble-1.0.dist-info"
    facts.mkdir(parents=True)
    (folder / "trouble.py").write_text(PLUGIN)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[serxai.methods]\ntrouble = trouble:RECORDS\n")
    signs = tmp_path / "signs"
    signs.mkdir()
    monkeypatch.setenv("DEADLY", str(signs))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    monkeypatch.setattr(METHODS, "_plugins_loaded", False)
    return signs


def config(*methods: str, **changes: Any) -> RunConfig:
    return load_config(methods=list(methods), **{"metrics": ["gini"], "conditions": ["clean"], "limit": 6} | changes)


def content(run: Path) -> dict[str, bytes]:
    return {f"{d}/{p.name}": p.read_bytes() for d in ("scores", "explanations") for p in (run / d).iterdir()}


@pytest.mark.long
def test_dead_workers_lose_no_score(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One clip kills its worker once, another one each time; everything else is as if computed in one process."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    wanted = config("deadly", "energy")
    undisturbed = run(wanted, tmp_path / "one")
    clips = undisturbed.scores()["clip"].unique()
    corpus = load_corpus("planted")
    for clip, sign in ((clips[0], "once"), (clips[-1], "always")):  # methods are told samples, not names
        (plugin / f"{corpus.clip(clip).unnamed.sha256}-{sign}").touch()
    told: list[int] = []
    store = run(wanted, tmp_path / "two", Execution(workers=2), lambda what, done, total: told.append(done))
    scores = store.scores()
    assert len(scores) == store.info["rows"]["planned"] == len(undisturbed.scores())
    failed = scores[scores["status"] == "failed"]
    assert clips[-1] in set(failed["clip"]) and clips[0] not in set(failed["clip"])
    assert set(failed["reason"]) == {pool_module.death_reason("signal 9")} and failed["key"].is_unique
    assert "worker died (signal 9) 3 times" in failed["reason"].iloc[0]
    lost = {s for s in store.info["shards"] if (store.read_shard(s)["status"] == "failed").any()}
    assert len(lost) == 1
    tries = dict(zip(store.info["shards"], [t["attempts"] for t in store.timings(store.info["shards"])], strict=True))
    assert [tries[key] for key in lost] == [3] and sorted(tries.values())[-2:] == [2, 3]
    whole, mine = content(undisturbed.path), content(store.path)
    assert mine.keys() == whole.keys()
    assert {name for name in whole if whole[name] != mine[name]} == {
        f"{d}/{key}.{kind}" for key in lost for d, kind in (("scores", "parquet"), ("explanations", "npz"))
    }
    in_clips = told[-told[::-1].index(0) - 1 :]  # what came before were bars of the plan
    assert in_clips[-1] == len(clips) and in_clips == sorted(in_clips)
    assert "OMP_NUM_THREADS" not in os.environ
    # once the cause is gone, the failed rows alone are computed again
    (plugin / f"{corpus.clip(clips[-1]).unnamed.sha256}-always").unlink()
    again = run(wanted, store.path, Execution(retry_failed=True))
    assert again.info["computed"]["shards"] == 1 and content(again.path) == whole


def test_an_error_outside_all_scores_costs_its_shard_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken(shard_worker.ShardScorer):
        def run(self, done: Any = None) -> list[dict[str, Any]]:
            if self.shard.fold == "0":
                raise RuntimeError("unforeseen")
            return super().run(done)

    monkeypatch.setattr(shard_worker, "ShardScorer", Broken)
    scores = run(config("random", limit=24), tmp_path / "run").scores()
    assert set(scores[scores["fold"] == "0"]["reason"]) == {"RuntimeError: unforeseen"}
    assert set(scores[scores["fold"] != "0"]["status"]) == {"ok"} and scores["fold"].nunique() > 1


# -- memory ------------------------------------------------------------------------------------------------------------


def no_worker(execution: Execution) -> Any:
    raise AssertionError("this pool starts no process")


def a_pool(workers: int, memory: float) -> tuple[Pool, list[Any]]:
    """A pool without processes whose workers only say that they were dismissed."""
    shards = [Shard(str(i), "planted", "0", "cnn", "planted", ("a",), ("",), ("attenuate",)) for i in range(4)]
    pool = Pool(no_worker, Execution(workers=workers, memory=memory), shards)
    pool.workers = [SimpleNamespace(tasks=1, name=i) for i in range(workers)]
    dismissed: list[Any] = []

    def dismiss(worker: Any) -> None:
        pool.workers.remove(worker)
        dismissed.append(worker.name)

    pool._dismiss = dismiss
    return pool, dismissed


def test_workers_are_as_many_as_the_memory_allows():
    pool, _ = a_pool(8, 4.0)
    assert pool.allowed == 1  # until the most costly shard has shown what a worker needs
    pool.workers = pool.workers[:1]
    pool._weigh(pool.workers[0], int(0.5 * GB), int(0.9 * GB))
    assert pool.allowed == 4
    pool, _ = a_pool(2, 100.0)
    pool._weigh(pool.workers[0], int(0.5 * GB), int(0.9 * GB))
    assert pool.allowed == 2


def test_a_worker_beyond_its_share_is_replaced():
    pool, dismissed = a_pool(2, 2.0)
    for worker in list(pool.workers):
        pool._weigh(worker, int(0.8 * GB), int(0.9 * GB))
    assert dismissed == []
    grown, other = pool.workers
    grown.tasks = other.tasks = 2
    pool._weigh(other, int(0.99 * GB), int(1.5 * GB))
    assert dismissed == []
    pool._weigh(grown, int(1.01 * GB), int(1.5 * GB))
    assert dismissed == [0] and pool.allowed == 2
    # a fresh worker that needs more than was thought: fewer workers
    fresh = SimpleNamespace(tasks=1, name=2)
    pool.workers.append(fresh)
    pool._weigh(fresh, int(0.9 * GB), int(1.2 * GB))
    assert pool.allowed == 1 and dismissed == [0, 2]


@pytest.mark.long
def test_memory_below_one_workers_need_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"--memory 0\.05: one worker held \d\.\d\d GB .* at least --memory \d\.\d"):
        run(config("random", limit=1), tmp_path / "run", Execution(workers=2, memory=0.05))
    assert len(list((tmp_path / "run" / "scores").glob("*.parquet"))) == 1


@pytest.mark.long
def test_a_leaking_method_stays_within_its_memory(plugin: Path, tmp_path: Path):
    wanted = config("hungry", limit=24)
    bound = 4.0
    store = run(wanted, tmp_path / "run", Execution(workers=2, memory=bound))
    spent = store.timings(store.info["shards"])
    # 24 clips x 0.3 GB in two workers would be 7.2 GB; a worker may pass its share by one shard, and is replaced then
    assert max(t["peak_bytes"] for t in spent) < (bound / 2 + 4 * 0.3) * GB
    assert len({t["process"] for t in spent}) > 2
    assert set(store.scores()["status"]) == {"ok"}


def test_memory_of_this_process_is_told():
    now, peak = resident_bytes()
    held = np.ones(50_000_000)
    assert resident_bytes()[0] - now > 0.9 * held.nbytes and peak >= now > 50e6


# -- the end -----------------------------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


COMMAND = [
    sys.executable, "-m", "serxai.benchmark.cli", "run", "--method", "energy", "--method", "input-x-gradient",
    "--metric", "abpc", "--condition", "clean", "--limit", "64", "--workers", "2", "--out", "run",
]  # fmt: skip


@pytest.mark.long
def test_an_interrupt_ends_the_workers_and_keeps_what_is_finished(tmp_path: Path):
    """As by Ctrl-C in a terminal, which signals the whole process group."""
    process = subprocess.Popen(COMMAND, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/scores/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = subprocess.run(["ps", "-ww", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    family = [int(pid) for pid in found.stdout.split()]
    assert len(family) >= 2
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130 and "run again with --resume" in error and "Traceback" not in error
    deadline = time.monotonic() + 30
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(alive, family))
    done = list(tmp_path.glob("run/scores/*.parquet"))
    assert done and all(Store(tmp_path / "run").has_shard(path.stem) for path in done)


@pytest.mark.long
def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool_module, "_work", os.abort)  # which takes no arguments
    with pytest.raises(SerxaiError, match=r"3 worker processes died as they started \(exit code 1\)"):
        run(config("random", limit=1), tmp_path / "run", Execution(workers=2))


# -- the device --------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> TorchRecogniser:
    """The recogniser on torch's device without numbers, which raises when it meets a tensor of the host.

    Two operations that would read numbers are stood in for: the inverse STFT, and log-odds, which tell the device of
    what they are given.
    """

    def istft(spectra: torch.Tensor, *options: Any, length: int, **more: Any) -> torch.Tensor:
        return torch.zeros((*spectra.shape[:-2], length), device=spectra.device)

    def log_odds(waveforms: torch.Tensor) -> np.ndarray:
        assert recogniser._raw_log_odds(waveforms).device.type == waveforms.device.type == "meta"
        return np.zeros((len(waveforms), len(recogniser.classes)))

    recogniser = load_model("cnn", "planted", device="meta")
    monkeypatch.setattr(torch, "istft", istft)
    monkeypatch.setattr(recogniser, "log_odds", log_odds)
    return recogniser


def test_masks_front_end_and_network_stay_on_the_device(elsewhere: TorchRecogniser, monkeypatch: pytest.MonkeyPatch):
    samples = np.sin(np.arange(16000) / 20).astype(np.float32)
    plane, grid = Plane(samples, "meta"), scoring_grid(1.0)
    for fill in ("attenuate", "noise", "spectral-mean"):
        copies = plane.render(np.ones((8, *grid.shape)), grid, fill_spectrum(fill, plane, rng("a")))
        assert copies.device.type == "meta" and copies.shape == (8, 16000)
    features = elsewhere.front_end(copies.requires_grad_())
    (gradient,) = torch.autograd.grad(elsewhere.feature_log_odds(features)[:, 0].sum(), copies)
    assert gradient.device.type == "meta" and gradient.shape == copies.shape
    with pytest.raises(RuntimeError, match="device"):
        elsewhere.front_end(torch.zeros(1, 16000))  # or this test would show nothing
    # a mask table and a deletion trajectory, whose copies reach the recogniser through `log_odds`
    few = scoring_grid(1.0, bands=8, cell_s=1.0)
    table = mask_table(elsewhere, plane, plane.differences(few, plane.spectrum), all_masks(few.shape[0]))
    assert table.outputs.shape[0] == 256
    clip = Clip("a", samples, "anger", "s", "female", "", "planted")
    case = Case(elsewhere, clip, "anger", seed=("a",), device="meta")
    monkeypatch.setattr(Plane, "energy", lambda self, grid: np.ones(grid.shape))  # brings one number a cell to the host
    assert deletion_trajectory(case, np.arange(case.grid.shape[0] * case.grid.shape[1])).morf.size > 10


PARENT = """
import os, sys, time
from multiprocessing import get_context
from serxai.benchmark.run.processes import run_with_parent
if __name__ == "__main__":
    ours, theirs = get_context("spawn").Pipe()
    # what unpickling takes in a worker never ends here
    slow = b"ctime\\nsleep\\n(I600\\ntR."
    process = get_context("spawn").Process(target=run_with_parent, args=(os.getpid(), "builtins:print", theirs, slow))
    process.start()
    print(process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the signal of a parent's death is Linux's")
def test_a_worker_that_still_starts_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    time.sleep(2)  # it is unpickling by now, or still starts Python
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or "zombie" in Path(f"/proc/{worker}/status").read_text():
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")
