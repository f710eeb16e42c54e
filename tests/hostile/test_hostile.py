"""Bad inputs through the program's entry: exit status as promised, no traceback, no code run, nothing else touched."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from serxai.benchmark.cli.main import main
from serxai.tests.hostile.case import CANARY, EVIL, Case
from serxai.tests.hostile.catalogue import CASES, process_cases, quick_cases
from serxai.tests.hostile.run_folder import BASE

SECONDS, MEGABYTES = 20.0, 2000  # of one command
KILOBYTES = 2**20 if sys.platform == "darwin" else 2**10  # units of `ru_maxrss` in a megabyte
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


def judge(case: Case, status: int, err: str, out: str, seconds: float, megabytes: float) -> list[str]:
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
    if megabytes > MEGABYTES:
        faults.append(f"{megabytes:.0f} MB")
    return faults and [f"{case.name}: {', '.join(faults)}: {err.strip()[-300:]}"]


def touched(case: Case, before: dict[str, str], folder: Path) -> list[str]:
    """Traces that the command left outside its output."""
    faults = [f"{case.name}: code ran"] * (folder.parent / CANARY).exists()
    if not (case.argv[:1] == ("run",) and BASE in case.argv) and contents(folder) != before:
        faults.append(f"{case.name}: touched files beside its output")
    return faults


def peak_megabytes(*, reset: bool = False) -> float:
    """Most memory this process held since the last reset (where the system has no reset: since its start)."""
    if reset:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES


def wait_for(process: subprocess.Popen[bytes], seconds: float) -> tuple[int | None, float]:
    """Exit status of a process, None if it had to be killed, and the most memory it held, in megabytes."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        os.kill(process.pid, signal.SIGKILL)  # not waited for yet, so that the number is still its own

    timer = threading.Timer(seconds, kill)
    timer.start()
    _, status, used = os.wait4(process.pid, 0)  # unlike RUSAGE_CHILDREN, of this child alone
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return None if late.is_set() else process.returncode, used.ru_maxrss / KILOBYTES


def run_here(case: Case, folder: Path, base_run: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run one case in this process."""
    prepare(case, folder, base_run)
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in case.environment.items():
            patch.setenv(name, value)
        sys.modules.pop(EVIL, None)
        held, start = peak_megabytes(reset=True), time.perf_counter()
        capsys.readouterr()
        try:
            status = main(list(case.argv))
        except SystemExit as stopped:  # argparse
            status = int(stopped.code or 0)
        except BaseException as error:
            return [f"{case.name}: raised {type(error).__name__}: {error}"]
        seconds, captured = time.perf_counter() - start, capsys.readouterr()
    return judge(case, status, captured.err, captured.out, seconds, megabytes=peak_megabytes() - held) + touched(
        case, before, folder
    )


def run_apart(case: Case, folder: Path, base_run: Path) -> list[str]:
    """Run one case in a process of its own."""
    prepare(case, folder, base_run)
    before, start = contents(folder), time.perf_counter()
    with tempfile.TemporaryFile() as out_file, tempfile.TemporaryFile() as err_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "serxai.benchmark.cli", *case.argv], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=out_file, stderr=err_file, env=os.environ | dict(case.environment),
        )  # fmt: skip
        status, megabytes = wait_for(process, 6 * SECONDS)
        seconds = time.perf_counter() - start
        encoding = "utf-16" if "utf-16" in case.environment.values() else "utf-8"
        out, err = (os.pread(file.fileno(), 10**7, 0).decode(encoding, "replace") for file in (out_file, err_file))
    if status is None:
        return [f"{case.name}: more than {6 * SECONDS:.0f} s"]
    return judge(case, status, err, out, seconds, megabytes) + touched(case, before, folder)


def test_memory_of_a_process_is_seen(tmp_path: Path) -> None:
    # a child's peak holds what its parent held when it was forked, so it must be more than that
    held = "x = bytearray(2_500_000_000); print(len(x))"
    process = subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.DEVNULL)
    status, megabytes = wait_for(process, 60)
    assert status == 0 and 2384 < megabytes < 2600
    before = peak_megabytes(reset=True)
    held = bytearray(300_000_000)
    del held
    assert 280 < peak_megabytes() - before < 400 and peak_megabytes(reset=True) < before + 280
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert wait_for(process, 0.2)[0] is None


def test_there_are_enough_of_every_kind() -> None:
    assert len(CASES) >= 500 and len({case.name for case in CASES}) == len(CASES)
    groups = Counter(case.group for case in quick_cases())
    assert len(groups) == 8 and min(groups.values()) >= 10
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
