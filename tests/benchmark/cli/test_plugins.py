"""Installed packages with broken extensions: each is named in a line, and the commands work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# what the module of a fake package holds -> what its line says
BROKEN = {
    "raises": ("raise RuntimeError('no licence\\nfile')", "RuntimeError: no licence"),
    "imports": ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "syntax": ("def", "SyntaxError"),
    "lacks": ("other = []", "AttributeError"),
    "number": ("records = 3", "TypeError"),
    "strange": ("records = ['saliency']", "InputError: method registry takes MethodRecord"),
    "mute": (
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "E: its message cannot be read",
    ),
}
GOOD = """
from serxai.methods import MethodRecord

facts = dict(version="1", licence="MIT", citation="none", family="baseline", needs="none", cost="0", resolution="x",
             reference="none", signed=True)
records = [
    MethodRecord(name="good", target="serxai.methods.baselines:Random", summary="a copy of random", **facts),
    MethodRecord(name="hollow", target="fake_hollow:Nothing", summary="its module is not there", **facts),
]
"""


def install(folder: Path, name: str, code: str, group: str = "serxai.methods") -> None:
    """Lay a package with one entry point into a folder, as pip leaves it."""
    (folder / f"fake_{name}.py").write_text(code)
    info = folder / f"fake_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = fake_{name}:records\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name, (code, _) in BROKEN.items():
        install(folder, name, code)
    install(folder, "good", GOOD)
    install(folder, "metric", "1 / 0", "serxai.metrics")
    return folder


def serxai(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serxai.benchmark.cli", *words], capture_output=True, text=True, timeout=300, cwd=site,
        env=os.environ | {"PYTHONPATH": str(site)},
    )  # fmt: skip


def test_broken_extensions_are_named_and_the_rest_is_listed(site: Path) -> None:
    done = serxai(site, "ls", "methods")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"saliency", "emolime", "good", "hollow"} <= set(names)
    lines = done.stderr.splitlines()
    assert len(lines) == len(BROKEN), done.stderr
    for name, (_, said) in BROKEN.items():
        (line,) = [line for line in lines if f"package 'fake-{name}'" in line]
        assert line.startswith(f"serxai: entry point {name!r}") and said in line
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_run_works_beside_them_and_names_each_once(site: Path, tmp_path: Path) -> None:
    done = serxai(
        site, "run", "--corpus", "planted", "--method", "good", "--method", "random", "--metric", "gini",
        "--limit", "8", "--workers", "2", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "good" in done.stdout
    for name in (*BROKEN, "metric"):
        assert done.stderr.count(f"package 'fake-{name}'") == 1, done.stderr


@pytest.mark.long
def test_a_method_whose_module_is_not_there_is_bad_input(site: Path) -> None:
    done = serxai(site, "run", "--method", "hollow", "--metric", "gini", "--limit", "4")
    assert done.returncode == 2
    assert "'hollow': its target 'fake_hollow:Nothing' cannot be imported" in done.stderr
    assert "please report" not in done.stderr
    shown = serxai(site, "show", "method", "hollow")
    assert shown.returncode == 0 and "cannot be imported" in shown.stdout


def test_damaged_metadata_is_told(site: Path, tmp_path: Path) -> None:
    info = tmp_path / "fake_damaged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-damaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(b"[serxai.methods]\nx = \xff\xfe:y\n")
    done = serxai(tmp_path, "ls", "methods")
    assert done.returncode == 0 and "saliency" in done.stdout
    assert "Traceback" not in done.stderr
