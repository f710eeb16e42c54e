"""Bad inputs through the program's entry: exit status as promised, no traceback, no code run, nothing else touched."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from serxai.benchmark.cli.main import main
from serxai.tests.hostile.case import CANARY, EVIL, Case
from serxai.tests.hostile.catalogue import CASES, process_cases, quick_cases
from serxai.tests.hostile.run_folder import BASE

SECONDS, MEGABYTES = 20.0, 2000  # of one command
OUTPUT = "out"  # where commands are told to write
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@pytest.fixture(scope="session")
def base_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two clips, two methods and one metric."""
    folder = tmp_path_factory.mktemp("base") / BASE
    argv = ["--method", "random", "--method", "energy", "--metric", "gini", "--condition", "clean", "--limit", "2"]
    assert main(["run", *argv, "--workers", "1", "--json", "--out", str(folder)]) == 0
    shutil.rmtree(folder / "report")  # most of the bytes, and made again from the scores
    return folder


def prepare(case: Case, folder: Path, base_run: Path) -> None:
    folder.mkdir()
    if case.group == "run":
        shutil.copytree(base_run, folder / BASE)
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
    if case.build is not None:
        case.build(folder)


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file but the output."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.relative_to(folder).parts[0] == OUTPUT or name.endswith(".lock"):
            continue
        found[name] = (
            "link" if path.is_symlink() else hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""
        )
    return found


def judge(case: Case, status: int, err: str, out: str, seconds: float) -> list[str]:
    """What the command did wrong."""
    faults = []
    if status not in case.allowed:
        faults.append(f"exit status {status}, promised {case.allowed}")
    if "Traceback (most recent call last)" in out + err:
        faults.append("a traceback")
    if "please report" in err:
        faults.append("an unforeseen error")
    if UNSAFE.search(err) or UNSAFE.search(out):
        faults.append("control characters on the terminal")
    if status == 2 and "serxai" not in err:
        faults.append("no message")
    if seconds > SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)):  # a busy machine is no failure
        faults.append(f"{seconds:.0f} s")
    return faults and [f"{case.name}: {', '.join(faults)}: {err.strip()[-300:]}"]


def touched(case: Case, before: dict[str, str], folder: Path) -> list[str]:
    """Traces that the command left outside its output."""
    faults = [f"{case.name}: code ran"] * (folder.parent / CANARY).exists()
    if not (case.argv[:1] == ("run",) and BASE in case.argv) and contents(folder) != before:
        faults.append(f"{case.name}: touched files beside its output")
    return faults


def run_here(case: Case, folder: Path, base_run: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run one case in this process."""
    prepare(case, folder, base_run)
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in case.environment.items():
            patch.setenv(name, value)
        sys.modules.pop(EVIL, None)
        held, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        capsys.readouterr()
        try:
            status = main(list(case.argv))
        except SystemExit as stopped:  # argparse
            status = int(stopped.code or 0)
        except BaseException as error:
            return [f"{case.name}: raised {type(error).__name__}: {error}"]
        seconds, captured = time.perf_counter() - start, capsys.readouterr()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024
    faults = judge(case, status, captured.err, captured.out, seconds) + touched(case, before, folder)
    return faults + [f"{case.name}: {grown:.0f} MB"] * (grown > MEGABYTES)


def run_apart(case: Case, folder: Path, base_run: Path) -> list[str]:
    """Run one case in a process of its own."""
    prepare(case, folder, base_run)
    before, start = contents(folder), time.perf_counter()
    try:
        result = subprocess.run(
            [sys.executable, "-m", "serxai.benchmark.cli", *case.argv], cwd=folder, capture_output=True,
            timeout=6 * SECONDS, env=os.environ | dict(case.environment),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [f"{case.name}: more than {6 * SECONDS:.0f} s"]
    encoding = "utf-16" if "utf-16" in case.environment.values() else "utf-8"
    out, err = (text.decode(encoding, "replace") for text in (result.stdout, result.stderr))
    return judge(case, result.returncode, err, out, time.perf_counter() - start) + touched(case, before, folder)


def test_there_are_enough_of_every_kind() -> None:
    assert len(CASES) >= 500 and len({case.name for case in CASES}) == len(CASES)
    groups = Counter(case.group for case in quick_cases())
    assert len(groups) == 7 and min(groups.values()) >= 10
    assert len(quick_cases()) + len(process_cases()) == 100 and len(process_cases()) == 10


def test_a_hundred(tmp_path: Path, base_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = []
    for number, case in enumerate(quick_cases()):
        faults += run_here(case, tmp_path / str(number), base_run, capsys)
    for number, case in enumerate(process_cases()):
        faults += run_apart(case, tmp_path / f"apart{number}", base_run)
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.parametrize("group", sorted({case.group for case in CASES}))
def test_all(group: str, tmp_path: Path, base_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = []
    for number, case in enumerate(case for case in CASES if case.group == group):
        folder = tmp_path / str(number)
        faults += run_apart(case, folder, base_run) if case.process else run_here(case, folder, base_run, capsys)
        shutil.rmtree(folder, ignore_errors=True)
    assert not faults, "\n".join(faults)
