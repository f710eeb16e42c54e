"""The Ray executor: the same bytes as on one machine, also when a node goes away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.execution import GB, Execution
from serxai.benchmark.run.ray import _resources
from serxai.benchmark.run.runner import run
from serxai.errors import InputError


def config(limit: int) -> RunConfig:
    return load_config(
        methods=["random", "energy", "input-x-gradient"], metrics=["abpc", "gini"], conditions=["clean"], limit=limit
    )


def content(run: Path) -> dict[str, bytes]:
    return {f"{d}/{p.name}": p.read_bytes() for d in ("scores", "explanations") for p in (run / d).iterdir()}


@pytest.fixture
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="needs the extra: pip install 'serxai[ray]'")
    yield ray
    ray.shutdown()


def test_same_bytes_as_on_one_machine(ray: Any, tmp_path: Path):
    wanted = config(6)
    local = run(wanted, tmp_path / "local")
    told: list[tuple[str, int]] = []
    store = run(
        wanted,
        tmp_path / "ray",
        Execution(workers=2, executor="ray"),
        lambda what, done, total: told.append((what, done)),
    )
    assert store.scores().query("status == 'failed'")["reason"].tolist() == []
    assert content(store.path) == content(local.path)
    assert told[-1] == ("clips", 6) and store.info["computed"]["model_calls"] == local.info["computed"]["model_calls"]
    assert not ray.is_initialized()  # the run has ended what it started
    assert all(timing["attempts"] == 1 for timing in store.timings(store.info["shards"]))


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'serxai\[ray\]'"):
        run(config(1), tmp_path / "run", Execution(executor="ray"))


def test_tasks_share_the_gpus_and_the_memory():
    assert _resources({"CPU": 8}, Execution(workers=8)) == {"num_cpus": 1, "max_retries": 0}
    assert _resources({"GPU": 2}, Execution(workers=8, device="cuda"))["num_gpus"] == 0.25
    assert _resources({"GPU": 1}, Execution(workers=3, device="cuda"))["num_gpus"] == 0.3333
    assert _resources({"GPU": 4}, Execution(workers=2, device="cuda"))["num_gpus"] == 1
    assert _resources({"CPU": 8}, Execution(workers=4, memory=8.0))["memory"] == 2 * GB
    with pytest.raises(InputError, match="no GPU"):
        _resources({"CPU": 8}, Execution(workers=8, device="cuda"))


@pytest.mark.long
def test_no_cluster_at_the_address(ray: Any, tmp_path: Path):
    with pytest.raises(InputError, match="no Ray cluster there"):
        run(config(1), tmp_path / "run", Execution(executor="ray", ray_address="auto"))


@pytest.mark.long
def test_a_node_removed_in_mid_run_costs_no_score(ray: Any, tmp_path: Path):
    from ray.cluster_utils import Cluster

    wanted = config(40)
    local = run(wanted, tmp_path / "local")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        removed: list[int] = []

        def remove(what: str, done: int, total: int) -> None:
            if what == "clips" and done >= 8 and not removed:
                cluster.remove_node(second, allow_graceful=False)
                removed.append(done)

        store = run(wanted, tmp_path / "ray", Execution(workers=2, executor="ray"), remove)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert removed and removed[0] < 40
    assert content(store.path) == content(local.path)
    assert max(timing["attempts"] for timing in store.timings(store.info["shards"])) > 1
