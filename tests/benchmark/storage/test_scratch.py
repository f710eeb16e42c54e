"""Arrays kept while a run is computed: made once, the same bytes, bounded, never trusted when damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from serxai.benchmark.storage.scratch import Scratch


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> np.ndarray:
        self.made += 1
        return np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100)


def test_an_array_is_made_once_and_comes_back_unchanged(tmp_path: Path) -> None:
    make = Maker()
    first, again = (Scratch(tmp_path).once("a", make) for _ in range(2))  # two processes
    assert make.made == 1 and first.tobytes() == again.tobytes() and first.dtype == again.dtype
    Scratch(tmp_path).once("b", make)
    assert make.made == 2


def test_what_is_damaged_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    Scratch(tmp_path).once("a", make)
    file = tmp_path / "scratch" / "a.npy"
    file.write_bytes(file.read_bytes()[:200])
    assert Scratch(tmp_path).once("a", make).shape == (10, 100) and make.made == 2
    Scratch(tmp_path).once("a", make)
    assert make.made == 2


def test_what_does_not_fit_is_not_kept(tmp_path: Path) -> None:
    make, scratch = Maker(), Scratch(tmp_path, limit=5000)
    for _ in range(2):
        scratch.once("a", make)  # 4,128 bytes
        scratch.once("b", make)
    assert make.made == 3 and [path.name for path in (tmp_path / "scratch").iterdir()] == ["a.npy"]
    scratch.remove()
    assert not (tmp_path / "scratch").exists()
    scratch.remove()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    make = Maker()
    (tmp_path / "scratch").write_text("a file")
    assert Scratch(tmp_path).once("a", make).shape == (10, 100)
