"""Temporary folders of renderings that were killed: cleared by the next one, those of living ones left alone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serxai.datasets.planted import files
from serxai.datasets.planted.files import FRESH_S, LOCK, damaged, render_into

CLIPS = ["Female1-0-0-neutral", "Female1-0-0-anger"]


def left_over(parent: Path, name: str, age_s: float, lock: bool = True) -> Path:
    folder = parent / name
    (folder / "wav").mkdir(parents=True)
    (folder / "wav" / "half.wav").write_bytes(b"RIFF")
    if lock:
        (folder / LOCK).touch()
    os.utime(folder, (time.time() - age_s, time.time() - age_s))
    return folder


def test_only_what_nobody_holds_any_more_is_removed(tmp_path: Path) -> None:
    old = 2 * FRESH_S
    killed = left_over(tmp_path, "planted.a1", old)
    living = left_over(tmp_path, "planted.b2", old)
    fresh = left_over(tmp_path, "planted.c3", FRESH_S / 2)
    strange = left_over(tmp_path, "planted.of-the-user", old, lock=False)
    other = left_over(tmp_path, "planted-hard.d4", old)
    target = left_over(tmp_path, "precious", old)
    link = tmp_path / "planted.e5"
    link.symlink_to(target)
    with (living / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(living, (time.time() - old, time.time() - old))
        files._remove_remains(tmp_path / "planted")
    assert not killed.exists()
    assert all((folder / "wav" / "half.wav").exists() for folder in (living, fresh, strange, other, target))
    assert link.is_symlink()
    files._remove_remains(tmp_path / "planted")
    assert not living.exists()


PROGRAM = """
import sys
from pathlib import Path
from serxai.datasets.planted.files import render_into
render_into("planted", Path(sys.argv[1]), sys.argv[2:], 1)
"""


@pytest.mark.long
def test_a_killed_rendering_is_cleared_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serxai.datasets.corpora import load_corpus

    names = list(load_corpus("planted").table.index[:12])
    folder = tmp_path / "cache" / "planted"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), *names])
    deadline = time.monotonic() + 120
    while not list(folder.parent.glob(f"planted.*/{LOCK}")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    remains = list(folder.parent.glob("planted.*"))
    assert len(remains) == 1
    monkeypatch.setattr(files, "FRESH_S", 0.0)
    render_into("planted", folder, names[:2], 1)
    assert [path.name for path in folder.parent.iterdir()] == ["planted"] and not damaged(folder, names[:2])
