"""The store: shards are whole or absent, and their bytes depend on their content alone."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serxai.audio import Grid
from serxai.benchmark.storage.files import is_sealed, write_atomically
from serxai.benchmark.storage.store import OUTCOME, SCORE_COLUMNS, Explanation, Store, score_frame
from serxai.errors import InputError
from serxai.methods.attribution import Attribution

K = "0123456789abcdef" * 2


def an_info(*shards: str, planned: int = 100, **changes: Any) -> dict[str, Any]:
    """What run.json must hold at least."""
    named = {key: ["x"] for key in ("corpora", "models", "methods", "metrics")}
    info = {"config": named, "status": "done", "shards": list(shards), "planned_rows": planned}
    return info | {"corpora": {}, "models": {}, "execution": {}} | changes


def a_row(key: str, **changes: object) -> dict:
    row = dict.fromkeys(SCORE_COLUMNS, "x") | {
        "strength": 20.0,
        "value": 0.5,
        "correct": True,
        "model_calls": 3,
        "seed": 0,
        "repeat": 0,
        "status": "ok",
        "direction": "higher",
        "seen_in_training": "no",
        "reason": "",
        "key": key,
    }
    return row | changes


def an_explanation(seed: int = 0) -> Explanation:
    generator = np.random.default_rng(seed)
    grid = Grid(np.array([0.0, 100, 8000]), np.array([-0.1, 0.5, 1.0, 1.2]))
    values = generator.standard_normal(grid.shape)
    attribution = Attribution(
        values, grid, "anger", "random", {"r2": 0.1 + seed}, ({"cue": "f0_level", "value": 1.5},), 7
    )
    return Explanation(attribution, "planted", "cnn", f"clip-{seed}", "clean", 0)


def write(store: Store, key: str = K) -> None:
    explanations = {f"e{i}": an_explanation(i) for i in range(3)}
    store.write_shard(
        key, [a_row("r0"), a_row("r1", status="failed", value=np.nan)], explanations, {"p": np.arange(4.0)}, {}
    )


def test_round_trip_is_exact(tmp_path: Path):
    store = Store(tmp_path)
    write(store)
    store.write_info(an_info(K, "f" * 32))
    again = Store(tmp_path)
    pd.testing.assert_frame_equal(
        again.scores(), score_frame([a_row("r0"), a_row("r1", status="failed", value=np.nan)])
    )
    stored = again.explanation("e1")
    expected = an_explanation(1).attribution
    assert stored is not None
    found = stored.attribution
    assert np.array_equal(found.values, expected.values) and found.grid == expected.grid
    assert (found.details, found.cues, found.model_calls) == (expected.details, expected.cues, expected.model_calls)
    assert np.array_equal(again.prediction("p"), np.arange(4.0))
    assert again.explanation("e9") is None and again.prediction("q") is None
    assert [e.clip for e in again.explanations(clip="clip-2")] == ["clip-2"]
    assert len(list(again.explanations(method="random"))) == 3 and not list(again.explanations(method="energy"))


def test_same_content_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write(Store(tmp_path / name))
    for kind in (f"scores/{K}.parquet", f"explanations/{K}.npz"):
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
    assert store.has_shard(K)
    path = tmp_path / "scores" / f"{K}.parquet"
    path.write_bytes(damage(path.read_bytes()))
    assert not store.has_shard(K)
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


def test_a_change_of_any_byte_breaks_the_seal(tmp_path: Path):
    write(Store(tmp_path))
    for file in (f"scores/{K}.parquet", f"explanations/{K}.npz"):
        content = (tmp_path / file).read_bytes()
        assert is_sealed(content)
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            assert not is_sealed(bytes(changed)), at
        assert not is_sealed(b"") and not is_sealed(content + b"0") and not is_sealed(content[1:])


def test_other_programs_read_sealed_files(tmp_path: Path):
    write(Store(tmp_path))
    frame = pd.read_parquet(tmp_path / "scores" / f"{K}.parquet")
    pd.testing.assert_frame_equal(frame, score_frame([a_row("r0"), a_row("r1", status="failed", value=np.nan)]))
    with np.load(tmp_path / "explanations" / f"{K}.npz") as arrays:
        assert np.array_equal(arrays["p/log_odds"], np.arange(4.0))


def test_rows_of_another_program_are_reported_but_not_reused(tmp_path: Path):
    write(Store(tmp_path))
    path = tmp_path / "scores" / f"{K}.parquet"
    frame = pd.read_parquet(path).assign(value=[0.25, np.nan])
    frame.astype({"method": "category"})[frame.columns[::-1]].to_parquet(path, index=False)
    store = Store(tmp_path)
    store.write_info(an_info(K))
    assert not store.has_shard(K) and store.row("r0") is None
    pd.testing.assert_frame_equal(store.scores(), frame)


def test_a_few_columns(tmp_path: Path):
    store = Store(tmp_path)
    write(store)
    store.write_info(an_info(K))
    pd.testing.assert_frame_equal(store.scores(["status", "clip"]), store.scores()[["status", "clip"]])
    store.write_info(an_info())
    assert list(store.scores(["status"])) == ["status"] and store.scores().empty
    pd.testing.assert_frame_equal(store.scores(), score_frame([]))


def test_damage_is_said(tmp_path: Path):
    store = Store(tmp_path)
    write(store)
    store.write_info(an_info(K))
    path = tmp_path / "scores" / f"{K}.parquet"
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2"))
    with pytest.raises(InputError, match=r"f\.parquet: damaged .*--resume"):
        store.scores()
    assert list(path.parent.iterdir()) == [path]


def test_rows_are_found_as_by_a_loop_over_all(tmp_path: Path):
    """Against a dictionary of all rows, over many shards with failed rows among them."""
    draw = np.random.default_rng(0)
    store, slow = Store(tmp_path), {}
    for shard in range(5):
        rows = [
            a_row(draw.bytes(8).hex(), value=float(v), model_calls=int(c), status="failed" if c % 5 == 0 else "ok")
            for v, c in zip(draw.normal(size=40), draw.integers(0, 99, 40), strict=True)
        ]
        store.write_shard(f"s{shard}", rows, {}, {}, {})
        slow |= {row["key"]: row for row in rows}
    for key, row in slow.items():
        found = store.row(key)
        assert found == (None if row["status"] == "failed" else {name: row[name] for name in OUTCOME})
    assert store.row("") is None and store.row("zz") is None and Store(tmp_path / "none").row("x") is None


def test_explanations_are_looked_up_without_opening_each_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path)
    for shard in range(4):
        these = {f"s{shard}-{i}": an_explanation(i) for i in range(10)}
        store.write_shard(f"s{shard}", [], these, {f"p{shard}": np.arange(3.0)}, {})
    opened = []
    plain = zipfile.ZipFile

    def counted(*arguments: Any, **options: Any) -> zipfile.ZipFile:
        opened.append(arguments[0])
        return plain(*arguments, **options)

    monkeypatch.setattr(zipfile, "ZipFile", counted)
    for shard in range(4):
        for i in range(10):
            found = store.explanation(f"s{shard}-{i}")
            assert found is not None and np.array_equal(found.attribution.values, an_explanation(i).attribution.values)
        assert store.prediction(f"p{shard}") is not None
    assert len(opened) == 4 + 4  # once for what is inside, once for reading


def test_a_damaged_explanation_counts_as_absent(tmp_path: Path):
    write(Store(tmp_path))
    path = tmp_path / "explanations" / f"{K}.npz"
    content = path.read_bytes()
    lost = 0
    for at in range(0, len(content), 37):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        store = Store(tmp_path)
        for i in range(3):
            found = store.explanation(f"e{i}")
            lost += found is None
            assert found is None or np.array_equal(found.attribution.values, an_explanation(i).attribution.values)
    assert lost > 10
