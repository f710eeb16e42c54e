"""The store: shards are whole or absent, and their bytes depend on their content alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid
from serxai.benchmark.store import SCORE_COLUMNS, Explanation, Store, score_frame, write_atomically
from serxai.errors import InputError
from serxai.methods.attribution import Attribution


def a_row(key: str, **changes: object) -> dict:
    row = dict.fromkeys(SCORE_COLUMNS, "x") | {
        "strength": 20.0, "value": 0.5, "correct": True, "model_calls": 3, "seed": 0, "repeat": 0, "status": "ok",
        "reason": "", "key": key,
    }  # fmt: skip
    return row | changes


def an_explanation(seed: int = 0) -> Explanation:
    generator = np.random.default_rng(seed)
    grid = Grid(np.array([0.0, 100, 8000]), np.array([-0.1, 0.5, 1.0, 1.2]))
    values = generator.standard_normal(grid.shape)
    attribution = Attribution(
        values, grid, "anger", "random", {"r2": 0.1 + seed}, ({"cue": "f0_level", "value": 1.5},), 7
    )
    return Explanation(attribution, "planted", "cnn", f"clip-{seed}", "clean", 0)


def write(store: Store, key: str = "k") -> None:
    explanations = {f"e{i}": an_explanation(i) for i in range(3)}
    store.write_shard(
        key, [a_row("r0"), a_row("r1", status="failed", value=np.nan)], explanations, {"p": np.arange(4.0)}, {}
    )


def test_round_trip_is_exact(tmp_path: Path):
    store = Store(tmp_path)
    write(store)
    store.write_info({"shards": ["k", "absent"]})
    again = Store(tmp_path)
    pd.testing.assert_frame_equal(
        again.scores(), score_frame([a_row("r0"), a_row("r1", status="failed", value=np.nan)])
    )
    found = again.explanation("e1")
    expected = an_explanation(1).attribution
    assert found is not None
    assert np.array_equal(found.values, expected.values) and found.grid == expected.grid
    assert (found.details, found.cues, found.model_calls) == (expected.details, expected.cues, expected.model_calls)
    assert np.array_equal(again.prediction("p"), np.arange(4.0))
    assert again.explanation("e9") is None and again.prediction("q") is None
    assert [e.clip for e in again.explanations(clip="clip-2")] == ["clip-2"]
    assert len(list(again.explanations(method="random"))) == 3 and not list(again.explanations(method="energy"))


def test_same_content_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write(Store(tmp_path / name))
    for kind in ("scores/k.parquet", "explanations/k.npz"):
        assert (tmp_path / "a" / kind).read_bytes() == (tmp_path / "b" / kind).read_bytes()


def test_failed_rows_are_not_reused(tmp_path: Path):
    write(Store(tmp_path))
    store = Store(tmp_path)
    assert store.row("r0")["value"] == 0.5
    assert store.row("r1") is None


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-1] + b"\0"])
def test_damaged_shard_counts_as_absent(tmp_path: Path, damage):
    store = Store(tmp_path)
    write(store)
    assert store.has_shard("k")
    path = tmp_path / "scores" / "k.parquet"
    path.write_bytes(damage(path.read_bytes()))
    assert not store.has_shard("k")
    assert Store(tmp_path).row("r0") is None


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_two_writers_are_refused(tmp_path: Path):
    with Store(tmp_path).locked(), pytest.raises(InputError, match="another serxai run"), Store(tmp_path).locked():
        pass
    with Store(tmp_path).locked():
        pass


def test_not_a_run(tmp_path: Path):
    with pytest.raises(InputError, match=r"no run\.json"):
        _ = Store(tmp_path).info
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        _ = Store(tmp_path).info
